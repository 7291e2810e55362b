//! Network namespaces of one's own, as root or as anybody: leaving the host's, setting up links,
//! addresses and routes. The feature `namespace`.

mod enter;
mod forbidden;
mod netlink;

use rustix::io::Errno;

pub use enter::{Users, enter, enter_network};
pub use forbidden::Forbidden;
pub use netlink::{LinkSettings, Netlink};

use crate::reason_of;

/// Why this process is in no namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// Namespaces may not be made here.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// A step that normally works.
    #[error("{what}: {}", reason_of(*errno))]
    Step {
        /// What was tried.
        what: String,
        /// The kernel's answer; 0 when it gave none.
        errno: i32,
    },
}

impl EnterError {
    fn step(what: impl Into<String>, errno: Errno) -> Self {
        Self::Step { what: what.into(), errno: errno.raw_os_error() }
    }
}
