//! Collects the metrics and the anomalies of a connection, from one sample for each segment.
//!
//! Retransmitted segments and segments out of order, taken together, are those that Wireshark calls
//! retransmission, fast retransmission, spurious retransmission or out of order. They are divided
//! in another way:
//!
//! - What passed the point of watching before is a retransmission, however soon. Wireshark calls it
//!   out of order when it comes within the first round trip (3 ms where none is known) of the
//!   highest number, so next to the sender it counts fewer retransmissions.
//! - What fills a gap was reordered or retransmitted: timestamps decide, then IP identifications,
//!   then time (a third of the round trip). Wireshark asks time alone.
//!
//! And these count otherwise:
//!
//! - The same packet seen twice (see `metrics::duplicates`), and a copy with an older timestamp, is
//!   neither here.
//! - A retransmitted segment of one byte is a keepalive to Wireshark; here only when all before it
//!   was acknowledged.
//! - Data that the capture has after its ACK is new here and spurious there.
//! - The SYN ACK of a simultaneous open is new here and a retransmission there.

use std::time::Duration;

use fourwave_core::state::State;

use crate::detect::Detector;
use crate::words::{Kind, Role};

use crate::metrics::observation::Observation;
use crate::metrics::plot::Plot;
use crate::metrics::senders::Senders;
use crate::metrics::stream::{Novelty, Past, Stream};
use crate::metrics::{Metrics, PointKind};

/// The metrics of one connection while it is watched.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    pub(crate) streams: [Stream; 2],
    plot: Plot,
    pub(crate) senders: Senders,
    edges: [u64; 2],
    syn_at: Option<Duration>,
    opening: Option<Duration>,
    pub(crate) detector: Detector,
}

impl Collector {
    pub(crate) fn new(close_wait: Duration) -> Self {
        Self {
            streams: [Stream::new(), Stream::new()],
            plot: Plot::new(),
            senders: Senders::new(),
            edges: [0; 2],
            syn_at: None,
            opening: None,
            detector: Detector::new(close_wait),
        }
    }

    /// What a segment of `from` is held against.
    fn past(&self, from: Role) -> Past {
        let other_seen = self.streams[from.other().index()].last_seen;
        let [a, b] = [&self.streams[0], &self.streams[1]].map(Stream::rtt);
        let round = a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        Past { other_seen, round, whole: a.is_some() && b.is_some() }
    }

    /// One segment. O(1).
    pub(crate) fn observe(&mut self, s: &Observation<'_>) {
        let (i, to) = (s.from.index(), s.from.other());
        self.streams[i].count(s);
        let other_seen = self.streams[to.index()].last_seen;
        if self.streams[i].duplicates.is_duplicate(s, other_seen) {
            return;
        }
        if s.is_outside() {
            self.detector.outside(s);
            return;
        }
        let old = s.range().0 < self.streams[i].high && s.segment.seq_len() > 0;
        let past = match old {
            true => self.past(s.from),
            false => Past { other_seen, round: None, whole: false },
        };
        let novelty = self.streams[i].judge(s, past);
        if s.caught_up {
            self.detector.caught_up(s);
        }
        self.detector.segment(s, novelty, &self.streams);
        self.took(s, novelty);
        self.streams[i].stamp(s);
        if self.streams[i].window(s) {
            self.detector.window_closed(s);
        }
        if let Some(ack) = s.ack {
            self.acknowledge(s, ack);
        }
        self.open(s);
    }

    fn took(&mut self, s: &Observation<'_>, novelty: Novelty) {
        let i = s.from.index();
        let (start, end) = s.range();
        match novelty {
            Novelty::New if end > start => {
                if s.shown.len > 0 {
                    self.streams[i].sent_data(s.at);
                }
                self.plot.push(s.at, s.from, PointKind::Data, end);
            }
            Novelty::Retransmitted(_) => {
                self.plot.push(s.at, s.from, PointKind::Retransmitted, end)
            }
            Novelty::Reordered => self.plot.push(s.at, s.from, PointKind::Data, end),
            _ => {}
        }
        if s.shown.flags.fin()
            && matches!(novelty, Novelty::New | Novelty::Retransmitted(_) | Novelty::Reordered)
        {
            self.streams[i].fin.get_or_insert(end);
        }
    }

    fn acknowledge(&mut self, s: &Observation<'_>, ack: u64) {
        let (i, to) = (s.from.index(), s.from.other());
        self.streams[i].metrics.dup_acks += u64::from(s.shown.kind == Kind::DupAck);
        let before = self.streams[to.index()].acked;
        if self.streams[to.index()].acknowledged(s, ack) {
            self.detector.gap(to, s);
        }
        for packet in self.streams[to.index()].spurious.drain(..) {
            self.detector.spurious(s.at, to, packet);
        }
        if ack > before {
            self.plot.push(s.at, to, PointKind::Ack, ack);
        }
        let edge = ack + u64::from(s.shown.window);
        if edge > self.edges[i] && !s.shown.flags.rst() {
            self.edges[i] = edge;
            self.plot.push(s.at, to, PointKind::Window, edge);
        }
    }

    fn open(&mut self, s: &Observation<'_>) {
        if s.shown.kind == Kind::Syn {
            self.syn_at.get_or_insert(s.at);
        }
        if self.opening.is_none()
            && let Some(syn_at) = self.syn_at
            && s.before.iter().any(|state| !state.is_synchronized())
            && s.after.iter().all(|state| state.is_synchronized() && *state != State::SynReceived)
        {
            self.opening = Some(s.at.saturating_sub(syn_at));
        }
    }

    /// The metrics as of `now`.
    pub(crate) fn metrics(&mut self, now: Duration) -> Metrics {
        for stream in &mut self.streams {
            stream.window_opens(now);
        }
        let [client, server] = &self.streams;
        Metrics {
            ends: [client.metrics.clone(), server.metrics.clone()],
            opening: self.opening,
            points: self.plot.points(),
            senders: self.senders.points.clone(),
        }
    }
}
