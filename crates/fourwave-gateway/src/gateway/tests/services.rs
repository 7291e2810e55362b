//! UDP, names, echo, the demo's page.

use std::net::{IpAddr, SocketAddr};

use fourwave::{IcmpError, RxPacket};
use fourwave_wire::icmp::{Echo, EchoHeader};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::udp::Datagram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::{Bench, GatewayOptions, ends, options, pattern};
use crate::addresses::{GATEWAY_V4, GATEWAY_V6, PROGRAM_V4, PROGRAM_V6};

/// The program's packets that are not TCP.
struct Raw<'a> {
    bench: &'a Bench,
    packets: fourwave::Reports<RxPacket>,
}

impl<'a> Raw<'a> {
    fn new(bench: &'a Bench) -> Self {
        let packets = bench.program.take_other_packets().unwrap();
        Self { bench, packets }
    }

    fn send(&self, dst: SocketAddr, payload: Vec<u8>) {
        let src = if dst.is_ipv4() { IpAddr::from(PROGRAM_V4) } else { PROGRAM_V6.into() };
        let src = SocketAddr::new(src, 40_000);
        let datagram = Datagram { src, dst, ecn: 0, segment: 0, payload: payload.into() };
        datagram.emit(&self.bench.program.link(), 1, |packet| {
            assert!(self.bench.program.send_packet(packet.clone()).unwrap());
        });
    }

    async fn packet(&mut self) -> (IpHeader, RxPacket) {
        let packet = self.packets.recv().await.unwrap();
        (IpHeader::parse(&packet.bytes).unwrap(), packet)
    }

    async fn datagram(&mut self) -> Datagram {
        let (ip, packet) = self.packet().await;
        Datagram::parse(&ip, &packet).unwrap()
    }
}

#[tokio::test]
async fn datagrams_go_out_and_come_back() {
    ends(async {
        let bench = Bench::new(options());
        let mut raw = Raw::new(&bench);
        let host = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let called = SocketAddr::from((GATEWAY_V4, host.local_addr().unwrap().port()));
        raw.send(called, pattern(1200));
        let mut buffer = [0; 2000];
        let (len, from) = host.recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[..len], pattern(1200));
        host.send_to(b"answer", from).await.unwrap();
        let answer = raw.datagram().await;
        assert_eq!((answer.src, answer.dst.port()), (called, 40_000));
        assert_eq!(&answer.payload[..], b"answer");
        // Another destination sees the program at the same port.
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        raw.send(SocketAddr::from((GATEWAY_V4, other.local_addr().unwrap().port())), vec![1]);
        let (_, from_the_same) = other.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from_the_same, from);
        // And nobody else reaches it there.
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        other.send_to(b"other", from).await.unwrap();
        host.send_to(b"friend", from).await.unwrap();
        assert_eq!(&raw.datagram().await.payload[..], b"friend");
    })
    .await;
}

#[tokio::test]
async fn a_closed_port_is_told_by_icmp() {
    ends(async {
        let bench = Bench::new(options());
        let mut raw = Raw::new(&bench);
        let host = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let called = SocketAddr::from((GATEWAY_V4, host.local_addr().unwrap().port()));
        drop(host);
        raw.send(called, vec![1]);
        let (ip, packet) = raw.packet().await;
        assert_eq!((ip.protocol, ip.src), (protocol::ICMP, called.ip()));
        let message = &packet.bytes[ip.payload];
        assert_eq!(message[..2], [3, 3]);
        let quoted = IpHeader::parse_truncated(&message[8..]).unwrap();
        assert_eq!((quoted.src, quoted.dst), (PROGRAM_V4.into(), called.ip()));
        assert_eq!(message[8 + quoted.payload.start + 2..][..2], called.port().to_be_bytes());
    })
    .await;
}

#[tokio::test]
async fn names_are_resolved_by_the_hosts_resolver() {
    ends(async {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolvers = vec![resolver.local_addr().unwrap()];
        let bench = Bench::new(GatewayOptions { resolvers, host_loopback: false, ..options() });
        let mut raw = Raw::new(&bench);
        for gateway in [IpAddr::from(GATEWAY_V4), GATEWAY_V6.into()] {
            raw.send(SocketAddr::new(gateway, 53), b"\x12\x34 who is it?".to_vec());
            let mut query = [0; 512];
            let (len, from) = resolver.recv_from(&mut query).await.unwrap();
            assert_eq!(&query[..len], b"\x12\x34 who is it?");
            resolver.send_to(b"\x12\x34 me", from).await.unwrap();
            let answer = raw.datagram().await;
            assert_eq!(answer.src, SocketAddr::new(gateway, 53));
            assert_eq!(&answer.payload[..], b"\x12\x34 me");
        }
    })
    .await;
}

#[tokio::test]
async fn the_gateway_answers_echo_and_unknown_protocols() {
    ends(async {
        let bench = Bench::new(options());
        let mut raw = Raw::new(&bench);
        let (src, dst) = (IpAddr::from(PROGRAM_V6), IpAddr::from(GATEWAY_V6));
        let data = pattern(100).into();
        let header = EchoHeader { reply: false, id: 7, seq: 9 };
        let request = Echo { src, dst, header, data };
        request.emit(&bench.program.link(), 1, |packet| {
            bench.program.send_packet(packet.clone()).unwrap();
        });
        let (ip, packet) = raw.packet().await;
        let reply = Echo::parse(&ip, &packet).unwrap();
        assert_eq!(
            reply,
            Echo { src: dst, dst: src, header: EchoHeader { reply: true, ..header }, ..request }
        );

        let sctp = fourwave_wire::ip::IpEmit {
            src: PROGRAM_V4.into(),
            dst: "192.0.2.1".parse().unwrap(),
            protocol: 132,
            ttl: 64,
            ecn: 0,
        };
        let mut packet = fourwave::TxPacket::default();
        sctp.emit(4, &mut packet.header);
        packet.header.extend_from_slice(&[0; 4]);
        packet.meta.len = packet.header.len();
        bench.program.send_packet(packet).unwrap();
        let (ip, packet) = raw.packet().await;
        assert_eq!(ip.src, IpAddr::from(GATEWAY_V4));
        assert_eq!(packet.bytes[ip.payload][..2], [3, 2], "{:?}", IcmpError::ProtocolUnreachable);
    })
    .await;
}

#[tokio::test]
async fn the_demo_page_is_served() {
    ends(async {
        let bench = Bench::new(GatewayOptions { demo: true, host_loopback: false, ..options() });
        let mut stream = bench.call(SocketAddr::from((GATEWAY_V4, 80))).await.unwrap();
        let request = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("200 OK").count(), 2);
    })
    .await;
}
