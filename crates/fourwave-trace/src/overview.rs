//! A whole capture in numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave_capture::Tally;
use fourwave_lens::{AnomalyKind, Ignored, Severity};

/// One file, or one interface.
#[derive(Clone, Debug, Default)]
pub struct FileRead {
    /// Its path, `-` for standard input, or the interface's name.
    pub name: String,
    /// What was in it.
    pub tally: Tally,
    /// When its first packet was seen and its last, since the epoch of Unix.
    pub span: Option<(Duration, Duration)>,
    /// Why reading stopped before its end; what came before counts.
    pub damaged: Option<String>,
}

/// Connections to one service, that is one port of servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The server's port.
    pub port: u16,
    /// Connections, attempts that never opened included.
    pub connections: u64,
    /// Attempts that were refused, not answered or not finished.
    pub unopened: u64,
    /// How many were closed first by the client and by the server, with FIN.
    pub closed_first: [u64; 2],
    /// How many open ones were reset by the client and by the server.
    pub reset: [u64; 2],
    /// How many TIME_WAIT were left at the clients and at the servers.
    pub time_wait: [u64; 2],
    /// Bytes of the stream that each side sent.
    pub bytes: [u64; 2],
}

/// How long connections lasted: those that were seen from their beginning to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// How many.
    pub connections: u64,
    /// The shortest, half of them, nine of ten, 99 of 100, the longest.
    pub quantiles: [Duration; 5],
}

/// A connection that is worth looking at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its number.
    pub conn: u64,
    /// The client's address and the server's.
    pub addrs: [SocketAddr; 2],
    /// The worst of its anomalies.
    pub kind: AnomalyKind,
    /// How much that matters.
    pub severity: Severity,
    /// What happened, in one sentence without a full stop.
    pub text: String,
    /// Running numbers of the packets that prove it.
    pub packets: Vec<u64>,
}

/// A whole capture in numbers; of a filtered one, the connections that passed the filter.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The files, in the order in which they were read.
    pub files: Vec<FileRead>,
    /// When the first packet was seen and the last, since the epoch of Unix.
    pub span: Option<(Duration, Duration)>,
    /// Connections reported.
    pub connections: u64,
    /// Connections that the filter held back.
    pub filtered_out: u64,
    /// Bytes of the stream by clients and by servers.
    pub bytes: [u64; 2],
    /// Segments, and those among them that were retransmitted.
    pub segments: u64,
    /// Segments retransmitted.
    pub retransmitted: u64,
    /// How connections ended, by [`fourwave_lens::Ended::name`].
    pub ends: BTreeMap<&'static str, u64>,
    /// By service; the ones with most connections first, 20 at most.
    pub services: Vec<Service>,
    /// How long connections lasted.
    pub lifetimes: Lifetimes,
    /// Connections with each kind of anomaly.
    pub anomalies: BTreeMap<AnomalyKind, u64>,
    /// The worst connections first, 20 at most.
    pub suspects: Vec<Suspect>,
    /// Packets that belong to no connection.
    pub ignored: Ignored,
}
