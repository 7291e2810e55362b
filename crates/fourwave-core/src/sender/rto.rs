//! The retransmission timeout and its timer (RFC 6298 §2, §5), which probes a closed window too.

use super::rtt::Rtt;
use crate::time::{Duration, Instant};

/// RTO before the first sample (RFC 6298 §2.1).
pub(crate) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// RTO for data after a SYN was retransmitted and gave no sample (RFC 6298 §5.7).
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// What bounds a timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtoLimits {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    /// `TCP_USER_TIMEOUT`; zero when not set.
    pub(crate) user_timeout: Duration,
    /// A tail loss probe goes before it (`tcp_early_retrans`).
    pub(crate) probes: bool,
    /// A mark leaves more of the window than a loss (`tcp_abe`, RFC 8511).
    pub(crate) abe: bool,
}

/// The timer, and how often it has run out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtoTimer {
    /// `NEVER` while it is off.
    pub(super) deadline: Instant,
    /// When SND.UNA last moved, or data went out with none before it.
    pub(super) progress_at: Instant,
    /// Timeouts in a row, or probes that nothing answered.
    pub(super) timeouts: u8,
    /// Times the timeout was doubled since the last sample of a round trip.
    pub(super) backoff: u8,
    pub(super) lost_syn: bool,
}

impl RtoTimer {
    pub(crate) fn new(now: Instant) -> Self {
        let deadline = Instant::NEVER;
        Self { deadline, progress_at: now, timeouts: 0, backoff: 0, lost_syn: false }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.deadline != Instant::NEVER
    }

    /// The timeout with its back-off. As Linux does, the minimum bounds the variance's share, so
    /// that a steady path does not time out at the mean.
    pub(crate) fn timeout(&self, rtt: &Rtt, limits: &RtoLimits) -> Duration {
        let base = match rtt.srtt() {
            None if self.lost_syn => RTO_AFTER_LOST_SYN,
            None => INITIAL_RTO,
            Some(srtt) => srtt + (4 * rtt.rttvar()).max(limits.min),
        };
        base.saturating_mul(1 << self.backoff.min(16)).min(limits.max)
    }

    /// Runs out a timeout from now. As in Linux, no later than `TCP_USER_TIMEOUT` ends the
    /// connection, or that would end it a whole back-off late.
    pub(crate) fn start(&mut self, now: Instant, rtt: &Rtt, limits: &RtoLimits) {
        let at = now + self.timeout(rtt, limits);
        self.deadline = match limits.user_timeout {
            Duration::ZERO => at,
            limit => at.min((self.progress_at + limit).max(now)),
        };
    }

    /// RFC 6298 §5.2, §5.3, after an ACK of something new: off when nothing is left,
    /// restarted otherwise. As in Linux, only a timeout cuts the next one to `TCP_USER_TIMEOUT`.
    pub(crate) fn restart(
        &mut self,
        now: Instant,
        is_in_flight: bool,
        rtt: &Rtt,
        limits: &RtoLimits,
    ) {
        self.deadline = match is_in_flight {
            true => now + self.timeout(rtt, limits),
            false => Instant::NEVER,
        };
    }

    pub(crate) fn stop(&mut self) {
        self.deadline = Instant::NEVER;
    }

    /// Whether it has run out; it is off then.
    pub(crate) fn take_timeout(&mut self, now: Instant) -> bool {
        let has_run_out = self.deadline <= now;
        if has_run_out {
            self.stop();
        }
        has_run_out
    }

    /// RFC 6298 §5.5: it ran out.
    pub(crate) fn on_timeout(&mut self) {
        self.timeouts = self.timeouts.saturating_add(1);
        self.backoff = self.backoff.saturating_add(1);
    }

    /// Something new is acknowledged, or the first data of a flight went out. The back-off stays
    /// until there is a sample (Karn, RFC 6298 §5).
    pub(crate) fn on_progress(&mut self, now: Instant) {
        self.progress_at = now;
        self.timeouts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RtoLimits = RtoLimits {
        min: Duration::from_millis(200),
        max: Duration::from_secs(120),
        user_timeout: Duration::ZERO,
        probes: true,
        abe: false,
    };

    #[test]
    fn rfc6298_2_of_the_samples() {
        let (rto, mut rtt) = (RtoTimer::new(Instant::ZERO), Rtt::default());
        assert_eq!(rto.timeout(&rtt, &LIMITS), INITIAL_RTO);
        rtt.sample(Duration::from_millis(100), Duration::from_millis(100));
        assert_eq!(rto.timeout(&rtt, &LIMITS), Duration::from_millis(300));
    }

    #[test]
    fn rfc6298_5_5_doubles_up_to_the_limit() {
        let (mut rto, rtt) = (RtoTimer::new(Instant::ZERO), Rtt::default());
        rto.on_timeout();
        rto.on_timeout();
        assert_eq!(rto.timeout(&rtt, &LIMITS), Duration::from_secs(4));
        for _ in 0..300 {
            rto.on_timeout();
        }
        assert_eq!(rto.timeout(&rtt, &LIMITS), LIMITS.max);
    }

    #[test]
    fn rfc6298_5_7_three_seconds_after_a_lost_syn() {
        let rto = RtoTimer { lost_syn: true, ..RtoTimer::new(Instant::ZERO) };
        assert_eq!(rto.timeout(&Rtt::default(), &LIMITS), RTO_AFTER_LOST_SYN);
    }

    #[test]
    fn a_user_timeout_cuts_the_timer() {
        let (mut rto, rtt) = (RtoTimer::new(Instant::ZERO), Rtt::default());
        let limits = RtoLimits { user_timeout: Duration::from_millis(1500), ..LIMITS };
        let at = |millis: u64| Instant::from_micros(millis * 1000);
        rto.start(at(0), &rtt, &limits);
        assert_eq!(rto.deadline, at(1000));
        rto.start(at(1000), &rtt, &limits);
        assert_eq!(rto.deadline, at(1500));
        rto.start(at(2000), &rtt, &limits);
        assert_eq!(rto.deadline, at(2000));
    }
}
