//! Why no program runs: one value for each reason, one line for the reader.

use std::fmt;
use std::io;

use fourwave_linux::namespace::{EnterError, Forbidden};
use fourwave_linux::reason_of;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why the program could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// Namespaces may not be made here.
    Namespaces(Forbidden),
    /// There is no TUN to be had; the text says what is missing and what helps.
    Tun(String),
    /// A step that normally works.
    Step {
        /// What was tried.
        what: String,
        /// The kernel's answer; 0 when it gave none.
        errno: i32,
    },
    /// The program could not be executed.
    Command {
        /// Its name as it was given.
        name: String,
        /// The kernel's answer.
        errno: i32,
        /// The file exists, but its interpreter (the line after `#!`) does not.
        interpreter_missing: bool,
    },
    /// A signal ended the child process before the program started: Ctrl-C, say.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The child process ended without saying why.
    Vanished,
}

impl Failure {
    pub(crate) fn step(what: impl Into<String>, errno: Errno) -> Self {
        Self::Step { what: what.into(), errno: errno.raw_os_error() }
    }

    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Step { what: what.into(), errno: error.raw_os_error().unwrap_or(0) }
    }

    /// The exit status that `env` and `timeout` use for this: 127 for a command that is not
    /// there, 126 for one that cannot be executed, 125 for everything of our own.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Command { interpreter_missing: true, .. } => 126,
            Self::Command { errno, .. } if is_missing(*errno) => 127,
            Self::Command { .. } => 126,
            Self::Killed { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            _ => 125,
        }
    }

    /// Whether this system does not let anyone (or this user) make namespaces or a TUN, rather
    /// than something having gone wrong.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Namespaces(_) | Self::Tun(_))
    }
}

fn is_missing(errno: i32) -> bool {
    [Errno::NOENT, Errno::NOTDIR].iter().any(|e| e.raw_os_error() == errno)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces(forbidden) => forbidden.fmt(f),
            Self::Tun(text) => f.write_str(text),
            Self::Step { what, errno: 0 } => write!(f, "{what} failed"),
            Self::Step { what, errno } => write!(f, "{what}: {}", reason_of(*errno)),
            Self::Command { name, interpreter_missing: true, .. } => write!(
                f,
                "{name}: cannot be executed: the interpreter that its first line names is missing"
            ),
            Self::Command { name, errno, .. } if is_missing(*errno) => {
                write!(f, "{name}: command not found")
            }
            Self::Command { name, errno, .. } => {
                write!(f, "{name}: cannot be executed: {}", reason_of(*errno))
            }
            Self::Killed { signal } => {
                write!(f, "signal {signal} came before the program was started")
            }
            Self::Vanished => f.write_str(
                "the child process ended before the program started, without saying why",
            ),
        }
    }
}

impl std::error::Error for Failure {}

impl From<EnterError> for Failure {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Forbidden(forbidden) => Self::Namespaces(forbidden),
            EnterError::Step { what, errno } => Self::Step { what, errno },
            other => Self::Step { what: other.to_string(), errno: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(errno: Errno, interpreter_missing: bool) -> Failure {
        let errno = errno.raw_os_error();
        Failure::Command { name: "prog".into(), errno, interpreter_missing }
    }

    #[test]
    fn exit_codes_are_those_of_env_and_timeout() {
        assert_eq!(command(Errno::NOENT, false).exit_code(), 127);
        assert_eq!(command(Errno::NOENT, true).exit_code(), 126);
        assert_eq!(command(Errno::ACCESS, false).exit_code(), 126);
        assert_eq!(command(Errno::TOOBIG, false).exit_code(), 126);
        assert_eq!(Failure::Tun("x".into()).exit_code(), 125);
        assert_eq!(Failure::step("x", Errno::NOENT).exit_code(), 125);
    }

    #[test]
    fn the_lines_name_the_thing() {
        assert_eq!(command(Errno::NOENT, false).to_string(), "prog: command not found");
        assert_eq!(
            command(Errno::ACCESS, false).to_string(),
            "prog: cannot be executed: Permission denied"
        );
        assert_eq!(
            Failure::step("mounting a tmpfs", Errno::PERM).to_string(),
            "mounting a tmpfs: Operation not permitted"
        );
    }
}
