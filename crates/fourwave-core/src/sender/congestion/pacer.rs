//! When the next burst may go out: departure times from the pacing rate, as Linux's internal pacing
//! has them.

use crate::time::{Duration, Instant};

/// A timer may be late by this: the host's counts in milliseconds.
const LATE: Duration = Duration::from_millis(1);

/// The departure time of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    departs: Instant,
    /// Nanoseconds that `departs` leaves out.
    rest: u16,
    /// Something is held back until then.
    waits: bool,
}

impl Pacer {
    pub(super) const fn new() -> Self {
        Self { departs: Instant::ZERO, rest: 0, waits: false }
    }

    /// Whether what is sent now would be too early.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.departs > now
    }

    /// So many bytes went out. What went out late lets the next go sooner: by half the gap at most,
    /// and by what a timer may be late.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u32, rate: u64) {
        let nanos = u64::from(bytes).saturating_mul(1_000_000_000) / rate.max(1);
        let credit = Duration::from_nanos(nanos / 2).max(LATE);
        let credit = u64::try_from(credit.as_micros()).unwrap_or(u64::MAX);
        let earliest = Instant::from_micros(now.as_micros().saturating_sub(credit));
        let nanos = nanos + u64::from(self.rest);
        self.departs = self.departs.max(earliest) + Duration::from_micros(nanos / 1000);
        self.rest = (nanos % 1000) as u16;
    }

    /// Something waits for the departure time.
    pub(super) fn wait(&mut self) {
        self.waits = true;
    }

    /// When to ask again; `NEVER` while nothing is held back.
    pub(super) fn deadline(&self) -> Instant {
        if self.waits { self.departs } else { Instant::NEVER }
    }

    /// The time has come, if it has.
    pub(super) fn on_timer(&mut self, now: Instant) {
        self.waits &= self.departs > now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(1_000_000 + micros)
    }

    #[test]
    fn a_burst_departs_when_the_one_before_it_has_passed_at_the_rate() {
        let mut pacer = Pacer::new();
        assert!(!pacer.holds(at(0)));
        // 10 ms at 1 MB/s; half of it is the credit of a sender that was idle.
        pacer.on_sent(at(0), 10_000, 1_000_000);
        assert!(pacer.holds(at(4_999)) && !pacer.holds(at(5_000)));
        assert_eq!(pacer.deadline(), Instant::NEVER, "nothing waits");
        pacer.wait();
        assert_eq!(pacer.deadline(), at(5_000));
        pacer.on_timer(at(4_000));
        assert_eq!(pacer.deadline(), at(5_000));
        pacer.on_timer(at(5_000));
        assert_eq!(pacer.deadline(), Instant::NEVER);
    }

    #[test]
    fn the_rate_holds_whatever_the_timers_do_and_however_small_the_gaps() {
        for (rate, late) in [(125_000_000_u64, 900), (1_250_000, 900), (3_000_000_000, 0)] {
            let (mut pacer, mut now, mut sent) = (Pacer::new(), 0, 0_u64);
            while now < 1_000_000 {
                while !pacer.holds(at(now)) {
                    pacer.on_sent(at(now), 20_000, rate);
                    sent += 20_000;
                }
                pacer.wait();
                now = pacer.deadline().as_micros() - 1_000_000 + late;
            }
            let most = rate + rate / 500 + 40_000;
            assert!(sent <= most && sent >= rate * 98 / 100, "{sent} at {rate}");
        }
    }
}
