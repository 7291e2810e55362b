//! Slow start, congestion avoidance and multiplicative decrease of RFC 5681.

use super::{AckSample, CongestionControl};

/// Windows beyond this are of no use to anyone and keep sums within 32 bits.
const MAX_WINDOW: u32 = 1 << 30;

/// The window of RFC 5681. Recovery's inflation is not part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReno {
    window: u32,
    threshold: u32,
    /// Bytes acknowledged towards the next segment of growth (RFC 3465).
    credit: u32,
}

impl NewReno {
    pub(crate) const fn new(initial_window: u32) -> Self {
        Self { window: initial_window, threshold: u32::MAX, credit: 0 }
    }

    fn halve(flight: u32, mss: u32) -> u32 {
        // RFC 5681 equation 4.
        (flight / 2).max(2 * mss)
    }
}

impl CongestionControl for NewReno {
    fn on_ack(&mut self, sample: &AckSample) {
        let AckSample { acked, window_limited, mss } = *sample;
        if !window_limited {
            return;
        }
        if self.window < self.threshold {
            // RFC 5681 §3.1, counted in bytes: an ACK for a whole batch counts for all of it.
            self.window = self.window.saturating_add(acked).min(MAX_WINDOW);
            return;
        }
        // RFC 5681 §3.1, RFC 3465: one segment for each window acknowledged.
        self.credit = self.credit.saturating_add(acked);
        if self.credit >= self.window {
            self.credit -= self.window;
            self.window = self.window.saturating_add(mss).min(MAX_WINDOW);
        }
    }

    fn on_loss(&mut self, flight: u32, mss: u32) {
        self.threshold = Self::halve(flight, mss);
        self.window = self.threshold;
        self.credit = 0;
    }

    fn on_recovered(&mut self, flight: u32, mss: u32) {
        // RFC 6582 §3.2 step 3, full, option 1: no burst after recovery.
        self.window = self.threshold.min(flight.max(mss) + mss);
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, again: bool) {
        // RFC 5681 §3.1: the threshold stays when the same data times out again.
        if !again {
            self.threshold = Self::halve(flight, mss);
        }
        self.window = mss;
        self.credit = 0;
    }

    fn on_idle(&mut self, initial_window: u32) {
        // RFC 5681 §4.1: the restart window.
        self.window = self.window.min(initial_window);
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn threshold(&self) -> u32 {
        self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(acked: u32) -> AckSample {
        AckSample { acked, window_limited: true, mss: 1000 }
    }

    #[test]
    fn rfc5681_3_1_slow_start_then_linear() {
        let mut c = NewReno::new(10_000);
        c.on_ack(&ack(10_000));
        assert_eq!(c.window(), 20_000);
        c.on_loss(20_000, 1000);
        assert_eq!((c.window(), c.threshold()), (10_000, 10_000));
        for _ in 0..10 {
            c.on_ack(&ack(1000));
        }
        assert_eq!(c.window(), 11_000);
    }

    #[test]
    fn rfc5681_3_1_timeout_falls_to_one_segment() {
        let mut c = NewReno::new(10_000);
        c.on_timeout(10_000, 1000, false);
        assert_eq!((c.window(), c.threshold()), (1000, 5000));
        c.on_timeout(1000, 1000, true);
        assert_eq!((c.window(), c.threshold()), (1000, 5000));
    }

    #[test]
    fn a_window_that_was_not_used_does_not_grow() {
        let mut c = NewReno::new(10_000);
        c.on_ack(&AckSample { window_limited: false, ..ack(5000) });
        assert_eq!(c.window(), 10_000);
    }
}
