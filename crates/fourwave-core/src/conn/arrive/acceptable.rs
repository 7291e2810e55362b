//! First: is the segment within the window (RFC 9293 §3.10.7.4) and not an old duplicate
//! (PAWS, RFC 7323 §5.3)?

use fourwave_wire::SeqNum;

use super::Segment;
use crate::conn::{Connection, Ctx};
use crate::time::Duration;

/// After this long TS.Recent says nothing any more (RFC 7323 §5.5).
const TS_RECENT_LIFE: Duration = Duration::from_secs(24 * 24 * 3600);

/// How far a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Acceptability {
    /// On to the next step.
    Acceptable,
    /// Its text does not fit into a window of zero; its ACK counts (RFC 9293 §3.4). A peer that
    /// probes with a byte of data has no other way to acknowledge ours.
    OnlyAck,
    /// Nowhere.
    Dropped,
}

/// Whether the segment goes on to the next step. Answers those that do not where one is due.
pub(super) fn check(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> Acceptability {
    let has_data = segment.len() > 0 && !segment.header.flags.syn();
    if is_old_duplicate(conn, segment, ctx) {
        // RFC 7323 §5.3 R1: an ACK, and the segment is dropped; an RST is not judged by this.
        ctx.counters.paws_estab += 1;
        conn.answer_invalid(ctx, has_data);
        return Acceptability::Dropped;
    }
    if !in_window(conn, segment) {
        if segment.header.flags.rst() {
            return Acceptability::Dropped;
        }
        if segment.header.flags.syn() {
            // RFC 5961 §4.2: a challenge whatever its number.
            ctx.counters.syn_challenge += 1;
            conn.challenge(ctx);
        } else {
            if segment.data_seq().before(conn.rcv.nxt) {
                // Old text: the peer learns that it resent in vain.
                let end = segment.header.seq + segment.len();
                let end = if end.after(conn.rcv.nxt) { conn.rcv.nxt } else { end };
                conn.arrived_twice(segment.data_seq(), end, ctx);
            }
            conn.answer_invalid(ctx, has_data);
            if conn.rcv.window() == 0 && segment.header.seq == conn.rcv.nxt {
                return Acceptability::OnlyAck;
            }
        }
        return Acceptability::Dropped;
    }
    Acceptability::Acceptable
}

fn is_old_duplicate(conn: &Connection, segment: &Segment<'_>, ctx: &Ctx<'_>) -> bool {
    if !conn.options.timestamps || segment.header.flags.rst() {
        return false;
    }
    let Some(ts) = segment.header.options.timestamps else { return false };
    SeqNum::new(ts.value).before(SeqNum::new(conn.ts.recent))
        && ctx.now.since(conn.ts.recent_at) < TS_RECENT_LIFE
}

/// The four cases of RFC 9293 §3.10.7.4.
fn in_window(conn: &Connection, segment: &Segment<'_>) -> bool {
    let seq = segment.header.seq;
    // RFC 9293 §3.8.6: an RST counts when the window is zero too; what it carries is no text.
    let rst = segment.header.flags.rst();
    let len = if rst { 0 } else { segment.len() };
    let (nxt, window) = (conn.rcv.nxt, conn.rcv.window());
    match (len, window) {
        (0, 0) => seq == nxt,
        // An ACK from just behind the window is let in, as a full sender's probe is; no RST.
        (0, _) => seq.within(nxt, window) || (seq == nxt + window && !rst),
        (_, 0) => false,
        (_, _) => seq.within(nxt, window) || (seq + (len - 1)).within(nxt, window),
    }
}

/// RFC 7323 §4.3: from the segment that covers Last.ACK.sent. Only once its ACK was found to be
/// acceptable: anyone can hit the window.
pub(super) fn update_ts_recent(conn: &mut Connection, segment: &Segment<'_>, ctx: &Ctx<'_>) {
    let Some(ts) = segment.header.options.timestamps else { return };
    if conn.options.timestamps && segment.header.seq.at_or_before(conn.rcv.last_ack_sent) {
        conn.ts.recent = ts.value;
        conn.ts.recent_at = ctx.now;
    }
}
