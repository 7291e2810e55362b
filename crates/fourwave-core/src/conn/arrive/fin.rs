//! Eighth: FIN (RFC 9293 §3.10.7.4).

use super::Segment;
use crate::conn::send::Fin;
use crate::conn::{ConnOutcome, Connection, Ctx, Signals};
use crate::end::Side;
use crate::state::{Input, State};
use crate::time::Duration;

/// Notes the FIN of the segment, and takes the peer's FIN once nothing before it is missing:
/// one that came early is taken when the gap closes.
pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    if segment.header.flags.fin() && segment.data_end().at_or_after(conn.rcv.nxt) {
        let at = segment.data_end();
        if conn.rcv.fin_seen(at) && !conn.rcv.fin_reached() {
            // RFC 2883 §4: behind a gap it is named as text is.
            conn.arrived_twice(at, at + 1, ctx);
        }
    }
    if !conn.rcv.fin_reached() {
        if segment.header.flags.fin() && (segment.payload.is_empty() || conn.rcv.finished) {
            // It came early, or behind the first: the peer learns where we are.
            conn.rcv.acks.duplicate();
        }
        return ConnOutcome::Alive;
    }
    conn.counted(ctx, |conn| conn.rcv.finish());
    conn.rcv.acks.at_once();
    conn.summary.closed_first.get_or_insert(Side::Remote);
    conn.handle.signals.set(Signals::PEER_CLOSED);
    conn.handle.signals.set(Signals::READABLE);
    conn.step(Input::RecvFin);
    conn.summary.peer_closed_at = ctx.now;
    if conn.snd.fin == Fin::Held {
        // The peer closed first, as was wished.
        conn.release_fin();
    } else if conn.state == State::CloseWait && ctx.config.tcp_close_wait_limit > 0 {
        conn.close_at = ctx.now + Duration::from_secs(ctx.config.tcp_close_wait_limit);
    }
    if conn.state == State::CloseWait {
        conn.watch_for_silence(ctx);
    }
    if conn.state == State::TimeWait { ConnOutcome::TimeWait } else { ConnOutcome::Alive }
}
