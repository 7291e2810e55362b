//! Why a connection ended: one enum, one sentence for each value, the same everywhere.

use core::fmt;
use core::net::SocketAddr;

use fourwave_wire::icmp::IcmpError;

use crate::time::{Duration, Instant};

/// One of the two ends of a connection, seen from our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This engine's end.
    Local,
    /// The peer.
    Remote,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Both FINs were acknowledged.
    Orderly,
    /// The peer answered our SYN with an RST.
    Refused,
    /// The peer sent an RST.
    ResetByPeer,
    /// An ICMP error said that the peer cannot be reached.
    Unreachable(IcmpError),
    /// Nothing answered our SYNs (`tcp_syn_retries`).
    ConnectTimeout,
    /// Nothing answered our SYN ACKs (`tcp_synack_retries`).
    HandshakeTimeout,
    /// Data was retransmitted `tcp_retries2` times without an answer.
    RetransmissionTimeout,
    /// Data stayed unacknowledged for longer than `TCP_USER_TIMEOUT`.
    UserTimeout,
    /// Keepalive probes stayed without an answer.
    KeepaliveTimeout,
    /// The application was gone and the peer did not finish (`tcp_orphan_retries`).
    OrphanTimeout,
    /// The application was gone and the peer's FIN did not come within `tcp_fin_timeout`.
    FinWait2Timeout,
    /// The application aborted the connection.
    Aborted,
    /// The application closed with received data unread.
    ClosedWithUnreadData,
    /// The application had closed and the peer sent more data.
    DataAfterClose,
    /// The application closed with `SO_LINGER` 0.
    Linger,
    /// The application closed before the handshake was over.
    ClosedWhileOpening,
    /// Too many closed but unfinished connections (`tcp_max_orphans`), or too much that such a one
    /// has to send yet (`tcp_mem`).
    TooManyOrphans,
    /// The process that held the connection ended.
    Shutdown,
}

impl EndReason {
    /// A name for machines, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orderly => "orderly",
            Self::Refused => "refused",
            Self::ResetByPeer => "reset-by-peer",
            Self::Unreachable(_) => "unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::RetransmissionTimeout => "retransmission-timeout",
            Self::UserTimeout => "user-timeout",
            Self::KeepaliveTimeout => "keepalive-timeout",
            Self::OrphanTimeout => "orphan-timeout",
            Self::FinWait2Timeout => "fin-wait-2-timeout",
            Self::Aborted => "aborted",
            Self::ClosedWithUnreadData => "closed-with-unread-data",
            Self::DataAfterClose => "data-after-close",
            Self::Linger => "linger-zero",
            Self::ClosedWhileOpening => "closed-while-opening",
            Self::TooManyOrphans => "too-many-orphans",
            Self::Shutdown => "shutdown",
        }
    }

    /// One sentence for a person, without a full stop.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Orderly => "both sides closed and both FINs were acknowledged",
            Self::Refused => "the peer refused the connection: it answered the SYN with RST",
            Self::ResetByPeer => "the peer reset the connection",
            Self::Unreachable(_) => "the network said that the peer cannot be reached",
            Self::ConnectTimeout => "nothing answered the SYN and its retransmissions",
            Self::HandshakeTimeout => "nothing answered the SYN ACK and its retransmissions",
            Self::RetransmissionTimeout => "nothing acknowledged the data and its retransmissions",
            Self::UserTimeout => "data stayed unacknowledged for longer than TCP_USER_TIMEOUT",
            Self::KeepaliveTimeout => "the peer answered no keepalive probe",
            Self::OrphanTimeout => {
                "the application had closed and nothing acknowledged the rest in time"
            }
            Self::FinWait2Timeout => {
                "the application had closed and the peer did not close within tcp_fin_timeout"
            }
            Self::Aborted => "the application aborted the connection",
            Self::ClosedWithUnreadData => {
                "the application closed with received data unread, so the peer got RST"
            }
            Self::DataAfterClose => {
                "the application had closed and the peer sent more data, so it got RST"
            }
            Self::Linger => "the application closed with SO_LINGER 0, so the peer got RST",
            Self::ClosedWhileOpening => "the application closed before the connection was open",
            Self::TooManyOrphans => {
                "too many closed connections were unfinished (tcp_max_orphans, tcp_mem)"
            }
            Self::Shutdown => "the process that held the connection ended",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// What the application last did with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserCall {
    /// Opened it, or had it accepted.
    Open,
    /// Queued data.
    Send,
    /// Took received data.
    Receive,
    /// Closed its sending direction.
    Shutdown,
    /// Closed it.
    Close,
    /// Aborted it.
    Abort,
}

impl UserCall {
    /// The call's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Shutdown => "shutdown",
            Self::Close => "close",
            Self::Abort => "abort",
        }
    }
}

/// How a connection ended, told once, when it leaves the engine's table of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndReport {
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Why it ended.
    pub reason: EndReason,
    /// Whose FIN or RST came first; `None` when neither side sent one.
    pub closed_first: Option<Side>,
    /// The application's last call.
    pub last_call: UserCall,
    /// How long before the end that call was.
    pub last_call_ago: Duration,
    /// When the connection was opened: the SYN was sent or received.
    pub opened: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Until when our end holds TIME_WAIT; `None` when it does not.
    pub time_wait_until: Option<Instant>,
    /// Bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Bytes that the application queued and the peer never acknowledged.
    pub bytes_unsent: u64,
    /// Bytes received that the application had not read yet when it ended.
    pub bytes_unread: u64,
    /// How often our FIN was retransmitted.
    pub fin_retransmits: u32,
    /// How many segments were retransmitted in all.
    pub retransmits: u32,
}

impl EndReport {
    /// A report with nothing but these: no bytes, no times, [`UserCall::Open`] the last call. The
    /// engine fills in the rest; so do simulations that make reports of their own.
    pub fn new(local: SocketAddr, remote: SocketAddr, reason: EndReason) -> Self {
        Self {
            local,
            remote,
            reason,
            closed_first: None,
            last_call: UserCall::Open,
            last_call_ago: Duration::ZERO,
            opened: Instant::ZERO,
            ended: Instant::ZERO,
            time_wait_until: None,
            bytes_acked: 0,
            bytes_received: 0,
            bytes_unsent: 0,
            bytes_unread: 0,
            fin_retransmits: 0,
            retransmits: 0,
        }
    }
}
