//! Packets as bytes: reading what the stack sent, building what the script sends.

use std::net::{IpAddr, SocketAddr};

use fourwave_wire::WireError;
use fourwave_wire::checksum::Sum;
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::raw::RawHeader;
use fourwave_wire::tcp::{CHECKSUM_OFFSET, verify_checksum};
use fourwave_wire::udp::{self, UdpHeader};

/// Bits of a TCP header's flags, AE included.
pub(crate) mod flag {
    pub(crate) const FIN: u16 = 0x001;
    pub(crate) const SYN: u16 = 0x002;
    pub(crate) const RST: u16 = 0x004;
    pub(crate) const PSH: u16 = 0x008;
    pub(crate) const ACK: u16 = 0x010;
    /// ECE, CWR and AE together are AccECN's ACE field.
    pub(crate) const ACE_SHIFT: u32 = 6;
    pub(crate) const ACE: u16 = 7 << ACE_SHIFT;
}

/// A TCP segment with live numbers; its options are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Segment {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    /// Bytes of payload.
    pub(crate) len: u32,
}

impl Segment {
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Header (checksum 0) and payload of zeros.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { src_port, dst_port, seq, ack, flags, window, urgent, ref options, len } = *self;
        let options = options.clone();
        let header = RawHeader { src_port, dst_port, seq, ack, flags, window, urgent, options };
        let mut out = Vec::new();
        header.emit(&mut out);
        out.resize(out.len() + len as usize, 0);
        out
    }
}

/// What an IP header says beside addresses and lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// DSCP and ECN: the whole byte.
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    /// 0 for IPv4.
    pub(crate) flow_label: u32,
}

/// A packet of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) ip: Envelope,
    pub(crate) body: SeenBody,
}

/// What it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SeenBody {
    /// With the UDP ports (source, destination) around it, where there are any.
    Tcp(Segment, Option<(u16, u16)>),
    Udp {
        src_port: u16,
        dst_port: u16,
        len: usize,
    },
    Icmp {
        kind: u8,
        code: u8,
        word: u32,
        quoted: Option<(SocketAddr, SocketAddr)>,
    },
    Other(u8),
}

impl Seen {
    /// Reads a packet; `in_udp`: what UDP carries is TCP if it can be read as such.
    ///
    /// # Errors
    /// What is malformed, in words.
    pub(crate) fn parse(packet: &[u8], in_udp: bool) -> Result<Self, String> {
        let header = IpHeader::parse(packet).map_err(|error| error.to_string())?;
        let (tos, flow_label) = if header.is_ipv6() {
            let word = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
            ((word >> 20) as u8, word & 0xf_ffff)
        } else {
            (packet[1], 0)
        };
        let (src, dst, ttl) = (header.src, header.dst, header.ttl);
        let ip = Envelope { src, dst, tos, ttl, flow_label };
        let bytes = &packet[header.payload.clone()];
        let body = match header.protocol {
            protocol::TCP if !verify_checksum(src, dst, bytes) => {
                return Err("its TCP checksum is wrong".to_owned());
            }
            protocol::TCP => SeenBody::Tcp(segment(bytes)?, None),
            protocol::UDP => udp(bytes, in_udp)?,
            protocol::ICMP | protocol::ICMPV6 => icmp(bytes)?,
            other => SeenBody::Other(other),
        };
        Ok(Self { ip, body })
    }
}

fn truncated() -> String {
    WireError::Truncated.to_string()
}

fn segment(bytes: &[u8]) -> Result<Segment, String> {
    let (header, payload) = RawHeader::parse(bytes).map_err(|error| match error {
        WireError::BadLength => "its TCP header has an impossible length".to_owned(),
        error => error.to_string(),
    })?;
    let payload = &bytes[payload];
    if payload.iter().any(|byte| *byte != 0) {
        return Err("its payload is not all zeros".to_owned());
    }
    let RawHeader { src_port, dst_port, seq, ack, flags, window, urgent, options } = header;
    let len = payload.len() as u32;
    Ok(Segment { src_port, dst_port, seq, ack, flags, window, urgent, options, len })
}

fn udp(bytes: &[u8], in_udp: bool) -> Result<SeenBody, String> {
    let UdpHeader { src_port, dst_port, .. } =
        UdpHeader::parse(bytes).map_err(|error| error.to_string())?;
    if in_udp && let Ok(segment) = segment(&bytes[8..]) {
        return Ok(SeenBody::Tcp(segment, Some((src_port, dst_port))));
    }
    Ok(SeenBody::Udp { src_port, dst_port, len: bytes.len() - 8 })
}

fn icmp(bytes: &[u8]) -> Result<SeenBody, String> {
    let h: &[u8; 8] = bytes.first_chunk().ok_or_else(truncated)?;
    let quoted = IpHeader::parse_truncated(&bytes[8..]).ok().and_then(|inner| {
        let ports: &[u8; 4] = bytes[8..].get(inner.payload.start..)?.first_chunk()?;
        let src = SocketAddr::new(inner.src, u16::from_be_bytes([ports[0], ports[1]]));
        let dst = SocketAddr::new(inner.dst, u16::from_be_bytes([ports[2], ports[3]]));
        Some((src, dst))
    });
    let word = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    Ok(SeenBody::Icmp { kind: h[0], code: h[1], word, quoted })
}

/// A whole IP packet around `transport`.
pub(crate) fn in_ip(ip: Envelope, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let emit = IpEmit { src: ip.src, dst: ip.dst, protocol, ttl: ip.ttl, ecn: ip.tos & 3 };
    let mut out = Vec::with_capacity(emit.len() + transport.len());
    emit.emit(transport.len(), &mut out);
    if ip.src.is_ipv6() {
        let word = 6 << 28 | u32::from(ip.tos) << 20 | ip.flow_label & 0xf_ffff;
        out[0..4].copy_from_slice(&word.to_be_bytes());
    } else {
        out[1] = ip.tos;
        out[10..12].fill(0);
        let sum = Sum::default().with(&out[..20]).finish();
        out[10..12].copy_from_slice(&sum);
    }
    out.extend_from_slice(transport);
    out
}

/// Fills in the checksum that lies at `at` in a transport's bytes.
pub(crate) fn fill_checksum(ip: Envelope, protocol: u8, transport: &mut [u8], at: usize) {
    let sum = Sum::default()
        .with_pseudo_header(ip.src, ip.dst, protocol, transport.len())
        .with(transport)
        .finish();
    transport[at..at + 2].copy_from_slice(&sum);
}

/// A TCP packet, in UDP between `udp` (source, destination) if that is given.
pub(crate) fn tcp_packet(ip: Envelope, tcp: &Segment, udp: Option<(u16, u16)>) -> Vec<u8> {
    let mut bytes = tcp.bytes();
    fill_checksum(ip, protocol::TCP, &mut bytes, CHECKSUM_OFFSET);
    match udp {
        None => in_ip(ip, protocol::TCP, &bytes),
        Some((src, dst)) => udp_packet(ip, src, dst, &bytes),
    }
}

/// A UDP packet.
pub(crate) fn udp_packet(ip: Envelope, src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (udp::HEADER_LEN + payload.len()) as u16;
    let header = UdpHeader { src_port, dst_port, len, checksum: [0, 0] };
    let mut bytes = [&header.encode(), payload].concat();
    fill_checksum(ip, protocol::UDP, &mut bytes, udp::CHECKSUM_OFFSET);
    let sum = &mut bytes[udp::CHECKSUM_OFFSET..udp::HEADER_LEN];
    if *sum == [0, 0] {
        // RFC 768: a sum of 0 is sent as all ones.
        sum.fill(0xff);
    }
    in_ip(ip, protocol::UDP, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_again() {
        let addresses: [(IpAddr, IpAddr); 2] = [
            ([192, 0, 2, 1].into(), [192, 168, 0, 1].into()),
            ("fd3d::1".parse().unwrap(), "fd3d::2".parse().unwrap()),
        ];
        for (src, dst) in addresses {
            let flow_label = if src.is_ipv6() { 0xabcde } else { 0 };
            let ip = Envelope { src, dst, tos: 0xb9, ttl: 7, flow_label };
            let tcp = Segment {
                src_port: 1,
                dst_port: 2,
                seq: u32::MAX,
                ack: 5,
                flags: flag::ACK | 0x100,
                window: 9,
                urgent: 3,
                options: vec![1, 1, 1, 1],
                len: 7,
            };
            let seen = Seen::parse(&tcp_packet(ip, &tcp, None), false).unwrap();
            assert_eq!(seen, Seen { ip, body: SeenBody::Tcp(tcp.clone(), None) });
            let in_udp = tcp_packet(ip, &tcp, Some((9899, 9900)));
            let seen = Seen::parse(&in_udp, true).unwrap();
            assert_eq!(seen.body, SeenBody::Tcp(tcp, Some((9899, 9900))));
            let udp = udp_packet(ip, 3, 4, &[0; 10]);
            let seen = Seen::parse(&udp, false).unwrap();
            assert_eq!(seen.body, SeenBody::Udp { src_port: 3, dst_port: 4, len: 10 });
        }
    }

    #[test]
    fn a_wrong_checksum_and_a_payload_that_is_not_zeros_are_named() {
        let ip = Envelope {
            src: [1, 1, 1, 1].into(),
            dst: [2, 2, 2, 2].into(),
            tos: 0,
            ttl: 1,
            flow_label: 0,
        };
        let mut packet = tcp_packet(ip, &Segment { len: 4, ..Segment::default() }, None);
        let last = packet.len() - 1;
        packet[last] = 1;
        assert!(Seen::parse(&packet, false).unwrap_err().contains("checksum"));
        packet[36..38].fill(0);
        let mut transport = packet.split_off(20);
        fill_checksum(ip, protocol::TCP, &mut transport, 16);
        packet.extend(transport);
        assert!(Seen::parse(&packet, false).unwrap_err().contains("zeros"));
    }
}
