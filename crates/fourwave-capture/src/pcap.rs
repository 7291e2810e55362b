//! The records of a pcap file, cut by `pcap-file`.

use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapParseError, PcapParser, PcapTsResolution};

use crate::frame::{Frame, Stop};
use crate::window::{LONGEST, Window};

/// Both byte orders, microseconds and nanoseconds.
pub(crate) const MAGIC: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];
const HEADER: usize = 24;
/// The link type without the flags above it.
const LINK: u32 = 0x03ff_ffff;

pub(crate) struct Pcap {
    parser: PcapParser,
    link: u32,
    /// Nanoseconds in a unit of its timestamps.
    unit: u32,
}

impl Pcap {
    pub(crate) fn new(window: &mut Window) -> Result<Self, Stop> {
        if !window.want(HEADER)? {
            return Err(Stop::Cut);
        }
        let (_, parser) = PcapParser::new(window.bytes()).map_err(Stop::damaged)?;
        window.take(HEADER);
        let PcapHeader { datalink, ts_resolution, .. } = parser.header();
        let unit = match ts_resolution {
            PcapTsResolution::MicroSecond => 1000,
            PcapTsResolution::NanoSecond => 1,
        };
        Ok(Self { parser, link: u32::from(datalink) & LINK, unit })
    }

    #[inline]
    pub(crate) fn next(&self, window: &mut Window) -> Result<Option<Frame>, Stop> {
        loop {
            let there = window.bytes();
            let needed = match self.parser.next_raw_packet(there) {
                Ok((rest, packet)) => {
                    let nanos = u64::from(packet.ts_frac) * u64::from(self.unit);
                    let at =
                        Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(nanos);
                    let (original, kept) = (packet.orig_len, packet.data.len());
                    let record = there.len() - rest.len();
                    let end = window.take(record) + record;
                    let data = end - kept..end;
                    let link = Some(self.link);
                    return Ok(Some(Frame {
                        link,
                        at,
                        data,
                        original,
                        outgoing: None,
                        comments: 0..0,
                    }));
                }
                Err(PcapParseError::IncompleteBuffer(needed, _)) => needed,
                Err(error) => return Err(Stop::damaged(error)),
            };
            let have = there.len();
            if needed > LONGEST {
                let why = format!("a packet of {needed} bytes cannot be");
                return Err(Stop::Damaged(why));
            }
            if !window.want(needed.max(have + 1))? {
                return if have == 0 { Ok(None) } else { Err(Stop::Cut) };
            }
        }
    }
}
