//! Pipes and scratch files, as far as `sendfile` and `splice` need them: all bytes are zeros, so
//! only their number is kept.

use crate::syscall::Fd;

/// Bytes that a pipe holds.
pub(super) const CAPACITY: usize = 65_536;

/// Which end of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Reads what the descriptor `writer` wrote.
    Reader,
    /// Writes for the descriptor that reads.
    Writer,
    /// `/dev/zero` or a scratch file.
    Zeros,
}

/// One end of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) end: End,
    /// The descriptor of the other end; none once it is closed.
    pub(super) peer: Option<Fd>,
    /// At the reader: bytes that wait. At a scratch file: bytes left.
    pub(super) bytes: usize,
    pub(super) nonblocking: bool,
}

impl Pipe {
    /// A file, which is always ready and no business of epoll's.
    pub(super) fn is_file(&self) -> bool {
        self.end == End::Zeros
    }
}
