//! A connection.
pub mod state;
