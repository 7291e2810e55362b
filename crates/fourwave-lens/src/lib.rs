//! Watches TCP packets from outside and tells each connection's story.
//!
//! A [`Lens`] takes packets as they pass one point (a TUN device, a capture file, a simulated
//! link) and runs the engine's own state table for both ends of every connection. It tells
//! [`Event`]s while it watches and a [`Story`] when a connection is over; [`ladder`] draws a
//! story for a person, [`follow`] prints events as they come, [`json`] writes them for machines
//! (`SCHEMA.md`), [`comment`] says in one line why a packet ended its connection, and
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
//! while let Some(story) = lens.poll_story() {
//!     print!("{}", ladder::render(&story, &ladder::LadderOptions::default()));
//! }
//! ```
#![forbid(unsafe_code)]

mod anomaly;
mod close;
pub mod comment;
mod conn;
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
mod row;
mod rows;
mod segment;
mod story;
pub mod suggest;
pub mod summary;
mod track;
mod trouble;
pub mod units;

pub use anomaly::{Anomaly, AnomalyKind, Proof, Severity};
pub use event::{Event, Opened, RowSeen};
pub use lens::{Ignored, Lens, Seen};
pub use lost::LOST;
pub use metrics::{EndMetrics, Metrics, Point, PointKind, Retransmissions, Rtt};
pub use nagle::NagleWaits;
pub use names::{Name, Names};
pub use options::LensOptions;
pub use row::{Exchange, Kind, LeftOut, Move, Place, Role, Row, RstCause, Run, Shown, Wave, What};
pub use story::{ClosedBy, ClosedFirst, Ended, HalfClosed, Story, TimeWait, icmp_words};
pub use trouble::Trouble;
