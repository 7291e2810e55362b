//! Tokio sockets over a userspace TCP: [`TcpListener`] and [`TcpStream`] on any packet
//! [`Device`], with every connection's end explained.
//!
//! A [`Stack`] puts the engine of `fourwave-core` on one device and spawns one driver task, which
//! reads packets in batches, feeds the engine, wakes the sockets and flushes what is to be sent.
//! Sockets flush inline after their own call where the device has room.
//!
//! # Example
//!
//! Two stacks on a link in memory; on a TUN ([`device::tun`]) one of them is the kernel.
//!
//! ```
//! use fourwave::{EndReason, Link, Stack, StackOptions, device::memory};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::io::Result<()> {
//! let (near, far) = memory::pair(Link::offloading(1500), Link::offloading(1500), 256);
//! let client = Stack::spawn(near, StackOptions::default().address([10, 4, 0, 100]))?;
//! let server = Stack::spawn(far, StackOptions::default())?;
//!
//! let listener = server.listen("10.4.0.1:80".parse().unwrap(), 16)?;
//! let serving = tokio::spawn(async move {
//!     let (mut stream, _from) = listener.accept().await?;
//!     let mut question = String::new();
//!     stream.read_to_string(&mut question).await?; // until the client's FIN
//!     stream.write_all(format!("{question} yourself").as_bytes()).await // then drop: our FIN
//! });
//!
//! let mut stream = client.connect("10.4.0.1:80".parse().unwrap()).await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?; // half-close: the first of the four waves
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "hello yourself");
//! serving.await.unwrap()?;
//!
//! // Every end has a reason, and every error that an end causes carries it.
//! assert_eq!(stream.closed().await, EndReason::Orderly);
//! let error = client.connect("10.4.0.1:81".parse().unwrap()).await.unwrap_err();
//! assert_eq!(fourwave::end_reason(&error), Some(EndReason::Refused));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod driver;
mod error;
mod flush;
mod halves;
mod incoming;
mod inner;
mod listener;
mod notice;
mod reports;
mod sender_report;
mod shared;
mod socket;
mod stack;
mod stream;
mod tcp_socket;

pub use error::{CloseError, end_reason};
pub use halves::{FarEnd, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use incoming::{Incoming, IncomingListener};
pub use inner::IoCounters;
pub use listener::TcpListener;
pub use notice::{Notice, NoticeKind};
pub use reports::Reports;
pub use sender_report::SenderReport;
pub use stack::{Stack, StackOptions};
pub use stream::TcpStream;
pub use tcp_socket::TcpSocket;

/// Congestion control: the engine's, and the trait for one of your own.
pub use fourwave_core::congestion;

pub use fourwave_core::config::{Knob, KnobError, Unit};
pub use fourwave_core::counters::Counters;
pub use fourwave_core::state::State;
pub use fourwave_core::{
    Config, Decision, EndReason, EndReport, FarEndQuery, FastOpenKeys, Instant, Population, Side,
    SocketOption, TcpInfo, UserCall,
};
pub use fourwave_device::{self as device, Device};
pub use fourwave_wire::icmp::IcmpError;
pub use fourwave_wire::{Link, RxPacket, TxPacket};

/// The README's example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
