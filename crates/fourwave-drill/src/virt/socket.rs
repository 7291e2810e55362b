//! A socket as Linux keeps it beside the connection: errors, shutdown, options.

use std::net::SocketAddr;
use std::ops::BitOrAssign;

use fourwave_core::state::State;
use fourwave_core::{ConnId, EndReason, ListenerId};

use super::abi::errno;
use super::errqueue::ErrorQueue;
use super::options::Options;

/// What a socket is to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing: never used, or dissolved.
    Closed,
    /// A listener.
    Listening(ListenerId),
    /// `connect` returned at once: the first write opens the connection, with text on its SYN
    /// (`TCP_FASTOPEN_CONNECT`).
    Deferred(SocketAddr),
    /// A connection, opening, open or ended.
    Connection(ConnId),
}

/// Where `connect` stands, as the socket layer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// `connect` may be called.
    Unconnected,
    /// It was called and has not told its outcome yet.
    Connecting,
    /// It has succeeded, or the socket was accepted.
    Connected,
    /// Shut down before it was open.
    Disconnecting,
}

/// Directions that are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Shut(u8);

impl Shut {
    pub(super) const NONE: Self = Self(0);
    pub(super) const RECEIVE: Self = Self(1);
    pub(super) const SEND: Self = Self(2);
    pub(super) const BOTH: Self = Self(3);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOrAssign for Shut {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A TCP socket.
pub(super) struct Socket {
    pub(super) family: i32,
    pub(super) nonblocking: bool,
    pub(super) options: Options,
    /// Its address, chosen by `bind` or by the engine.
    pub(super) local: Option<SocketAddr>,
    /// `bind` chose it: it stays when the connection is dissolved.
    pub(super) bound: bool,
    pub(super) phase: Phase,
    pub(super) opening: Opening,
    /// The error that waits to be told; 0 for none.
    pub(super) error: i32,
    pub(super) shut: Shut,
    /// The peer's FIN has come: reading ends with 0, whatever happens later.
    pub(super) done: bool,
    /// The connection's state after the last step; at its end it says what an RST met.
    pub(super) last_state: State,
    pub(super) was_writable: bool,
    /// Bytes written so far.
    pub(super) written: u64,
    /// `MSG_MORE` of the last send.
    pub(super) more: bool,
    pub(super) errors: ErrorQueue,
}

impl Socket {
    pub(super) fn new(family: i32) -> Self {
        Self {
            family,
            nonblocking: false,
            options: Options::default(),
            local: None,
            bound: false,
            phase: Phase::Closed,
            opening: Opening::Unconnected,
            error: 0,
            shut: Shut::NONE,
            done: false,
            last_state: State::Closed,
            was_writable: true,
            written: 0,
            more: false,
            errors: ErrorQueue::default(),
        }
    }

    /// Reads the error and forgets it.
    pub(super) fn take_error(&mut self) -> Option<i32> {
        let error = std::mem::take(&mut self.error);
        (error != 0).then_some(error)
    }
}

/// What Linux says of an end in state `last`. `icmp` is the last ICMP error's number, `soft`
/// whether one came that did not end the connection.
pub(super) fn errno_of(reason: EndReason, last: State, icmp: i32, soft: bool) -> i32 {
    match reason {
        EndReason::Refused => errno::ECONNREFUSED,
        EndReason::ResetByPeer if last == State::CloseWait => errno::EPIPE,
        EndReason::ResetByPeer => errno::ECONNRESET,
        EndReason::Unreachable(_) => icmp,
        EndReason::ConnectTimeout
        | EndReason::HandshakeTimeout
        | EndReason::RetransmissionTimeout
        | EndReason::UserTimeout
        | EndReason::KeepaliveTimeout => {
            if soft {
                icmp
            } else {
                errno::ETIMEDOUT
            }
        }
        // Orderly, or our own doing: nothing that a call would tell.
        _ => 0,
    }
}
