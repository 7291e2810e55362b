//! Any number of faults on one device, each for its own target.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::tcp::{CHECKSUM_OFFSET, Flags};
use fourwave_wire::{RxChecksum, RxPacket, TxPacket};

use crate::Faults;
use crate::flow::SeenSegment;
use crate::injector::{FaultCounters, Faultable, Injector};
use crate::lifecycle::{FaultDecision, Lifecycle, Note, SegmentOutcome, Tally};
use crate::spec::{Fault, FaultSpec, Side, Target};

/// Where a TCP header keeps its window.
const WINDOW_OFFSET: usize = 14;

/// The faults of `specs`. Those of the lifecycle strike first; then each packet meets the link's
/// faults that are about it, in the order of the specifications, in each direction on their own.
pub struct Plan {
    specs: Vec<FaultSpec>,
    lifecycle: Lifecycle,
    received: Path<RxPacket>,
    sent: Path<TxPacket>,
    tell: Tell,
}

impl Plan {
    /// `seed` is for the faults that throw dice. `tell` hears when a fault of the lifecycle
    /// strikes, or a link loses a segment with SYN, FIN or RST.
    pub fn new(specs: Vec<FaultSpec>, seed: u64, tell: impl FnMut(&Note) + Send + 'static) -> Self {
        Self {
            lifecycle: Lifecycle::new(&specs),
            received: Path::new(Side::Program, &specs, seed),
            sent: Path::new(Side::Peer, &specs, seed ^ u64::MAX),
            specs,
            tell: Box::new(tell),
        }
    }

    /// What each fault did, a line each.
    pub fn report(&self) -> Vec<String> {
        let mut tallies = self.lifecycle.tallies();
        let (received, sent) = (self.received.counters(), self.sent.counters());
        let mut links = received.zip(sent);
        let line = |spec: &FaultSpec| match spec.fault {
            Fault::Lifecycle(_) => told(spec, tallies.next().unwrap_or_default()),
            Fault::Link(_) => {
                let (a, b) = links.next().unwrap_or_default();
                told_of_link(spec, &a, &b)
            }
        };
        self.specs.iter().map(line).collect()
    }

    /// Remarks on the decision, and puts what it brings about on its way.
    fn follow_up(&mut self, now: Duration, decision: FaultDecision) {
        for note in &decision.notes {
            (self.tell)(note);
        }
        for (from, bytes) in decision.injected {
            match from {
                Side::Program => {
                    let checksum = RxChecksum::Unverified;
                    let packet = RxPacket { bytes, gso_size: 0, checksum };
                    self.received.walk(now, 0, packet, &mut self.tell);
                }
                Side::Peer => self.sent.walk(now, 0, to_send(&bytes), &mut self.tell),
            }
        }
    }
}

impl Faults for Plan {
    fn receive(&mut self, now: Duration, packet: RxPacket) {
        let decision = self.lifecycle.judge(Side::Program, packet.head());
        self.received.go(now, decision.outcome, packet, &mut self.tell);
        self.follow_up(now, decision);
    }

    fn send(&mut self, now: Duration, mut packet: TxPacket) {
        let decision = self.lifecycle.judge(Side::Peer, packet.head());
        if decision.zero_window {
            close_window(&mut packet.header);
        }
        self.sent.go(now, decision.outcome, packet, &mut self.tell);
        self.follow_up(now, decision);
    }

    fn poll_received(&mut self, now: Duration) -> Option<RxPacket> {
        self.received.poll(now, &mut self.tell)
    }

    fn poll_sent(&mut self, now: Duration) -> Option<TxPacket> {
        self.sent.poll(now, &mut self.tell)
    }

    fn next_received(&self) -> Option<Duration> {
        self.received.next_due()
    }

    fn next_sent(&self) -> Option<Duration> {
        self.sent.next_due()
    }
}

type Tell = Box<dyn FnMut(&Note) + Send>;

/// The way of one direction's packets past the link's faults.
struct Path<P> {
    from: Side,
    /// What the lifecycle's faults hold back, by when it is due and its number.
    delayed: BTreeMap<(Duration, u64), P>,
    delays: u64,
    stages: Vec<Stage<P>>,
    ready: VecDeque<P>,
}

struct Stage<P> {
    shown: String,
    target: Target,
    injector: Injector<P>,
}

impl<P: Faultable> Path<P> {
    fn new(from: Side, specs: &[FaultSpec], seed: u64) -> Self {
        let stage = |(number, spec): (u64, &FaultSpec)| match spec.fault {
            Fault::Link(config) => {
                let injector = Injector::new(config, seed.wrapping_add(number));
                Some(Stage { shown: spec.to_string(), target: spec.target, injector })
            }
            Fault::Lifecycle(_) => None,
        };
        Self {
            from,
            delayed: BTreeMap::new(),
            delays: 0,
            stages: (0..).zip(specs).filter_map(stage).collect(),
            ready: VecDeque::new(),
        }
    }

    fn go(&mut self, now: Duration, outcome: SegmentOutcome, packet: P, tell: &mut Tell) {
        match outcome {
            SegmentOutcome::Drop => {}
            SegmentOutcome::Pass => self.walk(now, 0, packet, tell),
            SegmentOutcome::Delay(by) => {
                self.delays += 1;
                self.delayed.insert((now.saturating_add(by), self.delays), packet);
            }
        }
    }

    /// From stage `first` on, to the next that is about the packet.
    fn walk(&mut self, now: Duration, first: usize, packet: P, tell: &mut Tell) {
        if first < self.stages.len()
            && let Some(ends) = ends(packet.head())
        {
            let from = self.from;
            let next = self.stages[first..].iter_mut().find(|stage| stage.target.matches(ends));
            if let Some(stage) = next {
                return stage.take(now, from, packet, tell);
            }
        }
        self.ready.push_back(packet);
    }

    fn poll(&mut self, now: Duration, tell: &mut Tell) -> Option<P> {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let packet = entry.remove();
            self.walk(now, 0, packet, tell);
        }
        for i in 0..self.stages.len() {
            while let Some(packet) = self.stages[i].injector.poll(now) {
                self.walk(now, i + 1, packet, tell);
            }
        }
        self.ready.pop_front()
    }

    fn next_due(&self) -> Option<Duration> {
        let ready = (!self.ready.is_empty()).then_some(Duration::ZERO);
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let held = self.stages.iter().filter_map(|stage| stage.injector.next_due());
        held.chain(delayed).chain(ready).min()
    }

    fn counters(&self) -> impl Iterator<Item = FaultCounters> {
        self.stages.iter().map(|stage| stage.injector.counters())
    }
}

impl<P: Faultable> Stage<P> {
    /// Takes a packet; tells when it loses one that opens or ends a connection.
    fn take(&mut self, now: Duration, from: Side, packet: P, tell: &mut Tell) {
        let segment = SeenSegment::read(packet.head());
        let before = self.injector.counters();
        self.injector.offer(now, packet);
        let after = self.injector.counters();
        let gone = |c: FaultCounters| c.lost + c.too_large + c.overflowed;
        let lost = gone(after) > gone(before);
        if let Some(segment) = segment.filter(|_| lost) {
            let control = segment.tcp.flags.bits() & (Flags::SYN | Flags::FIN | Flags::RST).bits();
            if control != 0 {
                let flags = Flags::from_bits(control);
                let text = format!("{}: the {from}'s {flags} lost", self.shown);
                tell(&Note { ends: segment.ends(from), text });
            }
        }
    }
}

/// The two ends of a packet. Fragments and malformed packets have none.
fn ends(head: &[u8]) -> Option<[(IpAddr, Option<u16>); 2]> {
    let ip = IpHeader::parse_truncated(head).ok()?;
    let ports = match ip.protocol {
        protocol::TCP | protocol::UDP => head.get(ip.payload.start..ip.payload.start + 4),
        _ => None,
    };
    let port = |at: usize| ports.map(|ports| u16::from_be_bytes([ports[at], ports[at + 1]]));
    Some([(ip.src, port(0)), (ip.dst, port(2))])
}

/// A whole packet, finished.
fn to_send(bytes: &Bytes) -> TxPacket {
    let mut packet = TxPacket { header: bytes.to_vec(), ..TxPacket::default() };
    packet.meta.len = bytes.len();
    packet.meta.header_len = bytes.len() as u16;
    packet
}

/// Makes the window of a TCP packet read 0, and keeps its checksum right (RFC 1624 §3).
fn close_window(header: &mut [u8]) {
    let Ok(ip) = IpHeader::parse_truncated(header) else { return };
    let Some(tcp) = header.get_mut(ip.payload.start..) else { return };
    let Some(fields) = tcp.get_mut(WINDOW_OFFSET..CHECKSUM_OFFSET + 2) else { return };
    let [a, b, c, d] = [fields[0], fields[1], fields[2], fields[3]];
    let window = u16::from_be_bytes([a, b]);
    // HC' = ~(~HC + ~m + m'), and m' is 0.
    let sum = u32::from(!u16::from_be_bytes([c, d])) + u32::from(!window);
    let folded = !(((sum & 0xffff) + (sum >> 16)) as u16);
    fields[..2].fill(0);
    fields[2..].copy_from_slice(&folded.to_be_bytes());
}

fn told(spec: &FaultSpec, tally: Tally) -> String {
    let connections = counted(tally.connections, "connection");
    let times = counted(tally.hits, "time");
    match tally {
        Tally { connections: 0, .. } => format!("{spec}: no connection was meant"),
        Tally { hits: 0, .. } => format!("{spec}: never struck, in {connections}"),
        Tally { .. } => format!("{spec}: struck {times} in {connections}"),
    }
}

fn told_of_link(spec: &FaultSpec, received: &FaultCounters, sent: &FaultCounters) -> String {
    let sum = |count: fn(&FaultCounters) -> u64| count(received) + count(sent);
    let packets = counted(sum(|c| c.offered), "packet");
    let done = [
        (sum(|c| c.lost), "lost"),
        (sum(|c| c.too_large), "too large"),
        (sum(|c| c.overflowed), "dropped by a full queue"),
        (sum(|c| c.reordered), "overtaken"),
        (sum(|c| c.duplicated), "doubled"),
        (sum(|c| c.corrupted), "corrupted"),
    ];
    let done = done.iter().filter(|(count, _)| *count > 0);
    let done: Vec<String> = done.map(|(count, what)| format!("{count} {what}")).collect();
    match (sum(|c| c.offered), done.is_empty()) {
        (0, _) => format!("{spec}: no packet was meant"),
        (_, true) => format!("{spec}: {packets}"),
        (_, false) => format!("{spec}: {packets}, {}", done.join(", ")),
    }
}

fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests;
