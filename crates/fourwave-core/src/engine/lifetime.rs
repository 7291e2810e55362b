//! Time, and the end of connections: from a connection to TIME_WAIT, from anything to nothing.

use alloc::boxed::Box;

use super::{Engine, Queued};
use crate::config::TwOverflow;
use crate::conn::ConnOutcome;
use crate::demux::{FourTuple, Target};
use crate::end::{EndReason, EndReport};
use crate::event::{Event, PendingId};
use crate::time::{Duration, Instant};
use crate::time_wait::TimeWaitState;

impl Engine {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next; it may be a little
    /// earlier than there is something to do. O(1).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let time_wait = self.records.time_wait.oldest().map(|(_, at)| at);
        let half_open = self.records.half_open.next_deadline();
        [self.timers.next(), time_wait, half_open].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.timers.expire(now) {
            self.connection_times_out(now, index);
        }
        while let Some(index) = self.records.half_open.expired(now) {
            self.half_open_times_out(index);
        }
        self.expire_time_wait(now);
    }

    fn expire_time_wait(&mut self, now: Instant) {
        while let Some((target, deadline)) = self.records.time_wait.oldest() {
            if deadline > now {
                break;
            }
            if self.records.time_wait.is_shortened(target) {
                self.counters.tw_killed += 1;
            } else {
                self.counters.tw += 1;
            }
            if let Some(tuple) = self.records.time_wait.tuple(target) {
                self.drop_time_wait(target, &tuple);
            }
        }
    }

    fn connection_times_out(&mut self, now: Instant, index: u32) {
        let Some((conn, mut ctx)) = self.conn_and_ctx(index, now) else { return };
        // The wheel keeps a deadline that has moved later: it is set again, nothing is due.
        let outcome = match conn.next_deadline() {
            Some(deadline) if deadline <= now => {
                let before = conn.timeouts_in_a_row();
                let outcome = conn.on_timeout(&mut ctx);
                if conn.fast_open.is_some() {
                    self.fast_open_times_out(now, index, before);
                }
                outcome
            }
            _ => ConnOutcome::Alive,
        };
        self.settle(now, index, outcome);
    }

    fn half_open_times_out(&mut self, index: u32) {
        let Some(record) = self.records.half_open.get(index) else { return };
        if u64::from(record.retries) >= self.config.tcp_synack_retries {
            self.counters.attempt_fails += 1;
            self.drop_half_open(index);
            return;
        }
        self.records.half_open.make_due(index);
        if let Some(record) = self.records.half_open.get_mut(index) {
            record.retries += 1;
        }
        self.counters.retrans_segs += 1;
        self.answer_syn(index);
    }

    /// Does what a step's outcome asks for.
    pub(super) fn settle(&mut self, now: Instant, index: u32, outcome: ConnOutcome) {
        match outcome {
            ConnOutcome::Alive | ConnOutcome::Reject => {
                self.fast_open_settles(index, false);
                self.schedule(index);
            }
            ConnOutcome::TimeWait => self.enter_time_wait(now, index),
            ConnOutcome::Ended { reason, reset } => {
                if let (true, Some(conn)) = (reset, self.records.conns.get(index)) {
                    let (tuple, header) = (conn.tuple, conn.reset_header(now));
                    self.reply(tuple, header);
                }
                self.remove_from_demux(index);
                self.report_end(now, index, reason, None);
            }
        }
    }

    /// The compact record takes the connection's place in the demultiplexer.
    fn enter_time_wait(&mut self, now: Instant, index: u32) {
        let Some((conn, ctx)) = self.conn_and_ctx(index, now) else { return };
        let tuple = conn.tuple;
        // The fourth wave, or whatever else is owed.
        let ack = conn.rcv.acks.owed().then(|| conn.last_ack_header(&ctx));
        let tw_state = conn.time_wait_state();
        if let Some(header) = ack {
            self.reply(tuple, header);
        }
        let length = self.time_wait_length(index, tw_state.timestamps);
        if tw_state.timestamps && self.config.tcp_tw_recycle == 1 {
            self.hosts.remember(tuple.remote().ip(), tw_state.ts_recent, now);
        }
        if length.is_zero() || !self.make_room_in_time_wait(now) {
            self.remove_from_demux(index);
            self.report_end(now, index, EndReason::Orderly, None);
            return;
        }
        let (target, until) = self.records.time_wait.insert(&tuple, tw_state, now, length);
        self.demux.replace(&self.records, &tuple, Target::Connection(index), target);
        self.report_end(now, index, EndReason::Orderly, Some(until));
    }

    /// A TIME_WAIT comes back, at full length, to four numbers that have none.
    pub(super) fn restore_time_wait(
        &mut self,
        now: Instant,
        tuple: &FourTuple,
        tw_state: TimeWaitState,
    ) {
        let length = self.config.time_wait_len();
        if length.is_zero() || !self.make_room_in_time_wait(now) {
            return;
        }
        let (target, _) = self.records.time_wait.insert(tuple, tw_state, now, length);
        self.demux.insert(&self.records, tuple, target);
        self.counters.tw_restored += 1;
    }

    /// 2MSL, or 3.5 retransmission timeouts where `tcp_tw_recycle` may shorten it.
    fn time_wait_length(&self, index: u32, timestamps: bool) -> Duration {
        let full = self.config.time_wait_len();
        if !timestamps || self.config.tcp_tw_recycle == 0 {
            return full;
        }
        let rto = self.records.conns.get(index).map(|conn| conn.rto(&self.config));
        rto.map_or(full, |rto| (rto * 7 / 2).min(full))
    }

    /// Keeps TIME_WAIT within `tcp_max_tw_buckets`, as `tw_overflow` says. False when the new one
    /// may not stay.
    fn make_room_in_time_wait(&mut self, now: Instant) -> bool {
        let limit = self.config.tcp_max_tw_buckets;
        if (self.records.time_wait.len() as u64) < limit {
            return true;
        }
        self.counters.time_wait_overflow += 1;
        match TwOverflow::from(self.config.tw_overflow) {
            TwOverflow::RefuseNew => return false,
            TwOverflow::Shorten => {
                self.records.time_wait.halve(now);
                self.expire_time_wait(now);
            }
            TwOverflow::Oldest => {}
        }
        while self.records.time_wait.len() as u64 >= limit {
            let Some((oldest, _)) = self.records.time_wait.oldest() else { return false };
            let Some(tuple) = self.records.time_wait.tuple(oldest) else { return false };
            self.counters.tw_evicted += 1;
            self.drop_time_wait(oldest, &tuple);
        }
        true
    }

    pub(super) fn drop_time_wait(&mut self, target: Target, tuple: &FourTuple) {
        self.demux.remove(&self.records, tuple, target);
        self.records.time_wait.remove(target);
    }

    /// Ends every TIME_WAIT at once, with both its protections; returns how many there were.
    /// O(TIME_WAITs).
    pub fn drop_time_waits(&mut self) -> usize {
        let before = self.records.time_wait.len();
        while let Some((target, _)) = self.records.time_wait.oldest() {
            let Some(tuple) = self.records.time_wait.tuple(target) else { break };
            self.counters.tw_killed += 1;
            self.drop_time_wait(target, &tuple);
        }
        before - self.records.time_wait.len()
    }

    pub(super) fn drop_half_open(&mut self, index: u32) {
        let Some(record) = self.records.half_open.get(index) else { return };
        let tuple = record.tuple;
        self.demux.remove(&self.records, &tuple, Target::HalfOpen(index));
        let Some(record) = self.records.half_open.remove(index) else { return };
        if let Some(listener) = self.listeners.get_mut(record.listener) {
            listener.half_open -= 1;
        }
        if record.is_deferred() {
            let pending = PendingId { index, generation: record.generation };
            self.events.push_back(Queued::Event(Event::PendingGone { pending }));
        }
    }

    fn remove_from_demux(&mut self, index: u32) {
        if let Some(conn) = self.records.conns.get(index) {
            let tuple = conn.tuple;
            self.demux.remove(&self.records, &tuple, Target::Connection(index));
        }
    }

    /// The connection's life is over: its report goes out. What was received stays for a handle
    /// that is still held.
    fn report_end(
        &mut self,
        now: Instant,
        index: u32,
        reason: EndReason,
        time_wait_until: Option<Instant>,
    ) {
        self.timers.cancel(index);
        self.fast_open_settles(index, true);
        let Some(conn) = self.records.conns.get_mut(index) else { return };
        let (summary, setbacks) = (conn.summary, conn.setbacks());
        let report = Box::new(EndReport {
            local: conn.tuple.local(),
            remote: conn.tuple.remote(),
            reason,
            closed_first: summary.closed_first,
            last_call: summary.last_call,
            last_call_ago: now.since(summary.last_call_at),
            opened: summary.opened,
            ended: now,
            time_wait_until,
            bytes_acked: summary.bytes_acked,
            bytes_received: conn.rcv.received(),
            bytes_unsent: conn.snd.queue.len().into(),
            bytes_unread: conn.rcv.unread().into(),
            fin_retransmits: setbacks.fin_retransmits,
            retransmits: setbacks.retransmits,
        });
        let before = conn.held();
        conn.release(reason);
        conn.wake_all();
        let (id, after, is_orphan) = (conn.id, conn.held(), conn.handle.orphan);
        self.memory_moved(after as i64 - before as i64);
        if is_orphan {
            self.orphans -= 1;
            self.remove_conn(index);
        } else {
            self.schedule(index);
        }
        self.events.push_back(Queued::Event(Event::Closed { conn: id, report }));
    }
}
