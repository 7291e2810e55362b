//! One segment, as metrics and the detection of anomalies see it.

use std::time::Duration;

use fourwave_core::state::State;

use crate::entry::Shown;
use crate::segment::Segment;
use crate::words::{Kind, Place, Role, RstCause};

/// A TSval (RFC 7323): a point on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) u32);

impl Stamp {
    pub(crate) fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

/// One segment, and what the connection made of it.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    pub(crate) at: Duration,
    /// The running number of its packet.
    pub(crate) packet: u64,
    pub(crate) from: Role,
    pub(crate) segment: &'a Segment,
    pub(crate) shown: &'a Shown,
    /// Its acknowledgement, relative, where the other end hears and believes it.
    pub(crate) ack: Option<u64>,
    /// Its numbers, and some before it that were taken for old ones, are believed now: a gap
    /// longer than the window was missed.
    pub(crate) caught_up: bool,
    /// It is known to be lost beyond the point of watching.
    pub(crate) lost: bool,
    pub(crate) before: [State; 2],
    pub(crate) after: [State; 2],
    /// The connection was over before.
    pub(crate) was_over: bool,
    /// The cause of an RST that counted.
    pub(crate) cause: Option<RstCause>,
}

impl Observation<'_> {
    /// The relative numbers that it takes, `[start, end)`.
    pub(crate) fn range(&self) -> (u64, u64) {
        let start = self.shown.seq;
        (start, start + u64::from(self.segment.seq_len()))
    }

    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.segment.tcp.options.timestamps.map(|ts| Stamp(ts.value))
    }

    pub(crate) fn is_outside(&self) -> bool {
        self.shown.place == Place::Outside
    }

    /// A SYN with another number than the connection's.
    pub(crate) fn is_foreign_syn(&self) -> bool {
        matches!(self.shown.kind, Kind::Syn | Kind::SynAck) && self.is_outside()
    }

    pub(crate) fn is_probe(&self) -> bool {
        matches!(self.shown.kind, Kind::Keepalive | Kind::WindowProbe)
    }

    /// It enters a state with this segment.
    pub(crate) fn enters(&self, who: Role, state: State) -> bool {
        let i = who.index();
        self.before[i] != state && self.after[i] == state
    }

    pub(crate) fn leaves(&self, who: Role, state: State) -> bool {
        let i = who.index();
        self.before[i] == state && self.after[i] != state
    }
}
