//! UDP and ICMP packets of the program's side, read and written.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use fourwave_wire::checksum::{Chunks, Sum};
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::{GsoKind, Link, RxChecksum, RxPacket, TxChecksum, TxMeta, TxPacket, WireError};

/// Bytes of a UDP header.
pub(crate) const UDP_HEADER_LEN: usize = 8;
/// Bytes of an ICMP echo message before its data.
const ECHO_HEADER_LEN: usize = 8;
const TTL: u8 = 64;

/// A UDP datagram, or several of one size under one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) ecn: u8,
    /// Bytes of each datagram but the last; 0: one datagram.
    pub(crate) segment: usize,
    pub(crate) payload: Bytes,
}

impl Datagram {
    /// Reads the datagram of `packet`, whose header is `ip`.
    ///
    /// # Errors
    /// The malformation.
    pub(crate) fn parse(ip: &IpHeader, packet: &RxPacket) -> Result<Self, WireError> {
        let whole = packet.bytes.get(ip.payload.clone()).ok_or(WireError::Truncated)?;
        let h: &[u8; UDP_HEADER_LEN] = whole.first_chunk().ok_or(WireError::Truncated)?;
        let said = usize::from(u16::from_be_bytes([h[4], h[5]]));
        // A super-packet's length field is not relied on; a jumbogram's is 0 (RFC 2675).
        let len = if packet.gso_size > 0 || said == 0 { whole.len() } else { said };
        if len < UDP_HEADER_LEN || len > whole.len() {
            return Err(WireError::BadLength);
        }
        // RFC 768: a checksum of 0 is none. RFC 8200 §8.1 forbids that for IPv6.
        let checked =
            packet.checksum == RxChecksum::Unverified && (ip.is_ipv6() || [h[6], h[7]] != [0, 0]);
        if checked {
            let sum = Sum::default().with_pseudo_header(ip.src, ip.dst, protocol::UDP, len);
            if sum.with(&whole[..len]).finish() != [0, 0] {
                return Err(WireError::BadChecksum);
            }
        }
        let start = ip.payload.start;
        Ok(Self {
            src: SocketAddr::new(ip.src, u16::from_be_bytes([h[0], h[1]])),
            dst: SocketAddr::new(ip.dst, u16::from_be_bytes([h[2], h[3]])),
            ecn: ip.ecn,
            segment: usize::from(packet.gso_size),
            payload: packet.bytes.slice(start + UDP_HEADER_LEN..start + len),
        })
    }

    /// Writes the packets that carry it over `link`: one, or fragments of one where it exceeds
    /// the MTU, or a super-packet. The payload is shared, but copied for fragments.
    ///
    /// Datagrams of one size that the link cannot take under one header must be split by the
    /// caller: see [`fits_super_packet`].
    pub(crate) fn emit(&self, link: &Link, id: u32, mut send: impl FnMut(&TxPacket)) {
        let ip = IpEmit {
            src: self.src.ip(),
            dst: self.dst.ip(),
            protocol: protocol::UDP,
            ttl: TTL,
            ecn: self.ecn,
        };
        let len = UDP_HEADER_LEN + self.payload.len();
        let whole = self.segment > 0 || ip.len() + len <= usize::from(link.mtu);
        let offload = whole && link.checksum_offload;
        let pseudo = Sum::default().with_pseudo_header(ip.src, ip.dst, protocol::UDP, len);
        let mut udp = [0; UDP_HEADER_LEN];
        udp[..2].copy_from_slice(&self.src.port().to_be_bytes());
        udp[2..4].copy_from_slice(&self.dst.port().to_be_bytes());
        udp[4..6].copy_from_slice(&(u16::try_from(len).unwrap_or(0)).to_be_bytes());
        let check = if offload {
            pseudo.folded()
        } else {
            Chunks::new(pseudo).with(&udp).with(&self.payload).sum().finish_for(true)
        };
        udp[6..8].copy_from_slice(&check);
        if whole {
            send(&self.whole_packet(&ip, &udp, offload));
        } else {
            let datagram = [&udp[..], &self.payload].concat();
            fragments(&ip, link.mtu, id, &datagram, send);
        }
    }

    fn whole_packet(&self, ip: &IpEmit, udp: &[u8; UDP_HEADER_LEN], offload: bool) -> TxPacket {
        let mut packet = TxPacket::default();
        ip.emit(UDP_HEADER_LEN + self.payload.len(), &mut packet.header);
        packet.header.extend_from_slice(udp);
        packet.payload.push(self.payload.clone());
        let start = ip.len() as u16;
        packet.meta = TxMeta {
            len: packet.header.len() + self.payload.len(),
            gso_size: self.segment as u16,
            gso_kind: if self.segment > 0 { GsoKind::Udp } else { GsoKind::None },
            header_len: start + UDP_HEADER_LEN as u16,
            checksum: if offload {
                TxChecksum::Partial { start, offset: 6 }
            } else {
                TxChecksum::Complete
            },
        };
        packet
    }

    /// A packet that stands for this datagram in an ICMP error: its headers, without payload.
    pub(crate) fn quotation(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let mut quoted = Vec::new();
        IpEmit { src: src.ip(), dst: dst.ip(), protocol: protocol::UDP, ttl: TTL, ecn: 0 }
            .emit(UDP_HEADER_LEN, &mut quoted);
        quoted.extend_from_slice(&src.port().to_be_bytes());
        quoted.extend_from_slice(&dst.port().to_be_bytes());
        quoted.extend_from_slice(&[0, UDP_HEADER_LEN as u8, 0, 0]);
        quoted
    }
}

/// Whether `link` takes `payload` bytes of datagrams with `segment` bytes each in one packet.
pub(crate) fn fits_super_packet(link: &Link, payload: usize, segment: usize, v6: bool) -> bool {
    let headers = if v6 { 40 } else { 20 } + UDP_HEADER_LEN;
    link.checksum_offload
        && headers + payload <= (link.gso_max as usize).min(65_535)
        && headers + segment <= usize::from(link.mtu)
}

/// Cuts an IP payload into fragments (RFC 791 §2.3, RFC 8200 §4.5).
fn fragments(ip: &IpEmit, mtu: u16, id: u32, datagram: &[u8], mut send: impl FnMut(&TxPacket)) {
    const IPV6_FRAGMENT: u8 = 44;
    const MORE: u16 = 0x2000;
    let v6 = ip.src.is_ipv6();
    let headers = ip.len() + if v6 { 8 } else { 0 };
    // Every fragment but the last holds a multiple of 8 bytes.
    let room = usize::from(mtu).saturating_sub(headers).max(8) & !7;
    for (i, piece) in datagram.chunks(room).enumerate() {
        let offset = i * room;
        let more = offset + piece.len() < datagram.len();
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
            header[4..6].copy_from_slice(&(id as u16).to_be_bytes());
            header[6..8].copy_from_slice(&word.to_be_bytes());
            header[10..12].fill(0);
            let sum = Sum::default().with(header).finish();
            header[10..12].copy_from_slice(&sum);
        }
        header.extend_from_slice(piece);
        packet.meta.len = packet.header.len();
        send(&packet);
    }
}

/// An echo request or reply of either ICMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) reply: bool,
    pub(crate) id: u16,
    pub(crate) seq: u16,
    pub(crate) data: Bytes,
}

impl Echo {
    /// Reads the ICMP message of `packet`; `None` when it is no echo or malformed.
    pub(crate) fn parse(ip: &IpHeader, packet: &RxPacket) -> Option<Self> {
        let message = packet.bytes.get(ip.payload.clone())?;
        let mut sum = Sum::default();
        if ip.is_ipv6() {
            sum = sum.with_pseudo_header(ip.src, ip.dst, protocol::ICMPV6, message.len());
        }
        if packet.checksum == RxChecksum::Unverified && sum.with(message).finish() != [0, 0] {
            return None;
        }
        let (reply, id, seq) = Self::read_header(ip.is_ipv6(), message)?;
        let data = packet.bytes.slice(ip.payload.start + ECHO_HEADER_LEN..ip.payload.end);
        Some(Self { src: ip.src, dst: ip.dst, reply, id, seq, data })
    }

    /// Whether a bare ICMP message is a reply, its id and its sequence number.
    pub(crate) fn read_header(v6: bool, message: &[u8]) -> Option<(bool, u16, u16)> {
        let h: &[u8; ECHO_HEADER_LEN] = message.first_chunk()?;
        let reply = match (v6, h[0], h[1]) {
            (false, 8, 0) | (true, 128, 0) => false,
            (false, 0, 0) | (true, 129, 0) => true,
            _ => return None,
        };
        Some((reply, u16::from_be_bytes([h[4], h[5]]), u16::from_be_bytes([h[6], h[7]])))
    }

    /// The bare ICMP message, its checksum included.
    pub(crate) fn message(&self) -> Vec<u8> {
        let v6 = self.src.is_ipv6();
        let kind = match (v6, self.reply) {
            (false, false) => 8,
            (false, true) => 0,
            (true, false) => 128,
            (true, true) => 129,
        };
        let mut message = vec![kind, 0, 0, 0];
        message.extend_from_slice(&self.id.to_be_bytes());
        message.extend_from_slice(&self.seq.to_be_bytes());
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

    fn ip(&self) -> IpEmit {
        let protocol = if self.src.is_ipv6() { protocol::ICMPV6 } else { protocol::ICMP };
        IpEmit { src: self.src, dst: self.dst, protocol, ttl: TTL, ecn: 0 }
    }

    /// The whole packet, to be quoted in an ICMP error.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let message = self.message();
        let mut packet = Vec::new();
        self.ip().emit(message.len(), &mut packet);
        packet.extend_from_slice(&message);
        packet
    }

    /// Writes the packets that carry it over a link: one, or fragments.
    pub(crate) fn emit(&self, link: &Link, id: u32, mut send: impl FnMut(&TxPacket)) {
        let ip = self.ip();
        let message = self.message();
        if ip.len() + message.len() > usize::from(link.mtu) {
            return fragments(&ip, link.mtu, id, &message, send);
        }
        let mut packet = TxPacket::default();
        ip.emit(message.len(), &mut packet.header);
        packet.header.extend_from_slice(&message);
        packet.meta.len = packet.header.len();
        send(&packet);
    }
}

/// An ICMP error about `offending`, from `src` to its sender.
pub(crate) fn icmp_error(src: IpAddr, error: IcmpError, offending: &[u8]) -> TxPacket {
    let mut packet = TxPacket::default();
    emit_error(src, error, offending, &mut packet.header);
    packet.meta.len = packet.header.len();
    packet
}

#[cfg(test)]
mod tests;
