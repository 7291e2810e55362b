//! Segments that are too large for the path, where no router says so: two engines and a link that
//! carries less than both of them think (RFC 2923 §2.1, RFC 4821).

mod pair;

use fourwave_core::counters::Counters;
use fourwave_core::time::Duration;
use fourwave_core::{Config, TcpInfo};
use fourwave_net::Carry;
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::{Link, RxPacket};
use pair::{CLIENT, Pair, SERVER, Way, text};

/// What became of a transfer.
struct Outcome {
    got: usize,
    /// How long it took, or was watched.
    took: Duration,
    info: TcpInfo,
    counters: Counters,
    /// The largest packet of the sender that passed, and the largest one of all.
    passed: usize,
    largest: usize,
}

/// Sends `len` bytes to the client, on a path that silently drops packets of more than `carries`
/// bytes once the connection is open.
fn transfer(knobs: &[(&str, &str)], len: usize, carries: usize) -> Outcome {
    let mut server = Config::default();
    for (name, value) in knobs {
        server.set(name, value).unwrap();
    }
    let mut pair = Pair::with(Config::default(), server, Link::plain(1500));
    pair.delay = Duration::from_millis(10);
    let (client, conn) = pair.open();
    let seen = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let sizes = seen.clone();
    pair.filter = Box::new(move |from, packet| {
        let (passed, largest) = sizes.get();
        let passes = packet.len() <= carries;
        if from == SERVER {
            let now = if passes { passed.max(packet.len()) } else { passed };
            sizes.set((now, largest.max(packet.len())));
        }
        if passes { Way::Pass } else { Way::Drop }
    });
    let data = text(len);
    let start = pair.now;
    let (mut sent, mut got) = (0, Vec::new());
    while got.len() < len && pair.now.since(start) < Duration::from_secs(60) {
        let now = pair.now;
        let mut rest = bytes::Bytes::copy_from_slice(&data[sent..]);
        sent = len - {
            // An end that has given up takes no more.
            let _ = pair.ends[SERVER].engine.send(now, conn, &mut rest);
            rest.len()
        };
        pair.run_for(Duration::from_millis(5));
        got.extend(pair.read(CLIENT, client));
    }
    assert_eq!(got, data[..got.len()], "what arrives is what was sent");
    let engine = &pair.ends[SERVER].engine;
    let (passed, largest) = seen.get();
    Outcome {
        got: got.len(),
        took: pair.now.since(start),
        info: engine.info(conn).unwrap(),
        counters: *engine.counters(),
        passed,
        largest,
    }
}

const PROBING: [&[(&str, &str)]; 3] =
    [&[("tcp_mtu_probing", "0")], &[("tcp_mtu_probing", "1")], &[("tcp_mtu_probing", "2")]];

#[test]
fn rfc4821_7_7_a_black_hole_stalls_a_connection_that_does_not_probe_and_no_other() {
    let [off, late, early] = PROBING.map(|knobs| transfer(knobs, 2_000_000, 1400));
    assert_eq!((off.got, off.counters.mtup_fail, off.counters.mtup_success), (0, 0, 0));
    assert_eq!((late.got, early.got), (2_000_000, 2_000_000));
    // Four timeouts come first; who begins small meets none.
    assert_eq!((late.counters.timeouts, early.counters.timeouts), (4, 0));
    assert!(late.took < Duration::from_secs(8), "{:?}", late.took);
    assert!(early.took < Duration::from_secs(2), "{:?}", early.took);
    for found in [late, early] {
        // 40 bytes of headers and 12 of timestamps; the search ends 8 bytes below at most.
        assert!((1400 - 52 - 8..=1400 - 52).contains(&found.info.snd_mss), "{:?}", found.info);
        assert!((1392..=1400).contains(&found.passed), "{}", found.passed);
        assert!(found.counters.mtup_fail > 0 && found.counters.mtup_success > 0);
    }
}

#[test]
fn rfc4821_7_6_2_lost_probes_are_no_congestion() {
    let early = transfer(PROBING[2], 2_000_000, 1400);
    assert!(early.counters.mtup_fail >= 3, "{:?}", early.counters);
    assert_eq!(early.counters.fast_retrans, 0);
    assert_eq!(early.info.snd_ssthresh, u64::MAX);
    // Each probe that was lost went out again, in two pieces, and nothing else did.
    assert_eq!(u64::from(early.info.total_retrans), 2 * early.counters.mtup_fail);
}

#[test]
fn a_path_without_a_black_hole_is_found_to_carry_it_all() {
    let found = transfer(PROBING[2], 2_000_000, 1500);
    assert!((1448 - 8..=1448).contains(&found.info.snd_mss), "{}", found.info.snd_mss);
    assert_eq!((found.counters.mtup_fail, found.info.total_retrans), (0, 0));
    assert_eq!(found.largest, found.passed);
}

#[test]
fn probing_that_waits_for_a_black_hole_changes_nothing_without_one() {
    let [off, late] = [PROBING[0], PROBING[1]].map(|knobs| transfer(knobs, 2_000_000, 1500));
    assert_eq!((off.took, off.largest), (late.took, late.largest));
    assert_eq!(off.counters, late.counters);
}

#[test]
fn a_path_of_less_than_the_base_is_found_too() {
    let late = transfer(PROBING[1], 20_000, 600);
    assert_eq!(late.got, 20_000);
    assert!(late.passed <= 600 && late.info.snd_mss <= 600 - 52, "{}", late.info.snd_mss);
    let floor = transfer(&[("tcp_mtu_probing", "1"), ("tcp_mtu_probe_floor", "700")], 20_000, 600);
    assert_eq!(floor.got, 0, "no segment is smaller than the floor");
}

#[test]
fn without_sack_a_black_hole_is_passed_too() {
    let found = transfer(&[("tcp_mtu_probing", "2"), ("tcp_sack", "0")], 2_000_000, 1400);
    assert_eq!(
        (found.got, found.counters.timeouts, found.counters.fast_retrans),
        (2_000_000, 0, 0)
    );
    assert!((1400 - 52 - 8..=1400 - 52).contains(&found.info.snd_mss), "{:?}", found.info);
}

#[test]
fn every_congestion_control_bears_probes_that_are_lost() {
    for name in ["reno", "cubic", "bbr"] {
        let knobs = [("tcp_mtu_probing", "2"), ("tcp_congestion_control", name)];
        let found = transfer(&knobs, 2_000_000, 1400);
        assert_eq!(found.got, 2_000_000, "{name}");
        assert!(found.counters.mtup_fail >= 3, "{name}: {:?}", found.counters);
        assert!(found.took < Duration::from_secs(3), "{name}: {:?}", found.took);
    }
}

#[test]
fn probes_go_out_alone_where_the_device_takes_super_packets() {
    let mut server = Config::default();
    server.set("tcp_mtu_probing", "2").unwrap();
    let mut pair = Pair::with(Config::default(), server, Link::offloading(1500));
    pair.carry = Carry::Trusted;
    let (client, conn) = pair.open();
    // What this link carries is cut by nobody: a probe is a packet of its own.
    let sizes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = sizes.clone();
    pair.filter = Box::new(move |from, packet| {
        if from == SERVER {
            seen.borrow_mut().push(packet.len() - 52);
        }
        Way::Pass
    });
    let data = text(100_000);
    let mut got = 0;
    for _ in 0..10 {
        pair.send(SERVER, conn, &data);
        pair.run_for(Duration::from_millis(100));
        got += pair.read(CLIENT, client).len();
    }
    assert_eq!(got, 1_000_000);
    assert_eq!(pair.ends[SERVER].engine.counters().mtup_success, 6);
    let halves = [1236, 1342, 1395, 1421, 1434, 1441];
    let sizes = sizes.borrow();
    let at: Vec<_> = halves.iter().map(|half| sizes.iter().position(|size| size == half)).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}");
    assert!(sizes.iter().any(|size| *size > 10_000), "and the rest in super-packets");
}

/// The size of segments after a router has told of `mtu` bytes, with text on its way.
fn after_router(ips: [&str; 2], mtu: u32) -> (u32, u64) {
    let mut pair =
        Pair::with_addresses(Config::default(), Config::default(), Link::plain(1500), ips);
    let (client, _) = pair.open();
    let sent = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = sent.clone();
    pair.filter = Box::new(move |from, packet| {
        if from == CLIENT {
            *seen.borrow_mut() = packet.to_vec();
        }
        Way::Drop
    });
    pair.send(CLIENT, client, &text(1000));
    pair.run_for(Duration::from_millis(1));
    let (mut packet, now) = (Vec::new(), pair.now);
    let router = ips[SERVER].parse().unwrap();
    emit_error(router, IcmpError::PacketTooBig { mtu }, &sent.borrow(), &mut packet);
    let engine = &mut pair.ends[CLIENT].engine;
    engine.handle_packet(now, &RxPacket { bytes: packet.into(), ..RxPacket::default() });
    (engine.info(client).unwrap().snd_mss, engine.counters().icmp_ignored)
}

#[test]
fn rfc8201_4_ipv6_carries_1280_bytes_whatever_a_router_tells() {
    let told = |mtu| after_router(["fd00::1", "fd00::2"], mtu);
    assert_eq!(told(1279), (1428, 1));
    assert_eq!(told(0), (1428, 1));
    assert_eq!(told(1280), (1208, 0));
}

#[test]
fn rfc1191_a_message_lowers_the_size_to_552_bytes_at_least_and_never_raises_it() {
    let told = |mtu| after_router(["10.0.0.1", "10.0.0.2"], mtu).0;
    assert_eq!([0, 68, 551, 552, 553].map(told), [500, 500, 500, 500, 501]);
    assert_eq!([1499, 1500, 1501, 9000].map(told), [1447, 1448, 1448, 1448]);
}
