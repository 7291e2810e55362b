//! Fourth: SYN (RFC 9293 §3.10.7.4, RFC 5961 §4.2).

use super::Segment;
use crate::conn::state::{Input, State};
use crate::conn::{Connection, Ctx, Fate, Signals};

/// In a synchronized state every SYN is challenged. In SYN_RECEIVED, which here only a
/// simultaneous open reaches, the peer's SYN ACK repeats its SYN and acknowledges ours.
pub(super) fn arrive(conn: &mut Connection, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Fate {
    let header = &segment.header;
    let ours = header.flags.ack() && header.ack == conn.snd.iss + 1;
    if conn.state == State::SynReceived && header.seq == conn.rcv.irs && ours {
        conn.step(Input::RecvSynAck);
        conn.syn_acknowledged(header, ctx);
        conn.rcv.acks.at_once();
        conn.signals.set(Signals::CONNECTED);
        return Fate::Alive;
    }
    ctx.counters.syn_challenge += 1;
    conn.challenge(ctx);
    Fate::Alive
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
