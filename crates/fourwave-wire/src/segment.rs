//! Segmentation in software: cuts a super-packet as the kernel's GSO does (Linux
//! `net/ipv4/tcp_offload.c` and `udp_offload.c`), for links that cannot carry it.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::checksum::{checksum_is_right, complete_checksum};
use crate::ip::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpHeader, protocol};
use crate::sum::Sum;
use crate::tcp::{Flags, TcpHeader};
use crate::{RxChecksum, RxPacket, SeqNum, WireError};

const UDP_HEADER_LEN: usize = 8;
/// What only the last segment of TCP carries.
const ON_LAST: Flags = Flags::from_bits(Flags::FIN.bits() | Flags::PSH.bits());
/// Where a TCP header keeps its flags.
const TCP_FLAGS_AT: usize = 13;

/// Ordinary packets out of one super-packet, in order. Each is a new allocation with finished
/// checksums; sequence numbers, lengths and IPv4 identifications count on from the original's.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    /// Where the transport header starts.
    transport: usize,
    protocol: u8,
    /// The payload not yet cut off.
    payload: core::ops::Range<usize>,
    /// Bytes of IP and transport headers.
    header_len: usize,
    gso_size: usize,
    /// How many segments were made.
    made: usize,
    done: bool,
}

/// Cuts `packet` (one IP packet of TCP or UDP) into packets of up to `gso_size` bytes of payload.
/// A packet of that size or smaller comes out as one, and 0 means uncut. What stood in the
/// checksum fields is not looked at.
///
/// # Errors
/// A packet that is malformed, a fragment, or neither TCP nor UDP.
pub fn segments(packet: &[u8], gso_size: u16) -> Result<Segments<'_>, WireError> {
    let ip = IpHeader::parse(packet)?;
    let transport = ip.payload.start;
    let payload = match ip.protocol {
        protocol::TCP => {
            let (_, payload) = TcpHeader::parse(&packet[ip.payload.clone()])?;
            transport + payload.start..ip.payload.end
        }
        protocol::UDP if ip.payload.len() >= UDP_HEADER_LEN => {
            transport + UDP_HEADER_LEN..ip.payload.end
        }
        protocol::UDP => return Err(WireError::Truncated),
        _ => return Err(WireError::OtherProtocol),
    };
    Ok(Segments {
        packet,
        transport,
        protocol: ip.protocol,
        header_len: payload.start,
        gso_size: if gso_size == 0 { payload.len() } else { usize::from(gso_size) },
        payload,
        made: 0,
        done: false,
    })
}

/// Cuts a received super-packet. An ordinary packet comes out as it is.
///
/// # Errors
/// As for [`segments`]; [`WireError::BadChecksum`] for a super-packet that nobody vouches for
/// and whose checksum is wrong: its segments would look right.
pub fn segments_of_received(packet: RxPacket) -> Result<Vec<RxPacket>, WireError> {
    if packet.gso_size == 0 {
        return Ok(vec![packet]);
    }
    if packet.checksum == RxChecksum::Unverified && !checksum_is_right(&packet.bytes) {
        return Err(WireError::BadChecksum);
    }
    let checksum = RxChecksum::Unverified;
    let whole = |bytes| RxPacket { bytes: Bytes::from(bytes), gso_size: 0, checksum };
    Ok(segments(&packet.bytes, packet.gso_size)?.map(whole).collect())
}

impl Iterator for Segments<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.done {
            return None;
        }
        let take = self.payload.len().min(self.gso_size);
        let at = self.payload.start;
        self.payload.start += take;
        self.done = self.payload.is_empty();
        let mut segment = Vec::with_capacity(self.header_len + take);
        segment.extend_from_slice(&self.packet[..self.header_len]);
        segment.extend_from_slice(&self.packet[at..at + take]);
        self.adapt_transport(&mut segment, at - self.header_len);
        self.adapt_ip(&mut segment);
        complete_checksum(&mut segment);
        self.made += 1;
        Some(segment)
    }
}

impl Segments<'_> {
    /// `before`: payload bytes in the segments before this one.
    fn adapt_transport(&self, segment: &mut [u8], before: usize) {
        let len = segment.len() - self.transport;
        let header = &mut segment[self.transport..];
        if self.protocol == protocol::UDP {
            header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            return;
        }
        let seq = SeqNum::new(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
        header[4..8].copy_from_slice(&(seq + before as u32).value().to_be_bytes());
        let flags = &mut header[TCP_FLAGS_AT];
        if !self.done {
            *flags &= !ON_LAST.bits();
        }
        // RFC 3168 §6.1.2: CWR answers once.
        if self.made > 0 {
            *flags &= !Flags::CWR.bits();
        }
    }

    fn adapt_ip(&self, segment: &mut [u8]) {
        let len = segment.len();
        if segment[0] >> 4 == 6 {
            let len = (len - IPV6_HEADER_LEN) as u16;
            segment[4..6].copy_from_slice(&len.to_be_bytes());
            return;
        }
        segment[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        let id = u16::from_be_bytes([segment[4], segment[5]]).wrapping_add(self.made as u16);
        segment[4..6].copy_from_slice(&id.to_be_bytes());
        // The header may have options.
        let header_len = (usize::from(segment[0] & 0x0f) * 4).max(IPV4_HEADER_LEN);
        segment[10..12].fill(0);
        let sum = Sum::default().with(&segment[..header_len]).finish();
        segment[10..12].copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests;
