//! A seeded simulator: engines joined by bad links in virtual time, and checkers that know TCP's
//! rules by themselves.
//!
//! A [`Plan`] is drawn from a seed, a [`World`] lets it happen, and the first broken rule is a
//! [`Failure`]. The same seed gives the same world to the last packet, so a failure replays:
//! `cargo run --release -p fourwave-sim -- --seed 1234 --ladder`.
//!
//! | checker | file |
//! | --- | --- |
//! | every byte once and in order, nothing behind the end, states by the table | [`app`] |
//! | what one segment may say: text, windows, ACKs, sizes | [`watch`] |
//! | events only for living handles, one report each | `world/events.rs` |
//! | each connection has one end and each end one counter; what is alive adds up at any time | [`ledger`] |
//! | orderly ends, nothing left over, an end at all | `world/end.rs` |
//!
//! [`fuzz`] holds what the targets of `/fuzz` do: arbitrary packets, calls, times and faults.
#![forbid(unsafe_code)]

pub mod app;
pub mod dice;
mod failure;
pub mod fuzz;
pub mod ledger;
pub mod plan;
pub mod replay;
pub mod text;
pub mod watch;
mod world;

pub use failure::Failure;
pub use plan::{Overrides, Plan};
pub use world::{Outcome, Trace, World};

/// Runs the world of `seed`.
///
/// # Errors
/// The first rule that was broken; a panic of the engine is one.
pub fn run(seed: u64, overrides: &Overrides) -> Result<Outcome, Failure> {
    replay::caught(|| {
        let mut world = World::new(Plan::new(seed, overrides));
        world.run().map(|()| world.outcome())
    })
}
