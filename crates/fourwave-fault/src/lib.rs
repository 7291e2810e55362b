//! Faults on purpose: of a link, by seed (loss, delay, reordering, duplication, corruption, a
//! rate limit), and of connections, to order (a lost last ACK, a late FIN, a reset, a stall).
//!
//! [`Injector`] has the faults of one direction of a link, [`Lifecycle`] those of connections,
//! [`Plan`] any number of both, each for its own target. They are sans-I/O, for simulators in
//! virtual time; [`Faulty`] puts them on a device, in tokio's time.
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.
#![forbid(unsafe_code)]

mod alarm;
mod config;
mod device;
mod flow;
mod injector;
mod lifecycle;
mod plan;
mod spec;

pub use config::{FaultConfig, FaultConfigError, Probability};
pub use device::{EachWay, Faults, Faulty};
pub use injector::{FaultCounters, Faultable, Injector};
pub use lifecycle::{FaultDecision, Lifecycle, Note, SegmentOutcome, Tally};
pub use plan::Plan;
pub use spec::{Farewell, Fault, FaultSpec, FaultSpecError, LifecycleFault, Side, Target};
