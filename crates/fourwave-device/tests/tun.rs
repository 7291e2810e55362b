//! A real TUN against the kernel's own TCP and UDP, in a network namespace made for the test.
#![cfg(target_os = "linux")]

mod common;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use fourwave_device::Device;
use fourwave_device::tun::{self, Tun, TunError, TunOptions};
use fourwave_testkit::{accept, not_here};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader, verify_checksum};
use fourwave_wire::{RawWindow, RxChecksum, SeqNum};
use rustix::net::sockopt;

fn addr(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), port)
}

fn udp_socket(family: usize) -> UdpSocket {
    let socket = UdpSocket::bind(addr(KERNEL[family], 5000)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

#[test]
fn the_kernel_leaves_checksums_to_us_and_says_so() {
    with_tun("the_kernel_leaves_checksums_to_us_and_says_so", 1500, |tun| async move {
        assert_eq!(tun.try_recv().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for family in [0, 1] {
            let text = pattern(1200);
            udp_socket(family).send_to(&text, addr(OURS[family], 53)).unwrap();
            let (datagram, packet) = recv_protocol(&tun, protocol::UDP).await;
            assert_eq!(packet.checksum, RxChecksum::Trusted);
            assert_eq!(packet.gso_size, 0);
            assert_eq!(datagram[8..], text);
        }
    });
}

#[test]
fn datagrams_of_any_number_of_chunks_arrive() {
    with_tun("datagrams_of_any_number_of_chunks_arrive", 65_535, |tun| async move {
        for family in [0, 1] {
            let socket = udp_socket(family);
            // The limits: none, the array's end, a Vec, IOV_MAX and beyond it.
            for chunks in [0, 1, 3, 14, 15, 16, 40, 1021, 1022, 1023, 1500] {
                let text = pattern(chunks * 3);
                let payload = text.chunks(3).map(Bytes::copy_from_slice).collect();
                let packet =
                    udp_packet(addr(OURS[family], 53), addr(KERNEL[family], 5000), payload, 0);
                send(&tun, &packet).await;
                let mut buffer = [0; 9000];
                let (len, from) = socket.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..len], from), (&text[..], addr(OURS[family], 53)));
            }
        }
    });
}

#[test]
fn udp_super_packets_are_cut_by_the_kernel_and_come_from_it() {
    let test = "udp_super_packets_are_cut_by_the_kernel_and_come_from_it";
    with_tun(test, 1500, move |tun| async move {
        if !tun.udp_gso() {
            not_here(test, "this kernel has no UDP segmentation on TUN (Linux 6.2 has)");
            return;
        }
        for family in [0, 1] {
            let socket = udp_socket(family);
            let text = pattern(5 * 1000 + 7);
            let payload = vec![Bytes::from(text.clone())];
            let packet =
                udp_packet(addr(OURS[family], 53), addr(KERNEL[family], 5000), payload, 1000);
            send(&tun, &packet).await;
            let mut lens = vec![];
            let mut all = vec![];
            while all.len() < text.len() {
                let mut buffer = [0; 9000];
                let len = socket.recv(&mut buffer).unwrap();
                lens.push(len);
                all.extend_from_slice(&buffer[..len]);
            }
            assert_eq!(lens, [1000, 1000, 1000, 1000, 1000, 7]);
            assert_eq!(all, text);
        }
    });
}

/// Our end of a connection with the kernel, without any loss recovery: a TUN loses nothing here.
struct Peer {
    ours: IpAddr,
    kernel: IpAddr,
    header: TcpHeader,
}

impl Peer {
    async fn connect(tun: &Tun, family: usize, port: u16) -> Self {
        let mut peer = Self {
            ours: OURS[family].parse().unwrap(),
            kernel: KERNEL[family].parse().unwrap(),
            header: TcpHeader {
                src_port: 40_000,
                dst_port: port,
                seq: SeqNum::new(u32::MAX - 1000),
                flags: Flags::SYN,
                window: RawWindow(u16::MAX),
                options: TcpOptions { mss: Some(1440), ..Default::default() },
                ..Default::default()
            },
        };
        peer.send(tun, vec![], 0).await;
        let (syn_ack, _) = peer.recv(tun).await;
        assert!(syn_ack.flags.contains(Flags::SYN | Flags::ACK), "{syn_ack:?}");
        peer.header.ack = syn_ack.seq + 1;
        peer.header.flags = Flags::ACK;
        peer.header.options = TcpOptions::default();
        peer.header.seq += 1;
        peer.send(tun, vec![], 0).await;
        peer
    }

    async fn send(&self, tun: &Tun, payload: Vec<Bytes>, gso_size: u16) {
        let packet = tcp_packet((self.ours, self.kernel), &self.header, payload, gso_size);
        send(tun, &packet).await;
    }

    async fn recv(&self, tun: &Tun) -> (TcpHeader, (Bytes, fourwave_wire::RxPacket)) {
        loop {
            let (segment, packet) = recv_protocol(tun, protocol::TCP).await;
            // The last family's connection may still be closing.
            if IpHeader::parse(&packet.bytes).unwrap().src == self.kernel {
                let (header, payload) = TcpHeader::parse(&segment).unwrap();
                return (header, (segment.slice(payload), packet));
            }
        }
    }
}

#[test]
fn tcp_super_packets_pass_whole_in_both_directions() {
    with_tun("tcp_super_packets_pass_whole_in_both_directions", 1500, |tun| async move {
        assert_eq!(tun.link(), fourwave_wire::Link::offloading(1500));
        for family in [0, 1] {
            let listener = TcpListener::bind(addr(KERNEL[family], 8000)).unwrap();
            let mut peer = Peer::connect(&tun, family, 8000).await;
            let mut stream = accept(&listener);
            let text = pattern(30_000);
            let chunks = text.chunks(7001).map(Bytes::copy_from_slice).collect();
            peer.send(&tun, chunks, 1440).await;
            peer.header.seq += 30_000;
            let mut got = vec![0; text.len()];
            stream.read_exact(&mut got).unwrap();
            assert!(got == text, "30 kB in one super-packet, byte by byte");
            answer(&tun, &mut peer, stream).await;
        }
    });
}

/// The kernel sends 200 kB: acknowledged, its congestion window opens and it sends super-packets.
async fn answer(tun: &Tun, peer: &mut Peer, mut stream: TcpStream) {
    let text = pattern(200_000);
    let writer = std::thread::spawn({
        let text = text.clone();
        move || stream.write_all(&text).map(|()| stream)
    });
    let (mut got, mut largest) = (vec![], 0);
    while got.len() < text.len() {
        let (header, (payload, packet)) = peer.recv(tun).await;
        assert_eq!(packet.checksum, RxChecksum::Trusted);
        if payload.is_empty() {
            continue;
        }
        assert_eq!(header.seq, peer.header.ack, "a TUN keeps the order");
        if packet.bytes.len() > 1500 {
            assert_eq!(packet.gso_size, 1440);
            largest = largest.max(packet.bytes.len());
        }
        got.extend_from_slice(&payload);
        peer.header.ack += payload.len() as u32;
        peer.send(tun, vec![], 0).await;
    }
    assert!(got == text);
    assert!(largest > 10_000, "no super-packet came, the largest had {largest} bytes");
    drop(writer.join().unwrap().unwrap());
}

#[test]
fn without_a_vnet_header_checksums_are_finished_here() {
    let test = "without_a_vnet_header_checksums_are_finished_here";
    in_namespace(test, || {
        let options = TunOptions { multi_queue: false, vnet_header: false };
        let (fd, name) = tun::open(Some("plain"), options).unwrap();
        configure(&name, 1500);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tun = Tun::from_fd(fd, 1500).unwrap();
            assert_eq!(tun.link(), fourwave_wire::Link::plain(1500));
            let listener = TcpListener::bind(addr(KERNEL[0], 8000)).unwrap();
            // The kernel verifies what it gets here, so accept() means a right checksum.
            let peer = Peer::connect(&tun, 0, 8000).await;
            let mut stream = accept(&listener);
            stream.write_all(b"odd").unwrap();
            let (segment, packet) = recv_protocol(&tun, protocol::TCP).await;
            assert_eq!((packet.checksum, packet.gso_size), (RxChecksum::Unverified, 0));
            assert!(verify_checksum(peer.kernel, peer.ours, &segment));
            let cut = tcp_packet((peer.ours, peer.kernel), &peer.header, vec![], 1000);
            assert_eq!(tun.try_send(&cut).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn a_name_takes_several_queues_and_refusals_are_precise() {
    in_namespace("a_name_takes_several_queues_and_refusals_are_precise", || {
        let (first, name) = tun::open(Some("many%d"), TunOptions::default()).unwrap();
        assert_eq!(name, "many0");
        let (second, same) = tun::open(Some("many0"), TunOptions::default()).unwrap();
        assert_eq!(same, name);
        let single = TunOptions { multi_queue: false, ..Default::default() };
        let error = tun::open(Some("many0"), single).unwrap_err();
        assert!(matches!(&error, TunError::Incompatible { name } if name == "many0"), "{error}");
        let (_held, _) = tun::open(Some("single"), single).unwrap();
        let error = tun::open(Some("single"), single).unwrap_err();
        assert!(matches!(&error, TunError::Busy { name } if name == "single"), "{error}");
        let error = tun::open(Some("lo"), TunOptions::default()).unwrap_err();
        assert!(matches!(&error, TunError::Incompatible { name } if name == "lo"), "{error}");
        drop((first, second));
        // The interface goes with its last descriptor. A child that another test is starting may
        // hold copies until it executes its program.
        let again = std::iter::repeat_with(|| tun::open(Some("many0"), single)).take(10_000);
        assert!(again.into_iter().any(|opened| opened.is_ok()));
    });
}

#[test]
fn each_flow_keeps_to_one_of_several_queues() {
    with_tun("each_flow_keeps_to_one_of_several_queues", 1500, |first| async move {
        let (fd, _) = tun::open(Some(first.name()), TunOptions::default()).unwrap();
        let second = Tun::from_fd(fd, 1500).unwrap();
        let sockets: Vec<_> =
            (0..64).map(|i| UdpSocket::bind(addr(KERNEL[0], 6000 + i)).unwrap()).collect();
        for _ in 0..3 {
            for socket in &sockets {
                socket.send_to(&[1], addr(OURS[0], 53)).unwrap();
            }
        }
        let mut ports = [vec![], vec![]];
        while ports.iter().map(Vec::len).sum::<usize>() < 3 * 64 {
            let (queue, datagram) = tokio::select! {
                (datagram, _) = recv_protocol(&first, protocol::UDP) => (0, datagram),
                (datagram, _) = recv_protocol(&second, protocol::UDP) => (1, datagram),
            };
            ports[queue].push(u16::from_be_bytes([datagram[0], datagram[1]]));
        }
        assert!(ports.iter().all(|queue| !queue.is_empty()), "64 flows on two queues");
        assert!(ports[0].iter().all(|port| !ports[1].contains(port)));
        // What is sent may go through any queue.
        for (queue, tun) in [&first, &second].into_iter().enumerate() {
            let text = vec![Bytes::from(vec![queue as u8])];
            send(tun, &udp_packet(addr(OURS[0], 53), addr(KERNEL[0], 6000), text, 0)).await;
            let mut buffer = [9; 2];
            assert_eq!(sockets[0].recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], queue as u8);
        }
    });
}

#[test]
fn a_descriptor_works_from_another_namespace() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let inside = std::thread::spawn(move || {
        in_namespace("a_descriptor_works_from_another_namespace", move || {
            let (fd, name) = tun::open(None, TunOptions::default()).unwrap();
            configure(&name, 1500);
            let socket = udp_socket(0);
            socket.send_to(b"from inside", addr(OURS[0], 53)).unwrap();
            sender.send(fd).unwrap();
            let mut buffer = [0; 100];
            let len = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"from outside");
            drop(done);
        })
    });
    if let Ok(fd) = receiver.recv() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tun = Tun::from_fd(fd, 1500).unwrap();
            let (datagram, _) = recv_protocol(&tun, protocol::UDP).await;
            assert_eq!(&datagram[8..], b"from inside");
            let payload = vec![Bytes::from_static(b"from outside")];
            send(&tun, &udp_packet(addr(OURS[0], 53), addr(KERNEL[0], 5000), payload, 0)).await;
        });
        assert!(wait.recv().is_err(), "the sender is dropped when the answer came");
    }
    inside.join().unwrap();
}

#[test]
fn down_and_gone_are_said_by_name() {
    with_tun("down_and_gone_are_said_by_name", 1500, |tun| async move {
        let packet = udp_packet(addr(OURS[0], 53), addr(KERNEL[0], 5000), vec![], 0);
        send(&tun, &packet).await;
        ip("link set fw0 down");
        let error = tun.try_send(&packet).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
        assert!(error.to_string().contains("fw0"), "{error}");
        ip("link set fw0 up");
        send(&tun, &packet).await;
        ip("link del fw0");
        let error = tun.try_send(&packet).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
        let error = loop {
            let ready = std::future::poll_fn(|cx| tun.poll_readable(cx)).await;
            match ready.and_then(|()| tun.try_recv()) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break error,
                _ => {}
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
    });
}

#[test]
fn a_malformed_packet_is_refused_and_the_device_goes_on() {
    with_tun("a_malformed_packet_is_refused_and_the_device_goes_on", 1500, |tun| async move {
        let socket = udp_socket(0);
        let good = udp_packet(addr(OURS[0], 53), addr(KERNEL[0], 5000), vec![], 0);
        let mut bad = good.clone();
        bad.header[0] = 0x55;
        send(&tun, &good).await;
        assert_eq!(tun.try_send(&bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        send(&tun, &good).await;
        for _ in 0..2 {
            assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 0);
        }
        // SO_ERROR of the TUN is none of our business; that of the socket must be clear.
        assert!(sockopt::socket_error(&socket).unwrap().is_ok());
    });
}
