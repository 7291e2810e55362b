//! Faults on purpose, by seed: loss, delay, reordering, duplication, corruption, a rate limit.
//!
//! [`Injector`] is sans-I/O, for simulators in virtual time; [`Faulty`] puts one on each
//! direction of a device, in tokio's time.

mod config;
mod device;
mod injector;

pub use config::{FaultConfig, FaultConfigError, Probability};
pub use device::Faulty;
pub use injector::{FaultCounters, Faultable, Injector};
