//! A packet that the stack must send, and the judgement on one that came.

use crate::ast::{Body, Packet};
use crate::run::clock::{Nanos, Plan, nanos, seconds};
use crate::run::flows::Flows;
use crate::run::notation::{self, Part};
use crate::run::raw::{Seen, SeenBody, flag};
use crate::run::wire::Wire;
use crate::run::{Difference, Error, Options, Shown, matching};

/// What is said of a packet that never comes.
pub(crate) const NOTHING: &str = "the packet did not come";
/// What is said of a packet that is right but for its time, which is too soon.
pub(crate) const EARLY: &str = "the packet came early";

/// An outbound packet of the script, and all that is needed to judge what comes.
pub(crate) struct Expectation<'a> {
    pub(crate) wanted: &'a Packet,
    pub(crate) plan: Plan,
    pub(crate) event: usize,
    pub(crate) options: &'a Options,
}

impl Expectation<'_> {
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

    pub(super) fn read(&self, wire: &Wire, at: usize) -> Result<(Nanos, Seen), Error> {
        let passing = &wire.passed[at];
        let time = nanos(passing.at);
        let seen = Seen::parse(&passing.packet, self.options.udp_encapsulation);
        let unreadable = |what| format!("the packet at {} cannot be read: {what}", seconds(time));
        Ok((time, seen.map_err(|what| Error::Wrong(unreadable(what)))?))
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
        (true, _) if early => EARLY.to_owned(),
        (true, _) => format!("the packet {time}"),
        (false, false) => format!("the packet has other {}", names.join(", ")),
        (false, true) => format!("the packet {time} and has other {}", names.join(", ")),
    }
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
