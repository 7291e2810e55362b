//! What a call comes to: it returns, waits, fails, or cannot be done here.

use std::time::Duration;

use crate::syscall::{Output, Returned};
use crate::target::Refusal;

/// What one try of a call came to.
pub(super) enum Outcome {
    /// It returned.
    Done(Returned),
    /// It waits, for this long at most.
    Wait(Option<Duration>),
}

/// Why it came to nothing.
pub(super) enum Stop {
    /// It failed with this error.
    Errno(i32),
    /// It cannot be done here.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One try of a call.
pub(super) type Attempt = Result<Outcome, Stop>;

/// It returned `value`.
pub(super) fn done(value: i64) -> Attempt {
    Ok(Outcome::Done(Returned::ok(value)))
}

/// It returned `value` and wrote `output`.
pub(super) fn done_with(value: i64, output: Output) -> Attempt {
    Ok(Outcome::Done(Returned { result: Ok(value), output }))
}

/// It failed.
pub(super) fn fail<T>(errno: i32) -> Result<T, Stop> {
    Err(Stop::Errno(errno))
}

/// The target has no such thing.
pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Refused(Refusal::Unsupported(what.into())))
}
