//! Timeouts (RFC 9293 §3.10.8): retransmission, zero window, delayed ACK, keepalive, FIN_WAIT_2.

use super::send::Fin;
use super::{CloseTimer, ConnOutcome, Connection, Ctx, Signals};
use crate::end::EndReason;
use crate::sender::{Timer, TimerFor};
use crate::state::{Input, State};
use crate::time::{Duration, Instant};

impl Connection {
    /// Does what is due at `ctx.now`.
    pub(crate) fn on_timeout(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        if self.rcv.acks.on_timer(ctx.now) {
            ctx.counters.delayed_acks += 1;
        }
        if self.close_at <= ctx.now {
            self.close_at = Instant::NEVER;
            match self.close_timeout(ctx) {
                ConnOutcome::Alive => {}
                outcome => return outcome,
            }
        }
        match self.sender.take_timeout(ctx.now) {
            Some(Timer::Retransmission) => match self.retransmission_timeout(ctx) {
                ConnOutcome::Alive => {}
                outcome => return outcome,
            },
            Some(Timer::Early) => {
                let (flight, limits) = (self.flight(), self.rto_limits(ctx.config));
                let found = self.sender.on_early_timer(ctx.now, flight, &limits);
                ctx.count_found(found);
            }
            None => {}
        }
        if self.keepalive.as_ref().is_some_and(|keepalive| keepalive.probe_at <= ctx.now) {
            return self.keepalive_timeout(ctx);
        }
        ConnOutcome::Alive
    }

    /// Retransmission timeouts without an answer; probes of a window are none.
    pub(crate) fn timeouts_in_a_row(&self) -> u8 {
        if self.snd.outstanding() > 0 { self.sender.timeouts() } else { 0 }
    }

    fn close_timer(&self) -> CloseTimer {
        match self.state {
            _ if self.snd.fin == Fin::Held => CloseTimer::ReleaseFin,
            State::FinWait2 if self.handle.orphan => CloseTimer::FinWait2,
            State::CloseWait => CloseTimer::CloseWait,
            _ => CloseTimer::None,
        }
    }

    fn close_timeout(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        match self.close_timer() {
            CloseTimer::ReleaseFin => self.release_fin(),
            CloseTimer::FinWait2 => {
                ctx.counters.abort_on_timeout += 1;
                return self.ends(Input::Timeout, EndReason::FinWait2Timeout, false);
            }
            CloseTimer::CloseWait => {
                ctx.counters.close_wait_suspected += 1;
                self.handle.signals.set(Signals::CLOSE_WAIT_SUSPECTED);
            }
            CloseTimer::None => {}
        }
        ConnOutcome::Alive
    }

    fn retransmission_timeout(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        let in_flight = self.snd.outstanding() > 0;
        let waits = self.snd.unsent() > 0 || self.snd.fin_waits();
        if !in_flight && !waits {
            return ConnOutcome::Alive;
        }
        if let Some(outcome) = self.give_up(ctx) {
            return outcome;
        }
        if in_flight {
            self.suspect_black_hole(ctx);
        }
        let what = match in_flight {
            false => TimerFor::Window,
            true if !self.snd.syn_acknowledged() => TimerFor::Syn,
            true => TimerFor::Data(self.flight()),
        };
        self.sender.on_timer(ctx.now, what, &self.rto_limits(ctx.config));
        if !in_flight {
            // RFC 9293 §3.8.6.1 and the override timeout of §3.8.6.2.1: a probe into a zero
            // window, for as long as the peer answers, or what a small window has room for.
            self.due.small = self.snd.window_room() > 0;
            self.due.probe = !self.due.small;
            return ConnOutcome::Alive;
        }
        ctx.counters.timeouts += 1;
        self.suspect_option();
        if u64::from(self.sender.timeouts()) == ctx.config.tcp_retries1 {
            // RFC 9293 §3.8.3: at R1 the application is told; at R2 give_up ends it.
            self.handle.signals.set(Signals::UNANSWERED);
        }
        self.due.syn |= !self.snd.syn_acknowledged();
        ConnOutcome::Alive
    }

    /// Whether it has been tried often or long enough.
    fn give_up(&mut self, ctx: &mut Ctx<'_>) -> Option<ConnOutcome> {
        let (config, tuning, passive) = (ctx.config, self.tuning(), self.is_passive());
        if self.is_costly_orphan(ctx.memory, config) {
            ctx.counters.abort_on_memory += 1;
            return Some(self.abort(EndReason::TooManyOrphans));
        }
        let (limit, reason) = match self.state {
            State::SynSent => match tuning.syn_count {
                0 => (config.tcp_syn_retries, EndReason::ConnectTimeout),
                set => (set.into(), EndReason::ConnectTimeout),
            },
            // As in Linux, a SYN with a cookie is worth one try more, closed already or not.
            _ if self.state == State::SynReceived || (passive && !self.snd.syn_acknowledged()) => {
                (config.tcp_synack_retries + u64::from(passive), EndReason::HandshakeTimeout)
            }
            _ if self.handle.orphan => (config.tcp_orphan_retries, EndReason::OrphanTimeout),
            _ => (config.tcp_retries2, EndReason::RetransmissionTimeout),
        };
        // What a zero window shuts out counts too, as in Linux: since the first probe.
        let user = !tuning.user_timeout.is_zero()
            && ctx.now.since(self.sender.progress_at()) >= tuning.user_timeout;
        let reason = if user { EndReason::UserTimeout } else { reason };
        // As in Linux, a peer that answers and never opens its window does not hold what its
        // application left behind indefinitely.
        let stuck = self.handle.orphan
            && u64::from(self.sender.backoff()) >= limit
            && self.rto(config) >= config.rto_max();
        if !user && !stuck && u64::from(self.sender.timeouts()) < limit {
            return None;
        }
        ctx.counters.abort_on_timeout += 1;
        if !self.state.is_synchronized() && !passive {
            ctx.counters.attempt_fails += 1;
        }
        Some(self.ends(Input::Timeout, reason, false))
    }

    fn keepalive_timeout(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        let Some(keepalive) = self.keepalive.as_deref_mut() else { return ConnOutcome::Alive };
        let heard_until = self.last_received_at + keepalive.idle;
        if heard_until > ctx.now {
            keepalive.probe_at = heard_until;
            return ConnOutcome::Alive;
        }
        // With data in flight the retransmission timer does this work.
        if self.snd.outstanding() > 0 || !self.state.is_synchronized() {
            keepalive.probe_at = ctx.now + keepalive.interval;
            return ConnOutcome::Alive;
        }
        // As in Linux, TCP_USER_TIMEOUT takes the place of the count of probes.
        let limit = self.tuning.as_ref().map_or(Duration::ZERO, |tuning| tuning.user_timeout);
        let silent = ctx.now.since(self.last_received_at);
        let given_up = match limit {
            Duration::ZERO => keepalive.unanswered >= keepalive.probes,
            limit => keepalive.unanswered > 0 && silent >= limit,
        };
        if given_up {
            ctx.counters.abort_on_timeout += 1;
            return self.ends(Input::Timeout, EndReason::KeepaliveTimeout, true);
        }
        keepalive.unanswered += 1;
        keepalive.probe_at = ctx.now + keepalive.interval;
        self.due.probe = true;
        ConnOutcome::Alive
    }
}
