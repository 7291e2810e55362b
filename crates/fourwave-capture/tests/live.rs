//! Traffic on loopback, seen by the kernel's packet socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use fourwave_capture::{Live, LiveError};
use fourwave_testkit::{accept, skip_test};

/// Past this a test is stuck, not slow.
const STUCK: Duration = Duration::from_secs(30);
const SENT: usize = 1 << 20;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// Listens, or says why the test cannot.
fn open(test: &str, name: &str) -> Option<Live> {
    match Live::open(name) {
        Ok(live) => Some(live),
        Err(error) if error.to_string().contains("not permitted") => {
            skip_test(test, error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends bytes over a connection of its own; returns the server's port.
fn exchange(address: &str) -> u16 {
    let listener = TcpListener::bind(format!("{address}:0")).unwrap();
    let to = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut conn = accept(&listener);
        let mut got = Vec::new();
        conn.read_to_end(&mut got).unwrap();
        got.len()
    });
    let mut client = TcpStream::connect(to).unwrap();
    client.write_all(&vec![7; SENT]).unwrap();
    drop(client);
    assert_eq!(server.join().unwrap(), SENT);
    to.port()
}

/// What was seen of the connections to a port.
#[derive(Debug, Default)]
struct Seen {
    syns: usize,
    fins: usize,
    payload: usize,
    super_packets: usize,
    last: u64,
}

impl Seen {
    fn packet(&mut self, packet: &fourwave_capture::Packet<'_>, port: u16) {
        let Some(ip) = packet.ip else { return };
        let header = if ip[0] >> 4 == 4 { usize::from(ip[0] & 15) * 4 } else { 40 };
        let protocol = if ip[0] >> 4 == 4 { ip[9] } else { ip[6] };
        let Some(tcp) = ip.get(header..).filter(|tcp| tcp.len() >= 20 && protocol == 6) else {
            return;
        };
        let ports = [u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]])];
        if !ports.contains(&port) {
            return;
        }
        assert!(packet.number > self.last, "numbers go up");
        self.last = packet.number;
        assert!(packet.at > Duration::from_secs(1_600_000_000), "{:?}", packet.at);
        let len = packet.wire_len - header - usize::from(tcp[12] >> 4) * 4;
        assert_eq!(tcp[13] & RST, 0);
        self.syns += usize::from(tcp[13] & SYN != 0);
        self.fins += usize::from(tcp[13] & FIN != 0);
        self.payload += len;
        if packet.gso_size > 0 {
            assert!(len > usize::from(packet.gso_size), "{len} in parts of {}", packet.gso_size);
            self.super_packets += 1;
        }
    }
}

fn watch(test: &str, name: &str, address: &str) {
    let Some(mut live) = open(test, name) else { return };
    let port = exchange(address);
    let began = Instant::now();
    let mut seen = Seen::default();
    while seen.fins < 2 || seen.payload < SENT {
        assert!(began.elapsed() < STUCK, "{seen:?} {:?}", live.tally());
        if let Some(packet) = live.next(Duration::from_millis(100)).unwrap() {
            seen.packet(&packet, port);
        }
    }
    assert_eq!((seen.syns, seen.fins), (2, 2), "each packet once: {seen:?}");
    assert!(seen.payload < SENT * 3 / 2, "each packet once: {seen:?}");
    assert!(seen.super_packets > 0, "{seen:?}");
    assert_eq!(live.tally().dropped, Some(0));
}

#[test]
fn loopback_shows_each_packet_once() {
    watch("loopback_shows_each_packet_once", "lo", "127.0.0.1");
}

#[test]
fn all_interfaces_show_loopback_too() {
    watch("all_interfaces_show_loopback_too", "any", "[::1]");
}

#[test]
fn nothing_comes_within_a_short_time_and_that_is_no_error() {
    let test = "nothing_comes_within_a_short_time_and_that_is_no_error";
    let Some(mut live) = open(test, "lo") else { return };
    // Whatever passes meanwhile is not ours to forbid: the call comes back either way.
    for _ in 0..3 {
        live.next(Duration::from_millis(1)).unwrap();
    }
}

#[test]
fn an_interface_that_is_not_there_is_refused_with_those_that_are() {
    let error = Live::open("nonesuch0").unwrap_err();
    assert!(matches!(error, LiveError::Open(_)));
    let line = error.to_string();
    assert!(line.starts_with("there is no interface nonesuch0; there are: any "), "{line}");
    assert!(line.contains(" lo"), "{line}");
    assert_eq!(line.lines().count(), 1);
}
