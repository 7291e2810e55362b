//! Hands a connection's segments to its collector, and takes metrics and anomalies back.

use std::time::Duration;

use fourwave_core::state::State;

use crate::conn::Conn;
use crate::detect::Last;
use crate::entry::{LadderEntry, Shown};
use crate::segment::Segment;
use crate::words::{Anomaly, Role};

use crate::metrics::Metrics;
use crate::metrics::observation::Observation;

/// How things stood before a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    states: [State; 2],
    was_over: bool,
}

impl Conn {
    pub(crate) fn stand(&self) -> Before {
        Before {
            states: [self.ends[0].state, self.ends[1].state],
            was_over: self.over_at.is_some(),
        }
    }

    /// Metrics and anomalies from one segment, if they are wanted.
    pub(crate) fn measure(
        &mut self,
        packet: u64,
        s: &Segment,
        (shown, entry): (&Shown, &LadderEntry),
        before: Before,
        lost: bool,
    ) {
        let Some(mut collector) = self.collector.take() else { return };
        // An acknowledgement of what was never sent leaves its stream alone.
        let next = self.ends[entry.from.other().index()].next();
        let believed = next.is_some_and(|next| s.tcp.ack.at_or_before(next));
        collector.observe(&Observation {
            at: entry.at,
            packet,
            from: entry.from,
            segment: s,
            shown,
            ack: shown.ack.filter(|_| believed && !lost && !s.tcp.flags.rst()),
            caught_up: std::mem::take(&mut self.ends[entry.from.index()].caught_up),
            lost,
            before: before.states,
            after: [self.ends[0].state, self.ends[1].state],
            was_over: before.was_over,
            cause: entry.cause,
        });
        self.collector = Some(collector);
    }

    /// The metrics and what was found, as of `now`.
    pub(crate) fn measured(&mut self, now: Duration) -> (Option<Box<Metrics>>, Vec<Anomaly>) {
        let Some(mut collector) = self.collector.take() else { return (None, Vec::new()) };
        let metrics = collector.metrics(self.last_seen.max(now));
        let last = Last {
            now: self.last_seen.max(now),
            last_seen: self.last_seen,
            how: self.how(),
            opened_by: self.opened_by,
            states: Role::BOTH.map(|who| self.ends[who.index()].state),
            fin_acked: self.fin_acked,
            segments: Role::BOTH.map(|who| self.ends[who.index()].segments),
        };
        let found = collector.detector.finish(&last, &collector.streams);
        (Some(Box::new(metrics)), found)
    }
}
