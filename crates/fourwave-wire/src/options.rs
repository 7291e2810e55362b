//! TCP options (RFC 9293 §3.2, RFC 7323, RFC 2018).

mod acc_ecn;

use alloc::vec::Vec;

pub use acc_ecn::{AccEcn, AccEcnOrder};

pub use crate::raw::kind;
use crate::raw::{RawOption, RawOptions};
use crate::{SeqNum, WindowScale, WireError};

/// The most SACK blocks that fit into a header's 40 bytes of options.
pub const MAX_SACK_BLOCKS: usize = 4;

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the receiver's clock as the sender last saw it.
    pub echo: u32,
}

/// SACK blocks in the order of the header (RFC 2018 §3), at most four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SackBlocks {
    blocks: [(SeqNum, SeqNum); MAX_SACK_BLOCKS],
    len: u8,
}

impl SackBlocks {
    /// Adds a block `[start, end)`; a fifth one is left out and `false` returned.
    pub fn push(&mut self, start: SeqNum, end: SeqNum) -> bool {
        match self.blocks.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = (start, end);
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The blocks.
    pub fn as_slice(&self) -> &[(SeqNum, SeqNum)] {
        &self.blocks[..usize::from(self.len)]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The first two bytes of the experimental option that Fast Open had before it got its own
/// (RFC 7413, appendix).
pub const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];

/// The Fast Open option (RFC 7413 §2): a cookie of 4 to 16 bytes, or none to ask for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FastOpen {
    cookie: [u8; 16],
    len: u8,
    /// In the experimental option 254, as before RFC 7413.
    pub experimental: bool,
}

impl FastOpen {
    /// An option with this cookie; an empty one asks for a cookie. None where RFC 7413 §4.1.1
    /// knows no such length: it is even, and 0 or 4 to 16.
    pub fn new(cookie: &[u8], experimental: bool) -> Option<Self> {
        let len = cookie.len();
        if !len.is_multiple_of(2) || len > 16 || (len > 0 && len < 4) {
            return None;
        }
        let mut bytes = [0; 16];
        bytes[..len].copy_from_slice(cookie);
        Some(Self { cookie: bytes, len: len as u8, experimental })
    }

    /// The cookie; empty for a request.
    pub fn cookie(&self) -> &[u8] {
        &self.cookie[..usize::from(self.len)]
    }

    /// Bytes of the option, padding to whole words included.
    fn emitted_len(&self) -> usize {
        let head = if self.experimental { 4 } else { 2 };
        (head + usize::from(self.len)).next_multiple_of(4)
    }

    /// Appends it, padded to whole words.
    fn emit(&self, padding: u8, out: &mut Vec<u8>) {
        let start = out.len();
        if self.experimental {
            out.extend_from_slice(&[kind::EXPERIMENT, 4 + self.len]);
            out.extend_from_slice(&FAST_OPEN_MAGIC);
        } else {
            out.extend_from_slice(&[kind::FAST_OPEN, 2 + self.len]);
        }
        out.extend_from_slice(self.cookie());
        out.resize(start + self.emitted_len(), padding);
    }
}

/// The order in which a SYN's options are written: by it, stacks are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OptionOrder {
    /// MSS, SACK permitted, timestamps, window scale, Fast Open; padded with NOPs.
    #[default]
    Linux,
    /// MSS, window scale, SACK permitted, timestamps, Fast Open; ended and padded with zeros.
    FreeBsd,
}

/// The options of one segment that mean something here; unknown ones are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpOptions {
    /// Maximum segment size in bytes, SYN only.
    pub mss: Option<u16>,
    /// Window scale, SYN only; shifts above 14 have been cut to 14.
    pub window_scale: Option<WindowScale>,
    /// SACK permitted, SYN only.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks.
    pub sack: SackBlocks,
    /// Fast Open, SYN only.
    pub fast_open: Option<FastOpen>,
    /// AccECN's counters of bytes (RFC 9768 §3.2.3), never on a SYN without ACK.
    pub acc_ecn: Option<AccEcn>,
    /// How they are written; what was read says nothing of it.
    pub order: OptionOrder,
}

impl TcpOptions {
    /// Reads the bytes between the fixed header and the payload. Of an option that comes twice
    /// the last one counts. Known kinds of a wrong length are passed over, as Linux does.
    ///
    /// # Errors
    /// [`WireError::BadOption`] where a length is 0 or 1 or runs past the end: nothing behind it
    /// can be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut options = Self::default();
        options.read(bytes)?;
        Ok(options)
    }

    /// As [`parse`](Self::parse), but what cannot be read ends the list and does no more harm
    /// (RFC 9293 §3.1, MUST-7; as Linux does): the segment counts, with the options before it.
    pub fn parse_what_can_be_read(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let _ = options.read(bytes);
        options
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        // The usual layout of an established connection, read at once: two NOPs, timestamps.
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h] = *bytes {
            self.timestamps = Some(Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            });
            return Ok(());
        }
        for option in RawOptions::new(bytes) {
            match option {
                RawOption::Eol => break,
                RawOption::Nop => {}
                RawOption::Option { kind, body } => self.take(kind, body),
                RawOption::Malformed { .. } => return Err(WireError::BadOption),
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: u8, body: &[u8]) {
        let word = |from: usize| {
            u32::from_be_bytes([body[from], body[from + 1], body[from + 2], body[from + 3]])
        };
        match (kind, body.len()) {
            // None at all, as Linux has it.
            (kind::MSS, 2) if body == [0, 0] => {}
            (kind::MSS, 2) => self.mss = Some(u16::from_be_bytes([body[0], body[1]])),
            (kind::WINDOW_SCALE, 1) => self.window_scale = Some(WindowScale::new(body[0])),
            (kind::SACK_PERMITTED, 0) => self.sack_permitted = true,
            (kind::TIMESTAMPS, 8) => {
                self.timestamps = Some(Timestamps { value: word(0), echo: word(4) });
            }
            (kind::SACK, len) if len % 8 == 0 => {
                for at in (0..len).step_by(8) {
                    self.sack.push(SeqNum::new(word(at)), SeqNum::new(word(at + 4)));
                }
            }
            (kind::ACC_ECN_0, _) => self.acc_ecn = Some(AccEcn::read(AccEcnOrder::Zero, body)),
            (kind::ACC_ECN_1, _) => self.acc_ecn = Some(AccEcn::read(AccEcnOrder::One, body)),
            (kind::FAST_OPEN, _) => self.fast_open = FastOpen::new(body, false).or(self.fast_open),
            (kind::EXPERIMENT, 2..) if body[..2] == FAST_OPEN_MAGIC => {
                self.fast_open = FastOpen::new(&body[2..], true).or(self.fast_open);
            }
            _ => {}
        }
    }

    /// Bytes that [`emit`](Self::emit) appends: a multiple of 4, at most 40.
    pub fn emitted_len(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let timestamps = if self.timestamps.is_some() { 12 } else { 0 };
        // SACK permitted stands in the place of the two NOPs before timestamps.
        let permitted = if self.sack_permitted && self.timestamps.is_none() { 4 } else { 0 };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        let fast_open = self.fast_open.map_or(0, |option| option.emitted_len());
        let acc_ecn = self.acc_ecn.map_or(0, |option| option.emitted_len());
        let before = mss + timestamps + permitted + scale + fast_open + acc_ecn;
        match self.sack_blocks_that_fit(before) {
            0 => before,
            n => before + 4 + 8 * n,
        }
    }

    fn sack_blocks_that_fit(&self, before: usize) -> usize {
        self.sack.as_slice().len().min(40usize.saturating_sub(before + 4) / 8)
    }

    fn emit_scale(&self, out: &mut Vec<u8>) {
        if let Some(scale) = self.window_scale {
            out.extend_from_slice(&[kind::NOP, kind::WINDOW_SCALE, 3, scale.shift()]);
        }
    }

    /// SACK permitted and timestamps, which fill whole words together.
    fn emit_permitted_and_timestamps(&self, out: &mut Vec<u8>) {
        let alone: &[u8] = match self.order {
            OptionOrder::Linux => &[kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2],
            // Nothing follows but what begins a word of its own.
            OptionOrder::FreeBsd if self.fast_open.is_some() => {
                &[kind::SACK_PERMITTED, 2, kind::NOP, kind::NOP]
            }
            OptionOrder::FreeBsd => &[kind::SACK_PERMITTED, 2, kind::EOL, kind::EOL],
        };
        out.extend_from_slice(match (self.sack_permitted, self.timestamps.is_some()) {
            (true, true) => &[kind::SACK_PERMITTED, 2],
            (true, false) => alone,
            (false, true) => &[kind::NOP, kind::NOP],
            (false, false) => &[],
        });
        if let Some(ts) = self.timestamps {
            out.extend_from_slice(&[kind::TIMESTAMPS, 10]);
            out.extend_from_slice(&ts.value.to_be_bytes());
            out.extend_from_slice(&ts.echo.to_be_bytes());
        }
    }

    /// Appends the options in their [`order`](Self::order), AccECN and SACK last, padded to whole
    /// words. SACK blocks that do not fit into 40 bytes are left out.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            out.extend_from_slice(&[kind::MSS, 4, a, b]);
        }
        match self.order {
            OptionOrder::Linux => {
                self.emit_permitted_and_timestamps(out);
                self.emit_scale(out);
            }
            OptionOrder::FreeBsd => {
                self.emit_scale(out);
                self.emit_permitted_and_timestamps(out);
            }
        }
        if let Some(option) = self.fast_open {
            let padding = match self.order {
                OptionOrder::Linux => kind::NOP,
                OptionOrder::FreeBsd => kind::EOL,
            };
            option.emit(padding, out);
        }
        if let Some(option) = self.acc_ecn {
            option.emit(out);
        }
        let blocks = &self.sack.as_slice()[..self.sack_blocks_that_fit(out.len() - start)];
        if !blocks.is_empty() {
            let len = 2 + 8 * blocks.len() as u8;
            out.extend_from_slice(&[kind::NOP, kind::NOP, kind::SACK, len]);
            for (from, to) in blocks {
                out.extend_from_slice(&from.value().to_be_bytes());
                out.extend_from_slice(&to.value().to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut sack = SackBlocks::default();
        assert!(sack.push(SeqNum::new(5), SeqNum::new(9)));
        assert!(sack.push(SeqNum::new(u32::MAX), SeqNum::new(3)));
        let timestamps = Some(Timestamps { value: 1, echo: 0xdead_beef });
        let cases = [
            TcpOptions::default(),
            TcpOptions { timestamps, ..Default::default() },
            TcpOptions { timestamps, sack, ..Default::default() },
            TcpOptions {
                mss: Some(1460),
                window_scale: Some(WindowScale::new(7)),
                sack_permitted: true,
                timestamps,
                ..Default::default()
            },
            TcpOptions { sack_permitted: true, mss: Some(536), ..Default::default() },
            TcpOptions {
                mss: Some(1460),
                window_scale: Some(WindowScale::new(7)),
                sack_permitted: true,
                timestamps,
                fast_open: FastOpen::new(&[7; 16], true),
                ..Default::default()
            },
            TcpOptions { fast_open: FastOpen::new(&[], false), ..Default::default() },
            TcpOptions {
                timestamps,
                acc_ecn: Some(AccEcn::new(AccEcnOrder::One, &[1, 0xff_ffff, 9])),
                ..Default::default()
            },
            TcpOptions {
                acc_ecn: Some(AccEcn::new(AccEcnOrder::Zero, &[7])),
                sack,
                ..Default::default()
            },
            TcpOptions { fast_open: FastOpen::new(&[1, 2, 3, 4], false), ..Default::default() },
        ];
        for options in cases {
            let mut bytes = Vec::new();
            options.emit(&mut bytes);
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(bytes.len(), options.emitted_len());
            assert!(bytes.len() <= 40);
            assert_eq!(TcpOptions::parse(&bytes), Ok(options));
        }
    }

    #[test]
    fn each_order_says_the_same_in_as_many_bytes() {
        let timestamps = Some(Timestamps { value: 1, echo: 2 });
        let scale = Some(WindowScale::new(7));
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: scale,
            sack_permitted: true,
            order: OptionOrder::FreeBsd,
            ..Default::default()
        };
        let written = |options: TcpOptions| {
            let mut bytes = Vec::new();
            options.emit(&mut bytes);
            assert_eq!(bytes.len(), options.emitted_len());
            let read = TcpOptions { order: options.order, ..TcpOptions::parse(&bytes).unwrap() };
            assert_eq!(read, options);
            bytes
        };
        let bytes = written(options);
        assert_eq!(bytes, [2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 0, 0]);
        let bytes = written(TcpOptions { timestamps, ..options });
        assert_eq!(bytes, [2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        written(TcpOptions { fast_open: FastOpen::new(&[7; 8], false), ..options });
        written(TcpOptions { sack_permitted: false, timestamps, ..options });
    }

    #[test]
    fn rfc7413_4_1_1_cookies_are_even_and_4_to_16_bytes_long() {
        for len in 0..20_usize {
            let right = len == 0 || (len.is_multiple_of(2) && (4..=16).contains(&len));
            assert_eq!(FastOpen::new(&[0; 20][..len], false).is_some(), right, "{len}");
        }
        let odd = [kind::FAST_OPEN, 5, 1, 2, 3, kind::EXPERIMENT, 3, 0xf9];
        assert_eq!(TcpOptions::parse(&odd).unwrap().fast_open, None);
    }

    #[test]
    fn rfc9293_3_1_impossible_lengths_are_refused() {
        assert_eq!(TcpOptions::parse(&[kind::MSS]), Err(WireError::BadOption));
        assert_eq!(TcpOptions::parse(&[kind::MSS, 0, 1, 1]), Err(WireError::BadOption));
        assert_eq!(TcpOptions::parse(&[kind::MSS, 1, 1, 1]), Err(WireError::BadOption));
        assert_eq!(TcpOptions::parse(&[kind::MSS, 5, 1, 1]), Err(WireError::BadOption));
        // What stands before it counts.
        let cut = [kind::WINDOW_SCALE, 3, 7, kind::MSS, 0];
        let read = TcpOptions::parse_what_can_be_read(&cut);
        assert_eq!(read.window_scale, Some(WindowScale::new(7)));
        // Behind the end of the list nothing is read.
        assert_eq!(TcpOptions::parse(&[kind::EOL, kind::MSS, 0]), Ok(TcpOptions::default()));
        // Unknown kinds and known ones of a wrong length are passed over.
        let odd = [99, 4, 1, 2, kind::WINDOW_SCALE, 4, 1, 2, kind::MSS, 4, 2, 24];
        assert_eq!(TcpOptions::parse(&odd).unwrap().mss, Some(536));
    }
}
