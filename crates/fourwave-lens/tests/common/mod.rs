//! Packets made by hand, and a lens that watches them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::{EndReason, EndReport, Instant, Side, UserCall};
use fourwave_lens::{
    ConnectionRecord, Event, Lens, LensOptions, Names, Role, Seen, Warning, json,
    ladder::{self, LadderOptions},
};
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::options::{TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

pub use Role::{Client, Server};

/// First sequence numbers, the server's close to the end of the ring.
const ISN: [u32; 2] = [1_000_000, u32::MAX - 100];

pub struct Wire {
    pub lens: Lens,
    pub addrs: [SocketAddr; 2],
    pub names: Names,
    pub events: Vec<Event>,
    pub seen: Option<Seen>,
    pub window: [u16; 2],
    pub isn: [u32; 2],
    pub gso_size: u16,
    pub now: Duration,
    pub ttl: [u8; 2],
    /// The next IPv4 identifications, counted up for each packet; 0: none.
    pub ids: [u16; 2],
    /// TSval and TSecr of the next packet.
    pub stamps: Option<(u32, u32)>,
    /// SACK blocks of the next packet, relative.
    pub sack: Vec<(u32, u32)>,
}

pub fn flags(text: &str) -> Flags {
    text.split(' ').fold(Flags::NONE, |flags, name| {
        flags
            | match name {
                "SYN" => Flags::SYN,
                "ACK" => Flags::ACK,
                "FIN" => Flags::FIN,
                "RST" => Flags::RST,
                "PSH" => Flags::PSH,
                "ECE" => Flags::ECE,
                "CWR" => Flags::CWR,
                "AE" => Flags::AE,
                _ => panic!("no flag {name}"),
            }
    })
}

impl Wire {
    pub fn new() -> Self {
        Self::between("10.4.0.100:40000", "93.184.216.34:80")
    }

    pub fn between(client: &str, server: &str) -> Self {
        let addrs: [SocketAddr; 2] = [client, server].map(|addr| addr.parse().unwrap());
        Self {
            lens: Lens::new(LensOptions { live: true, metrics: true, ..LensOptions::default() }),
            addrs,
            names: Names::gateway(&[addrs[0].ip()]),
            events: Vec::new(),
            seen: None,
            window: [64_240, 65_535],
            isn: ISN,
            gso_size: 0,
            now: Duration::ZERO,
            ttl: [64; 2],
            ids: [0; 2],
            stamps: None,
            sack: Vec::new(),
        }
    }

    /// With metrics and anomalies.
    pub fn measuring() -> Self {
        Self::with(LensOptions { metrics: true, ..LensOptions::default() })
    }

    pub fn with(options: LensOptions) -> Self {
        Self { lens: Lens::new(options), ..Self::new() }
    }

    pub fn packet(&self, from: Role, names: &str, seq: u32, ack: u32, len: usize) -> Vec<u8> {
        let (i, j) = (from.index(), from.other().index());
        let flags = flags(names);
        let mss = flags.syn().then_some(1460);
        let tcp = TcpHeader {
            src_port: self.addrs[i].port(),
            dst_port: self.addrs[j].port(),
            seq: SeqNum::new(self.isn[i].wrapping_add(seq)),
            ack: if flags.ack() {
                SeqNum::new(self.isn[j].wrapping_add(ack))
            } else {
                SeqNum::default()
            },
            flags,
            window: RawWindow(self.window[i]),
            urgent: 0,
            options: self.tcp_options(from, mss),
        };
        let mut header = Vec::new();
        tcp.emit(&mut header);
        let (src, dst) = (self.addrs[i].ip(), self.addrs[j].ip());
        let mut packet = Vec::new();
        IpEmit { src, dst, protocol: protocol::TCP, ttl: self.ttl[i], ecn: 0 }
            .emit(header.len() + len, &mut packet);
        packet.extend_from_slice(&header);
        if src.is_ipv4() {
            packet[4..6].copy_from_slice(&self.ids[i].to_be_bytes());
        }
        packet
    }

    fn tcp_options(&self, from: Role, mss: Option<u16>) -> TcpOptions {
        let mut options = TcpOptions { mss, ..TcpOptions::default() };
        options.timestamps = self.stamps.map(|(value, echo)| Timestamps { value, echo });
        let base = self.isn[from.other().index()];
        for &(start, end) in &self.sack {
            let seq = |n: u32| SeqNum::new(base.wrapping_add(n));
            assert!(options.sack.push(seq(start), seq(end)));
        }
        options
    }

    /// A packet at `micros`, its headers only. `seq` and `ack` are relative.
    pub fn at(&mut self, micros: u64, from: Role, names: &str, seq: u32, ack: u32, len: usize) {
        let packet = self.packet(from, names, seq, ack, len);
        self.now = Duration::from_micros(micros);
        self.seen = self.lens.observe(self.now, &packet, packet.len() + len, self.gso_size);
        self.drain();
        let id = &mut self.ids[from.index()];
        *id = if *id == 0 { 0 } else { id.wrapping_add(1).max(1) };
    }

    /// As [`at`](Self::at), with timestamps.
    pub fn stamped(
        &mut self,
        micros: u64,
        from: Role,
        (value, echo): (u32, u32),
        (seq, ack, len): (u32, u32, usize),
    ) {
        self.stamps = Some((value, echo));
        self.at(micros, from, "ACK", seq, ack, len);
        self.stamps = None;
    }

    /// An ACK with SACK blocks.
    pub fn sacks(&mut self, micros: u64, from: Role, seq: u32, ack: u32, blocks: &[(u32, u32)]) {
        self.sack = blocks.to_vec();
        self.at(micros, from, "ACK", seq, ack, 0);
        self.sack.clear();
    }

    /// As [`at`](Self::at); the segment never arrives.
    pub fn lost(&mut self, micros: u64, from: Role, names: &str, seq: u32, ack: u32, len: usize) {
        let packet = self.packet(from, names, seq, ack, len);
        self.now = Duration::from_micros(micros);
        let len = packet.len() + len;
        self.seen = self.lens.observe_lost(self.now, &packet, len, self.gso_size);
        self.drain();
    }

    /// A router answers one of the client's packets.
    pub fn icmp(&mut self, micros: u64, error: IcmpError, about: &[u8]) {
        let mut packet = Vec::new();
        emit_error("10.4.0.1".parse().unwrap(), error, about, &mut packet);
        self.now = Duration::from_micros(micros);
        self.seen = self.lens.observe(self.now, &packet, packet.len(), 0);
        self.drain();
    }

    /// SYN, SYN ACK, ACK in the first 12 ms.
    pub fn open(&mut self) {
        self.at(0, Client, "SYN", 0, 0, 0);
        self.at(11_900, Server, "SYN ACK", 0, 1, 0);
        self.at(12_000, Client, "ACK", 1, 1, 0);
    }

    /// The engine speaks for the server.
    pub fn report(&self, reason: EndReason, closed_first: Option<Side>) -> EndReport {
        let mut report = EndReport::new(self.addrs[1], self.addrs[0], reason);
        report.closed_first = closed_first;
        report.last_call = UserCall::Shutdown;
        report.last_call_ago = Duration::from_millis(3);
        report.ended = Instant::from_micros(self.now.as_micros() as u64);
        report
    }

    pub fn drain(&mut self) {
        while let Some(event) = self.lens.poll_event() {
            self.events.push(event);
        }
    }

    /// Every record, the watching over.
    pub fn records(&mut self) -> Vec<ConnectionRecord> {
        self.lens.finish(self.now);
        self.drain();
        let records = self.events.iter().filter_map(|event| match event {
            Event::Ended(record) => Some((**record).clone()),
            _ => None,
        });
        records.collect()
    }

    pub fn record(&mut self) -> ConnectionRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "one story");
        records.remove(0)
    }

    pub fn options(&self) -> LadderOptions {
        LadderOptions { names: self.names.clone(), ..LadderOptions::default() }
    }

    /// The only record's ladder.
    pub fn ladder(&mut self) -> String {
        let record = self.record();
        ladder::render(&record, &self.options())
    }

    /// All events as JSON lines.
    pub fn json(&mut self) -> String {
        self.lens.finish(self.now);
        self.drain();
        let mut out = String::new();
        for event in &self.events {
            json::write(event, &self.names, &mut out);
        }
        out
    }
}

/// Connections of every kind, each ready to be reported.
pub fn all() -> Vec<(&'static str, Wire)> {
    vec![
        ("four_waves", four_waves()),
        ("three_waves", three_waves()),
        ("half_close", half_close()),
        ("simultaneous_close", simultaneous_close()),
        ("simultaneous_open", simultaneous_open()),
        ("reset_in_mid_stream", reset_in_mid_stream()),
        ("refused", refused()),
        ("lost_last_ack", lost_last_ack()),
        ("lost_on_the_way", lost_on_the_way()),
        ("unanswered", unanswered()),
        ("ipv6", ipv6()),
        ("loss", loss()),
        ("slow_reader", slow_reader()),
        ("keepalive", keepalive()),
        ("unreachable", unreachable()),
        ("many_turns", many_turns()),
        ("data_after_close", data_after_close()),
        ("challenge", challenge()),
        ("timed_out", timed_out()),
        ("time_wait_assassinated", time_wait_assassinated()),
        ("mid_stream", mid_stream()),
        ("troubled", troubled()),
    ]
}

pub fn four_waves() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "ACK", 1, 74, 0);
    let mut seq = 1;
    for i in 0..724 {
        w.at(30_000 + i * 1_000, Server, "ACK", seq, 74, 1448);
        w.at(30_100 + i * 1_000, Server, "ACK", seq + 1448, 74, 1448);
        seq += 2896;
        w.at(30_200 + i * 1_000, Client, "ACK", 74, seq, 0);
    }
    w.at(1_020_000, Client, "FIN ACK", 74, seq, 0);
    w.at(1_020_310, Server, "ACK", seq, 75, 0);
    w.at(1_032_000, Server, "FIN ACK", seq, 75, 0);
    w.at(1_032_040, Client, "ACK", 75, seq + 1, 0);
    let mut report = w.report(EndReason::Orderly, Some(Side::Remote));
    report.last_call_ago = Duration::from_micros(40);
    assert!(w.lens.end(&report));
    w
}

pub fn three_waves() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.at(24_050, Client, "ACK", 74, 513, 0);
    w.at(25_000, Client, "FIN ACK", 74, 513, 0);
    w.at(36_000, Server, "FIN ACK", 513, 75, 0);
    w.at(36_030, Client, "ACK", 75, 514, 0);
    w
}

pub fn half_close() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 1);
    // The FIN rides alone; the server goes on for a second.
    w.at(12_400, Client, "FIN ACK", 2, 1, 0);
    w.at(23_000, Server, "ACK", 1, 3, 1460);
    for i in 0..3 {
        w.at(300_000 * (i + 1), Server, "ACK", 1461 + i as u32 * 1460, 3, 1460);
        w.at(300_000 * (i + 1) + 40, Client, "ACK", 3, 2921 + i as u32 * 1460, 0);
    }
    w.at(1_100_000, Server, "FIN PSH ACK", 5841, 3, 100);
    w.at(1_100_060, Client, "ACK", 3, 5942, 0);
    w
}

pub fn simultaneous_close() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(500_000, Client, "FIN ACK", 1, 1, 0);
    w.at(501_000, Server, "FIN ACK", 1, 1, 0);
    w.at(501_050, Client, "ACK", 2, 2, 0);
    w.at(511_000, Server, "ACK", 2, 2, 0);
    w
}

pub fn simultaneous_open() -> Wire {
    let mut w = Wire::between("10.4.0.100:5000", "10.4.0.1:5001");
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(3_000, Server, "SYN", 0, 0, 0);
    w.at(3_050, Client, "SYN ACK", 0, 1, 0);
    w.at(6_000, Server, "SYN ACK", 0, 1, 0);
    w.at(6_100, Client, "PSH ACK", 1, 1, 5);
    w.at(7_000, Server, "ACK", 1, 6, 0);
    w.at(8_000, Server, "FIN ACK", 1, 6, 0);
    w.at(8_100, Client, "FIN ACK", 6, 2, 0);
    w.at(9_000, Server, "ACK", 2, 7, 0);
    w
}

pub fn reset_in_mid_stream() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    for i in 0..20 {
        w.at(24_000 + i * 900, Server, "ACK", 1 + i as u32 * 1460, 74, 1460);
    }
    w.at(41_500, Client, "ACK", 74, 14_601, 0);
    assert!(w.lens.note(
        Duration::from_micros(41_900),
        (w.addrs[0], w.addrs[1]),
        "the server reset the connection: reading from it said ECONNRESET"
    ));
    w.at(42_000, Server, "RST ACK", 29_201, 74, 0);
    w.at(42_030, Client, "ACK", 74, 29_201, 0);
    w.lens.end(&w.report(EndReason::Aborted, Some(Side::Local)));
    w
}

pub fn refused() -> Wire {
    let mut w = Wire::new();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(8_400, Server, "RST ACK", 0, 1, 0);
    w
}

pub fn lost_last_ack() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(100_000, Client, "FIN ACK", 1, 1, 0);
    w.at(110_000, Server, "ACK", 1, 2, 0);
    w.at(111_000, Server, "FIN ACK", 1, 2, 0);
    w.at(111_030, Client, "ACK", 2, 2, 0);
    w.at(331_000, Server, "FIN ACK", 1, 2, 0);
    w.at(331_030, Client, "ACK", 2, 2, 0);
    w
}

/// The network says which segments it loses: a FIN, and the ACK of the other one.
pub fn lost_on_the_way() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.lost(100_000, Client, "FIN ACK", 1, 1, 0);
    w.at(110_000, Server, "PSH ACK", 1, 1, 10);
    w.at(110_500, Client, "ACK", 2, 11, 0);
    w.at(310_000, Client, "FIN ACK", 1, 11, 0);
    w.at(310_500, Server, "FIN ACK", 11, 2, 0);
    w.lost(311_000, Client, "ACK", 2, 12, 0);
    w.at(520_000, Server, "FIN ACK", 11, 2, 0);
    w.at(520_500, Client, "ACK", 2, 12, 0);
    w
}

pub fn unanswered() -> Wire {
    let mut w = Wire::new();
    for at in [0, 1_000_000, 3_000_000, 7_000_000] {
        w.at(at, Client, "SYN", 0, 0, 0);
    }
    w
}

pub fn ipv6() -> Wire {
    let mut w = Wire::between("[fd04::100]:40000", "[2606:2800:220:1:248:1893:25c8:1946]:443");
    w.open();
    w.gso_size = 1440;
    w.at(13_000, Client, "PSH ACK", 1, 1, 517);
    w.at(24_000, Server, "PSH ACK", 1, 518, 28_800);
    w.gso_size = 0;
    w.at(24_050, Client, "ACK", 518, 28_801, 0);
    w.at(25_000, Server, "FIN ACK", 28_801, 518, 0);
    w.at(25_060, Client, "ACK", 518, 28_802, 0);
    w.at(26_000, Client, "FIN ACK", 518, 28_802, 0);
    w.at(26_400, Server, "ACK", 28_802, 519, 0);
    w
}

pub fn loss() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    let sent = w.packet(Client, "PSH ACK", 1, 1, 73);
    w.icmp(12_700, IcmpError::PacketTooBig { mtu: 1400 }, &sent);
    // The second of five is missing here; the fourth and fifth come swapped.
    for (i, n) in [0, 2, 4, 3].into_iter().enumerate() {
        w.at(24_000 + i as u64 * 10, Server, "ACK", 1 + n * 1000, 74, 1000);
    }
    for i in 0..4 {
        w.at(24_100 + i, Client, "ACK", 74, 1001, 0);
    }
    w.at(30_000, Server, "ACK", 1001, 74, 1000);
    w.at(30_050, Client, "ACK", 74, 5001, 0);
    // A retransmission that was not needed.
    w.at(31_000, Server, "ACK", 4001, 74, 1000);
    w.at(31_050, Client, "ACK", 74, 5001, 0);
    w
}

pub fn slow_reader() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Server, "ACK", 1, 1, 30_000);
    w.window[0] = 0;
    w.at(13_000, Client, "ACK", 1, 30_001, 0);
    w.at(213_000, Server, "ACK", 30_000, 1, 0);
    w.at(213_040, Client, "ACK", 1, 30_001, 0);
    w.at(613_000, Server, "ACK", 30_000, 1, 0);
    w.at(613_040, Client, "ACK", 1, 30_001, 0);
    w.window[0] = 64_000;
    w.at(700_000, Client, "ACK", 1, 30_001, 0);
    w.at(711_000, Server, "PSH ACK", 30_001, 1, 1000);
    w.at(711_040, Client, "ACK", 1, 31_001, 0);
    w
}

pub fn keepalive() -> Wire {
    let mut w = Wire::new();
    w.open();
    for n in 1..=3 {
        w.at(n * 7_200_000_000, Client, "ACK", 0, 1, 0);
        w.at(n * 7_200_000_000 + 10_000, Server, "ACK", 1, 1, 0);
    }
    // The server is gone.
    for n in 0..9 {
        w.at(28_800_000_000 + n * 75_000_000, Client, "ACK", 0, 1, 0);
    }
    w.at(29_475_000_000, Client, "RST ACK", 1, 1, 0);
    w
}

pub fn unreachable() -> Wire {
    let mut w = Wire::new();
    w.at(0, Client, "SYN", 0, 0, 0);
    let syn = w.packet(Client, "SYN", 0, 0, 0);
    w.icmp(3_060_000, IcmpError::HostUnreachable, &syn);
    w
}

pub fn many_turns() -> Wire {
    let mut w = Wire::between("10.4.0.100:40000", "10.4.0.1:6379");
    w.open();
    for n in 0..10_000u32 {
        let at = 20_000 + u64::from(n) * 100;
        w.at(at, Client, "PSH ACK", 1 + n * 40, 1 + n * 13, 40);
        w.at(at + 40, Server, "PSH ACK", 1 + n * 13, 41 + n * 40, 13);
    }
    w.at(1_100_000, Client, "FIN ACK", 400_001, 130_001, 0);
    w.at(1_100_050, Server, "FIN ACK", 130_001, 400_002, 0);
    w.at(1_100_080, Client, "ACK", 400_002, 130_002, 0);
    w
}

pub fn data_after_close() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(20_000, Client, "FIN ACK", 74, 1, 0);
    w.at(30_000, Server, "ACK", 1, 75, 0);
    w.at(40_000, Server, "PSH ACK", 1, 75, 1460);
    w.at(40_030, Client, "RST", 75, 0, 0);
    w
}

pub fn challenge() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(100_000, Server, "PSH ACK", 1, 1, 1000);
    w.at(100_050, Client, "ACK", 1, 1001, 0);
    // Someone guesses; the client asks the server whether it meant that.
    w.at(200_000, Server, "RST", 2000, 0, 0);
    w.at(200_030, Client, "ACK", 1, 1001, 0);
    w.at(300_000, Server, "PSH ACK", 1001, 1, 1000);
    w.at(300_050, Client, "ACK", 1, 2001, 0);
    w
}

pub fn timed_out() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(100_000, Server, "PSH ACK", 1, 1, 1000);
    for n in 0..5 {
        w.at(300_000 + (200_000 << n), Server, "PSH ACK", 1, 1, 1000);
    }
    w.now = Duration::from_secs(924);
    let mut report = w.report(EndReason::RetransmissionTimeout, None);
    report.bytes_unsent = 1000;
    assert!(w.lens.end(&report));
    w
}

pub fn time_wait_assassinated() -> Wire {
    let mut w = three_waves();
    // An old duplicate of data makes the client answer; the server knows nothing any more.
    w.at(500_000, Server, "PSH ACK", 1, 74, 512);
    w.at(500_020, Client, "ACK", 75, 514, 0);
    w.at(500_400, Server, "RST", 514, 0, 0);
    w
}

pub fn mid_stream() -> Wire {
    let mut w = Wire::new();
    w.at(0, Server, "PSH ACK", 5000, 700, 1000);
    w.at(50, Client, "ACK", 700, 6000, 0);
    w.at(90_000, Server, "FIN ACK", 6000, 700, 0);
    w.at(90_040, Client, "FIN ACK", 700, 6001, 0);
    w.at(90_400, Server, "ACK", 6001, 701, 0);
    w
}

/// The server does not close; then it sends and gets no answer.
pub fn troubled() -> Wire {
    let mut w = Wire::new();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.at(24_050, Client, "FIN ACK", 74, 513, 0);
    w.at(24_070, Server, "ACK", 513, 75, 0);
    let leak = Warning::CloseWait {
        since: Duration::from_micros(24_060),
        last_call: UserCall::Send,
        last_call_at: Duration::from_micros(24_000),
    };
    let ends = (w.addrs[1], w.addrs[0]);
    assert!(w.lens.warning(Duration::from_micros(5_024_060), ends, leak));
    for at in [5_100_000, 5_300_000, 5_700_000, 6_500_000] {
        w.at(at, Server, "PSH ACK", 513, 75, 10);
    }
    let silence = Warning::Unanswered { retransmissions: 3, icmp_error: None };
    assert!(w.lens.warning(Duration::from_micros(6_500_010), ends, silence));
    w.at(7_000_000, Client, "ACK", 75, 523, 0);
    w.at(7_000_100, Server, "FIN ACK", 523, 75, 0);
    w.at(7_000_140, Client, "ACK", 75, 524, 0);
    w
}
