//! One packet as the lens needs it: a TCP segment, or an ICMP error about one.

use std::net::SocketAddr;

use fourwave_wire::icmp::{QuotedTcp, parse_quoted_tcp};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::tcp::{TCP_HEADER_LEN, TcpHeader};
use fourwave_wire::{SeqNum, WireError};

/// What a packet means to the lens.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Tcp(Segment),
    Icmp(QuotedTcp),
}

/// A TCP segment, or several under one header (a super-packet).
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) tcp: TcpHeader,
    /// Time to live, or hop limit.
    pub(crate) ttl: u8,
    /// IPv4's identification.
    pub(crate) id: Option<u16>,
    /// Payload bytes on the wire, kept or not.
    pub(crate) len: u32,
    /// Segments that a super-packet is cut into; at least 1.
    pub(crate) count: u32,
}

impl Segment {
    /// SEG.LEN in sequence numbers.
    pub(crate) fn seq_len(&self) -> u32 {
        self.tcp.segment_len(self.len as usize)
    }

    /// The number behind the segment's last.
    pub(crate) fn end(&self) -> SeqNum {
        self.tcp.seq + self.seq_len()
    }

    /// No payload and no flag beside ACK (and PSH, which means nothing without data).
    pub(crate) fn is_pure_ack(&self) -> bool {
        let flags = self.tcp.flags;
        self.len == 0 && flags.ack() && !flags.syn() && !flags.fin() && !flags.rst()
    }
}

/// Reads `packet`, of which only the start may have been kept. `wire_len` counts the bytes of
/// the whole packet and `gso_size` the payload of each segment of a super-packet, 0 for none.
pub(crate) fn read(packet: &[u8], wire_len: usize, gso_size: u16) -> Result<Packet, WireError> {
    let ip = IpHeader::parse_truncated(packet)?;
    match ip.protocol {
        protocol::TCP => {}
        protocol::ICMP | protocol::ICMPV6 => {
            return parse_quoted_tcp(&ip, packet).map(Packet::Icmp);
        }
        _ => return Err(WireError::OtherProtocol),
    }
    // A super-packet of 64 KiB and more has a length field of 0: the wire knows better.
    let length_field = if ip.is_ipv6() { packet.get(4..6) } else { packet.get(2..4) };
    let end = if length_field == Some(&[0, 0]) { wire_len } else { ip.payload.end };
    let kept_end = ip.payload.end.min(packet.len());
    let kept = packet.get(ip.payload.start..kept_end).ok_or(WireError::Truncated)?;
    let (tcp, header_len) = read_header(kept)?;
    let len = end.saturating_sub(ip.payload.start + header_len);
    let len = u32::try_from(len).map_err(|_| WireError::BadLength)?;
    let count = if gso_size == 0 { 1 } else { len.div_ceil(u32::from(gso_size)).max(1) };
    Ok(Packet::Tcp(Segment {
        src: SocketAddr::new(ip.src, tcp.src_port),
        dst: SocketAddr::new(ip.dst, tcp.dst_port),
        tcp,
        ttl: ip.ttl,
        id: if ip.is_ipv6() {
            None
        } else {
            packet.get(4..6).map(|id| u16::from_be_bytes([id[0], id[1]]))
        },
        len,
        count,
    }))
}

/// The header and its length; without options where the capture cut them off.
fn read_header(segment: &[u8]) -> Result<(TcpHeader, usize), WireError> {
    let fixed: &[u8; TCP_HEADER_LEN] = segment.first_chunk().ok_or(WireError::Truncated)?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len > segment.len() {
        let mut bare = *fixed;
        bare[12] = 0x50 | (fixed[12] & 0x0f);
        let (tcp, _) = TcpHeader::parse(&bare)?;
        return Ok((tcp, header_len));
    }
    let (tcp, payload) = TcpHeader::parse(segment)?;
    Ok((tcp, payload.start))
}
