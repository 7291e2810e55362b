//! Fifth: ACK (RFC 9293 §3.10.7.4, RFC 5961 §5.2).

use fourwave_wire::SeqNum;
use fourwave_wire::tcp::TcpHeader;

use super::Segment;
use crate::congestion::{AckSample, CongestionControl};
use crate::conn::send::Fin;
use crate::conn::state::{Input, State};
use crate::conn::{Connection, Ctx, Fate, Signals};
use crate::end::{EndReason, Side};
use crate::recovery::newreno::Verdict;
use crate::time::{Duration, Instant};

/// What follows the ACK's step.
#[must_use]
pub(super) enum Next {
    /// The steps behind it.
    Continue,
    /// Nothing: the segment is dropped.
    Drop,
    /// The connection's fate is decided.
    Fate(Fate),
}

pub(super) fn arrive(conn: &mut Connection, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Next {
    let header = &segment.header;
    let opens = !conn.snd.syn_acknowledged();
    if opens {
        // SYN_RECEIVED of a simultaneous open or of Fast Open, or FIN_WAIT_1 reached from it.
        let ours = header.ack.after(conn.snd.iss) && header.ack.at_or_before(conn.snd.nxt);
        if !ours {
            return Next::Fate(Fate::Reject);
        }
        if conn.state == State::SynReceived {
            conn.step(Input::RecvAckOfSyn);
            if !conn.is_passive() {
                conn.signals.set(Signals::CONNECTED);
            }
        }
        conn.syn_acknowledged(header, ctx);
    }
    // RFC 5961 §5.2: neither older than the largest window nor of what was never sent.
    let oldest = conn.snd.una - conn.snd.max_window.max(1);
    if header.ack.before(oldest) || header.ack.after(conn.snd.nxt) {
        conn.challenge(ctx);
        return Next::Drop;
    }
    let window_changed = if header.ack.at_or_after(conn.snd.una) {
        conn.snd.update_window(header.seq, header.ack, header.window)
    } else {
        false
    };
    if header.ack.after(conn.snd.una) {
        return advance(conn, header, ctx);
    }
    let in_flight = conn.snd.outstanding() > 0;
    let says_nothing = segment.len() == 0 && !window_changed && !opens;
    if header.ack == conn.snd.una && in_flight && says_nothing {
        // RFC 5681 §2: a duplicate.
        let before = conn.recovery.flight(conn.snd.una, conn.snd.nxt);
        if conn.recovery.on_dup_ack(conn.snd.nxt, conn.snd.mss) == Verdict::LossFound {
            ctx.counters.fast_retrans += 1;
            conn.congestion.on_loss(before, conn.snd.mss);
        }
    }
    if !in_flight || conn.snd.window == 0 {
        // An answer to a probe, or to what a window that shrank shuts out: the peer lives, however
        // small its window is (RFC 9293 §3.8.6, §3.8.6.1).
        conn.retries = 0;
        if !in_flight && window_changed && conn.snd.window > 0 {
            conn.rtt.progress();
            conn.deadlines.resend = Instant::NEVER;
        }
    }
    Next::Continue
}

/// SND.UNA moves forward.
fn advance(conn: &mut Connection, header: &TcpHeader, ctx: &mut Ctx<'_>) -> Next {
    let una = conn.snd.una;
    let fin_acknowledged = conn.snd.fin == Fin::Sent && header.ack == conn.snd.nxt;
    let acked = header.ack.since(una);
    let data = acked - u32::from(fin_acknowledged);
    conn.snd.queue.acknowledge(data);
    conn.snd.una = header.ack;
    conn.snd.more_waits = false;
    conn.snd.forget_records();
    conn.snd.progress_at = ctx.now;
    conn.story.bytes_acked += u64::from(data);
    conn.story.delivered += data.div_ceil(conn.snd.mss);
    conn.retries = 0;
    // The back-off stays until there is a sample (Karn, RFC 6298 §5).
    take_rtt(conn, header, ctx);

    let window = conn.congestion.window();
    let slow_start = window < conn.congestion.threshold();
    let window_limited = conn.window_use.is_limit(window, slow_start);
    match conn.recovery.on_ack(conn.snd.una, acked, conn.snd.mss) {
        Verdict::Recovered => {
            conn.congestion.on_recovered(conn.snd.outstanding(), conn.snd.mss);
        }
        Verdict::Ordinary => {
            conn.congestion.on_ack(&AckSample { acked: data, window_limited, mss: conn.snd.mss })
        }
        Verdict::PartialAck | Verdict::LossFound => {}
    }
    conn.restart_resend(ctx);
    conn.wake_writer(ctx.config);
    if conn.snd.drained() && !fin_acknowledged {
        conn.signals.set(Signals::DRAINED);
    }
    if fin_acknowledged { our_fin_acknowledged(conn, header, ctx) } else { Next::Continue }
}

/// Waves two and four.
fn our_fin_acknowledged(conn: &mut Connection, header: &TcpHeader, ctx: &mut Ctx<'_>) -> Next {
    conn.snd.fin = Fin::Acknowledged;
    conn.signals.set(Signals::DRAINED);
    conn.step(Input::RecvAckOfFin);
    match conn.state {
        State::TimeWait => Next::Fate(Fate::TimeWait),
        State::Closed => Next::Fate(Fate::Ended { reason: EndReason::Orderly, reset: false }),
        // The peer's FIN may be in this very segment: then there is nothing to wait for.
        _ if header.flags.fin() && conn.tuning().linger2 == Some(Duration::ZERO) => {
            // Where something before that FIN is missing, it ends with the next timeout.
            conn.deadlines.close = if conn.orphan { ctx.now } else { Instant::NEVER };
            Next::Continue
        }
        _ => match conn.start_fin_wait_2(ctx) {
            Fate::Alive => Next::Continue,
            fate => Next::Fate(fate),
        },
    }
}

fn take_rtt(conn: &mut Connection, header: &TcpHeader, ctx: &Ctx<'_>) {
    if let Some(rtt) = conn.stopwatch.stop(header.ack, ctx.now) {
        conn.rtt.sample(rtt);
    } else if let (true, Some(ts)) = (conn.options.timestamps, header.options.timestamps) {
        // RFC 7323 §4.1: the echo names the copy that arrived. Its milliseconds are too coarse
        // for a fast path, so it serves only where the stopwatch cannot: after a back-off.
        let elapsed = conn.ts_now(ctx.now).wrapping_sub(ts.echo);
        if conn.rtt.backoff() > 0 && ts.echo != 0 && elapsed < i32::MAX as u32 {
            conn.rtt.sample(Duration::from_millis(elapsed.max(1).into()));
        }
    }
}

impl Connection {
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
        self.snd.una += taken;
        self.snd.nxt = self.snd.una;
        self.story.bytes_acked += u64::from(taken);
        self.deadlines.resend = Instant::NEVER;
        part.taken = taken == sent;
        if part.taken {
            ctx.counters.fast_open_active += 1;
        } else {
            ctx.counters.fast_open_active_fail += 1;
        }
        if self.snd.drained() {
            self.signals.set(Signals::DRAINED);
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
        self.story.delivered += 1;
        self.snd.una = self.snd.iss + 1;
        self.snd.nxt = self.snd.nxt.later(self.snd.una);
        self.snd.progress_at = ctx.now;
        self.due.syn = false;
        self.retries = 0;
        take_rtt(self, header, ctx);
        self.rtt.progress();
        if self.rtt.srtt().is_none() {
            self.rtt.syn_was_lost();
        }
        self.open_send_window(header, self.snd.una);
        self.restart_resend(ctx);
        self.snd.starved = false;
        self.signals.set(Signals::WRITABLE);
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

    /// An orphan does not wait for the peer's FIN for ever. Where it may not wait at all, it ends
    /// here.
    pub(crate) fn start_fin_wait_2(&mut self, ctx: &mut Ctx<'_>) -> Fate {
        if !self.orphan || self.state != State::FinWait2 {
            return Fate::Alive;
        }
        let life = self.tuning().linger2.unwrap_or(Duration::from_secs(ctx.config.tcp_fin_timeout));
        if life.is_zero() {
            ctx.counters.abort_on_linger += 1;
            return self.ends(Input::Timeout, EndReason::FinWait2Timeout, true);
        }
        self.deadlines.close = ctx.now + life;
        Fate::Alive
    }

    /// Whose close came first, when ours goes out.
    pub(in crate::conn) fn closes_first(&mut self) {
        self.story.closed_first.get_or_insert(Side::Local);
    }
}
