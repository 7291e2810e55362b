//! Analyses captures: what `fourwave trace` does, without how its arguments are read.
//!
//! Packets go from a [`fourwave_capture`] reader into a [`fourwave_lens::Lens`]; each record that
//! comes out passes the filter and goes to every [`Sink`]: text, JSON lines, an HTML page,
//! Parquet tables. The [`Overview`] sums up all of them at the end. Memory is bounded by the
//! connections that are alive, and by what a sink keeps on purpose.
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.
#![forbid(unsafe_code)]

mod aggregator;
mod analyse;
mod filter;
#[cfg(test)]
mod fixture;
pub mod html;
pub mod json;
mod overview;
pub mod parquet;
mod sink;
pub mod text;

pub use analyse::{Analysis, Options, Output, OutputError};
pub use filter::{Filter, FilterError};
pub use overview::{FileRead, Lifetimes, Overview, Service, Suspect};
pub use sink::{Numbering, Sink};
