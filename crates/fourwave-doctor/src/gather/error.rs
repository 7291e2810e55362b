//! Why a host's sockets cannot be seen.

/// Nothing could be examined. One line each, with the way out. What is only partly visible is no
/// error but a [`Limitation`](crate::Limitation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// There is no such process, or not any more.
    #[error("no process {pid}: it is gone, or is a number of another container; `ps` lists pids")]
    Gone {
        /// The process asked for.
        pid: u32,
    },
    /// There is no such namespace.
    #[error("no network namespace {name:?}: {known}")]
    NoNamespace {
        /// What was asked for.
        name: String,
        /// Which there are, and where they were sought.
        known: String,
    },
    /// A file that is no namespace.
    #[error(
        "{path} is no network namespace: give a name of `ip netns list`, \
         /proc/PID/ns/net, or a process with --pid"
    )]
    NotNamespace {
        /// The file.
        path: String,
    },
    /// This user may not look there.
    #[error("{what} may not be entered ({reason}): {remedy}")]
    Forbidden {
        /// Whose namespace.
        what: String,
        /// The kernel's words.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Neither way to the sockets is open.
    #[error(
        "the sockets cannot be seen here: sock_diag: {diag}; /proc/net/tcp: {table}; \
         run it outside the sandbox, or mount /proc"
    )]
    NoSockets {
        /// Why not by sock_diag.
        diag: String,
        /// Why not by `/proc`.
        table: String,
    },
    /// The machine has no room for a thread, or for a descriptor.
    #[error("looking into {what}: {reason}")]
    System {
        /// What was being done.
        what: String,
        /// The kernel's words.
        reason: String,
    },
}
