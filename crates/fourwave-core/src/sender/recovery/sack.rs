//! Recovery where the peer acknowledges selectively: RACK finds what is lost, PRR says how much
//! goes out for each ACK, a probe finds a lost tail (RFC 8985, RFC 9937, RFC 6675).

use core::ops::Range;

use fourwave_wire::SeqNum;

use super::CaState;
use super::prr::{Cwr, Prr};
use super::rack::{Path, Rack, Reordering};
use super::undo::{Before, Proof, Undo};
use crate::sender::rate::{NewlyLost, Rates, Sampled};
use crate::sender::sent::{Delivered, Flight, SentRange, SentRanges};
use crate::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// A loss was found; over when all that was in flight then is acknowledged.
    Recovery { recover: SeqNum },
    /// The retransmission timer ran out.
    Loss { recover: SeqNum },
}

/// A tail loss probe that is on its way (RFC 8985 §7).
#[derive(Clone, Copy, Debug, Hash)]
struct Probe {
    /// SND.NXT when it went out.
    end: SeqNum,
    /// Numbers that it repeated; 0 when it was new data.
    repeated: u32,
}

/// What an ACK meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum SackEvent {
    /// Nothing was found lost.
    Ordinary,
    /// The first loss of a window: recovery begins.
    Loss {
        /// FlightSize: what is not acknowledged in order.
        in_flight: u32,
    },
    /// Recovery goes on.
    Recovering,
    /// Everything that was lost has arrived.
    Recovered,
    /// A tail loss probe repaired a loss that nothing else told of.
    ProbeRepaired,
    /// Nothing was lost, and what was done for it is to be undone.
    Spurious(Before, Proof),
}

/// An ACK, as recovery sees it; SND.UNA is `flight.una` now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) now: Instant,
    pub(crate) flight: Flight,
    pub(crate) blocks: &'a [(SeqNum, SeqNum)],
    /// How old the timestamp is that it echoes, where [`Sack::wants_echo`].
    pub(crate) echo_age: Option<Duration>,
    /// The windows as they are.
    pub(crate) before: Before,
}

/// What an ACK told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckReport {
    pub(crate) event: SackEvent,
    pub(crate) delivered: Delivered,
    /// Where it delivered something.
    pub(crate) sampled: Option<Sampled>,
    /// Numbers newly taken for lost.
    pub(crate) lost: u32,
    /// What was in flight before it.
    pub(crate) in_flight: u32,
    /// It moved SND.UNA and told of no further loss (RFC 9937's SafeACK).
    pub(crate) is_safe: bool,
}

/// The recovery of one connection.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Sack {
    sent: SentRanges,
    rack: Rack,
    phase: Phase,
    prr: Prr,
    rates: Rates,
    /// When what may have been reordered counts as lost; `NEVER` otherwise.
    pub(crate) reordering_deadline: Instant,
    /// When a tail loss probe goes out; `NEVER` otherwise.
    pub(crate) probe_deadline: Instant,
    probe: Option<Probe>,
    /// A probe is to go out.
    pub(crate) probe_due: bool,
    /// After a timeout the first segment goes out whatever else is on its way.
    pub(crate) first_due: bool,
    /// What is restored if what was taken for a loss turns out to be none.
    undo: Option<Undo>,
    /// The window is reduced for marks.
    pub(crate) cwr: Option<Cwr>,
    rest: Rest,
}

/// Whether anything may still be told of what was sent again once nothing is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rest {
    /// Not asked yet.
    Unknown,
    /// It is waited for: until the next flight is acknowledged.
    Waits,
    /// That flight is on its way.
    Last,
}

impl Sack {
    /// `is_sampled`: somebody asks for samples of the delivery rate.
    pub(crate) fn new(reordering: Reordering, is_sampled: bool) -> Self {
        Self {
            sent: SentRanges::default(),
            rack: Rack::new(reordering),
            phase: Phase::Open,
            prr: Prr::default(),
            rates: Rates::new(is_sampled),
            reordering_deadline: Instant::NEVER,
            probe_deadline: Instant::NEVER,
            probe: None,
            probe_due: false,
            first_due: false,
            undo: None,
            cwr: None,
            rest: Rest::Unknown,
        }
    }

    pub(crate) fn reordering(&self) -> Reordering {
        self.rack.reordering()
    }

    /// Nothing is in flight. Whether nothing is to come either: a duplicate of what was sent again
    /// may tell that it was for nothing.
    pub(crate) fn may_end(&mut self) -> bool {
        let is_waited_for = self.undo.as_ref().is_some_and(Undo::is_open)
            || self.probe.is_some_and(|probe| probe.repeated > 0);
        if self.rest == Rest::Unknown && is_waited_for {
            self.rest = Rest::Waits;
        }
        // A reduction for marks ends with the next flight.
        self.cwr.is_none() && (!is_waited_for || self.rest == Rest::Last)
    }

    pub(crate) fn ca_state(&self) -> CaState {
        match self.phase {
            Phase::Open if self.sent.sacked() == 0 => CaState::Open,
            Phase::Open => CaState::Disorder,
            Phase::Recovery { .. } => CaState::Recovery,
            Phase::Loss { .. } => CaState::Loss,
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.sent.in_flight()
    }

    /// Of what is not acknowledged, what was named, what was lost (as Linux tells it: what a probe
    /// repeats was not) and what is on its way again.
    pub(crate) fn sums(&self) -> (u32, u32, u32) {
        let again = self.sent.retransmitted_numbers();
        let probed = self.probe.map_or(0, |probe| probe.repeated);
        (self.sent.sacked(), self.sent.lost() + again.saturating_sub(probed), again)
    }

    /// RFC 2018 §8: SND.UNA has come to what the peer named: it gave that up.
    pub(crate) fn is_reneged(&self) -> bool {
        self.sent.is_first_sacked()
    }

    /// Whether somebody asks for samples of the delivery rate.
    pub(crate) fn ask_rates(&mut self, is_on: bool) {
        self.rates.ask(is_on);
    }

    /// Nothing waits to be sent, and the window has room (draft-ietf-ccwg-bbr-06 §4.1.2.4).
    pub(crate) fn on_app_limited(&mut self) {
        if self.sent.lost() == 0 {
            self.rates.on_app_limited(self.sent.in_flight());
        }
    }

    /// What was found lost since this was last called, and what that says of the path when the last
    /// of it went out.
    pub(crate) fn take_lost(&mut self) -> Option<(NewlyLost, Sampled)> {
        let lost = self.sent.take_lost();
        if lost.segments == 0 {
            return None;
        }
        self.rates.on_lost(lost.segments);
        Some((lost, self.rates.since(lost.snapshot)))
    }

    pub(crate) fn on_new(&mut self, range: Range<SeqNum>, mss: u32, now: Instant) {
        let len = range.end.since(range.start);
        self.sent.push(range.clone(), mss, now, &mut self.rates);
        if self.rest == Rest::Waits {
            self.rest = Rest::Last;
        }
        self.prr.on_sent(len);
        if core::mem::take(&mut self.probe_due) {
            self.probe = Some(Probe { end: range.end, repeated: 0 });
        }
    }

    pub(crate) fn on_retransmitted(&mut self, range: Range<SeqNum>, nxt: SeqNum, now: Instant) {
        let len = range.end.since(range.start);
        self.prr.on_sent(len);
        self.first_due = false;
        self.sent.retransmitted(range, now, &mut self.rates);
        if core::mem::take(&mut self.probe_due) {
            self.probe = Some(Probe { end: nxt, repeated: len });
        } else if let Some(undo) = &mut self.undo {
            undo.on_retransmitted(len, now);
        }
    }

    /// Whether the age of an echoed timestamp would tell something.
    pub(crate) fn wants_echo(&self) -> bool {
        self.undo.is_some() && self.phase != Phase::Open
    }

    pub(crate) fn on_ack(&mut self, ack: &Arrival<'_>, path: &Path) -> AckReport {
        let Arrival { now, flight, .. } = *ack;
        let in_flight = self.sent.in_flight();
        let mut delivered = self.sent.ack();
        let has_moved = self.sent.acknowledge(flight.una, &mut delivered);
        // What was to be asked for has been answered.
        self.probe_due &= !has_moved;
        let duplicate = self.take_blocks(flight, ack.blocks, &mut delivered);
        let sampled = delivered.newest.and_then(|newest| {
            let (sent_at, was) = (newest.sent_at, newest.delivered);
            self.rates.on_delivered(now, delivered.bytes, sent_at, was, newest.snapshot)
        });
        self.rack.on_delivered(now, &delivered, path);
        if duplicate.is_some() {
            self.rack.on_duplicate(flight.una, flight.nxt);
        }
        let proof = self.proof(ack, &delivered, has_moved, duplicate);
        if let Some(undone) = proof.and_then(|proof| self.give_back(proof, now)) {
            let (event, is_safe) = (undone, has_moved);
            return AckReport { event, delivered, sampled, lost: 0, in_flight, is_safe };
        }
        let lost = self.detect(now, path);
        let says_nothing = !has_moved && delivered.bytes == 0;
        let repaired = self.probe_answered(flight.una, duplicate.is_some(), says_nothing);
        let event = self.turn(flight, lost, in_flight, repaired, ack.before);
        let is_safe = has_moved && lost == 0;
        AckReport { event, delivered, sampled, lost, in_flight, is_safe }
    }

    /// What is restored if nothing was lost are `windows` now: marks told of congestion.
    pub(crate) fn keep_windows(&mut self, windows: Before) {
        if let Some(undo) = &mut self.undo {
            undo.set_before(windows);
        }
    }

    /// RFC 9937: how much goes out for an ACK of a recovery, down to `ssthresh`.
    pub(crate) fn pace(&mut self, report: &AckReport, ssthresh: u32, mss: u32) {
        let (delivered, is_safe) = (report.delivered.bytes, report.is_safe);
        self.prr.on_ack(delivered, self.sent.in_flight(), ssthresh, mss, is_safe);
    }

    /// Takes what the blocks say. The first of them, where it tells of a duplicate (RFC 2883 §4).
    fn take_blocks(
        &mut self,
        flight: Flight,
        blocks: &[(SeqNum, SeqNum)],
        to: &mut Delivered,
    ) -> Option<(SeqNum, SeqNum)> {
        let is_duplicate = match *blocks {
            [(_, end), ..] if end.at_or_before(flight.una) => true,
            [(start, end), (outer_start, outer_end), ..] => {
                start.at_or_after(outer_start) && end.at_or_before(outer_end)
            }
            _ => false,
        };
        for &(start, end) in blocks.iter().skip(usize::from(is_duplicate)) {
            // Numbers that were never sent are nobody's to acknowledge.
            let is_ours = start.before(end) && end.at_or_before(flight.nxt);
            if is_ours && end.after(flight.una) {
                self.sent.sack(start.later(flight.una)..end, flight.mss, to);
            }
        }
        blocks.first().copied().filter(|_| is_duplicate)
    }

    /// What time tells of. On a path that loses and reorders nothing it looks at nothing.
    fn detect(&mut self, now: Instant, path: &Path) -> u32 {
        self.reordering_deadline = Instant::NEVER;
        if self.phase == Phase::Open && self.sent.sacked() == 0 {
            return 0;
        }
        let hurry = self.phase != Phase::Open;
        let (lost, next) = self.rack.detect(now, &mut self.sent, hurry, path);
        self.reordering_deadline = next.unwrap_or(Instant::NEVER);
        lost
    }

    /// RFC 8985 §7.4: whether it is certain now that a probe repaired a loss. What acknowledges no
    /// more than was sent before it may answer the first copy, and the other be told of yet.
    fn probe_answered(&mut self, una: SeqNum, is_duplicate: bool, says_nothing: bool) -> bool {
        let Some(probe) = self.probe.filter(|probe| una.at_or_after(probe.end)) else {
            return false;
        };
        let is_beyond = una.after(probe.end);
        if is_beyond || probe.repeated == 0 || is_duplicate || says_nothing {
            self.probe = None;
        }
        is_beyond && probe.repeated > 0 && !is_duplicate
    }

    /// What of an ACK proves that nothing was lost.
    fn proof(
        &mut self,
        ack: &Arrival<'_>,
        delivered: &Delivered,
        has_moved: bool,
        duplicate: Option<(SeqNum, SeqNum)>,
    ) -> Option<Proof> {
        let undo = self.undo.as_mut()?;
        let recovers = self.phase != Phase::Open;
        // RFC 5682 §3, as Linux has it: after a timeout something arrived that was not sent again.
        let after_timeout = matches!(self.phase, Phase::Loss { .. }) && undo.is_timeout();
        if after_timeout && delivered.is_lost_one_here {
            return Some(Proof::Arrival);
        }
        if recovers && has_moved && undo.is_echo_older(ack.now, ack.echo_age) {
            return Some(Proof::Echo);
        }
        let (start, end) = duplicate?;
        undo.on_duplicate(start, end).then_some(Proof::Duplicates)
    }

    /// What was taken for a loss was none.
    fn give_back(&mut self, proof: Proof, now: Instant) -> Option<SackEvent> {
        let undo = self.undo.take()?;
        // What is lost all the same is looked for after this, with all the windows as before.
        self.reordering_deadline = now;
        self.sent.find_all();
        self.rack.on_spurious();
        self.phase = Phase::Open;
        self.first_due = false;
        Some(SackEvent::Spurious(undo.before(), proof))
    }

    fn turn(
        &mut self,
        flight: Flight,
        lost: u32,
        in_flight: u32,
        repaired: bool,
        before: Before,
    ) -> SackEvent {
        let event = match self.phase {
            Phase::Recovery { recover } if flight.una.at_or_after(recover) => {
                self.phase = Phase::Open;
                self.rack.on_recovered();
                SackEvent::Recovered
            }
            Phase::Recovery { .. } => SackEvent::Recovering,
            Phase::Loss { recover } if flight.una.at_or_after(recover) => {
                self.phase = Phase::Open;
                SackEvent::Ordinary
            }
            Phase::Loss { .. } => SackEvent::Ordinary,
            Phase::Open if repaired && lost == 0 => SackEvent::ProbeRepaired,
            Phase::Open => SackEvent::Ordinary,
        };
        if lost == 0 || self.phase != Phase::Open {
            return event;
        }
        self.phase = Phase::Recovery { recover: flight.nxt };
        self.prr = Prr::new(in_flight, flight.mss);
        self.begin_undo(before, flight.una, false);
        // RFC 6675 §5 step 4.2: FlightSize counts what was named, too.
        SackEvent::Loss { in_flight: flight.nxt.since(flight.una) }
    }

    fn begin_undo(&mut self, before: Before, una: SeqNum, is_timeout: bool) {
        self.rest = Rest::Unknown;
        let probed = self.probe.map_or(0, |probe| probe.repeated);
        self.undo = Some(Undo::new(before, una, is_timeout, probed));
    }

    /// The reordering window is over. Whether something is lost now, and how much was in flight.
    pub(crate) fn on_reordering_timer(
        &mut self,
        now: Instant,
        flight: Flight,
        path: &Path,
        before: Before,
    ) -> SackEvent {
        let in_flight = self.sent.in_flight();
        let lost = self.detect(now, path);
        self.turn(flight, lost, in_flight, false, before)
    }

    /// The retransmission timer ran out: what had time enough to arrive is lost, and the first
    /// range in any case.
    pub(crate) fn on_timeout(&mut self, now: Instant, flight: Flight, path: &Path, before: Before) {
        let mut first = true;
        if self.phase == Phase::Open {
            self.begin_undo(before, flight.una, true);
        }
        if self.sent.is_first_sacked() {
            // RFC 2018 §8: the peer gave up what it had.
            self.sent.forget_sacks();
        }
        let hurry = self.phase != Phase::Open;
        let wait = self.rack.wait(self.sent.sacked_segments(), hurry, path);
        self.sent.lose(|range| core::mem::take(&mut first) || range.sent_at + wait <= now);
        let recover = match self.phase {
            Phase::Loss { recover } => recover.later(flight.nxt),
            _ => flight.nxt,
        };
        self.phase = Phase::Loss { recover };
        self.probe = None;
        self.probe_due = false;
        self.first_due = true;
        self.stop_timers();
    }

    pub(crate) fn stop_timers(&mut self) {
        self.reordering_deadline = Instant::NEVER;
        self.probe_deadline = Instant::NEVER;
    }

    /// Everything in flight goes out again.
    pub(crate) fn lose_all(&mut self, nxt: SeqNum) {
        self.sent.lose(|_| true);
        // Too large for the path is no congestion.
        let _none = self.sent.take_lost();
        self.phase = Phase::Loss { recover: nxt };
    }

    /// What of `lost` is on its way is lost, and goes out again; what was found lost before tells
    /// of nothing else. Over when all that is in flight is acknowledged, as in Linux.
    pub(crate) fn repair(&mut self, lost: &Range<SeqNum>, nxt: SeqNum) {
        let is_in =
            |range: &SentRange| range.start.at_or_after(lost.start) && range.start.before(lost.end);
        self.sent.lose(is_in);
        let _none = self.sent.take_lost();
        (self.undo, self.rest) = (None, Rest::Unknown);
        self.phase = Phase::Loss { recover: nxt };
        self.stop_timers();
    }

    /// Segments that go out from `nxt` on have another size than `mss`.
    pub(crate) fn on_new_mss(&mut self, nxt: SeqNum, mss: u32) {
        self.sent.on_new_mss(nxt, mss);
    }

    /// What is to go out again first.
    pub(crate) fn retransmit(&self) -> Option<Range<SeqNum>> {
        // Where it gave something up the timer is about to tell so.
        self.sent.first_lost().filter(|_| !self.is_reneged())
    }

    pub(crate) fn has_lost(&self) -> bool {
        self.sent.lost() > 0 && !self.is_reneged()
    }

    /// What a probe repeats.
    pub(crate) fn tail(&self, flight: &Flight) -> Option<Range<SeqNum>> {
        self.sent.tail(flight)
    }

    /// Whether a probe may be scheduled (RFC 8985 §7.2): nothing is out of order, and none is on
    /// its way.
    pub(crate) fn may_probe(&self) -> bool {
        self.phase == Phase::Open && self.sent.sacked() == 0 && self.probe.is_none()
    }

    /// Bytes that recovery lets out now; `None` while the congestion window rules.
    pub(crate) fn budget(&self) -> Option<u32> {
        matches!(self.phase, Phase::Recovery { .. }).then(|| self.prr.budget())
    }
}
