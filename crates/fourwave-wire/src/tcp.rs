//! The TCP header (RFC 9293 §3.1).

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::{BitOr, BitOrAssign, Range};

use crate::ip::protocol;
use crate::options::TcpOptions;
use crate::sum::{Chunks, Sum};
use crate::{RawWindow, SeqNum, WireError};

/// Bytes of a TCP header without options.
pub const TCP_HEADER_LEN: usize = 20;
/// Where the checksum lies in a TCP header.
pub const CHECKSUM_OFFSET: usize = 16;

/// The control bits of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// No bit set.
    pub const NONE: Self = Self(0);
    /// FIN: no more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// SYN: synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// RST: reset the connection.
    pub const RST: Self = Self(0x04);
    /// PSH: push.
    pub const PSH: Self = Self(0x08);
    /// ACK: the acknowledgement field counts.
    pub const ACK: Self = Self(0x10);
    /// URG: the urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECE (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// CWR (RFC 3168).
    pub const CWR: Self = Self(0x80);
    /// AE (RFC 9768), which ECN's nonce had before.
    pub const AE: Self = Self(0x100);
    /// All three that tell of ECN. Without SYN they are AccECN's ACE field, where it is in use.
    pub const ACE: Self = Self(0x1c0);
    /// Where ACE's lowest bit stands.
    const ACE_AT: u32 = 6;

    /// The bits as in byte 13 of the header: all but AE.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits as u16)
    }

    /// The bits as in byte 13 of the header: all but AE.
    pub const fn bits(self) -> u8 {
        self.0 as u8
    }

    /// The bits as in bytes 12 and 13 of the header; what else stands there is left out.
    pub const fn from_word(word: u16) -> Self {
        Self(word & 0x1ff)
    }

    /// The bits as in bytes 12 and 13 of the header.
    pub const fn word(self) -> u16 {
        self.0
    }

    /// AE, CWR and ECE for a value of the ACE field, of which the three lowest bits count
    /// (RFC 9768 §3.2.2).
    pub const fn from_ace(ace: u8) -> Self {
        Self((ace as u16 & 7) << Self::ACE_AT)
    }

    /// AE, CWR and ECE as a number from 0 to 7 (RFC 9768 §3.2.2).
    pub const fn ace(self) -> u8 {
        (self.0 >> Self::ACE_AT) as u8 & 7
    }

    /// Without those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// SYN is set.
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// ACK is set.
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// FIN is set.
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// RST is set.
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// PSH is set.
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Flags {
    /// The names in the order in which people say them: `SYN ACK`, `FIN ACK`, `PSH ACK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Flags, &str); 9] = [
            (Flags::SYN, "SYN"),
            (Flags::FIN, "FIN"),
            (Flags::RST, "RST"),
            (Flags::PSH, "PSH"),
            (Flags::ACK, "ACK"),
            (Flags::URG, "URG"),
            (Flags::ECE, "ECE"),
            (Flags::CWR, "CWR"),
            (Flags::AE, "AE"),
        ];
        let mut first = true;
        for (flag, name) in NAMES {
            if self.contains(flag) {
                if !first {
                    f.write_str(" ")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// A TCP header with its options read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpHeader {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK; means something only with the ACK bit.
    pub ack: SeqNum,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND, not scaled.
    pub window: RawWindow,
    /// SEG.UP; means something only with the URG bit.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
}

impl TcpHeader {
    /// Reads the header at the start of `segment` and where its payload lies. The checksum is
    /// not looked at: see [`verify_checksum`].
    ///
    /// # Errors
    /// A header that is cut short or says a wrong length. Options that cannot be read end their
    /// list, see [`TcpOptions::parse_what_can_be_read`].
    pub fn parse(segment: &[u8]) -> Result<(Self, Range<usize>), WireError> {
        let h: &[u8; TCP_HEADER_LEN] = segment.first_chunk().ok_or(WireError::Truncated)?;
        let header_len = usize::from(h[12] >> 4) * 4;
        if header_len < TCP_HEADER_LEN {
            return Err(WireError::BadHeaderLength);
        }
        let options = segment.get(TCP_HEADER_LEN..header_len).ok_or(WireError::BadHeaderLength)?;
        let options = TcpOptions::parse_what_can_be_read(options);
        let header = Self {
            src_port: u16::from_be_bytes([h[0], h[1]]),
            dst_port: u16::from_be_bytes([h[2], h[3]]),
            seq: SeqNum::new(u32::from_be_bytes([h[4], h[5], h[6], h[7]])),
            ack: SeqNum::new(u32::from_be_bytes([h[8], h[9], h[10], h[11]])),
            flags: Flags::from_word(u16::from_be_bytes([h[12], h[13]])),
            window: RawWindow(u16::from_be_bytes([h[14], h[15]])),
            urgent: u16::from_be_bytes([h[18], h[19]]),
            options,
        };
        Ok((header, header_len..segment.len()))
    }

    /// Appends the header with a checksum field of 0 and returns its length in bytes.
    pub fn emit(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&[0; TCP_HEADER_LEN]);
        self.options.emit(out);
        let len = out.len() - start;
        let h = &mut out[start..start + TCP_HEADER_LEN];
        h[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        h[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        h[4..8].copy_from_slice(&self.seq.value().to_be_bytes());
        h[8..12].copy_from_slice(&self.ack.value().to_be_bytes());
        let word = (len as u16 / 4) << 12 | self.flags.word();
        h[12..14].copy_from_slice(&word.to_be_bytes());
        h[14..16].copy_from_slice(&self.window.0.to_be_bytes());
        h[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        len
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub fn emitted_len(&self) -> usize {
        TCP_HEADER_LEN + self.options.emitted_len()
    }

    /// SEG.LEN: payload, SYN and FIN, in sequence numbers.
    pub fn segment_len(&self, payload_len: usize) -> u32 {
        payload_len as u32 + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }
}

/// Whether the checksum of a TCP `segment` (header and payload) is right. O(bytes).
pub fn verify_checksum(src: IpAddr, dst: IpAddr, segment: &[u8]) -> bool {
    let sum = Sum::default().with_pseudo_header(src, dst, protocol::TCP, segment.len());
    Chunks::new(sum).with(segment).sum().finish() == [0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Timestamps;
    use alloc::format;

    fn header() -> TcpHeader {
        TcpHeader {
            src_port: 40_000,
            dst_port: 80,
            seq: SeqNum::new(7),
            ack: SeqNum::new(u32::MAX),
            flags: Flags::PSH | Flags::ACK,
            window: RawWindow(501),
            urgent: 3,
            options: TcpOptions {
                timestamps: Some(Timestamps { value: 1, echo: 2 }),
                ..Default::default()
            },
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = Vec::new();
        assert_eq!(header().emit(&mut bytes), 32);
        bytes.extend_from_slice(b"hello");
        let (read, payload) = TcpHeader::parse(&bytes).unwrap();
        assert_eq!(read, header());
        assert_eq!(&bytes[payload], b"hello");
    }

    #[test]
    fn rfc9768_3_2_2_three_flags_are_a_number() {
        for ace in 0..8 {
            let flags = Flags::ACK | Flags::from_ace(ace);
            assert_eq!((flags.ace(), flags.without(Flags::ACE)), (ace, Flags::ACK));
            let mut bytes = Vec::new();
            TcpHeader { flags, ..header() }.emit(&mut bytes);
            assert_eq!(TcpHeader::parse(&bytes).unwrap().0.flags, flags);
        }
        let each = [Flags::ECE, Flags::CWR, Flags::AE].map(Flags::ace);
        assert_eq!(each, [1, 2, 4]);
        assert_eq!(Flags::from_ace(0xff), Flags::ACE);
        // The three bits beside them are reserved, and say nothing.
        let mut bytes = Vec::new();
        header().emit(&mut bytes);
        bytes[12] |= 0x0e;
        assert_eq!(TcpHeader::parse(&bytes).unwrap().0, header());
    }

    #[test]
    fn malformed_headers_are_named() {
        let mut bytes = Vec::new();
        header().emit(&mut bytes);
        assert_eq!(TcpHeader::parse(&bytes[..19]), Err(WireError::Truncated));
        assert_eq!(TcpHeader::parse(&bytes[..31]), Err(WireError::BadHeaderLength));
        bytes[12] = 0x40;
        assert_eq!(TcpHeader::parse(&bytes), Err(WireError::BadHeaderLength));
    }

    #[test]
    fn flags_read_as_people_say_them() {
        assert_eq!(format!("{}", Flags::FIN | Flags::ACK), "FIN ACK");
        assert_eq!(format!("{}", Flags::SYN | Flags::ACK), "SYN ACK");
        assert_eq!(format!("{}", Flags::NONE), "");
        assert_eq!(format!("{}", Flags::SYN | Flags::ACE), "SYN ECE CWR AE");
    }
}
