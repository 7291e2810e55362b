//! HyStart++ (RFC 9406): slow start ends where round trips begin to take longer, before the queue
//! of the bottleneck is full.
//!
//! Two things are more careful than the RFC. A first window whose ACKs come as a train half a round
//! trip long has filled half the path, which Linux takes for enough (Ha and Rhee's HyStart): it
//! slows down here. And where round trips go on rising after that, it ends at once: that is no
//! chance.

use super::RateSample;
use crate::time::{Duration, Instant};

/// Microseconds; the names are the RFC's (§4.3).
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u8 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u8 = 5;
/// ACKs no further apart are of one train; or an eighth of a round trip, where that is more.
const TRAIN_GAP: u32 = 2_000;
/// Segments of a window whose ACKs make a train.
const LEAST_TRAIN: u32 = 16;

/// No round trip was measured.
const NONE: u32 = u32::MAX;

/// What is known of the round trips of a first slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HyStart {
    /// Bytes to acknowledge until the round is over.
    round_left: u32,
    /// The shortest round trip of the round before, and of this one.
    last_min: u32,
    min: u32,
    /// The shortest of the round in which conservative slow start began.
    baseline: u32,
    /// When the first ACK of the round came, and the last one of its train; wrapping.
    round_began: u32,
    train: u32,
    samples: u8,
    /// Rounds of conservative slow start to come; 0 in ordinary slow start.
    css_rounds: u8,
    /// A longer round trip began it: a shorter one takes that back.
    is_by_delay: bool,
    /// The next ACK is the first of a round.
    begins: bool,
}

/// What an ACK of slow start does to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It grows by so many bytes.
    Grow(u32),
    /// It is large enough: congestion avoidance begins.
    Exit,
}

impl Default for HyStart {
    fn default() -> Self {
        let (last_min, min, baseline) = (NONE, NONE, NONE);
        Self {
            round_left: 0,
            last_min,
            min,
            baseline,
            round_began: 0,
            train: 0,
            samples: 0,
            css_rounds: 0,
            is_by_delay: false,
            begins: true,
        }
    }
}

impl HyStart {
    /// An ACK in slow start (§4.2) with a window of `cwnd` bytes. As in Linux the growth of one ACK
    /// has no limit: an ACK for a whole batch counts for all of it.
    pub(super) fn on_ack(&mut self, sample: &RateSample, cwnd: u32) -> Step {
        if let Some(rtt) = sample.rtt {
            self.min = self.min.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE - 1));
            self.samples = self.samples.saturating_add(1);
        }
        let is_full = self.is_train(sample) && cwnd >= LEAST_TRAIN * sample.mss;
        if is_full && self.css_rounds == 0 && self.min != NONE {
            self.slow_down(false);
        }
        if self.judge() {
            return Step::Exit;
        }
        let growth = match self.css_rounds {
            0 => sample.acked,
            _ => sample.acked / CSS_GROWTH_DIVISOR,
        };
        self.round_left = self.round_left.saturating_sub(sample.acked);
        if self.round_left == 0 && self.ends_round(sample.in_flight) {
            return Step::Exit;
        }
        Step::Grow(growth)
    }

    /// Whether the ACKs of this round, close to one another, take half a round trip by now.
    fn is_train(&mut self, sample: &RateSample) -> bool {
        let micros = |time: Duration| time.as_micros() as u32;
        let (now, min) = (micros(sample.now.since(Instant::ZERO)), micros(sample.min_rtt));
        if self.begins {
            (self.round_began, self.train, self.begins) = (now, now, false);
        }
        // Once interrupted, none begins in this round.
        if now.wrapping_sub(self.train) > TRAIN_GAP.max(min / 8) {
            return false;
        }
        self.train = now;
        min > 0 && now.wrapping_sub(self.round_began) >= min / 2
    }

    fn slow_down(&mut self, is_by_delay: bool) {
        (self.baseline, self.css_rounds, self.is_by_delay) = (self.min, CSS_ROUNDS, is_by_delay);
    }

    /// Whether round trips take longer than in the round before, or no longer so. Whether they go
    /// on rising.
    fn judge(&mut self) -> bool {
        if self.samples < N_RTT_SAMPLE {
            return false;
        }
        let is_risen = |min: u32, from: u32| {
            let rise = (from / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
            min >= from.saturating_add(rise)
        };
        if self.css_rounds == 0 {
            if self.last_min != NONE && is_risen(self.min, self.last_min) {
                self.slow_down(true);
            }
            return false;
        }
        if self.min < self.baseline && self.is_by_delay {
            // The rise was by chance.
            (self.baseline, self.css_rounds) = (NONE, 0);
        }
        self.css_rounds > 0 && is_risen(self.min, self.baseline)
    }

    /// A round is over, and the next ends when what is in flight is acknowledged. Whether slow
    /// start is over with it.
    fn ends_round(&mut self, in_flight: u32) -> bool {
        (self.last_min, self.min, self.samples) = (self.min, NONE, 0);
        (self.round_left, self.begins) = (in_flight, true);
        let was_conservative = self.css_rounds > 0;
        self.css_rounds = self.css_rounds.saturating_sub(1);
        was_conservative && self.css_rounds == 0
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::ack_of;
    use super::*;

    /// A round of `acks` segments, of which each took `millis`.
    fn round(hystart: &mut HyStart, acks: u32, millis: u64) -> Vec<Step> {
        let (rtt, in_flight) = (Some(Duration::from_millis(millis)), acks * 1000);
        let sample = RateSample { rtt, in_flight, ..ack_of(1000) };
        (0..acks).map(|_| hystart.on_ack(&sample, 10_000)).collect()
    }

    /// After the first ACK, which begins a round.
    fn begun() -> HyStart {
        let mut hystart = HyStart::default();
        hystart.on_ack(&RateSample { in_flight: 10_000, ..ack_of(1000) }, 10_000);
        hystart
    }

    #[test]
    fn steady_round_trips_double_the_window() {
        let mut hystart = begun();
        for acks in [10, 20, 40, 80] {
            let steps = round(&mut hystart, acks, 50);
            assert!(steps.iter().all(|step| *step == Step::Grow(1000)), "{steps:?}");
        }
    }

    #[test]
    fn rfc9406_4_2_a_rise_of_an_eighth_slows_it_down_and_five_rounds_end_it() {
        let mut hystart = begun();
        round(&mut hystart, 10, 80);
        round(&mut hystart, 10, 80);
        // A tenth longer is by chance, an eighth is not; eight samples make a round's.
        let steps = round(&mut hystart, 10, 88);
        assert_eq!(steps, [Step::Grow(1000); 10]);
        let steps = round(&mut hystart, 10, 99);
        assert_eq!(steps[..7], [Step::Grow(1000); 7]);
        assert_eq!(steps[7..], [Step::Grow(250); 3]);
        for _ in 0..3 {
            assert_eq!(round(&mut hystart, 10, 100), [Step::Grow(250); 10]);
        }
        assert_eq!(round(&mut hystart, 10, 100).last(), Some(&Step::Exit));
    }

    #[test]
    fn rfc9406_4_2_a_rise_by_chance_is_taken_back() {
        let mut hystart = begun();
        round(&mut hystart, 10, 80);
        round(&mut hystart, 10, 100);
        assert_eq!(hystart.css_rounds, CSS_ROUNDS - 1);
        let steps = round(&mut hystart, 10, 81);
        assert_eq!((steps[6], steps[8]), (Step::Grow(250), Step::Grow(1000)));
        assert_eq!(hystart.css_rounds, 0);
    }

    #[test]
    fn round_trips_that_go_on_rising_end_it_at_once() {
        let mut hystart = begun();
        round(&mut hystart, 10, 80);
        round(&mut hystart, 10, 100);
        let steps = round(&mut hystart, 10, 120);
        assert_eq!(steps.iter().position(|step| *step == Step::Exit), Some(7), "{steps:?}");
    }

    /// ACKs of one round, `gap` microseconds apart, after a round trip of 20 ms; which of them slow
    /// it down.
    fn train(gap: u64, cwnd: u32) -> Option<usize> {
        let mut hystart = begun();
        let rtt = Duration::from_millis(20);
        let step = |n: u64| {
            let now = Instant::from_micros(50_000 + n * gap);
            let (in_flight, min_rtt) = (30_000, rtt);
            let sample = RateSample { now, rtt: Some(rtt), min_rtt, in_flight, ..ack_of(1000) };
            hystart.on_ack(&sample, cwnd)
        };
        // The round before has ten ACKs to come.
        (0..40).map(step).position(|step| step != Step::Grow(1000))
    }

    #[test]
    fn a_train_of_acks_half_a_round_trip_long_slows_it_down() {
        assert_eq!(train(1000, 16_000), Some(10 + 10));
        assert_eq!(train(2500, 16_000), Some(4));
        assert_eq!(train(2501, 16_000), None, "interrupted");
        assert_eq!(train(1000, 15_999), None, "too few");
        assert_eq!(train(100, 16_000), None, "too short");
    }

    #[test]
    fn rfc9406_4_3_four_milliseconds_are_by_chance_on_a_short_path() {
        let mut hystart = begun();
        round(&mut hystart, 10, 1);
        round(&mut hystart, 10, 4);
        assert_eq!(hystart.css_rounds, 0);
        round(&mut hystart, 10, 8);
        assert_eq!(hystart.css_rounds, CSS_ROUNDS - 1);
    }
}
