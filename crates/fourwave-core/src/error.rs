//! What the user calls can refuse, one small enum for each call.

use core::fmt;
use core::net::SocketAddr;

use crate::end::EndReason;

/// The handle names no connection (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchConnection;

impl fmt::Display for NoSuchConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handle names no connection: it was closed or aborted before")
    }
}

impl core::error::Error for NoSuchConnection {}

/// Why [`Engine::listen`](crate::Engine::listen) refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has the same address and port.
    AddressInUse,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another listener has the same address and port")
    }
}

impl core::error::Error for ListenError {}

/// Why [`Engine::connect`](crate::Engine::connect) refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// A connection with the same four numbers exists.
    AddressInUse {
        /// Our address.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// Every port of `ip_local_port_range` is taken towards this destination.
    PortsExhausted {
        /// The destination.
        remote: SocketAddr,
        /// Ports in the range.
        ports: u32,
        /// How many of them are in TIME_WAIT.
        time_wait: u32,
    },
    /// The two addresses are of different families, or not ones that a connection can have.
    BadAddress,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse { local, remote } => {
                write!(f, "a connection from {local} to {remote} exists already")
            }
            Self::PortsExhausted { remote, ports, time_wait } => write!(
                f,
                "all {ports} ports of ip_local_port_range are taken towards {remote} \
                 ({time_wait} of them in TIME_WAIT)"
            ),
            Self::BadAddress => f.write_str("the addresses cannot belong to one connection"),
        }
    }
}

impl core::error::Error for ConnectError {}

/// Why [`Engine::send`](crate::Engine::send) refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The handle names no connection.
    NoSuchConnection,
    /// Our sending direction was closed (EPIPE).
    Shutdown,
    /// The connection has ended.
    Ended(EndReason),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchConnection => NoSuchConnection.fmt(f),
            Self::Shutdown => f.write_str("the sending direction was closed before"),
            Self::Ended(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

/// Why [`Engine::receive`](crate::Engine::receive) has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The handle names no connection.
    NoSuchConnection,
    /// Nothing there yet; [`Event::Readable`](crate::Event::Readable) will tell.
    WouldBlock,
    /// The connection has ended in an error, and all that came before has been read.
    Ended(EndReason),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchConnection => NoSuchConnection.fmt(f),
            Self::WouldBlock => f.write_str("no data has arrived yet"),
            Self::Ended(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for ReceiveError {}
