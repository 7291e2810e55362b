//! The receive buffer grows with what the application takes in a round trip.

use crate::time::{Duration, Instant};

/// Rounds shorter than this are measured together: on a local path a round trip is shorter than
/// the time for which an application sleeps.
const SHORTEST_ROUND: Duration = Duration::from_millis(1);

/// Dynamic right-sizing: twice of what was taken in one round trip is what the peer can use, and
/// as much more as the round trip took more than the one before it: in slow start the next will
/// take more again, and the window has to be there first. As in Linux.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Autotune {
    copied: u32,
    /// In the round trip before; 0 in the first.
    last: u32,
    since: Instant,
}

// What a model sends is too little to grow a buffer: no part of a state's fingerprint.
impl core::hash::Hash for Autotune {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}

impl Autotune {
    pub(crate) fn new(now: Instant) -> Self {
        Self { copied: 0, last: 0, since: now }
    }

    /// The application took `n` bytes. Returns the buffer's new size, never smaller than before.
    pub(crate) fn on_copied(
        &mut self,
        now: Instant,
        n: u32,
        rtt: Duration,
        buffer: u32,
        max: u32,
    ) -> u32 {
        self.copied = self.copied.saturating_add(n);
        let mut wanted = self.copied.saturating_mul(2);
        if now.since(self.since) >= rtt.max(SHORTEST_ROUND) {
            wanted = wanted.saturating_add(self.growth());
            (self.last, self.copied, self.since) = (self.copied, 0, now);
        }
        wanted.min(max).max(buffer)
    }

    /// Four times of what it took more for each of what it took before: slow start doubles, so at
    /// most four times of what it took.
    fn growth(&self) -> u32 {
        let (copied, last) = (u64::from(self.copied), u64::from(self.last.max(1)));
        if self.last == 0 || copied <= last {
            return 0;
        }
        let growth = (4 * copied * (copied - last) / last).min(4 * copied);
        u32::try_from(growth).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_twice_a_round_trips_worth_and_no_further_than_the_limit() {
        let mut tune = Autotune::new(Instant::ZERO);
        let rtt = Duration::from_millis(10);
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        assert_eq!(tune.on_copied(at(1), 40_000, rtt, 65_536, 1 << 20), 80_000);
        assert_eq!(tune.on_copied(at(11), 40_000, rtt, 80_000, 1 << 20), 160_000);
        assert_eq!(tune.on_copied(at(12), 10_000, rtt, 160_000, 1 << 20), 160_000);
        // What doubles will double again.
        let mut doubles = Autotune::new(Instant::ZERO);
        assert_eq!(doubles.on_copied(at(10), 14_000, rtt, 65_536, 1 << 20), 65_536);
        assert_eq!(doubles.on_copied(at(20), 28_000, rtt, 65_536, 1 << 20), 6 * 28_000);
        assert_eq!(doubles.on_copied(at(30), 35_000, rtt, 65_536, 1 << 20), 2 * 35_000 + 35_000);
        assert_eq!(tune.on_copied(at(13), 1 << 30, rtt, 160_000, 1 << 20), 1 << 20);
    }
}
