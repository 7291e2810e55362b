//! The events that a lens reports while it watches.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::entry::LadderEntry;
use crate::record::ConnectionRecord;
use crate::words::Role;

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Its first segment was seen. Only with [`LensOptions::live`](crate::LensOptions::live).
    Opened(Opened),
    /// An entry of its ladder. Only with [`LensOptions::live`](crate::LensOptions::live).
    Entry(Box<EntrySeen>),
    /// What the engine says of its sender. Only with
    /// [`LensOptions::live`](crate::LensOptions::live).
    Sender(Box<SenderSeen>),
    /// It is over.
    Ended(Box<ConnectionRecord>),
}

/// Where a connection's sender is, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderSeen {
    /// The connection's number.
    pub conn: u64,
    /// When, since the epoch of the lens.
    pub at: Duration,
    /// Whose sender.
    pub end: Role,
    /// What it says.
    pub sender: Sender,
}

/// A sender's windows and round trips, under TCP_INFO's names. Of a connection that a lens watches
/// only an engine at one of its ends knows them: packets do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sender {
    /// State of recovery: `open`, `disorder`, `cwr`, `recovery` or `loss`.
    pub state: &'static str,
    /// The congestion control's name.
    pub congestion: &'static str,
    /// Congestion window in bytes.
    pub cwnd: u64,
    /// Slow-start threshold in bytes; `None` before the first loss.
    pub ssthresh: Option<u64>,
    /// Bytes under way (RFC 6675's pipe).
    pub in_flight: u64,
    /// Bytes taken for lost and not yet acknowledged.
    pub lost: u64,
    /// The peer's window in bytes.
    pub peer_window: u64,
    /// Smoothed round-trip time; zero before the first sample.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// The shortest of late.
    pub min_rtt: Duration,
    /// Retransmission timeout, back-off included.
    pub rto: Duration,
    /// Bytes a second at which it paces; `None` when it does not.
    pub pacing_rate: Option<u64>,
    /// Segments retransmitted so far.
    pub retransmitted: u64,
}

/// A connection's first segment was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The connection's number in this lens, from 1.
    pub conn: u64,
    /// When, since the epoch of the lens.
    pub at: Duration,
    /// The client's address and the server's.
    pub addrs: [SocketAddr; 2],
    /// Who opened it; `None` when its beginning was not seen.
    pub opened_by: Option<Role>,
}

/// An entry of a connection's ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntrySeen {
    /// The connection's number.
    pub conn: u64,
    /// When its first segment was seen.
    pub opened: Duration,
    /// The client's address and the server's.
    pub addrs: [SocketAddr; 2],
    /// The entry.
    pub entry: LadderEntry,
    /// The entry is a run of data that may grow further: it will be reported again, with sums since
    /// its beginning.
    pub so_far: bool,
}

/// Where a lens leaves its events.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) live: bool,
    /// The running number of the packet that is being looked at; 0 between packets.
    pub(crate) packet: u64,
    pub(crate) queue: VecDeque<Event>,
}
