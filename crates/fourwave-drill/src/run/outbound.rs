//! Packets that the stack must send: waiting for them, joining their parts, judging them.

use std::collections::VecDeque;

use crate::ast::{Body, Direction, Packet, SeqSpec, TcpSpec};
use crate::run::clock::{Nanos, Plan, duration, nanos, seconds};
use crate::run::flows::Flows;
use crate::run::inbound::supported;
use crate::run::loose;
use crate::run::notation::{self, Part};
use crate::run::raw::{Seen, SeenBody, Segment, flag};
use crate::run::{Dialect, Difference, Error, Options, Passing, Shown, matching};
use crate::target::{Sniffed, Target};

/// What is said of a packet that never comes.
pub(crate) const NOTHING: &str = "the packet did not come";

/// Packets that the stack has sent and the script has not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Everything that passed.
    pub(crate) passed: Vec<Passing>,
    waiting: VecDeque<Waiting>,
}

/// A packet that waits, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Its place in `passed`.
    pub(super) at: usize,
    /// Sequence numbers at its front that an event has had.
    pub(super) taken: u32,
}

impl Wire {
    /// Lets time go on until `until`; what the stack sends meanwhile waits here.
    pub(crate) fn wait(&mut self, target: &mut dyn Target, until: Nanos) -> Result<(), Error> {
        while let Some(sniffed) = target.wait(duration(until))? {
            self.sent(sniffed);
        }
        Ok(())
    }

    fn sent(&mut self, Sniffed { at, packet }: Sniffed) {
        self.waiting.push_back(Waiting { at: self.passed.len(), taken: 0 });
        self.passed.push(Passing { at, direction: Direction::Out, packet, event: None });
    }

    pub(super) fn next(
        &mut self,
        target: &mut dyn Target,
        until: Nanos,
    ) -> Result<Option<Waiting>, Error> {
        if self.waiting.is_empty()
            && let Some(sniffed) = target.wait(duration(until))?
        {
            self.sent(sniffed);
        }
        Ok(self.waiting.pop_front())
    }

    /// Whether a packet left when the stack had all that the script has sent.
    pub(super) fn left_behind_the_last_in(&self, at: usize) -> bool {
        let last = self.passed.iter().rposition(|one| one.direction == Direction::In);
        last.is_none_or(|last| last < at && self.passed[last].at <= self.passed[at].at)
    }

    /// The next event may want these, which came before all that waits.
    pub(super) fn put_back(&mut self, packets: Vec<Waiting>) {
        packets.into_iter().rev().for_each(|packet| self.waiting.push_front(packet));
    }
}

/// A packet of the right connection.
struct Arrived {
    at: usize,
    time: Nanos,
    seen: Seen,
}

/// An outbound packet of the script, and all that is needed to judge what comes.
pub(crate) struct Expectation<'a> {
    pub(crate) wanted: &'a Packet,
    pub(crate) plan: Plan,
    pub(crate) event: usize,
    pub(crate) options: &'a Options,
}

impl Expectation<'_> {
    /// Waits for the packet and judges it.
    pub(crate) fn meet(
        &self,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<(), Error> {
        supported(self.wanted)?;
        let ports = match &self.wanted.body {
            Body::Tcp(tcp) => tcp.ports,
            Body::Udp { ports, .. } => *ports,
            Body::Icmp(_) | Body::Other(_) => None,
        };
        let Some(flow) = flows.for_outbound(ports) else {
            return Err(Error::Wrong("no socket that could send this packet".to_owned()));
        };
        if let Some(stretch) = self.stretch(flow, flows) {
            return self.meet_loosely(stretch, flow, wire, flows, target);
        }
        let first = self.next(flow, wire, flows, target)?;
        let Some(first) = first else {
            return Err(self.nothing_came());
        };
        let first_time = first.time;
        let whole = self.joined(first, flow, wire, flows, target)?;
        self.judge(&whole.seen, flow, flows, first_time)?;
        if let SeenBody::Tcp(segment, _) = &whole.seen.body {
            loose::opened(flows.get_mut(flow), segment);
        }
        Ok(())
    }

    pub(super) fn nothing_came(&self) -> Error {
        Error::Differs(Box::new(Difference {
            message: NOTHING.to_owned(),
            expected: Some(notation::show(&self.when(), self.wanted, &[])),
            actual: Some(Shown::differing(format!(
                "nothing until {}",
                seconds(self.plan.deadline())
            ))),
        }))
    }

    pub(super) fn when(&self) -> String {
        let plan = self.plan;
        match (plan.any, plan.start == plan.end) {
            (true, _) => "*".to_owned(),
            (false, true) => seconds(plan.start),
            (false, false) => format!("{}~{}", seconds(plan.start), seconds(plan.end)),
        }
    }

    /// The next packet of the connection; those of others are passed over.
    fn next(
        &self,
        flow: usize,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<Option<Arrived>, Error> {
        while let Some(Waiting { at, .. }) = wire.next(target, self.plan.deadline())? {
            let (time, seen) = self.read(wire, at)?;
            if owner(&seen, flows, self.options) == Some(flow) {
                wire.passed[at].event = Some(self.event);
                return Ok(Some(Arrived { at, time, seen }));
            }
        }
        Ok(None)
    }

    pub(super) fn read(&self, wire: &Wire, at: usize) -> Result<(Nanos, Seen), Error> {
        let passing = &wire.passed[at];
        let time = nanos(passing.at);
        let seen = Seen::parse(&passing.packet, self.options.udp_encapsulation);
        let unreadable = |what| format!("the packet at {} cannot be read: {what}", seconds(time));
        Ok((time, seen.map_err(|what| Error::Wrong(unreadable(what)))?))
    }

    /// Consecutive segments as one, up to the length that the script wants.
    fn joined(
        &self,
        mut head: Arrived,
        flow: usize,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<Arrived, Error> {
        let Body::Tcp(wanted) = &self.wanted.body else { return Ok(head) };
        let total = payload(wanted);
        let may_join = !self.options.strict_segments && self.options.dialect != Dialect::Nplab;
        let SeenBody::Tcp(whole, _) = &mut head.seen.body else { return Ok(head) };
        let part = whole.len;
        let (mut len, mut last_part) = (whole.len, whole.len);
        while may_join && len < total && part > 0 {
            let Some(next) = self.next(flow, wire, flows, target)? else { break };
            let follows = match &next.seen.body {
                SeenBody::Tcp(segment, _) => {
                    last_part == part && follows(whole, segment) && segment.len <= part
                }
                _ => false,
            };
            let SeenBody::Tcp(segment, _) = &next.seen.body else { break };
            if !follows {
                // It is none of ours: the next event may want it.
                wire.passed[next.at].event = None;
                wire.put_back(vec![Waiting { at: next.at, taken: 0 }]);
                break;
            }
            len += segment.len;
            last_part = segment.len;
            whole.len = len;
            let last = flag::PSH | flag::FIN;
            whole.flags = whole.flags & !last | segment.flags & last;
        }
        Ok(head)
    }

    pub(super) fn judge(
        &self,
        seen: &Seen,
        flow: usize,
        flows: &mut Flows,
        time: Nanos,
    ) -> Result<(), Error> {
        let flow = flows.get_mut(flow);
        if let (Body::Tcp(wanted), SeenBody::Tcp(segment, _)) = (&self.wanted.body, &seen.body) {
            matching::learn(flow, wanted, segment);
            matching::note_timestamp(flow, wanted, segment);
        }
        let actual = matching::in_script(seen, Some(self.wanted), flow);
        let mut parts = matching::differences(self.wanted, &actual, seen, self.options)?;
        let in_time = self.plan.verify(time, self.options);
        if in_time.is_err() {
            parts.push(Part::Time);
        }
        if parts.is_empty() {
            return Ok(());
        }
        let early = time < self.plan.start;
        Err(Error::Differs(Box::new(Difference {
            message: message(&parts, early),
            expected: Some(notation::show(&self.when(), self.wanted, &parts)),
            actual: Some(notation::show(&seconds(time), &actual, &parts)),
        })))
    }
}

fn message(parts: &[Part], early: bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in parts.iter().filter(|part| **part != Part::Time) {
        if !names.contains(&part.name()) {
            names.push(part.name());
        }
    }
    let timed = parts.contains(&Part::Time);
    let time = if early { "came early" } else { "came late" };
    match (names.is_empty(), timed) {
        (true, _) => format!("the packet {time}"),
        (false, false) => format!("the packet has other {}", names.join(", ")),
        (false, true) => format!("the packet {time} and has other {}", names.join(", ")),
    }
}

fn payload(tcp: &TcpSpec) -> u32 {
    match tcp.seq {
        SeqSpec::Range { len, .. } | SeqSpec::Unchecked { len } => len,
    }
}

/// Whether a segment goes on where `whole` ends, under the same header.
fn follows(whole: &Segment, next: &Segment) -> bool {
    let last = flag::PSH | flag::FIN;
    next.seq == whole.seq.wrapping_add(whole.len)
        && next.ack == whole.ack
        && next.window == whole.window
        && next.flags & !last == whole.flags & !last
        && !whole.has(flag::FIN | flag::SYN)
        && next.len > 0
}

/// The flow that a packet of the stack belongs to.
pub(super) fn owner(seen: &Seen, flows: &mut Flows, options: &Options) -> Option<usize> {
    if seen.ip.src != options.local() {
        return None;
    }
    match &seen.body {
        SeenBody::Tcp(segment, _) => {
            let opens = segment.flags & (flag::SYN | flag::ACK) == flag::SYN;
            let first = opens.then_some(segment.seq);
            flows.of_packet(segment.src_port, (seen.ip.dst, segment.dst_port), first)
        }
        SeenBody::Udp { src_port, dst_port, .. } => {
            flows.of_packet(*src_port, (seen.ip.dst, *dst_port), None)
        }
        SeenBody::Icmp { quoted: Some((remote, local)), .. } => {
            flows.of_packet(local.port(), (remote.ip(), remote.port()), None)
        }
        SeenBody::Icmp { .. } | SeenBody::Other(_) => None,
    }
}

/// The first packet of the script's connections that no event asked for.
pub(crate) fn unread(
    wire: &mut Wire,
    flows: &mut Flows,
    target: &mut dyn Target,
    options: &Options,
    until: Nanos,
) -> Result<(), Error> {
    while let Some(Waiting { at, .. }) = wire.next(target, until)? {
        let passing = &wire.passed[at];
        let Ok(seen) = Seen::parse(&passing.packet, options.udp_encapsulation) else { continue };
        if let Some(flow) = owner(&seen, flows, options) {
            let (is_loose, strict) = (options.loose_segments, options.strict);
            if is_loose && loose::is_free(&seen, flows.get_mut(flow), strict) {
                continue;
            }
            let actual = matching::in_script(&seen, None, flows.get(flow));
            let time = seconds(nanos(passing.at));
            return Err(Error::Differs(Box::new(Difference {
                message: match strict {
                    true => "the script ends before this packet (--strict)".to_owned(),
                    false => "the script ends without asking for this packet".to_owned(),
                },
                expected: None,
                actual: Some(notation::show(&time, &actual, &[Part::Kind])),
            })));
        }
    }
    Ok(())
}
