//! The small words of the lens: what ends, segments, causes, ends of connections and anomalies are
//! called. They import nothing of the lens, so that everything else can use them.

mod anomaly;
mod ended;
mod explain;
mod segment;

pub use self::anomaly::{Anomaly, AnomalyKind, Proof, Severity};
pub use self::ended::{ClosedBy, Ended, icmp_words};
pub use self::segment::{Kind, Place, RstCause, Wave};

/// The annotation of a lost segment.
pub const LOST: &str = "lost on the way";

/// One of the two ends of a connection, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The end that opened the connection, or is taken for it (the higher port) where the
    /// beginning was not seen. Drawn on the left.
    Client,
    /// The other one.
    Server,
}

impl Role {
    /// Both, the client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// 0 for the client, 1 for the server.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// `client` or `server`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}
