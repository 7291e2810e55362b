//! Every container and every link layer, in both byte orders.

mod common;

use std::time::Duration;

use common::{
    Frame, Order, block, enhanced, gzip, interface, ip, options, pcap, pcap_header, pcapng, read,
    reader, rest, section, zstd,
};
use fourwave_capture::{Tally, link_name};

const SECOND: u64 = 1_000_000_000;
/// A time with nanoseconds, in 2023.
const THEN: u64 = 1_700_000_000 * SECOND + 123_456_789;
const RAW: u32 = 101;
const ETHERNET: u32 = 1;
const COOKED: u32 = 113;
const COOKED2: u32 = 276;
const ORDERS: [Order; 2] = [Order::Little, Order::Big];

fn ether_type(version: u8) -> [u8; 2] {
    if version == 4 { [8, 0] } else { [0x86, 0xdd] }
}

fn cooked(version: u8, kind: u8) -> Vec<u8> {
    [vec![0, kind], vec![0; 12], ether_type(version).to_vec()].concat()
}

fn cooked2(version: u8, kind: u8, interface: u8) -> Vec<u8> {
    let kind = [ether_type(version).to_vec(), vec![0; 5], vec![interface, 0, 0, kind]];
    [kind.concat(), vec![0; 9]].concat()
}

/// Number of a link and the header before a packet of this version.
fn links(version: u8) -> Vec<(u32, Vec<u8>)> {
    let kind = ether_type(version).to_vec();
    let macs = vec![2; 12];
    let family = if version == 4 { 2_u32 } else { 30 };
    vec![
        (ETHERNET, [macs.clone(), kind.clone()].concat()),
        (ETHERNET, [macs.clone(), vec![0x81, 0, 0, 7], kind.clone()].concat()),
        (ETHERNET, [macs, vec![0x88, 0xa8, 0, 7, 0x81, 0, 0, 8], kind.clone()].concat()),
        (RAW, vec![]),
        (12, vec![]),
        (14, vec![]),
        (if version == 4 { 228 } else { 229 }, vec![]),
        (0, family.to_le_bytes().to_vec()),
        (0, family.to_be_bytes().to_vec()),
        (108, family.to_be_bytes().to_vec()),
        (COOKED, cooked(version, 0)),
        (COOKED, [vec![0; 14], vec![0x81, 0, 0, 7], kind.clone()].concat()),
        (COOKED2, cooked2(version, 0, 2)),
        (COOKED2, [vec![0x81, 0], vec![0; 18], vec![0, 7], kind].concat()),
    ]
}

#[test]
fn every_link_in_every_container() {
    for version in [4, 6] {
        for (link, header) in links(version) {
            let packets = [ip(version, 1, 0), ip(version, 2, 1000)];
            let frames: Vec<_> = packets
                .iter()
                .map(|packet| Frame::new(THEN, [header.clone(), packet.clone()].concat()))
                .collect();
            for order in ORDERS {
                let files = [
                    (pcap(order, false, link, &frames), THEN / 1000 * 1000),
                    (pcap(order, true, link, &frames), THEN),
                    (pcapng(order, link as u16, &frames), THEN / 1000 * 1000),
                ];
                for (file, at) in files {
                    let seen = read(&file);
                    assert_eq!(seen.len(), 2, "{link} {header:?}");
                    for (one, (number, packet)) in seen.iter().zip((1..).zip(&packets)) {
                        assert_eq!(one.number, number);
                        assert_eq!(one.at, Duration::from_nanos(at));
                        assert_eq!(one.ip.as_ref(), Some(packet), "{link} {header:?}");
                        assert_eq!(one.wire_len, packet.len());
                        let says = link == COOKED || link == COOKED2;
                        assert_eq!(one.outgoing, says.then_some(false));
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_behind_the_packet_is_not_in_it() {
    let header = [vec![2; 12], vec![8, 0]].concat();
    let packet = ip(4, 1, 0);
    let frame = Frame::new(THEN, [header, packet.clone(), vec![0; 20]].concat());
    let seen = &read(&pcap(Order::Little, false, ETHERNET, &[frame]))[0];
    assert_eq!((seen.ip.as_ref(), seen.wire_len), (Some(&packet), 40));
}

#[test]
fn what_the_snap_length_cut_is_said_and_its_length_known() {
    let packet = ip(4, 1, 1000);
    let frame = Frame { at: THEN, data: packet[..60].to_vec(), original: 1040 };
    let mut reader = reader(&pcap(Order::Big, false, RAW, &[frame])).unwrap();
    let seen = rest(&mut reader).remove(0);
    assert_eq!((seen.ip, seen.wire_len), (Some(packet[..60].to_vec()), 1040));
    assert_eq!(reader.tally().cut, 1);
}

#[test]
fn a_super_packet_without_a_length_is_as_long_as_the_frame_says() {
    let mut packet = ip(4, 1, 100);
    packet[2..4].fill(0);
    let header = [vec![2; 12], vec![8, 0]].concat();
    let data = [header, packet.clone()].concat();
    let frame = Frame { at: THEN, original: 90_014, data };
    let seen = read(&pcap(Order::Little, false, ETHERNET, &[frame])).remove(0);
    assert_eq!((seen.ip, seen.wire_len), (Some(packet), 90_000));
}

#[test]
fn other_protocols_and_unknown_links_are_counted() {
    let arp = Frame::new(THEN, [vec![2; 12], vec![8, 6], vec![0; 28]].concat());
    let short = Frame::new(THEN, vec![2; 13]);
    let empty = Frame::new(THEN, vec![]);
    let endless = Frame::new(THEN, [vec![2; 12], [0x81, 0].repeat(40)].concat());
    let no_ip = Frame::new(THEN, [vec![2; 12], vec![8, 0, 0x10]].concat());
    let file = pcap(Order::Little, false, ETHERNET, &[arp, short, empty, endless, no_ip]);
    let mut reader = reader(&file).unwrap();
    assert!(rest(&mut reader).iter().all(|packet| packet.ip.is_none()));
    let bytes = file.len() as u64;
    assert_eq!(*reader.tally(), Tally { frames: 5, bytes, other: 5, ..Tally::default() });

    let frame = Frame::new(THEN, ip(4, 1, 0));
    let file = pcap(Order::Little, false, 105, &[frame.clone(), frame]);
    let mut reader = common::reader(&file).unwrap();
    assert_eq!(rest(&mut reader).len(), 2);
    assert_eq!(reader.tally().unknown_links, [(105, 2)]);
    assert_eq!((link_name(105), link_name(9999)), ("IEEE802_11".into(), "unknown".into()));
}

#[test]
fn flags_above_the_link_type_are_not_part_of_it() {
    let frame = Frame::new(THEN, [vec![2; 12], vec![8, 0], ip(4, 1, 0)].concat());
    let with_fcs = pcap(Order::Little, false, 0x4400_0000 | ETHERNET, &[frame]);
    assert!(read(&with_fcs)[0].ip.is_some());
}

#[test]
fn resolutions_and_offsets_of_timestamps() {
    let frame = Frame::new(0, ip(4, 1, 0));
    let at = |resolution: u8, offset: i64, units: u64| {
        let times = ORDERS.map(|order| {
            let offset = order.long(offset.cast_unsigned());
            let list: [(u16, &[u8]); 2] = [(9, &[resolution]), (14, &offset)];
            let head = [section(order), interface(order, RAW as u16, &list)].concat();
            read(&[head, enhanced(order, 0, units, &frame, &[])].concat())[0].at
        });
        assert_eq!(times[0], times[1]);
        times[0]
    };
    let nanos = Duration::from_nanos;
    assert_eq!(at(9, 0, THEN), nanos(THEN));
    assert_eq!(at(6, 0, THEN / 1000), nanos(THEN / 1000 * 1000));
    assert_eq!(at(3, 0, 1_700_000_000_123), nanos(1_700_000_000_123 * 1_000_000));
    assert_eq!(at(0, 0, 17), Duration::from_secs(17));
    // Picoseconds, and less than a nanosecond.
    assert_eq!(at(12, 0, 1_234_567_890_123), nanos(1_234_567_890));
    assert_eq!(at(20, 0, 250_000_000_000), nanos(2));
    assert_eq!(at(127, 0, u64::MAX), Duration::ZERO);
    // 2 to the power of 32 in a second: network time.
    assert_eq!(at(0x80 | 32, 0, 3 << 31), nanos(1_500_000_000));
    assert_eq!(at(0x80, 0, 7), Duration::from_secs(7));
    assert_eq!(at(9, 100, 5), Duration::new(100, 5));
    assert_eq!(at(9, -1, 1_500_000_000), nanos(500_000_000));
    assert_eq!(at(9, i64::MIN, 5), Duration::ZERO, "before the epoch is the epoch");
    at(0, i64::MAX, u64::MAX);
}

#[test]
fn interfaces_of_their_own_kinds_and_sections_of_their_own_order() {
    let packet = ip(6, 1, 5);
    let raw = Frame::new(0, packet.clone());
    let ethernet = Frame::new(0, [vec![2; 12], vec![0x86, 0xdd], packet.clone()].concat());
    let part = |order| {
        [
            section(order),
            interface(order, RAW as u16, &[]),
            enhanced(order, 0, 1, &raw, &[]),
            interface(order, ETHERNET as u16, &[(9, &[9])]),
            enhanced(order, 1, 2000, &ethernet, &[]),
            enhanced(order, 0, 3, &raw, &[]),
            // Names, and a block of a kind that is not known.
            block(order, 4, &[0; 8]),
            block(order, 0x7777, &[1; 20]),
        ]
        .concat()
    };
    let seen = read(&[part(Order::Little), part(Order::Big)].concat());
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|one| one.ip.as_ref() == Some(&packet)));
    let micros: Vec<_> = seen.iter().map(|one| one.at.as_nanos()).collect();
    assert_eq!(micros, [1000, 2000, 3000, 1000, 2000, 3000]);
}

#[test]
fn packets_of_the_other_two_kinds_of_block() {
    for order in ORDERS {
        let packet = ip(4, 1, 3);
        let mut file = [section(order), interface(order, RAW as u16, &[])].concat();
        let words = [1_u32, 500, packet.len() as u32, packet.len() as u32];
        let mut old: Vec<u8> = [order.short(0), order.short(0xffff)].concat();
        old.extend(words.into_iter().flat_map(|word| order.word(word)));
        old.extend(&packet);
        old.resize(old.len().next_multiple_of(4), 0);
        old.extend(options(order, &[(2, &order.word(2))]));
        file.extend(block(order, 2, &old));
        file.extend(block(order, 3, &[order.word(43).to_vec(), packet.clone()].concat()));
        let seen = read(&file);
        let at = Duration::from_micros((1 << 32) + 500);
        assert_eq!((seen[0].at, seen[0].outgoing), (at, Some(true)));
        assert_eq!((seen[1].at, seen[1].outgoing), (at, None), "the time of the one before");
        assert!(seen.iter().all(|one| one.ip.as_ref() == Some(&packet)));
    }
}

#[test]
fn directions_drops_and_odd_options() {
    for order in ORDERS {
        let frame = Frame::new(0, ip(4, 1, 0));
        let file = [
            section(order),
            interface(order, RAW as u16, &[(1, b"\xff\xfe no UTF-8"), (9, &[6, 6])]),
            enhanced(order, 0, 1, &frame, &[(2, &order.word(1))]),
            enhanced(order, 0, 2, &frame, &[(1, b"a comment"), (2, &order.word(2))]),
            enhanced(order, 0, 3, &frame, &[(2, &order.word(0)), (4, &order.long(5))]),
            interface(order, RAW as u16, &[]),
            // Statistics are sums: the last counts.
            statistics(order, 0, &[(5, &order.long(3))]),
            statistics(order, 0, &[(4, &order.long(99)), (5, &order.long(7))]),
            statistics(order, 1, &[(5, &order.long(10)), (7, &order.long(1))]),
            statistics(order, 9, &[(5, &order.long(1000))]),
            section(order),
            interface(order, RAW as u16, &[]),
            statistics(order, 0, &[(5, &order.long(100))]),
        ]
        .concat();
        let mut reader = reader(&file).unwrap();
        let seen: Vec<_> = rest(&mut reader).iter().map(|packet| packet.outgoing).collect();
        assert_eq!(seen, [Some(false), Some(true), None]);
        assert_eq!(reader.tally().dropped, Some(118));
    }
    let none = pcapng(Order::Little, RAW as u16, &[]);
    let mut reader = reader(&none).unwrap();
    assert!(rest(&mut reader).is_empty());
    assert_eq!(reader.tally().dropped, None);
}

fn statistics(order: Order, interface: u32, list: &[(u16, &[u8])]) -> Vec<u8> {
    let body = [order.word(interface).to_vec(), vec![0; 8], options(order, list)].concat();
    block(order, 5, &body)
}

#[test]
fn sightings_of_one_packet() {
    let numbers = |frames: &[(u64, Vec<u8>)], link| {
        let frames: Vec<_> =
            frames.iter().map(|(micros, data)| Frame::new(micros * 1000, data.clone())).collect();
        let mut reader = reader(&pcap(Order::Little, true, link, &frames)).unwrap();
        let kept: Vec<_> =
            rest(&mut reader).iter().filter(|one| one.ip.is_some()).map(|one| one.number).collect();
        assert_eq!(reader.tally().twice, (frames.len() - kept.len()) as u64);
        kept
    };
    let on =
        |interface, kind, packet: &[u8]| [cooked2(6, kind, interface), packet.to_vec()].concat();
    let (one, other) = (ip(6, 1, 9), ip(6, 2, 9));
    // A burst that leaves on loopback, then comes in.
    let burst = [
        (0, on(1, 4, &one)),
        (1, on(1, 4, &other)),
        (2, on(1, 4, &one)),
        (5, on(1, 0, &one)),
        (6, on(1, 0, &other)),
        (7, on(1, 0, &one)),
    ];
    assert_eq!(numbers(&burst, COOKED2), [1, 2, 3], "what was sent twice counts twice");
    // Forwarded: another interface, a lower hop limit.
    let mut later = one.clone();
    later[7] -= 1;
    let routed = [(0, on(2, 0, &one)), (9, on(3, 4, &later)), (20, on(2, 0, &one))];
    assert_eq!(numbers(&routed, COOKED2), [1, 3]);
    // Too late, and on the same interface: sent again.
    assert_eq!(numbers(&[(0, on(2, 0, &one)), (1200, on(3, 0, &one))], COOKED2), [1, 2]);
    assert_eq!(numbers(&[(0, on(2, 0, &one)), (3, on(2, 0, &one))], COOKED2), [1, 2]);
    // Version 1 names no interface: IPv4's identification tells.
    let on = |kind, packet: &[u8]| [cooked(packet[0] >> 4, kind), packet.to_vec()].concat();
    let four = ip(4, 1, 9);
    assert_eq!(numbers(&[(0, on(0, &four)), (3, on(0, &four))], COOKED), [1]);
    assert_eq!(numbers(&[(0, on(0, &one)), (3, on(0, &one))], COOKED), [1, 2]);
    assert_eq!(numbers(&[(0, on(4, &one)), (3, on(0, &one))], COOKED), [1]);
    // Ethernet of one interface has no second sightings.
    let ethernet = [vec![2; 12], vec![8, 0], four].concat();
    assert_eq!(numbers(&[(0, ethernet.clone()), (1, ethernet)], ETHERNET), [1, 2]);
}

#[test]
fn compressed_ones_and_those_in_several_parts() {
    let frames: Vec<_> = (0..500).map(|n| Frame::new(THEN, ip(4, n, 700))).collect();
    let file = pcap(Order::Little, true, RAW, &frames);
    let wanted = read(&file);
    assert_eq!(read(&gzip(&file)), wanted);
    assert_eq!(read(&zstd(&file)), wanted);
    assert_eq!(read(&zstd(&gzip(&file))), wanted);
    let (one, other) = file.split_at(100_001);
    assert_eq!(read(&[gzip(one), gzip(other)].concat()), wanted);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let parts = [zstd(one), skipped, zstd(b""), zstd(other)].concat();
    assert_eq!(read(&parts), wanted);
}

#[test]
fn a_compressed_one_that_breaks_off_gives_what_is_before() {
    let frames: Vec<_> = (0..2000).map(|n| Frame::new(THEN, ip(4, n, 700))).collect();
    let file = pcap(Order::Little, true, RAW, &frames);
    let wanted = read(&file);
    for packed in [gzip(&file), zstd(&file)] {
        let mut reader = reader(&packed[..packed.len() * 3 / 4]).unwrap();
        let seen = rest(&mut reader);
        assert!(seen.len() > 500 && seen.len() < 2000, "{}", seen.len());
        assert_eq!(seen, wanted[..seen.len()]);
        let line = reader.damaged().unwrap();
        let place = format!("it breaks off after packet {}, at byte ", seen.len());
        assert!(line.starts_with(&place) && line.contains("of what it unpacks to"), "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let line = |bytes: &[u8]| {
        let line = reader(bytes).unwrap_err().to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line.strip_prefix("the input: ").unwrap().to_owned()
    };
    let file_type = |bytes: &[u8]| {
        let line = line(bytes);
        let not = "not a capture (pcap or pcapng, also in gzip or zstd): ";
        line.strip_prefix(not).unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    assert_eq!(line(b""), "is empty: no capture, not even the header of one");
    assert_eq!(file_type(b"\x7fELF\x02\x01\x01"), "looks like a program (ELF)");
    assert_eq!(file_type("grüße".as_bytes()), "looks like text");
    assert_eq!(file_type(&gzip(b"{\"a\": 1}")), "gzip of what looks like JSON");
    assert!(file_type(b"<!DOCTYPE HTML>\n<html>").starts_with("looks like a web page (HTML)"));
    assert!(file_type(b"\xfd7zXZ\0\0").contains("xz -d"));
    assert!(file_type(&[0; 100]).contains("zeros"));
    assert_eq!(file_type(b"\x01\xff"), "is nothing known, it begins with 01 ff");
    assert_eq!(file_type(&gzip(b"")), "gzip of nothing");
    let header = pcap_header(Order::Little, false, RAW);
    let cut = "damaged in its header: it ends there, after 10 bytes";
    assert_eq!(line(&header[..10]), cut);
    assert_eq!(line(&gzip(&header[..10])), cut);
    assert!(line(&gzip(&header)[..12]).starts_with("damaged: its gzip cannot be unpacked: "));
    assert!(line(&zstd(&header)[..12]).starts_with("damaged: its zstd cannot be unpacked: "));
    let mut order = section(Order::Little);
    order[8] = 7;
    assert!(line(&order).starts_with("damaged in its header: "));
}

#[test]
fn records_that_cannot_be_end_the_file_with_what_was_before() {
    let frame = Frame::new(THEN, ip(4, 1, 0));
    let mut file = pcap(Order::Little, false, RAW, &[frame.clone(), frame.clone()]);
    let second = 24 + 16 + 40;
    file[second + 8..second + 12].copy_from_slice(&0x3000_0000_u32.to_le_bytes());
    let mut reader = reader(&file).unwrap();
    assert_eq!(rest(&mut reader).len(), 1);
    let line = "it is damaged after packet 1, at byte 80: a packet of 805306368 bytes cannot be";
    assert_eq!(reader.damaged(), Some(line));
    assert!(reader.next().is_none(), "and stays at its end");

    let mut file = pcapng(Order::Big, RAW as u16, &[frame.clone(), frame]);
    let last = file.len() - 1;
    file[last] ^= 1;
    let mut reader = common::reader(&file).unwrap();
    assert_eq!(rest(&mut reader).len(), 1);
    let line = reader.damaged().unwrap();
    assert!(line.starts_with("it is damaged after packet 1, at byte "), "{line}");
}

#[test]
fn files_have_their_size_and_a_position_in_it() {
    let frames: Vec<_> = (0..300).map(|n| Frame::new(THEN, ip(4, n, 1400))).collect();
    let file = pcap(Order::Little, false, RAW, &frames);
    let path = std::env::temp_dir().join(format!("fourwave-size-{}.pcap", std::process::id()));
    for bytes in [file.clone(), gzip(&file)] {
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = fourwave_capture::Reader::open(&path).unwrap();
        let size = reader.size().unwrap();
        assert_eq!(size, bytes.len() as u64);
        assert!(reader.position() <= size);
        assert_eq!(rest(&mut reader).len(), 300);
        assert_eq!(reader.position(), size);
        assert_eq!(reader.tally().bytes, file.len() as u64);
    }
    std::fs::remove_file(&path).unwrap();
    let refused = fourwave_capture::Reader::open(&path).unwrap_err().to_string();
    assert_eq!(refused, format!("{}: no such file", path.display()));
    let refused = fourwave_capture::Reader::open(&std::env::temp_dir()).unwrap_err().to_string();
    assert!(refused.ends_with(": is a directory; name the capture files in it"), "{refused}");
}
