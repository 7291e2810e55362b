//! A sans-I/O TCP engine: packets, calls and time in; packets, events and deadlines out.
//!
//! It never reads a clock, never blocks, owns no thread and no socket: `now` is an argument of
//! every entry point and randomness a seed given at construction, so any run can be replayed.
//!
//! # Where to begin
//!
//! [`Engine`] is the boundary, one for each device. Packets go in by [`Engine::handle_packet`];
//! after that and after every other call,
//!
//! 1. send what [`Engine::poll_transmit`] writes, until it has nothing more,
//! 2. take what [`Engine::poll_event`] returns, until there is none,
//! 3. call [`Engine::handle_timeout`] at the time of [`Engine::poll_timeout`].
//!
//! | question | where |
//! | --- | --- |
//! | the user's calls to open | [`Engine::connect`], [`Engine::listen`], [`Engine::accept`] |
//! | … and then | [`Engine::send`], [`Engine::receive`], [`Engine::shutdown`], [`Engine::close`] |
//! | what a socket may ask for | [`ConnectOptions`], [`ListenOptions`], [`SocketOption`] |
//! | what happened, and why a connection ended | [`Event`], [`EndReport`] |
//! | knobs, under Linux's names | [`Config`] |
//! | the states and their one table | [`state`] |
//! | statistics | [`TcpInfo`], [`counters`] |
//! | a congestion control of your own | [`congestion::Controller`] |
//!
//! Two engines, joined by hand:
//!
//! ```
//! use fourwave_core::{Config, Engine, Instant, ListenOptions};
//! use fourwave_wire::{Link, RxPacket, TxPacket};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = |seed| Engine::new(Config::default(), Link::plain(1500), [seed; 32]);
//! let mut hosts = [engine(1), engine(2)];
//! let now = Instant::ZERO;
//!
//! let listener = hosts[1].listen(ListenOptions::port(80))?;
//! hosts[0].connect(now, "192.0.2.1:0".parse()?, "192.0.2.2:80".parse()?)?;
//!
//! let mut packet = TxPacket::default();
//! for from in [0, 1, 0] { // SYN, SYN ACK, ACK
//!     while hosts[from].poll_transmit(now, &mut packet) {
//!         let received = RxPacket { bytes: packet.to_vec().into(), ..RxPacket::default() };
//!         hosts[1 - from].handle_packet(now, &received);
//!     }
//! }
//! assert!(hosts[1].accept(now, listener).is_some());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/two_hosts.rs` goes on from there to the end of TIME_WAIT. The crate `fourwave` puts
//! tokio sockets on an engine.
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
mod memory;
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
pub use info::{AccEcnInfo, CaState, TcpInfo};
pub use listener::ListenOptions;
pub use options::{ConnectOptions, ListenFastOpen, SocketOptions};
pub use sender::congestion;
pub use socket_option::{FarEndQuery, SocketOption};
pub use time::Instant;
