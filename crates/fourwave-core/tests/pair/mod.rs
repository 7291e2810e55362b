//! Two engines on the virtual network, for tests: whatever a call answers must be success.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::ops::{Deref, DerefMut};

use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, Instant, Population};
pub use fourwave_net::Way;
use fourwave_net::{Host, Network};
use fourwave_wire::Link;

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// Says of a packet of an end what becomes of it.
type Filter = Box<dyn FnMut(usize, &[u8]) -> Way>;

/// The two ends, the second one listening on port 80.
pub struct Pair(Network<Filter>);

impl Deref for Pair {
    type Target = Network<Filter>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Pair {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Config::default(), Config::default(), Link::plain(1500))
    }

    pub fn with(client: Config, server: Config, link: Link) -> Self {
        Self::with_addresses(client, server, link, ["10.0.0.1", "10.0.0.2"])
    }

    pub fn with_addresses(client: Config, server: Config, link: Link, ips: [&str; 2]) -> Self {
        let client = Host::new(ips[CLIENT].parse().unwrap(), client, link, 1);
        let mut server = Host::new(ips[SERVER].parse().unwrap(), server, link, 2);
        server.listen(80, 128);
        let (start, filter) = (Instant::from_micros(1_000_000), Box::new(|_, _: &[u8]| Way::Pass));
        Self(Network::new(start, vec![client, server], filter))
    }

    pub fn run_for(&mut self, time: Duration) {
        self.0.run_for(time);
    }

    /// Until nothing will ever happen again; panics when that takes more steps than it should.
    pub fn run_until_idle(&mut self) {
        assert!(self.until_idle(2_000_000), "still busy at {:?}", self.now);
    }

    pub fn connect(&mut self) -> ConnId {
        self.0.connect((CLIENT, 0), (SERVER, 80)).unwrap()
    }

    /// A connection that is open on both ends.
    pub fn open(&mut self) -> (ConnId, ConnId) {
        let client = self.connect();
        self.run_for(self.delay * 4);
        let now = self.now;
        (client, self.ends[SERVER].accept(now).expect("accepted"))
    }

    /// Queues all of `data`, running the link where there is no room.
    pub fn send(&mut self, end: usize, conn: ConnId, data: &[u8]) {
        assert_eq!(self.0.send(end, conn, data), Ok(data.len()), "no room, and nothing happens");
    }

    /// Everything that can be read now.
    pub fn read(&mut self, end: usize, conn: ConnId) -> Vec<u8> {
        self.0.read(end, conn).0
    }

    pub fn state(&self, end: usize, conn: ConnId) -> fourwave_core::state::State {
        self.ends[end].engine.info(conn).unwrap().state
    }

    pub fn shutdown(&mut self, end: usize, conn: ConnId) {
        let now = self.now;
        self.ends[end].engine.shutdown(now, conn).unwrap();
        self.flush();
    }

    pub fn close(&mut self, end: usize, conn: ConnId) {
        let now = self.now;
        self.ends[end].engine.close(now, conn).unwrap();
        self.flush();
    }

    /// Nothing is left of any connection: no record, no deadline, no entry.
    pub fn assert_empty(&self) {
        for end in &self.ends {
            assert_eq!(end.engine.population(), Population::default());
        }
    }
}

/// A text that is easy to check: byte `i` is a function of `i`.
pub fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Loses `lost` packets in a thousand by a xorshift generator, but no SYN: a handshake is no round
/// of data.
pub fn lossy(lost: u64, mut state: u64) -> impl FnMut(usize, &[u8]) -> Way {
    move |_, packet| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let is_syn = packet[20 + 13] & 2 != 0;
        if !is_syn && state % 1000 < lost { Way::Drop } else { Way::Pass }
    }
}

/// Connections from the client that send as much as goes.
pub struct Flows {
    /// Both ends of each.
    pub conns: Vec<(ConnId, ConnId)>,
    /// Bytes that arrived of each.
    pub got: Vec<u64>,
}

impl Flows {
    /// `flows` of them for `time`, each opened `gap` after the one before it; `each` sees what
    /// arrived after each `step`.
    pub fn run(
        pair: &mut Pair,
        (flows, gap): (usize, Duration),
        time: Duration,
        step: Duration,
        mut each: impl FnMut(&Pair, &[u64]),
    ) -> Self {
        let data = bytes::Bytes::from(text(1 << 20));
        let mut run = Self { conns: Vec::new(), got: Vec::new() };
        let (begin, mut opened) = (pair.now, Vec::new());
        while pair.now.since(begin) < time {
            let due = gap * opened.len() as u32 <= pair.now.since(begin);
            if opened.len() < flows && due {
                opened.push(pair.connect());
            }
            // A full queue holds up the handshake too.
            let now = pair.now;
            if let Some(server) = pair.ends[SERVER].accept(now) {
                run.conns.push((opened[run.conns.len()], server));
                run.got.push(0);
            }
            for (at, &(client, server)) in run.conns.iter().enumerate() {
                let now = pair.now;
                pair.ends[CLIENT].engine.send(now, client, &mut data.clone()).unwrap();
                run.got[at] += pair.read(SERVER, server).len() as u64;
            }
            pair.run_for(step);
            each(pair, &run.got);
        }
        run
    }
}

/// Jain's index: 1 where all get the same, the share of one where one gets all.
pub fn jain(got: &[u64]) -> f64 {
    let (sum, squares) = got.iter().fold((0.0, 0.0), |(sum, squares), &n| {
        let n = n as f64;
        (sum + n, squares + n * n)
    });
    sum * sum / (got.len() as f64 * squares)
}
