//! UDP datagrams (RFC 768), read and written: with checksums left to offload, as super-packets,
//! in fragments.

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::ip::{DEFAULT_TTL, IpEmit, IpHeader, emit_fragments, protocol};
use crate::sum::{Chunks, Sum};
use crate::{GsoKind, Link, RxChecksum, RxPacket, TxChecksum, TxMeta, TxPacket, WireError};

/// Bytes of a UDP header.
pub const HEADER_LEN: usize = 8;
/// Where a UDP header keeps its checksum.
pub const CHECKSUM_OFFSET: usize = 6;

/// The fields of a UDP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Bytes of header and payload; 0 where 16 bits cannot say (RFC 2675).
    pub len: u16,
    /// The checksum as it stands there; 0 for none.
    pub checksum: [u8; 2],
}

impl UdpHeader {
    /// Reads the header at the front of `bytes`; its length is not compared with theirs.
    ///
    /// # Errors
    /// [`WireError::Truncated`] for fewer than 8 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let h: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(WireError::Truncated)?;
        Ok(Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            len: u16::from_be_bytes([h[4], h[5]]),
            checksum: [h[6], h[7]],
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let ([a, b], [c, d]) = (self.src_port.to_be_bytes(), self.dst_port.to_be_bytes());
        let ([e, f], [g, h]) = (self.len.to_be_bytes(), self.checksum);
        [a, b, c, d, e, f, g, h]
    }
}

/// A UDP datagram, or several of one size under one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// From where.
    pub src: SocketAddr,
    /// Where to; of the source's family.
    pub dst: SocketAddr,
    /// The two ECN bits (RFC 3168).
    pub ecn: u8,
    /// Payload bytes of each datagram but the last; 0: one datagram.
    pub segment: u16,
    /// The payload.
    pub payload: Bytes,
}

impl Datagram {
    /// Reads the datagram of `packet`, whose header is `ip`. The payload is a slice of the packet.
    ///
    /// # Errors
    /// The malformation.
    pub fn parse(ip: &IpHeader, packet: &RxPacket) -> Result<Self, WireError> {
        let whole = packet.bytes.get(ip.payload.clone()).ok_or(WireError::Truncated)?;
        let header = UdpHeader::parse(whole)?;
        let said = usize::from(header.len);
        // A super-packet's length field is not relied on; a jumbogram's is 0 (RFC 2675).
        let len = if packet.gso_size > 0 || said == 0 { whole.len() } else { said };
        if len < HEADER_LEN || len > whole.len() {
            return Err(WireError::BadLength);
        }
        // RFC 768: a checksum of 0 is none. RFC 8200 §8.1 forbids that for IPv6.
        let checked = packet.checksum == RxChecksum::Unverified
            && (ip.is_ipv6() || header.checksum != [0, 0]);
        if checked {
            let sum = Sum::default().with_pseudo_header(ip.src, ip.dst, protocol::UDP, len);
            if sum.with(&whole[..len]).finish() != [0, 0] {
                return Err(WireError::BadChecksum);
            }
        }
        let start = ip.payload.start;
        Ok(Self {
            src: SocketAddr::new(ip.src, header.src_port),
            dst: SocketAddr::new(ip.dst, header.dst_port),
            ecn: ip.ecn,
            segment: packet.gso_size,
            payload: packet.bytes.slice(start + HEADER_LEN..start + len),
        })
    }

    /// Writes the packets that carry it over `link`: one, or fragments of one where it exceeds
    /// the MTU, with the identification `id`, or a super-packet. The payload is shared, but copied
    /// for fragments.
    ///
    /// Datagrams of one size that the link cannot take under one header must be split by the
    /// caller: see [`fits_super_packet`].
    pub fn emit(&self, link: &Link, id: u32, mut send: impl FnMut(&TxPacket)) {
        let ip = envelope(self.src, self.dst, self.ecn);
        let len = HEADER_LEN + self.payload.len();
        let whole = self.segment > 0 || ip.len() + len <= usize::from(link.mtu);
        let offload = whole && link.checksum_offload;
        let pseudo = Sum::default().with_pseudo_header(ip.src, ip.dst, protocol::UDP, len);
        let mut header = UdpHeader {
            src_port: self.src.port(),
            dst_port: self.dst.port(),
            len: u16::try_from(len).unwrap_or(0),
            checksum: [0, 0],
        };
        header.checksum = if offload {
            pseudo.folded()
        } else {
            Chunks::new(pseudo).with(&header.encode()).with(&self.payload).sum().finish_for(true)
        };
        let header = header.encode();
        if whole {
            send(&self.whole_packet(&ip, &header, offload));
        } else {
            let datagram = [&header[..], &self.payload].concat();
            emit_fragments(&ip, link.mtu, id, &datagram, send);
        }
    }

    fn whole_packet(&self, ip: &IpEmit, udp: &[u8; HEADER_LEN], offload: bool) -> TxPacket {
        let mut packet = TxPacket::default();
        ip.emit(HEADER_LEN + self.payload.len(), &mut packet.header);
        packet.header.extend_from_slice(udp);
        packet.payload.push(self.payload.clone());
        let start = ip.len() as u16;
        packet.meta = TxMeta {
            len: packet.header.len() + self.payload.len(),
            gso_size: self.segment,
            gso_kind: if self.segment > 0 { GsoKind::Udp } else { GsoKind::None },
            header_len: start + HEADER_LEN as u16,
            checksum: if offload {
                TxChecksum::Partial { start, offset: CHECKSUM_OFFSET as u16 }
            } else {
                TxChecksum::Complete
            },
        };
        packet
    }
}

/// The headers of a datagram between these addresses, without payload and checksum: what stands
/// for it in an ICMP error about it.
pub fn quotation(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut quoted = Vec::new();
    envelope(src, dst, 0).emit(HEADER_LEN, &mut quoted);
    let (src_port, dst_port) = (src.port(), dst.port());
    let header = UdpHeader { src_port, dst_port, len: HEADER_LEN as u16, checksum: [0, 0] };
    quoted.extend_from_slice(&header.encode());
    quoted
}

fn envelope(src: SocketAddr, dst: SocketAddr, ecn: u8) -> IpEmit {
    IpEmit { src: src.ip(), dst: dst.ip(), protocol: protocol::UDP, ttl: DEFAULT_TTL, ecn }
}

/// Whether `link` takes `payload` bytes of datagrams with `segment` bytes each in one packet.
pub fn fits_super_packet(link: &Link, payload: usize, segment: usize, v6: bool) -> bool {
    let headers = if v6 { 40 } else { 20 } + HEADER_LEN;
    link.checksum_offload
        && headers + payload <= (link.gso_max as usize).min(65_535)
        && headers + segment <= usize::from(link.mtu)
}

#[cfg(test)]
mod tests;
