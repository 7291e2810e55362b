//! Watches TCP packets from outside and reconstructs every connection.
//!
//! A [`Lens`] takes packets as they pass one point (a TUN device, a capture file, a simulated
//! link) and runs the engine's own state table for both ends of every connection. It reports
//! [`Event`]s while it watches and a [`ConnectionRecord`] when a connection is over; [`ladder`]
//! draws a record for a person, [`follow`] prints events as they come, [`json`] writes them for
//! machines (`SCHEMA.md`), [`comment`] says in one line why a packet ended its connection, and
//! [`summary`] says in one line how a whole run went.
//!
//! It does no I/O and reads no clock.
//!
//! ```
//! use fourwave_lens::{Lens, LensOptions, ladder};
//! # let capture: Vec<(std::time::Duration, Vec<u8>)> = Vec::new();
//!
//! let mut lens = Lens::new(LensOptions::default());
//! let mut last = std::time::Duration::ZERO;
//! for (at, packet) in capture {
//!     lens.observe(at, &packet, packet.len(), 0);
//!     last = at;
//! }
//! lens.finish(last);
//! while let Some(record) = lens.poll_record() {
//!     print!("{}", ladder::render(&record, &ladder::LadderOptions::default()));
//! }
//! ```
#![forbid(unsafe_code)]

mod acc_ecn;
mod close;
mod collector;
pub mod comment;
mod conn;
mod conn_metrics;
mod detect;
mod entries;
mod entry;
mod event;
pub mod follow;
pub mod json;
mod kind;
pub mod label;
pub mod ladder;
mod lens;
mod lost;
mod metrics;
mod nagle;
mod names;
mod options;
pub mod paint;
mod record;
mod segment;
mod sentence;
pub mod suggest;
pub mod summary;
mod tracker;
pub mod units;
mod warning;
mod words;

pub use entry::{EntryKind, Exchange, LadderEntry, LeftOut, Move, Run, Shown};
pub use event::{EntrySeen, Event, Opened, Sender, SenderSeen};
pub use lens::{Ignored, Lens, Seen};
pub use metrics::{EndMetrics, Metrics, Point, PointKind, Retransmissions, Rtt, SenderPoint};
pub use nagle::NagleWaits;
pub use names::{Name, Names};
pub use options::LensOptions;
pub use record::{ClosedFirst, ConnectionRecord, HalfClosed, TimeWait};
pub use warning::Warning;
pub use words::{
    Anomaly, AnomalyKind, ClosedBy, Ended, Kind, LOST, Place, Proof, Role, RstCause, Severity,
    Wave, icmp_words,
};
