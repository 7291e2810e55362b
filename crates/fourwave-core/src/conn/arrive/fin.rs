//! Eighth: FIN (RFC 9293 §3.10.7.4).

use super::Segment;
use crate::conn::state::{Input, State};
use crate::conn::{Connection, Fate, Signals};
use crate::end::Side;

/// Notes the FIN of the segment, and takes the peer's FIN once nothing before it is missing:
/// one that came early is taken when the gap closes.
pub(super) fn arrive(conn: &mut Connection, segment: &Segment<'_>) -> Fate {
    if segment.header.flags.fin() && segment.data_end().at_or_after(conn.rcv.nxt) {
        conn.rcv.fin_seen(segment.data_end());
    }
    if !conn.rcv.fin_reached() {
        return Fate::Alive;
    }
    conn.rcv.finish();
    conn.rcv.acks.at_once();
    conn.story.closed_first.get_or_insert(Side::Remote);
    conn.signals.set(Signals::PEER_CLOSED);
    conn.signals.set(Signals::READABLE);
    conn.step(Input::RecvFin);
    if conn.state == State::TimeWait { Fate::TimeWait } else { Fate::Alive }
}
