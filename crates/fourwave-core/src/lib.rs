//! A sans-I/O TCP engine: packets, calls and time in; packets, events and deadlines out.
//!
//! It never reads a clock, never blocks, owns no thread and no socket: `now` is an argument of
//! every entry point and randomness a seed given at construction, so any run can be replayed.
//! [`Engine`] is the boundary.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod by_host;
pub mod config;
mod conn;
pub mod counters;
mod demux;
pub mod end;
mod engine;
pub mod error;
pub mod event;
mod fast_open;
mod fifo;
#[cfg(feature = "model")]
mod fingerprint;
mod half_open;
mod hosts;
pub mod info;
mod limit;
mod listener;
mod negotiated;
pub mod options;
mod packet;
mod ports;
mod secret;
mod sender;
mod slab;
pub mod socket_option;
pub mod state;
pub mod time;
mod time_wait;
mod timers;

pub use config::Config;
pub use end::{EndReason, EndReport, Side, UserCall};
pub use engine::{Accepted, Engine, Population};
pub use event::{ConnId, Decision, Event, ListenerId, PendingId};
pub use fast_open::{FastOpenKey, FastOpenKeys};
pub use info::{CaState, TcpInfo};
pub use listener::ListenOptions;
pub use options::{ConnectOptions, ListenFastOpen, SocketOptions};
pub use sender::congestion;
pub use socket_option::{FarEndQuery, SocketOption};
pub use time::Instant;
