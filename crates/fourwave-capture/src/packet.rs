//! What a capture consists of.

use std::time::Duration;

use crate::comments::Comments;

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its number in its file, from 1, as Wireshark counts: every frame, TCP or not.
    pub number: u64,
    /// Since the epoch of Unix, in the capture's own resolution.
    pub at: Duration,
    /// The IP packet in it, or as much of that as was kept; `None` where the frame carries
    /// something else or its link layer is not known.
    pub ip: Option<&'a [u8]>,
    /// Bytes of the whole IP packet on the wire (at least those kept).
    pub wire_len: usize,
    /// Whether the capturing host sent it, where the capture says so.
    pub outgoing: Option<bool>,
    /// Payload of each segment of a super-packet; 0 where that is not known, or it is none.
    pub gso_size: u16,
    /// What the capture says of it.
    pub comments: Comments<'a>,
}

/// What was read so far, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Bytes of the capture, uncompressed.
    pub bytes: u64,
    /// Frames that carry no IP (ARP, LLDP …).
    pub other: u64,
    /// Frames of which the end was cut off (snaplen).
    pub cut: u64,
    /// Frames of link layers that cannot be read: their number in the list of link types
    /// (<https://www.tcpdump.org/linktypes.html>) and how many.
    pub unknown_links: Vec<(u32, u64)>,
    /// Second sightings of a packet that a capture of all interfaces has twice (leaving and coming
    /// in on loopback, on a bridge and on its port, before and after it was forwarded): they have
    /// no `ip`.
    pub twice: u64,
    /// Frames that the capturing system says it dropped, where it says so.
    pub dropped: Option<u64>,
}
