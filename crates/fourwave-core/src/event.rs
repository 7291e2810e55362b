//! What the engine tells its caller.

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::end::{EndReport, UserCall};
use crate::time::Instant;

/// Names a connection of one [`Engine`](crate::Engine); never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// Small number that no two living connections of an engine share: an index for a caller's own
    /// table. A later connection may get it again.
    pub const fn slot(self) -> usize {
        self.index as usize
    }
}

/// Names a listener of one [`Engine`](crate::Engine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Names a SYN that waits for the caller's [`Decision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PendingId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// The answer to a SYN that a deferring listener reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer with SYN ACK.
    Accept,
    /// Answer with RST: the program sees "connection refused".
    Reset,
    /// Answer with an ICMP error.
    Unreachable(fourwave_wire::icmp::IcmpError),
    /// Do not answer; a later SYN of the same connection is reported again.
    Ignore,
}

/// Something that the caller may want to act on. Readiness is level-triggered in the calls and
/// edge-triggered here: after `Readable`, read until [`Engine::receive`](crate::Engine::receive)
/// has nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A deferring listener got a SYN; [`Engine::decide`](crate::Engine::decide) answers it.
    Incoming {
        /// The listener.
        listener: ListenerId,
        /// Names the SYN in the answer.
        pending: PendingId,
        /// The address that was called.
        local: SocketAddr,
        /// Who calls.
        remote: SocketAddr,
    },
    /// A SYN that was reported or accepted died before its connection was open.
    PendingGone {
        /// The name it had.
        pending: PendingId,
    },
    /// A connection waits in [`Engine::accept`](crate::Engine::accept).
    Acceptable {
        /// The listener.
        listener: ListenerId,
    },
    /// An active open is through.
    Connected {
        /// The connection.
        conn: ConnId,
    },
    /// There is data, or the end of it, or an error to read.
    Readable {
        /// The connection.
        conn: ConnId,
    },
    /// The send queue has room again, or an error to report.
    Writable {
        /// The connection.
        conn: ConnId,
    },
    /// The peer's FIN arrived behind all its data (which may be unread yet).
    PeerClosed {
        /// The connection.
        conn: ConnId,
    },
    /// The connection has been in CLOSE_WAIT for `tcp_close_wait_limit`: the peer closed and the
    /// application did not. Told once.
    CloseWaitSuspected {
        /// The connection.
        conn: ConnId,
        /// When the peer closed.
        since: Instant,
        /// The application's last call.
        last_call: UserCall,
        /// When that was.
        last_call_at: Instant,
    },
    /// What was sent has been retransmitted `tcp_retries1` times in a row without an answer. Told
    /// once for each time that answers stop; [`TcpInfo::icmp_error`](crate::TcpInfo::icmp_error)
    /// may say why.
    Unanswered {
        /// The connection.
        conn: ConnId,
    },
    /// The peer waits for a sign of a relay's far end
    /// ([`SocketOption::FarEnd`](crate::SocketOption::FarEnd)), or has asked for it again:
    /// [`Engine::far_end_query`](crate::Engine::far_end_query) says for what.
    FarEndAsked {
        /// The connection.
        conn: ConnId,
    },
    /// A segment, a timeout or a call may have moved what the connection's sender does; only after
    /// [`Engine::watch_senders`](crate::Engine::watch_senders). What it does now
    /// [`Engine::info`](crate::Engine::info) tells.
    SenderMoved {
        /// The connection.
        conn: ConnId,
    },
    /// All that was queued, the FIN included, is acknowledged.
    Drained {
        /// The connection.
        conn: ConnId,
    },
    /// The connection left the table; the last event of its life. What was received can be read
    /// until the caller closes its handle.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        report: Box<EndReport>,
    },
}
