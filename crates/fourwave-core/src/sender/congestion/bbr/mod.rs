//! BBR, version 3, by draft-ietf-ccwg-bbr-06 (July 2026): a model of the path, of the rate at which
//! it delivers and of its shortest round trip, says how fast to send and how much may be in flight.
//!
//! Sections named here are the draft's, and names are its names. It says nothing of ECN: a mark
//! counts as a loss (RFC 3168 §6.1.2) in the short-term model.
//!
//! | section | file |
//! | --- | --- |
//! | §5.2, §5.6: what is done for each ACK; pace and window | here |
//! | §5.3: the states | `states.rs` |
//! | §5.5: the model | `model.rs` |

mod model;
mod states;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use super::{
    CongestionEvent, CongestionKind, Controller, LossSample, MAX_CWND, RateSample, RtoEvent,
    SendSample,
};
use crate::time::{Duration, Instant};
use model::{Longest, MaxBw};
use states::{AckPhase, State};

/// No bound.
const INFINITE: u32 = u32::MAX;
/// The window and the pace before the first sample of a round trip go by this one (§5.6.2).
const NOMINAL_RTT: Duration = Duration::from_millis(1);
/// BBR.PacingMarginPercent (§5.6.2): the pace stays so far below the rate.
const PACING_MARGIN: u64 = 1;
/// BBR.MinPipeCwnd (§5.6.4.3) in segments.
const MIN_PIPE: u32 = 4;
/// The largest send quantum in bytes (§5.6.3).
const MOST_QUANTUM: u64 = 65_536;

/// An ACK as the model sees it: the draft's RS.
#[derive(Clone, Copy, Debug)]
struct Rs {
    now: Instant,
    newly_acked: u32,
    in_flight: u32,
    rtt: Option<Duration>,
    /// Bytes a second; 0 where there is no sample.
    rate: u64,
    /// Bytes delivered in the sample; 0 where there is none.
    delivered: u32,
    /// C.delivered when what it samples went out.
    prior_delivered: Option<u64>,
    tx_in_flight: u32,
    lost: u32,
    is_app_limited: bool,
    is_in_recovery: bool,
}

/// What a recovery that turns out to be for nothing gives back (§5.5.11.1).
#[derive(Clone, Copy, Debug)]
struct Undo {
    /// What the losses ended: Startup or ProbeBW_UP.
    state: Option<State>,
    bw_shortterm: u64,
    inflight_shortterm: u32,
    inflight_longterm: u32,
}

/// BBR: `bbr` in `TCP_CONGESTION`. Linux 6.18's is version 1.
#[derive(Clone, Copy, Debug)]
pub struct Bbr {
    state: State,
    mss: u32,
    cwnd: u32,
    initial_cwnd: u32,
    prior_cwnd: u32,
    pacing_rate: u64,
    /// The pace was set by a round trip.
    has_rtt: bool,
    /// The recovery of a loss or a timeout is under way.
    is_recovering: bool,
    /// The window held the sender back in this round, and in the one before it.
    is_cwnd_limited: [bool; 2],
    idle_restart: bool,
    undo: Undo,

    /// C.delivered.
    delivered: u64,
    /// Samples of what went out before so many were delivered say nothing about the path.
    app_limited_until: u64,
    next_round_delivered: u64,
    round_start: bool,
    round_count: u32,
    drain_start_round: u32,

    max_bw: MaxBw,
    bw: u64,
    bw_latest: u64,
    bw_shortterm: u64,
    inflight_latest: u32,
    inflight_shortterm: u32,
    inflight_longterm: u32,
    loss_round_delivered: u64,
    loss_round_start: bool,
    is_loss_in_round: bool,
    /// Holes found in the round.
    loss_events: u16,
    extra_acked: Longest,
    extra_acked_start: Instant,
    extra_acked_delivered: u64,

    full_bw: u64,
    full_bw_count: u8,
    full_bw_now: bool,
    full_bw_reached: bool,

    /// Zero while not known.
    min_rtt: Duration,
    min_rtt_stamp: Instant,
    probe_rtt_min_delay: Duration,
    probe_rtt_min_stamp: Instant,
    probe_rtt_expired: bool,
    probe_rtt_done: Option<Instant>,
    probe_rtt_round_done: bool,

    ack_phase: AckPhase,
    cycle_stamp: Instant,
    bw_probe_wait: Duration,
    rounds_since_probe_up: u32,
    bw_probe_up_rounds: u8,
    bw_probe_up_acked: u32,
    probe_up_acked_per_inc: u32,
    is_bw_probe_sample: bool,
    prev_probe_too_high: bool,
    prev_probe_precautionary: bool,
}

impl Default for Bbr {
    fn default() -> Self {
        Self {
            state: State::Startup,
            mss: 0,
            cwnd: 0,
            initial_cwnd: 0,
            prior_cwnd: 0,
            pacing_rate: 0,
            has_rtt: false,
            is_recovering: false,
            is_cwnd_limited: [false; 2],
            idle_restart: false,
            undo: Undo {
                state: None,
                bw_shortterm: u64::MAX,
                inflight_shortterm: INFINITE,
                inflight_longterm: INFINITE,
            },
            delivered: 0,
            app_limited_until: 0,
            next_round_delivered: 0,
            round_start: false,
            round_count: 0,
            drain_start_round: 0,
            max_bw: MaxBw::default(),
            bw: 0,
            bw_latest: 0,
            bw_shortterm: u64::MAX,
            inflight_latest: 0,
            inflight_shortterm: INFINITE,
            inflight_longterm: INFINITE,
            loss_round_delivered: 0,
            loss_round_start: false,
            is_loss_in_round: false,
            loss_events: 0,
            extra_acked: Longest::default(),
            extra_acked_start: Instant::ZERO,
            extra_acked_delivered: 0,
            full_bw: 0,
            full_bw_count: 0,
            full_bw_now: false,
            full_bw_reached: false,
            min_rtt: Duration::ZERO,
            min_rtt_stamp: Instant::ZERO,
            probe_rtt_min_delay: Duration::ZERO,
            probe_rtt_min_stamp: Instant::ZERO,
            probe_rtt_expired: false,
            probe_rtt_done: None,
            probe_rtt_round_done: false,
            ack_phase: AckPhase::Init,
            cycle_stamp: Instant::ZERO,
            bw_probe_wait: Duration::ZERO,
            rounds_since_probe_up: 0,
            bw_probe_up_rounds: 0,
            bw_probe_up_acked: 0,
            probe_up_acked_per_inc: INFINITE,
            is_bw_probe_sample: false,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
        }
    }
}

/// `bytes` in `time`, a second.
fn per_second(bytes: u32, time: Duration) -> u64 {
    u64::from(bytes) * 1_000_000 / (time.as_micros() as u64).max(1)
}

/// `percent` of `n`.
fn percent(n: u64, percent: u64) -> u64 {
    n.saturating_mul(percent) / 100
}

/// Bytes as a window, within what one may be.
fn window(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(MAX_CWND).min(MAX_CWND)
}

impl Bbr {
    /// §5.6.2, InitPacingRate.
    fn init_pacing_rate(&mut self, srtt: Duration) {
        let gain = State::Startup.pacing_gain();
        self.pacing_rate = percent(per_second(self.initial_cwnd, srtt), gain).max(1);
    }

    /// The first sample of a round trip.
    fn note_srtt(&mut self, srtt: Duration) {
        if !self.has_rtt && !srtt.is_zero() {
            self.has_rtt = true;
            self.init_pacing_rate(srtt);
        }
    }

    /// §5.6.2, SetPacingRateWithGain.
    fn set_pacing_rate(&mut self, gain: u64) {
        let rate = percent(percent(self.bw, gain), 100 - PACING_MARGIN);
        if rate > 0 && (self.full_bw_reached || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    fn min_pipe(&self) -> u32 {
        MIN_PIPE * self.mss
    }

    /// §5.6.4.2, BDPMultiple, at the rate `bw`.
    fn bdp_multiple(&self, bw: u64, gain: u64) -> u32 {
        if self.min_rtt.is_zero() {
            return self.initial_cwnd;
        }
        let micros = self.min_rtt.as_micros() as u64;
        window(percent((u128::from(bw) * u128::from(micros) / 1_000_000) as u64, gain))
    }

    /// §5.6.4.2, QuantizationBudget.
    fn quantization_budget(&self, inflight_cap: u32) -> u32 {
        let quantum = (self.pacing_rate / 1000).min(MOST_QUANTUM).max(u64::from(2 * self.mss));
        let cap = inflight_cap.max(window(3 * quantum)).max(self.min_pipe());
        if self.state == State::ProbeBwUp { cap.saturating_add(2 * self.mss) } else { cap }
    }

    /// §5.6.4.2, Inflight.
    fn inflight(&self, bw: u64, gain: u64) -> u32 {
        self.quantization_budget(self.bdp_multiple(bw, gain))
    }

    /// §5.6.4.6, SetCwnd.
    fn set_cwnd(&mut self, rs: &Rs) {
        let cap = self.bdp_multiple(self.bw, self.state.cwnd_gain());
        let cap = self.quantization_budget(cap.saturating_add(self.extra_acked.get()));
        let grown = self.cwnd.saturating_add(rs.newly_acked);
        if self.full_bw_reached {
            self.cwnd = grown.min(cap);
        } else if self.cwnd < cap || self.delivered < self.initial_cwnd.into() {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.clamp(self.min_pipe(), MAX_CWND.max(self.min_pipe()));
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_cwnd());
        }
        self.bound_cwnd_for_model();
    }

    /// §5.6.4.7, BoundCwndForModel.
    fn bound_cwnd_for_model(&mut self) {
        let cap = match self.state {
            State::Startup | State::Drain => INFINITE,
            State::ProbeRtt | State::ProbeBwCruise => self.inflight_with_headroom(),
            _ => self.inflight_longterm,
        };
        self.cwnd = self.cwnd.min(cap.min(self.inflight_shortterm).max(self.min_pipe()));
    }

    /// §5.6.4.4, SaveCwnd.
    fn save_cwnd(&mut self) {
        self.prior_cwnd = match self.is_recovering || self.state == State::ProbeRtt {
            true => self.prior_cwnd.max(self.cwnd),
            false => self.cwnd,
        };
    }

    /// §5.6.4.4, RestoreCwnd.
    fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }

    fn end_recovery(&mut self) {
        if core::mem::take(&mut self.is_recovering) {
            self.restore_cwnd();
        }
    }

    /// The draft's RS of an ACK.
    fn rs(&self, sample: &RateSample) -> Rs {
        let delivery = sample.delivery.unwrap_or_default();
        let has_sample = delivery.delivered > 0;
        let prior = self.delivered.saturating_sub(delivery.delivered.into());
        let is_app_limited = delivery.is_app_limited
            || (self.app_limited_until > 0 && prior <= self.app_limited_until);
        Rs {
            now: sample.now,
            newly_acked: sample.acked,
            in_flight: sample.in_flight,
            rtt: sample.rtt,
            rate: sample.delivery_rate.unwrap_or(0),
            delivered: delivery.delivered,
            prior_delivered: has_sample.then_some(prior),
            tx_in_flight: delivery.in_flight,
            lost: delivery.lost,
            is_app_limited,
            is_in_recovery: sample.is_in_recovery,
        }
    }

    /// §5.2.3, UpdateModelAndState.
    fn update_model_and_state(&mut self, rs: &Rs) {
        self.update_latest_delivery_signals(rs);
        self.update_congestion_signals(rs);
        self.update_ack_aggregation(rs);
        self.check_full_bw_reached(rs);
        self.check_startup_done(rs);
        self.check_drain_done(rs);
        self.update_probe_bw_cycle_phase(rs);
        self.update_min_rtt(rs);
        self.check_probe_rtt(rs);
        if self.loss_round_start {
            (self.bw_latest, self.inflight_latest) = (rs.rate, rs.delivered);
        }
        self.bound_bw_for_model();
    }
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn start(&mut self, cwnd: u32) {
        *self = Self { cwnd, initial_cwnd: cwnd, ..Self::default() };
        self.init_pacing_rate(NOMINAL_RTT);
    }

    /// §5.4.1, HandleRestartFromIdle.
    fn on_sent(&mut self, sample: &SendSample) {
        self.note_srtt(sample.srtt);
        self.is_cwnd_limited[0] |= sample.is_cwnd_limited;
        if !sample.was_idle {
            return;
        }
        self.idle_restart = true;
        self.extra_acked_start = sample.now;
        self.extra_acked_delivered = 0;
        if self.state.is_probe_bw() {
            self.set_pacing_rate(100);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(sample.now);
        }
    }

    fn on_ack(&mut self, sample: &RateSample) {
        self.mss = sample.mss.max(1);
        self.note_srtt(sample.srtt);
        self.delivered += u64::from(sample.acked);
        if sample.marked > 0 {
            self.note_loss();
        }
        if !sample.is_in_recovery && !sample.is_after_timeout {
            self.end_recovery();
        }
        let rs = self.rs(sample);
        self.update_model_and_state(&rs);
        self.set_pacing_rate(self.state.pacing_gain());
        self.set_cwnd(&rs);
    }

    fn on_lost(&mut self, sample: &LossSample) {
        self.mss = sample.mss.max(1);
        self.handle_lost(sample);
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        match event.kind {
            CongestionKind::Loss => {
                self.save_cwnd();
                self.note_loss();
                self.is_recovering = true;
            }
            CongestionKind::Marked => self.note_loss(),
            CongestionKind::Recovered => self.end_recovery(),
        }
    }

    /// §5.6.4.4, OnEnterRTO: one segment, whatever is still on its way.
    fn on_rto(&mut self, event: &RtoEvent) {
        self.save_cwnd();
        self.note_loss();
        self.is_recovering = true;
        self.cwnd = event.mss;
    }

    /// §5.5.11.2, HandleSpuriousLossDetection. What it was before is known here.
    fn undo(&mut self, _cwnd: u32, _ssthresh: u32) {
        self.is_recovering = false;
        self.restore_cwnd();
        self.handle_spurious_loss();
    }

    /// §5.4: the window stays, and what goes out next is paced.
    fn on_idle(&mut self, _initial_cwnd: u32) {}

    fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// It has none.
    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn rules_recovery(&self) -> bool {
        true
    }

    /// Three times the window, as in Linux: it may grow in recovery. That of the long-term model:
    /// it does not shrink with each loss, as the data behind a hole waits in the buffer, too.
    fn send_buffer(&self) -> u32 {
        let window = self.bdp_multiple(self.max_bw.get(), State::Startup.cwnd_gain());
        self.cwnd.max(window).saturating_mul(3)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
