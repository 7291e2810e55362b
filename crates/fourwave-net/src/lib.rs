//! The virtual network: engines and what is between them, in virtual time. No clock, no I/O, no
//! randomness but the seeds; time jumps to whatever comes next.
//!
//! A [`Network`] is the whole of it: hosts, a [`Filter`] and a [`Bottleneck`] on the way, a delay,
//! and steps. Who needs an order of their own (a fuzzer, a model checker, a script) takes the
//! parts: [`transmit`], [`convert`], [`segment`].
#![forbid(unsafe_code)]

mod convert;
mod host;
mod link;
mod network;

pub use convert::{Carry, convert, segment};
pub use host::{Host, read_all, transmit};
pub use link::{Bottleneck, Filter, Way};
pub use network::Network;
