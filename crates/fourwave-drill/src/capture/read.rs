//! pcap and pcapng files, by `pcap-file`, sorted into connections by the lens.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::time::Duration;

use fourwave_lens::{Lens, LensOptions, Role, Story};
use pcap_file::DataLink;
use pcap_file::pcap::{PcapReader, PcapTsResolution};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;

use super::packet::{self, Seg};
use super::{Capture, CaptureError, Connection, link};

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Both byte orders, microseconds and nanoseconds.
const PCAP: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];
/// A cooked capture of several interfaces may have a packet twice within this time.
const TWICE: Duration = Duration::from_micros(500);

/// `epb_flags`, bits 0 and 1.
const DIRECTION: u32 = 3;
const OUTBOUND: u32 = 2;

pub(super) fn capture(mut input: impl Read) -> Result<Capture, CaptureError> {
    let no_capture = |what: String| CaptureError::NoCapture { what };
    let mut magic = Vec::new();
    input
        .by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(|error| no_capture(format!("cannot be read: {}", error.kind())))?;
    let bytes: [u8; 4] = magic
        .as_slice()
        .try_into()
        .map_err(|_| no_capture("no capture: it has fewer than 4 bytes".to_owned()))?;
    let is_pcap =
        PCAP.contains(&u32::from_be_bytes(bytes)) || PCAP.contains(&u32::from_le_bytes(bytes));
    let whole = Cursor::new(bytes).chain(input);
    let mut sorter = Sorter::default();
    let ended = if bytes == PCAPNG {
        pcapng(whole, &mut sorter)
    } else if is_pcap {
        pcap(whole, &mut sorter)
    } else {
        let [a, b, c, d] = bytes;
        let what = "neither pcap nor pcapng: it begins with";
        return Err(no_capture(format!("{what} {a:02x} {b:02x} {c:02x} {d:02x}")));
    };
    sorter.finish(ended.err())
}

/// A cause and what it comes from, in one line.
fn words(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", words(source)),
        None => error.to_string(),
    }
}

fn pcap(input: impl Read, sorter: &mut Sorter) -> Result<(), String> {
    let mut reader = PcapReader::new(input).map_err(|error| words(&error))?;
    let header = reader.header();
    let nanos = match header.ts_resolution {
        PcapTsResolution::MicroSecond => 1000,
        PcapTsResolution::NanoSecond => 1,
    };
    while let Some(raw) = reader.next_raw_packet() {
        let raw = raw.map_err(|error| words(&error))?;
        let part = Duration::from_nanos(u64::from(raw.ts_frac) * nanos);
        let at = Duration::from_secs(raw.ts_sec.into()) + part;
        sorter.frame(header.datalink, at, &raw.data, raw.orig_len, None);
    }
    Ok(())
}

fn pcapng(input: impl Read, sorter: &mut Sorter) -> Result<(), String> {
    let mut reader = PcapNgReader::new(input).map_err(|error| words(&error))?;
    let mut last = Duration::ZERO;
    while let Some(next) = reader.next_block() {
        let (block, state) = next.map_err(|error| words(&error))?;
        let link_of = |interface: usize| state.interfaces().get(interface).map(|one| one.linktype);
        match block {
            Block::EnhancedPacket(packet) => {
                let flags = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => Some(flags & DIRECTION),
                    _ => None,
                });
                let outgoing = flags.filter(|way| *way != 0).map(|way| way == OUTBOUND);
                last = packet.timestamp;
                if let Some(link) = link_of(packet.interface_id as usize) {
                    sorter.frame(link, last, &packet.data, packet.original_len, outgoing);
                }
            }
            Block::SimplePacket(packet) => {
                if let Some(link) = link_of(0) {
                    sorter.frame(link, last, &packet.data, packet.original_len, None);
                }
            }
            Block::Packet(packet) => {
                last = packet.timestamp;
                if let Some(link) = link_of(packet.interface_id.into()) {
                    sorter.frame(link, last, &packet.data, packet.original_len, None);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives each segment to its connection.
struct Sorter {
    lens: Lens,
    found: BTreeMap<u64, Vec<(std::net::SocketAddr, Seg)>>,
    packets: u64,
    first: Option<Duration>,
    last: Duration,
    unknown: Option<DataLink>,
    /// The packet before, of a cooked capture.
    before: (Duration, Vec<u8>),
}

impl Default for Sorter {
    fn default() -> Self {
        Self {
            lens: Lens::new(LensOptions::default()),
            found: BTreeMap::new(),
            packets: 0,
            first: None,
            last: Duration::ZERO,
            unknown: None,
            before: (Duration::ZERO, Vec::new()),
        }
    }
}

impl Sorter {
    fn frame(
        &mut self,
        link: DataLink,
        at: Duration,
        frame: &[u8],
        orig_len: u32,
        outgoing: Option<bool>,
    ) {
        self.packets += 1;
        if !link::is_known(link) {
            self.unknown = Some(link);
        }
        let Some(framed) = link::packet(link, frame) else { return };
        let bytes = &frame[framed.start..];
        let at = at.saturating_sub(*self.first.get_or_insert(at));
        self.last = self.last.max(at);
        if framed.outgoing.is_some() {
            let (then, before) = &self.before;
            if at.saturating_sub(*then) <= TWICE && before == bytes {
                return;
            }
            self.before = (at, bytes.to_vec());
        }
        let wire_len = (orig_len as usize).saturating_sub(framed.start).max(bytes.len());
        let Some(seen) = self.lens.observe(at, bytes, wire_len, 0) else { return };
        let Some((ip, src_port, _, seg)) = packet::read(bytes, wire_len) else { return };
        let seg = Seg { at, outgoing: outgoing.or(framed.outgoing), ..seg };
        let sender = std::net::SocketAddr::new(ip.src, src_port);
        let peer = self.found.entry(seen.conn).or_default();
        peer.push((sender, seg));
    }

    fn finish(mut self, damaged: Option<String>) -> Result<Capture, CaptureError> {
        self.lens.finish(self.last);
        let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
        while let Some(story) = self.lens.poll_story() {
            stories.insert(story.conn, story);
        }
        let packets = self.packets;
        let mut connections = Vec::new();
        for (number, segs) in self.found {
            let Some(story) = stories.remove(&number) else { continue };
            let (client, server) = (story.addr(Role::Client), story.addr(Role::Server));
            let role = |sender| if sender == client { Role::Client } else { Role::Server };
            let segs = segs.into_iter();
            let segs = segs.map(|(sender, seg)| Seg { from: role(sender), ..seg }).collect();
            connections.push(Connection { number, client, server, segs, story: Some(story) });
        }
        if !connections.is_empty() {
            return Ok(Capture { connections, packets, damaged });
        }
        Err(match (damaged, self.unknown) {
            (Some(why), _) if packets == 0 => {
                CaptureError::NoCapture { what: format!("damaged: {why}") }
            }
            (_, Some(link)) => CaptureError::NoCapture {
                what: format!(
                    "its link layer {link:?} cannot be read: Ethernet, raw IP, Linux cooked and \
                     loopback can"
                ),
            },
            _ => CaptureError::NoTcp { packets },
        })
    }
}
