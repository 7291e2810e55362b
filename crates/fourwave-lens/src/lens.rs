//! The lens: packets, engine reports and time in; events and connection records out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use fourwave_core::EndReport;
use fourwave_core::state::State;
use fourwave_wire::WireError;
use fourwave_wire::icmp::QuotedTcp;

use crate::comment;
use crate::conn::{Conn, RUN_PROGRESS};
use crate::event::{Event, Outbox, Sender, SenderSeen};
use crate::metrics::SenderPoint;
use crate::names::Names;
use crate::options::LensOptions;
use crate::record::ConnectionRecord;
use crate::segment::{self, Packet, Segment};
use crate::warning::Warning;
use crate::words::{AnomalyKind, Role};

/// The two addresses of a connection, the smaller one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(SocketAddr, SocketAddr);

/// As one run of bytes, which SipHash takes in a third of the time of many small ones.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 36];
        let [a, b] = [self.0, self.1].map(|addr| addr.port().to_be_bytes());
        let used = match (self.0.ip(), self.1.ip()) {
            (IpAddr::V4(x), IpAddr::V4(y)) => {
                bytes[4..8].copy_from_slice(&x.octets());
                bytes[8..12].copy_from_slice(&y.octets());
                12
            }
            (x, y) => {
                bytes[4..20].copy_from_slice(&v6(x).octets());
                bytes[20..].copy_from_slice(&v6(y).octets());
                36
            }
        };
        bytes[..2].copy_from_slice(&a);
        bytes[2..4].copy_from_slice(&b);
        state.write(&bytes[..used]);
    }
}

fn v6(addr: IpAddr) -> Ipv6Addr {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

impl Key {
    fn new(a: SocketAddr, b: SocketAddr) -> Self {
        // Flow labels and scopes are no part of a connection's name.
        let (a, b) = (SocketAddr::new(a.ip(), a.port()), SocketAddr::new(b.ip(), b.port()));
        if a <= b { Self(a, b) } else { Self(b, a) }
    }
}

#[derive(Debug)]
enum Slot {
    Watched(Box<Conn>),
    /// Its record is reported; its segments mean nothing new until its TIME_WAIT is over.
    Remembered(Remembered),
}

/// What is remembered of a connection whose record is reported.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    conn: u64,
    /// Until when each end holds TIME_WAIT, in the order of the key; zero when it does not.
    time_wait: [Duration; 2],
}

// `LensOptions::remembered` says what one costs.
const _: () = assert!(size_of::<(Key, Slot)>() <= 128);

/// What one packet was to a [`Lens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Seen {
    key: Key,
    /// The number of its connection, from 1.
    pub conn: u64,
    /// With this packet the connection is over: both ends are CLOSED or in TIME_WAIT.
    pub ended: bool,
}

/// Packets that belong to no connection's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Other protocols than TCP, and ICMP that is not about TCP.
    pub other: u64,
    /// Cut short, malformed or fragments.
    pub unreadable: u64,
    /// RSTs and ICMP errors without a connection that they could be about.
    pub stray: u64,
    /// Segments of connections whose record was reported already.
    pub late: u64,
}

/// Watches packets and reconstructs every connection.
///
/// It does no I/O and reads no clock: every time is the caller's, a [`Duration`] since an epoch
/// of the caller's choice, the same for packets, notes and the engine's reports. Time must not
/// run backwards by more than a capture's reordering does; nothing worse than odd times follows.
///
/// A packet costs O(1), and O(entries kept) when a connection's entries overflow. Memory is bounded
/// by the connections that are alive: a few kilobytes each with the default limits.
#[derive(Debug)]
pub struct Lens {
    options: LensOptions,
    slots: HashMap<Key, Slot>,
    next_conn: u64,
    watched: usize,
    /// Connections that are over, in the order in which they settle: when, which.
    settling: VecDeque<(Duration, Key, u64)>,
    /// Connections reported, in the order in which they are forgotten.
    remembered: VecDeque<(Duration, Key, u64)>,
    /// SYNs, in the order in which they are given up.
    syns: VecDeque<(Duration, Key, u64)>,
    /// Connections, in the order in which they are asked whether they are idle.
    idle: VecDeque<(Duration, Key, u64)>,
    /// Runs to be reported while they grow; live only.
    runs: VecDeque<(Duration, Key, u64)>,
    out: Outbox,
    ignored: Ignored,
    /// Packets so far: the running number of the current one.
    packets: u64,
}

impl Lens {
    /// A lens that has seen nothing.
    pub fn new(options: LensOptions) -> Self {
        Self {
            options,
            slots: HashMap::new(),
            next_conn: 1,
            watched: 0,
            settling: VecDeque::new(),
            remembered: VecDeque::new(),
            syns: VecDeque::new(),
            idle: VecDeque::new(),
            runs: VecDeque::new(),
            out: Outbox { live: options.live, ..Outbox::default() },
            ignored: Ignored::default(),
            packets: 0,
        }
    }

    /// A packet of the capture that is not given to the lens: it has a number all the same.
    pub fn skip_packet(&mut self) {
        self.packets += 1;
    }

    /// The running number of the last packet, from 1.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// One IP packet, or its first bytes: IP and TCP headers suffice. `wire_len` counts the
    /// bytes of the whole packet; `gso_size` is the payload of each segment of a super-packet, 0
    /// for an ordinary packet. `None` when it belongs to no connection.
    pub fn observe(
        &mut self,
        at: Duration,
        packet: &[u8],
        wire_len: usize,
        gso_size: u16,
    ) -> Option<Seen> {
        self.packet(at, packet, wire_len, gso_size, false)
    }

    /// As [`observe`](Self::observe), for a packet that is known to be lost beyond the point of
    /// watching: it tells of its sender, and its receiver does not move.
    pub fn observe_lost(
        &mut self,
        at: Duration,
        packet: &[u8],
        wire_len: usize,
        gso_size: u16,
    ) -> Option<Seen> {
        self.packet(at, packet, wire_len, gso_size, true)
    }

    fn packet(
        &mut self,
        at: Duration,
        packet: &[u8],
        wire_len: usize,
        gso_size: u16,
        lost: bool,
    ) -> Option<Seen> {
        self.packets += 1;
        self.tick(at);
        self.out.packet = self.packets;
        let seen = match segment::read(packet, wire_len, gso_size) {
            Ok(Packet::Tcp(segment)) => self.segment(at, &segment, lost),
            Ok(Packet::Icmp(quoted)) => self.icmp(at, &quoted),
            Err(WireError::OtherProtocol) => {
                self.ignored.other += 1;
                None
            }
            Err(_) => {
                self.ignored.unreadable += 1;
                None
            }
        };
        self.out.packet = 0;
        seen
    }

    fn segment(&mut self, at: Duration, s: &Segment, lost: bool) -> Option<Seen> {
        let key = Key::new(s.src, s.dst);
        let mut earlier = None;
        if self.begins_anew(key, s) {
            if let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) {
                conn.replaced();
            }
            self.emit(at, key);
            if let Some(Slot::Remembered(remembered)) = self.slots.remove(&key) {
                earlier = Some(remembered);
            }
        }
        let (options, out) = (self.options, &mut self.out);
        let slot = match self.slots.entry(key) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(_) if s.tcp.flags.rst() => {
                self.ignored.stray += 1;
                return None;
            }
            Entry::Vacant(slot) => {
                let id = self.next_conn;
                self.next_conn += 1;
                self.watched += 1;
                let mut conn = Box::new(open(id, at, s, options, out));
                if let Some(remembered) = earlier {
                    reopened(&mut conn, at, key, s, remembered, out.packet);
                }
                if let Some(idle) = options.idle {
                    self.idle.push_back((at.saturating_add(idle), key, id));
                }
                slot.insert(Slot::Watched(conn))
            }
        };
        let conn = match slot {
            Slot::Watched(conn) => conn,
            Slot::Remembered(remembered) => {
                self.ignored.late += 1;
                return Some(Seen { key, conn: remembered.conn, ended: false });
            }
        };
        let was_over = conn.over_at;
        let from = conn.role_of(s.src);
        if lost {
            conn.lost_segment(at, from, s, out);
        } else {
            conn.segment(at, from, s, out);
        }
        let (id, over) = (conn.id, conn.over_at);
        if s.tcp.flags.syn() {
            self.syns.push_back((at.saturating_add(options.syn_timeout), key, id));
        }
        if options.live && conn.wants_progress() {
            self.runs.push_back((at.saturating_add(RUN_PROGRESS), key, id));
        }
        if let Some(over) = over.filter(|_| was_over != over) {
            self.settling.push_back((over.saturating_add(options.settle), key, id));
        }
        Some(Seen { key, conn: id, ended: was_over.is_none() && over.is_some() })
    }

    /// Whether a segment is the first of a new connection on a four-tuple that had one.
    fn begins_anew(&self, key: Key, s: &Segment) -> bool {
        let flags = s.tcp.flags;
        if !flags.syn() || flags.rst() {
            return false;
        }
        match self.slots.get(&key) {
            Some(Slot::Remembered(_)) => true,
            Some(Slot::Watched(conn)) => {
                let from = conn.role_of(s.src);
                let tracker = &conn.ends[from.index()];
                let same = tracker.isn == Some(s.tcp.seq);
                if flags.ack() {
                    let answers = |syn: (Role, u32)| {
                        syn.0 == from.other() && s.tcp.ack.value() == syn.1.wrapping_add(1)
                    };
                    return !same && conn.other_syn.is_some_and(answers);
                }
                // A SYN that is retransmitted after an ICMP error is the same attempt.
                !same && (conn.over().is_some() || tracker.state == State::SynSent)
                    || same && conn.over().is_some() && conn.was_answered()
            }
            None => false,
        }
    }

    fn icmp(&mut self, at: Duration, quoted: &QuotedTcp) -> Option<Seen> {
        let src = SocketAddr::new(quoted.src.0, quoted.src.1);
        let key = Key::new(src, SocketAddr::new(quoted.dst.0, quoted.dst.1));
        let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) else {
            self.ignored.stray += 1;
            return None;
        };
        let was_over = conn.over_at;
        let from = conn.role_of(src);
        conn.icmp(at, from, quoted, &mut self.out);
        let (id, over) = (conn.id, conn.over_at);
        if let Some(over) = over.filter(|_| was_over != over) {
            self.settling.push_back((over.saturating_add(self.options.settle), key, id));
        }
        Some(Seen { key, conn: id, ended: was_over.is_none() && over.is_some() })
    }

    /// The engine's word on how a connection ended. The engine's instants count from the epoch
    /// of the lens. A report about a connection that this lens does not watch is left alone and
    /// `false` returned.
    pub fn end(&mut self, report: &EndReport) -> bool {
        let key = Key::new(report.local, report.remote);
        let at = Duration::from_micros(report.ended.as_micros());
        let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) else { return false };
        if conn.opened > at {
            // About an earlier connection on the same four-tuple.
            return false;
        }
        let was_over = conn.over();
        conn.end_reported(at, report, &mut self.out);
        if was_over.is_none() {
            self.settling.push_back((at.saturating_add(self.options.settle), key, conn.id));
        }
        true
    }

    /// A word from beside the packets, about the connection between two addresses: an entry of its
    /// ladder. `false` when no such connection is watched.
    pub fn note(&mut self, at: Duration, ends: (SocketAddr, SocketAddr), text: &str) -> bool {
        let key = Key::new(ends.0, ends.1);
        let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) else { return false };
        // It becomes part of single lines.
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        conn.note(at, text, &mut self.out);
        true
    }

    /// What is wrong with one end, `ends.0`, of an open connection: an entry of its ladder and a
    /// line of its own in JSON. `false` when no such connection is watched.
    pub fn warning(&mut self, at: Duration, ends: (SocketAddr, SocketAddr), what: Warning) -> bool {
        let key = Key::new(ends.0, ends.1);
        let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) else { return false };
        let who = conn.role_of(ends.0);
        conn.warning(at, who, what, &mut self.out);
        true
    }

    /// What the engine at `ends.0` says of its sender: an event where they are live, a point of the
    /// metrics, no entry of the ladder. `false` when no such connection is watched.
    pub fn sender(&mut self, at: Duration, ends: (SocketAddr, SocketAddr), what: Sender) -> bool {
        let key = Key::new(ends.0, ends.1);
        let Some(Slot::Watched(conn)) = self.slots.get_mut(&key) else { return false };
        let end = conn.role_of(ends.0);
        if let Some(collector) = &mut conn.collector {
            collector.senders.push(SenderPoint { at, end, sender: what });
        }
        if self.out.live {
            let conn = conn.id;
            let seen = SenderSeen { conn, at, end, sender: what };
            self.out.queue.push_back(Event::Sender(Box::new(seen)));
        }
        true
    }

    /// The comment that belongs to a packet in a capture file: how its connection ended, when
    /// the packet ended it. Ask after the engine's report was given to [`end`](Self::end), where
    /// there is one.
    pub fn comment(&self, seen: &Seen, names: &Names) -> Option<String> {
        if !seen.ended {
            return None;
        }
        match self.slots.get(&seen.key) {
            Some(Slot::Watched(conn)) if conn.id == seen.conn => Some(comment::packet(
                &conn.clone().into_record(conn.last_seen, &mut Outbox::default()),
                names,
            )),
            _ => None,
        }
    }

    /// Time passes without a packet. Tells what has settled. O(1) amortised.
    pub fn tick(&mut self, now: Duration) {
        while let Some((key, conn)) = due(&mut self.settling, now) {
            self.settled(now, key, conn, self.options.settle);
        }
        while self.settling.len() > self.options.most_settling
            && let Some((_, key, conn)) = self.settling.pop_front()
        {
            self.settled(now, key, conn, Duration::ZERO);
        }
        while let Some((key, conn)) = due(&mut self.syns, now) {
            let given_up = match self.slots.get(&key) {
                Some(Slot::Watched(c)) => {
                    c.id == conn
                        && c.is_opening()
                        && c.last_seen.saturating_add(self.options.syn_timeout) <= now
                }
                _ => false,
            };
            if given_up {
                self.emit(now, key);
            }
        }
        self.emit_idle(now);
        while let Some((key, conn)) = due(&mut self.runs, now) {
            if let Some(Slot::Watched(c)) = self.slots.get_mut(&key)
                && c.id == conn
                && c.emit_progress(&mut self.out)
            {
                self.runs.push_back((now.saturating_add(RUN_PROGRESS), key, conn));
            }
        }
        while let Some((key, conn)) = due(&mut self.remembered, now) {
            self.forget(key, conn);
        }
    }

    /// Tells a connection that has been over for `settle`.
    fn settled(&mut self, now: Duration, key: Key, conn: u64, settle: Duration) {
        if let Some(Slot::Watched(c)) = self.slots.get(&key)
            && c.id == conn
            && c.over().is_some_and(|over| over.saturating_add(settle) <= now)
        {
            self.emit(now, key);
        }
    }

    /// Connections without a word for long. Each is looked at four times in that time, so it is
    /// told at most a quarter late; O(1) for each look.
    fn emit_idle(&mut self, now: Duration) {
        let Some(idle) = self.options.idle else { return };
        while let Some((key, conn)) = due(&mut self.idle, now) {
            let Some(Slot::Watched(c)) = self.slots.get(&key) else { continue };
            if c.id != conn {
                continue;
            }
            let over = c.last_seen.saturating_add(idle);
            if over <= now {
                self.emit(now, key);
            } else {
                self.idle.push_back((over.min(now.saturating_add(idle / 4)), key, conn));
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do next; `None` when only packets can change
    /// anything.
    pub fn next_tick(&self) -> Option<Duration> {
        let heads = [&self.settling, &self.syns, &self.idle, &self.runs];
        heads.into_iter().filter_map(|queue| queue.front().map(|entry| entry.0)).min()
    }

    /// What happened next. A caller that does not ask lets the queue grow.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.queue.pop_front()
    }

    /// The next record, past all other events: for callers that want nothing else.
    pub fn poll_record(&mut self) -> Option<ConnectionRecord> {
        while let Some(event) = self.out.queue.pop_front() {
            if let Event::Ended(record) = event {
                return Some(*record);
            }
        }
        None
    }

    /// The watching stops: what is still open is reported too, in the order in which it was opened.
    pub fn finish(&mut self, now: Duration) {
        self.tick(now);
        let mut rest: Vec<(u64, Key)> = self
            .slots
            .iter()
            .filter_map(|(key, slot)| match slot {
                Slot::Watched(conn) => Some((conn.id, *key)),
                Slot::Remembered(_) => None,
            })
            .collect();
        rest.sort_unstable_by_key(|(id, _)| *id);
        for (_, key) in rest {
            self.emit(now, key);
        }
    }

    /// Packets that belong to no record.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    /// Connections that are being watched.
    pub fn watched(&self) -> usize {
        self.watched
    }

    /// Reports the connection at `key` and remembers only that.
    fn emit(&mut self, now: Duration, key: Key) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Slot::Watched(conn) = slot else { return };
        let (conn_id, over) = (conn.id, conn.over().is_some());
        self.watched -= 1;
        let remembered = Remembered { conn: conn_id, time_wait: [Duration::ZERO; 2] };
        if let Slot::Watched(conn) = std::mem::replace(slot, Slot::Remembered(remembered)) {
            let record = conn.into_record(now, &mut self.out);
            if let Slot::Remembered(remembered) = slot {
                for wait in &record.time_wait {
                    let addr = record.addr(wait.who);
                    let i = usize::from(key.0 != SocketAddr::new(addr.ip(), addr.port()));
                    remembered.time_wait[i] = wait.until;
                }
            }
            self.out.queue.push_back(Event::Ended(Box::new(record)));
        }
        if over && !self.options.time_wait.is_zero() {
            self.remembered.push_back((now.saturating_add(self.options.time_wait), key, conn_id));
        } else {
            self.slots.remove(&key);
        }
        if self.remembered.len() > self.options.remembered
            && let Some((_, key, conn)) = self.remembered.pop_front()
        {
            self.forget(key, conn);
        }
    }

    fn forget(&mut self, key: Key, id: u64) {
        if let Some(Slot::Remembered(remembered)) = self.slots.get(&key)
            && remembered.conn == id
        {
            self.slots.remove(&key);
        }
    }
}

/// A SYN opens a connection on the four-tuple of one that was reported.
fn reopened(
    conn: &mut Conn,
    at: Duration,
    key: Key,
    s: &Segment,
    remembered: Remembered,
    packet: u64,
) {
    let Some(collector) = &mut conn.collector else { return };
    let opener = usize::from(key.0 != SocketAddr::new(s.src.ip(), s.src.port()));
    let left = |i: usize| remembered.time_wait[i].saturating_sub(at);
    let (kind, left) = match (left(opener), left(1 - opener)) {
        (Duration::ZERO, Duration::ZERO) => return,
        (Duration::ZERO, left) => (AnomalyKind::SynIntoTimeWait, left),
        (left, _) => (AnomalyKind::PortReusedEarly, left),
    };
    collector.detector.add(kind, Some(Role::Client), at, packet).duration = Some(left);
}

/// Takes the head of a queue of deadlines when it is due.
fn due(queue: &mut VecDeque<(Duration, Key, u64)>, now: Duration) -> Option<(Key, u64)> {
    let &(when, key, conn) = queue.front()?;
    (when <= now).then(|| {
        queue.pop_front();
        (key, conn)
    })
}

/// A connection of which `s` is the first segment seen.
fn open(id: u64, at: Duration, s: &Segment, options: LensOptions, out: &mut Outbox) -> Conn {
    let flags = s.tcp.flags;
    let (client, opened_by) = match (flags.syn(), flags.ack()) {
        (true, false) => (s.src, Some(Role::Client)),
        (true, true) => (s.dst, Some(Role::Client)),
        // Servers have the lower port, mostly.
        (false, _) => (if s.src.port() >= s.dst.port() { s.src } else { s.dst }, None),
    };
    let server = if client == s.src { s.dst } else { s.src };
    let mut conn = Conn::new(id, at, [client, server], opened_by, options, out);
    if opened_by.is_none() {
        for end in &mut conn.ends {
            end.state = State::Established;
        }
    }
    conn
}
