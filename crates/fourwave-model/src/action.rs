//! What can happen next.

use std::fmt;
use std::str::FromStr;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Opens the connection.
    Client,
    /// Accepts it.
    Server,
}

impl End {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One step of a world. Written as `client.send` or `server.late:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The oldest segment on its way to this end arrives.
    Deliver(End),
    /// A fault: the oldest segment on its way to this end is lost.
    Drop(End),
    /// A fault: the network keeps a copy of the oldest segment on its way to this end.
    Copy(End),
    /// A fault: the oldest segment on its way to this end is held back.
    Hold(End),
    /// A copy or a segment that was held back arrives, by its place among those.
    Late(End, u8),
    /// The next timer of this end runs out.
    Fire(End),
    /// The client's program opens the next connection.
    Connect,
    /// The server's program takes a connection.
    Accept,
    /// The program of this end sends a byte on its connection of this incarnation.
    Send(End, u8),
    /// It reads all there is.
    Read(End, u8),
    /// It closes its sending direction.
    Shutdown(End, u8),
    /// It closes.
    Close(End, u8),
}

impl Action {
    /// The end whose segment suffers, when this is a fault of the network.
    pub(crate) const fn fault(self) -> Option<End> {
        match self {
            Self::Drop(to) | Self::Copy(to) | Self::Hold(to) => Some(to),
            _ => None,
        }
    }

    /// The end that does something, or to which something happens.
    pub(crate) const fn end(self) -> End {
        match self {
            Self::Connect => End::Client,
            Self::Accept => End::Server,
            Self::Deliver(e) | Self::Drop(e) | Self::Copy(e) | Self::Hold(e) | Self::Fire(e) => e,
            Self::Late(e, _) | Self::Send(e, _) | Self::Read(e, _) => e,
            Self::Shutdown(e, _) | Self::Close(e, _) => e,
        }
    }

    pub(crate) const fn is_fault(self) -> bool {
        self.fault().is_some()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (end, word, n) = match *self {
            Self::Deliver(e) => (e, "deliver", 0),
            Self::Drop(e) => (e, "drop", 0),
            Self::Copy(e) => (e, "copy", 0),
            Self::Hold(e) => (e, "hold", 0),
            Self::Late(e, n) => (e, "late", n),
            Self::Fire(e) => (e, "fire", 0),
            Self::Connect => (End::Client, "connect", 0),
            Self::Accept => (End::Server, "accept", 0),
            Self::Send(e, n) => (e, "send", n),
            Self::Read(e, n) => (e, "read", n),
            Self::Shutdown(e, n) => (e, "shutdown", n),
            Self::Close(e, n) => (e, "close", n),
        };
        let end = if end == End::Client { "client" } else { "server" };
        write!(f, "{end}.{word}")?;
        if n > 0 { write!(f, ":{n}") } else { Ok(()) }
    }
}

/// Why a text names no action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAction(String);

impl fmt::Display for NoAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no action: they look like client.send or server.late:1", self.0)
    }
}

impl std::error::Error for NoAction {}

impl FromStr for Action {
    type Err = NoAction;

    fn from_str(text: &str) -> Result<Self, NoAction> {
        let error = || NoAction(text.to_owned());
        let (end, rest) = text.split_once('.').ok_or_else(error)?;
        let end = match end {
            "client" => End::Client,
            "server" => End::Server,
            _ => return Err(error()),
        };
        let (word, n) = match rest.split_once(':') {
            Some((word, n)) => (word, n.parse().map_err(|_| error())?),
            None => (rest, 0),
        };
        Ok(match (word, end) {
            ("deliver", _) => Self::Deliver(end),
            ("drop", _) => Self::Drop(end),
            ("copy", _) => Self::Copy(end),
            ("hold", _) => Self::Hold(end),
            ("late", _) => Self::Late(end, n),
            ("fire", _) => Self::Fire(end),
            ("connect", End::Client) => Self::Connect,
            ("accept", End::Server) => Self::Accept,
            ("send", _) => Self::Send(end, n),
            ("read", _) => Self::Read(end, n),
            ("shutdown", _) => Self::Shutdown(end, n),
            ("close", _) => Self::Close(end, n),
            _ => return Err(error()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_as_it_is_written() {
        let actions =
            [Action::Late(End::Server, 2), Action::Connect, Action::Close(End::Client, 1)];
        for action in actions {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        assert!("server.connect".parse::<Action>().is_err());
        assert!("client.late:x".parse::<Action>().is_err());
    }
}
