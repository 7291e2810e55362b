use alloc::vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::icmp::{IcmpError, error_packet};

fn received(packet: &TxPacket, checksum: RxChecksum) -> RxPacket {
    RxPacket { bytes: packet.to_vec().into(), gso_size: packet.meta.gso_size, checksum }
}

fn sent(emit: impl FnOnce(&mut dyn FnMut(&TxPacket))) -> Vec<TxPacket> {
    let mut all = Vec::new();
    emit(&mut |packet| {
        assert_eq!(packet.meta.len, packet.header.len() + packet.payload_len());
        all.push(packet.clone());
    });
    all
}

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        let host = |n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into();
        (host(9), host(100))
    } else {
        (Ipv4Addr::new(192, 0, 2, 9).into(), Ipv4Addr::new(192, 0, 2, 100).into())
    }
}

fn datagram(v6: bool, payload: Vec<u8>) -> Datagram {
    let (src, dst) = addresses(v6);
    Datagram {
        src: SocketAddr::new(src, 443),
        dst: SocketAddr::new(dst, 40_000),
        ecn: 1,
        segment: 0,
        payload: payload.into(),
    }
}

/// Puts fragments together as a receiver does.
fn reassemble(v6: bool, packets: &[TxPacket]) -> Vec<u8> {
    let mut whole = Vec::new();
    for (i, packet) in packets.iter().enumerate() {
        let bytes = packet.to_vec();
        let (word, start) = if v6 {
            assert_eq!(bytes[6], 44);
            (u16::from_be_bytes([bytes[42], bytes[43]]), 48)
        } else {
            assert_eq!(Sum::default().with(&bytes[..20]).finish(), [0, 0]);
            let word = u16::from_be_bytes([bytes[6], bytes[7]]);
            (((word & 0x1fff) * 8) | u16::from(word & 0x2000 != 0), 20)
        };
        assert_eq!(usize::from(word & !7), whole.len());
        assert_eq!(word & 1 == 1, i + 1 < packets.len());
        whole.extend_from_slice(&bytes[start..]);
    }
    whole
}

proptest! {
    #[test]
    fn a_datagram_that_was_written_is_read_again(
        v6: bool, offload: bool, payload in proptest::collection::vec(any::<u8>(), 0..1400),
    ) {
        let link = if offload { Link::offloading(1500) } else { Link::plain(1500) };
        let before = datagram(v6, payload);
        let packets = sent(|f| before.emit(&link, 7, f));
        prop_assert_eq!(packets.len(), 1);
        let trust = if offload { RxChecksum::Trusted } else { RxChecksum::Unverified };
        let packet = received(&packets[0], trust);
        let ip = IpHeader::parse(&packet.bytes).unwrap();
        prop_assert_eq!(Datagram::parse(&ip, &packet), Ok(before));
    }

    #[test]
    fn a_flipped_bit_is_noticed(v6: bool, at in 0usize..100, bit in 0u8..8) {
        let packets = sent(|f| datagram(v6, vec![3; 100]).emit(&Link::plain(1500), 7, f));
        let mut bytes = packets[0].to_vec();
        let start = bytes.len() - 100;
        bytes[start + at] ^= 1 << bit;
        let packet = RxPacket { bytes: bytes.into(), ..RxPacket::default() };
        let ip = IpHeader::parse(&packet.bytes).unwrap();
        prop_assert_eq!(Datagram::parse(&ip, &packet), Err(WireError::BadChecksum));
    }

    #[test]
    fn a_datagram_beyond_the_mtu_goes_in_fragments(
        v6: bool, mtu in 1280u16..1600, len in 1600usize..9000,
    ) {
        let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let before = datagram(v6, payload.clone());
        let packets = sent(|f| before.emit(&Link::offloading(mtu), 7, f));
        prop_assert!(packets.iter().all(|p| p.meta.len <= usize::from(mtu)));
        let whole = reassemble(v6, &packets);
        prop_assert_eq!(&whole[HEADER_LEN..], &payload[..]);
        let (src, dst) = addresses(v6);
        let sum = Sum::default().with_pseudo_header(src, dst, protocol::UDP, whole.len());
        prop_assert_eq!(sum.with(&whole).finish(), [0, 0]);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool, gso_size: u16,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        let packet = RxPacket { bytes: bytes.into(), gso_size, checksum: RxChecksum::Trusted };
        if let Ok(ip) = IpHeader::parse(&packet.bytes) {
            let _ = Datagram::parse(&ip, &packet);
        }
    }
}

#[test]
fn several_datagrams_go_under_one_header() {
    let link = Link::offloading(1500);
    assert!(fits_super_packet(&link, 60_000, 1200, true));
    assert!(!fits_super_packet(&link, 60_000, 1500, false));
    assert!(!fits_super_packet(&link, 65_530, 1200, false));
    assert!(!fits_super_packet(&Link::plain(1500), 2400, 1200, false));
    let before = Datagram { segment: 1200, ..datagram(false, vec![5; 3000]) };
    let packets = sent(|f| before.emit(&link, 7, f));
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].meta.gso_kind, GsoKind::Udp);
    assert_eq!(packets[0].meta.header_len, 28);
    let packet = received(&packets[0], RxChecksum::Trusted);
    let ip = IpHeader::parse(&packet.bytes).unwrap();
    assert_eq!(Datagram::parse(&ip, &packet), Ok(before));
}

#[test]
fn rfc768_length_field_is_checked() {
    let packets = sent(|f| datagram(false, vec![1; 10]).emit(&Link::plain(1500), 7, f));
    let mut bytes = packets[0].to_vec();
    bytes[25] = 200;
    let packet = RxPacket { bytes: bytes.into(), ..RxPacket::default() };
    let ip = IpHeader::parse(&packet.bytes).unwrap();
    assert_eq!(Datagram::parse(&ip, &packet), Err(WireError::BadLength));
}

#[test]
fn an_error_may_quote_what_stands_for_the_datagram() {
    for v6 in [false, true] {
        let (remote, local) = addresses(v6);
        let (src, dst) = (SocketAddr::new(local, 40_000), SocketAddr::new(remote, 443));
        let quoted = quotation(src, dst);
        let packet = error_packet(remote, IcmpError::PortUnreachable, &quoted);
        let ip = IpHeader::parse(&packet.header).unwrap();
        assert_eq!((ip.src, ip.dst), (remote, local));
        assert_eq!(&packet.header[ip.payload.start + 8..], &quoted[..]);
        let inner = IpHeader::parse(&quoted).unwrap();
        assert_eq!((inner.src, inner.dst, inner.protocol), (local, remote, protocol::UDP));
    }
}
