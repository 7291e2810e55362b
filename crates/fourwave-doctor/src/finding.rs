//! What is wrong with a host, and what to do about it.

use serde::Serialize;

/// How severe a finding is: the order in which findings are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing fails; a setting does not do what its name suggests, or protection is given away.
    Advice,
    /// It will fail if it goes on.
    Warning,
    /// Connections fail, or are about to within minutes.
    Critical,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// No port is left, or soon none will be, for connections to one destination.
    PortsExhausted,
    /// Many TIME_WAIT.
    TimeWaitPile,
    /// TIME_WAIT is at `tcp_max_tw_buckets`: new ones are destroyed at once.
    TimeWaitOverflow,
    /// A program does not close what its peers have closed.
    CloseWaitLeak,
    /// A listener's queue of connections to be accepted is full or nearly so.
    AcceptQueueFull,
    /// Many half-open connections: a flood, or clients that do not answer.
    SynBacklog,
    /// Orphans that wait in LAST_ACK (or FIN_WAIT_1, CLOSING) for a peer that does not answer.
    OrphansStuck,
    /// Orphans are near `tcp_max_orphans`.
    OrphansLimit,
    /// Many FIN_WAIT_2: peers that do not close.
    FinWait2Pile,
    /// Many segments are retransmitted.
    Retransmissions,
    /// A setting that cannot help, or harms.
    Setting,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PortsExhausted,
        Self::TimeWaitPile,
        Self::TimeWaitOverflow,
        Self::CloseWaitLeak,
        Self::AcceptQueueFull,
        Self::SynBacklog,
        Self::OrphansStuck,
        Self::OrphansLimit,
        Self::FinWait2Pile,
        Self::Retransmissions,
        Self::Setting,
    ];

    /// The name, as JSON, metrics and `--explain` spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortsExhausted => "ports-exhausted",
            Self::TimeWaitPile => "time-wait-pile",
            Self::TimeWaitOverflow => "time-wait-overflow",
            Self::CloseWaitLeak => "close-wait-leak",
            Self::AcceptQueueFull => "accept-queue-full",
            Self::SynBacklog => "syn-backlog",
            Self::OrphansStuck => "orphans-stuck",
            Self::OrphansLimit => "orphans-limit",
            Self::FinWait2Pile => "fin-wait2-pile",
            Self::Retransmissions => "retransmissions",
            Self::Setting => "setting",
        }
    }
}

/// A command that a person may run; nothing here runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The command line.
    pub line: String,
    /// What it changes, and its limit.
    pub effect: String,
}

/// One finding: evidence, cause, what to change and what not to. Sentences are without line
/// feeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub kind: FindingKind,
    /// How severe it is.
    pub severity: Severity,
    /// What it is about, stable between two samples at the same host: a destination, a pid, a
    /// listener, a knob. Empty for the whole host.
    pub about: String,
    /// One line.
    pub headline: String,
    /// What was seen, with numbers.
    pub evidence: Vec<String>,
    /// Why it is so.
    pub cause: String,
    /// What to change in the program.
    pub program: Vec<String>,
    /// What to change on the host.
    pub host: Vec<Command>,
    /// What does not help, and why.
    pub does_not_help: Vec<String>,
}

impl Severity {
    /// The name, as text and JSON spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Finding {
    /// What `--explain` has more about: the kind, or the knob that it is about.
    pub fn explained_by(&self) -> &str {
        match self.kind {
            FindingKind::Setting => &self.about,
            kind => kind.name(),
        }
    }
}
