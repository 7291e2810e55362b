//! `fourwave run`: an unmodified program in a network namespace of its own, and the relay of
//! that namespace's packets to host sockets.
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.

// They panic where nobody reads any more, or the disk is full.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod addresses;
mod channel;
mod demo;
pub mod dns;
mod failure;
mod faults;
mod gateway;
mod guard;
mod host;
mod icmp;
mod loopback;
mod memory_demo;
pub mod namespace;
pub mod notice;
mod observe;
mod other;
mod outputs;
mod privileges;
mod publish;
mod relay;
pub mod run;
mod shared;
mod supervise;
mod target;
mod traffic;
mod udp;

pub use faults::Faults;
pub use fourwave_fault::{FaultSpec, FaultSpecError};
pub use fourwave_lens::summary::Summary;
pub use gateway::{Gateway, GatewayOptions};
pub use memory_demo::{DEMO_REQUEST, demo_answer_is_whole, demo_in_memory};
pub use observe::{Drawn, LensOptions};
pub use publish::Published;
