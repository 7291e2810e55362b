//! Fast retransmit, limited transmit and NewReno recovery (RFC 5681, RFC 3042, RFC 6582), and
//! the way back from a retransmission timeout.

use core::ops::Range;

use fourwave_wire::SeqNum;

use super::CaState;
use super::frto::{Frto, FrtoAnswer};
use super::prr::Cwr;
use super::undo::{Before, Proof, Undo};
use crate::time::{Duration, Instant};

/// Duplicate ACKs that mean a loss (RFC 5681 §3.2).
const DUPLICATE_ACKS: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery up to `recover`; `due` when the segment at SND.UNA is to go out again.
    Fast { recover: SeqNum, due: bool },
    /// After a timeout everything up to `recover` counts as lost; it is sent again from `next`.
    Loss { recover: SeqNum, next: SeqNum },
}

/// What an ACK that moves SND.UNA meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum RecoveryEvent {
    /// Nothing that fast recovery cares for.
    Ordinary,
    /// New data acknowledged, the hole behind it is the next loss.
    PartialAck,
    /// Everything that was lost is acknowledged.
    Recovered,
    /// Nothing was lost, and what was done for it is to be undone.
    Spurious(Before, Proof),
}

/// The recovery of one connection.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct NewReno {
    phase: Phase,
    duplicate_acks: u8,
    /// Bytes by which duplicate ACKs show that segments left the network (RFC 5681 §3.2).
    cwnd_inflation: u32,
    /// Whether a timeout was for nothing.
    frto: Frto,
    /// What is restored if what was taken for a loss turns out to be none.
    undo: Option<Undo>,
    /// The window is reduced for marks.
    pub(crate) cwr: Option<Cwr>,
}

impl NewReno {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            duplicate_acks: 0,
            cwnd_inflation: 0,
            frto: Frto::Off,
            undo: None,
            cwr: None,
        }
    }

    /// What it is about, for TCP_INFO.
    pub(crate) fn ca_state(&self) -> CaState {
        match self.phase {
            Phase::Open if self.duplicate_acks == 0 => CaState::Open,
            Phase::Open => CaState::Disorder,
            Phase::Fast { .. } => CaState::Recovery,
            Phase::Loss { .. } => CaState::Loss,
        }
    }

    /// A duplicate ACK of `una` arrived while everything before `nxt` is in flight; the windows are
    /// `before`. Whether it is the third, which means a loss.
    pub(crate) fn on_duplicate_ack(
        &mut self,
        una: SeqNum,
        nxt: SeqNum,
        mss: u32,
        before: Before,
    ) -> bool {
        self.duplicate_acks = self.duplicate_acks.saturating_add(1);
        match self.phase {
            Phase::Open if self.duplicate_acks == DUPLICATE_ACKS => {
                self.phase = Phase::Fast { recover: nxt, due: true };
                self.cwnd_inflation = u32::from(DUPLICATE_ACKS) * mss;
                self.undo = Some(Undo::new(before, una, false, 0));
                return true;
            }
            // RFC 3042: each of the first two lets one new segment out.
            Phase::Open | Phase::Fast { .. } => {
                self.cwnd_inflation = self.cwnd_inflation.saturating_add(mss);
            }
            Phase::Loss { recover, .. } => {
                self.frto.stop();
                // What was new after the timeout has left the network, and nothing else did.
                let new = if nxt.after(recover) { nxt.since(recover) } else { 0 };
                self.cwnd_inflation = self.cwnd_inflation.saturating_add(mss).min(new);
            }
        }
        false
    }

    /// `una` moved forward by `acked` bytes; `echo_age` is how old the timestamp is that the ACK
    /// echoes.
    pub(crate) fn on_ack(
        &mut self,
        una: SeqNum,
        acked: u32,
        mss: u32,
        now: Instant,
        echo_age: Option<Duration>,
    ) -> RecoveryEvent {
        self.duplicate_acks = 0;
        if let Some((before, proof)) = self.proof(una, now, echo_age) {
            *self = Self { cwr: self.cwr, ..Self::new() };
            return RecoveryEvent::Spurious(before, proof);
        }
        match self.phase {
            Phase::Open => {
                self.cwnd_inflation = 0;
                RecoveryEvent::Ordinary
            }
            Phase::Fast { recover, .. } if una.before(recover) => {
                // RFC 6582 §3.2 step 3, partial: deflate by what was acknowledged, add one back.
                self.phase = Phase::Fast { recover, due: true };
                self.cwnd_inflation = self.cwnd_inflation.saturating_sub(acked);
                if acked >= mss {
                    self.cwnd_inflation += mss;
                }
                RecoveryEvent::PartialAck
            }
            Phase::Loss { recover, next } if una.before(recover) => {
                self.phase = Phase::Loss { recover, next: next.later(una) };
                RecoveryEvent::Ordinary
            }
            Phase::Fast { .. } => {
                *self = Self::new();
                RecoveryEvent::Recovered
            }
            Phase::Loss { .. } => {
                *self = Self::new();
                RecoveryEvent::Ordinary
            }
        }
    }

    /// What of an ACK that moved SND.UNA proves that nothing was lost.
    fn proof(
        &mut self,
        una: SeqNum,
        now: Instant,
        echo_age: Option<Duration>,
    ) -> Option<(Before, Proof)> {
        let undo = self.undo.filter(|_| self.phase != Phase::Open)?;
        if undo.is_echo_older(now, echo_age) {
            return Some((undo.before(), Proof::Echo));
        }
        let Phase::Loss { recover, next } = self.phase else { return None };
        let answer = self.frto.on_ack(una.at_or_after(next), una.at_or_after(recover));
        (answer == FrtoAnswer::Spurious).then(|| (undo.before(), Proof::Arrival))
    }

    /// The retransmission timer ran out with `una..nxt` in flight; the windows are `before`.
    pub(crate) fn on_timeout(&mut self, una: SeqNum, nxt: SeqNum, before: Before) {
        let mut frto = self.frto;
        frto.on_timeout(self.phase == Phase::Open || frto == Frto::First);
        let undo = self.undo.filter(|_| self.phase != Phase::Open);
        let undo = undo.unwrap_or_else(|| Undo::new(before, una, true, 0));
        self.lose_all(una, nxt);
        (self.frto, self.undo) = (frto, Some(undo));
    }

    /// Everything in flight goes out again.
    pub(crate) fn lose_all(&mut self, una: SeqNum, nxt: SeqNum) {
        let recover = match self.phase {
            Phase::Loss { recover, .. } => recover.later(nxt),
            _ => nxt,
        };
        *self = Self { phase: Phase::Loss { recover, next: una }, ..Self::new() };
    }

    /// What is restored if nothing was lost are `windows` now: marks told of congestion.
    pub(crate) fn keep_windows(&mut self, windows: Before) {
        if let Some(undo) = &mut self.undo {
            undo.set_before(windows);
        }
    }

    /// Whether the age of an echoed timestamp would tell something.
    pub(crate) fn wants_echo(&self) -> bool {
        self.undo.is_some() && self.phase != Phase::Open
    }

    /// RFC 5682 §2.1, step 2b: new data goes out before what was lost, where there is any.
    pub(crate) fn wants_new(&self) -> bool {
        self.frto == Frto::Second
    }

    /// Whether it is on its way already, `nxt` being SND.NXT.
    pub(crate) fn has_sent_new(&self, nxt: SeqNum) -> bool {
        matches!(self.phase, Phase::Loss { recover, .. } if nxt.after(recover))
    }

    /// The numbers of `lost` go out again, and nothing else.
    pub(crate) fn repair(&mut self, lost: Range<SeqNum>) {
        let phase = Phase::Loss { recover: lost.end, next: lost.start };
        *self = Self { phase, ..Self::new() };
    }

    /// Bytes that duplicates before a first loss told to have arrived.
    pub(crate) fn told_by_duplicates(&self, mss: u32) -> u32 {
        match self.phase {
            Phase::Open => u32::from(self.duplicate_acks) * mss,
            Phase::Fast { .. } | Phase::Loss { .. } => 0,
        }
    }

    /// What is to be sent again before anything new; the range may be longer than the window
    /// allows, and in fast recovery longer than the segment that is due.
    pub(crate) fn retransmit(&self, una: SeqNum) -> Option<Range<SeqNum>> {
        match self.phase {
            Phase::Fast { recover, due: true } => una.before(recover).then_some(una..recover),
            Phase::Loss { recover, next } if next.before(recover) => Some(next..recover),
            _ => None,
        }
    }

    /// `range` was sent again.
    pub(crate) fn retransmitted(&mut self, range: Range<SeqNum>, now: Instant) {
        let Range { start, end } = range;
        if self.wants_new() {
            self.frto.stop();
        }
        if let Some(undo) = &mut self.undo {
            undo.on_retransmitted(end.since(start), now);
        }
        match &mut self.phase {
            Phase::Fast { due, .. } => *due = false,
            Phase::Loss { next, .. } => *next = next.later(end),
            Phase::Open => {}
        }
    }

    /// Bytes that count as in flight: after a timeout, only what was sent again and what is new.
    pub(crate) fn in_flight(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        match self.phase {
            Phase::Loss { recover, next } if next.before(recover) => {
                next.since(una) + if nxt.after(recover) { nxt.since(recover) } else { 0 }
            }
            _ => nxt.since(una),
        }
    }

    /// Bytes on top of the congestion window.
    pub(crate) fn cwnd_inflation(&self) -> u32 {
        self.cwnd_inflation
    }

    /// From the third duplicate until all that was in flight then is acknowledged.
    pub(crate) fn in_fast_recovery(&self) -> bool {
        matches!(self.phase, Phase::Fast { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    const BEFORE: Before = Before { cwnd: 10 * MSS, ssthresh: u32::MAX };

    fn at(n: u32) -> SeqNum {
        SeqNum::new(n)
    }

    fn time(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn duplicate(r: &mut NewReno) -> bool {
        r.on_duplicate_ack(at(0), at(10_000), MSS, BEFORE)
    }

    fn ack(r: &mut NewReno, una: u32, acked: u32) -> RecoveryEvent {
        r.on_ack(at(una), acked, MSS, time(300), None)
    }

    #[test]
    fn rfc5681_3_2_third_duplicate_resends_the_first_segment() {
        let mut r = NewReno::new();
        assert!(!duplicate(&mut r));
        assert_eq!(r.cwnd_inflation(), MSS);
        assert!(!duplicate(&mut r));
        assert_eq!(r.retransmit(at(0)), None);
        assert!(duplicate(&mut r));
        assert_eq!(r.retransmit(at(0)), Some(at(0)..at(10_000)));
        r.retransmitted(at(0)..at(1000), time(200));
        assert_eq!(r.retransmit(at(0)), None);
        assert!(!duplicate(&mut r));
        assert_eq!(r.cwnd_inflation(), 4 * MSS);
    }

    #[test]
    fn rfc6582_3_2_partial_ack_resends_the_next_hole() {
        let mut r = NewReno::new();
        for _ in 0..3 {
            duplicate(&mut r);
        }
        r.retransmitted(at(0)..at(1000), time(200));
        assert_eq!(ack(&mut r, 4000, 4000), RecoveryEvent::PartialAck);
        assert_eq!(r.retransmit(at(4000)), Some(at(4000)..at(10_000)));
        assert_eq!(ack(&mut r, 10_000, 6000), RecoveryEvent::Recovered);
        assert_eq!(r.cwnd_inflation(), 0);
        assert_eq!(r.retransmit(at(10_000)), None);
    }

    #[test]
    fn rfc6298_5_4_after_a_timeout_all_is_sent_again_from_the_start() {
        let mut r = NewReno::new();
        r.on_timeout(at(0), at(5000), BEFORE);
        assert_eq!(r.in_flight(at(0), at(5000)), 0);
        assert_eq!(r.retransmit(at(0)), Some(at(0)..at(5000)));
        r.retransmitted(at(0)..at(1000), time(200));
        assert_eq!(r.in_flight(at(0), at(5000)), 1000);
        // The receiver had kept what came behind the hole, and nothing new is to be sent.
        assert_eq!(ack(&mut r, 4000, 4000), RecoveryEvent::Ordinary);
        assert_eq!(r.retransmit(at(4000)), Some(at(4000)..at(5000)));
        r.retransmitted(at(4000)..at(5000), time(250));
        assert_eq!(ack(&mut r, 5000, 1000), RecoveryEvent::Ordinary);
        assert_eq!(r.retransmit(at(5000)), None);
    }

    #[test]
    fn rfc5682_2_1_new_data_goes_out_and_counts_as_in_flight() {
        let mut r = NewReno::new();
        r.on_timeout(at(0), at(5000), BEFORE);
        r.retransmitted(at(0)..at(1000), time(200));
        assert!(!r.wants_new());
        assert_eq!(ack(&mut r, 1000, 1000), RecoveryEvent::Ordinary);
        assert!(r.wants_new() && !r.has_sent_new(at(5000)) && r.has_sent_new(at(7000)));
        assert_eq!(r.in_flight(at(1000), at(7000)), 2000);
        let spurious = RecoveryEvent::Spurious(BEFORE, Proof::Arrival);
        assert_eq!(ack(&mut r, 2000, 1000), spurious);
        assert_eq!((r.retransmit(at(2000)), r.in_flight(at(2000), at(7000))), (None, 5000));
    }

    #[test]
    fn rfc5682_2_1_what_else_goes_out_again_or_a_duplicate_ends_it() {
        let mut r = NewReno::new();
        r.on_timeout(at(0), at(5000), BEFORE);
        r.retransmitted(at(0)..at(1000), time(200));
        assert_eq!(ack(&mut r, 1000, 1000), RecoveryEvent::Ordinary);
        let mut other = r;
        r.retransmitted(at(1000)..at(2000), time(300));
        assert_eq!(ack(&mut r, 2000, 1000), RecoveryEvent::Ordinary);
        assert!(!other.on_duplicate_ack(at(1000), at(7000), MSS, BEFORE));
        assert!(!other.wants_new());
        assert_eq!(other.cwnd_inflation(), MSS, "one of the two new segments has arrived");
        assert_eq!(other.retransmit(at(1000)), Some(at(1000)..at(5000)));
    }

    #[test]
    fn rfc3522_an_older_echo_undoes_without_sack_too() {
        let mut r = NewReno::new();
        r.on_timeout(at(0), at(5000), BEFORE);
        r.retransmitted(at(0)..at(1000), time(200));
        assert!(r.wants_echo());
        let mut other = r;
        let age = |millis| Some(Duration::from_millis(millis));
        let event = r.on_ack(at(5000), 5000, MSS, time(300), age(250));
        assert_eq!(event, RecoveryEvent::Spurious(BEFORE, Proof::Echo));
        let event = other.on_ack(at(5000), 5000, MSS, time(300), age(100));
        assert_eq!(event, RecoveryEvent::Ordinary);
    }
}
