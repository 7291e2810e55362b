//! Bytes and numbers of TCP, and of the UDP and ICMP beside it: sequence arithmetic, headers,
//! options, checksums.
//!
//! Every parser here takes bytes from the network: it answers with a value or a
//! [`WireError`], never a panic, and looks at each byte a bounded number of times.
//!
//! Begin with [`ip::IpHeader::parse`] and [`tcp::TcpHeader::parse`], and their `emit` the other
//! way; [`SeqNum`] compares sequence numbers, [`checksum`] has the sums.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod checksum;
mod error;
pub mod icmp;
pub mod ip;
mod offload;
pub mod options;
pub mod raw;
pub mod segment;
mod seq;
mod sum;
pub mod tcp;
pub mod udp;
mod window;

pub use error::WireError;
pub use offload::{GsoKind, Link, RxChecksum, RxPacket, TxChecksum, TxMeta, TxPacket};
pub use seq::SeqNum;
pub use window::{RawWindow, WindowScale};

/// The README's example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
