//! Fifth: ACK (RFC 9293 §3.10.7.4, RFC 5961 §5.2).

use fourwave_wire::SeqNum;
use fourwave_wire::tcp::TcpHeader;

use super::Segment;
use crate::conn::send::Fin;
use crate::conn::{ConnOutcome, Connection, Ctx, Signals};
use crate::end::{EndReason, Side};
use crate::sender::{Ack, Echo};
use crate::state::{Input, State};
use crate::time::{Duration, Instant};

/// What follows the ACK's step.
#[must_use]
pub(super) enum AckOutcome {
    /// The steps behind it.
    Continue,
    /// Nothing: the segment is dropped.
    Drop,
    /// The connection's outcome is decided.
    Ended(ConnOutcome),
}

pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> AckOutcome {
    let header = &segment.header;
    let opens = !conn.snd.syn_acknowledged();
    if opens {
        // SYN_RECEIVED of a simultaneous open or of Fast Open, or FIN_WAIT_1 reached from it.
        let ours = header.ack.after(conn.snd.iss) && header.ack.at_or_before(conn.snd.nxt);
        if !ours {
            return AckOutcome::Ended(ConnOutcome::Reject);
        }
        if conn.state == State::SynReceived {
            conn.step(Input::RecvAckOfSyn);
            if !conn.is_passive() {
                conn.handle.signals.set(Signals::CONNECTED);
            }
        }
        conn.syn_acknowledged(header, ctx);
    }
    // RFC 5961 §5.2: neither older than the largest window nor of what was never sent.
    let oldest = conn.snd.una - conn.snd.max_window.max(1);
    if header.ack.before(oldest) || header.ack.after(conn.snd.nxt) {
        conn.challenge(ctx);
        return AckOutcome::Drop;
    }
    let window_changed = if header.ack.at_or_after(conn.snd.una) {
        conn.snd.update_window(header.seq, header.ack, header.window)
    } else {
        false
    };
    let echo = conn.echo(segment, ctx);
    if header.ack.after(conn.snd.una) {
        return advance(conn, header, echo, ctx);
    }
    let in_flight = conn.snd.outstanding() > 0;
    if conn.options.sack && !header.options.sack.is_empty() {
        let (flight, sacks) = (conn.flight(), header.options.sack.as_slice());
        let echo = if header.ack == conn.snd.una { echo } else { Echo::Nothing };
        let ack = Ack { flight, acked: 0, data: 0, echo_age: None, sacks, echo };
        let told = conn.sender.on_ack(ctx.now, &ack, &conn.rto_limits(ctx.config));
        ctx.count_found(told.found);
        if conn.has_accecn() {
            conn.take_marked(told.marked, header, ctx);
        }
    } else if echo != Echo::Nothing && header.ack == conn.snd.una {
        conn.bare_echo(echo, header, in_flight, ctx);
    }
    let says_nothing = segment.len() == 0 && !window_changed && !opens;
    if header.ack == conn.snd.una && in_flight && says_nothing {
        // RFC 5681 §2: a duplicate.
        let found = conn.sender.on_duplicate_ack(ctx.now, conn.flight());
        ctx.count_found(found);
    }
    if !in_flight || conn.snd.window == 0 {
        // An answer to a probe, or to what a window that shrank shuts out: the peer lives, however
        // small its window is (RFC 9293 §3.8.6, §3.8.6.1).
        conn.sender.on_probe_answered();
        if !in_flight && window_changed && conn.snd.window > 0 {
            conn.sender.on_window_opened();
        }
    }
    AckOutcome::Continue
}

/// SND.UNA moves forward.
fn advance(conn: &mut Connection, header: &TcpHeader, echo: Echo, ctx: &mut Ctx<'_>) -> AckOutcome {
    if conn.snd.unsent() == 0 {
        conn.sender.on_drained(ctx.now);
    }
    let una = conn.snd.una;
    let fin_acknowledged = conn.snd.fin == Fin::Sent && header.ack == conn.snd.nxt;
    let acked = header.ack.since(una);
    let data = acked - u32::from(fin_acknowledged);
    conn.snd.queue.acknowledge(data);
    ctx.moved -= i64::from(data);
    conn.snd.una = header.ack;
    conn.snd.more_waits = false;
    conn.snd.forget_records();
    conn.summary.bytes_acked += u64::from(data);
    let segments = data.div_ceil(conn.snd.mss);
    conn.summary.delivered += segments;
    if conn.sender.searches_mtu() {
        conn.mtu_answered(ctx);
    }
    if echo == Echo::All {
        conn.count_marked(segments, ctx);
    }
    let echo_age = conn.echo_age(header, ctx.now);
    let sacks = header.options.sack.as_slice();
    let ack = Ack { flight: conn.flight(), acked, data, echo_age, sacks, echo };
    let told = conn.sender.on_ack(ctx.now, &ack, &conn.rto_limits(ctx.config));
    ctx.count_found(told.found);
    if conn.has_accecn() {
        conn.take_marked(told.marked, header, ctx);
    }
    conn.wake_writer(ctx);
    if conn.snd.drained() {
        conn.note_idle(ctx.now);
        if !fin_acknowledged {
            conn.handle.signals.set(Signals::DRAINED);
        }
    } else {
        conn.note_progress(ctx.now);
    }
    if fin_acknowledged { our_fin_acknowledged(conn, header, ctx) } else { AckOutcome::Continue }
}

/// Waves two and four.
fn our_fin_acknowledged(
    conn: &mut Connection,
    header: &TcpHeader,
    ctx: &mut Ctx<'_>,
) -> AckOutcome {
    conn.snd.fin = Fin::Acknowledged;
    conn.handle.signals.set(Signals::DRAINED);
    conn.step(Input::RecvAckOfFin);
    match conn.state {
        State::TimeWait => AckOutcome::Ended(ConnOutcome::TimeWait),
        State::Closed => {
            AckOutcome::Ended(ConnOutcome::Ended { reason: EndReason::Orderly, reset: false })
        }
        // The peer's FIN may be in this very segment: then there is nothing to wait for. Where
        // something before that FIN is missing, its step ends an orphan.
        _ if header.flags.fin() && conn.tuning().linger2 == Some(Duration::ZERO) => {
            AckOutcome::Continue
        }
        _ => match conn.start_fin_wait_2(ctx) {
            ConnOutcome::Alive => AckOutcome::Continue,
            outcome => AckOutcome::Ended(outcome),
        },
    }
}

impl Connection {
    /// How old the timestamp is that an ACK echoes, where the sender wants to know (RFC 7323 §4.1).
    fn echo_age(&self, header: &TcpHeader, now: Instant) -> Option<Duration> {
        if !self.sender.wants_echo() || !self.options.timestamps {
            return None;
        }
        let echo = header.options.timestamps?.echo;
        let age = self.ts_now(now).wrapping_sub(echo);
        let is_known = echo != 0 && age < i32::MAX as u32;
        is_known.then(|| Duration::from_millis(age.max(1).into()))
    }

    /// A SYN with a Fast Open cookie made it: the listener's user holds it already, and may
    /// answer before the handshake is through (RFC 7413 §4.2.2).
    pub(crate) fn is_passive(&self) -> bool {
        self.fast_open.as_ref().is_some_and(|part| part.passive)
    }

    /// What a SYN ACK says of the text that was on our SYN: what it does not acknowledge was not
    /// taken, and goes out again as if it never had (RFC 7413 §4.2.1).
    pub(super) fn syn_text_acknowledged(&mut self, ack: SeqNum, ctx: &mut Ctx<'_>) {
        let sent = self.snd.outstanding();
        let Some(part) = self.fast_open.as_deref_mut().filter(|_| sent > 0) else { return };
        let taken = if ack.after(self.snd.una) { ack.since(self.snd.una).min(sent) } else { 0 };
        self.snd.queue.acknowledge(taken);
        ctx.moved -= i64::from(taken);
        self.snd.una += taken;
        self.snd.nxt = self.snd.una;
        self.summary.bytes_acked += u64::from(taken);
        self.sender.stop_timer();
        part.taken = taken == sent;
        if part.taken {
            ctx.counters.fast_open_active += 1;
        } else {
            ctx.counters.fast_open_active_fail += 1;
        }
        if self.snd.drained() {
            self.handle.signals.set(Signals::DRAINED);
        }
    }

    /// Something acceptable came from the peer.
    pub(in crate::conn) fn heard(&mut self, now: Instant) {
        self.last_received_at = now;
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.unanswered = 0;
        }
    }

    /// The ACK of our SYN arrived: what its header says holds from now on.
    pub(super) fn syn_acknowledged(&mut self, header: &TcpHeader, ctx: &mut Ctx<'_>) {
        self.snd.more_waits = false;
        self.summary.delivered += 1;
        self.times.data_sent(ctx.now);
        self.snd.una = self.snd.iss + 1;
        self.snd.nxt = self.snd.nxt.later(self.snd.una);
        self.due.syn = false;
        let echo_age = self.echo_age(header, ctx.now);
        let (limits, in_flight) = (self.rto_limits(ctx.config), self.snd.outstanding() > 0);
        self.sender.on_syn_acked(ctx.now, header.ack, echo_age, in_flight, &limits);
        self.open_send_window(header, self.snd.una);
        self.snd.starved = false;
        self.handle.signals.set(Signals::WRITABLE);
        if self.snd.fin == Fin::Queued {
            // The application closed while the connection was opening.
            self.close_by_table();
        }
    }

    /// The first window that the peer offers. The window of a SYN is never scaled (RFC 7323
    /// §2.2).
    pub(crate) fn open_send_window(&mut self, header: &TcpHeader, ack: SeqNum) {
        let window = if header.flags.syn() {
            u32::from(header.window.0)
        } else {
            self.snd.scale.to_bytes(header.window)
        };
        self.snd.window = window;
        self.snd.max_window = self.snd.max_window.max(window);
        self.snd.wl1 = header.seq;
        self.snd.wl2 = ack;
    }

    /// An orphan does not wait for the peer's FIN indefinitely. Where it may not wait at all, it
    /// ends here.
    pub(crate) fn start_fin_wait_2(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        if !self.handle.orphan || self.state != State::FinWait2 {
            return ConnOutcome::Alive;
        }
        let life = self.tuning().linger2.unwrap_or(Duration::from_secs(ctx.config.tcp_fin_timeout));
        if life.is_zero() {
            ctx.counters.abort_on_linger += 1;
            return self.ends(Input::Timeout, EndReason::FinWait2Timeout, true);
        }
        self.close_at = ctx.now + life;
        ConnOutcome::Alive
    }

    /// Whose close came first, when ours goes out.
    pub(in crate::conn) fn closes_first(&mut self) {
        self.summary.closed_first.get_or_insert(Side::Local);
    }
}
