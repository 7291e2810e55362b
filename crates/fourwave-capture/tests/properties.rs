//! Whatever the bytes are: no panic, no more memory than promised, and what is whole is read.

mod common;

use std::io::{self, Cursor, Read};

use common::{Frame, Order, gzip, ip, pcap, pcapng, reader, rest};
use fourwave_capture::Reader;
use proptest::prelude::*;

const RAW: u32 = 101;

/// Gives so many bytes at a time.
struct Drip(Cursor<Vec<u8>>, usize);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = buffer.len().min(self.1);
        self.0.read(&mut buffer[..some])
    }
}

fn frames() -> Vec<Frame> {
    (0..12).map(|n| Frame::new(u64::from(n) * 1_000_000, ip(4, n, usize::from(n) * 7))).collect()
}

/// Files, and where each record ends in them.
fn files() -> Vec<(Vec<u8>, Vec<usize>)> {
    let mut files = Vec::new();
    for order in [Order::Little, Order::Big] {
        let frames = frames();
        let upto = |n: usize| frames[..n].to_vec();
        let count = 0..=frames.len();
        let ends = count.clone().map(|n| pcap(order, false, RAW, &upto(n)).len()).collect();
        files.push((pcap(order, false, RAW, &frames), ends));
        let ends = count.map(|n| pcapng(order, RAW as u16, &upto(n)).len()).collect();
        files.push((pcapng(order, RAW as u16, &frames), ends));
    }
    files
}

#[test]
fn every_truncation_gives_exactly_the_packets_before_it() {
    for (file, ends) in files() {
        let whole = rest(&mut reader(&file).unwrap());
        assert_eq!(whole.len(), frames().len());
        for len in 0..file.len() {
            let Ok(mut reader) = reader(&file[..len]) else {
                assert!(len < ends[0], "a file of {len} bytes has a header");
                continue;
            };
            let seen = rest(&mut reader);
            let wanted = ends.iter().filter(|end| **end <= len).count().saturating_sub(1);
            assert_eq!(seen, whole[..wanted], "{len} bytes");
            // Between the blocks that begin a pcapng file and the packets is a boundary too.
            let boundary = ends.contains(&len) || (len < ends[0] && reader.damaged().is_none());
            assert_eq!(reader.damaged().is_none(), boundary, "{len} bytes");
            if let Some(line) = reader.damaged() {
                let before = ends.iter().rev().find(|end| **end <= len);
                let at = before.map(|end| format!(", at byte {end}, within a record"));
                let at = at.unwrap_or_default();
                assert!(line.contains(&format!("after packet {wanted}")), "{line}");
                assert!(line.ends_with(&at), "{line}, {at}");
            }
        }
    }
}

#[test]
fn pipes_that_give_little_at_a_time_make_no_difference() {
    for (file, _) in files() {
        let whole = rest(&mut reader(&file).unwrap());
        for some in [1, 3, 17] {
            for bytes in [file.clone(), gzip(&file)] {
                let mut reader = Reader::new(Drip(Cursor::new(bytes), some)).unwrap();
                assert_eq!(rest(&mut reader), whole);
                assert_eq!(reader.damaged(), None);
            }
        }
    }
}

/// An input without end, whose one record claims to be this long.
#[test]
fn what_a_record_claims_is_not_believed() {
    for order in [Order::Little, Order::Big] {
        for claim in [1 << 20, 15 << 20, 17 << 20, u32::MAX - 3, u32::MAX] {
            let mut file = common::pcap_header(order, false, RAW);
            for word in [0, 0, claim, claim] {
                file.extend(order.word(word));
            }
            let endless = Cursor::new(file).chain(io::repeat(0)).take(1 << 30);
            let mut reader = Reader::new(endless).unwrap();
            let believed = claim <= 16 << 20;
            assert_eq!(reader.next().is_some(), believed);
            assert!(reader.position() < 33 << 20, "{}", reader.position());
            assert_eq!(reader.damaged().is_none(), believed);

            let mut file = common::section(order);
            file.extend([order.word(6), order.word(claim & !3)].concat());
            let endless = Cursor::new(file).chain(io::repeat(0)).take(1 << 30);
            let mut reader = Reader::new(endless).unwrap();
            assert!(reader.next().is_none(), "its length is not repeated");
            assert!(reader.damaged().is_some());
            assert!(reader.position() < 33 << 20, "{}", reader.position());
        }
    }
}

fn consume(bytes: Vec<u8>) {
    let Ok(mut reader) = Reader::new(Cursor::new(bytes)) else { return };
    let mut frames = 0;
    while let Some(packet) = reader.next() {
        frames += 1;
        assert_eq!(packet.number, frames);
        assert!(packet.ip.is_none_or(|ip| !ip.is_empty() && ip.len() <= packet.wire_len));
    }
    let tally = reader.tally();
    let unknown: u64 = tally.unknown_links.iter().map(|(_, count)| count).sum();
    assert_eq!(tally.frames, frames);
    assert!(tally.other + unknown + tally.twice <= frames);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), begin in 0..7_usize) {
        let magic: [&[u8]; 7] = [
            &[], &[0xd4, 0xc3, 0xb2, 0xa1], &[0xa1, 0xb2, 0x3c, 0x4d], &[0x0a, 0x0d, 0x0d, 0x0a],
            &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd],
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a],
        ];
        consume([magic[begin], &bytes].concat());
    }

    #[test]
    fn damaged_files(
        which in 0..4_usize,
        link in prop::sample::select(vec![0_u32, 1, 101, 108, 113, 276]),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        packed in any::<bool>(),
    ) {
        let order = if which % 2 == 0 { Order::Little } else { Order::Big };
        let mut file = if which < 2 {
            pcap(order, true, link, &frames())
        } else {
            pcapng(order, link as u16, &frames())
        };
        if packed {
            file = gzip(&file);
        }
        for (place, byte) in places {
            let at = place.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        consume(file);
    }
}
