//! Examines a host's TCP sockets: what `fourwave doctor` does, without how its arguments are read.
//!
//! It goes one way: [`Snapshot`]s are gathered from the kernel (`gather`), two of them with the
//! time between are a [`Sample`], [`diagnose`] makes [`Finding`]s of it by [`Thresholds`], and
//! those are written as text, JSON, a table that redraws, or metrics. Nothing on the host is
//! changed.
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.
#![forbid(unsafe_code)]

mod examiner;
pub mod explain;
mod finding;
pub mod fix;
mod gather;
pub mod json;
pub mod metrics;
mod rules;
mod snapshot;
mod statistics;
pub mod text;
mod thresholds;
pub mod watch;
mod words;

pub use examiner::{Diagnosis, Examiner};
pub use finding::{Command, Finding, FindingKind, Severity};
pub use gather::{GatherError, Gatherer};
pub use rules::diagnose;
pub use snapshot::{
    Counters, Limitation, Listener, Orphans, Owner, PortRange, Sample, Scope, Snapshot, Socket,
    TcpInfo, Timer, TimerKind,
};
pub use statistics::{CloseWait, Destination, Queue, STATES, Statistics};
pub use thresholds::{Counts, THRESHOLDS, Threshold, ThresholdError, Thresholds, parse_time};
