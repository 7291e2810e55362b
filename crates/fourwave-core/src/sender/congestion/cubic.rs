//! CUBIC (RFC 9438): the window grows by a cubic of the time since the last congestion, flat where
//! the path was full, and never slower than Reno would.

use alloc::boxed::Box;

use super::hystart::{HyStart, Step};
use super::{CongestionEvent, CongestionKind, Controller, MAX_CWND, RateSample, RtoEvent};
use crate::time::{Duration, Instant};

/// β_cubic in tenths (§4.6).
const BETA: u64 = 7;
/// What a mark leaves with ABE, in hundredths (RFC 8511 §3.1).
const ABE: u64 = 85;
/// The cubic's time ends here, in milliseconds from its plateau: it is far above any window then.
const MOST_MILLIS: u64 = 1 << 18;

/// The window of RFC 9438, with C = 0.4: `cubic` in Linux. Its first slow start is RFC 9406's.
#[derive(Clone, Copy, Debug)]
pub struct Cubic {
    cwnd: u32,
    ssthresh: u32,
    phase: Phase,
}

/// A first slow start has no congestion to remember: what is known of either shares its memory.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Until it is full for the first time.
    First(HyStart),
    Later(Epoch),
}

/// Since the last congestion.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// W_max: the window before the last congestion, less where windows shrink (§4.7).
    w_max: u32,
    /// What Reno's window would be (§4.3).
    w_est: u32,
    /// cwnd_prior: the window at the last congestion.
    prior: u32,
    /// When the epoch began (§4.2), if it has.
    began: Instant,
    // An Option of the time would take eight bytes more, and leave no room for the phase's tag.
    has_begun: bool,
    /// K in milliseconds: from the epoch's beginning to W_max.
    k: u32,
    /// Parts of a byte by which the window grows, and Reno's: 65,536 are one.
    fraction: u16,
    w_est_fraction: u16,
}

impl Default for Cubic {
    fn default() -> Self {
        Self { cwnd: 0, ssthresh: u32::MAX, phase: Phase::First(HyStart::default()) }
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self {
            w_max: 0,
            w_est: 0,
            prior: 0,
            began: Instant::ZERO,
            has_begun: false,
            k: 0,
            fraction: 0,
            w_est_fraction: 0,
        }
    }
}

/// The integer part of the cube root.
fn cube_root(n: u64) -> u64 {
    let (mut root, mut rest) = (0_u64, n);
    // Three bits of `n` give one of the root, from the top.
    for shift in (0..=63).rev().step_by(3) {
        root *= 2;
        let more = 3 * root * (root + 1) + 1;
        if rest >> shift >= more {
            rest -= more << shift;
            root += 1;
        }
    }
    root
}

/// `whole` and its `fraction`, more by `bytes` sixteenths-bit parts; the new values.
fn grown(whole: u32, fraction: u16, parts: u64) -> (u32, u16) {
    let sum = (u64::from(whole) << 16) + u64::from(fraction) + parts;
    let whole = u32::try_from(sum >> 16).unwrap_or(MAX_CWND).min(MAX_CWND);
    (whole, sum as u16)
}

impl Epoch {
    /// §4.2 figure 1: the window `at` after the epoch's beginning, in bytes.
    fn w_cubic(&self, at: Duration, mss: u32) -> u32 {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let k = u64::from(self.k);
        let distance = at.abs_diff(k).min(MOST_MILLIS);
        // 0.4 segments for each cubic second, in bytes: 4 mss d³ / 10¹⁰, with 2¹⁰ cut off both.
        let bytes = (distance.pow(3) >> 10) * u64::from(4 * mss) / 9_765_625;
        let bytes = u32::try_from(bytes).unwrap_or(MAX_CWND).min(MAX_CWND);
        match at < k {
            true => self.w_max.saturating_sub(bytes),
            false => self.w_max.saturating_add(bytes).min(MAX_CWND),
        }
    }

    /// It begins with the first ACK in congestion avoidance (§4.2). Without a congestion before,
    /// at the plateau (§4.10).
    fn begin(&mut self, now: Instant, cwnd: u32, mss: u32) {
        (self.began, self.has_begun) = (now, true);
        (self.w_est, self.w_est_fraction) = (cwnd, 0);
        self.k = match self.w_max.checked_sub(cwnd) {
            None | Some(0) => {
                self.w_max = cwnd;
                0
            }
            // K³ = (W_max − cwnd) / 0.4, in cubic milliseconds.
            Some(below) => {
                cube_root(u64::from(below) * 2_500_000_000 / u64::from(mss.max(1))) as u32
            }
        };
    }

    /// The window after an ACK in congestion avoidance.
    fn grow(&mut self, cwnd: u32, sample: &RateSample) -> u32 {
        let RateSample { now, acked, mss, .. } = *sample;
        if !self.has_begun {
            self.begin(now, cwnd, mss);
        }
        let (of, acked) = (u64::from(cwnd.max(1)), u64::from(acked));
        // §4.3: α = 3 (1 − β) / (1 + β) = 9/17 until the window is what it was, then 1.
        let (over, under) = if self.w_est < self.prior { (9, 17) } else { (1, 1) };
        let parts = ((acked * u64::from(mss)) << 16) / of * over / under;
        (self.w_est, self.w_est_fraction) = grown(self.w_est, self.w_est_fraction, parts);
        let since = now.since(self.began);
        if self.w_cubic(since, mss) < self.w_est {
            return cwnd.max(self.w_est);
        }
        // §4.4, §4.5: towards where the cubic is a round trip from now, and at most half as much
        // again in one.
        let target = self.w_cubic(since + sample.srtt, mss);
        let target = target.clamp(cwnd, cwnd.saturating_add(cwnd / 2));
        let parts = ((u64::from(target - cwnd) * acked) << 16) / of;
        let (cwnd, fraction) = grown(cwnd, self.fraction, parts);
        self.fraction = fraction;
        cwnd
    }
}

impl Cubic {
    /// What is known since the last congestion; nothing before the first.
    fn epoch(&self) -> Epoch {
        match self.phase {
            Phase::Later(epoch) => epoch,
            Phase::First(_) => Epoch::default(),
        }
    }

    /// Time that says nothing about the path is none of an epoch's.
    fn end_epoch(&mut self) {
        if let Phase::Later(epoch) = &mut self.phase {
            epoch.has_begun = false;
        }
    }

    /// Grows up to the threshold; the bytes acknowledged that are left for congestion avoidance.
    fn slow_start(&mut self, sample: &RateSample) -> u32 {
        let step = match &mut self.phase {
            Phase::First(hystart) => hystart.on_ack(sample, self.cwnd),
            Phase::Later(_) => Step::Grow(sample.acked),
        };
        match step {
            // RFC 5681 §3.1, counted in bytes: an ACK for a whole batch counts for all of it.
            Step::Grow(bytes) => {
                let growth = bytes.min(self.ssthresh - self.cwnd);
                self.cwnd = self.cwnd.saturating_add(growth).min(MAX_CWND);
                bytes - growth
            }
            Step::Exit => {
                self.ssthresh = self.cwnd;
                0
            }
        }
    }

    /// §4.6, §4.7.
    fn reduce(&mut self, mss: u32) {
        let cwnd = self.cwnd;
        let last = self.epoch().w_max;
        // Fast convergence: a flow whose windows shrink makes room for new ones.
        let w_max = match cwnd < last {
            true => (u64::from(cwnd) * (10 + BETA) / 20) as u32,
            false => cwnd,
        };
        self.phase = Phase::Later(Epoch { w_max, prior: cwnd, ..Epoch::default() });
        self.ssthresh = ((u64::from(cwnd) * BETA / 10) as u32).max(2 * mss);
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn start(&mut self, cwnd: u32) {
        *self = Self { cwnd, ..Self::default() };
    }

    fn on_ack(&mut self, sample: &RateSample) {
        if !sample.may_grow {
            return;
        }
        if !sample.is_cwnd_limited {
            // §5.8: time in which the application sent little is none of the epoch's.
            self.end_epoch();
            return;
        }
        let acked = match self.cwnd < self.ssthresh {
            true => self.slow_start(sample),
            false => sample.acked,
        };
        if acked > 0 {
            let mut epoch = self.epoch();
            self.cwnd = epoch.grow(self.cwnd, &RateSample { acked, ..*sample });
            self.phase = Phase::Later(epoch);
        }
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        let CongestionEvent { in_flight, mss, .. } = *event;
        match event.kind {
            CongestionKind::Loss | CongestionKind::Marked => {
                let left = event.abe_share(self.cwnd, ABE);
                self.reduce(mss);
                // RFC 8511 §3.
                self.ssthresh = left.unwrap_or(self.ssthresh);
                self.cwnd = self.ssthresh;
            }
            // RFC 6582 §3.2 step 3, full, option 1: no burst after recovery.
            CongestionKind::Recovered => self.cwnd = self.ssthresh.min(in_flight.max(mss) + mss),
        }
    }

    fn on_rto(&mut self, event: &RtoEvent) {
        // §4.8, RFC 5681 §3.1: the threshold stays when the same data times out again.
        if !event.is_repeated {
            self.reduce(event.mss);
        }
        self.cwnd = event.mss;
        self.end_epoch();
    }

    fn undo(&mut self, cwnd: u32, ssthresh: u32) {
        // §4.9.
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        if ssthresh == u32::MAX {
            // The first slow start goes on.
            self.phase = Phase::First(HyStart::default());
        }
        if let Phase::Later(epoch) = &mut self.phase {
            epoch.w_max = epoch.w_max.max(epoch.prior);
            epoch.has_begun = false;
        }
    }

    fn on_idle(&mut self, initial_cwnd: u32) {
        // RFC 5681 §4.1: the restart window. What the path carried is worth finding again soon.
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        self.cwnd = self.cwnd.min(initial_cwnd);
        self.end_epoch();
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

    const MSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn ack(now: Instant, acked: u32) -> RateSample {
        RateSample { now, rtt: Some(RTT), srtt: RTT, min_rtt: RTT, ..ack_of(acked) }
    }

    fn loss(cubic: &mut Cubic) {
        let (now, kind, in_flight) = (at(0), CongestionKind::Loss, cubic.cwnd());
        cubic.on_congestion(&CongestionEvent::new(now, kind, in_flight, MSS));
    }

    /// Windows of a round trip each from `start` on, in segments.
    fn rounds(cubic: &mut Cubic, start: u64, rounds: u64) -> Vec<u32> {
        (0..rounds)
            .map(|round| {
                for _ in 0..cubic.cwnd() / MSS {
                    cubic.on_ack(&ack(at(start + round * 100), MSS));
                }
                cubic.cwnd() / MSS
            })
            .collect()
    }

    use alloc::vec::Vec;

    #[test]
    fn rfc8511_3_with_abe_a_mark_leaves_more_than_a_loss() {
        for (kind, is_abe, left) in [
            (CongestionKind::Marked, true, 85),
            (CongestionKind::Marked, false, 70),
            (CongestionKind::Loss, true, 70),
        ] {
            let mut cubic = Cubic::default();
            cubic.start(100 * MSS);
            let event = CongestionEvent::new(at(0), kind, 100 * MSS, MSS);
            cubic.on_congestion(&CongestionEvent { is_abe, ..event });
            assert_eq!((cubic.cwnd(), cubic.ssthresh()), (left * MSS, left * MSS));
        }
    }

    #[test]
    fn cube_roots_are_exact() {
        for n in [0, 1, 2, 7, 8, 9, 26, 27, 63, 64, 999, 1000, 1001, 124_999, 125_000] {
            let root = cube_root(n);
            assert!(root.pow(3) <= n && (root + 1).pow(3) > n, "{n}: {root}");
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    #[test]
    fn rfc9438_4_6_seven_tenths_are_left() {
        let mut cubic = Cubic::default();
        cubic.start(100 * MSS);
        loss(&mut cubic);
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (70 * MSS, 70 * MSS));
        // §4.7: less than before, so the plateau is lower than what was reached.
        loss(&mut cubic);
        assert_eq!((cubic.epoch().w_max, cubic.cwnd()), (70 * MSS * 17 / 20, 49 * MSS));
    }

    #[test]
    fn rfc9438_4_2_concave_to_the_plateau_and_convex_beyond() {
        let mut cubic = Cubic::default();
        // Large enough that Reno is slower.
        cubic.start(1000 * MSS);
        loss(&mut cubic);
        let windows = rounds(&mut cubic, 0, 140);
        // K = cbrt(300 / 0.4) = 9.08 s.
        assert_eq!(cubic.epoch().k, 9085);
        let plateau = windows[90];
        assert!(plateau.abs_diff(1000) <= 2, "{plateau}");
        let growth = |from: usize| windows[from + 10] - windows[from];
        assert!(growth(0) > growth(40) && growth(40) > growth(80), "{windows:?}");
        assert!(growth(129) > growth(100), "{windows:?}");
    }

    #[test]
    fn rfc9438_4_3_never_slower_than_reno() {
        let mut cubic = Cubic::default();
        cubic.start(20 * MSS);
        loss(&mut cubic);
        let windows = rounds(&mut cubic, 0, 20);
        // Reno with a cut to 7/10 grows by 9/17 of a segment each round trip, then by one.
        assert!(windows[10] >= 14 + 5 && windows[19] >= 21, "{windows:?}");
    }

    #[test]
    fn a_window_that_was_not_used_does_not_grow_and_its_time_does_not_count() {
        let mut cubic = Cubic::default();
        cubic.start(100 * MSS);
        loss(&mut cubic);
        cubic.on_ack(&ack(at(0), MSS));
        let cwnd = cubic.cwnd();
        cubic.on_ack(&RateSample { is_cwnd_limited: false, ..ack(at(60_000), 5000) });
        assert_eq!(cubic.cwnd(), cwnd);
        cubic.on_ack(&ack(at(60_100), MSS));
        assert!(cubic.cwnd() <= cwnd + MSS);
    }

    #[test]
    fn rfc9438_4_8_a_timeout_falls_to_one_segment_and_may_be_undone() {
        let mut cubic = Cubic::default();
        cubic.start(100 * MSS);
        let event = RtoEvent { now: at(0), in_flight: 50, mss: MSS, is_repeated: false };
        cubic.on_rto(&event);
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 70 * MSS));
        cubic.on_rto(&RtoEvent { is_repeated: true, ..event });
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 70 * MSS));
        cubic.undo(100 * MSS, 90 * MSS);
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (100 * MSS, 90 * MSS));
        assert_eq!(cubic.epoch().w_max, 100 * MSS);
        cubic.undo(100 * MSS, u32::MAX);
        assert!(matches!(cubic.phase, Phase::First(_)), "its first slow start goes on");
    }

    #[test]
    fn rfc9406_longer_round_trips_end_the_first_slow_start() {
        let mut cubic = Cubic::default();
        cubic.start(10 * MSS);
        for round in 0..12_u64 {
            // A queue of a tenth of a round trip more each time from the fifth on.
            let rtt = RTT * (10 + round.saturating_sub(4) as u32 * 2) / 10;
            let in_flight = cubic.cwnd();
            for _ in 0..in_flight / MSS {
                let sample = ack(at(round * 200), MSS);
                cubic.on_ack(&RateSample { rtt: Some(rtt), in_flight, ..sample });
            }
        }
        // Five doublings, then quarters: without it 10 << 12 segments would be in flight.
        assert_eq!(cubic.ssthresh(), cubic.ssthresh().min(cubic.cwnd()));
        assert!(cubic.ssthresh() < 1500 * MSS, "{}", cubic.ssthresh() / MSS);
        let Phase::Later(epoch) = cubic.phase else { panic!("still the first") };
        assert!(epoch.k == 0 && epoch.w_max == cubic.ssthresh(), "§4.10: at the plateau");
    }

    #[test]
    fn an_idle_connections_window_takes_forty_bytes() {
        assert!(size_of::<Cubic>() <= 40, "{}", size_of::<Cubic>());
    }
}
