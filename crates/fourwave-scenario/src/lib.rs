//! How TCP connections end, as small scripts played on the real engine in virtual time.
//!
//! Each [`Scenario`] is one way in which a connection's life ends, or one remedy against too many
//! ends. [`Scenario::play`] plays it between real engines, with a lens in the middle of the
//! network, and holds what came out against what must come out. [`text`], [`json`] and [`html`]
//! show what was seen.
//!
//! Everything is drawn from fixed seeds: a scenario with the same knobs does the same each time.
//!
//! ```
//! let scenario = fourwave_scenario::find("four-waves").unwrap();
//! let performance = scenario.play(&fourwave_core::Config::default());
//! assert_eq!(performance.failure, None);
//! ```
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.
#![forbid(unsafe_code)]

mod failure;
pub mod html;
pub mod json;
mod middle;
mod nat;
mod part;
mod performance;
mod scenarios;
mod script;
pub mod text;
mod world;

pub use failure::Failure;
pub use part::Part;
pub use performance::Performance;
pub use scenarios::{Scenario, all, find};
