//! A capture's packets, sorted into connections by the lens.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave_capture::{Packet, Reader, Tally, link_name};
use fourwave_lens::{ConnectionRecord, Lens, LensOptions, Role};

use super::packet::{self, Seg};
use super::{Capture, CaptureError, Connection};

pub(super) fn capture(input: impl Read + Send + 'static) -> Result<Capture, CaptureError> {
    let no_capture = |what: String| CaptureError::NoCapture { what };
    let mut reader = Reader::new(input).map_err(|error| no_capture(error.problem.to_string()))?;
    let mut sorter = Sorter::default();
    while let Some(packet) = reader.next() {
        sorter.packet(&packet);
    }
    sorter.finish(reader.tally(), reader.damaged())
}

/// Gives each segment to its connection.
struct Sorter {
    lens: Lens,
    found: BTreeMap<u64, Vec<(SocketAddr, Seg)>>,
    first: Option<Duration>,
    last: Duration,
}

impl Default for Sorter {
    fn default() -> Self {
        Self {
            lens: Lens::new(LensOptions::default()),
            found: BTreeMap::new(),
            first: None,
            last: Duration::ZERO,
        }
    }
}

impl Sorter {
    fn packet(&mut self, packet: &Packet<'_>) {
        let Some(bytes) = packet.ip else { return };
        let at = packet.at.saturating_sub(*self.first.get_or_insert(packet.at));
        self.last = self.last.max(at);
        let seen = self.lens.observe(at, bytes, packet.wire_len, packet.gso_size);
        let Some(seen) = seen else { return };
        let Some((ip, src_port, _, seg)) = packet::read(bytes, packet.wire_len) else { return };
        let seg = Seg { at, outgoing: packet.outgoing, ..seg };
        let sender = SocketAddr::new(ip.src, src_port);
        self.found.entry(seen.conn).or_default().push((sender, seg));
    }

    fn finish(mut self, tally: &Tally, damaged: Option<&str>) -> Result<Capture, CaptureError> {
        self.lens.finish(self.last);
        let mut stories: BTreeMap<u64, ConnectionRecord> = BTreeMap::new();
        while let Some(story) = self.lens.poll_record() {
            stories.insert(story.conn, story);
        }
        let packets = tally.frames;
        let mut connections = Vec::new();
        for (number, segs) in self.found {
            let Some(story) = stories.remove(&number) else { continue };
            let (client, server) = (story.addr(Role::Client), story.addr(Role::Server));
            let role = |sender| if sender == client { Role::Client } else { Role::Server };
            let segs = segs.into_iter();
            let segs = segs.map(|(sender, seg)| Seg { from: role(sender), ..seg }).collect();
            connections.push(Connection { number, client, server, segs, story: Some(story) });
        }
        let damaged = damaged.map(str::to_owned);
        if !connections.is_empty() {
            return Ok(Capture { connections, packets, damaged });
        }
        Err(match (damaged, tally.unknown_links.as_slice()) {
            (Some(why), _) if packets == 0 => CaptureError::NoCapture { what: why },
            (_, [(link, _), ..]) => CaptureError::NoCapture {
                what: format!(
                    "its link layer {} ({link}) cannot be read: Ethernet, raw IP, Linux cooked \
                     and loopback can",
                    link_name(*link)
                ),
            },
            _ => CaptureError::NoTcp { packets },
        })
    }
}
