//! Captures written by hand.
#![allow(dead_code)] // Each test file uses its part.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use fourwave_capture::{ReadError, Reader};

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn short(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn word(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) fn long(self, number: u64) -> [u8; 8] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// An IP packet with a TCP segment; the number tells it from others.
pub(crate) fn ip(version: u8, number: u16, payload: usize) -> Vec<u8> {
    let tcp = 20 + payload;
    let mut packet = if version == 4 {
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
        header[2..4].copy_from_slice(&(20 + tcp as u16).to_be_bytes());
        header[4..6].copy_from_slice(&number.to_be_bytes());
        header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        header
    } else {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
        header[4..6].copy_from_slice(&(tcp as u16).to_be_bytes());
        header.extend([0xfd; 32]);
        header
    };
    packet.extend([0x12, 0x34, 0, 80]);
    packet.extend(u32::from(number).to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend((0..payload).map(|at| at as u8));
    packet
}

/// One frame of a file.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) data: Vec<u8>,
    /// Bytes on the wire.
    pub(crate) original: u32,
}

impl Frame {
    pub(crate) fn new(at: u64, data: Vec<u8>) -> Self {
        let original = data.len() as u32;
        Self { at, data, original }
    }
}

pub(crate) fn pcap_header(order: Order, nanos: bool, link: u32) -> Vec<u8> {
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = order.word(magic).to_vec();
    file.extend(order.short(2));
    file.extend(order.short(4));
    for word in [0, 0, 262_144, link] {
        file.extend(order.word(word));
    }
    file
}

pub(crate) fn pcap_record(order: Order, nanos: bool, frame: &Frame) -> Vec<u8> {
    let (seconds, part) = (frame.at / 1_000_000_000, frame.at % 1_000_000_000);
    let part = if nanos { part } else { part / 1000 };
    let len = frame.data.len() as u32;
    let words = [seconds as u32, part as u32, len, frame.original];
    let mut record: Vec<u8> = words.into_iter().flat_map(|word| order.word(word)).collect();
    record.extend(&frame.data);
    record
}

pub(crate) fn pcap(order: Order, nanos: bool, link: u32, frames: &[Frame]) -> Vec<u8> {
    let mut file = pcap_header(order, nanos, link);
    file.extend(frames.iter().flat_map(|frame| pcap_record(order, nanos, frame)));
    file
}

/// A block of pcapng.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let len = order.word(body.len().next_multiple_of(4) as u32 + 12);
    let mut block = [order.word(kind), len].concat();
    block.extend(body);
    block.resize(8 + body.len().next_multiple_of(4), 0);
    block.extend(len);
    block
}

/// Options, without the one that ends them.
pub(crate) fn options(order: Order, list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, value) in list {
        bytes.extend(order.short(*code));
        bytes.extend(order.short(value.len() as u16));
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let mut body = order.word(0x1a2b_3c4d).to_vec();
    body.extend([order.short(1), order.short(0)].concat());
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

pub(crate) fn interface(order: Order, link: u16, list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [order.short(link), order.short(0)].concat();
    body.extend(order.word(0));
    body.extend(options(order, list));
    block(order, 1, &body)
}

/// `units` is the time in units of the interface.
pub(crate) fn enhanced(
    order: Order,
    interface: u32,
    units: u64,
    frame: &Frame,
    list: &[(u16, &[u8])],
) -> Vec<u8> {
    let len = frame.data.len() as u32;
    let words = [interface, (units >> 32) as u32, units as u32, len, frame.original];
    let mut body: Vec<u8> = words.into_iter().flat_map(|word| order.word(word)).collect();
    body.extend(&frame.data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(options(order, list));
    block(order, 6, &body)
}

/// One interface, microseconds.
pub(crate) fn pcapng(order: Order, link: u16, frames: &[Frame]) -> Vec<u8> {
    let mut file = [section(order), interface(order, link, &[])].concat();
    let blocks = frames.iter().flat_map(|frame| enhanced(order, 0, frame.at / 1000, frame, &[]));
    file.extend(blocks);
    file
}

/// A packet that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) number: u64,
    pub(crate) at: Duration,
    pub(crate) ip: Option<Vec<u8>>,
    pub(crate) wire_len: usize,
    pub(crate) outgoing: Option<bool>,
}

pub(crate) fn rest(reader: &mut Reader) -> Vec<Owned> {
    let mut packets = Vec::new();
    while let Some(packet) = reader.next() {
        packets.push(Owned {
            number: packet.number,
            at: packet.at,
            ip: packet.ip.map(<[u8]>::to_vec),
            wire_len: packet.wire_len,
            outgoing: packet.outgoing,
        });
    }
    packets
}

pub(crate) fn reader(file: &[u8]) -> Result<Reader, ReadError> {
    Reader::new(Cursor::new(file.to_vec()))
}

/// All packets of a file that is whole.
#[track_caller]
pub(crate) fn read(file: &[u8]) -> Vec<Owned> {
    let mut reader = reader(file).unwrap();
    let packets = rest(&mut reader);
    assert_eq!(reader.damaged(), None);
    assert_eq!(reader.tally().frames, packets.len() as u64);
    packets
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// By the encoder of the same crate as the decoder; `tests/tools.rs` has the program's frames.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(bytes, level)
}
