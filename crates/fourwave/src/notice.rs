//! What the engine notices about connections that live on, for whoever watches over them.

use std::net::SocketAddr;

use fourwave_core::{Instant, UserCall};
use fourwave_wire::icmp::IcmpError;

/// Something about an open connection that its program may not know. Times are the stack's:
/// [`Stack::system_time`](crate::Stack::system_time) has them as the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// Our end of the connection.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// When it was noticed.
    pub at: Instant,
    /// What was noticed.
    pub what: NoticeKind,
}

/// The kinds of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeKind {
    /// The peer closed, and for `tcp_close_wait_limit` the holder of the socket did not: it has
    /// probably forgotten it. Told once for each connection.
    CloseWaitSuspected {
        /// When the peer's FIN arrived.
        since: Instant,
        /// The last call on the socket.
        last_call: UserCall,
        /// When that was.
        last_call_at: Instant,
    },
    /// What was sent was retransmitted `tcp_retries1` times in a row without an answer (RFC 9293
    /// §3.8.3, R1). The connection lives until `tcp_retries2`. Told once each time that answers
    /// stop.
    Unanswered {
        /// Retransmission timeouts in a row.
        backoff: u32,
        /// The last ICMP error about what is in flight, which may say why.
        icmp_error: Option<IcmpError>,
    },
}
