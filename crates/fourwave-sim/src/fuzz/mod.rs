//! What the fuzz targets of `/fuzz` do with their bytes; ordinary tests run the same, on the
//! corpora and on random bytes.
//!
//! Bytes become decisions through an [`Input`]: any bytes are a valid run, and when they end the
//! run goes on without surprises to its end.

pub mod engine;
mod input;
pub mod pair;
pub mod wire;

pub use input::Input;

/// What a fuzz target does with its bytes: it panics when a rule is broken.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 4] = [
    ("packet_into_engine", engine::run),
    ("two_engines", pair::run),
    ("tcp_header", wire::tcp_header),
    ("ip_icmp", wire::ip_icmp),
];
