//! Tokio sockets over a userspace TCP: [`TcpListener`] and [`TcpStream`] on any packet
//! [`Device`], with every connection's end explained.
//!
//! A [`Stack`] puts the engine of `fourwave-core` on one device and spawns one driver task, which
//! reads packets in batches, feeds the engine, wakes the sockets and flushes what is to be sent.
//! Sockets flush inline after their own call where the device has room.
#![forbid(unsafe_code)]

mod driver;
mod error;
mod halves;
mod incoming;
mod inner;
mod listener;
mod shared;
mod socket;
mod stack;
mod stream;

pub use error::{CloseError, end_reason};
pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use incoming::{Incoming, IncomingListener};
pub use inner::IoCounters;
pub use listener::TcpListener;
pub use stack::{Stack, StackOptions};
pub use stream::TcpStream;

pub use fourwave_core::config::{Knob, KnobError, Unit};
pub use fourwave_core::counters::Counters;
pub use fourwave_core::state::State;
pub use fourwave_core::{
    Config, Decision, EndReason, EndReport, Instant, Population, Side, SocketOption, TcpInfo,
    UserCall,
};
pub use fourwave_device::{self as device, Device};
pub use fourwave_wire::icmp::IcmpError;
pub use fourwave_wire::{Link, RxPacket, TxPacket};
