//! A network namespace with a TUN interface, and packets written by hand.
#![allow(dead_code)] // Each test file uses its part.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fourwave_device::Device;
use fourwave_device::tun::{self, Tun, TunOptions};
use fourwave_testkit::{Bounded, command, find, missing, skip_test};
use fourwave_wire::checksum::Sum;
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{CHECKSUM_OFFSET, TcpHeader};
use fourwave_wire::udp::{self, UdpHeader};
use fourwave_wire::{GsoKind, RxPacket, TxChecksum, TxMeta, TxPacket};

/// The kernel's addresses; ours end in 1.
pub(crate) const KERNEL: [&str; 2] = ["10.99.0.100", "fd99::100"];
pub(crate) const OURS: [&str; 2] = ["10.99.0.1", "fd99::1"];

/// Past this a test is stuck, not slow.
const STUCK: Duration = Duration::from_secs(60);

/// Runs `body` on a thread of its own in a new network namespace. Returns false, after a visible
/// line, when the system does not let us.
pub(crate) fn in_namespace(test: &'static str, body: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(move || {
        if let Err(error) = fourwave_linux::namespace::enter_network() {
            return skip_test(
                test,
                format!("no network namespace may be made here ({error}); run as root"),
            );
        }
        match tun::open(Some("probe%d"), TunOptions::default()) {
            Ok(_) => {}
            Err(error) => return skip_test(test, error),
        }
        if find("ip").is_none() {
            return skip_test(test, missing("ip"));
        }
        body();
        true
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `ip` in this thread's namespace.
pub(crate) fn ip(args: &str) -> String {
    let output = command("ip").args(args.split(' ')).bounded();
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Addresses and `up` for a TUN.
pub(crate) fn configure(name: &str, mtu: u16) {
    ip("link set lo up");
    ip(&format!("link set {name} mtu {mtu}"));
    ip(&format!("addr add {}/24 dev {name}", KERNEL[0]));
    ip(&format!("addr add {}/64 dev {name} nodad", KERNEL[1]));
    ip(&format!("link set {name} up"));
    // The kernel's workqueue makes the route to an IPv6 address; until then it may be bound,
    // but what is sent to it is dropped.
    let started = Instant::now();
    while !ip("-6 route show table local").contains(KERNEL[1]) {
        assert!(started.elapsed() < STUCK, "{} has no route", KERNEL[1]);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `body` with a configured TUN in a namespace of its own.
pub(crate) fn with_tun<F: Future<Output = ()>>(
    test: &'static str,
    mtu: u16,
    body: impl FnOnce(Tun) -> F + Send + 'static,
) {
    in_namespace(test, move || {
        let (fd, name) = tun::open(Some("fw%d"), TunOptions::default()).expect("tun opens");
        configure(&name, mtu);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tun = Tun::from_fd(fd, mtu).expect("tun attaches");
            tokio::time::timeout(STUCK, body(tun)).await.expect("the test is stuck");
        });
    });
}

/// The next packet.
pub(crate) async fn recv(device: &impl Device) -> RxPacket {
    loop {
        poll_fn(|cx| device.poll_readable(cx)).await.expect("device works");
        match device.try_recv() {
            Ok(packet) => return packet,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("try_recv: {error}"),
        }
    }
}

/// The next packet of a transport protocol: its transport header on, and the packet.
pub(crate) async fn recv_protocol(device: &impl Device, wanted: u8) -> (Bytes, RxPacket) {
    loop {
        let packet = recv(device).await;
        let header = fourwave_wire::ip::IpHeader::parse(&packet.bytes).expect("an IP packet");
        // The kernel sends router solicitations and MLD reports of its own.
        if header.protocol == wanted {
            return (packet.bytes.slice(header.payload), packet);
        }
    }
}

/// Sends, waiting for space.
pub(crate) async fn send(device: &impl Device, packet: &TxPacket) {
    loop {
        match device.try_send(packet) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| device.poll_writable(cx)).await.expect("device works");
            }
            Err(error) => panic!("try_send: {error}"),
        }
    }
}

fn ip_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut header = Vec::new();
    IpEmit { src, dst, protocol, ttl: 64, ecn: 0 }.emit(len, &mut header);
    header
}

/// Finishes a packet: pseudo-header sum, meta. `gso_size` 0: not to be cut.
fn finish(
    mut header: Vec<u8>,
    (start, offset): (usize, usize),
    (src, dst, protocol): (IpAddr, IpAddr, u8),
    payload: Vec<Bytes>,
    gso_size: u16,
) -> TxPacket {
    let payload_len: usize = payload.iter().map(Bytes::len).sum();
    let transport_len = header.len() - start + payload_len;
    let pseudo = Sum::default().with_pseudo_header(src, dst, protocol, transport_len).folded();
    header[start + offset..start + offset + 2].copy_from_slice(&pseudo);
    let kind = if protocol == protocol::TCP { GsoKind::Tcp } else { GsoKind::Udp };
    let meta = TxMeta {
        len: header.len() + payload_len,
        gso_size,
        gso_kind: if gso_size == 0 { GsoKind::None } else { kind },
        header_len: header.len() as u16,
        checksum: TxChecksum::Partial { start: start as u16, offset: offset as u16 },
    };
    TxPacket { header, payload, meta }
}

/// A TCP segment, or a super-packet, with a partial checksum.
pub(crate) fn tcp_packet(
    (src, dst): (IpAddr, IpAddr),
    tcp: &TcpHeader,
    payload: Vec<Bytes>,
    gso_size: u16,
) -> TxPacket {
    let mut transport = Vec::new();
    tcp.emit(&mut transport);
    let len = transport.len() + payload.iter().map(Bytes::len).sum::<usize>();
    let mut header = ip_header(src, dst, protocol::TCP, len);
    let start = header.len();
    header.extend_from_slice(&transport);
    finish(header, (start, CHECKSUM_OFFSET), (src, dst, protocol::TCP), payload, gso_size)
}

/// A UDP datagram, or a super-packet, with a partial checksum.
pub(crate) fn udp_packet(
    src: SocketAddr,
    dst: SocketAddr,
    payload: Vec<Bytes>,
    gso_size: u16,
) -> TxPacket {
    let len = udp::HEADER_LEN + payload.iter().map(Bytes::len).sum::<usize>();
    let mut header = ip_header(src.ip(), dst.ip(), protocol::UDP, len);
    let start = header.len();
    let (src_port, dst_port) = (src.port(), dst.port());
    let udp = UdpHeader { src_port, dst_port, len: len as u16, checksum: [0, 0] };
    header.extend_from_slice(&udp.encode());
    finish(
        header,
        (start, udp::CHECKSUM_OFFSET),
        (src.ip(), dst.ip(), protocol::UDP),
        payload,
        gso_size,
    )
}

/// Bytes that say where they stand, so that a lost or swapped one is seen.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}
