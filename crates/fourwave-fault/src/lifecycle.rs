//! Faults that know where a connection is in its life: segments in, decisions out. No clock, no IO.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use crate::flow::{Flow, SeenSegment, rst};
use crate::spec::{Farewell, Fault, FaultSpec, LifecycleFault, Side, Target};

/// Connections that are followed at once, a few hundred bytes each. Beyond it the one that has
/// been over for longest is forgotten, or else the oldest.
const MAX_FLOWS: usize = 65_536;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SegmentOutcome {
    /// It goes its way.
    #[default]
    Pass,
    /// It is lost.
    Drop,
    /// It goes its way later.
    Delay(Duration),
}

/// What is done about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct FaultDecision {
    /// What becomes of it.
    pub outcome: SegmentOutcome,
    /// Its window field is to read 0.
    pub zero_window: bool,
    /// Whole packets that go after it, each with the side that it pretends to come from.
    pub injected: Vec<(Side, Bytes)>,
    /// What people should know of it.
    pub notes: Vec<Note>,
}

/// A fault struck a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The connection: the program's address and its peer's.
    pub ends: [SocketAddr; 2],
    /// What happened: the specification, a colon, a few words.
    pub text: String,
}

/// What one fault did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Connections that it was about.
    pub connections: u64,
    /// How often it struck.
    pub hits: u64,
}

/// The faults of the lifecycle, each for its target.
///
/// It must see every packet of a connection from its SYN on, before any other fault: what it
/// judges by is what was sent. A packet costs O(faults), memory is bounded.
#[derive(Debug)]
pub struct Lifecycle {
    rules: Vec<Rule>,
    /// There are faults of links too.
    is_lossy: bool,
    flows: HashMap<Key, Followed>,
    opened: u64,
    /// Connections by when they were opened, and by when they were over; with their number, for
    /// a key may have another connection by now.
    oldest: VecDeque<(Key, u64)>,
    over: VecDeque<(Key, u64)>,
}

#[derive(Debug)]
struct Rule {
    shown: String,
    fault: LifecycleFault,
    target: Target,
    tally: Tally,
}

/// The addresses of the program and of its peer.
type Key = [SocketAddr; 2];

#[derive(Debug)]
struct Followed {
    number: u64,
    flow: Flow,
    /// The rules that are about it, and how often each has struck either side.
    rules: Vec<(usize, [u32; 2])>,
    /// It stands in `over`.
    is_over: bool,
}

impl Lifecycle {
    /// Takes the faults of the lifecycle out of `specs`.
    pub fn new(specs: &[FaultSpec]) -> Self {
        let rule = |spec: &FaultSpec| match spec.fault {
            Fault::Lifecycle(fault) => {
                let (shown, tally) = (spec.to_string(), Tally::default());
                Some(Rule { shown, fault, target: spec.target, tally })
            }
            Fault::Link(_) => None,
        };
        Self {
            rules: specs.iter().filter_map(rule).collect(),
            is_lossy: specs.iter().any(|spec| matches!(spec.fault, Fault::Link(_))),
            flows: HashMap::new(),
            opened: 0,
            oldest: VecDeque::new(),
            over: VecDeque::new(),
        }
    }

    /// Whether there is no fault.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What each fault did, in the order of the specifications.
    pub fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.rules.iter().map(|rule| rule.tally)
    }

    /// Judges the packet that `from` sends, whose first bytes, all headers among them, are
    /// `head`.
    pub fn judge(&mut self, from: Side, head: &[u8]) -> FaultDecision {
        if self.is_empty() {
            return FaultDecision::default();
        }
        let Some(segment) = SeenSegment::read(head) else { return FaultDecision::default() };
        let key = segment.ends(from);
        let known = self.flows.get(&key);
        if segment.tcp.flags.syn() && known.is_none_or(|known| known.flow.is_other(from, &segment))
        {
            self.follow(key);
        }
        let Some(followed) = self.flows.get_mut(&key) else { return FaultDecision::default() };
        if followed.flow.is_reset {
            return swallow(from, &segment, &mut followed.flow, self.is_lossy);
        }
        let farewell = followed.flow.observe(from, &segment);
        let mut decision = FaultDecision::default();
        for (index, struck) in &mut followed.rules {
            let rule = &mut self.rules[*index];
            rule.apply(from, &segment, farewell, &mut followed.flow, struck, &mut decision);
        }
        if followed.flow.is_over() && !followed.is_over {
            followed.is_over = true;
            self.over.push_back((key, followed.number));
        }
        decision
    }

    /// A connection begins; where no rule is about it, one before it is forgotten at most.
    fn follow(&mut self, key: Key) {
        self.flows.remove(&key);
        let about = |(index, rule): (usize, &mut Rule)| {
            rule.target.matches_connection(key).then(|| {
                rule.tally.connections += 1;
                (index, [0; 2])
            })
        };
        let rules: Vec<_> = self.rules.iter_mut().enumerate().filter_map(about).collect();
        if rules.is_empty() {
            return;
        }
        if self.flows.len() >= MAX_FLOWS {
            self.forget_one();
        }
        self.opened += 1;
        let number = self.opened;
        self.flows.insert(key, Followed { number, flow: Flow::default(), rules, is_over: false });
        self.oldest.push_back((key, number));
        let flows = &self.flows;
        let is_there =
            |entry: &(Key, u64)| flows.get(&entry.0).is_some_and(|f| f.number == entry.1);
        for queue in [&mut self.oldest, &mut self.over] {
            // Amortised: at least half of it goes.
            if queue.len() >= 2 * MAX_FLOWS {
                queue.retain(is_there);
            }
        }
    }

    fn forget_one(&mut self) {
        while let Some((key, number)) = self.over.pop_front().or_else(|| self.oldest.pop_front()) {
            if self.flows.get(&key).is_some_and(|followed| followed.number == number) {
                self.flows.remove(&key);
                return;
            }
        }
    }
}

/// A connection that was reset: nothing passes, and who has not noticed is told again. What is
/// acknowledged is exactly what is expected next, so this RST counts (RFC 5961 §3.2).
///
/// News were on their way before the RST came; unless the link is lossy, who has not noticed
/// repeats himself, in a challenge ACK or a retransmission.
fn swallow(from: Side, segment: &SeenSegment, flow: &mut Flow, is_lossy: bool) -> FaultDecision {
    let flags = segment.tcp.flags;
    let mut decision = FaultDecision { outcome: SegmentOutcome::Drop, ..FaultDecision::default() };
    let is_news = flow.is_news(from, segment);
    flow.observe(from, segment);
    if flags.ack() && !flags.rst() && (is_lossy || !is_news) {
        let again = rst(segment.dst, segment.src, segment.tcp.ack, segment.end());
        decision.injected.push((from.other(), again));
    }
    decision
}

impl Rule {
    fn apply(
        &mut self,
        from: Side,
        segment: &SeenSegment,
        farewell: Option<Farewell>,
        flow: &mut Flow,
        struck: &mut [u32; 2],
        decision: &mut FaultDecision,
    ) {
        let by = |wanted: Option<Side>| wanted.is_none_or(|side| side == from);
        let so_far = &mut struck[from.index()];
        let said = match self.fault {
            LifecycleFault::Drop { what, from: side, times } => {
                let more = times.is_none_or(|times| *so_far < times.get());
                if farewell != Some(what)
                    || !by(side)
                    || !more
                    || decision.outcome == SegmentOutcome::Drop
                {
                    return;
                }
                *so_far = so_far.saturating_add(1);
                decision.outcome = SegmentOutcome::Drop;
                format!("{} dropped{}", words(from, what), which(*so_far, times))
            }
            LifecycleFault::Delay { what, from: side, by: time } => {
                if farewell != Some(what) || !by(side) || decision.outcome == SegmentOutcome::Drop {
                    return;
                }
                decision.outcome = match decision.outcome {
                    SegmentOutcome::Delay(before) => {
                        SegmentOutcome::Delay(before.saturating_add(time))
                    }
                    _ => SegmentOutcome::Delay(time),
                };
                format!("{} held back for {time:?}", words(from, what))
            }
            LifecycleFault::RstAfter { from: side, bytes } => {
                let carried = flow.bytes(side);
                let opening = !flow.is_open() || segment.tcp.flags.syn();
                if opening || carried < bytes || flow.is_over() {
                    return;
                }
                flow.is_reset = true;
                decision.injected.extend(resets(from, segment, flow));
                format!("after {carried} bytes of payload, RST to both ends")
            }
            LifecycleFault::ZeroWindow { after } => {
                let flags = segment.tcp.flags;
                let early = flow.bytes(Some(Side::Program)) < after || (flags.syn() && after > 0);
                if from == Side::Program || early || flags.rst() {
                    return;
                }
                decision.zero_window = true;
                *so_far = so_far.saturating_add(1);
                if *so_far > 1 {
                    return;
                }
                "from here on the peer's window reads 0".to_owned()
            }
        };
        self.tally.hits += 1;
        let ends = segment.ends(from);
        decision.notes.push(Note { ends, text: format!("{}: {said}", self.shown) });
    }
}

/// An RST by either side, in place: after everything that it has sent.
fn resets(from: Side, segment: &SeenSegment, flow: &Flow) -> [(Side, Bytes); 2] {
    let (own, other) = (flow.next(from), flow.next(from.other()));
    [
        (from, rst(segment.src, segment.dst, own, other)),
        (from.other(), rst(segment.dst, segment.src, other, own)),
    ]
}

fn words(from: Side, what: Farewell) -> String {
    match what {
        Farewell::Fin => format!("the {from}'s FIN"),
        Farewell::LastAck => format!("the {from}'s last ACK"),
    }
}

/// Which of several it is.
fn which(number: u32, times: Option<NonZeroU32>) -> String {
    match times {
        Some(NonZeroU32::MIN) => String::new(),
        Some(times) => format!(" ({number} of {times})"),
        None => format!(" (number {number})"),
    }
}

#[cfg(test)]
mod tests;
