//! The engine's boundary: what goes in and comes out, and nothing clever.
//!
//! | direction | file |
//! | --- | --- |
//! | a packet in | [`input`] |
//! | a packet out | [`output`] |
//! | the user calls | [`calls`] |
//! | Fast Open, both ways | [`fast`] |
//! | time, and the end of connections | [`lifetime`] |
//! | the budget of all buffers | [`memory`] |

mod calls;
mod fast;
#[cfg(feature = "model")]
mod fingerprint;
mod input;
mod lifetime;
mod memory;
mod output;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;

use fourwave_wire::Link;

use crate::config::Config;
use crate::conn::{Connection, Ctx, Signals};
use crate::counters::Counters;
use crate::demux::{Demux, Directory, FourTuple, Target};
use crate::event::{ConnId, Event, ListenerId, PendingId};
use crate::fast_open::{Cookies, FastOpenKeys};
use crate::half_open::HalfOpens;
use crate::hosts::Hosts;
use crate::limit::PerSecond;
use crate::listener::Listeners;
use crate::memory::Memory;
use crate::ports::Ports;
use crate::secret::Secret;
use crate::slab::Slab;
use crate::state::State;
use crate::time::Instant;
use crate::time_wait::TimeWaits;
use crate::timers::Timers;
use output::Ready;

/// The records of all three sizes, and the keys by which they are found.
#[derive(Clone)]
struct Records {
    conns: Slab<Box<Connection>>,
    half_open: HalfOpens,
    time_wait: TimeWaits,
    secret: Secret,
}

impl Directory for Records {
    fn hash(&self, tuple: &FourTuple) -> u64 {
        self.secret.demux(tuple)
    }

    fn tuple(&self, target: Target) -> Option<FourTuple> {
        match target {
            Target::Connection(i) => Some(self.conns.get(i)?.tuple),
            Target::HalfOpen(i) => Some(self.half_open.get(i)?.tuple),
            Target::TimeWaitV4(_) | Target::TimeWaitV6(_) => self.time_wait.tuple(target),
        }
    }
}

/// Something that waits in [`Engine::poll_event`].
#[derive(Clone)]
enum Queued {
    /// A connection with signals.
    Conn(u32),
    /// An event as it is.
    Event(Event),
}

/// A TCP for many connections: packets, calls and time in; packets, events and deadlines out.
///
/// Sans-I/O: after each call, [`poll_transmit`](Self::poll_transmit) until it is idle,
/// [`poll_event`](Self::poll_event) until it is empty, and call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says. The
/// work for a packet or a call does not depend on how many connections there are.
///
/// A clone is a second engine in the same state: it does the same when it is given the same.
/// O(records); for checkers and simulations that go back.
#[derive(Clone)]
pub struct Engine {
    config: Config,
    link: Link,
    demux: Demux,
    records: Records,
    listeners: Listeners,
    timers: Timers,
    ready: VecDeque<Ready>,
    /// Replies in `ready`: those have a bound, everything else is bounded by the records.
    replies: usize,
    events: VecDeque<Queued>,
    counters: Counters,
    challenges: PerSecond,
    orphans: usize,
    /// What all buffers hold.
    memory: Memory,
    /// Where the search for out-of-order data that may go stands.
    hand: u32,
    ports: Ports,
    /// What `tcp_tw_recycle` remembers of each host.
    hosts: Hosts,
    /// Fast Open: what listeners make cookies from, and the cookies that peers gave us.
    fast_open_keys: FastOpenKeys,
    cookies: Cookies,
    /// Somebody wants to hear of each step of a sender.
    watches_senders: bool,
}

/// A connection handed out by [`Engine::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The connection.
    pub conn: ConnId,
    /// The name its SYN had, when the listener defers.
    pub pending: Option<PendingId>,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// How many of each size are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Population {
    /// Half-open records.
    pub half_open: usize,
    /// Connections, those included that ended and whose handle is still held.
    pub connections: usize,
    /// TIME_WAIT records.
    pub time_wait: usize,
    /// Connections among them whose handle was given back.
    pub orphans: usize,
    /// Deadlines of connections that are set.
    pub timers: usize,
    /// Entries of the demultiplexer.
    pub demux_entries: usize,
    /// Bytes that the buffers of all connections hold, as `tcp_mem_high` counts them.
    pub memory: u64,
}

impl Engine {
    /// An engine for one device. `seed` must come from a good source of randomness where attackers
    /// send packets: sequence numbers, ports and hash keys are drawn from it.
    pub fn new(config: Config, link: Link, seed: [u8; 32]) -> Self {
        let secret = Secret::new(&seed);
        let hosts = Hosts::new(secret.keyed_hash());
        let cookies = Cookies::new(secret.keyed_hash());
        let fast_open_keys = FastOpenKeys { primary: secret.fast_open_key(), backup: None };
        let time_wait = TimeWaits::new(config.time_wait_len());
        Self {
            config,
            link,
            demux: Demux::new(),
            records: Records { conns: Slab::new(), half_open: HalfOpens::new(), time_wait, secret },
            listeners: Listeners::new(),
            timers: Timers::new(),
            ready: VecDeque::new(),
            replies: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
            challenges: PerSecond::new(),
            orphans: 0,
            memory: Memory::default(),
            hand: 0,
            ports: Ports::new(),
            hosts,
            fast_open_keys,
            cookies,
            watches_senders: false,
        }
    }

    /// From now on [`Event::SenderMoved`] is told, or is not: by default it is not.
    pub fn watch_senders(&mut self, on: bool) {
        self.watches_senders = on;
    }

    /// The next event, until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            let index = match self.events.pop_front()? {
                Queued::Event(event) => return Some(event),
                Queued::Conn(index) => index,
            };
            // The slot may have another owner by now: then its own signals are told, and its own
            // entry in the queue finds none left.
            let Some(connection) = self.records.conns.get_mut(index) else { continue };
            if connection.handle.orphan || connection.handle.listener.is_some() {
                // Nobody holds the handle that they would name, or not yet.
                connection.handle.signals.take(Signals::QUEUED);
                continue;
            }
            let conn = connection.id;
            let signals = &mut connection.handle.signals;
            let event = if signals.take(Signals::CONNECTED) {
                Event::Connected { conn }
            } else if signals.take(Signals::READABLE) {
                Event::Readable { conn }
            } else if signals.take(Signals::PEER_CLOSED) {
                Event::PeerClosed { conn }
            } else if signals.take(Signals::CLOSE_WAIT_SUSPECTED) {
                let summary = connection.summary;
                Event::CloseWaitSuspected {
                    conn,
                    since: summary.peer_closed_at,
                    last_call: summary.last_call,
                    last_call_at: summary.last_call_at,
                }
            } else if signals.take(Signals::UNANSWERED) {
                Event::Unanswered { conn }
            } else if signals.take(Signals::FAR_END_ASKED) {
                Event::FarEndAsked { conn }
            } else if signals.take(Signals::WRITABLE) {
                Event::Writable { conn }
            } else if signals.take(Signals::DRAINED) {
                Event::Drained { conn }
            } else if signals.take(Signals::SENDER_MOVED) {
                Event::SenderMoved { conn }
            } else {
                connection.handle.signals.take(Signals::QUEUED);
                continue;
            };
            if connection.handle.signals.any() {
                self.events.push_front(Queued::Conn(index));
            } else {
                connection.handle.signals.take(Signals::QUEUED);
            }
            return Some(event);
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings: what is decided from now on goes by the new ones. Buffers, timers
    /// and options of connections that exist stay as they are, and so does the length of
    /// TIME_WAIT.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Connections that wait in [`accept`](Self::accept), those included that have ended since.
    /// 0 for a listener that is gone.
    pub fn acceptable(&self, listener: ListenerId) -> usize {
        self.listeners.get(listener).map_or(0, |listener| listener.queue.len())
    }

    /// The device's properties.
    pub fn link(&self) -> Link {
        self.link
    }

    /// What is alive now. O(1).
    pub fn population(&self) -> Population {
        Population {
            half_open: self.records.half_open.len(),
            connections: self.records.conns.len(),
            time_wait: self.records.time_wait.len(),
            orphans: self.orphans,
            timers: self.timers.len(),
            demux_entries: self.demux.len(),
            memory: self.memory.used(),
        }
    }

    /// The states of connections whose handle was given back and that are not finished.
    /// O(connections).
    pub fn orphan_states(&self) -> impl Iterator<Item = State> + '_ {
        let conns = self.records.conns.indices().filter_map(|i| self.records.conns.get(i));
        conns
            .filter(|conn| conn.handle.orphan && conn.handle.ended.is_none())
            .map(|conn| conn.state)
    }

    /// The connection at `index` together with what its steps may use.
    fn conn_and_ctx(&mut self, index: u32, now: Instant) -> Option<(&mut Connection, Ctx<'_>)> {
        let conn = self.records.conns.get_mut(index)?;
        let ctx = Ctx {
            now,
            config: &self.config,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
            memory: self.memory.level(),
            moved: 0,
        };
        Some((conn, ctx))
    }

    /// After a step: its deadline, its packets, its signals.
    fn schedule(&mut self, index: u32) {
        let Some(conn) = self.records.conns.get_mut(index) else { return };
        if let Some(deadline) = conn.next_deadline() {
            self.timers.arm(index, deadline);
        }
        if !conn.handle.queued && conn.handle.ended.is_none() && conn.may_transmit() {
            conn.handle.queued = true;
            self.ready.push_back(Ready::Conn(conn.id));
        }
        if self.watches_senders {
            conn.handle.signals.set(Signals::SENDER_MOVED);
        }
        // A connection that waits for accept has no one who would listen.
        if conn.handle.signals.any()
            && !conn.handle.signals.is_queued()
            && !conn.handle.orphan
            && conn.handle.listener.is_none()
        {
            conn.handle.signals.set(Signals::QUEUED);
            self.events.push_back(Queued::Conn(index));
        }
    }
}
