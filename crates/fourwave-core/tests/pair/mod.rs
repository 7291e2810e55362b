//! Two engines and a link between them in virtual time: no clock, no I/O, no randomness but the
//! seed. Time jumps to whatever comes next.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReport, Event, Instant, Listen, Stack};
use fourwave_wire::{Link, RxChecksum, RxPacket, TxChecksum, TxPacket};

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// What a filter says about a packet on the link.
pub enum Way {
    Pass,
    Drop,
}

type Filter = Box<dyn FnMut(usize, &[u8]) -> Way>;

/// One end.
pub struct End {
    pub stack: Stack,
    pub ip: std::net::IpAddr,
    pub events: Vec<Event>,
    pub reports: Vec<EndReport>,
}

/// The harness.
pub struct Pair {
    pub now: Instant,
    pub delay: Duration,
    pub ends: [End; 2],
    pub listener: fourwave_core::ListenerId,
    wire: VecDeque<(Instant, usize, RxPacket)>,
    pub filter: Filter,
    pub packets: u64,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Config::default(), Config::default(), Link::plain(1500))
    }

    pub fn with(client: Config, server: Config, link: Link) -> Self {
        Self::with_addresses(client, server, link, ["10.0.0.1", "10.0.0.2"])
    }

    pub fn with_addresses(client: Config, server: Config, link: Link, ips: [&str; 2]) -> Self {
        let end = |config, seed: u8, ip: &str| End {
            stack: Stack::new(config, link, [seed; 32]),
            ip: ip.parse().unwrap(),
            events: Vec::new(),
            reports: Vec::new(),
        };
        let mut ends = [end(client, 1, ips[0]), end(server, 2, ips[1])];
        let options = Listen { address: None, port: Some(80), deferred: false, backlog: 128 };
        let listener = ends[SERVER].stack.listen(options).unwrap();
        Self {
            now: Instant::from_micros(1_000_000),
            delay: Duration::from_millis(10),
            ends,
            listener,
            wire: VecDeque::new(),
            filter: Box::new(|_, _| Way::Pass),
            packets: 0,
        }
    }

    /// Puts what the engines want to send on the link, and takes their events.
    fn flush(&mut self) {
        let mut out = TxPacket::default();
        for from in [CLIENT, SERVER] {
            while self.ends[from].stack.poll_transmit(self.now, &mut out) {
                let bytes = out.to_vec();
                assert_eq!(bytes.len(), out.meta.len);
                self.packets += 1;
                if matches!((self.filter)(from, &bytes), Way::Drop) {
                    continue;
                }
                let checksum = match out.meta.checksum {
                    TxChecksum::Complete => RxChecksum::Unverified,
                    TxChecksum::Partial { .. } => RxChecksum::Trusted,
                };
                let packet =
                    RxPacket { bytes: bytes.into(), gso_size: out.meta.gso_size, checksum };
                self.wire.push_back((self.now + self.delay, 1 - from, packet));
            }
            let end = &mut self.ends[from];
            while let Some(event) = end.stack.poll_event() {
                if let Event::Closed { report, .. } = &event {
                    end.reports.push((**report).clone());
                }
                end.events.push(event);
            }
        }
    }

    /// Goes to the next thing that happens. False when nothing ever will.
    pub fn step(&mut self) -> bool {
        self.flush();
        let timers = self.ends.iter().filter_map(|e| e.stack.poll_timeout());
        let wire = self.wire.front().map(|(at, ..)| *at);
        let Some(next) = timers.chain(wire).min() else { return false };
        self.now = self.now.max(next);
        while self.wire.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, to, packet) = self.wire.pop_front().unwrap();
            assert!(self.ends[to].stack.handle_packet(self.now, &packet));
        }
        for end in &mut self.ends {
            if end.stack.poll_timeout().is_some_and(|at| at <= self.now) {
                end.stack.handle_timeout(self.now);
            }
        }
        self.flush();
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.flush();
        while self.next_time().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
        self.flush();
    }

    /// Until nothing will ever happen again; panics when that takes more steps than it should.
    pub fn run_until_idle(&mut self) {
        for _ in 0..2_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("still busy at {:?}", self.now);
    }

    fn next_time(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(|e| e.stack.poll_timeout());
        timers.chain(self.wire.front().map(|(at, ..)| *at)).min()
    }

    pub fn address(&self, end: usize, port: u16) -> SocketAddr {
        (self.ends[end].ip, port).into()
    }

    pub fn connect(&mut self) -> ConnId {
        let (local, remote) = (self.address(CLIENT, 0), self.address(SERVER, 80));
        let now = self.now;
        self.ends[CLIENT].stack.connect(now, local, remote).unwrap()
    }

    /// A connection that is open on both ends.
    pub fn open(&mut self) -> (ConnId, ConnId) {
        let client = self.connect();
        self.run_for(self.delay * 4);
        let now = self.now;
        let accepted = self.ends[SERVER].stack.accept(now, self.listener).expect("accepted");
        (client, accepted.conn)
    }

    /// Queues all of `data`, running the link where there is no room.
    pub fn send(&mut self, end: usize, conn: ConnId, data: &[u8]) {
        let mut data = Bytes::copy_from_slice(data);
        while !data.is_empty() {
            let now = self.now;
            if self.ends[end].stack.send(now, conn, &mut data).unwrap() == 0 {
                assert!(self.step(), "no room, and nothing happens");
            }
        }
        self.flush();
    }

    /// Everything that can be read now.
    pub fn read(&mut self, end: usize, conn: ConnId) -> Vec<u8> {
        let mut all = Vec::new();
        let now = self.now;
        while let Ok(data) = self.ends[end].stack.receive(now, conn, usize::MAX) {
            if data.is_empty() {
                break;
            }
            all.extend_from_slice(&data);
        }
        self.flush();
        all
    }

    pub fn state(&self, end: usize, conn: ConnId) -> fourwave_core::state::State {
        self.ends[end].stack.info(conn).unwrap().state
    }

    pub fn shutdown(&mut self, end: usize, conn: ConnId) {
        let now = self.now;
        self.ends[end].stack.shutdown(now, conn).unwrap();
        self.flush();
    }

    pub fn close(&mut self, end: usize, conn: ConnId) {
        let now = self.now;
        self.ends[end].stack.close(now, conn).unwrap();
        self.flush();
    }

    /// Nothing is left of any connection: no record, no deadline, no entry.
    pub fn assert_empty(&self) {
        for end in &self.ends {
            assert_eq!(end.stack.population(), fourwave_core::Population::default());
        }
    }
}

/// A text that is easy to check: byte `i` is a function of `i`.
pub fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
