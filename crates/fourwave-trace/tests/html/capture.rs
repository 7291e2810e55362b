//! Captures made by hand: connections of many kinds, as packets without their payload.

use std::fs::File;
use std::io::BufWriter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use fourwave_capture::{Comments, Packet, Tally};
use fourwave_trace::html::{Page, PageOptions};
use fourwave_trace::{Analysis, Options, Output, Sink};
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// How many kinds of connections there are.
pub(crate) const KINDS: usize = 8;

/// What is known of a packet but its bytes: when, who, flags, numbers, payload.
type Seg = (u64, usize, Flags, u32, u32, usize);

/// The segments of a connection of the kind `n % KINDS`.
fn segments(n: usize) -> Vec<Seg> {
    let open =
        [(0, CLIENT, SYN, 0, 0, 0), (400, SERVER, SYN | ACK, 0, 1, 0), (410, CLIENT, ACK, 1, 1, 0)];
    let ask = [(500, CLIENT, ACK, 1, 1, 80), (900, SERVER, ACK, 1, 81, 0)];
    let answer = [(1500, SERVER, ACK, 1, 81, 1000), (1600, CLIENT, ACK, 81, 1001, 0)];
    let fin = Flags::FIN | ACK;
    let rst = Flags::RST | ACK;
    let end: Vec<Seg> = match n % KINDS {
        0 => vec![
            (2000, CLIENT, fin, 81, 1001, 0),
            (2400, SERVER, ACK, 1001, 82, 0),
            (3000, SERVER, fin, 1001, 82, 0),
            (3100, CLIENT, ACK, 82, 1002, 0),
        ],
        1 => vec![
            (2000, SERVER, fin, 1001, 81, 0),
            (2400, CLIENT, fin, 81, 1002, 0),
            (2500, SERVER, ACK, 1002, 82, 0),
        ],
        2 => return vec![(0, CLIENT, SYN, 0, 0, 0), (300, SERVER, rst, 0, 1, 0)],
        3 => vec![(2000, SERVER, rst, 1001, 81, 0)],
        4 => return vec![(0, CLIENT, SYN, 0, 0, 0), (1_000_000, CLIENT, SYN, 0, 0, 0)],
        5 => vec![
            (2000, CLIENT, fin, 81, 1001, 0),
            (202_000, CLIENT, fin, 81, 1001, 0),
            (202_400, SERVER, ACK, 1001, 82, 0),
            (3_000_000, SERVER, fin, 1001, 82, 0),
            (3_000_100, CLIENT, ACK, 82, 1002, 0),
        ],
        6 => lossy(),
        _ => vec![(2000, CLIENT, fin, 81, 1001, 0), (2400, SERVER, ACK, 1001, 82, 0)],
    };
    open.into_iter().chain(ask).chain(answer).chain(end).collect()
}

/// Data with a hole, duplicate ACKs, and the lost segment again.
fn lossy() -> Vec<Seg> {
    let data = |n: u32| (3000 + u64::from(n) * 100, SERVER, ACK, 1001 + n * 1448, 81, 1448);
    let mut all: Vec<Seg> = (0..20).map(data).collect();
    let dup = |n: u64| (5010 + n, CLIENT, ACK, 81, 1001 + 5 * 1448, 0);
    all.extend((0..4).map(dup));
    all.push((6000, SERVER, ACK, 1001 + 5 * 1448, 81, 1448));
    let end = 1001 + 20 * 1448;
    all.push((6100, CLIENT, ACK, 81, end, 0));
    all.push((7000, SERVER, Flags::FIN | ACK, end, 81, 0));
    all.push((7100, CLIENT, Flags::FIN | ACK, 81, end + 1, 0));
    all.push((7200, SERVER, ACK, end + 1, 82, 0));
    all
}

/// The ends of connection `n`: each has its own port, some are IPv6.
pub(crate) fn ends(n: usize) -> [SocketAddr; 2] {
    let port = u16::try_from(10_000 + n % 50_000).expect("it fits");
    let service = [80, 443, 5432, 8080][n % 4];
    let [client, server]: [IpAddr; 2] = if n % 50 == 49 {
        [1, 2].map(|end| Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, end).into())
    } else {
        [Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(192, 0, 2, 9).into()]
    };
    [SocketAddr::new(client, port), SocketAddr::new(server, service)]
}

fn packet(ends: [SocketAddr; 2], (_, who, flags, seq, ack, len): Seg) -> Vec<u8> {
    let isn = [7_000_000_u32, u32::MAX - 500];
    let (src, dst) = (ends[who], ends[1 - who]);
    let mss = flags.syn().then_some(1460);
    let ack = if flags.ack() { isn[1 - who].wrapping_add(ack) } else { 0 };
    let tcp = TcpHeader {
        src_port: src.port(),
        dst_port: dst.port(),
        seq: SeqNum::new(isn[who].wrapping_add(seq)),
        ack: SeqNum::new(ack),
        flags,
        window: RawWindow(65_000),
        urgent: 0,
        options: TcpOptions { mss, ..TcpOptions::default() },
    };
    let mut header = Vec::new();
    tcp.emit(&mut header);
    let mut packet = Vec::new();
    IpEmit { src: src.ip(), dst: dst.ip(), protocol: protocol::TCP, ttl: 64, ecn: 0 }
        .emit(header.len() + len, &mut packet);
    packet.extend_from_slice(&header);
    packet
}

/// Gives `connections` connections, one after another, to a sink.
pub(crate) fn analyse(connections: usize, name: &str, sink: Box<dyn Sink>) {
    let mut analysis =
        Analysis::new(Options::default(), vec![Output { name: "page".to_owned(), sink }]);
    analysis.begin(name);
    let mut number = 0;
    for n in 0..connections {
        let begin = Duration::from_secs(1_790_000_000) + Duration::from_millis(n as u64 * 20);
        for seg in segments(n) {
            number += 1;
            let ip = packet(ends(n), seg);
            let at = begin + Duration::from_micros(seg.0);
            let wire_len = ip.len() + seg.5;
            let packet = Packet {
                number,
                at,
                ip: Some(&ip),
                wire_len,
                outgoing: None,
                gso_size: 0,
                comments: Comments::default(),
            };
            analysis.packet(&packet).expect("the page takes it");
        }
    }
    let tally = Tally { frames: number, bytes: number * 66, ..Tally::default() };
    analysis.end(name, tally, None);
    analysis.finish().expect("the page takes it");
}

/// A page in a new file.
pub(crate) fn create(path: &Path, options: PageOptions) -> Page<BufWriter<File>> {
    let file = File::create(path).expect("a file");
    Page::new(BufWriter::new(file), options).expect("a page begins")
}

/// The page of `connections` connections of all kinds.
pub(crate) fn page(connections: usize, name: &str) -> String {
    let path = scratch().join(format!("{connections}-{}.html", std::process::id()));
    let options = PageOptions { title: name.to_owned(), ..PageOptions::default() };
    analyse(connections, name, Box::new(create(&path, options)));
    let page = std::fs::read_to_string(&path).expect("the page");
    std::fs::remove_file(&path).expect("it is there");
    page
}

/// Where tests may write.
pub(crate) fn scratch() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
}
