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
    /// It is over.
    Ended(Box<ConnectionRecord>),
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
