//! One end of a relay: its ACKs speak for a far end that only the caller can see.
//!
//! Where the far end gave a sign of life a moment ago, an ACK goes out as ever. Where it did not,
//! what came last stays without an ACK, and a keepalive probe without an answer, until the caller
//! confirms the far end: so the peer's own TCP, with its own times and counts, finds out about a
//! far end that is dead.

use fourwave_wire::SeqNum;

use super::arrive::Segment;
use super::{Connection, Ctx, Signals};
use crate::socket_option::FarEndQuery;
use crate::state::State;
use crate::time::{Duration, Instant};

/// What this end knows of the far end.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct FarEnd {
    /// How long a sign of life counts.
    trust: Duration,
    /// The last sign of life.
    alive_at: Instant,
    /// What the peer waits for.
    query: Option<FarEndQuery>,
    /// No ACK goes further than this while there is a query.
    held_from: SeqNum,
    /// The last keepalive probe.
    probed_at: Instant,
    /// The connection's keepalive is ours, not the caller's.
    watches: bool,
}

impl FarEnd {
    pub(super) fn new(trust: Duration, now: Instant) -> Self {
        Self {
            trust,
            alive_at: now,
            query: None,
            held_from: SeqNum::new(0),
            probed_at: Instant::NEVER,
            watches: false,
        }
    }
}

impl Connection {
    /// What the peer waits for until the far end is confirmed.
    pub(crate) fn far_end_query(&self) -> Option<FarEndQuery> {
        self.far_end.as_ref().and_then(|far| far.query)
    }

    /// How far ACKs may go, where it is less far than RCV.NXT.
    pub(super) fn held_from(&self) -> Option<SeqNum> {
        self.far_end.as_ref().and_then(|far| far.query.map(|_| far.held_from))
    }

    /// Whether an ACK is due that says something.
    pub(super) fn ack_due(&self) -> bool {
        self.rcv.acks.due()
            && self.held_from().is_none_or(|held| held.after(self.rcv.last_ack_sent))
    }

    /// A segment was taken, and moved RCV.NXT on from `nxt`: asks for the far end where that has
    /// been silent and the segment is one to be answered.
    pub(super) fn ask_far_end(&mut self, segment: &Segment<'_>, nxt: SeqNum, ctx: &Ctx<'_>) {
        let Some(far) = self.far_end.as_deref_mut() else { return };
        let (flags, len) = (segment.header.flags, segment.len());
        // RFC 9293 §3.8.4, RFC 1122 §4.2.3.6: the number before the next, with a byte or none.
        let probes = len <= 1 && segment.header.seq + 1 == nxt && !flags.fin();
        if flags.syn() || flags.rst() || (len == 0 && !probes) {
            return;
        }
        if far.query.is_none() {
            // A window is our own matter (RFC 9293 §3.8.6.1).
            let of_window = probes && self.rcv.window() == 0;
            // A FIN alone asks for nothing: its sender has gone, or waits for what comes.
            let fin_alone = segment.payload.is_empty() && !probes;
            if of_window || fin_alone || ctx.now.since(far.alive_at) <= far.trust {
                return;
            }
            far.held_from = nxt;
        }
        let new = if self.rcv.nxt.after(nxt) { self.rcv.nxt.since(nxt) } else { 0 };
        if new > 0 {
            // What came before is acknowledged, so that the peer has no more than one segment in
            // flight and takes no loss for granted before a timeout.
            far.held_from = if new > self.rcv.mss { self.rcv.nxt - 1 } else { nxt };
        }
        far.query = Some(match far.query {
            Some(FarEndQuery::Keepalive { idle, .. }) if probes => {
                let interval = Some(ctx.now.since(far.probed_at));
                FarEndQuery::Keepalive { idle, interval }
            }
            None if probes => {
                let idle = ctx.now.since(self.sender.last_sent_at());
                FarEndQuery::Keepalive { idle, interval: None }
            }
            _ => FarEndQuery::Data,
        });
        far.probed_at = ctx.now;
        self.handle.signals.set(Signals::FAR_END_ASKED);
        self.heard(ctx.now);
        self.watch_for_silence(ctx);
    }

    /// The far end lives: what waits for that is answered.
    pub(crate) fn confirm_far_end(&mut self, now: Instant) {
        let Some(far) = self.far_end.as_deref_mut() else { return };
        far.alive_at = now;
        if far.query.take().is_some() {
            self.rcv.acks.at_once();
            if self.state != State::CloseWait {
                self.stop_watching();
            }
        }
    }

    /// Nobody speaks for a far end any more.
    pub(super) fn forget_far_end(&mut self) {
        self.confirm_far_end(self.sender.last_sent_at());
        self.stop_watching();
        self.far_end = None;
    }

    /// From now on the peer may be gone without a word: a kernel forgets a half-closed connection
    /// whose program is dead, and one that it has given up. It is probed when it is silent.
    pub(super) fn watch_for_silence(&mut self, ctx: &Ctx<'_>) {
        let time = Duration::from_secs(ctx.config.tcp_half_closed_time);
        if self.far_end.is_none() || time.is_zero() || self.keepalive.is_some() {
            return;
        }
        let interval = time.min(Duration::from_secs(ctx.config.tcp_keepalive_intvl));
        self.keep_alive(time, interval, ctx.config.tcp_keepalive_probes as u8, ctx);
        if let Some(far) = self.far_end.as_deref_mut() {
            far.watches = true;
        }
    }

    /// The caller set its own keepalive, which does the same work.
    pub(super) fn watches_itself(&mut self) {
        if let Some(far) = self.far_end.as_deref_mut() {
            far.watches = false;
        }
    }

    fn stop_watching(&mut self) {
        let Some(far) = self.far_end.as_deref_mut() else { return };
        if core::mem::take(&mut far.watches) {
            self.keepalive = None;
        }
    }
}
