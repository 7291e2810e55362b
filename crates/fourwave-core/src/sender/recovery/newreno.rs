//! Fast retransmit, limited transmit and NewReno recovery (RFC 5681, RFC 3042, RFC 6582), and
//! the way back from a retransmission timeout.

use core::ops::Range;

use fourwave_wire::SeqNum;

use super::CaState;
use super::prr::Cwr;

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
}

/// The recovery of one connection.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct NewReno {
    phase: Phase,
    duplicate_acks: u8,
    /// Bytes by which duplicate ACKs show that segments left the network (RFC 5681 §3.2).
    cwnd_inflation: u32,
    /// The window is reduced for marks.
    pub(crate) cwr: Option<Cwr>,
}

impl NewReno {
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Open, duplicate_acks: 0, cwnd_inflation: 0, cwr: None }
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

    /// A duplicate ACK arrived while everything before `nxt` is in flight. Whether it is the third,
    /// which means a loss.
    pub(crate) fn on_duplicate_ack(&mut self, nxt: SeqNum, mss: u32) -> bool {
        self.duplicate_acks = self.duplicate_acks.saturating_add(1);
        match self.phase {
            Phase::Open if self.duplicate_acks == DUPLICATE_ACKS => {
                self.phase = Phase::Fast { recover: nxt, due: true };
                self.cwnd_inflation = u32::from(DUPLICATE_ACKS) * mss;
                return true;
            }
            // RFC 3042: each of the first two lets one new segment out.
            Phase::Open | Phase::Fast { .. } => {
                self.cwnd_inflation = self.cwnd_inflation.saturating_add(mss);
            }
            Phase::Loss { .. } => {}
        }
        false
    }

    /// `una` moved forward by `acked` bytes.
    pub(crate) fn on_ack(&mut self, una: SeqNum, acked: u32, mss: u32) -> RecoveryEvent {
        self.duplicate_acks = 0;
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

    /// The retransmission timer ran out with `una..nxt` in flight.
    pub(crate) fn on_timeout(&mut self, una: SeqNum, nxt: SeqNum) {
        let recover = match self.phase {
            Phase::Loss { recover, .. } => recover.later(nxt),
            _ => nxt,
        };
        *self = Self {
            phase: Phase::Loss { recover, next: una },
            duplicate_acks: 0,
            cwnd_inflation: 0,
            cwr: None,
        };
    }

    /// The numbers of `lost` go out again, and nothing else.
    pub(crate) fn repair(&mut self, lost: Range<SeqNum>) {
        *self = Self {
            phase: Phase::Loss { recover: lost.end, next: lost.start },
            duplicate_acks: 0,
            cwnd_inflation: 0,
            cwr: None,
        };
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

    /// The bytes up to `end` were sent again.
    pub(crate) fn retransmitted(&mut self, end: SeqNum) {
        match &mut self.phase {
            Phase::Fast { due, .. } => *due = false,
            Phase::Loss { next, .. } => *next = next.later(end),
            Phase::Open => {}
        }
    }

    /// Bytes that count as in flight: after a timeout, only what was sent again.
    pub(crate) fn in_flight(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        match self.phase {
            Phase::Loss { recover, next } if next.before(recover) => next.since(una),
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

    fn at(n: u32) -> SeqNum {
        SeqNum::new(n)
    }

    #[test]
    fn rfc5681_3_2_third_duplicate_resends_the_first_segment() {
        let mut r = NewReno::new();
        assert!(!r.on_duplicate_ack(at(10_000), MSS));
        assert_eq!(r.cwnd_inflation(), MSS);
        assert!(!r.on_duplicate_ack(at(10_000), MSS));
        assert_eq!(r.retransmit(at(0)), None);
        assert!(r.on_duplicate_ack(at(10_000), MSS));
        assert_eq!(r.retransmit(at(0)), Some(at(0)..at(10_000)));
        r.retransmitted(at(1000));
        assert_eq!(r.retransmit(at(0)), None);
        assert!(!r.on_duplicate_ack(at(10_000), MSS));
        assert_eq!(r.cwnd_inflation(), 4 * MSS);
    }

    #[test]
    fn rfc6582_3_2_partial_ack_resends_the_next_hole() {
        let mut r = NewReno::new();
        for _ in 0..3 {
            r.on_duplicate_ack(at(10_000), MSS);
        }
        r.retransmitted(at(1000));
        assert_eq!(r.on_ack(at(4000), 4000, MSS), RecoveryEvent::PartialAck);
        assert_eq!(r.retransmit(at(4000)), Some(at(4000)..at(10_000)));
        assert_eq!(r.on_ack(at(10_000), 6000, MSS), RecoveryEvent::Recovered);
        assert_eq!(r.cwnd_inflation(), 0);
        assert_eq!(r.retransmit(at(10_000)), None);
    }

    #[test]
    fn rfc6298_5_4_after_a_timeout_all_is_sent_again_from_the_start() {
        let mut r = NewReno::new();
        r.on_timeout(at(0), at(5000));
        assert_eq!(r.in_flight(at(0), at(5000)), 0);
        assert_eq!(r.retransmit(at(0)), Some(at(0)..at(5000)));
        r.retransmitted(at(1000));
        assert_eq!(r.in_flight(at(0), at(5000)), 1000);
        // The receiver had kept what came behind the hole.
        assert_eq!(r.on_ack(at(4000), 4000, MSS), RecoveryEvent::Ordinary);
        assert_eq!(r.retransmit(at(4000)), Some(at(4000)..at(5000)));
        assert_eq!(r.on_ack(at(5000), 1000, MSS), RecoveryEvent::Ordinary);
        assert_eq!(r.retransmit(at(5000)), None);
    }
}
