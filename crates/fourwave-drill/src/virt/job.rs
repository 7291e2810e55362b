//! A call on its way.

use fourwave_core::Instant;

use crate::syscall::SysCall;

/// A call on its way: made, tried again after whatever happens, until it returns.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) call: SysCall,
    /// When it gives up waiting; set when it first waits.
    pub(super) deadline: Option<Instant>,
    /// The deadline has passed: it must return now.
    pub(super) expired: bool,
    /// It has waited at least once.
    pub(super) waited: bool,
    /// Bytes moved so far.
    pub(super) copied: usize,
    /// It waits for its connection to open.
    pub(super) opening: bool,
    /// What the call's own file keeps between two tries.
    pub(super) code: i32,
}

impl Job {
    pub(super) fn new(call: SysCall) -> Self {
        Self {
            call,
            deadline: None,
            expired: false,
            waited: false,
            copied: 0,
            opening: false,
            code: 0,
        }
    }

    /// It waits for its connection to open, and has text to send then.
    pub(super) fn writes_when_open(&self) -> bool {
        matches!(self.call, SysCall::Write { .. } | SysCall::SendMsg { .. }) && self.opening
    }
}
