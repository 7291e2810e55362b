//! HyStart++ (RFC 9406): slow start ends where round trips begin to take longer, before the queue of
//! the bottleneck is full.

use super::RateSample;

/// Microseconds; the names are the RFC's (§4.3).
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u8 = 8;
const CSS_GROWTH_DIVISOR: u32 = 4;
const CSS_ROUNDS: u8 = 5;

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
    samples: u8,
    /// Rounds of conservative slow start to come; 0 in ordinary slow start.
    css_rounds: u8,
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
        Self { round_left: 0, last_min, min, baseline, samples: 0, css_rounds: 0 }
    }
}

impl HyStart {
    /// An ACK in slow start (§4.2). As in Linux the growth of one ACK has no limit: an ACK for a
    /// whole batch counts for all of it.
    pub(super) fn on_ack(&mut self, sample: &RateSample) -> Step {
        if let Some(rtt) = sample.rtt {
            self.min = self.min.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE - 1));
            self.samples = self.samples.saturating_add(1);
        }
        self.judge();
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

    /// Whether round trips take longer than in the round before, or no longer so.
    fn judge(&mut self) {
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        if self.css_rounds > 0 {
            // The rise was by chance.
            if self.min < self.baseline {
                (self.baseline, self.css_rounds) = (NONE, 0);
            }
        } else if self.last_min != NONE {
            let rise = (self.last_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
            if self.min >= self.last_min.saturating_add(rise) {
                (self.baseline, self.css_rounds) = (self.min, CSS_ROUNDS);
            }
        }
    }

    /// A round is over, and the next ends when what is in flight is acknowledged. Whether slow
    /// start is over with it.
    fn ends_round(&mut self, in_flight: u32) -> bool {
        (self.last_min, self.min, self.samples) = (self.min, NONE, 0);
        self.round_left = in_flight;
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
    use crate::time::Duration;

    /// A round of `acks` segments, of which each took `millis`.
    fn round(hystart: &mut HyStart, acks: u32, millis: u64) -> Vec<Step> {
        let (rtt, in_flight) = (Some(Duration::from_millis(millis)), acks * 1000);
        let sample = RateSample { rtt, in_flight, ..ack_of(1000) };
        (0..acks).map(|_| hystart.on_ack(&sample)).collect()
    }

    /// After the first ACK, which begins a round.
    fn begun() -> HyStart {
        let mut hystart = HyStart::default();
        hystart.on_ack(&RateSample { in_flight: 10_000, ..ack_of(1000) });
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
    fn rfc9406_4_3_four_milliseconds_are_by_chance_on_a_short_path() {
        let mut hystart = begun();
        round(&mut hystart, 10, 1);
        round(&mut hystart, 10, 4);
        assert_eq!(hystart.css_rounds, 0);
        round(&mut hystart, 10, 8);
        assert_eq!(hystart.css_rounds, CSS_ROUNDS - 1);
    }
}
