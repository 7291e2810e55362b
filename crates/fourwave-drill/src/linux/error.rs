//! Why there is no Linux to test: one line each.

use std::io;

use fourwave_device::tun::TunError;
use fourwave_linux::namespace::{EnterError, Forbidden};
use fourwave_linux::reason_of;

/// Why [`enter`](super::enter) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Namespaces may not be made here.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// There is no TUN to be had.
    #[error("{0}")]
    Tun(#[from] TunError),
    /// A step that normally works.
    #[error("{what}: {}", reason_of(*errno))]
    Step {
        /// What was tried.
        what: String,
        /// The kernel's answer; 0 when it gave none.
        errno: i32,
    },
}

impl Error {
    pub(super) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Step { what: what.into(), errno: error.raw_os_error().unwrap_or(0) }
    }

    /// Whether this system does not let anyone (or this user) make namespaces or a TUN, rather
    /// than something having gone wrong.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden(_) | Self::Tun(_))
    }
}

impl From<EnterError> for Error {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Forbidden(forbidden) => Self::Forbidden(forbidden),
            EnterError::Step { what, errno } => Self::Step { what, errno },
            other => Self::Step { what: other.to_string(), errno: 0 },
        }
    }
}
