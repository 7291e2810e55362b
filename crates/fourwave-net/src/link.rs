//! What stands between the hosts: who decides about packets, and where they have to queue.

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{EndReport, Instant};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It goes on.
    Pass,
    /// It is lost.
    Drop,
    /// These bytes go on in its place, to the address that they name.
    Rewrite(Bytes),
}

/// A place that every packet passes. A boxed closure of the sending host and the packet is one,
/// which can also watch.
pub trait Filter {
    /// Decides about a packet of the host with the index `from`. A super-packet comes as the
    /// network carries it.
    fn decide(&mut self, now: Instant, from: usize, packet: &Bytes) -> Way;

    /// A connection of a host has ended: told in the order of what happens, between the packets.
    fn ended(&mut self, _host: usize, _report: &EndReport) {}
}

impl<F: FnMut(usize, &[u8]) -> Way + ?Sized> Filter for Box<F> {
    fn decide(&mut self, _now: Instant, from: usize, packet: &Bytes) -> Way {
        self(from, packet)
    }
}

/// The narrowest place on the way. Each direction has one, behind the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bytes a second that it sends, IP headers included; not 0.
    pub rate: u64,
    /// Bytes that it holds at most, the packet that it is sending included. What comes on top of
    /// that is lost.
    pub queue: u64,
}

impl Bottleneck {
    /// A packet of `len` bytes comes at `now`, and what came before is sent at `busy`: when it is
    /// sent itself. None when it is lost.
    pub(crate) fn take(&self, now: Instant, busy: Instant, len: usize) -> Option<Instant> {
        let held = busy.since(now).as_micros() as u64 * self.rate / 1_000_000;
        let time = Duration::from_micros((len as u64 * 1_000_000).div_ceil(self.rate));
        (held + len as u64 <= self.queue).then(|| now.max(busy) + time)
    }
}
