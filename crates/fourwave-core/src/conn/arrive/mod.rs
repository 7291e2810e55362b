//! SEGMENT ARRIVES (RFC 9293 §3.10.7) as a table of contents.
//!
//! | step of §3.10.7.4 | file |
//! | --- | --- |
//! | §3.10.7.2 LISTEN | [`listen`] |
//! | §3.10.7.3 SYN_SENT | [`syn_sent`] |
//! | first: sequence number, PAWS | [`acceptable`] |
//! | second: RST | [`rst`] |
//! | third: security | none |
//! | fourth: SYN | [`syn`] |
//! | fifth: ACK | [`ack`] |
//! | sixth: URG | ignored: urgent data is read in line (RFC 6093 §6) |
//! | seventh: text | [`text`] |
//! | eighth: FIN | [`fin`] |

mod acceptable;
mod ack;
mod fin;
pub(crate) mod listen;
mod rst;
mod syn;
mod syn_sent;
mod text;

use core::ops::Range;

use bytes::Bytes;
use fourwave_wire::SeqNum;
use fourwave_wire::tcp::TcpHeader;

use super::{Connection, Ctx, Fate};
use crate::state::State;

/// A segment on its way through the steps. Trimming moves its edges, never its bytes.
pub(crate) struct Segment<'a> {
    pub(crate) header: TcpHeader,
    /// The whole packet; slices of it are kept, not copied.
    pub(crate) packet: &'a Bytes,
    /// Where the payload lies in the packet.
    pub(crate) payload: Range<usize>,
}

impl Segment<'_> {
    /// SEG.LEN.
    pub(crate) fn len(&self) -> u32 {
        self.header.segment_len(self.payload.len())
    }

    /// The sequence number of the first payload byte.
    pub(crate) fn data_seq(&self) -> SeqNum {
        self.header.seq + u32::from(self.header.flags.syn())
    }

    /// The sequence number behind the last payload byte: the FIN's, if there is one.
    pub(crate) fn data_end(&self) -> SeqNum {
        self.data_seq() + self.payload.len() as u32
    }
}

/// Takes a segment through the steps.
pub(crate) fn arrive(conn: &mut Connection, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Fate {
    let nxt = conn.rcv.nxt;
    let fate = steps(conn, segment, ctx);
    if fate == Fate::Alive {
        conn.ask_far_end(segment, nxt, ctx);
    }
    fate
}

fn steps(conn: &mut Connection, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Fate {
    if conn.state == State::SynSent {
        return syn_sent::arrive(conn, segment, ctx);
    }
    if syn::completes(conn, segment) {
        return syn::arrive(conn, segment, ctx);
    }
    if conn.is_passive() && syn::is_repeated(conn, segment) {
        return Fate::Alive;
    }
    let verdict = acceptable::check(conn, segment, ctx);
    if verdict == acceptable::Verdict::Dropped {
        return Fate::Alive;
    }
    if segment.header.flags.rst() {
        return rst::arrive(conn, segment, ctx);
    }
    if segment.header.flags.syn() {
        return syn::arrive(conn, segment, ctx);
    }
    if !segment.header.flags.ack() {
        return Fate::Alive;
    }
    conn.heard(ctx.now);
    let next = ack::arrive(conn, segment, ctx);
    if !matches!(next, ack::Next::Drop | ack::Next::Fate(Fate::Reject)) {
        acceptable::update_ts_recent(conn, segment, ctx);
    }
    match next {
        ack::Next::Continue => {}
        ack::Next::Drop => return Fate::Alive,
        ack::Next::Fate(fate) => return fate,
    }
    if verdict == acceptable::Verdict::OnlyAck {
        return Fate::Alive;
    }
    match text::arrive(conn, segment, ctx) {
        Fate::Alive => {}
        fate => return fate,
    }
    fin::arrive(conn, segment, ctx)
}
