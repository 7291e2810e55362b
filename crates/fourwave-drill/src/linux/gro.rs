//! What a network card says of a packet that it joined from several: the virtio-net header.

use fourwave_linux::vnet::{self, VnetHeader};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::tcp::TcpHeader;

const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;

/// The header in front of an injected packet: nothing to say, unless it is TCP with more than
/// `mss` bytes of payload.
pub(super) fn header(packet: &[u8], mss: Option<u16>) -> [u8; vnet::LEN] {
    let joined = mss.and_then(|mss| joined(packet, mss));
    joined.unwrap_or_default().encode()
}

fn joined(packet: &[u8], mss: u16) -> Option<VnetHeader> {
    let ip = IpHeader::parse(packet).ok()?;
    if ip.protocol != protocol::TCP {
        return None;
    }
    let (_, payload) = TcpHeader::parse(&packet[ip.payload.clone()]).ok()?;
    if payload.len() <= usize::from(mss) {
        return None;
    }
    // No length of the headers: the kernel would then keep the rest in pages of its own, which
    // counts for more of the receive buffer than a card's packet does.
    let gso_type = if ip.is_ipv6() { GSO_TCPV6 } else { GSO_TCPV4 };
    Some(VnetHeader { gso_type, gso_size: mss, ..VnetHeader::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_wire::ip::IpEmit;

    fn packet(payload: usize) -> Vec<u8> {
        let mut segment = Vec::new();
        TcpHeader::default().emit(&mut segment);
        segment.resize(segment.len() + payload, 0);
        let (src, dst) = ([192, 0, 2, 1].into(), [192, 168, 0, 1].into());
        let mut packet = Vec::new();
        let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
        ip.emit(segment.len(), &mut packet);
        packet.extend(segment);
        packet
    }

    #[test]
    fn only_large_tcp_packets_count_as_several() {
        let nothing = [0; vnet::LEN];
        assert_eq!(header(&packet(5000), None), nothing);
        assert_eq!(header(&packet(1000), Some(1000)), nothing);
        assert_eq!(header(&[0xff; 5000], Some(1000)), nothing);
        let several = VnetHeader::decode(&header(&packet(1001), Some(1000)));
        let expected = VnetHeader { gso_type: 1, gso_size: 1000, ..VnetHeader::default() };
        assert_eq!(several, expected);
    }
}
