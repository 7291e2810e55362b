//! Packets that the stack must send: waiting for them and joining their parts.

use crate::ast::{Body, SeqSpec, TcpSpec};
use crate::run::clock::{Nanos, nanos, seconds};
use crate::run::expect::{Expectation, owner};
use crate::run::flows::Flows;
use crate::run::loose;
use crate::run::notation::{self, Part};
use crate::run::raw::{Seen, SeenBody, Segment, flag};
use crate::run::spec::supported;
use crate::run::wire::{Waiting, Wire};
use crate::run::{Dialect, Difference, Error, Options, matching};
use crate::target::Target;

/// A packet of the right connection.
struct Arrived {
    at: usize,
    time: Nanos,
    seen: Seen,
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
