//! A program at one end of one connection: what it did and what it saw.

use fourwave_core::{ConnId, EndReason};
use fourwave_wire::SeqNum;

use crate::action::End;

/// How the engine said that a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ended {
    pub(crate) reason: EndReason,
    pub(crate) received: u64,
    pub(crate) acked: u64,
}

/// A program, with its handle.
#[derive(Clone, Copy, Default, Hash)]
pub(crate) struct User {
    pub(crate) conn: Option<ConnId>,
    /// The client's ISS: the name of the incarnation.
    pub(crate) number: SeqNum,
    pub(crate) sent: u8,
    pub(crate) read: u8,
    /// It closed its sending direction, alone or with the whole.
    pub(crate) shut: bool,
    pub(crate) closed: bool,
    /// It read the end of the stream.
    pub(crate) eof: bool,
    /// It read an error.
    pub(crate) error: Option<EndReason>,
    /// The engine's report.
    pub(crate) ended: Option<Ended>,
}

impl User {
    /// It closed without having seen what the peer had to say.
    pub(crate) fn is_rude(&self) -> bool {
        self.closed && !self.eof && self.error.is_none()
    }

    /// It holds a handle.
    pub(crate) fn is_active(&self) -> bool {
        self.conn.is_some() && !self.closed
    }
}

/// Byte `n` that the program at `end` sends in an incarnation: no two are alike.
pub(crate) fn letter(end: End, incarnation: usize, n: u8) -> u8 {
    let first = [[b'a', b'A'], [b'n', b'N']][end.index()][incarnation];
    first + n
}
