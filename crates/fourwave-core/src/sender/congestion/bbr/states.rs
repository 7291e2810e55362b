//! The states (§5.3): Startup, Drain, the four of ProbeBW, ProbeRTT.

use super::{Bbr, INFINITE, Rs, percent};
use crate::time::{Duration, Instant};

/// BBR.Headroom in percent: what a cruising flow leaves free of what may be in flight.
const HEADROOM: u64 = 15;
/// BBRStartupFullLossCnt (§5.3.1.3).
const STARTUP_FULL_LOSSES: u16 = 6;
/// Rounds without growth that say that the pipe is full (§5.3.1.2).
const FULL_BW_ROUNDS: u8 = 3;
/// Rounds that Drain takes at most (§5.3.2).
const MOST_DRAIN_ROUNDS: u32 = 3;
/// BBR.ProbeRTTDuration.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// BBR.ProbeRTTCwndGain in percent.
const PROBE_RTT_CWND_GAIN: u64 = 50;
/// Rounds after which Reno would have filled such a path at the latest (§5.3.3.8).
const MOST_RENO_ROUNDS: u32 = 63;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

impl State {
    /// §5.6.1, in percent.
    pub(super) fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::ProbeBwDown => 90,
            Self::ProbeBwUp => 125,
            Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeRtt => 100,
        }
    }

    /// §5.6.1, in percent.
    pub(super) fn cwnd_gain(self) -> u64 {
        match self {
            Self::ProbeBwUp => 225,
            Self::ProbeRtt => PROBE_RTT_CWND_GAIN,
            _ => 200,
        }
    }

    /// IsInAProbeBWState.
    pub(super) fn is_probe_bw(self) -> bool {
        matches!(
            self,
            Self::ProbeBwDown | Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeBwUp
        )
    }

    /// IsProbingBW.
    pub(super) fn probes_bw(self) -> bool {
        matches!(self, Self::Startup | Self::ProbeBwRefill | Self::ProbeBwUp)
    }
}

/// Of which part of the cycle the ACKs that come in tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

impl Bbr {
    /// §5.3.1.2, ResetFullBW.
    pub(super) fn reset_full_bw(&mut self) {
        (self.full_bw, self.full_bw_count, self.full_bw_now) = (0, 0, false);
    }

    /// §5.3.1.2, CheckFullBWReached.
    pub(super) fn check_full_bw_reached(&mut self, rs: &Rs) {
        if self.full_bw_now || !self.round_start || rs.is_app_limited || rs.rate == 0 {
            return;
        }
        if rs.rate >= percent(self.full_bw, 125) {
            self.reset_full_bw();
            self.full_bw = rs.rate;
            return;
        }
        self.full_bw_count += 1;
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS;
        self.full_bw_reached |= self.full_bw_now;
    }

    /// §5.3.1.1, CheckStartupDone; §5.3.1.3, CheckStartupHighLoss.
    pub(super) fn check_startup_done(&mut self, rs: &Rs) {
        if !self.full_bw_reached
            && self.loss_round_start
            && rs.is_in_recovery
            && self.loss_events >= STARTUP_FULL_LOSSES
            && Self::is_inflight_too_high(rs.lost, rs.tx_in_flight)
        {
            self.undo.state = Some(State::Startup);
            self.full_bw_reached = true;
            let bdp = self.bdp_multiple(self.bw, 100);
            self.inflight_longterm = bdp.max(self.inflight_latest);
        }
        if self.loss_round_start {
            self.loss_events = 0;
        }
        if self.state == State::Startup && self.full_bw_reached {
            self.state = State::Drain;
            self.drain_start_round = self.round_count;
        }
    }

    /// §5.3.2, CheckDrainDone.
    pub(super) fn check_drain_done(&mut self, rs: &Rs) {
        let rounds = self.round_count.wrapping_sub(self.drain_start_round);
        if self.state == State::Drain
            && (rs.in_flight <= self.inflight(self.bw, 100) || rounds > MOST_DRAIN_ROUNDS)
        {
            self.start_probe_bw_down(rs.now);
        }
    }

    /// §5.3.3.9, StartProbeBW_DOWN.
    pub(super) fn start_probe_bw_down(&mut self, now: Instant) {
        self.reset_congestion_signals();
        self.probe_up_acked_per_inc = INFINITE;
        self.pick_probe_wait(now);
        self.cycle_stamp = now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.state = State::ProbeBwDown;
    }

    /// §5.3.3.9, StartProbeBW_REFILL.
    pub(super) fn start_probe_bw_refill(&mut self) {
        self.reset_short_term_model();
        (self.bw_probe_up_rounds, self.bw_probe_up_acked) = (0, 0);
        self.prev_probe_precautionary = false;
        self.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.state = State::ProbeBwRefill;
    }

    /// §5.3.3.9, StartProbeBW_UP.
    fn start_probe_bw_up(&mut self, rs: &Rs) {
        self.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.reset_full_bw();
        self.full_bw = rs.rate;
        self.state = State::ProbeBwUp;
        self.raise_inflight_longterm_slope();
    }

    /// §5.3.3.8.3, PickProbeWait. A hash of what the flow has seen stands for chance: no two flows
    /// of a host have seen the same at the same time, and a test sees the same twice.
    fn pick_probe_wait(&mut self, now: Instant) {
        let seen = now.as_micros() ^ self.delivered.rotate_left(32) ^ self.bw.rotate_left(17);
        // SplitMix64's mixing.
        let mut z = seen.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        self.rounds_since_probe_up = (z & 1) as u32;
        self.bw_probe_wait = Duration::from_secs(2) + Duration::from_micros((z >> 1) % 1_000_000);
    }

    /// §5.3.3.8.3, IsTimeToProbeBW.
    fn is_time_to_probe_bw(&self, now: Instant) -> bool {
        let reno_rounds = self.target_inflight() / self.mss.max(1);
        now > self.cycle_stamp + self.bw_probe_wait
            || self.rounds_since_probe_up >= reno_rounds.min(MOST_RENO_ROUNDS)
    }

    /// §5.3.3.9, UpdateProbeBWCyclePhase.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, rs: &Rs) {
        if !self.full_bw_reached || self.adapt_long_term_model(rs) {
            return;
        }
        match self.state {
            State::ProbeBwDown | State::ProbeBwCruise if self.is_time_to_probe_bw(rs.now) => {
                self.start_probe_bw_refill();
            }
            State::ProbeBwDown if self.is_time_to_cruise(rs) => {
                self.state = State::ProbeBwCruise;
            }
            State::ProbeBwRefill if self.round_start => {
                self.is_bw_probe_sample = true;
                self.start_probe_bw_up(rs);
            }
            State::ProbeBwUp => self.probe_up(rs),
            _ => {}
        }
    }

    /// §5.3.3.9, the end of ProbeBW_UP.
    fn probe_up(&mut self, rs: &Rs) {
        if self.is_time_to_go_down(rs) {
            self.prev_probe_too_high = false;
            self.start_probe_bw_down(rs.now);
        }
    }

    /// §5.3.3.9, IsTimeToCruise.
    fn is_time_to_cruise(&self, rs: &Rs) -> bool {
        rs.in_flight <= self.inflight_with_headroom()
            && rs.in_flight <= self.inflight(self.max_bw.get(), 100)
    }

    /// §5.3.3.9, IsTimeToGoDown.
    fn is_time_to_go_down(&mut self, rs: &Rs) -> bool {
        if self.prev_probe_too_high && rs.in_flight >= self.inflight_longterm {
            self.prev_probe_precautionary = true;
            return true;
        }
        if self.is_held_by_longterm() {
            self.reset_full_bw();
            self.full_bw = rs.rate;
            return false;
        }
        self.full_bw_now
    }

    /// The window is in use, and it is the long-term bound.
    fn is_held_by_longterm(&self) -> bool {
        self.is_cwnd_limited.contains(&true) && self.cwnd >= self.inflight_longterm
    }

    /// §5.3.3.9, InflightWithHeadroom.
    pub(super) fn inflight_with_headroom(&self) -> u32 {
        if self.inflight_longterm == INFINITE {
            return INFINITE;
        }
        let headroom = (percent(self.inflight_longterm.into(), HEADROOM) as u32).max(self.mss);
        self.inflight_longterm.saturating_sub(headroom).max(self.min_pipe())
    }

    /// §5.3.3.9, RaiseInflightLongtermSlope.
    fn raise_inflight_longterm_slope(&mut self) {
        let growth = 1_u32 << self.bw_probe_up_rounds;
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(30);
        self.probe_up_acked_per_inc = (self.cwnd / growth).max(self.mss);
    }

    /// §5.3.3.9, ProbeInflightLongtermUpward.
    fn probe_inflight_longterm_upward(&mut self, rs: &Rs) {
        if !self.is_held_by_longterm() {
            return;
        }
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(rs.newly_acked);
        let per_inc = self.probe_up_acked_per_inc.max(1);
        let delta = self.bw_probe_up_acked / per_inc;
        self.bw_probe_up_acked -= delta * per_inc;
        let more = delta.saturating_mul(self.mss);
        self.inflight_longterm = self.inflight_longterm.saturating_add(more);
        if self.round_start {
            self.raise_inflight_longterm_slope();
        }
    }

    /// §5.3.3.9, AdaptLongTermModel. Whether it has moved on to another state.
    fn adapt_long_term_model(&mut self, rs: &Rs) -> bool {
        if self.ack_phase == AckPhase::ProbeStarting && self.round_start {
            self.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.ack_phase == AckPhase::ProbeStopping && self.round_start {
            self.is_bw_probe_sample = false;
            self.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() && !rs.is_app_limited {
                self.max_bw.advance();
            }
            if self.state.is_probe_bw()
                && self.prev_probe_precautionary
                && !self.prev_probe_too_high
            {
                self.start_probe_bw_refill();
                return true;
            }
        }
        if Self::is_inflight_too_high(rs.lost, rs.tx_in_flight)
            || self.inflight_longterm == INFINITE
        {
            return false;
        }
        self.inflight_longterm = self.inflight_longterm.max(rs.tx_in_flight);
        if self.state == State::ProbeBwUp {
            self.probe_inflight_longterm_upward(rs);
        }
        false
    }

    /// §5.6.4.5, ProbeRTTCwnd.
    pub(super) fn probe_rtt_cwnd(&self) -> u32 {
        self.bdp_multiple(self.bw, PROBE_RTT_CWND_GAIN).max(self.min_pipe())
    }

    /// §5.3.4.3, CheckProbeRTT.
    pub(super) fn check_probe_rtt(&mut self, rs: &Rs) {
        if self.state != State::ProbeRtt && self.probe_rtt_expired && !self.idle_restart {
            self.save_cwnd();
            self.state = State::ProbeRtt;
            self.probe_rtt_done = None;
            self.ack_phase = AckPhase::ProbeStopping;
            self.start_round();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(rs);
        }
        self.idle_restart &= rs.delivered == 0;
    }

    /// §5.3.4.3, HandleProbeRTT.
    fn handle_probe_rtt(&mut self, rs: &Rs) {
        self.app_limited_until = self.delivered + u64::from(rs.in_flight).max(1);
        if self.probe_rtt_done.is_none() {
            if rs.in_flight <= self.probe_rtt_cwnd() {
                self.probe_rtt_done = Some(rs.now + PROBE_RTT_DURATION);
                self.probe_rtt_round_done = false;
                self.start_round();
            }
            return;
        }
        self.probe_rtt_round_done |= self.round_start;
        if self.probe_rtt_round_done {
            self.check_probe_rtt_done(rs.now);
        }
    }

    /// §5.3.4.3, CheckProbeRTTDone.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.probe_rtt_done.is_some_and(|done| now > done) {
            self.probe_rtt_min_stamp = now;
            self.restore_cwnd();
            self.exit_probe_rtt(now);
        }
    }

    /// §5.3.4.4, ExitProbeRTT.
    fn exit_probe_rtt(&mut self, now: Instant) {
        self.reset_short_term_model();
        if self.full_bw_reached {
            self.start_probe_bw_down(now);
            self.state = State::ProbeBwCruise;
        } else {
            self.state = State::Startup;
        }
    }
}
