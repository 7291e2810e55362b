//! `fourwave trace` against those who know: tshark's counts of the same capture, `ss` on the
//! hosts while it was taken, DuckDB on the tables.
//!
//! The captures are made by the tests, of real programs in namespaces of their own.

mod counts;
mod lab;
mod large;
mod states;
mod tables;
mod told;
mod tshark;
mod virtual_time;
