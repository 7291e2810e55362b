//! ICMP (RFC 792, RFC 4443): errors about TCP segments (RFC 5927) and echo, read and written.

use alloc::vec::Vec;
use core::net::IpAddr;

use bytes::Bytes;

use crate::ip::{DEFAULT_TTL, IpEmit, IpHeader, emit_fragments, protocol};
use crate::sum::Sum;
use crate::{Link, RxChecksum, RxPacket, SeqNum, TxPacket, WireError};

/// What an ICMP error says happened to a packet, the same for both IP versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IcmpError {
    /// No route to the network (v4 code 0, v6 code 0).
    NetUnreachable,
    /// The host does not answer (v4 code 1, v6 code 3).
    HostUnreachable,
    /// The host has no such protocol (v4 code 2).
    ProtocolUnreachable,
    /// Nothing listens on the port (v4 code 3, v6 code 4).
    PortUnreachable,
    /// The packet is larger than a link on the way (v4 type 3 code 4, v6 type 2).
    PacketTooBig {
        /// The next hop's MTU in bytes; 0 where an old router does not say.
        mtu: u32,
    },
    /// Forbidden by an administrator (v4 codes 9, 10, 13, v6 code 1).
    AdminProhibited,
    /// The time to live ran out on the way.
    TimeExceeded,
    /// A header field made no sense to someone on the way.
    ParameterProblem,
}

/// An ICMP error, and the TCP segment that it quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedTcp {
    /// What happened.
    pub error: IcmpError,
    /// Source of the quoted segment: our own end.
    pub src: (IpAddr, u16),
    /// Destination of the quoted segment.
    pub dst: (IpAddr, u16),
    /// SEG.SEQ of the quoted segment; RFC 5927 §4.1 checks it.
    pub seq: SeqNum,
}

/// Reads an ICMP message (`ip` is its header, `packet` all of it) that quotes a TCP segment.
///
/// # Errors
/// [`WireError::OtherProtocol`] for any other ICMP message, or the malformation.
pub fn parse_quoted_tcp(ip: &IpHeader, packet: &[u8]) -> Result<QuotedTcp, WireError> {
    let message = packet.get(ip.payload.clone()).ok_or(WireError::Truncated)?;
    let h: &[u8; 8] = message.first_chunk().ok_or(WireError::Truncated)?;
    let word = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    let error = match (ip.protocol, h[0], h[1]) {
        (protocol::ICMP, 3, 0 | 5 | 6 | 11) => IcmpError::NetUnreachable,
        (protocol::ICMP, 3, 1 | 7 | 8 | 12) => IcmpError::HostUnreachable,
        (protocol::ICMP, 3, 2) => IcmpError::ProtocolUnreachable,
        (protocol::ICMP, 3, 3) | (protocol::ICMPV6, 1, 4) => IcmpError::PortUnreachable,
        (protocol::ICMP, 3, 4) => IcmpError::PacketTooBig { mtu: word & 0xffff },
        (protocol::ICMP, 3, 9 | 10 | 13) | (protocol::ICMPV6, 1, 1) => IcmpError::AdminProhibited,
        (protocol::ICMP, 11, _) | (protocol::ICMPV6, 3, _) => IcmpError::TimeExceeded,
        (protocol::ICMP, 12, _) | (protocol::ICMPV6, 4, _) => IcmpError::ParameterProblem,
        (protocol::ICMPV6, 1, 0) => IcmpError::NetUnreachable,
        (protocol::ICMPV6, 1, _) => IcmpError::HostUnreachable,
        (protocol::ICMPV6, 2, _) => IcmpError::PacketTooBig { mtu: word },
        _ => return Err(WireError::OtherProtocol),
    };
    let mut sum = Sum::default();
    if ip.protocol == protocol::ICMPV6 {
        sum = sum.with_pseudo_header(ip.src, ip.dst, protocol::ICMPV6, message.len());
    }
    if sum.with(message).finish() != [0, 0] {
        return Err(WireError::BadChecksum);
    }
    let quoted = &message[8..];
    let inner = IpHeader::parse_truncated(quoted)?;
    if inner.protocol != protocol::TCP {
        return Err(WireError::OtherProtocol);
    }
    // RFC 792 quotes 8 bytes of the transport header: ports and sequence number.
    let tcp = quoted.get(inner.payload.start..).ok_or(WireError::Truncated)?;
    let tcp: &[u8; 8] = tcp.first_chunk().ok_or(WireError::Truncated)?;
    Ok(QuotedTcp {
        error,
        src: (inner.src, u16::from_be_bytes([tcp[0], tcp[1]])),
        dst: (inner.dst, u16::from_be_bytes([tcp[2], tcp[3]])),
        seq: SeqNum::new(u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])),
    })
}

/// Appends a whole IP packet from `src` to the sender of `offending` that says `error` about it.
/// Quotes as much as RFC 1812 §4.3.2.3 (576 bytes) or RFC 4443 §3.1 (1280 bytes) allows.
/// Appends nothing where `offending` has no readable IP header.
pub fn emit_error(src: IpAddr, error: IcmpError, offending: &[u8], out: &mut Vec<u8>) {
    let Ok(inner) = IpHeader::parse_truncated(offending) else { return };
    let v6 = inner.is_ipv6();
    let (kind, code, word) = match (error, v6) {
        (IcmpError::NetUnreachable, false) => (3, 0, 0),
        (IcmpError::HostUnreachable, false) => (3, 1, 0),
        (IcmpError::ProtocolUnreachable, false) => (3, 2, 0),
        (IcmpError::PortUnreachable, false) => (3, 3, 0),
        (IcmpError::PacketTooBig { mtu }, false) => (3, 4, mtu & 0xffff),
        (IcmpError::AdminProhibited, false) => (3, 13, 0),
        (IcmpError::TimeExceeded, false) => (11, 0, 0),
        (IcmpError::ParameterProblem, false) => (12, 0, 0),
        (IcmpError::NetUnreachable, true) => (1, 0, 0),
        (IcmpError::AdminProhibited, true) => (1, 1, 0),
        (IcmpError::HostUnreachable | IcmpError::ProtocolUnreachable, true) => (1, 3, 0),
        (IcmpError::PortUnreachable, true) => (1, 4, 0),
        (IcmpError::PacketTooBig { mtu }, true) => (2, 0, mtu),
        (IcmpError::TimeExceeded, true) => (3, 0, 0),
        (IcmpError::ParameterProblem, true) => (4, 0, 0),
    };
    let protocol = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
    let ip = IpEmit { src, dst: inner.src, protocol, ttl: DEFAULT_TTL, ecn: 0 };
    let limit = if v6 { 1280 } else { 576 } - ip.len() - 8;
    let quoted = &offending[..offending.len().min(limit)];
    ip.emit(8 + quoted.len(), out);
    let start = out.len();
    out.extend_from_slice(&[kind, code, 0, 0]);
    out.extend_from_slice(&u32::to_be_bytes(word));
    out.extend_from_slice(quoted);
    let mut sum = Sum::default();
    if v6 {
        sum = sum.with_pseudo_header(src, inner.src, protocol, 8 + quoted.len());
    }
    let sum = sum.with(&out[start..]).finish();
    out[start + 2..start + 4].copy_from_slice(&sum);
}

/// [`emit_error`] as a packet to be sent; an empty one where it appends nothing.
pub fn error_packet(src: IpAddr, error: IcmpError, offending: &[u8]) -> TxPacket {
    let mut packet = TxPacket::default();
    emit_error(src, error, offending, &mut packet.header);
    packet.meta.len = packet.header.len();
    packet
}

/// Bytes of an echo message before its data.
pub const ECHO_HEADER_LEN: usize = 8;

/// An echo request or reply of either ICMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Who sends it.
    pub src: IpAddr,
    /// To whom; of the source's family.
    pub dst: IpAddr,
    /// What of it is in the message.
    pub header: EchoHeader,
    /// What is to come back.
    pub data: Bytes,
}

/// The header of an echo message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoHeader {
    /// A reply; else a request.
    pub reply: bool,
    /// Identifier.
    pub id: u16,
    /// Sequence number.
    pub seq: u16,
}

impl EchoHeader {
    /// Reads the header of a bare ICMP message; its checksum is not looked at.
    ///
    /// # Errors
    /// [`WireError::OtherProtocol`] for a message that is no echo, or the malformation.
    pub fn parse(v6: bool, message: &[u8]) -> Result<Self, WireError> {
        let h: &[u8; ECHO_HEADER_LEN] = message.first_chunk().ok_or(WireError::Truncated)?;
        let reply = match (v6, h[0], h[1]) {
            (false, 8, 0) | (true, 128, 0) => false,
            (false, 0, 0) | (true, 129, 0) => true,
            _ => return Err(WireError::OtherProtocol),
        };
        let (id, seq) = (u16::from_be_bytes([h[4], h[5]]), u16::from_be_bytes([h[6], h[7]]));
        Ok(Self { reply, id, seq })
    }

    /// Its bytes, without a checksum.
    fn encode(&self, v6: bool) -> [u8; ECHO_HEADER_LEN] {
        let kind = match (v6, self.reply) {
            (false, false) => 8,
            (false, true) => 0,
            (true, false) => 128,
            (true, true) => 129,
        };
        let ([a, b], [c, d]) = (self.id.to_be_bytes(), self.seq.to_be_bytes());
        [kind, 0, 0, 0, a, b, c, d]
    }
}

impl Echo {
    /// Reads the ICMP message of `packet`, whose header is `ip`. The data is a slice of the packet.
    ///
    /// # Errors
    /// [`WireError::OtherProtocol`] for a message that is no echo, or the malformation.
    pub fn parse(ip: &IpHeader, packet: &RxPacket) -> Result<Self, WireError> {
        let message = packet.bytes.get(ip.payload.clone()).ok_or(WireError::Truncated)?;
        let header = EchoHeader::parse(ip.is_ipv6(), message)?;
        if packet.checksum == RxChecksum::Unverified {
            let mut sum = Sum::default();
            if ip.is_ipv6() {
                sum = sum.with_pseudo_header(ip.src, ip.dst, protocol::ICMPV6, message.len());
            }
            if sum.with(message).finish() != [0, 0] {
                return Err(WireError::BadChecksum);
            }
        }
        let data = packet.bytes.slice(ip.payload.start + ECHO_HEADER_LEN..ip.payload.end);
        Ok(Self { src: ip.src, dst: ip.dst, header, data })
    }

    /// The bare ICMP message, its checksum included.
    pub fn message(&self) -> Vec<u8> {
        let v6 = self.src.is_ipv6();
        let mut message = self.header.encode(v6).to_vec();
        message.extend_from_slice(&self.data);
        let mut sum = Sum::default();
        if v6 {
            let (src, dst) = (self.src, self.dst);
            sum = sum.with_pseudo_header(src, dst, protocol::ICMPV6, message.len());
        }
        let sum = sum.with(&message).finish();
        message[2..4].copy_from_slice(&sum);
        message
    }

    fn envelope(&self) -> IpEmit {
        let protocol = if self.src.is_ipv6() { protocol::ICMPV6 } else { protocol::ICMP };
        IpEmit { src: self.src, dst: self.dst, protocol, ttl: DEFAULT_TTL, ecn: 0 }
    }

    /// The whole packet, to be quoted in an ICMP error.
    pub fn packet(&self) -> Vec<u8> {
        let message = self.message();
        let mut packet = Vec::new();
        self.envelope().emit(message.len(), &mut packet);
        packet.extend_from_slice(&message);
        packet
    }

    /// Writes the packets that carry it over a link: one, or fragments with the identification
    /// `id`.
    pub fn emit(&self, link: &Link, id: u32, mut send: impl FnMut(&TxPacket)) {
        let ip = self.envelope();
        let message = self.message();
        if ip.len() + message.len() > usize::from(link.mtu) {
            return emit_fragments(&ip, link.mtu, id, &message, send);
        }
        let mut packet = TxPacket::default();
        ip.emit(message.len(), &mut packet.header);
        packet.header.extend_from_slice(&message);
        packet.meta.len = packet.header.len();
        send(&packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::TcpHeader;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    const V4: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(10, 4, 0, 100)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9))];
    const V6: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

    fn received(packet: &TxPacket) -> RxPacket {
        let checksum = RxChecksum::Unverified;
        RxPacket { bytes: packet.to_vec().into(), gso_size: 0, checksum }
    }

    proptest! {
        #[test]
        fn an_echo_that_was_written_is_read_again(
            v6: bool, reply: bool, id: u16, seq: u16,
            data in proptest::collection::vec(any::<u8>(), 0..1400), at: u16, bit in 0u8..8,
        ) {
            let [src, dst] = if v6 { V6 } else { V4 };
            let header = EchoHeader { reply, id, seq };
            let before = Echo { src, dst, header, data: data.into() };
            let mut all = Vec::new();
            before.emit(&Link::plain(1500), 7, |packet| all.push(packet.clone()));
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!(all[0].to_vec(), before.packet());
            let mut packet = received(&all[0]);
            let ip = IpHeader::parse(&packet.bytes).unwrap();
            prop_assert_eq!(Echo::parse(&ip, &packet), Ok(before));
            let mut bytes = packet.bytes.to_vec();
            let at = ip.payload.start + 2 + usize::from(at) % (ip.payload.len() - 2);
            bytes[at] ^= 1 << bit;
            packet.bytes = bytes.into();
            prop_assert_eq!(Echo::parse(&ip, &packet), Err(WireError::BadChecksum));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool, trusted: bool,
        ) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let checksum = if trusted { RxChecksum::Trusted } else { RxChecksum::Unverified };
            let packet = RxPacket { bytes: bytes.into(), gso_size: 0, checksum };
            let _ = EchoHeader::parse(v6, &packet.bytes);
            if let Ok(ip) = IpHeader::parse(&packet.bytes) {
                let _ = Echo::parse(&ip, &packet);
                let _ = parse_quoted_tcp(&ip, &packet.bytes);
            }
            let _ = error_packet(V4[0], IcmpError::TimeExceeded, &packet.bytes);
        }
    }

    #[test]
    fn an_echo_beyond_the_mtu_goes_in_fragments() {
        for [src, dst] in [V4, V6] {
            let header = EchoHeader { reply: true, id: 1, seq: 2 };
            let echo = Echo { src, dst, header, data: Bytes::from_static(&[7; 3000]) };
            let mut sizes = Vec::new();
            echo.emit(&Link::offloading(1500), 9, |packet| sizes.push(packet.meta.len));
            let headers = if src.is_ipv6() { 48 } else { 20 };
            assert_eq!(sizes.len(), 3);
            assert_eq!(sizes.iter().sum::<usize>(), 3 * headers + ECHO_HEADER_LEN + 3000);
            assert!(sizes.iter().all(|size| *size <= 1500));
        }
    }

    fn syn(src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let header = TcpHeader {
            src_port: 40_000,
            dst_port: 80,
            seq: SeqNum::new(99),
            ..Default::default()
        };
        let mut packet = Vec::new();
        IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 }.emit(20, &mut packet);
        header.emit(&mut packet);
        packet
    }

    #[test]
    fn what_is_written_is_read_again() {
        let errors = [
            IcmpError::NetUnreachable,
            IcmpError::HostUnreachable,
            IcmpError::PortUnreachable,
            IcmpError::PacketTooBig { mtu: 1400 },
            IcmpError::AdminProhibited,
            IcmpError::TimeExceeded,
            IcmpError::ParameterProblem,
        ];
        for [src, dst] in [V4, V6] {
            for error in errors {
                let mut packet = Vec::new();
                emit_error(dst, error, &syn(src, dst), &mut packet);
                let ip = IpHeader::parse(&packet).unwrap();
                let quoted = parse_quoted_tcp(&ip, &packet).unwrap();
                assert_eq!(quoted.error, error);
                assert_eq!((quoted.src, quoted.dst), ((src, 40_000), (dst, 80)));
                assert_eq!(quoted.seq, SeqNum::new(99));
                let last = packet.len() - 1;
                packet[last] ^= 1;
                assert_eq!(parse_quoted_tcp(&ip, &packet), Err(WireError::BadChecksum));
            }
        }
    }
}
