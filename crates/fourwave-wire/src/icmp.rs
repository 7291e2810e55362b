//! ICMP errors about TCP segments (RFC 792, RFC 4443, RFC 5927), read and written.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::checksum::Sum;
use crate::ip::{IpEmit, IpHeader, protocol};
use crate::{SeqNum, WireError};

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
    let ip = IpEmit { src, dst: inner.src, protocol, ttl: 64, ecn: 0 };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::TcpHeader;
    use core::net::{Ipv4Addr, Ipv6Addr};

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
        let v4 = [Ipv4Addr::new(10, 4, 0, 100), Ipv4Addr::new(10, 0, 0, 9)].map(IpAddr::from);
        let v6 = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].map(IpAddr::from);
        let errors = [
            IcmpError::NetUnreachable,
            IcmpError::HostUnreachable,
            IcmpError::PortUnreachable,
            IcmpError::PacketTooBig { mtu: 1400 },
            IcmpError::AdminProhibited,
            IcmpError::TimeExceeded,
            IcmpError::ParameterProblem,
        ];
        for [src, dst] in [v4, v6] {
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
