//! A seeded simulator: engines joined by bad links in virtual time, and checkers that know TCP's
//! rules by themselves.
//!
//! Most worlds are two or three hosts with few connections and every kind of bad link. One in 25
//! is a crowd: up to 12 hosts with both IP versions, up to 400 short connections on few ports, so
//! that TIME_WAITs are reused and taken over, queues are full and limits are met. Half of the
//! crowds keep TIME_WAIT long: there, polite connections must end in order as everywhere.
//!
//! A [`Plan`] is drawn from a seed, a [`World`] lets it happen, and the first broken rule is a
//! [`Failure`]. The same seed gives the same world to the last packet, so a failure replays:
//! `cargo run --release -p fourwave-sim -- --seed 1234 --ladder`.
//!
//! | checker | file |
//! | --- | --- |
//! | every byte once and in order, nothing after the end, states by the table | [`app`] |
//! | what one segment may say: text, windows, ACKs, sizes | [`watch`] |
//! | events only for living handles, one report each | `world/events.rs` |
//! | one end for each connection, counted once; what is alive adds up at any time | [`ledger`] |
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
pub use world::{RunSummary, Trace, World};

/// Runs the world of `seed`.
///
/// # Errors
/// The first rule that was broken; a panic of the engine is one.
pub fn run(seed: u64, overrides: &Overrides) -> Result<RunSummary, Failure> {
    replay::caught(|| {
        let mut world = World::new(Plan::new(seed, overrides));
        world.run().map(|()| world.outcome())
    })
}
