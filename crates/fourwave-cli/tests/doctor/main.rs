//! `fourwave doctor` on hosts that have what it looks for: each test makes a network namespace of
//! its own, the fault with real programs, and runs the command.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod healthy;
mod host;
mod many;
mod metrics;
mod scope;
mod told;
mod usage;
mod watch;
