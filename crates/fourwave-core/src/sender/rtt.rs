//! The round-trip time (RFC 6298 §2, §3), and how much is delivered in one
//! (draft-cheng-iccrg-delivery-rate-estimation, one sample a round trip).

use fourwave_wire::SeqNum;

use crate::time::{Duration, Instant};

/// The estimator. Microseconds in 32 bits: up to 71 minutes.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Rtt {
    srtt: u32,
    rttvar: u32,
    min: u32,
}

impl Rtt {
    /// Measured round trips of segments that were sent once (Karn's rule is the caller's): of the
    /// oldest that an ACK tells of, and of the newest.
    pub(crate) fn sample(&mut self, oldest: Duration, newest: Duration) {
        let micros = |rtt: Duration| {
            u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8).clamp(1, u32::MAX / 8)
        };
        let (r, least) = (micros(oldest), micros(newest));
        if self.srtt == 0 {
            self.srtt = r;
            self.rttvar = r / 2;
            self.min = least;
        } else {
            self.rttvar = (3 * self.rttvar + self.srtt.abs_diff(r)) / 4;
            self.srtt = (7 * self.srtt + r) / 8;
            self.min = self.min.min(least);
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

    /// Bytes worth sending in one piece, as Linux has it: what the path carries in a millisecond at
    /// twice the rate of `cwnd` bytes a round trip (1.2 times after slow start), and up to
    /// `most` more the shorter the shortest round trip is.
    pub(crate) fn burst(&self, cwnd: u32, in_slow_start: bool, most: u32) -> u32 {
        if self.srtt == 0 {
            return most;
        }
        let tenths = if in_slow_start { 20 } else { 12 };
        let second = u64::from(cwnd) * 1_000_000 / u64::from(self.srtt) * tenths / 10;
        self.burst_of(second, most)
    }

    /// The same at a rate in bytes a second.
    pub(crate) fn burst_of(&self, rate: u64, most: u32) -> u32 {
        let near = most.checked_shr(self.min >> 9).unwrap_or(0);
        u32::try_from(rate >> 10).unwrap_or(u32::MAX).saturating_add(near)
    }
}

/// Times one segment at a time. A retransmission makes the measurement void (Karn).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttSampler {
    pub(super) end: SeqNum,
    /// SND.UNA when it started.
    pub(super) una: SeqNum,
    pub(super) started: Instant,
}

/// What a timed segment told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) rtt: Duration,
    /// Sequence numbers acknowledged in that time; 0 when it is not known.
    pub(crate) delivered: u32,
}

impl Timed {
    /// Bytes a second.
    pub(crate) fn delivery_rate(self) -> Option<u64> {
        let micros = u64::try_from(self.rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        (self.delivered > 0).then(|| u64::from(self.delivered) * 1_000_000 / micros)
    }
}

impl RttSampler {
    pub(crate) fn idle() -> Self {
        Self { end: SeqNum::new(0), una: SeqNum::new(0), started: Instant::NEVER }
    }

    /// A segment that ends before `end` goes out for the first time.
    pub(crate) fn start(&mut self, end: SeqNum, una: SeqNum, now: Instant) {
        if self.started == Instant::NEVER {
            *self = Self { end, una, started: now };
        }
    }

    /// Something is sent again: an ACK would not say which copy it answers.
    pub(crate) fn void(&mut self) {
        *self = Self::idle();
    }

    /// What the timed segment told, when `ack` answers it.
    pub(crate) fn stop(&mut self, ack: SeqNum, now: Instant) -> Option<Timed> {
        let started = self.started.known()?;
        if ack.before(self.end) {
            return None;
        }
        let delivered = ack.since(self.una);
        *self = Self::idle();
        Some(Timed { rtt: now.since(started), delivered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6298_2_first_and_later_samples() {
        let mut rtt = Rtt::default();
        let sample = |rtt: &mut Rtt, millis| {
            rtt.sample(Duration::from_millis(millis), Duration::from_millis(millis));
        };
        sample(&mut rtt, 100);
        assert_eq!(rtt.srtt(), Some(Duration::from_millis(100)));
        sample(&mut rtt, 200);
        assert_eq!(rtt.srtt(), Some(Duration::from_micros(112_500)));
        assert_eq!(rtt.rttvar(), Duration::from_micros(62_500));
        assert_eq!(rtt.min(), Duration::from_millis(100));
    }

    #[test]
    fn a_burst_is_a_millisecond_of_the_path() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.burst(10_000, true, 65_000), 65_000);
        rtt.sample(Duration::from_millis(100), Duration::from_millis(100));
        assert_eq!(rtt.burst(10_000, true, 65_000), 200_000 >> 10);
        assert_eq!(rtt.burst(10_000, false, 65_000), 120_000 >> 10);
        rtt.sample(Duration::from_micros(300), Duration::from_micros(300));
        assert!(rtt.burst(10_000, true, 65_000) > 65_000);
    }

    #[test]
    fn what_is_acknowledged_in_a_round_trip_is_the_rate() {
        let at = |n: u32| SeqNum::new(u32::MAX - 100) + n;
        let mut sampler = RttSampler::idle();
        sampler.start(at(3000), at(0), Instant::ZERO);
        let now = Instant::from_micros(100_000);
        assert!(sampler.stop(at(2999), now).is_none());
        let timed = sampler.stop(at(16_000), now).unwrap();
        assert_eq!(timed.delivery_rate(), Some(160_000));
        assert_eq!(Timed { delivered: 0, ..timed }.delivery_rate(), None);
        let fast = Timed { rtt: Duration::ZERO, delivered: u32::MAX };
        assert_eq!(fast.delivery_rate(), Some(u64::from(u32::MAX) * 1_000_000));
    }
}
