//! One engine, and a peer that is written by hand, a segment at a time.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::net::SocketAddr;

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{
    Config, ConnId, EndReason, Engine, Event, Instant, ListenOptions, ListenerId, PendingId,
};
use fourwave_net::{segment, transmit};
use fourwave_wire::ip::IpHeader;
use fourwave_wire::options::{FastOpen, TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader, verify_checksum};
use fourwave_wire::{Link, RawWindow, SeqNum, WindowScale};

pub const US: &str = "10.0.0.1:80";
pub const PEER: &str = "10.0.0.2:4000";
/// The peer's first sequence number.
pub const IRS: u32 = 7000;

/// One engine, and what it said last.
pub struct Bench {
    pub engine: Engine,
    pub now: Instant,
    pub listener: ListenerId,
    /// Our first sequence number, once it was seen.
    pub iss: SeqNum,
    pub timestamps: bool,
    pub sack: bool,
    /// What the peer's SYNs carry.
    pub fast_open: Option<FastOpen>,
    /// The window that the peer offers, before its scale of 2.
    pub window: u16,
}

/// What the engine sent.
#[derive(Debug)]
pub struct Sent {
    pub header: TcpHeader,
    pub payload: Vec<u8>,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        Self::with(config, false)
    }

    pub fn with(config: Config, deferred: bool) -> Self {
        let mut engine = Engine::new(config, Link::plain(1500), [7; 32]);
        let mut options = ListenOptions::port(80).with_backlog(2);
        options.deferred = deferred;
        let listener = engine.listen(options).unwrap();
        let now = Instant::from_micros(10_000_000);
        Self {
            engine,
            now,
            listener,
            iss: SeqNum::new(0),
            timestamps: false,
            sack: false,
            fast_open: None,
            window: 10_000,
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.engine.handle_timeout(self.now);
    }

    pub fn packets(&mut self) -> Vec<Vec<u8>> {
        transmit(&mut self.engine, self.now).map(|out| out.to_vec()).collect()
    }

    pub fn sent(&mut self) -> Vec<Sent> {
        let read = |packet: Vec<u8>| {
            let ip = IpHeader::parse(&packet).unwrap();
            let segment = &packet[ip.payload.clone()];
            assert!(verify_checksum(ip.src, ip.dst, segment));
            let (header, payload) = TcpHeader::parse(segment).unwrap();
            Sent { header, payload: segment[payload].to_vec() }
        };
        self.packets().into_iter().map(read).collect()
    }

    /// Exactly one segment was sent.
    pub fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub fn silence(&mut self) {
        let sent = self.sent();
        assert!(sent.is_empty(), "{sent:?}");
    }

    /// The challenge or duplicate ACK of the established connection.
    pub fn ack(&mut self, seq: u32, ack: u32) {
        let sent = self.one();
        assert_eq!(sent.header.flags, Flags::ACK);
        assert_eq!(sent.header.seq, self.iss + seq);
        assert_eq!(sent.header.ack, SeqNum::new(IRS) + ack);
    }

    pub fn raw(&mut self, from: SocketAddr, header: TcpHeader, payload: &[u8]) {
        let packet = segment(from, US.parse().unwrap(), header, payload);
        assert!(self.engine.handle_packet(self.now, &packet));
    }

    /// A segment of the peer; `seq` and `ack` are relative, 1 is the first byte.
    pub fn arrives(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
        self.arrives_at(flags, seq, ack, payload, None);
    }

    pub fn arrives_at(
        &mut self,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
        ts: Option<u32>,
    ) {
        let mut options = TcpOptions::default();
        if flags.syn() {
            options.mss = Some(1000);
            options.window_scale = Some(WindowScale::new(2));
            options.sack_permitted = self.sack;
            options.fast_open = self.fast_open;
        }
        if self.timestamps {
            options.timestamps = Some(Timestamps { value: ts.unwrap_or(100), echo: 0 });
        }
        let header = TcpHeader {
            seq: SeqNum::new(IRS) + seq,
            ack: self.iss + ack,
            flags,
            window: RawWindow(self.window),
            options,
            ..TcpHeader::default()
        };
        self.raw(PEER.parse().unwrap(), header, payload);
    }

    /// A passive open, up to ESTABLISHED.
    pub fn open(&mut self) -> ConnId {
        self.arrives(Flags::SYN, 0, 0, b"");
        let syn_ack = self.one();
        assert_eq!(syn_ack.header.flags, Flags::SYN | Flags::ACK);
        self.iss = syn_ack.header.seq;
        self.arrives(Flags::ACK, 1, 1, b"");
        let conn = self.engine.accept(self.now, self.listener).expect("accepted").conn;
        self.silence();
        conn
    }

    pub fn state(&self, conn: ConnId) -> State {
        self.engine.info(conn).unwrap().state
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    pub fn reason(&mut self) -> Option<EndReason> {
        self.events().into_iter().find_map(|event| match event {
            Event::Closed { report, .. } => Some(report.reason),
            _ => None,
        })
    }

    pub fn pending(&mut self) -> PendingId {
        let incoming = |event| match event {
            Event::Incoming { pending, .. } => Some(pending),
            _ => None,
        };
        self.events().into_iter().find_map(incoming).expect("a SYN was reported")
    }
}

pub fn config(settings: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    config
}
