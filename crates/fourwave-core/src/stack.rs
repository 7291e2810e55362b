//! The engine's boundary, and nothing clever.
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;
use fourwave_wire::{Link, RxPacket, TxPacket};

use crate::config::Config;
use crate::counters::Counters;
use crate::error::{ConnectError, ListenError, NoSuchConnection, ReceiveError, SendError};
use crate::event::{ConnId, Decision, Event, ListenerId, PendingId};
use crate::info::{SocketOption, TcpInfo};
use crate::time::Instant;

/// For whom a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address to answer for; `None` for any.
    pub address: Option<core::net::IpAddr>,
    /// Port to answer for; `None` for any (a gateway's).
    pub port: Option<u16>,
    /// Report each SYN and wait for the caller's [`Decision`] before it is answered.
    pub deferred: bool,
    /// Longest accept queue; limited by `somaxconn`.
    pub backlog: usize,
}

/// A TCP for many connections: packets, calls and time in; packets, events and deadlines out.
pub struct Stack;

#[allow(unused_variables, clippy::unused_self, clippy::todo)]
impl Stack {
    /// A stack for one device. `seed` must be random where strangers send packets: sequence
    /// numbers, ports and hashes are drawn from it.
    pub fn new(config: Config, link: Link, seed: [u8; 32]) -> Self {
        todo!()
    }
    /// One received IP packet. O(1), but for its bytes when the checksum is to be verified.
    /// `false`: not TCP and not an ICMP error about our TCP; the packet is the caller's business.
    pub fn handle_packet(&mut self, now: Instant, packet: &RxPacket) -> bool {
        todo!()
    }
    /// Writes the next packet into `out` (cleared first) and returns true; false when idle.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut TxPacket) -> bool {
        todo!()
    }
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// Answers SYNs.
    pub fn listen(&mut self, options: Listen) -> Result<ListenerId, ListenError> {
        todo!()
    }
    /// Ends a listener; its half-open connections and those not accepted are reset.
    pub fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        todo!()
    }
    /// Answers an [`Event::Incoming`]. False when the SYN is gone already.
    pub fn decide(&mut self, now: Instant, pending: PendingId, decision: Decision) -> bool {
        todo!()
    }
    /// The next open connection of a listener, and the PendingId it had when deferred.
    pub fn accept(&mut self, now: Instant, listener: ListenerId) -> Option<Accepted> {
        todo!()
    }
    /// Opens a connection. A `local` port of 0 is chosen by the engine.
    pub fn connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnId, ConnectError> {
        todo!()
    }
    /// Queues as much of `data` as there is room for and takes that off its front; returns bytes taken (0 = would block).
    pub fn send(
        &mut self,
        now: Instant,
        conn: ConnId,
        data: &mut Bytes,
    ) -> Result<usize, SendError> {
        todo!()
    }
    /// The next received bytes, at most `max`; an empty chunk is the end (FIN).
    pub fn receive(
        &mut self,
        now: Instant,
        conn: ConnId,
        max: usize,
    ) -> Result<Bytes, ReceiveError> {
        todo!()
    }
    /// Closes our sending direction (half-close). Idempotent.
    pub fn shutdown(&mut self, now: Instant, conn: ConnId) -> Result<(), SendError> {
        todo!()
    }
    /// Gives the handle back; the connection ends by itself in order, or by RST when received
    /// data is unread. The handle is dead at once; `Event::Closed` still comes.
    pub fn close(&mut self, now: Instant, conn: ConnId) -> Result<(), NoSuchConnection> {
        todo!()
    }
    /// Gives the handle back and resets the connection.
    pub fn abort(&mut self, now: Instant, conn: ConnId) -> Result<(), NoSuchConnection> {
        todo!()
    }
    /// Sets an option.
    pub fn set_option(
        &mut self,
        now: Instant,
        conn: ConnId,
        option: SocketOption,
    ) -> Result<(), NoSuchConnection> {
        todo!()
    }
    /// TCP_INFO.
    pub fn info(&self, conn: ConnId) -> Result<TcpInfo, NoSuchConnection> {
        todo!()
    }
    /// Bytes that `send` would take now.
    pub fn send_room(&self, conn: ConnId) -> Result<usize, SendError> {
        todo!()
    }
    /// Counters.
    pub fn counters(&self) -> &Counters {
        todo!()
    }
    /// Settings.
    pub fn config(&self) -> &Config {
        todo!()
    }
    /// What is alive now.
    pub fn population(&self) -> Population {
        todo!()
    }
}

/// A connection handed out by [`Stack::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The connection.
    pub conn: ConnId,
    /// The name its SYN had, when the listener defers.
    pub pending: Option<PendingId>,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// How many of each size are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Population {
    /// Half-open records.
    pub half_open: usize,
    /// Connections, those included that ended and whose handle is still held.
    pub connections: usize,
    /// TIME_WAIT records.
    pub time_wait: usize,
    /// Connections among them whose handle was given back.
    pub orphans: usize,
}
