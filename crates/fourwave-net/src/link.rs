//! What stands between the hosts and decides about packets.

use bytes::Bytes;
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
