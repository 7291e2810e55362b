//! A budget for each second.

use crate::time::{Duration, Instant};

/// So many in each second, counted from the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerSecond {
    since: Instant,
    used: u64,
}

impl PerSecond {
    pub(crate) const fn new() -> Self {
        Self { since: Instant::ZERO, used: 0 }
    }

    /// Whether one more fits into this second's `limit`; counts it if so.
    pub(crate) fn allow(&mut self, now: Instant, limit: u64) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, used: 0 };
        }
        let fits = self.used < limit;
        self.used += u64::from(fits);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5961_7_so_many_a_second() {
        let mut budget = PerSecond::new();
        let at = |ms: u64| Instant::from_micros(ms * 1000);
        let granted = (0..10).filter(|i| budget.allow(at(i * 50), 3)).count();
        assert_eq!(granted, 3);
        assert!(budget.allow(at(1000), 3));
    }
}
