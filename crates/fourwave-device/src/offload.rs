//! Offloads done in software, for devices that have none.

use std::io;

use bytes::Bytes;
use fourwave_wire::checksum::{Chunks, Sum};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::{GsoKind, TxChecksum, TxPacket, tcp};

/// Where a UDP header keeps its checksum.
const UDP_CHECKSUM_OFFSET: usize = 6;

/// Computes the TCP or UDP checksum of an IP packet anew and writes it into the packet, whatever
/// stood there. Other protocols, fragments and malformed packets are left as they are. An IPv4
/// UDP packet that has none (0) keeps none. O(bytes).
///
/// Returns whether a checksum was written.
pub fn complete_checksum(packet: &mut [u8]) -> bool {
    let Ok(header) = IpHeader::parse(packet) else { return false };
    let Some(transport) = packet.get_mut(header.payload.clone()) else { return false };
    let offset = match header.protocol {
        protocol::TCP => tcp::CHECKSUM_OFFSET,
        protocol::UDP => UDP_CHECKSUM_OFFSET,
        _ => return false,
    };
    let Some(field) = transport.get(offset..offset + 2) else { return false };
    if header.protocol == protocol::UDP && field == [0, 0] && !header.is_ipv6() {
        return false;
    }
    transport[offset..offset + 2].fill(0);
    let sum = Sum::default()
        .with_pseudo_header(header.src, header.dst, header.protocol, transport.len())
        .with(transport)
        .finish();
    write_checksum(transport, offset, header.protocol == protocol::UDP, sum);
    true
}

/// Whether the TCP or UDP checksum of an IP packet is right. A packet of another protocol, and
/// IPv4 UDP without a checksum, are right; a malformed one is not. O(bytes).
pub fn checksum_is_right(packet: &[u8]) -> bool {
    let Ok(header) = IpHeader::parse(packet) else { return false };
    let Some(transport) = packet.get(header.payload.clone()) else { return false };
    match header.protocol {
        protocol::TCP => tcp::verify_checksum(header.src, header.dst, transport),
        protocol::UDP => {
            let Some(field) = transport.get(UDP_CHECKSUM_OFFSET..UDP_CHECKSUM_OFFSET + 2) else {
                return false;
            };
            let sum = Sum::default()
                .with_pseudo_header(header.src, header.dst, protocol::UDP, transport.len())
                .with(transport);
            sum.finish() == [0, 0] || (field == [0, 0] && !header.is_ipv6())
        }
        _ => true,
    }
}

fn write_checksum(transport: &mut [u8], offset: usize, udp: bool, sum: [u8; 2]) {
    // RFC 768: a computed 0 is sent as all ones; 0 means "none".
    let sum = if udp && sum == [0, 0] { [0xff, 0xff] } else { sum };
    transport[offset..offset + 2].copy_from_slice(&sum);
}

/// The packet with its checksum finished; `None` when it is finished as it stands. The payload
/// is summed but not copied.
///
/// # Errors
/// A super-packet (each segment has its own checksum: see `segment`), or a checksum field that
/// lies outside the header.
pub fn finish(packet: &TxPacket) -> io::Result<Option<TxPacket>> {
    let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if packet.meta.gso_kind != GsoKind::None {
        return invalid("a super-packet was sent to a device that cannot cut it");
    }
    let TxChecksum::Partial { start, offset } = packet.meta.checksum else { return Ok(None) };
    let mut finished = packet.clone();
    let (start, offset) = (usize::from(start), usize::from(offset));
    let Some(transport) = finished.header.get_mut(start..).filter(|t| t.len() >= offset + 2) else {
        return invalid("the checksum field lies outside the packet's header");
    };
    // The field holds the pseudo-header's sum, which so enters the total.
    let chunks = Chunks::default().with(transport);
    let sum = packet.payload.iter().fold(chunks, |sum, chunk: &Bytes| sum.with(chunk)).sum();
    write_checksum(transport, offset, offset == UDP_CHECKSUM_OFFSET, sum.finish());
    finished.meta.checksum = TxChecksum::Complete;
    Ok(Some(finished))
}
