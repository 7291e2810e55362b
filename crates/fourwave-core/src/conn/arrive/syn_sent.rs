//! A segment in SYN_SENT (RFC 9293 §3.10.7.3).

use super::Segment;
use crate::conn::{ConnOutcome, Connection, Ctx, Signals};
use crate::end::{EndReason, Side};
use crate::negotiated::agree;
use crate::state::Input;
use crate::time::Duration;

pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    let header = &segment.header;
    // First: the ACK must be that of our SYN.
    let ack_ok = header.flags.ack()
        && header.ack.after(conn.snd.iss)
        && header.ack.at_or_before(conn.snd.nxt);
    if header.flags.ack() && !ack_ok {
        return if header.flags.rst() { ConnOutcome::Alive } else { ConnOutcome::Reject };
    }
    // Second: RST. Without an acceptable ACK it could be anyone's (RFC 5961 §3.2).
    if header.flags.rst() {
        if !ack_ok {
            return ConnOutcome::Alive;
        }
        ctx.counters.attempt_fails += 1;
        conn.summary.closed_first.get_or_insert(Side::Remote);
        return conn.ends(Input::RecvRst, EndReason::Refused, false);
    }
    // Fourth: SYN.
    if !header.flags.syn() {
        return ConnOutcome::Alive;
    }
    if let (true, Some(ts)) = (ack_ok && conn.options.timestamps, header.options.timestamps) {
        // RFC 7323 §5.2: an echo of what we never sent is an old SYN ACK's.
        if conn.ts_now(ctx.now).wrapping_sub(ts.echo) > i32::MAX as u32 {
            ctx.counters.paws_active += 1;
            return ConnOutcome::Reject;
        }
    }
    conn.heard(ctx.now);
    conn.times.data_received(ctx.now);
    conn.rcv.synchronize(header.seq);
    let agreed = agree(ctx.config, &conn.options, conn.tuple.is_ipv6(), &header.options);
    conn.adopt(conn.with_ecn(agreed, segment, ack_ok, ctx.config), ctx.config);
    conn.enter_ecn(segment, ack_ok, ctx.now);
    if let Some(ts) = header.options.timestamps {
        (conn.ts.recent, conn.ts.recent_at) = (ts.value, ctx.now);
    }
    if ack_ok {
        conn.step(Input::RecvSynAck);
        conn.syn_acknowledged(header, ctx);
        let waits = conn.snd.unsent() > 0;
        conn.syn_text_acknowledged(header.ack, ctx);
        // AccECN's answer to a SYN ACK is an ACK alone (RFC 9768 §3.2.2.1).
        if waits && !conn.has_accecn() {
            // Data waits to go out: the ACK rides on it, and so will the peer's on its answer.
            let delay = Duration::from_millis(ctx.config.tcp_delack_ms);
            conn.rcv.acks.ride(ctx.now + delay);
        } else {
            conn.rcv.acks.at_once();
        }
        conn.handle.signals.set(Signals::CONNECTED);
        if conn.fast_open.is_some() {
            // RFC 7413 §4.2.1: the answer may be on the SYN ACK. Elsewhere it is sent again.
            return match super::text::arrive(conn, segment, ctx) {
                ConnOutcome::Alive => super::fin::arrive(conn, segment, ctx),
                outcome => outcome,
            };
        }
    } else {
        // A simultaneous open: our SYN again, now with an ACK (§3.5).
        conn.step(Input::RecvSyn);
        conn.due.syn = true;
    }
    ConnOutcome::Alive
}
