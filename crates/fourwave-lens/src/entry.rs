//! Ladder entries: their content, without how they are drawn.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_wire::icmp::IcmpError;
use fourwave_wire::tcp::Flags;

use crate::warning::Warning;
use crate::words::{Kind, Place, Role, RstCause, Wave};

/// A segment with numbers relative to each direction's first (its SYN is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it is for.
    pub kind: Kind,
    /// Where it lies among the numbers seen.
    pub place: Place,
    /// Control bits.
    pub flags: Flags,
    /// What AE, CWR and ECE count where both ends agreed on AccECN (RFC 9768 §3.2.2).
    pub ace: Option<u8>,
    /// SEG.SEQ, relative.
    pub seq: u64,
    /// SEG.ACK, relative, where the ACK bit is set.
    pub ack: Option<u64>,
    /// Payload bytes.
    pub len: u64,
    /// Segments on the wire; more than 1 for a super-packet.
    pub segments: u64,
    /// Window in bytes, scaled where the scale is known.
    pub window: u32,
    /// Maximum segment size, on a SYN that says one.
    pub mss: Option<u16>,
}

/// A change of one end's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
}

/// Data segments of one direction in a row, the other direction's ACKs among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When the last of them was seen.
    pub until: Duration,
    /// Packets that carried data (or probed), super-packets counted once.
    pub packets: u64,
    /// Segments that carried data (or probed).
    pub segments: u64,
    /// Payload bytes, retransmissions included.
    pub bytes: u64,
    /// Segments that were seen before.
    pub retransmitted: u64,
    /// Segments that came after later ones.
    pub out_of_order: u64,
    /// ACKs of the other direction.
    pub acks: u64,
    /// Duplicates among the ACKs.
    pub dup_acks: u64,
    /// How often an ACK closed the window.
    pub zero_windows: u64,
    /// The first of them.
    pub first: Shown,
    /// The highest relative number behind the data.
    pub end_seq: u64,
    /// The last ACK of the other direction, and when it was seen.
    pub last_ack: Option<(Duration, Shown)>,
}

/// Many short runs that answer each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// When the last of them ended.
    pub until: Duration,
    /// Runs by the client and by the server.
    pub turns: [u64; 2],
    /// Data segments by the client and by the server.
    pub segments: [u64; 2],
    /// Payload bytes by the client and by the server.
    pub bytes: [u64; 2],
    /// Segments among them that were seen before.
    pub retransmitted: u64,
}

/// Entries that were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// When the last of them ended.
    pub until: Duration,
    /// How many entries.
    pub entries: u64,
    /// Segments in them.
    pub segments: u64,
    /// Payload bytes in them by the client and by the server.
    pub bytes: [u64; 2],
}

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// One segment that is no plain data.
    Segment(Shown),
    /// Data.
    Run(Run),
    /// Runs in turn.
    Exchange(Exchange),
    /// A SYN or FIN that crossed another one arrives now; it was sent in an earlier entry.
    Arrival(Flags),
    /// An ICMP error about a segment of the entry's `from`.
    Icmp(IcmpError),
    /// A word from beside: what the engine or the gateway knows.
    Note(String),
    /// What is wrong with the entry's `from`.
    Warning(Warning),
    /// Entries that were not kept.
    LeftOut(LeftOut),
}

/// One entry of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderEntry {
    /// When it began, since the epoch of the lens.
    pub at: Duration,
    /// The running number of the packet that began it, as counted by the lens; 0 for what no
    /// packet showed.
    pub packet: u64,
    /// Who sent the segment (for an ICMP error: the segment that it is about).
    pub from: Role,
    /// What was seen.
    pub what: EntryKind,
    /// The states that it changed, the client's and the server's.
    pub moved: [Option<Move>; 2],
    /// Which of the four waves it is.
    pub wave: Option<Wave>,
    /// What the RST was for.
    pub cause: Option<RstCause>,
    /// One more thing that a person should know about it.
    pub annotation: Option<&'static str>,
}

impl LadderEntry {
    /// An entry about `what` and nothing more.
    pub(crate) fn new(at: Duration, from: Role, what: EntryKind) -> Self {
        Self {
            at,
            packet: 0,
            from,
            what,
            moved: [None; 2],
            wave: None,
            cause: None,
            annotation: None,
        }
    }

    /// When the last of what it tells was seen.
    pub fn until(&self) -> Duration {
        match &self.what {
            EntryKind::Run(run) => run.until,
            EntryKind::Exchange(exchange) => exchange.until,
            EntryKind::LeftOut(left_out) => left_out.until,
            EntryKind::Segment(_)
            | EntryKind::Arrival(_)
            | EntryKind::Icmp(_)
            | EntryKind::Note(_)
            | EntryKind::Warning(_) => self.at,
        }
    }

    /// Entries that a record cannot do without.
    pub(crate) fn is_pinned(&self) -> bool {
        self.wave.is_some()
            || self.cause.is_some()
            || self.moved.iter().any(Option::is_some)
            || matches!(
                self.what,
                EntryKind::Arrival(_) | EntryKind::Note(_) | EntryKind::Warning(_)
            )
    }
}
