//! Every order in which things can happen to one connection, tried out on two real engines.
//!
//! A [`World`] is two engines, the programs that use them and the network between them. From each
//! world [`explore()`] takes every [`Action`] that can come next: a segment arrives, is lost,
//! copied or held back, a timer runs out, a program opens, accepts, sends, reads, shuts down or
//! closes.
//! Worlds that were seen before are not entered again, so the search ends, and what it did not
//! find does not exist within its bounds ([`Setup`]). The first rule that is broken is a
//! [`Violation`] with the way to it, shortened, and its ladder. See `docs/model.md`.
#![forbid(unsafe_code)]

pub mod action;
pub mod broken;
pub mod explore;
mod judge;
mod link;
mod print;
pub mod setup;
pub mod trace;
mod user;
mod world;

pub use action::{Action, End};
pub use explore::{Exploration, Stats, Violation, explore};
pub use setup::Setup;
pub use trace::Replay;
pub use world::World;
