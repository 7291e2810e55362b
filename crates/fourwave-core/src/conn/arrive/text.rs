//! Seventh: the segment's text (RFC 9293 §3.10.7.4).

use bytes::Bytes;
use fourwave_wire::SeqNum;

use super::Segment;
use crate::conn::recv::Insertion;
use crate::conn::{ConnOutcome, Connection, Ctx, Signals};
use crate::end::{EndReason, Side};
use crate::memory::{MemoryLevel, PIECE};
use crate::state::{Input, State};
use crate::time::Duration;

pub(super) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    if segment.payload.is_empty() && !segment.header.flags.fin() {
        return ConnOutcome::Alive;
    }
    if !matches!(conn.state, State::Established | State::FinWait1 | State::FinWait2) {
        // The peer's FIN was taken: there can be no more text (a repeated one was not in the
        // window).
        return ConnOutcome::Alive;
    }
    let closing = conn.state != State::Established;
    let deaf = conn.handle.orphan || (closing && conn.tuning().no_more_reads);
    if deaf && segment.data_end().after(conn.rcv.nxt) {
        // RFC 9293 §3.6.1: nobody will read this, or what a FIN came ahead of, and the peer must
        // learn it.
        ctx.counters.abort_on_data += 1;
        conn.summary.closed_first.get_or_insert(Side::Local);
        return conn.ends(Input::Abort, EndReason::DataAfterClose, true);
    }
    if segment.payload.is_empty() {
        return ConnOutcome::Alive;
    }
    // Cut to the window: what is known on the left, what was not promised on the right.
    let (nxt, edge) = (conn.rcv.nxt, conn.rcv.nxt + conn.rcv.window());
    let mut start = segment.data_seq();
    let mut payload = segment.payload.clone();
    if start.before(nxt) {
        conn.arrived_twice(start, nxt, ctx);
        payload.start += (nxt.since(start) as usize).min(payload.len());
        start = nxt;
    }
    let room = edge.since(start) as usize;
    payload.end = payload.end.min(payload.start + room);
    if payload.is_empty() {
        // All of it was known: the ACK may have been lost.
        conn.arrived_twice(segment.data_seq(), segment.data_end(), ctx);
        conn.rcv.acks.at_once();
        return ConnOutcome::Alive;
    }
    if start == nxt && ctx.memory == MemoryLevel::Over {
        payload.end = payload.end.min(payload.start.saturating_add(conn.room_in_order(ctx)));
        if payload.is_empty() {
            // Nothing that was acknowledged is lost: the peer sends it again.
            ctx.counters.rcv_q_drop += 1;
            conn.rcv.acks.at_once();
            return ConnOutcome::Alive;
        }
    }
    conn.mark_arrives(segment.ecn);
    conn.take_text(start, segment.packet.slice(payload), ctx);
    ConnOutcome::Alive
}

impl Connection {
    /// Takes text that lies in the window and begins at or behind RCV.NXT.
    #[inline]
    fn take_text(&mut self, start: SeqNum, data: Bytes, ctx: &mut Ctx<'_>) {
        let len = data.len() as u32;
        if start == self.rcv.nxt {
            let filled_gap = self.rcv.has_gap();
            self.times.data_received(ctx.now);
            let known = if filled_gap {
                self.counted(ctx, |conn| conn.rcv.accept(data))
            } else {
                ctx.moved += i64::from(len) + PIECE as i64;
                self.rcv.accept(data)
            };
            self.arrived_twice(known.start, known.end, ctx);
            let delay = Duration::from_millis(ctx.config.tcp_delack_ms);
            self.rcv.acks.on_data(len, self.rcv.mss, ctx.now, delay);
            if filled_gap {
                // RFC 5681 §4.2: at once when a gap is filled, in whole or in part.
                self.rcv.acks.at_once();
            }
            self.handle.signals.set(Signals::READABLE);
        } else {
            // RFC 5681 §4.2: a duplicate ACK at once for each segment behind a gap.
            self.rcv.acks.duplicate();
            let room = self.room_out_of_order(ctx);
            let (inserted, known) = self.counted(ctx, |conn| conn.rcv.keep(start, data, room));
            self.arrived_twice(known.start, known.end, ctx);
            match inserted {
                Insertion::New => ctx.counters.ofo_queue += 1,
                Insertion::Known => {}
                Insertion::NoRoom => ctx.counters.rcv_pruned += 1,
            }
        }
    }

    /// Tells the peer with the next ACK that it sent `[start, end)` twice, as far as it is known
    /// here (RFC 2883).
    pub(super) fn arrived_twice(&mut self, start: SeqNum, end: SeqNum, ctx: &Ctx<'_>) {
        if self.options.sack && ctx.config.tcp_dsack == 1 && end.after(start) {
            self.rcv.arrived_twice(start, end.since(start));
        }
    }
}
