//! Hosts with an engine each, a network between them and a lens in its middle, in virtual time:
//! no clock, no I/O, no randomness but the seeds. Time jumps to whatever comes next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use fourwave_core::error::ConnectError;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReport, Event, Instant, Listen, ListenerId, SocketOption};
use fourwave_core::{Population, Stack};
use fourwave_lens::{Lens, LensOptions, Name, Names};
use fourwave_wire::{Link, RxPacket, TxPacket};

use crate::failure::Failure;
use crate::nat::Nat;
use crate::network::{Network, Passage, Segment};

/// The host that opens connections, unless a scenario says otherwise.
pub(crate) const CLIENT: usize = 0;
/// The host that listens on port 80, unless a scenario says otherwise.
pub(crate) const SERVER: usize = 1;
/// Where servers listen.
pub(crate) const PORT: u16 = 80;
/// Steps that no scenario needs: a world that takes more is stuck.
const MAX_STEPS: u64 = 20_000_000;

/// A machine with a TCP.
pub(crate) struct Host {
    name: &'static str,
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Its engine.
    pub(crate) stack: Stack,
    /// What the engine told and nobody took, ends of connections aside.
    pub(crate) events: Vec<Event>,
    /// How its connections ended, in order.
    pub(crate) reports: Vec<(ConnId, EndReport)>,
    listener: Option<ListenerId>,
    behind_nat: bool,
    /// It sends nothing: its application is about to act in the same moment.
    held_back: bool,
}

/// A packet on its way, by time and then by the order in which it set out.
struct Moving {
    at: Instant,
    order: u64,
    packet: Bytes,
    /// The lens was passed and the network has had its say.
    past_middle: bool,
}

impl PartialEq for Moving {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Moving {}

impl PartialOrd for Moving {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moving {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The hosts, what is between them, and the time.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    /// What the network does beside delivering.
    pub(crate) network: Network,
    /// Rewrites addresses of the hosts behind it.
    pub(crate) nat: Option<Nat>,
    /// None when nobody looks: loads of many connections.
    pub(crate) lens: Option<Lens>,
    /// What the lens saw, lost or not.
    pub(crate) passed: Vec<(Duration, Bytes)>,
    /// Whose word on a connection's end stands in the ladder; of two, the later one.
    pub(crate) narrators: Vec<usize>,
    /// From one host to the other.
    pub(crate) delay: Duration,
    pub(crate) names: Names,
    moving: BinaryHeap<Reverse<Moving>>,
    order: u64,
    steps: u64,
}

impl World {
    /// A client and a server, 20 ms of round trip apart.
    pub(crate) fn new(client: Config, server: Config) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            hosts: Vec::new(),
            network: Network::default(),
            nat: None,
            lens: Some(Lens::new(LensOptions {
                time_wait: Duration::from_secs(client.tcp_timewait_len),
                rfc1337: client.tcp_rfc1337 == 1,
                // A scenario's end is the end of its connections' stories.
                settle: Duration::from_secs(1_000_000),
                live: true,
                ..LensOptions::default()
            })),
            passed: Vec::new(),
            narrators: vec![CLIENT],
            delay: Duration::from_millis(10),
            names: Names::default(),
            moving: BinaryHeap::new(),
            order: 0,
            steps: 0,
        };
        world.add("client", Ipv4Addr::new(192, 0, 2, 1), client, 1);
        world.add("server", Ipv4Addr::new(198, 51, 100, 7), server, 2);
        world.listen(SERVER);
        world
    }

    /// One more host.
    pub(crate) fn add(&mut self, name: &'static str, ip: Ipv4Addr, config: Config, seed: u8) {
        let title = Name { title: format!("{name} {{}}"), word: format!("the {name}") };
        self.names.hosts.push((ip.into(), title));
        self.hosts.push(Host {
            name,
            ip: ip.into(),
            stack: Stack::new(config, Link::plain(1500), [seed; 32]),
            events: Vec::new(),
            reports: Vec::new(),
            listener: None,
            behind_nat: false,
            held_back: false,
        });
    }

    /// Puts a host behind the NAT.
    pub(crate) fn put_behind_nat(&mut self, host: usize) {
        self.hosts[host].behind_nat = true;
    }

    /// What a host would send waits, so that what its application does now goes with it.
    pub(crate) fn hold_back(&mut self, host: usize) {
        self.hosts[host].held_back = true;
    }

    /// It sends again.
    pub(crate) fn let_go(&mut self, host: usize) {
        self.hosts[host].held_back = false;
        self.flush();
    }

    fn listen(&mut self, host: usize) {
        let options = Listen { address: None, port: Some(PORT), deferred: false, backlog: 4096 };
        self.hosts[host].listener = self.hosts[host].stack.listen(options).ok();
    }

    /// Nobody watches: for loads.
    pub(crate) fn unwatched(mut self) -> Self {
        self.lens = None;
        self
    }

    /// Time since the beginning.
    pub(crate) fn clock(&self) -> Duration {
        self.now.since(Instant::ZERO)
    }

    /// Puts what the engines want to send on the way, and takes their events.
    pub(crate) fn flush(&mut self) {
        let mut out = TxPacket::default();
        for host in 0..self.hosts.len() {
            while !self.hosts[host].held_back
                && self.hosts[host].stack.poll_transmit(self.now, &mut out)
            {
                let mut packet = out.to_vec();
                if self.hosts[host].behind_nat
                    && let Some(nat) = &mut self.nat
                {
                    nat.outward(host, &mut packet);
                }
                self.set_out(self.delay / 2, packet.into(), false);
            }
            self.take_events(host);
        }
    }

    fn set_out(&mut self, after: Duration, packet: Bytes, past_middle: bool) {
        self.order += 1;
        let (at, order) = (self.now + after, self.order);
        self.moving.push(Reverse(Moving { at, order, packet, past_middle }));
    }

    fn take_events(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        while let Some(event) = host.stack.poll_event() {
            let Event::Closed { conn, mut report } = event else {
                host.events.push(event);
                continue;
            };
            host.reports.push((conn, (*report).clone()));
            if let Some(outside) = self.nat.as_ref().and_then(|nat| nat.outside(report.local)) {
                report.local = outside;
            }
            if self.narrators.contains(&at)
                && let Some(lens) = &mut self.lens
            {
                lens.end(&report);
            }
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter_map(|host| host.stack.poll_timeout());
        timers.chain(self.moving.peek().map(|Reverse(moving)| moving.at)).min()
    }

    /// Goes to the next thing that happens. False when nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        self.flush();
        let Some(next) = self.next_time() else { return false };
        self.now = self.now.max(next);
        self.steps += 1;
        while self.moving.peek().is_some_and(|Reverse(moving)| moving.at <= self.now) {
            let Some(Reverse(moving)) = self.moving.pop() else { break };
            if moving.past_middle {
                self.arrive(moving.packet);
            } else {
                self.pass(moving.packet);
            }
        }
        for host in &mut self.hosts {
            if host.stack.poll_timeout().is_some_and(|at| at <= self.now) {
                host.stack.handle_timeout(self.now);
            }
        }
        self.flush();
        true
    }

    /// A packet is in the middle: the lens sees it and the network decides.
    fn pass(&mut self, packet: Bytes) {
        let at = self.clock();
        let Some(segment) = Segment::read(&packet) else { return };
        let passage = self.network.decide(&segment, &packet);
        if let Some(lens) = &mut self.lens {
            self.passed.push((at, packet.clone()));
            // What belongs to no connection has no ladder.
            let _stray = match passage {
                Passage::Lose => lens.observe_lost(at, &packet, packet.len(), 0),
                _ => lens.observe(at, &packet, packet.len(), 0),
            };
            if let Some(word) = passage.word() {
                lens.note(at, (segment.from, segment.to), word);
            }
        }
        match passage {
            Passage::Deliver(_) => self.set_out(self.delay / 2, packet, true),
            Passage::Lose => {}
        }
    }

    fn arrive(&mut self, packet: Bytes) {
        let Some(segment) = Segment::read(&packet) else { return };
        let mut packet = packet.to_vec();
        let inward = self.nat.as_ref().and_then(|nat| nat.inward(&mut packet));
        let by_address = || self.hosts.iter().position(|host| host.ip == segment.to.ip());
        let Some(host) = inward.or_else(by_address) else { return };
        let packet = RxPacket { bytes: packet.into(), ..RxPacket::default() };
        self.hosts[host].stack.handle_packet(self.now, &packet);
    }

    /// The copies that the network kept come out of it now, with a word for the ladder.
    pub(crate) fn release_copies(&mut self, word: &str) {
        let at = self.clock();
        for packet in self.network.take_copies() {
            if let (Some(lens), Some(segment)) = (&mut self.lens, Segment::read(&packet)) {
                lens.note(at, (segment.from, segment.to), word);
            }
            self.set_out(Duration::ZERO, packet, false);
        }
    }

    /// Goes to the next thing that happens, at `end` at the latest.
    pub(crate) fn step_until(&mut self, end: Instant) {
        self.flush();
        if self.next_time().is_some_and(|at| at <= end) {
            self.step();
        } else {
            self.now = end;
        }
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.flush();
        while self.next_time().is_some_and(|at| at <= end) && self.steps < MAX_STEPS {
            self.step();
        }
        self.now = end;
        self.flush();
    }

    /// Lets milliseconds pass.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Until nothing will ever happen again.
    pub(crate) fn run_to_the_end(&mut self) -> Result<(), Failure> {
        while self.steps < MAX_STEPS {
            if !self.step() {
                return Ok(());
            }
        }
        Err(Failure::new("the world", "comes to rest", format!("still busy at {:?}", self.now)))
    }

    /// Opens a connection from `host` to the server, from a port of the engine's choice (0) or a
    /// given one.
    pub(crate) fn connect(&mut self, host: usize, port: u16) -> Result<ConnId, ConnectError> {
        let local = SocketAddr::new(self.hosts[host].ip, port);
        let remote = SocketAddr::new(self.hosts[SERVER].ip, PORT);
        let conn = self.hosts[host].stack.connect(self.now, local, remote);
        self.flush();
        conn
    }

    /// The next connection that waits at a server.
    pub(crate) fn accept(&mut self, host: usize) -> Option<ConnId> {
        let listener = self.hosts[host].listener?;
        let accepted = self.hosts[host].stack.accept(self.now, listener);
        self.flush();
        accepted.map(|accepted| accepted.conn)
    }

    /// A connection that is open on both ends, and nothing on its way any more.
    pub(crate) fn open_from(&mut self, port: u16) -> Result<(ConnId, ConnId), Failure> {
        let client = self.connect(CLIENT, port).map_err(|error| failed("connect", &error))?;
        self.run(self.delay * 4);
        let server = self.accept(SERVER).ok_or_else(|| {
            Failure::new("the server's queue", "an open connection", "none".to_owned())
        })?;
        Ok((client, server))
    }

    /// As [`open_from`](Self::open_from), from any port.
    pub(crate) fn open(&mut self) -> Result<(ConnId, ConnId), Failure> {
        self.open_from(0)
    }

    /// Queues all of `data`, letting time pass where there is no room.
    pub(crate) fn send(&mut self, host: usize, conn: ConnId, data: &[u8]) -> Result<(), Failure> {
        let mut data = Bytes::copy_from_slice(data);
        while !data.is_empty() {
            let sent = self.hosts[host].stack.send(self.now, conn, &mut data);
            if sent.map_err(|error| failed("send", &error))? == 0 && !self.step() {
                return Err(Failure::new("send", "room in the queue", "none ever".to_owned()));
            }
        }
        self.flush();
        Ok(())
    }

    /// Everything that can be read now, and whether the stream's end was reached.
    pub(crate) fn read(&mut self, host: usize, conn: ConnId) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        let mut end = false;
        while let Ok(data) = self.hosts[host].stack.receive(self.now, conn, usize::MAX) {
            if data.is_empty() {
                end = true;
                break;
            }
            all.extend_from_slice(&data);
        }
        self.flush();
        (all, end)
    }

    /// Closes the sending direction.
    pub(crate) fn shutdown(&mut self, host: usize, conn: ConnId) -> Result<(), Failure> {
        let done = self.hosts[host].stack.shutdown(self.now, conn);
        self.flush();
        done.map_err(|error| failed("shutdown", &error))
    }

    /// Gives the handle back.
    pub(crate) fn close(&mut self, host: usize, conn: ConnId) -> Result<(), Failure> {
        let done = self.hosts[host].stack.close(self.now, conn);
        self.flush();
        done.map_err(|error| failed("close", &error))
    }

    /// Sets an option of a connection.
    pub(crate) fn set(
        &mut self,
        host: usize,
        conn: ConnId,
        option: SocketOption,
    ) -> Result<(), Failure> {
        let done = self.hosts[host].stack.set_option(self.now, conn, option);
        done.map_err(|error| failed("set_option", &error))
    }

    /// A connection's state; CLOSED when the engine has none under that name.
    pub(crate) fn state(&self, host: usize, conn: ConnId) -> State {
        self.hosts[host].stack.info(conn).map_or(State::Closed, |info| info.state)
    }

    /// How a connection ended.
    pub(crate) fn report(&self, host: usize, conn: ConnId) -> Result<EndReport, Failure> {
        let host = &self.hosts[host];
        let report = host.reports.iter().find(|(of, _)| *of == conn).map(|(_, report)| report);
        report.cloned().ok_or_else(|| {
            Failure::new(&format!("the {}'s connection", host.name), "ended", "alive".to_owned())
        })
    }

    /// What is alive on a host.
    pub(crate) fn population(&self, host: usize) -> Population {
        self.hosts[host].stack.population()
    }

    /// A word for the ladder of `conn`, as `host` sees it.
    pub(crate) fn note(&mut self, host: usize, conn: ConnId, word: &str) {
        let at = self.clock();
        let host = &self.hosts[host];
        let info = host.stack.info(conn).ok().map(|info| (info.local, info.remote));
        let report = host.reports.iter().find(|(of, _)| *of == conn);
        let Some((local, remote)) = info.or(report.map(|(_, r)| (r.local, r.remote))) else {
            debug_assert!(false, "a note on a connection that is unknown: {word}");
            return;
        };
        let outside = self.nat.as_ref().and_then(|nat| nat.outside(local));
        if let Some(lens) = &mut self.lens {
            let noted = lens.note(at, (outside.unwrap_or(local), remote), word);
            debug_assert!(noted, "a note on a connection that the lens does not watch: {word}");
        }
    }
}

/// A call that a scenario needs to succeed did not.
fn failed(call: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(call, "done", error.to_string())
}
