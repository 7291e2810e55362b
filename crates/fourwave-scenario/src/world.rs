//! Hosts with an engine each, a network between them and a lens in its middle, in virtual time:
//! no clock, no I/O, no randomness but the seeds. Time jumps to whatever comes next.

use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};

use fourwave_core::error::ConnectError;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReport, Instant, Population, SocketOption};
use fourwave_lens::{Lens, LensOptions, Name, Names};
use fourwave_net::{Host, Network};
use fourwave_wire::Link;

use crate::failure::Failure;
use crate::middle::{Middle, PORT, clock, outside};

/// The host that opens connections, unless a scenario says otherwise.
pub(crate) const CLIENT: usize = 0;
/// The host that listens on port 80, unless a scenario says otherwise.
pub(crate) const SERVER: usize = 1;
/// Steps that no scenario needs: a world that takes more is stuck.
const MAX_STEPS: u64 = 20_000_000;

/// From a host to the middle of the network, and from there to the other.
const HALF_WAY: Duration = Duration::from_millis(5);

/// The hosts, what is between them, and the time.
pub(crate) struct World {
    net: Network<Middle>,
    pub(crate) names: Names,
}

impl Deref for World {
    type Target = Network<Middle>;

    fn deref(&self) -> &Self::Target {
        &self.net
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.net
    }
}

impl World {
    /// A client and a server, 20 ms of round trip apart.
    pub(crate) fn new(client: Config, server: Config) -> Self {
        let lens = Lens::new(LensOptions {
            time_wait: Duration::from_secs(client.tcp_timewait_len),
            rfc1337: client.tcp_rfc1337 == 1,
            // A scenario's end is the end of its connections' records.
            settle: Duration::from_secs(1_000_000),
            live: true,
            ..LensOptions::default()
        });
        let mut middle = Middle::default();
        (middle.lens, middle.narrators) = (Some(lens), vec![CLIENT]);
        let mut net = Network::new(Instant::ZERO, Vec::new(), middle);
        (net.access, net.delay) = (HALF_WAY, HALF_WAY);
        let mut world = Self { net, names: Names::default() };
        world.add("client", Ipv4Addr::new(192, 0, 2, 1), client, 1);
        world.add("server", Ipv4Addr::new(198, 51, 100, 7), server, 2);
        world.ends[SERVER].listen(PORT, 4096);
        world
    }

    /// One more host.
    pub(crate) fn add(&mut self, name: &str, ip: Ipv4Addr, config: Config, seed: u8) {
        let title = Name { title: format!("{name} {{}}"), word: format!("the {name}") };
        self.names.hosts.push((ip.into(), title));
        self.ends.push(Host::new(ip.into(), config, Link::plain(1500), seed));
    }

    /// What a host would send waits, so that what its application does now goes with it.
    pub(crate) fn hold_back(&mut self, host: usize) {
        self.ends[host].held_back = true;
    }

    /// It sends again.
    pub(crate) fn let_go(&mut self, host: usize) {
        self.ends[host].held_back = false;
        self.flush();
    }

    /// Nobody watches: for loads.
    pub(crate) fn unwatched(mut self) -> Self {
        self.filter.lens = None;
        self
    }

    /// The copies that the network kept come out of it now, with a word for the ladder.
    pub(crate) fn release_copies(&mut self, word: &str) {
        for (from, packet) in self.net.filter.take_copies(self.net.now, word) {
            self.inject(from, packet);
        }
    }

    /// What the network held up comes out of it now, in its order.
    pub(crate) fn release(&mut self) {
        for (from, packet) in self.net.filter.take_held() {
            self.inject(from, packet);
        }
    }

    /// Lets milliseconds pass.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.run_for(Duration::from_millis(ms));
    }

    /// Until nothing will ever happen again.
    pub(crate) fn run_to_the_end(&mut self) -> Result<(), Failure> {
        if self.until_idle(MAX_STEPS) {
            return Ok(());
        }
        Err(Failure::new("the world", "comes to rest", format!("still busy at {:?}", self.now)))
    }

    /// Opens a connection from `host` to the server, from a port of the engine's choice (0) or a
    /// given one.
    pub(crate) fn connect(&mut self, host: usize, port: u16) -> Result<ConnId, ConnectError> {
        let conn = self.net.connect((host, port), (SERVER, PORT));
        self.flush();
        conn
    }

    /// The next connection that waits at a server.
    pub(crate) fn accept(&mut self, host: usize) -> Option<ConnId> {
        let accepted = self.net.ends[host].accept(self.net.now);
        self.flush();
        accepted
    }

    /// A connection that is open on both ends, and nothing on its way any more.
    pub(crate) fn open_from(&mut self, port: u16) -> Result<(ConnId, ConnId), Failure> {
        let client = self.connect(CLIENT, port).map_err(|error| failed("connect", &error))?;
        self.run_for(HALF_WAY * 8);
        let server = self.accept(SERVER).ok_or_else(|| {
            Failure::new("the server's queue", "an open connection", "none".to_owned())
        })?;
        Ok((client, server))
    }

    /// As [`open_from`](Self::open_from), from any port.
    pub(crate) fn open(&mut self) -> Result<(ConnId, ConnId), Failure> {
        self.open_from(0)
    }

    /// Queues all of `data`, letting time pass where there is no space.
    pub(crate) fn send(&mut self, host: usize, conn: ConnId, data: &[u8]) -> Result<(), Failure> {
        match self.net.send(host, conn, data) {
            Ok(queued) if queued == data.len() => Ok(()),
            Ok(_) => Err(Failure::new("send", "space in the queue", "none ever".to_owned())),
            Err(error) => Err(failed("send", &error)),
        }
    }

    /// Closes the sending direction.
    pub(crate) fn shutdown(&mut self, host: usize, conn: ConnId) -> Result<(), Failure> {
        let done = self.net.ends[host].engine.shutdown(self.net.now, conn);
        self.flush();
        done.map_err(|error| failed("shutdown", &error))
    }

    /// Gives the handle back.
    pub(crate) fn close(&mut self, host: usize, conn: ConnId) -> Result<(), Failure> {
        let done = self.net.ends[host].engine.close(self.net.now, conn);
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
        let done = self.net.ends[host].engine.set_option(self.net.now, conn, option);
        done.map_err(|error| failed("set_option", &error))
    }

    /// A connection's state; CLOSED when the engine has none under that name.
    pub(crate) fn state(&self, host: usize, conn: ConnId) -> State {
        self.ends[host].engine.info(conn).map_or(State::Closed, |info| info.state)
    }

    /// How a connection ended.
    pub(crate) fn report(&self, host: usize, conn: ConnId) -> Result<EndReport, Failure> {
        let report = self.ends[host].report(conn).cloned();
        report.ok_or_else(|| Failure::new("the connection", "ended", "it is alive".to_owned()))
    }

    /// What is alive on a host.
    pub(crate) fn population(&self, host: usize) -> Population {
        self.ends[host].engine.population()
    }

    /// A word for the ladder of `conn`, as `host` sees it.
    pub(crate) fn note(&mut self, host: usize, conn: ConnId, word: &str) {
        let end = &self.ends[host];
        let info = end.engine.info(conn).ok().map(|info| (info.local, info.remote));
        let ended = || end.report(conn).map(|report| (report.local, report.remote));
        let Some((local, remote)) = info.or_else(ended) else {
            debug_assert!(false, "a note on a connection that is unknown: {word}");
            return;
        };
        let (at, local) = (clock(self.now), outside(&self.filter.nat, local));
        if let Some(lens) = &mut self.filter.lens {
            let noted = lens.note(at, (local, remote), word);
            debug_assert!(noted, "a note on a connection that the lens does not watch: {word}");
        }
    }
}

/// A call that a scenario needs to succeed did not.
fn failed(call: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(call, "done", error.to_string())
}
