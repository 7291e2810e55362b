//! `--loose_segments`: what a stack alone decides is left free.
//!
//! | free | still checked |
//! | --- | --- |
//! | into which segments a stream is cut, where PSH stands | every byte once and in order |
//! | whether the FIN goes with the last data or alone | that it goes behind the last byte |
//! | bare ACKs that no event asks for | those that one asks for; every ACK number, see below |
//! | what is sent again though no event asks for it | what one asks for |
//! | that data leaves before its event | that it is there in time |
//! | data on its way when an RST goes out | the RST |
//!
//! No packet acknowledges more than its event says, and data that left behind the last packet in
//! acknowledges exactly that. Nothing comes again that was acknowledged. At the script's end there
//! is no FIN or RST that no event has asked for.

use crate::ast::{Body, SeqSpec};
use crate::run::clock::{Nanos, seconds};
use crate::run::expect::{Expectation, NOTHING, owner};
use crate::run::flows::{Flow, Flows, Stream, beyond};
use crate::run::notation::{self, Part};
use crate::run::raw::{Seen, SeenBody, Segment, flag};
use crate::run::spec::flags_of;
use crate::run::wire::{Waiting, Wire};
use crate::run::{Difference, Error, Shown, matching};
use crate::target::Target;

/// What is said of a stretch of which only the beginning comes.
pub(crate) const SHORT: &str = "not all of it came";
/// Before the number behind that beginning.
pub(crate) const UP_TO: &str = "only up to ";

/// What an event asks for, in live numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    kind: Kind,
    start: u32,
    /// One past the last, FIN counted.
    end: u32,
    ack: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A bare ACK, or an empty probe.
    Ack,
    /// Data or FIN that no event has asked for before.
    New,
    /// Data or FIN once more.
    Again,
    Reset,
}

/// What a packet of the stack is to an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It, or its front, is what is asked for.
    Meets,
    /// It acknowledges what is asked for, and carries what a later event asks for.
    MeetsAndStays,
    /// A later event may ask for it.
    Later,
    /// Nobody need ask for it.
    Free,
    /// It should not be here.
    Wrong,
}

/// A packet of the connection that is looked at.
struct Candidate {
    waiting: Waiting,
    time: Nanos,
    seen: Seen,
}

impl Candidate {
    fn tcp(&self) -> Option<&Segment> {
        match &self.seen.body {
            SeenBody::Tcp(segment, _) => Some(segment),
            _ => None,
        }
    }
}

fn end_of(segment: &Segment) -> u32 {
    let flags = u32::from(segment.has(flag::SYN)) + u32::from(segment.has(flag::FIN));
    segment.seq.wrapping_add(segment.len).wrapping_add(flags)
}

fn is_bare(segment: &Segment) -> bool {
    segment.len == 0 && !segment.has(flag::SYN | flag::FIN | flag::RST)
}

/// The stack has sent a SYN, perhaps with data.
pub(super) fn opened(flow: &mut Flow, segment: &Segment) {
    if segment.has(flag::SYN) && flow.local_isn.is_some() {
        let stream = flow.stream();
        (stream.met, stream.sent) = (end_of(segment), end_of(segment));
    }
}

/// Whether the script's end may leave a packet unread. `strict`: only one that says nothing new.
pub(super) fn is_free(seen: &Seen, flow: &mut Flow, strict: bool) -> bool {
    let SeenBody::Tcp(segment, _) = &seen.body else { return !strict };
    let stream = *flow.stream();
    let is_new = beyond(end_of(segment), stream.met);
    match (segment.has(flag::RST), segment.has(flag::SYN | flag::FIN)) {
        (true, _) => stream.reset,
        (false, true) => !is_new,
        (false, false) => !strict || !is_new || is_bare(segment),
    }
}

impl Stretch {
    /// `knows`: the packet left behind the last one in.
    fn verdict(&self, segment: &Segment, got: u32, stream: Stream, knows: bool) -> Verdict {
        let is_new = beyond(end_of(segment), stream.met);
        if segment.has(flag::RST) || segment.has(flag::SYN) && is_new {
            let reset = self.kind == Kind::Reset && segment.has(flag::RST);
            return if reset { Verdict::Meets } else { Verdict::Wrong };
        }
        if self.ack.is_some_and(|ack| beyond(segment.ack, ack)) {
            return Verdict::Wrong;
        }
        if is_bare(segment) {
            return self.bare(segment, stream);
        }
        match self.kind {
            Kind::Ack if is_new && self.ack == Some(segment.ack) => Verdict::MeetsAndStays,
            Kind::Ack if is_new => Verdict::Later,
            Kind::Reset if is_new && !segment.has(flag::FIN) => Verdict::Free,
            Kind::New if beyond(self.start, stream.met) => Verdict::Wrong,
            Kind::New if !beyond(segment.seq, got) && beyond(end_of(segment), got) => {
                Verdict::Meets
            }
            Kind::Again if segment.seq == got => Verdict::Meets,
            Kind::Again => Verdict::Later,
            Kind::New if beyond(segment.seq, got) => Verdict::Wrong,
            Kind::Reset if is_new => Verdict::Wrong,
            Kind::Ack | Kind::New | Kind::Reset => {
                // One byte before the end is a keepalive probe.
                let is_probe = segment.len == 1 && !segment.has(flag::SYN | flag::FIN);
                let is_done = !beyond(end_of(segment), stream.acked) && !is_probe;
                if knows && is_done { Verdict::Wrong } else { Verdict::Free }
            }
        }
    }

    /// An ACK stands at the end of what was sent; a probe before it.
    fn bare(&self, segment: &Segment, stream: Stream) -> Verdict {
        let probes = beyond(stream.met, self.start);
        let at_end = !probes && segment.seq == stream.sent;
        let there = segment.seq == self.start || at_end;
        let meets = self.kind == Kind::Ack && self.ack == Some(segment.ack) && there;
        if meets { Verdict::Meets } else { Verdict::Free }
    }
}

impl Expectation<'_> {
    /// What this event asks for, if it is left free how it comes.
    pub(super) fn stretch(&self, flow: usize, flows: &mut Flows) -> Option<Stretch> {
        let Body::Tcp(tcp) = &self.wanted.body else { return None };
        let flow = flows.get_mut(flow);
        let syn = flags_of(tcp) & flag::SYN != 0;
        if !self.options.loose_segments || syn || flow.local_isn.is_none() {
            return None;
        }
        let SeqSpec::Range { start, len, absolute, .. } = tcp.seq else { return None };
        let shift = if absolute { 0 } else { flow.local_shift(false) };
        let start = start.wrapping_add(shift);
        let fin = flags_of(tcp) & flag::FIN != 0;
        let end = start.wrapping_add(len).wrapping_add(u32::from(fin));
        let kind = match flags_of(tcp) & flag::RST != 0 {
            true => Kind::Reset,
            false if end == start => Kind::Ack,
            false if beyond(end, flow.stream().met) => Kind::New,
            false => Kind::Again,
        };
        let ack = tcp.ack.map(|ack| ack.wrapping_add(flow.remote_shift(false)));
        Some(Stretch { kind, start, end, ack })
    }

    /// Waits for all of the stretch, whatever it comes in.
    pub(super) fn meet_loosely(
        &self,
        stretch: Stretch,
        flow: usize,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<(), Error> {
        let mut later = Vec::new();
        let met = self.look(stretch, flow, &mut later, wire, flows, target);
        wire.put_back(later);
        met
    }

    fn look(
        &self,
        stretch: Stretch,
        flow: usize,
        later: &mut Vec<Waiting>,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<(), Error> {
        // Nothing is left out between what was asked for before and this.
        let mut got = match stretch.kind {
            Kind::New => flows.get_mut(flow).stream().met,
            Kind::Ack | Kind::Again | Kind::Reset => stretch.start,
        };
        let begin = got;
        let mut passed_over = None;
        while let Some(next) = self.candidate(flow, wire, flows, target)? {
            let Some(segment) = next.tcp() else { return Err(self.wrong(&next, flow, flows)) };
            let (end, waiting) = (end_of(segment), next.waiting);
            let stream = *flows.get_mut(flow).stream();
            let knows = wire.left_behind_the_last_in(waiting.at);
            let verdict = stretch.verdict(segment, got, stream, knows);
            let is_ack = verdict == Verdict::Meets && stretch.kind == Kind::Ack;
            match verdict {
                // It answered something else.
                _ if is_ack && self.is_early(next.time) => passed_over = Some(next),
                Verdict::Wrong => return Err(self.wrong(&next, flow, flows)),
                Verdict::Later => later.push(waiting),
                Verdict::Free => passed_over = Some(next),
                Verdict::MeetsAndStays => {
                    later.push(waiting);
                    return self.in_time(&next, stretch, flow, flows);
                }
                Verdict::Meets if matches!(stretch.kind, Kind::Ack | Kind::Reset) => {
                    flows.get_mut(flow).stream().reset |= stretch.kind == Kind::Reset;
                    wire.passed[waiting.at].event = Some(self.event);
                    return self.whole(&next, stretch, flow, flows);
                }
                Verdict::Meets => {
                    wire.passed[waiting.at].event.get_or_insert(self.event);
                    got = if beyond(end, stretch.end) { stretch.end } else { end };
                    if beyond(end, got) && beyond(end, stream.met) {
                        let had = got.wrapping_sub(segment.seq);
                        later.push(Waiting { taken: waiting.taken + had, ..waiting });
                    }
                    self.piece(&next, got, knows, stretch, flow, flows)?;
                    if got == stretch.end {
                        return Ok(());
                    }
                }
            }
        }
        let got = (got != begin).then_some(got);
        Err(self.missing(got, passed_over, flow, flows))
    }

    fn is_early(&self, time: Nanos) -> bool {
        time < self.plan.start && self.plan.verify(time, self.options).is_err()
    }

    /// The next packet of the connection, or what is left of it.
    fn candidate(
        &self,
        flow: usize,
        wire: &mut Wire,
        flows: &mut Flows,
        target: &mut dyn Target,
    ) -> Result<Option<Candidate>, Error> {
        while let Some(waiting) = wire.next(target, self.plan.deadline())? {
            let (time, mut seen) = self.read(wire, waiting.at)?;
            if owner(&seen, flows, self.options) != Some(flow) {
                continue;
            }
            if let SeenBody::Tcp(segment, _) = &mut seen.body {
                segment.seq = segment.seq.wrapping_add(waiting.taken);
                segment.len = segment.len.saturating_sub(waiting.taken);
                let stream = flows.get_mut(flow).stream();
                if beyond(end_of(segment), stream.sent) && !segment.has(flag::SYN | flag::RST) {
                    stream.sent = end_of(segment);
                }
            }
            return Ok(Some(Candidate { waiting, time, seen }));
        }
        Ok(None)
    }

    /// A packet that is not what the event asks for, compared with it as it is.
    fn wrong(&self, next: &Candidate, flow: usize, flows: &mut Flows) -> Error {
        let judged = self.judge(&next.seen, flow, flows, next.time);
        judged.err().unwrap_or_else(|| {
            let actual = matching::in_script(&next.seen, None, flows.get(flow));
            Error::Differs(Box::new(Difference {
                message: "another packet came".to_owned(),
                expected: Some(notation::show(&self.when(), self.wanted, &[])),
                actual: Some(notation::show(&seconds(next.time), &actual, &[Part::Kind])),
            }))
        })
    }

    /// A bare ACK or an RST: all of it counts, but that it may stand behind other data.
    fn whole(
        &self,
        next: &Candidate,
        stretch: Stretch,
        flow: usize,
        flows: &mut Flows,
    ) -> Result<(), Error> {
        let mut seen = next.seen.clone();
        let Stream { sent, met, .. } = *flows.get_mut(flow).stream();
        if let SeenBody::Tcp(segment, _) = &mut seen.body
            && segment.seq == sent
            && !beyond(met, stretch.start)
        {
            segment.seq = stretch.start;
        }
        self.judge(&seen, flow, flows, next.time)
    }

    /// Data that acknowledges what was asked for.
    fn in_time(
        &self,
        next: &Candidate,
        stretch: Stretch,
        flow: usize,
        flows: &mut Flows,
    ) -> Result<(), Error> {
        let Body::Tcp(tcp) = &self.wanted.body else { return Ok(()) };
        let mut seen = next.seen.clone();
        if let SeenBody::Tcp(segment, _) = &mut seen.body {
            (segment.seq, segment.len, segment.flags) = (stretch.start, 0, flags_of(tcp));
        }
        self.judge(&seen, flow, flows, next.time)
    }

    /// A part of a stretch, up to `got`, judged as if it were all of it. New data may have left
    /// before its event; the last part must be there in time.
    fn piece(
        &self,
        next: &Candidate,
        got: u32,
        knows: bool,
        stretch: Stretch,
        flow: usize,
        flows: &mut Flows,
    ) -> Result<(), Error> {
        let Body::Tcp(tcp) = &self.wanted.body else { return Ok(()) };
        let stream = flows.get_mut(flow).stream();
        if beyond(got, stream.met) {
            stream.met = got;
        }
        let mut seen = next.seen.clone();
        if let (SeenBody::Tcp(segment, _), SeqSpec::Range { len, .. }) = (&mut seen.body, tcp.seq) {
            let ends = segment.has(flag::FIN) || got != stretch.end;
            let last = flag::PSH | if ends { flag::FIN } else { 0 };
            segment.flags = segment.flags & !last | flags_of(tcp) & last;
            (segment.seq, segment.len) = (stretch.start, len);
            // What left before the last packet came in could not acknowledge it.
            segment.ack = stretch.ack.filter(|_| !knows).unwrap_or(segment.ack);
        }
        let late = got == stretch.end && next.time > self.plan.start;
        let time = if stretch.kind == Kind::Again || late { next.time } else { self.plan.start };
        self.judge(&seen, flow, flows, time)
    }

    /// It did not come, or only up to `got`.
    fn missing(
        &self,
        got: Option<u32>,
        passed_over: Option<Candidate>,
        flow: usize,
        flows: &Flows,
    ) -> Error {
        let flow = flows.get(flow);
        if let Some(got) = got {
            let got = got.wrapping_sub(flow.local_shift(false));
            let what = format!("{UP_TO}{got}, until {}", seconds(self.plan.deadline()));
            return Error::Differs(Box::new(Difference {
                message: SHORT.to_owned(),
                expected: Some(notation::show(&self.when(), self.wanted, &[Part::Seq])),
                actual: Some(Shown::differing(what)),
            }));
        }
        let Some(last) = passed_over else { return self.nothing_came() };
        let actual = matching::in_script(&last.seen, Some(self.wanted), flow);
        Error::Differs(Box::new(Difference {
            message: NOTHING.to_owned(),
            expected: Some(notation::show(&self.when(), self.wanted, &[])),
            actual: Some(notation::show(&seconds(last.time), &actual, &[Part::Time])),
        }))
    }
}
