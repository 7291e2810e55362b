//! Metrics of one connection, taken while it is watched: retransmissions by kind, round trips,
//! windows, throughput. Memory is bounded whatever the connection does.

pub(crate) mod duplicates;
pub(crate) mod observation;
pub(crate) mod plot;
pub(crate) mod senders;
pub(crate) mod stream;

use std::time::Duration;

use crate::event::Sender;
use crate::words::Role;

/// Metrics of a connection. Pairs hold the client's first. Only with
/// [`LensOptions::metrics`](crate::LensOptions::metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// What each end did.
    pub ends: [EndMetrics; 2],
    /// From the first SYN to the segment that opened the connection.
    pub opening: Option<Duration>,
    /// Points of a time-sequence plot, in the order of time; bounded by thinning out evenly.
    pub points: Vec<Point>,
    /// What engines at its ends said of their senders, in the order of time; bounded likewise.
    pub senders: Vec<SenderPoint>,
}

/// A moment of an engine's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderPoint {
    /// When, since the epoch of the lens.
    pub at: Duration,
    /// Whose sender.
    pub end: Role,
    /// What it said.
    pub sender: Sender,
}

/// Metrics of one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndMetrics {
    /// Segments it sent that had been sent before, by kind.
    pub retransmissions: Retransmissions,
    /// From its data's passing the point of watching to the ACK's passing there: the path beyond
    /// that point. Segments sent twice are left out (Karn).
    pub rtt: Rtt,
    /// How often it closed its receive window.
    pub zero_windows: u64,
    /// How long its window was closed, in all.
    pub zero_window_time: Duration,
    /// Segments it sent that were seen behind later ones and were no retransmissions.
    pub out_of_order: u64,
    /// Duplicate ACKs it sent.
    pub dup_acks: u64,
    /// Keepalive probes it sent.
    pub keepalives: u64,
    /// Window probes it sent.
    pub window_probes: u64,
    /// When its first and its last new data was seen, since the epoch of the lens.
    pub data: Option<(Duration, Duration)>,
    /// Payload bytes of its segments, retransmissions included.
    pub payload: u64,
    /// The most bytes it had under way.
    pub max_in_flight: u64,
    /// FIN segments and RST segments it sent.
    pub fins: u64,
    /// RST segments it sent.
    pub rsts: u64,
}

impl EndMetrics {
    /// Bytes in a second while it sent new data; `None` where that was no time at all.
    pub fn throughput(&self, bytes: u64) -> Option<f64> {
        let (first, last) = self.data?;
        let seconds = last.saturating_sub(first).as_secs_f64();
        (seconds > 0.0).then(|| bytes as f64 / seconds)
    }
}

/// Segments retransmitted, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retransmissions {
    /// SYN or SYN ACK.
    pub syn: u64,
    /// FIN, without new data.
    pub fin: u64,
    /// Data after duplicate ACKs or SACK blocks asked for it: fast retransmission.
    pub fast: u64,
    /// Data after a timeout: nothing had asked for it.
    pub timeout: u64,
    /// Data that the receiver had acknowledged, or said by DSACK that it had it already.
    pub spurious: u64,
}

impl Retransmissions {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { syn, fin, fast, timeout, spurious } = self;
        syn + fin + fast + timeout + spurious
    }
}

/// Round-trip times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// How many.
    pub samples: u64,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// Their sum; divided by `samples`, the mean.
    pub sum: Duration,
}

impl Rtt {
    /// One more.
    pub fn add(&mut self, sample: Duration) {
        self.min = if self.samples == 0 { sample } else { self.min.min(sample) };
        self.max = self.max.max(sample);
        self.sum = self.sum.saturating_add(sample);
        self.samples += 1;
    }

    /// The mean; `None` without samples.
    pub fn mean(&self) -> Option<Duration> {
        u32::try_from(self.samples).ok().filter(|n| *n > 0).map(|n| self.sum / n)
    }
}

/// What a point of a time-sequence plot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// New data, up to this number.
    Data,
    /// Data retransmitted, up to this number.
    Retransmitted,
    /// The other end's acknowledgement.
    Ack,
    /// The right edge of the window that the other end offers.
    Window,
}

/// A point of a time-sequence plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When, since the epoch of the lens.
    pub at: Duration,
    /// Whose stream it is about.
    pub stream: Role,
    /// What it is.
    pub kind: PointKind,
    /// Relative sequence number in that stream.
    pub seq: u64,
}
