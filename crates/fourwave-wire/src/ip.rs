//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, as far as a transport needs them.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use crate::sum::Sum;
use crate::{TxPacket, WireError};

/// The two ECN bits of an IP header (RFC 3168 §5).
pub mod ecn {
    /// Not ECN-capable.
    pub const NOT_ECT: u8 = 0;
    /// ECN-capable, ECT(1).
    pub const ECT_1: u8 = 1;
    /// ECN-capable, ECT(0).
    pub const ECT_0: u8 = 2;
    /// Congestion experienced: the network has marked the packet.
    pub const CE: u8 = 3;
}

/// Protocol numbers (IANA) that the project meets.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// Time to live, or hop limit, of what the project sends by itself (RFC 1700).
pub const DEFAULT_TTL: u8 = 64;
/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER_LEN: usize = 20;
/// Bytes of an IPv6 header without extensions.
pub const IPV6_HEADER_LEN: usize = 40;

/// What a transport wants to know of an IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// The transport's protocol number, behind IPv6 extension headers if there are any.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The two ECN bits (RFC 3168).
    pub ecn: u8,
    /// Where the transport's bytes lie in the packet.
    pub payload: Range<usize>,
}

impl IpHeader {
    /// Reads the header of `packet`. Bytes behind the packet's own length are padding and left
    /// out of `payload`. IPv4 options and IPv6 extension headers are passed over.
    ///
    /// # Errors
    /// Any malformation; [`WireError::Fragment`] for every fragment.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let header = Self::parse_truncated(packet)?;
        if header.payload.end > packet.len() {
            return Err(WireError::Truncated);
        }
        Ok(header)
    }

    /// Like [`parse`](Self::parse), for packets of which only the start was kept (a quotation in
    /// an ICMP error, a capture with a snap length): `payload.end` may lie beyond `packet`.
    ///
    /// # Errors
    /// As for `parse`, but not for a missing end.
    pub fn parse_truncated(packet: &[u8]) -> Result<Self, WireError> {
        match packet.first().ok_or(WireError::Truncated)? >> 4 {
            4 => parse_v4(packet),
            6 => parse_v6(packet),
            _ => Err(WireError::BadVersion),
        }
    }

    /// Whether the addresses are IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.src.is_ipv6()
    }
}

fn parse_v4(packet: &[u8]) -> Result<IpHeader, WireError> {
    let h: &[u8; IPV4_HEADER_LEN] = packet.first_chunk().ok_or(WireError::Truncated)?;
    let header_len = usize::from(h[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if header_len < IPV4_HEADER_LEN {
        return Err(WireError::BadHeaderLength);
    }
    // A TSO super-packet of exactly 64 KiB and more says 0 here (Linux BIG TCP).
    let total_len = if total_len == 0 { packet.len() } else { total_len };
    if total_len < header_len {
        return Err(WireError::BadLength);
    }
    // More fragments, or an offset: bits 13 and 0 to 12.
    if u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0 {
        return Err(WireError::Fragment);
    }
    Ok(IpHeader {
        src: Ipv4Addr::new(h[12], h[13], h[14], h[15]).into(),
        dst: Ipv4Addr::new(h[16], h[17], h[18], h[19]).into(),
        protocol: h[9],
        ttl: h[8],
        ecn: h[1] & 3,
        payload: header_len..total_len,
    })
}

fn parse_v6(packet: &[u8]) -> Result<IpHeader, WireError> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let h: &[u8; IPV6_HEADER_LEN] = packet.first_chunk().ok_or(WireError::Truncated)?;
    let payload_len = usize::from(u16::from_be_bytes([h[4], h[5]]));
    let end = if payload_len == 0 { packet.len() } else { IPV6_HEADER_LEN + payload_len };
    let mut next = h[6];
    let mut at = IPV6_HEADER_LEN;
    // Each turn moves `at` by at least 8, so this ends with the packet.
    while matches!(next, HOP_BY_HOP | ROUTING | DESTINATION | FRAGMENT) {
        if next == FRAGMENT {
            return Err(WireError::Fragment);
        }
        let extension = packet.get(at..at + 2).ok_or(WireError::Truncated)?;
        next = extension[0];
        at += 8 + usize::from(extension[1]) * 8;
    }
    if at > end {
        return Err(WireError::BadLength);
    }
    let address = |from: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&h[from..from + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    Ok(IpHeader {
        src: address(8),
        dst: address(24),
        protocol: next,
        ttl: h[7],
        ecn: (h[1] >> 4) & 3,
        payload: at..end,
    })
}

/// Whether the checksum of an IPv4 header is right; IPv6 has none (RFC 8200 §8.1).
pub fn header_checksum_is_right(packet: &[u8]) -> bool {
    let Some(first) = packet.first() else { return false };
    if first >> 4 != 4 {
        return true;
    }
    let header = packet.get(..usize::from(first & 0x0f) * 4);
    header.is_some_and(|header| Sum::default().with(header).finish() == [0, 0])
}

/// What an IP header to be written says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpEmit {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the source's family.
    pub dst: IpAddr,
    /// The transport's protocol number.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The two ECN bits.
    pub ecn: u8,
}

impl IpEmit {
    /// Appends the header for `payload_len` bytes of transport. IPv4: DF is set, the
    /// identification is 0 (RFC 6864 §4.1: an atomic datagram needs none). A length beyond 16
    /// bits, possible for a super-packet only, is written as 0, as Linux does.
    pub fn emit(&self, payload_len: usize, out: &mut Vec<u8>) {
        match (self.src, self.dst) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let len = u16::try_from(payload_len).unwrap_or(0).to_be_bytes();
                out.extend_from_slice(&[0x60, self.ecn << 4, 0, 0, len[0], len[1]]);
                out.extend_from_slice(&[self.protocol, self.ttl]);
                out.extend_from_slice(&src.octets());
                out.extend_from_slice(&dst.octets());
            }
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let len = u16::try_from(payload_len + IPV4_HEADER_LEN).unwrap_or(0).to_be_bytes();
                let mut h = [0u8; IPV4_HEADER_LEN];
                h[0] = 0x45;
                h[1] = self.ecn;
                h[2..4].copy_from_slice(&len);
                h[6] = 0x40;
                h[8] = self.ttl;
                h[9] = self.protocol;
                h[12..16].copy_from_slice(&src.octets());
                h[16..20].copy_from_slice(&dst.octets());
                set_header_checksum(&mut h);
                out.extend_from_slice(&h);
            }
            // Mixed families name no packet; an empty header is refused by every device.
            _ => {}
        }
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub fn len(&self) -> usize {
        if self.src.is_ipv6() { IPV6_HEADER_LEN } else { IPV4_HEADER_LEN }
    }

    /// Never: an IP header has at least 20 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Cuts an IP payload into fragments of up to `mtu` bytes (RFC 791 §2.3, RFC 8200 §4.5) under the
/// identification `id`, of which IPv4 has 16 bits. `payload` has at most 65,535 bytes; its checksum
/// is finished.
pub fn emit_fragments(
    ip: &IpEmit,
    mtu: u16,
    id: u32,
    payload: &[u8],
    mut send: impl FnMut(&TxPacket),
) {
    const IPV6_FRAGMENT: u8 = 44;
    const MORE: u16 = 0x2000;
    let v6 = ip.src.is_ipv6();
    let headers = ip.len() + if v6 { 8 } else { 0 };
    // Every fragment but the last holds a multiple of 8 bytes.
    let space = usize::from(mtu).saturating_sub(headers).max(8) & !7;
    for (i, piece) in payload.chunks(space).enumerate() {
        let offset = i * space;
        let more = offset + piece.len() < payload.len();
        let mut packet = TxPacket::default();
        let header = &mut packet.header;
        if v6 {
            IpEmit { protocol: IPV6_FRAGMENT, ..*ip }.emit(8 + piece.len(), header);
            let word = offset as u16 | u16::from(more);
            header.extend_from_slice(&[ip.protocol, 0]);
            header.extend_from_slice(&word.to_be_bytes());
            header.extend_from_slice(&id.to_be_bytes());
        } else {
            ip.emit(piece.len(), header);
            let word = (offset / 8) as u16 | if more { MORE } else { 0 };
            // Mixed families have no header.
            if let Some(h) = header.first_chunk_mut::<IPV4_HEADER_LEN>() {
                h[4..6].copy_from_slice(&(id as u16).to_be_bytes());
                h[6..8].copy_from_slice(&word.to_be_bytes());
                set_header_checksum(h);
            }
        }
        header.extend_from_slice(piece);
        packet.meta.len = packet.header.len();
        send(&packet);
    }
}

fn set_header_checksum(header: &mut [u8; IPV4_HEADER_LEN]) {
    header[10..12].fill(0);
    let sum = Sum::default().with(header).finish();
    header[10..12].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> IpEmit {
        IpEmit {
            src: Ipv4Addr::new(10, 4, 0, 100).into(),
            dst: Ipv4Addr::new(10, 4, 0, 1).into(),
            protocol: protocol::TCP,
            ttl: 64,
            ecn: 0,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let v6 =
            IpEmit { src: Ipv6Addr::LOCALHOST.into(), dst: Ipv6Addr::LOCALHOST.into(), ..v4() };
        for ip in [v4(), v6] {
            let mut packet = Vec::new();
            ip.emit(7, &mut packet);
            assert_eq!(packet.len(), ip.len());
            packet.extend_from_slice(b"payload+padding");
            let read = IpHeader::parse(&packet).unwrap();
            assert_eq!((read.src, read.dst, read.protocol), (ip.src, ip.dst, ip.protocol));
            assert_eq!(&packet[read.payload], b"payload");
        }
    }

    #[test]
    fn rfc791_header_checksum() {
        let mut packet = Vec::new();
        v4().emit(0, &mut packet);
        assert!(header_checksum_is_right(&packet));
        packet[8] ^= 1;
        assert!(!header_checksum_is_right(&packet));
        assert!(!header_checksum_is_right(&[]) && !header_checksum_is_right(&[0x45]));
    }

    #[test]
    fn malformed_headers_are_named() {
        let mut packet = Vec::new();
        v4().emit(4, &mut packet);
        assert_eq!(IpHeader::parse(&packet), Err(WireError::Truncated));
        packet.extend_from_slice(&[0; 4]);
        assert!(IpHeader::parse(&packet).is_ok());
        packet[0] = 0x44;
        assert_eq!(IpHeader::parse(&packet), Err(WireError::BadHeaderLength));
        packet[0] = 0x55;
        assert_eq!(IpHeader::parse(&packet), Err(WireError::BadVersion));
        packet[0] = 0x45;
        packet[6] = 0x20;
        assert_eq!(IpHeader::parse(&packet), Err(WireError::Fragment));
        assert_eq!(IpHeader::parse(&[]), Err(WireError::Truncated));
    }
}
