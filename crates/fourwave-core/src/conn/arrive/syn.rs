//! Fourth: SYN (RFC 9293 §3.10.7.4, RFC 5961 §4.2).

use super::Segment;
use crate::conn::{ConnOutcome, Connection, Ctx, Signals};
use crate::end::{EndReason, Side};
use crate::state::{Input, State};

/// In a synchronized state every SYN is challenged, or with `tcp_insecure_syn` is an error that
/// ends the connection (RFC 793). In SYN_RECEIVED, which here only a simultaneous open reaches, the
/// peer's SYN ACK repeats its SYN and acknowledges ours.
pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    let header = &segment.header;
    if completes(conn, segment) {
        conn.step(Input::RecvSynAck);
        conn.syn_acknowledged(header, ctx);
        conn.syn_text_acknowledged(header.ack, ctx);
        conn.rcv.acks.at_once();
        conn.handle.signals.set(Signals::CONNECTED);
        return ConnOutcome::Alive;
    }
    if ctx.config.tcp_insecure_syn == 1 && conn.state.is_synchronized() {
        if matches!(conn.state, State::Established | State::CloseWait) {
            ctx.counters.estab_resets += 1;
        }
        conn.summary.closed_first.get_or_insert(Side::Remote);
        return conn.ends(Input::Abort, EndReason::ResetByPeer, true);
    }
    ctx.counters.syn_challenge += 1;
    conn.challenge(ctx);
    ConnOutcome::Alive
}

/// Whether this is the SYN ACK that completes a simultaneous open (RFC 9293 §3.5, figure 7). Its
/// number is that of the SYN before it: the window does not judge it.
pub(super) fn completes(conn: &Connection, segment: &Segment<'_>) -> bool {
    let header = &segment.header;
    let syn_ack = header.flags.syn() && header.flags.ack() && !header.flags.rst();
    let ours = header.ack.after(conn.snd.iss) && header.ack.at_or_before(conn.snd.nxt);
    let simultaneous = conn.state == State::SynReceived && !conn.is_passive();
    simultaneous && syn_ack && header.seq == conn.rcv.irs && ours
}

/// Whether this is the SYN that a Fast Open connection was made of, which the peer sends until
/// our SYN ACK reaches it: it is answered by that again.
pub(super) fn is_repeated(conn: &mut Connection, segment: &Segment<'_>) -> bool {
    let flags = segment.header.flags;
    let opens = flags.syn() && !flags.ack() && !flags.rst();
    let same = opens && segment.header.seq == conn.rcv.irs && !conn.snd.syn_acknowledged();
    conn.due.syn |= same;
    same
}
