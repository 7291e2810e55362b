//! What a caller can set on one connection.

use crate::time::Duration;

/// What the peer waits for until the far end of a relay is confirmed
/// ([`SocketOption::FarEnd`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FarEndQuery {
    /// An ACK of data, and of the FIN with it or behind it.
    Data,
    /// An answer to a keepalive probe.
    Keepalive {
        /// How long the peer had heard nothing when it probed first: its `TCP_KEEPIDLE`.
        idle: Duration,
        /// The time between its last two probes without an answer: its `TCP_KEEPINTVL`.
        interval: Option<Duration>,
    },
}

/// A socket option of one connection, named as in Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// `TCP_NODELAY`: small segments are sent at once, those included that wait now.
    NoDelay(bool),
    /// `SO_KEEPALIVE`, with the knobs' times unless set otherwise.
    KeepAlive(bool),
    /// `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT` together. As in Linux, times of less
    /// than a second count as one, and no probe counts as one.
    KeepAliveTimes {
        /// Idle time before the first probe.
        idle: Duration,
        /// Time between probes.
        interval: Duration,
        /// Unanswered probes that end the connection.
        probes: u8,
    },
    /// `SO_LINGER` with 0 seconds: close sends RST. `false` takes it back.
    LingerZero(bool),
    /// `TCP_LINGER2`: how long an orphan waits in FIN_WAIT_2, instead of `tcp_fin_timeout`; zero
    /// ends it by RST as soon as it gets there.
    Linger2(Duration),
    /// Let the peer close first: shutdown and close hold our FIN back until the peer's has come,
    /// or for this long, so that TIME_WAIT lands on the peer. Zero takes it back.
    PeerClosesFirst(Duration),
    /// `TCP_USER_TIMEOUT`: how long data may stay unacknowledged; zero for the default.
    UserTimeout(Duration),
    /// `TCP_CORK`: a segment that is not full waits for more, or for a retransmission timeout;
    /// taken back, what waits goes out as soon as Nagle allows it, so at once with
    /// [`NoDelay`](Self::NoDelay).
    Cork(bool),
    /// `MSG_MORE`, for all that is queued until it is taken back: it waits as under
    /// [`Cork`](Self::Cork), but only until the next ACK, and its end is not pushed.
    More(bool),
    /// `TCP_QUICKACK`: an ACK that waits goes out if all was read, and the next ones wait for no
    /// answer; `false` says that they may.
    QuickAck(bool),
    /// `MSG_EOR`: what is queued now ends a record, over whose end no segment reaches.
    EndOfRecord,
    /// `shutdown(SHUT_RD)`: once our FIN is out, text that arrives ends the connection by RST.
    NoMoreReads,
    /// `TCP_NOTSENT_LOWAT` in bytes: with so much unsent in the queue there is no room for more; 0
    /// for the knob's (`tcp_notsent_lowat`).
    NotSentLowat(u32),
    /// `SO_SNDBUF`: bytes of text that wait to be sent or acknowledged, with the overhead that
    /// `tcp_wmem_overhead` counts, at most 2³⁰; 0 leaves it to the engine.
    SendBuffer(u32),
    /// `SO_RCVBUF`: bytes that wait to be read, from now on without growing by itself. What was
    /// promised to the peer stays promised.
    ReceiveBuffer(u32),
    /// `TCP_SYNCNT`: retransmissions of our SYN; 0 for `tcp_syn_retries`.
    SynCount(u8),
    /// This connection is one end of a relay, and its ACKs speak for a far end. They go out by
    /// themselves for this long after the last sign of that one: what was sent here or shut down
    /// (the far end said so), or [`Engine::confirm_far_end`](crate::Engine::confirm_far_end).
    /// Afterwards the last segment of data stays without an ACK and a keepalive probe without an
    /// answer, [`Event::FarEndAsked`](crate::Event::FarEndAsked) tells of it, and the confirmation
    /// lets it go: the peer's own TCP finds out about a far end that is dead, by its own
    /// `SO_KEEPALIVE` and `TCP_USER_TIMEOUT`. While something waits, and while the peer has closed
    /// its direction, a peer that is silent is probed (`tcp_half_closed_time`). That an ACK may
    /// take longer than the half second of RFC 9293 §3.8.6.3 is meant: the way is the whole one.
    /// Zero takes it back.
    FarEnd(Duration),
    /// `TCP_MAXSEG` in bytes: neither announced nor sent larger; set it before the SYN goes out.
    MaxSeg(u16),
}
