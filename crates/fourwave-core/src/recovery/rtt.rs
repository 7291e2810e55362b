//! Round-trip time and retransmission timeout (RFC 6298).

use crate::time::{Duration, Instant};

/// RTO before the first sample (RFC 6298 §2.1).
pub(crate) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// RTO for data after a SYN was retransmitted and gave no sample (RFC 6298 §5.7).
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// The estimator. Microseconds in 32 bits: up to 71 minutes.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) struct Rtt {
    srtt: u32,
    rttvar: u32,
    min: u32,
    /// Times the timeout was doubled since the last progress.
    backoff: u8,
    lost_syn: bool,
}

impl Rtt {
    /// A measured round trip of a segment that was sent once (Karn's rule is the caller's).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.backoff = 0;
        let r = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8).clamp(1, u32::MAX / 8);
        if self.srtt == 0 {
            self.srtt = r;
            self.rttvar = r / 2;
            self.min = r;
        } else {
            self.rttvar = (3 * self.rttvar + self.srtt.abs_diff(r)) / 4;
            self.srtt = (7 * self.srtt + r) / 8;
            self.min = self.min.min(r);
        }
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        (self.srtt != 0).then(|| Duration::from_micros(self.srtt.into()))
    }

    pub(crate) fn rttvar(&self) -> Duration {
        Duration::from_micros(self.rttvar.into())
    }

    pub(crate) fn min(&self) -> Duration {
        Duration::from_micros(self.min.into())
    }

    /// The timeout with its back-off, within `min` and `max`. As Linux does, `min` bounds the
    /// variance's share, so that a steady path does not time out at the mean.
    pub(crate) fn rto(&self, min: Duration, max: Duration) -> Duration {
        let base = match self.srtt() {
            None if self.lost_syn => RTO_AFTER_LOST_SYN,
            None => INITIAL_RTO,
            Some(srtt) => srtt + (4 * self.rttvar()).max(min),
        };
        base.saturating_mul(1 << self.backoff.min(16)).min(max)
    }

    /// Bytes worth sending in one piece, as Linux has it: what the path carries in a millisecond at
    /// twice the rate of `window` bytes a round trip (1.2 times after slow start), and up to
    /// `most` more the shorter the shortest round trip is.
    pub(crate) fn burst(&self, window: u32, slow_start: bool, most: u32) -> u32 {
        if self.srtt == 0 {
            return most;
        }
        let tenths = if slow_start { 20 } else { 12 };
        let second = u64::from(window) * 1_000_000 / u64::from(self.srtt) * tenths / 10;
        let near = most.checked_shr(self.min >> 9).unwrap_or(0);
        u32::try_from(second >> 10).unwrap_or(u32::MAX).saturating_add(near)
    }

    /// RFC 6298 §5.5: the timer ran out.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// What was waited for has come, though it tells no round trip: the SYN's answer, a window.
    pub(crate) fn progress(&mut self) {
        self.backoff = 0;
    }

    pub(crate) fn backoff(&self) -> u8 {
        self.backoff
    }

    /// RFC 6298 §5.7: a SYN had to be retransmitted, and its answer told no round trip.
    pub(crate) fn syn_was_lost(&mut self) {
        self.lost_syn = true;
    }
}

/// Times one segment at a time. A retransmission makes the measurement void (Karn).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) struct Stopwatch {
    end: fourwave_wire::SeqNum,
    started: Instant,
}

impl Stopwatch {
    pub(crate) fn idle() -> Self {
        Self { end: fourwave_wire::SeqNum::new(0), started: Instant::NEVER }
    }

    /// A segment that ends before `end` goes out for the first time.
    pub(crate) fn start(&mut self, end: fourwave_wire::SeqNum, now: Instant) {
        if self.started == Instant::NEVER {
            *self = Self { end, started: now };
        }
    }

    /// Something is sent again: an ACK would not say which copy it answers.
    pub(crate) fn void(&mut self) {
        *self = Self::idle();
    }

    /// The time taken, when `ack` answers the timed segment.
    pub(crate) fn stop(&mut self, ack: fourwave_wire::SeqNum, now: Instant) -> Option<Duration> {
        let started = self.started.known()?;
        if ack.before(self.end) {
            return None;
        }
        *self = Self::idle();
        Some(now.since(started))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(120);

    #[test]
    fn rfc6298_2_first_and_later_samples() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.rto(MIN, MAX), INITIAL_RTO);
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(100)));
        assert_eq!(rtt.rto(MIN, MAX), Duration::from_millis(300));
        rtt.sample(Duration::from_millis(200));
        assert_eq!(rtt.srtt(), Some(Duration::from_micros(112_500)));
        assert_eq!(rtt.rttvar(), Duration::from_micros(62_500));
        assert_eq!(rtt.min(), Duration::from_millis(100));
    }

    #[test]
    fn rfc6298_5_5_doubles_up_to_the_limit() {
        let mut rtt = Rtt::default();
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.rto(MIN, MAX), Duration::from_secs(4));
        for _ in 0..300 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(MIN, MAX), MAX);
        rtt.progress();
        assert_eq!(rtt.rto(MIN, MAX), INITIAL_RTO);
    }

    #[test]
    fn a_burst_is_a_millisecond_of_the_path() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.burst(10_000, true, 65_000), 65_000);
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.burst(10_000, true, 65_000), 200_000 >> 10);
        assert_eq!(rtt.burst(10_000, false, 65_000), 120_000 >> 10);
        rtt.sample(Duration::from_micros(300));
        assert!(rtt.burst(10_000, true, 65_000) > 65_000);
    }

    #[test]
    fn rfc6298_5_7_three_seconds_after_a_lost_syn() {
        let mut rtt = Rtt::default();
        rtt.syn_was_lost();
        assert_eq!(rtt.rto(MIN, MAX), RTO_AFTER_LOST_SYN);
    }
}
