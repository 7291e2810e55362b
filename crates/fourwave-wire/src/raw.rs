//! TCP headers and options as they stand in a packet, sense or none: for tools that show or send
//! what an engine would not.

use alloc::vec::Vec;
use core::ops::Range;

use crate::WireError;

/// Option kinds (IANA) that the project knows.
pub mod kind {
    /// End of option list.
    pub const EOL: u8 = 0;
    /// No operation.
    pub const NOP: u8 = 1;
    /// Maximum segment size.
    pub const MSS: u8 = 2;
    /// Window scale.
    pub const WINDOW_SCALE: u8 = 3;
    /// SACK permitted.
    pub const SACK_PERMITTED: u8 = 4;
    /// SACK blocks.
    pub const SACK: u8 = 5;
    /// Timestamps.
    pub const TIMESTAMPS: u8 = 8;
    /// MD5 signature (RFC 2385).
    pub const MD5: u8 = 19;
    /// TCP Fast Open (RFC 7413).
    pub const FAST_OPEN: u8 = 34;
    /// Accurate ECN, the counters in the order e0b, ceb, e1b (RFC 9768).
    pub const ACC_ECN_0: u8 = 172;
    /// Accurate ECN, the counters in the order e1b, ceb, e0b.
    pub const ACC_ECN_1: u8 = 174;
    /// Experiments, told apart by their first two bytes (RFC 6994).
    pub const EXPERIMENT: u8 = 254;
}

/// An option as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawOption<'a> {
    /// End of option list; what stands behind it is padding.
    Eol,
    /// No operation.
    Nop,
    /// A kind, and what stands behind its length.
    Option {
        /// Its kind.
        kind: u8,
        /// Without kind and length.
        body: &'a [u8],
    },
    /// A length that is missing, 0 or 1, or runs past the end: nothing behind it can be read.
    Malformed {
        /// Its kind.
        kind: u8,
        /// Its length, if it has one.
        length: Option<u8>,
        /// All that follows.
        rest: &'a [u8],
    },
}

/// The options between the fixed header and the payload, in order, padding included. A malformed
/// one is the last.
#[derive(Clone, Debug)]
pub struct RawOptions<'a>(&'a [u8]);

impl<'a> RawOptions<'a> {
    /// Of a header's bytes behind the first 20.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for RawOptions<'a> {
    type Item = RawOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawOption<'a>> {
        let (&kind, behind) = self.0.split_first()?;
        if kind <= kind::NOP {
            self.0 = behind;
            return Some(if kind == kind::NOP { RawOption::Nop } else { RawOption::Eol });
        }
        let length = behind.first().copied();
        let end = length.map_or(0, usize::from);
        if end < 2 || end > self.0.len() {
            self.0 = &[];
            let rest = behind.get(1..).unwrap_or_default();
            return Some(RawOption::Malformed { kind, length, rest });
        }
        let (option, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(RawOption::Option { kind, body: &option[2..] })
    }
}

impl RawOption<'_> {
    /// Appends the option. A body of more than 253 bytes has no length that says so, and gets
    /// that of its lowest 8 bits.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Eol => out.push(kind::EOL),
            Self::Nop => out.push(kind::NOP),
            Self::Option { kind, body } => {
                out.extend_from_slice(&[kind, (2 + body.len()) as u8]);
                out.extend_from_slice(body);
            }
            Self::Malformed { kind, length, rest } => {
                out.push(kind);
                out.extend(length);
                out.extend_from_slice(rest);
            }
        }
    }
}

/// A TCP header whose options are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RawHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number, whatever the flags say.
    pub ack: u32,
    /// Nine flags: AE (0x100, RFC 7560's NS), CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
    pub flags: u16,
    /// Window field.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Whole words, 40 bytes at most.
    pub options: Vec<u8>,
}

impl RawHeader {
    /// Reads the header of a TCP `segment`. Returns it with where the payload lies.
    ///
    /// # Errors
    /// [`WireError::Truncated`] for fewer than 20 bytes; [`WireError::BadLength`] where the data
    /// offset is less than 5 words or points behind the end.
    pub fn parse(segment: &[u8]) -> Result<(Self, Range<usize>), WireError> {
        let h: &[u8; 20] = segment.first_chunk().ok_or(WireError::Truncated)?;
        let len = usize::from(h[12] >> 4) * 4;
        let options = segment.get(20..len).ok_or(WireError::BadLength)?.to_vec();
        let header = Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            flags: u16::from(h[12] & 1) << 8 | u16::from(h[13]),
            window: u16::from_be_bytes([h[14], h[15]]),
            urgent: u16::from_be_bytes([h[18], h[19]]),
            options,
        };
        Ok((header, len..segment.len()))
    }

    /// Appends the header with a checksum field of 0.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let words = (20 + self.options.len()) / 4;
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[
            (words as u8) << 4 | (self.flags >> 8) as u8 & 1,
            self.flags as u8,
        ]);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.urgent.to_be_bytes());
        out.extend_from_slice(&self.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_written_is_read_again_sense_or_none() {
        let options = [
            RawOption::Option { kind: kind::MSS, body: &[5, 180] },
            RawOption::Nop,
            RawOption::Option { kind: 99, body: &[] },
            RawOption::Eol,
            RawOption::Malformed { kind: 8, length: Some(10), rest: &[1, 2] },
        ];
        let mut bytes = Vec::new();
        options.iter().for_each(|option| option.emit(&mut bytes));
        assert!(RawOptions::new(&bytes).eq(options));
        let cut = RawOption::Malformed { kind: 2, length: None, rest: &[] };
        assert!(RawOptions::new(&[2]).eq([cut]));
        let header = RawHeader {
            src_port: 1,
            dst_port: 2,
            seq: u32::MAX,
            ack: 5,
            flags: 0x112,
            window: 9,
            urgent: 3,
            options: vec![1; 8],
        };
        let mut segment = Vec::new();
        header.emit(&mut segment);
        segment.push(7);
        assert_eq!(RawHeader::parse(&segment), Ok((header, 28..29)));
        segment[12] = 0xf0;
        assert_eq!(RawHeader::parse(&segment), Err(WireError::BadLength));
        assert_eq!(RawHeader::parse(&[0; 19]), Err(WireError::Truncated));
    }
}
