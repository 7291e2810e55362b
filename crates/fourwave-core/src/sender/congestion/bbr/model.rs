//! The model of the path (§5.5): its rate, its shortest round trip, what may be in flight.

use super::states::State;
use super::{Bbr, INFINITE, Rs, Undo, percent, window};
use crate::sender::congestion::LossSample;
use crate::time::Duration;

/// BBR.LossThresh in percent: more is too much to be chance.
const LOSS_THRESH: u64 = 2;
/// BBR.Beta in percent: what losses leave of the short-term model in a round at least.
const BETA: u64 = 70;
/// BBR.MinRTTFilterLen.
const MIN_RTT_FILTER: Duration = Duration::from_secs(10);
/// BBR.ProbeRTTInterval.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// BBR.ExtraAckedFilterLen in rounds, half of it: two such halves are remembered.
const EXTRA_ACKED_HALF: u32 = 5;

/// The largest rate of two cycles (§5.5.3, §5.5.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxBw {
    last: u64,
    this: u64,
}

impl MaxBw {
    pub(super) fn get(&self) -> u64 {
        self.last.max(self.this)
    }

    fn update(&mut self, rate: u64) {
        self.this = self.this.max(rate);
    }

    /// A cycle is over; one without a sample says nothing.
    pub(super) fn advance(&mut self) {
        if self.this > 0 {
            *self = Self { last: self.this, this: 0 };
        }
    }
}

/// The largest number of bytes in the last five to ten rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    last: u32,
    this: u32,
    /// The round in which `this` began.
    since: u32,
}

impl Longest {
    pub(super) fn get(&self) -> u32 {
        self.last.max(self.this)
    }

    fn update(&mut self, bytes: u32, round: u32, half: u32) {
        if round.wrapping_sub(self.since) >= half {
            *self = Self { last: self.this, this: 0, since: round };
        }
        self.this = self.this.max(bytes);
    }
}

impl Bbr {
    /// §5.5.1, StartRound.
    pub(super) fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    /// §5.5.1, UpdateRound.
    fn update_round(&mut self, rs: &Rs) {
        self.round_start = rs.prior_delivered.is_some_and(|at| at >= self.next_round_delivered);
        if self.round_start {
            self.start_round();
            self.round_count = self.round_count.wrapping_add(1);
            self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
            self.is_cwnd_limited = [false, self.is_cwnd_limited[0]];
        }
    }

    /// §5.5.5, UpdateMaxBw.
    fn update_max_bw(&mut self, rs: &Rs) {
        self.update_round(rs);
        if rs.rate > 0 && (rs.rate >= self.max_bw.get() || !rs.is_app_limited) {
            self.max_bw.update(rs.rate);
        }
    }

    /// §5.5.10.3, UpdateLatestDeliverySignals.
    pub(super) fn update_latest_delivery_signals(&mut self, rs: &Rs) {
        self.bw_latest = self.bw_latest.max(rs.rate);
        self.inflight_latest = self.inflight_latest.max(rs.delivered);
        self.loss_round_start =
            rs.prior_delivered.is_some_and(|at| at >= self.loss_round_delivered);
        if self.loss_round_start {
            self.loss_round_delivered = self.delivered;
        }
    }

    /// §5.5.10.3, UpdateCongestionSignals.
    pub(super) fn update_congestion_signals(&mut self, rs: &Rs) {
        self.update_max_bw(rs);
        if !self.loss_round_start {
            return;
        }
        if self.is_loss_in_round && !self.state.probes_bw() {
            self.adapt_lower_bounds();
        }
        self.is_loss_in_round = false;
    }

    /// §5.5.10.3, InitLowerBounds and LossLowerBounds.
    fn adapt_lower_bounds(&mut self) {
        if self.bw_shortterm == u64::MAX {
            self.bw_shortterm = self.max_bw.get();
        }
        if self.inflight_shortterm == INFINITE {
            self.inflight_shortterm = self.cwnd;
        }
        self.bw_shortterm = self.bw_latest.max(percent(self.bw_shortterm, BETA));
        let least = percent(self.inflight_shortterm.into(), BETA) as u32;
        self.inflight_shortterm = self.inflight_latest.max(least);
    }

    pub(super) fn reset_congestion_signals(&mut self) {
        self.is_loss_in_round = false;
        (self.bw_latest, self.inflight_latest) = (0, 0);
    }

    pub(super) fn reset_short_term_model(&mut self) {
        (self.bw_shortterm, self.inflight_shortterm) = (u64::MAX, INFINITE);
    }

    pub(super) fn bound_bw_for_model(&mut self) {
        self.bw = self.max_bw.get().min(self.bw_shortterm);
    }

    /// §5.5.9, UpdateACKAggregation.
    pub(super) fn update_ack_aggregation(&mut self, rs: &Rs) {
        let micros = rs.now.since(self.extra_acked_start).as_micros();
        let mut expected = (u128::from(self.bw) * micros / 1_000_000) as u64;
        if self.extra_acked_delivered <= expected {
            (self.extra_acked_delivered, self.extra_acked_start) = (0, rs.now);
            expected = 0;
        }
        self.extra_acked_delivered += u64::from(rs.newly_acked);
        let extra = window(self.extra_acked_delivered - expected).min(self.cwnd);
        let half = if self.full_bw_reached { EXTRA_ACKED_HALF } else { 1 };
        self.extra_acked.update(extra, self.round_count, half);
    }

    /// §5.3.4.3, UpdateMinRTT.
    pub(super) fn update_min_rtt(&mut self, rs: &Rs) {
        let is_known = !self.probe_rtt_min_delay.is_zero();
        self.probe_rtt_expired = is_known && rs.now > self.probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
        if let Some(rtt) = rs.rtt
            && (!is_known || rtt < self.probe_rtt_min_delay || self.probe_rtt_expired)
        {
            self.probe_rtt_min_delay = rtt.max(Duration::from_micros(1));
            self.probe_rtt_min_stamp = rs.now;
        }
        let has_expired = rs.now > self.min_rtt_stamp + MIN_RTT_FILTER;
        let is_less = self.min_rtt.is_zero() || self.probe_rtt_min_delay < self.min_rtt;
        if !self.probe_rtt_min_delay.is_zero() && (is_less || has_expired) {
            self.min_rtt = self.probe_rtt_min_delay;
            self.min_rtt_stamp = self.probe_rtt_min_stamp;
        }
    }

    /// §5.3.3.8.3, TargetInflight.
    pub(super) fn target_inflight(&self) -> u32 {
        self.bdp_multiple(self.bw, 100).min(self.cwnd)
    }

    /// §5.5.10.2, IsInflightTooHigh.
    pub(super) fn is_inflight_too_high(lost: u32, tx_in_flight: u32) -> bool {
        u64::from(lost) * 100 > u64::from(tx_in_flight) * LOSS_THRESH
    }

    /// §5.5.10.2, NoteLoss.
    pub(super) fn note_loss(&mut self) {
        if !self.is_loss_in_round {
            self.loss_round_delivered = self.delivered;
            self.save_state_upon_loss();
        }
        self.is_loss_in_round = true;
    }

    /// §5.5.11.1, SaveStateUponLoss.
    fn save_state_upon_loss(&mut self) {
        self.save_cwnd();
        self.undo = Undo {
            state: None,
            bw_shortterm: self.bw_shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
        };
    }

    /// §5.5.10.2, HandleLostPacket, for all that was found lost at once.
    pub(super) fn handle_lost(&mut self, sample: &LossSample) {
        self.note_loss();
        self.loss_events = self.loss_events.saturating_add(sample.holes);
        let since = sample.since;
        if !self.is_bw_probe_sample || !Self::is_inflight_too_high(since.lost, since.in_flight) {
            return;
        }
        // InflightAtLoss: how much was in flight when the losses became too many.
        let in_flight_before = u64::from(since.in_flight.saturating_sub(sample.lost));
        let lost_before = u64::from(since.lost.saturating_sub(sample.lost));
        let prefix = percent(in_flight_before, LOSS_THRESH).saturating_sub(lost_before);
        let at_loss = window(in_flight_before + prefix * 100 / (100 - LOSS_THRESH));
        self.handle_inflight_too_high(sample, at_loss);
    }

    /// §5.5.10.2, HandleInflightTooHigh.
    fn handle_inflight_too_high(&mut self, sample: &LossSample, at_loss: u32) {
        self.prev_probe_too_high = true;
        self.is_bw_probe_sample = false;
        if !sample.since.is_app_limited {
            let least = percent(self.target_inflight().into(), BETA) as u32;
            self.inflight_longterm = at_loss.max(least);
        }
        if self.state == State::ProbeBwUp {
            self.undo.state = Some(State::ProbeBwUp);
            self.start_probe_bw_down(sample.now);
        }
    }

    /// §5.5.11.2, HandleSpuriousLossDetection.
    pub(super) fn handle_spurious_loss(&mut self) {
        self.is_loss_in_round = false;
        self.reset_full_bw();
        let undo = self.undo;
        self.bw_shortterm = self.bw_shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        match undo.state {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_bw_reached = false;
                if self.state != State::ProbeRtt {
                    self.state = State::Startup;
                }
            }
            Some(State::ProbeBwUp)
                if self.state != State::ProbeBwUp && self.state != State::ProbeRtt =>
            {
                self.start_probe_bw_refill();
            }
            _ => {}
        }
        self.undo.state = None;
    }
}
