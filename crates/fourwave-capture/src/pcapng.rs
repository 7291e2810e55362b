//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng). `pcap-file` cuts them; their fields are
//! read here, because it refuses the whole file for one odd option (a comment that is not UTF-8,
//! picoseconds) and allocates for each packet with options.

use std::ops::Range;
use std::time::Duration;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use pcap_file::pcapng::RawBlock;
use pcap_file::pcapng::RawBlockParseError;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK, PACKET_BLOCK,
    SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
};

use crate::comments::{COMMENT, Comments, take_option};
use crate::frame::{Frame, Stop};
use crate::window::{LONGEST, Window};

pub(crate) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BIG_ENDIAN: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
/// Interfaces of a section; a file with more is no capture.
const MOST_INTERFACES: usize = 1 << 16;

/// Options.
mod option {
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_TSOFFSET: u16 = 14;
    pub(super) const EPB_FLAGS: u16 = 2;
    pub(super) const EPB_DROPCOUNT: u16 = 4;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// `epb_flags`, bits 0 and 1.
const DIRECTION: u32 = 3;
const OUTBOUND: u32 = 2;

/// What timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many in a second.
    Of(u64),
    /// 10 to this power in a second, more than 64 bits hold.
    Tiny(u32),
    /// 2 to this power in a second.
    Binary(u32),
}

impl Unit {
    /// `if_tsresol`.
    fn new(resolution: u8) -> Self {
        let power = u32::from(resolution & 0x7f);
        match 10_u64.checked_pow(power) {
            _ if resolution & 0x80 != 0 => Self::Binary(power),
            Some(count) => Self::Of(count),
            None => Self::Tiny(power),
        }
    }

    #[inline]
    fn time(self, raw: u64) -> Duration {
        const NANOS: u64 = 1_000_000_000;
        let nanos = match self {
            Self::Of(count) => {
                let (seconds, rest) = (raw / count, raw % count);
                let part =
                    if count <= NANOS { rest * (NANOS / count) } else { rest / (count / NANOS) };
                return Duration::new(seconds, u32::try_from(part).unwrap_or(0));
            }
            Self::Tiny(power) => match 10_u128.checked_pow(power - 9) {
                Some(divisor) => u128::from(raw) / divisor,
                None => 0,
            },
            Self::Binary(power) => (u128::from(raw) * u128::from(NANOS)) >> power,
        };
        Duration::from_nanos_u128(nanos)
    }
}

struct Interface {
    link: u32,
    /// Bytes kept of each packet; 0: all.
    snap_len: u32,
    unit: Unit,
    /// Seconds that are added.
    offset: i64,
    /// Dropped by the statistics, of which the last is the sum, and packet by packet.
    dropped: Option<u64>,
    dropped_between: Option<u64>,
}

impl Interface {
    #[inline]
    fn time(&self, high: u32, low: u32) -> Duration {
        let time = self.unit.time(u64::from(high) << 32 | u64::from(low));
        if self.offset == 0 {
            return time;
        }
        let offset = Duration::from_secs(self.offset.unsigned_abs());
        if self.offset > 0 { time.saturating_add(offset) } else { time.saturating_sub(offset) }
    }

    fn drops(&self) -> Option<u64> {
        self.dropped.max(self.dropped_between)
    }
}

pub(crate) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Dropped in sections before.
    dropped: Option<u64>,
    /// The time of the packet before: simple packets have none.
    last: Duration,
}

/// What a block is to us.
enum Content {
    Frame(Frame),
    Other,
}

impl Pcapng {
    pub(crate) fn new(window: &mut Window) -> Result<Self, Stop> {
        // The byte order follows the first block's type and length.
        if !window.want(12)? {
            return Err(Stop::Cut);
        }
        let mut new =
            Self { big_endian: false, interfaces: Vec::new(), dropped: None, last: Duration::ZERO };
        match new.block(window)? {
            Some(_) => Ok(new),
            None => Err(Stop::Cut),
        }
    }

    /// The comments among a packet's options.
    pub(crate) fn comments<'a>(&self, options: &'a [u8]) -> Comments<'a> {
        Comments::new(options, self.big_endian)
    }

    /// Frames that the capturing system dropped, where the file says.
    pub(crate) fn dropped(&self) -> Option<u64> {
        self.interfaces.iter().filter_map(Interface::drops).chain(self.dropped).reduce(sum)
    }

    #[inline]
    pub(crate) fn next(&mut self, window: &mut Window) -> Result<Option<Frame>, Stop> {
        loop {
            match self.block(window)? {
                Some(Content::Frame(frame)) => return Ok(Some(frame)),
                Some(Content::Other) => {}
                None => return Ok(None),
            }
        }
    }

    fn block(&mut self, window: &mut Window) -> Result<Option<Content>, Stop> {
        loop {
            let have = window.bytes().len();
            let needed = if self.big_endian {
                self.cut::<BigEndian>(window)
            } else {
                self.cut::<LittleEndian>(window)
            };
            let needed = match needed? {
                Cut::Block(content) => return Ok(Some(content)),
                Cut::Needs(needed) => needed,
            };
            if needed > LONGEST {
                return Err(Stop::Damaged(format!("a block of {needed} bytes cannot be")));
            }
            if !window.want(needed.max(have + 1))? {
                return if have == 0 { Ok(None) } else { Err(Stop::Cut) };
            }
        }
    }

    #[inline]
    fn cut<B: ByteOrder>(&mut self, window: &mut Window) -> Result<Cut, Stop> {
        let there = window.bytes();
        let (rest, block) = match RawBlock::from_slice::<B>(there) {
            Ok(cut) => cut,
            // It counts what follows type and length.
            Err(RawBlockParseError::IncompleteBuffer(needed, _)) => {
                return Ok(Cut::Needs(needed.saturating_add(8)));
            }
            Err(RawBlockParseError::InvalidFormat(why)) => return Err(Stop::damaged(why)),
        };
        let record = there.len() - rest.len();
        let body = block.body.as_ref();
        let content = match block.type_ {
            ENHANCED_PACKET_BLOCK => Some(self.enhanced::<B>(body)?),
            SIMPLE_PACKET_BLOCK => Some(self.simple::<B>(body)?),
            PACKET_BLOCK => Some(self.obsolete::<B>(body)?),
            INTERFACE_DESCRIPTION_BLOCK => self.interface::<B>(body)?,
            INTERFACE_STATISTIC_BLOCK => self.statistics::<B>(body)?,
            SECTION_HEADER_BLOCK => self.section(body)?,
            _ => None,
        };
        let began = window.take(record) + 8;
        Ok(Cut::Block(match content {
            Some(mut frame) => {
                for place in [&mut frame.data, &mut frame.comments] {
                    *place = began + place.start..began + place.end;
                }
                Content::Frame(frame)
            }
            None => Content::Other,
        }))
    }

    fn section(&mut self, body: &[u8]) -> Result<Option<Frame>, Stop> {
        self.dropped = self.dropped();
        self.interfaces.clear();
        self.big_endian = first::<4>(body, 0)? == BIG_ENDIAN;
        Ok(None)
    }

    fn interface<B: ByteOrder>(&mut self, body: &[u8]) -> Result<Option<Frame>, Stop> {
        if self.interfaces.len() == MOST_INTERFACES {
            return Err(Stop::Damaged(format!("more than {MOST_INTERFACES} interfaces")));
        }
        let mut interface = Interface {
            link: B::read_u16(&first::<2>(body, 0)?).into(),
            snap_len: B::read_u32(&first::<4>(body, 4)?),
            unit: Unit::new(6),
            offset: 0,
            dropped: None,
            dropped_between: None,
        };
        options::<B>(body, 8, |code, value| match (code, value.len()) {
            (option::IF_TSRESOL, 1) => interface.unit = Unit::new(value[0]),
            (option::IF_TSOFFSET, 8) => interface.offset = B::read_i64(value),
            _ => {}
        });
        self.interfaces.push(interface);
        Ok(None)
    }

    fn statistics<B: ByteOrder>(&mut self, body: &[u8]) -> Result<Option<Frame>, Stop> {
        let number = B::read_u32(&first::<4>(body, 0)?);
        let Some(interface) = self.interfaces.get_mut(number as usize) else { return Ok(None) };
        let mut dropped = None;
        options::<B>(body, 12, |code, value| {
            if matches!(code, option::ISB_IFDROP | option::ISB_OSDROP) && value.len() == 8 {
                dropped = Some(sum(dropped.unwrap_or(0), B::read_u64(value)));
            }
        });
        interface.dropped = dropped.or(interface.dropped);
        Ok(None)
    }

    #[inline]
    fn enhanced<B: ByteOrder>(&mut self, body: &[u8]) -> Result<Frame, Stop> {
        let fixed: [u8; 20] = first(body, 0)?;
        let word = |at: usize| B::read_u32(&fixed[at..at + 4]);
        let data = place(body, 20, word(12));
        let (mut outgoing, mut dropped, mut comments) = (None, None, 0..0);
        let start = data.end.next_multiple_of(4);
        options::<B>(body, start, |code, value| match (code, value.len()) {
            (option::EPB_FLAGS, 4) => outgoing = direction(B::read_u32(value)),
            (option::EPB_DROPCOUNT, 8) => dropped = Some(B::read_u64(value)),
            (COMMENT, _) => comments = start..body.len(),
            _ => {}
        });
        let interface = self.interfaces.get_mut(word(0) as usize);
        let link = interface.as_ref().map(|one| one.link);
        if let Some(interface) = interface {
            self.last = interface.time(word(4), word(8));
            if let Some(dropped) = dropped {
                let before = interface.dropped_between.unwrap_or(0);
                interface.dropped_between = Some(sum(before, dropped));
            }
        }
        Ok(Frame { link, at: self.last, data, original: word(16), outgoing, comments })
    }

    fn simple<B: ByteOrder>(&mut self, body: &[u8]) -> Result<Frame, Stop> {
        let original = B::read_u32(&first::<4>(body, 0)?);
        let interface = self.interfaces.first();
        let snap_len = interface.map(|one| one.snap_len).filter(|len| *len != 0);
        let data = place(body, 4, original.min(snap_len.unwrap_or(u32::MAX)));
        let link = interface.map(|one| one.link);
        Ok(Frame { link, at: self.last, data, original, outgoing: None, comments: 0..0 })
    }

    fn obsolete<B: ByteOrder>(&mut self, body: &[u8]) -> Result<Frame, Stop> {
        let fixed: [u8; 20] = first(body, 0)?;
        let word = |at: usize| B::read_u32(&fixed[at..at + 4]);
        let interface = self.interfaces.get(usize::from(B::read_u16(&fixed[..2])));
        if let Some(interface) = interface {
            self.last = interface.time(word(4), word(8));
        }
        let link = interface.map(|one| one.link);
        let data = place(body, 20, word(12));
        let mut outgoing = None;
        options::<B>(body, data.end.next_multiple_of(4), |code, value| {
            if (code, value.len()) == (option::EPB_FLAGS, 4) {
                outgoing = direction(B::read_u32(value));
            }
        });
        Ok(Frame { link, at: self.last, data, original: word(16), outgoing, comments: 0..0 })
    }
}

enum Cut {
    Block(Content),
    /// There must be so many bytes for it.
    Needs(usize),
}

fn sum(one: u64, other: u64) -> u64 {
    one.saturating_add(other)
}

fn direction(flags: u32) -> Option<bool> {
    match flags & DIRECTION {
        0 => None,
        way => Some(way == OUTBOUND),
    }
}

/// What was kept of a packet, as far as the block goes.
fn place(body: &[u8], start: usize, len: u32) -> Range<usize> {
    start..start.saturating_add(len as usize).min(body.len()).max(start)
}

#[inline]
fn first<const N: usize>(body: &[u8], at: usize) -> Result<[u8; N], Stop> {
    let found = body.get(at..).and_then(|rest| rest.first_chunk());
    found
        .copied()
        .ok_or_else(|| Stop::Damaged(format!("a block of {} bytes is too short", body.len())))
}

/// Calls with each option's code and value, as far as they can be read.
#[inline]
fn options<B: ByteOrder>(body: &[u8], start: usize, mut each: impl FnMut(u16, &[u8])) {
    let mut rest = body.get(start..).unwrap_or_default();
    while let Some((code, value)) = take_option::<B>(&mut rest) {
        each(code, value);
    }
}
