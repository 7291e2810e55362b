//! The buffers that packets are read into.

use bytes::{Bytes, BytesMut};
use fourwave_linux::vnet;

/// Bytes of one slab. A multiple of the largest packet, so that little is left over at its end.
const SLAB: usize = 512 * 1024;
/// How many slabs wait for their packets to be dropped before they are given up to them.
const RETIRED: usize = 3;
/// Packets up to this size get an allocation of their own.
///
/// A slice keeps its whole slab alive, so one idle payload of n bytes costs SLAB / n times its
/// size. Copying out 2 KiB takes about 0.1 µs beside the 1.5 to 2 µs of the read itself, 8 KiB
/// 0.4 µs and 60 kB 1.8 µs (`examples/tun_cost.rs`). So a packet of MTU 1500 is always copied,
/// for 5 %, and slabs hold large packets only, whose payload is in a hurry.
pub(super) const COPY_OUT: usize = 2048;

/// A few large buffers in turn. Packets are cut off the front of the current one; it is used
/// again, without an allocation, once all of its packets are gone.
pub(super) struct Slabs {
    /// Empty between packets; its capacity is the space that is left.
    current: BytesMut,
    /// Used up, oldest first.
    retired: [Option<BytesMut>; RETIRED],
    /// Which of `retired` is the oldest.
    oldest: usize,
}

impl Slabs {
    /// Allocates nothing before the first packet.
    pub(super) fn new() -> Self {
        Self { current: BytesMut::new(), retired: [const { None }; RETIRED], oldest: 0 }
    }

    /// An empty buffer with space for the largest packet and its vnet header.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        self.current.clear();
        // try_reclaim: true at once while there is space, else if nobody holds a packet of it.
        if !self.current.try_reclaim(vnet::MAX_PACKET) {
            self.turn();
        }
        &mut self.current
    }

    fn turn(&mut self) {
        let place = &mut self.retired[self.oldest];
        self.oldest = (self.oldest + 1) % RETIRED;
        let mut next = place.take().unwrap_or_default();
        if !next.try_reclaim(vnet::MAX_PACKET) {
            next = BytesMut::with_capacity(SLAB);
        }
        *place = Some(std::mem::replace(&mut self.current, next));
    }

    /// Takes the packet that was read into [`buffer`](Self::buffer). `skip` bytes in front are
    /// left out.
    pub(super) fn take(&mut self, skip: usize) -> Bytes {
        let len = self.current.len();
        let skip = skip.min(len);
        if len - skip <= COPY_OUT {
            let packet = Bytes::copy_from_slice(&self.current[skip..]);
            self.current.clear();
            return packet;
        }
        let mut packet = self.current.split().freeze();
        packet.split_off(skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(slabs: &mut Slabs, len: usize, fill: u8) -> Bytes {
        let buffer = slabs.buffer();
        assert!(buffer.is_empty() && buffer.capacity() >= vnet::MAX_PACKET);
        buffer.resize(len, fill);
        slabs.take(vnet::LEN)
    }

    #[test]
    fn packets_lose_their_header_and_keep_their_bytes() {
        let mut slabs = Slabs::new();
        let kept: Vec<_> =
            (0..200u8).map(|i| (i, packet(&mut slabs, 11 + usize::from(i) * 300, i))).collect();
        for (i, bytes) in kept {
            assert_eq!(bytes.len(), 1 + usize::from(i) * 300);
            assert!(bytes.iter().all(|b| *b == i), "packet {i} was overwritten");
        }
        assert!(packet(&mut slabs, 4, 1).is_empty(), "shorter than its header");
    }

    #[test]
    fn a_slab_is_used_again_when_its_packets_are_gone() {
        let mut slabs = Slabs::new();
        let first = packet(&mut slabs, 60_000, 1).as_ptr();
        let mut again = false;
        for _ in 0..100 {
            again |= packet(&mut slabs, 60_000, 2).as_ptr() == first;
        }
        assert!(again, "100 packets of 60 kB, each dropped at once, fit one slab");
    }

    #[test]
    fn slabs_take_turns_while_packets_are_held_for_a_while() {
        let mut slabs = Slabs::new();
        let mut held = std::collections::VecDeque::new();
        let mut starts = std::collections::HashSet::new();
        for _ in 0..1000 {
            held.push_back(packet(&mut slabs, 60_000, 3));
            if held.len() > 10 {
                held.pop_front();
            }
            starts.insert(slabs.current.as_ptr() as usize / SLAB);
        }
        assert!(
            starts.len() <= 2 * (RETIRED + 1),
            "{} places for a window of 600 kB",
            starts.len()
        );
    }

    #[test]
    fn a_small_packet_pins_no_slab() {
        let mut slabs = Slabs::new();
        let small = packet(&mut slabs, vnet::LEN + COPY_OUT, 1);
        let at = slabs.buffer().as_ptr() as usize;
        assert!(!(at..at + SLAB).contains(&(small.as_ptr() as usize)));
    }
}
