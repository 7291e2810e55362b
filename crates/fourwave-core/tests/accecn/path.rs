//! Two engines over a path that marks, loses and reorders.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{Config, TcpInfo};
use fourwave_wire::Link;
use fourwave_wire::ip::ecn;

use super::bench::config;
use super::pair::{CLIENT, Pair, SERVER, Way, text};

#[test]
fn cwr_is_no_part_of_a_super_segment() {
    // Whoever cuts one leaves CWR on the first segment only: no batches while the field has it.
    let client = Config { tcp_ecn: 3, ..Config::default() };
    let server = Config { tcp_ecn: 3, ..Config::default() };
    let mut pair = Pair::with(client, server, Link::offloading(1500));
    let (ours, theirs) = pair.open();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let watched = Rc::clone(&seen);
    pair.filter = Box::new(move |from, packet| {
        if from == CLIENT && packet.len() > 1000 {
            watched.borrow_mut().push((packet.len(), packet[33] & 0x80 != 0));
        }
        Way::Pass
    });
    let data = text(100_000);
    pair.send(CLIENT, ours, &data);
    pair.run_for(Duration::from_secs(2));
    assert!(pair.read(SERVER, theirs) == data);
    assert!(seen.borrow().iter().any(|(len, _)| *len > 1500), "there are batches");
    seen.borrow_mut().clear();
    // A mark on the way back: 5 becomes 6, which has CWR.
    let marked = Rc::clone(&seen);
    pair.filter = Box::new(move |from, packet| {
        if from == SERVER && packet.len() > 100 {
            let mut bytes = packet.to_vec();
            bytes[1] |= ecn::CE;
            fix_ip_checksum(&mut bytes);
            return Way::Rewrite(bytes.into());
        }
        if from == CLIENT && packet.len() > 1000 {
            marked.borrow_mut().push((packet.len(), packet[33] & 0x80 != 0));
        }
        Way::Pass
    });
    pair.send(SERVER, theirs, &[7; 200]);
    pair.run_for(Duration::from_millis(100));
    pair.send(CLIENT, ours, &data);
    pair.run_for(Duration::from_secs(2));
    assert!(pair.read(SERVER, theirs) == data);
    let seen = seen.borrow();
    assert!(!seen.is_empty() && seen.iter().all(|(len, cwr)| *cwr && *len <= 1500), "{seen:?}");
}

fn fix_ip_checksum(bytes: &mut [u8]) {
    bytes[10..12].fill(0);
    let words = bytes[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What happened to the client's packets on a bad path, and what its sender was told.
struct Path {
    marked: u32,
    lost: u32,
    late: u32,
    client: TcpInfo,
    server: TcpInfo,
}

/// A megabyte over a path that marks, loses and reorders, each so many packets in a thousand of
/// either direction.
fn over_a_bad_path(seed: u64, permille: [u64; 3], settings: &[(&str, &str)]) -> Path {
    // All of the text fits into the server's buffer.
    let mut all = vec![("tcp_ecn", "3"), ("tcp_rmem_default", "4194304")];
    all.extend(settings);
    let ips = ["fd00::1", "fd00::2"];
    let link = Link::plain(1500);
    let mut pair = Pair::with_addresses(config(&all), config(&all), link, ips);
    pair.delay = Duration::from_millis(10);
    let (client, server) = pair.open();
    let mut state = seed;
    let counts = Rc::new(RefCell::new([0_u32; 3]));
    let held: Rc<RefCell<Vec<(usize, Bytes)>>> = Rc::default();
    let (seen, keeps) = (Rc::clone(&counts), Rc::clone(&held));
    pair.filter = Box::new(move |from, packet| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [marks, loses, delays] = permille;
        let [mark, lose, delay] = [state >> 20, state >> 30, state >> 40].map(|it| it % 1000);
        let mut bytes = packet.to_vec();
        let codepoint = (bytes[1] >> 4) & 3;
        // One that was held back comes by again: the highest bit of its hop limit says so.
        let is_held = bytes[7] & 0x80 != 0;
        if !is_held && lose < loses {
            seen.borrow_mut()[1] += 1;
            return Way::Drop;
        }
        if !is_held && delay < delays {
            seen.borrow_mut()[2] += 1;
            bytes[7] |= 0x80;
            keeps.borrow_mut().push((from, bytes.into()));
            return Way::Drop;
        }
        if codepoint == ecn::ECT_0 && mark < marks {
            seen.borrow_mut()[0] += u32::from(from == CLIENT);
            bytes[1] |= ecn::CE << 4;
            return Way::Rewrite(bytes.into());
        }
        Way::Pass
    });
    let data = text(1 << 20);
    pair.send(CLIENT, client, &data);
    for _ in 0..20_000 {
        pair.run_for(Duration::from_millis(3));
        for (from, packet) in held.take() {
            pair.inject(from, packet);
        }
    }
    assert!(pair.read(SERVER, server) == data, "seed {seed}");
    let info = |end: usize, conn| pair.ends[end].engine.info(conn).unwrap();
    let (client, server) = (info(CLIENT, client), info(SERVER, server));
    let [marked, lost, late] = *counts.borrow();
    Path { marked, lost, late, client, server }
}

/// Marks, losses and delays in a thousand, and settings.
type BadPath = ([u64; 3], &'static [(&'static str, &'static str)]);

#[test]
fn rfc9768_marks_are_counted_exactly_across_loss_and_reordering() {
    let paths: [BadPath; 8] = [
        ([50, 0, 0], &[]),
        ([300, 0, 0], &[("tcp_timestamps", "0")]),
        ([100, 20, 0], &[]),
        ([100, 0, 30], &[]),
        ([200, 20, 30], &[]),
        ([200, 20, 30], &[("tcp_congestion_control", "bbr")]),
        ([150, 20, 20], &[("tcp_timestamps", "0")]),
        ([100, 10, 10], &[("tcp_congestion_control", "reno"), ("tcp_ecn_option", "1")]),
    ];
    for (permille, settings) in paths {
        for seed in 1..=4 {
            let path = over_a_bad_path(seed, permille, settings);
            let [marks, loses, delays] = permille;
            assert!(path.marked > 20, "{marks}: {}", path.marked);
            assert!((path.lost > 0) == (loses > 0) && (path.late > 0) == (delays > 0));
            let (told, came) = (path.client.acc_ecn.unwrap(), path.server.acc_ecn.unwrap());
            let where_ = format!("{permille:?} {settings:?} seed {seed}");
            // What comes so late that it is known already is no acceptable packet.
            assert!(path.marked - came.received_ce <= path.late / 4, "{where_}");
            assert_eq!(path.client.delivered_ce, came.received_ce, "{where_}");
            assert_eq!(told.delivered_ce_bytes, came.received_ce_bytes, "{where_}");
            assert_eq!((told.accecn_fail_mode, came.accecn_fail_mode), (0, 0), "{where_}");
            let has_threshold = path.client.congestion != "bbr";
            assert_eq!(path.client.snd_ssthresh < u64::MAX, has_threshold, "{where_}");
        }
    }
}
