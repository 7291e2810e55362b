//! What happens in one world, drawn from its seed before it starts: hosts, links, connections.

mod crowd;
mod draw;

use std::net::IpAddr;
use std::time::Duration;

use fourwave_core::{Config, Instant};
use fourwave_fault::{FaultConfig, Probability};
use fourwave_wire::Link;

use crate::dice::Dice;

/// How many of the worlds are crowds.
const CROWDS: f64 = 0.04;

/// A whole world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it was drawn from.
    pub seed: u64,
    /// The engines' time when the world begins.
    pub start: Instant,
    /// The hosts; one engine each.
    pub hosts: Vec<HostPlan>,
    /// One direction of a link each.
    pub pipes: Vec<PipePlan>,
    /// The connections.
    pub conns: Vec<ConnPlan>,
    /// Nothing but an end's own application breaks a connection off: TIME_WAIT is kept for its
    /// time, and no limit is small.
    pub strict: bool,
    /// Least time between two connections that one host opens.
    pub pace: Duration,
}

/// One engine.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Its knobs.
    pub config: Config,
    /// Its device.
    pub link: Link,
    /// Its secret.
    pub seed: [u8; 32],
    /// How its listener answers.
    pub listener: ListenerPlan,
    /// Packets that it takes before it sends.
    pub batch: usize,
    /// How late its timers are served.
    pub late: Duration,
}

/// A host's listener on [`LISTENS_ON`].
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// Connections that may wait for accept.
    pub backlog: usize,
    /// SYNs wait this long for a decision; `None`: the engine answers by itself.
    pub decides_after: Option<Duration>,
    /// The first decision about a SYN is to ignore it.
    pub ignores_first: bool,
    /// How long a connection waits for accept.
    pub accepts_after: Duration,
}

/// The port on which every host listens.
pub const LISTENS_ON: u16 = 80;
/// A port on which nobody listens.
pub const CLOSED_PORT: u16 = 81;

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct PipePlan {
    /// Index of the host that sends.
    pub from: usize,
    /// Index of the host that receives.
    pub to: usize,
    /// What happens on the way.
    pub faults: FaultConfig,
    /// Probability with which a super-packet is cut before the faults, so that they hit single
    /// segments.
    pub cut: f64,
    /// Larger packets do not get through; a router says so by ICMP. Every super-packet is cut.
    pub mtu: Option<u16>,
    /// From then on nothing gets through.
    pub dead_after: Option<Duration>,
}

/// How a connection opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// The client calls the server's listener.
    Ordinary,
    /// Both call each other.
    Simultaneous,
    /// Nobody listens where the client calls.
    Refused,
    /// As ordinary, on the four numbers of an earlier connection, once that is over.
    Again {
        /// Index of the earlier connection.
        of: usize,
        /// How long after its end.
        after: Duration,
    },
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnPlan {
    /// How it opens.
    pub open: Open,
    /// When, since the world began.
    pub start: Duration,
    /// Index into its hosts' addresses.
    pub family: usize,
    /// The client and the server.
    pub ends: [EndPlan; 2],
}

impl ConnPlan {
    /// Neither end does anything that keeps the other's bytes from arriving: it must end in
    /// order and complete.
    pub fn is_polite(&self) -> bool {
        self.open != Open::Refused && self.ends.iter().all(|end| end.finish.is_polite())
    }
}

/// What one end of a connection does.
#[derive(Clone, Debug)]
pub struct EndPlan {
    /// Index of its host.
    pub host: usize,
    /// Bytes that it sends.
    pub bytes: u64,
    /// Bytes of each write, from and to.
    pub chunk: (u64, u64),
    /// After a write, with this probability, a pause of up to so long.
    pub write_pause: (f64, Duration),
    /// Bytes of each read at most.
    pub read: u64,
    /// After a read, with this probability, a pause of up to so long.
    pub read_pause: (f64, Duration),
    /// The client writes before it is connected.
    pub early: bool,
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// Keepalive is on.
    pub keepalive: bool,
    /// It lets the peer close first, for this long.
    pub peer_first: Option<Duration>,
    /// `TCP_LINGER2`: how long it waits in FIN_WAIT_2 after close.
    pub linger2: Option<Duration>,
    /// `TCP_USER_TIMEOUT`.
    pub user_timeout: Option<Duration>,
    /// It closes only when the peer has all that it sent, the FIN too: the engine gives up what is
    /// left behind for a peer that reads too slowly.
    pub patient: bool,
    /// How it ends its part.
    pub finish: Finish,
    /// How long it waits before each step of that.
    pub finish_after: Duration,
}

/// How an end finishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Sends all, shuts down, reads to the end, closes.
    ShutdownThenDrain,
    /// Reads to the end, then sends all and closes.
    ReplyAfterEof,
    /// Sends all and reads to the end, in any order, then closes.
    CloseAtEnd,
    /// Sends all and closes, whatever comes from the peer.
    CloseAfterSend,
    /// The same with `SO_LINGER` 0.
    LingerAfterSend,
    /// Aborts when this many bytes were sent or received.
    AbortAfter(u64),
    /// Aborts this long after it was opened.
    AbortAt(Duration),
}

impl Finish {
    /// See [`ConnPlan::is_polite`].
    pub fn is_polite(self) -> bool {
        matches!(self, Self::ShutdownThenDrain | Self::ReplyAfterEof | Self::CloseAtEnd)
    }
}

/// What the command line fixes whatever the seed says.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Packets lost.
    pub loss: Option<Probability>,
    /// Packets that others overtake.
    pub reorder: Option<Probability>,
    /// Packets delivered twice.
    pub duplicate: Option<Probability>,
    /// Packets with a bit flipped.
    pub corrupt: Option<Probability>,
    /// How many connections there are; the first ones that the seed gives.
    pub conns: Option<usize>,
}

impl Plan {
    /// Whether it is a world of many hosts and many short connections.
    pub fn is_crowd(&self) -> bool {
        self.hosts.len() > 3
    }

    /// The world of a seed.
    pub fn new(seed: u64, overrides: &Overrides) -> Self {
        let is_crowd = Dice::new(seed, 2).chance(CROWDS);
        let mut plan = if is_crowd { crowd::plan(seed) } else { draw::few(seed) };
        for pipe in &mut plan.pipes {
            let faults = &mut pipe.faults;
            faults.loss = overrides.loss.unwrap_or(faults.loss);
            faults.reorder = overrides.reorder.unwrap_or(faults.reorder);
            faults.duplicate = overrides.duplicate.unwrap_or(faults.duplicate);
            faults.corrupt = overrides.corrupt.unwrap_or(faults.corrupt);
        }
        if let Some(conns) = overrides.conns {
            plan.conns.truncate(conns);
        }
        plan
    }
}
