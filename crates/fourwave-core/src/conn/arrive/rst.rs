//! Second: RST (RFC 9293 §3.10.7.4, RFC 5961 §3.2).

use super::Segment;
use crate::conn::{ConnOutcome, Connection, Ctx};
use crate::end::{EndReason, Side};
use crate::state::{Input, State};

/// An RST within the window: exactly at RCV.NXT it resets, elsewhere it is challenged unless
/// `tcp_insecure_rst` says that the window is enough.
pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    if segment.header.seq != conn.rcv.nxt && ctx.config.tcp_insecure_rst == 0 {
        conn.challenge(ctx);
        return ConnOutcome::Alive;
    }
    if matches!(conn.state, State::Established | State::CloseWait) {
        ctx.counters.estab_resets += 1;
    }
    conn.summary.closed_first.get_or_insert(Side::Remote);
    if conn.state == State::SynReceived && !conn.is_passive() {
        // An active open (a passive one is a half-open record): it was refused.
        ctx.counters.attempt_fails += 1;
        return conn.ends(Input::RecvRst, EndReason::Refused, false);
    }
    conn.ends(Input::RecvRst, EndReason::ResetByPeer, false)
}
