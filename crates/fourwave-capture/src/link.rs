//! From a link's frame to the IP packet in it.

use std::ops::Range;

use pcap_file::DataLink;

/// The numbers of <https://www.tcpdump.org/linktypes.html> that can be read.
mod number {
    pub(super) const NULL: u32 = 0;
    pub(super) const ETHERNET: u32 = 1;
    pub(super) const RAW: u32 = 101;
    pub(super) const LOOP: u32 = 108;
    pub(super) const LINUX_SLL: u32 = 113;
    pub(super) const IPV4: u32 = 228;
    pub(super) const IPV6: u32 = 229;
    pub(super) const LINUX_SLL2: u32 = 276;
}

/// What some systems write for raw IP.
const RAW_TOO: [u32; 2] = [12, 14];
const VLANS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// `packet_type` of cooked captures: sent by this host.
const OUTGOING: u16 = 4;
/// AF_INET, then AF_INET6 of Linux, NetBSD, FreeBSD and macOS.
const FAMILIES: [u32; 5] = [2, 10, 24, 28, 30];

/// Where the IP packet is, and what the link says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) ip: Range<usize>,
    /// Whether the capturing host sent it.
    pub(crate) outgoing: Option<bool>,
    /// Only of a cooked capture: the interface, 0 where that is not said.
    pub(crate) cooked: Option<u32>,
}

/// The name of a link type, for messages: `IEEE802_11`, or `unknown` where it has none here.
pub fn link_name(link: u32) -> String {
    match DataLink::from(link) {
        DataLink::Unknown(_) => "unknown".to_owned(),
        known => format!("{known:?}"),
    }
}

/// Whether frames of this link can be read at all.
pub(crate) fn is_known(link: u32) -> bool {
    use number::{ETHERNET, IPV4, IPV6, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW};
    matches!(link, NULL | ETHERNET | RAW | LOOP | LINUX_SLL | IPV4 | IPV6 | LINUX_SLL2)
        || RAW_TOO.contains(&link)
}

/// Finds the packet; none where the frame carries something else or is cut short.
#[inline]
pub(crate) fn packet(link: u32, frame: &[u8]) -> Option<Framed> {
    use number::{ETHERNET, IPV4, IPV6, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW};
    let (start, outgoing, cooked) = match link {
        ETHERNET => (behind_tags(frame, 12, 14)?, None, None),
        RAW | IPV4 | IPV6 | 12 | 14 => (0, None, None),
        NULL | LOOP => {
            let family = u32::from_be_bytes(*frame.first_chunk()?);
            let known = FAMILIES.iter().any(|one| [*one, one.swap_bytes()].contains(&family));
            known.then_some((4, None, None))?
        }
        LINUX_SLL => {
            let start = behind_tags(frame, 14, 16)?;
            (start, Some(word(frame, 0)? == OUTGOING), Some(0))
        }
        LINUX_SLL2 => {
            let start = behind_tags(frame, 0, 20)?;
            let interface = u32::from_be_bytes(*frame.get(4..)?.first_chunk()?);
            (start, Some(u16::from(*frame.get(10)?) == OUTGOING), Some(interface))
        }
        _ => return None,
    };
    let end = start + extent(frame.get(start..)?)?;
    Some(Framed { ip: start..end, outgoing, cooked })
}

/// Where the payload of type IP begins: the type is at `kind`, `start` is after it, and any tags
/// (two bytes, then the next type) come between.
#[inline]
fn behind_tags(frame: &[u8], mut kind: usize, mut start: usize) -> Option<usize> {
    loop {
        match word(frame, kind)? {
            0x0800 | 0x86dd => return Some(start),
            tag if VLANS.contains(&tag) => {
                kind = start + 2;
                start += 4;
            }
            _ => return None,
        }
    }
}

/// How much of these bytes is the packet: Ethernet pads short frames and may have a checksum
/// behind. None where it is no IP.
#[inline]
fn extent(bytes: &[u8]) -> Option<usize> {
    let said = match bytes.first()? >> 4 {
        4 => usize::from(word(bytes, 2).unwrap_or(0)),
        6 => match usize::from(word(bytes, 4).unwrap_or(0)) {
            0 => 0,
            payload => payload + 40,
        },
        _ => return None,
    };
    // 0 is a super-packet of 64 KiB and more.
    Some(if said == 0 { bytes.len() } else { said.min(bytes.len()) })
}

/// Bytes of the whole packet on the wire, of which `bytes` were kept and `said` by the capture.
#[inline]
pub(crate) fn wire_len(bytes: &[u8], said: usize) -> usize {
    let header = match bytes.first().map_or(0, |first| first >> 4) {
        4 => usize::from(word(bytes, 2).unwrap_or(0)),
        _ => match usize::from(word(bytes, 4).unwrap_or(0)) {
            0 => 0,
            payload => payload + 40,
        },
    };
    if header == 0 { said.max(bytes.len()) } else { header.max(bytes.len()) }
}

#[inline]
fn word(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}
