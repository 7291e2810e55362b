//! Anomalies of connections: each kind with a name and a severity, and the packets that prove it.

use std::time::Duration;

use super::Role;

/// Numbers of packets that prove an anomaly, in the order of the capture.
///
/// The first ones and the last one are kept, eight at most, however often it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    packets: Vec<u64>,
    times: u64,
}

impl Proof {
    /// Packets that are kept.
    pub const MAX: usize = 8;

    /// One more packet, number `packet`.
    pub fn add(&mut self, packet: u64) {
        self.times = self.times.saturating_add(1);
        if self.packets.len() == Self::MAX {
            self.packets.pop();
        }
        // What an earlier packet was may show later.
        let place = self.packets.partition_point(|kept| *kept <= packet);
        self.packets.insert(place, packet);
    }

    /// `packet` proves it no more.
    pub(crate) fn take_back(&mut self, packet: u64) {
        self.times = self.times.saturating_sub(1);
        self.packets.retain(|kept| *kept != packet);
    }

    /// The kept numbers.
    pub fn packets(&self) -> &[u64] {
        &self.packets
    }

    /// How many there were, kept or not.
    pub fn times(&self) -> u64 {
        self.times
    }
}

/// One anomaly of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Which.
    pub kind: AnomalyKind,
    /// The end that it is about; `None` for both, or where that cannot be known.
    pub who: Option<Role>,
    /// When it was seen first, since the epoch of the lens.
    pub at: Duration,
    /// The packets that prove it.
    pub proof: Proof,
    /// How long, where a time belongs to it (a closed window, a half-closed connection).
    pub duration: Option<Duration>,
}

/// How much an anomaly matters: the order of suspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; it does no harm by itself.
    Note,
    /// It costs time or hides a fault.
    Warning,
    /// Data or a connection was lost, or a resource leaks.
    Error,
}

impl Severity {
    /// `note`, `warning`, `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The kinds of anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// The SYN had to be retransmitted.
    SynRetransmitted,
    /// Nothing ever answered the SYN.
    SynUnanswered,
    /// The SYN was answered with RST.
    Refused,
    /// The SYN ACK was never acknowledged.
    HalfOpen,
    /// A SYN came to a four-tuple whose last connection is in TIME_WAIT.
    SynIntoTimeWait,
    /// The end that held TIME_WAIT opened the same four-tuple again before 2MSL was over.
    PortReusedEarly,
    /// A SYN came into an open connection.
    SynInConnection,
    /// A FIN was never acknowledged.
    FinNeverAcknowledged,
    /// A FIN was retransmitted.
    FinRetransmitted,
    /// New data beyond its own FIN.
    DataAfterFin,
    /// RST in answer to data that came after its sender had closed.
    ResetAfterClose,
    /// RST right behind data of the other end: its sender closed with unread data, most likely.
    UnreadDataReset,
    /// RST for no other reason that packets show.
    Aborted,
    /// Retransmissions or keepalive probes stayed without an answer, whether RST followed or not;
    /// about the end that does not answer.
    PeerDead,
    /// An RST whose TTL or IP identification is not its sender's: a middlebox sent it.
    ForgedReset,
    /// An RST that its receiver had to ignore.
    ResetIgnored,
    /// An RST that cut TIME_WAIT short (RFC 1337).
    TimeWaitAssassinated,
    /// An old duplicate: a segment outside of all that the receiver can take, or a delayed copy of
    /// what it has.
    OldDuplicate,
    /// One end stayed in CLOSE_WAIT for long: its application does not close.
    CloseWaitLingers,
    /// Open, or closed at one end only, and for long without a word when it was reported.
    NeverClosed,
    /// Data was retransmitted.
    Retransmissions,
    /// Data was retransmitted that had arrived: the receiver said so, or acknowledged it before.
    SpuriousRetransmissions,
    /// The receiver's window was closed.
    ZeroWindow,
    /// Small segments waited for the other end's delayed ACKs: Nagle's algorithm.
    NagleDelayedAck,
    /// Segments overtook each other.
    OutOfOrder,
    /// Bytes that the receiver acknowledged are not in the capture.
    CaptureGap,
    /// The capture begins in mid-connection.
    BeginningMissing,
}

impl AnomalyKind {
    /// Every kind, in the order of their definition.
    pub const ALL: [Self; 27] = [
        Self::SynRetransmitted,
        Self::SynUnanswered,
        Self::Refused,
        Self::HalfOpen,
        Self::SynIntoTimeWait,
        Self::PortReusedEarly,
        Self::SynInConnection,
        Self::FinNeverAcknowledged,
        Self::FinRetransmitted,
        Self::DataAfterFin,
        Self::ResetAfterClose,
        Self::UnreadDataReset,
        Self::Aborted,
        Self::PeerDead,
        Self::ForgedReset,
        Self::ResetIgnored,
        Self::TimeWaitAssassinated,
        Self::OldDuplicate,
        Self::CloseWaitLingers,
        Self::NeverClosed,
        Self::Retransmissions,
        Self::SpuriousRetransmissions,
        Self::ZeroWindow,
        Self::NagleDelayedAck,
        Self::OutOfOrder,
        Self::CaptureGap,
        Self::BeginningMissing,
    ];

    /// A name for machines and filters, stable: `fin-never-acknowledged`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynRetransmitted => "syn-retransmitted",
            Self::SynUnanswered => "syn-unanswered",
            Self::Refused => "refused",
            Self::HalfOpen => "half-open",
            Self::SynIntoTimeWait => "syn-into-time-wait",
            Self::PortReusedEarly => "port-reused-early",
            Self::SynInConnection => "syn-in-connection",
            Self::FinNeverAcknowledged => "fin-never-acknowledged",
            Self::FinRetransmitted => "fin-retransmitted",
            Self::DataAfterFin => "data-after-fin",
            Self::ResetAfterClose => "reset-after-close",
            Self::UnreadDataReset => "unread-data-reset",
            Self::Aborted => "aborted",
            Self::PeerDead => "peer-dead",
            Self::ForgedReset => "forged-reset",
            Self::ResetIgnored => "reset-ignored",
            Self::TimeWaitAssassinated => "time-wait-assassinated",
            Self::OldDuplicate => "old-duplicate",
            Self::CloseWaitLingers => "close-wait-lingers",
            Self::NeverClosed => "never-closed",
            Self::Retransmissions => "retransmissions",
            Self::SpuriousRetransmissions => "spurious-retransmissions",
            Self::ZeroWindow => "zero-window",
            Self::NagleDelayedAck => "nagle-delayed-ack",
            Self::OutOfOrder => "out-of-order",
            Self::CaptureGap => "capture-gap",
            Self::BeginningMissing => "beginning-missing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Proof;

    #[test]
    fn the_first_packets_and_the_last_are_kept_in_order() {
        let mut proof = Proof::default();
        for packet in [1, 2, 4, 3, 5, 6, 7, 8, 9, 10] {
            proof.add(packet);
        }
        assert_eq!(proof.packets(), [1, 2, 3, 4, 5, 6, 7, 10]);
        proof.take_back(3);
        assert_eq!((proof.packets(), proof.times()), (&[1, 2, 4, 5, 6, 7, 10][..], 9));
    }
}
