//! Slow start, congestion avoidance and multiplicative decrease of RFC 5681.

use alloc::boxed::Box;

use super::{CongestionEvent, CongestionKind, Controller, MAX_CWND, RateSample, RtoEvent};

/// The window of RFC 5681: `reno` in Linux. Recovery's inflation is not part of it.
#[derive(Clone, Copy, Debug)]
pub struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged towards the next segment of growth (RFC 3465).
    bytes_acked: u32,
}

impl Default for NewReno {
    fn default() -> Self {
        Self { cwnd: 0, ssthresh: u32::MAX, bytes_acked: 0 }
    }
}

/// What a mark leaves with ABE, in hundredths (RFC 8511 §3.1).
const ABE: u64 = 80;

/// RFC 5681 equation 4.
fn half(in_flight: u32, mss: u32) -> u32 {
    (in_flight / 2).max(2 * mss)
}

impl Controller for NewReno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn start(&mut self, cwnd: u32) {
        *self = Self { cwnd, ..Self::default() };
    }

    fn on_ack(&mut self, sample: &RateSample) {
        if !sample.may_grow || !sample.is_cwnd_limited {
            return;
        }
        let mut acked = sample.acked;
        if self.cwnd < self.ssthresh {
            // RFC 5681 §3.1, counted in bytes: an ACK for a whole batch counts for all of it, up to
            // the threshold.
            let growth = acked.min(self.ssthresh - self.cwnd);
            self.cwnd = self.cwnd.saturating_add(growth).min(MAX_CWND);
            acked -= growth;
        }
        // RFC 5681 §3.1, RFC 3465: one segment for each window acknowledged.
        self.bytes_acked = self.bytes_acked.saturating_add(acked);
        if self.bytes_acked >= self.cwnd {
            self.bytes_acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(sample.mss).min(MAX_CWND);
        }
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        let CongestionEvent { in_flight, mss, .. } = *event;
        match event.kind {
            // RFC 3168 §6.1.2: a mark counts as a loss, or as less than one (RFC 8511 §3).
            CongestionKind::Loss | CongestionKind::Marked => {
                self.ssthresh =
                    event.abe_share(in_flight, ABE).unwrap_or_else(|| half(in_flight, mss));
                self.cwnd = self.ssthresh;
                self.bytes_acked = 0;
            }
            // RFC 6582 §3.2 step 3, full, option 1: no burst after recovery.
            CongestionKind::Recovered => self.cwnd = self.ssthresh.min(in_flight.max(mss) + mss),
        }
    }

    fn on_rto(&mut self, event: &RtoEvent) {
        // RFC 5681 §3.1: the threshold stays when the same data times out again.
        if !event.is_repeated {
            self.ssthresh = half(event.in_flight, event.mss);
        }
        self.cwnd = event.mss;
        self.bytes_acked = 0;
    }

    fn undo(&mut self, cwnd: u32, ssthresh: u32) {
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
    }

    fn on_idle(&mut self, initial_cwnd: u32) {
        // RFC 5681 §4.1: the restart window.
        self.cwnd = self.cwnd.min(initial_cwnd);
    }

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ack_of;
    use super::*;
    use crate::time::Instant;

    fn new_reno(cwnd: u32) -> NewReno {
        let mut controller = NewReno::default();
        controller.start(cwnd);
        controller
    }

    fn event(kind: CongestionKind, in_flight: u32) -> CongestionEvent {
        CongestionEvent::new(Instant::ZERO, kind, in_flight, 1000)
    }

    fn rto(in_flight: u32, is_repeated: bool) -> RtoEvent {
        RtoEvent { now: Instant::ZERO, in_flight, mss: 1000, is_repeated }
    }

    #[test]
    fn rfc5681_3_1_slow_start_then_linear() {
        for loss in [CongestionKind::Loss, CongestionKind::Marked] {
            let mut c = new_reno(10_000);
            c.on_ack(&ack_of(10_000));
            assert_eq!(c.cwnd(), 20_000);
            c.on_congestion(&event(loss, 20_000));
            assert_eq!((c.cwnd(), c.ssthresh()), (10_000, 10_000));
            for _ in 0..10 {
                c.on_ack(&ack_of(1000));
            }
            assert_eq!(c.cwnd(), 11_000);
        }
    }

    #[test]
    fn rfc8511_3_with_abe_a_mark_leaves_more_than_a_loss() {
        for (kind, is_abe, left) in [
            (CongestionKind::Marked, true, 16_000),
            (CongestionKind::Marked, false, 10_000),
            (CongestionKind::Loss, true, 10_000),
        ] {
            let mut c = new_reno(20_000);
            c.on_congestion(&CongestionEvent { is_abe, ..event(kind, 20_000) });
            assert_eq!((c.cwnd(), c.ssthresh()), (left, left));
        }
        let mut c = new_reno(2000);
        c.on_congestion(&CongestionEvent { is_abe: true, ..event(CongestionKind::Marked, 2000) });
        assert_eq!(c.ssthresh(), 2000, "two segments at least");
    }

    #[test]
    fn rfc5681_3_1_timeout_falls_to_one_segment() {
        let mut c = new_reno(10_000);
        c.on_rto(&rto(10_000, false));
        assert_eq!((c.cwnd(), c.ssthresh()), (1000, 5000));
        c.on_rto(&rto(1000, true));
        assert_eq!((c.cwnd(), c.ssthresh()), (1000, 5000));
    }

    #[test]
    fn rfc6582_3_2_no_burst_after_recovery() {
        let mut c = new_reno(20_000);
        c.on_congestion(&event(CongestionKind::Loss, 20_000));
        c.on_ack(&RateSample { may_grow: false, ..ack_of(5000) });
        assert_eq!(c.cwnd(), 10_000, "recovery's ACKs let it grow");
        c.on_congestion(&event(CongestionKind::Recovered, 3000));
        assert_eq!(c.cwnd(), 4000);
    }

    #[test]
    fn a_window_that_was_not_used_does_not_grow() {
        let mut c = new_reno(10_000);
        c.on_ack(&RateSample { is_cwnd_limited: false, ..ack_of(5000) });
        assert_eq!(c.cwnd(), 10_000);
    }
}
