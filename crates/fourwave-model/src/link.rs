//! The network between the two ends.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use fourwave_core::Instant;
use fourwave_core::time::Duration;
use fourwave_wire::RxPacket;
use fourwave_wire::ip::IpHeader;
use fourwave_wire::tcp::TcpHeader;

use crate::print::Print;

/// How long a segment can live in the network: half of the default `tcp_timewait_len`.
pub(crate) const MSL: Duration = Duration::from_secs(30);

/// A segment on its way.
#[derive(Clone)]
pub(crate) struct InFlight {
    pub(crate) packet: RxPacket,
    sent: Instant,
    /// Everything but checksum and timestamps.
    print: u64,
    timestamps: [u32; 2],
}

impl InFlight {
    /// `packet` must be one that the engine made.
    pub(crate) fn new(packet: RxPacket, sent: Instant) -> Self {
        let (header, payload) = parse(&packet.bytes);
        let stamps = header.options.timestamps;
        let mut print = Print::default();
        let bare = TcpHeader {
            options: fourwave_wire::options::TcpOptions { timestamps: None, ..header.options },
            ..header
        };
        let mut text = Vec::new();
        bare.emit(&mut text);
        text.extend_from_slice(payload);
        print.write(&text);
        print.write_u8(stamps.is_some().into());
        let timestamps = stamps.map_or([0; 2], |t| [t.value, t.echo]);
        let print = print.finish();
        Self { packet, sent, print, timestamps }
    }

    fn print(&self, now: Instant) -> u64 {
        let clock = (now.as_micros() / 1000) as u32;
        let mut print = Print::default();
        print.write_u64(self.print);
        for stamp in self.timestamps {
            print.write_u32(if stamp == 0 { 0 } else { stamp.wrapping_sub(clock) });
        }
        print.finish()
    }

    fn age(&self, now: Instant) -> Duration {
        now.since(self.sent)
    }

    /// Flags, numbers and length as a person reads them.
    pub(crate) fn describe(&self) -> String {
        let (header, payload) = parse(&self.packet.bytes);
        format!(
            "{:?} seq {:?} ack {:?} len {}",
            header.flags,
            header.seq,
            header.ack,
            payload.len()
        )
    }
}

fn parse(bytes: &[u8]) -> (TcpHeader, &[u8]) {
    let ip = IpHeader::parse(bytes).expect("the engine's packets are well formed");
    let segment = &bytes[ip.payload];
    let (header, payload) = TcpHeader::parse(segment).expect("so are its segments");
    (header, &segment[payload])
}

/// One direction.
#[derive(Clone, Default)]
pub(crate) struct Lane {
    /// In order; time stands still while one is here.
    pub(crate) queue: VecDeque<InFlight>,
    /// Copies and what was held back: these arrive at any time within [`MSL`], or not at all.
    pub(crate) late: Vec<InFlight>,
}

impl Lane {
    /// Time has passed.
    pub(crate) fn age(&mut self, now: Instant) {
        self.late.retain(|segment| segment.age(now) <= MSL);
    }

    pub(crate) fn print(&self, now: Instant, state: &mut impl Hasher) {
        self.queue.len().hash(state);
        self.queue.iter().for_each(|segment| segment.print(now).hash(state));
        // Their order means nothing.
        let late = self.late.iter().map(|s| (s.print(now), s.age(now)));
        let mut late: Vec<_> = late.collect();
        late.sort_unstable();
        late.hash(state);
    }
}
