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

use super::{ConnOutcome, Connection, Ctx};
use crate::state::State;

/// A segment on its way through the steps. Trimming moves its edges, never its bytes.
pub(crate) struct Segment<'a> {
    pub(crate) header: TcpHeader,
    /// The two ECN bits of its packet.
    pub(crate) ecn: u8,
    /// Payload bytes of each segment of a super-packet; 0 of an ordinary one.
    pub(crate) gso_size: u16,
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

    /// Packets that it was on the way.
    pub(crate) fn packets(&self) -> u32 {
        match u32::from(self.gso_size) {
            0 => 1,
            size => (self.payload.len() as u32).div_ceil(size).max(1),
        }
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
pub(crate) fn arrive(
    conn: &mut Connection,
    segment: &Segment<'_>,
    ctx: &mut Ctx<'_>,
) -> ConnOutcome {
    let nxt = conn.rcv.nxt;
    let outcome = steps(conn, segment, ctx);
    if segment.header.flags.syn() {
        conn.syn_is_answered();
    }
    if outcome == ConnOutcome::Alive {
        conn.ask_far_end(segment, nxt, ctx);
    }
    outcome
}

fn steps(conn: &mut Connection, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> ConnOutcome {
    if conn.state == State::SynSent {
        return syn_sent::arrive(conn, segment, ctx);
    }
    if segment.header.flags.syn() {
        conn.syn_comes_again(segment);
    }
    if syn::completes(conn, segment) {
        return syn::arrive(conn, segment, ctx);
    }
    if conn.is_passive() && syn::is_repeated(conn, segment) {
        return ConnOutcome::Alive;
    }
    let acceptability = acceptable::check(conn, segment, ctx);
    if acceptability == acceptable::Acceptability::Dropped {
        return ConnOutcome::Alive;
    }
    if segment.header.flags.rst() {
        return rst::arrive(conn, segment, ctx);
    }
    if segment.header.flags.syn() {
        return syn::arrive(conn, segment, ctx);
    }
    if !segment.header.flags.ack() {
        return ConnOutcome::Alive;
    }
    conn.heard(ctx.now);
    if conn.has_accecn() && acceptability == acceptable::Acceptability::Acceptable {
        conn.packet_arrives(segment);
    }
    let next = ack::arrive(conn, segment, ctx);
    if !matches!(next, ack::AckOutcome::Drop | ack::AckOutcome::Ended(ConnOutcome::Reject)) {
        acceptable::update_ts_recent(conn, segment, ctx);
    }
    match next {
        ack::AckOutcome::Continue => {}
        ack::AckOutcome::Drop => return ConnOutcome::Alive,
        ack::AckOutcome::Ended(outcome) => return outcome,
    }
    if acceptability == acceptable::Acceptability::OnlyAck {
        return ConnOutcome::Alive;
    }
    conn.cwr_arrives(segment);
    match text::arrive(conn, segment, ctx) {
        ConnOutcome::Alive => {}
        outcome => return outcome,
    }
    fin::arrive(conn, segment, ctx)
}
