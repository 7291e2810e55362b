use super::*;
use crate::RawWindow;
use crate::ip::IpEmit;
use crate::options::{TcpOptions, Timestamps};
use crate::tcp::verify_checksum;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        (Ipv6Addr::new(0xfd04, 0, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
    } else {
        (Ipv4Addr::new(10, 4, 0, 1).into(), Ipv4Addr::new(10, 4, 0, 100).into())
    }
}

fn ip_packet(v6: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let (src, dst) = addresses(v6);
    let mut packet = Vec::new();
    IpEmit { src, dst, protocol, ttl: 64, ecn: 2 }.emit(transport.len(), &mut packet);
    packet.extend_from_slice(transport);
    packet
}

fn tcp_super(v6: bool, seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let header = TcpHeader {
        src_port: 80,
        dst_port: 40_000,
        seq: SeqNum::new(seq),
        ack: SeqNum::new(77),
        flags,
        window: RawWindow(501),
        urgent: 0,
        options: TcpOptions {
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            ..Default::default()
        },
    };
    let mut transport = Vec::new();
    header.emit(&mut transport);
    transport.extend_from_slice(payload);
    ip_packet(v6, protocol::TCP, &transport)
}

/// An IPv4 header sums to 0.
fn ip_checksum_is_right(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6 || Sum::default().with(&packet[..20]).finish() == [0, 0]
}

proptest! {
    #[test]
    fn tcp_segments_joined_are_the_original(
        v6: bool,
        seq: u32,
        flags in any::<u8>().prop_map(|bits| Flags::from_bits(bits & !0x06)),
        payload in proptest::collection::vec(any::<u8>(), 0..20_000),
        gso_size in 1..3000u16,
    ) {
        let packet = tcp_super(v6, seq, flags, &payload);
        let cut: Vec<_> = segments(&packet, gso_size).unwrap().collect();
        let expected = payload.len().div_ceil(usize::from(gso_size)).max(1);
        prop_assert_eq!(cut.len(), expected);
        let (src, dst) = addresses(v6);
        let mut joined = Vec::new();
        for (i, segment) in cut.iter().enumerate() {
            let ip = IpHeader::parse(segment).unwrap();
            prop_assert_eq!((ip.src, ip.dst, ip.ecn, ip.ttl), (src, dst, 2, 64));
            prop_assert_eq!(ip.payload.end, segment.len());
            prop_assert!(ip_checksum_is_right(segment));
            let transport = &segment[ip.payload];
            prop_assert!(verify_checksum(src, dst, transport));
            let (tcp, data) = TcpHeader::parse(transport).unwrap();
            prop_assert_eq!(tcp.seq, SeqNum::new(seq) + joined.len() as u32);
            prop_assert_eq!(tcp.options.timestamps, Some(Timestamps { value: 1, echo: 2 }));
            let last = i + 1 == expected;
            prop_assert_eq!(tcp.flags.fin(), last && flags.fin());
            prop_assert_eq!(tcp.flags.psh(), last && flags.psh());
            let cwr = tcp.flags.contains(Flags::CWR);
            prop_assert_eq!(cwr, i == 0 && flags.contains(Flags::CWR));
            prop_assert_eq!(tcp.flags.ack(), flags.ack());
            prop_assert!(last || data.len() == usize::from(gso_size));
            joined.extend_from_slice(&transport[data]);
        }
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn udp_datagrams_joined_are_the_original(
        v6: bool,
        payload in proptest::collection::vec(any::<u8>(), 0..5000),
        gso_size in 1..1500u16,
    ) {
        // A checksum field other than 0 asks for a checksum.
        let mut transport = vec![0, 53, 0, 99, 0, 0, 1, 1];
        transport.extend_from_slice(&payload);
        let packet = ip_packet(v6, protocol::UDP, &transport);
        let mut joined = Vec::new();
        for datagram in segments(&packet, gso_size).unwrap() {
            let ip = IpHeader::parse(&datagram).unwrap();
            let udp = &datagram[ip.payload];
            prop_assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
            prop_assert!(checksum_is_right(&datagram) && ip_checksum_is_right(&datagram));
            joined.extend_from_slice(&udp[8..]);
        }
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gso_size: u16) {
        if let Ok(cut) = segments(&bytes, gso_size) {
            prop_assert!(cut.count() <= 200);
        }
    }
}

#[test]
fn identifications_count_on() {
    let mut packet = tcp_super(false, 1, Flags::ACK, &[7; 2500]);
    packet[4..6].copy_from_slice(&0xffffu16.to_be_bytes());
    let ids: Vec<_> =
        segments(&packet, 1000).unwrap().map(|s| u16::from_be_bytes([s[4], s[5]])).collect();
    assert_eq!(ids, [0xffff, 0, 1]);
}

#[test]
fn a_size_of_zero_cuts_nothing() {
    let packet = tcp_super(true, 1, Flags::FIN, &[7; 2500]);
    let cut: Vec<_> = segments(&packet, 0).unwrap().collect();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].len(), packet.len());
    assert!(checksum_is_right(&cut[0]));
}

#[test]
fn what_is_neither_tcp_nor_udp_is_not_cut() {
    let packet = ip_packet(false, protocol::ICMP, &[0; 100]);
    assert_eq!(segments(&packet, 10).err(), Some(WireError::OtherProtocol));
    let packet = ip_packet(false, protocol::UDP, &[0; 7]);
    assert_eq!(segments(&packet, 10).err(), Some(WireError::Truncated));
}

#[test]
fn a_wrong_checksum_is_not_made_right_by_cutting() {
    let mut bytes = tcp_super(false, 1, Flags::ACK, &[7; 2500]);
    complete_checksum(&mut bytes);
    let packet = |bytes: &[u8], checksum| RxPacket {
        bytes: Bytes::copy_from_slice(bytes),
        gso_size: 1000,
        checksum,
    };
    let good = packet(&bytes, RxChecksum::Unverified);
    assert_eq!(segments_of_received(good).unwrap().len(), 3);
    bytes[1000] ^= 1;
    let bad = packet(&bytes, RxChecksum::Unverified);
    assert_eq!(segments_of_received(bad).unwrap_err(), WireError::BadChecksum);
    let trusted = segments_of_received(packet(&bytes, RxChecksum::Trusted)).unwrap();
    assert_eq!(trusted.len(), 3);
    assert!(trusted.iter().all(|s| s.checksum == RxChecksum::Unverified && s.gso_size == 0));
    assert!(trusted.iter().all(|s| checksum_is_right(&s.bytes)));
}
