//! The Internet checksum (RFC 1071), with TCP's pseudo-header (RFC 9293 §3.1), of whole packets.

use crate::ip::{IpHeader, protocol};
pub use crate::sum::{Chunks, Sum};
use crate::{tcp, udp};

/// Computes the TCP or UDP checksum of an IP packet again and writes it into the packet, whatever
/// stood there. Other protocols, fragments and malformed packets are left as they are. An IPv4
/// UDP packet that has none (0) keeps none. O(bytes).
///
/// Returns whether a checksum was written.
pub fn complete_checksum(packet: &mut [u8]) -> bool {
    let Ok(header) = IpHeader::parse(packet) else { return false };
    let Some(transport) = packet.get_mut(header.payload.clone()) else { return false };
    let offset = match header.protocol {
        protocol::TCP => tcp::CHECKSUM_OFFSET,
        protocol::UDP => udp::CHECKSUM_OFFSET,
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
        .finish_for(header.protocol == protocol::UDP);
    transport[offset..offset + 2].copy_from_slice(&sum);
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
            let Some(field) = transport.get(udp::CHECKSUM_OFFSET..udp::CHECKSUM_OFFSET + 2) else {
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
