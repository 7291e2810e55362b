//! One budget for all buffers (`tcp_mem`): peers that are hostile, or slow, and what they can make
//! an engine hold.

mod pair;

use bytes::Bytes;
use fourwave_core::end::EndReason;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, Population};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way, text};

const MIB: u64 = 1 << 20;
/// The minima, and what a piece costs beside them.
const LEAST: u64 = 4096 + 4096 + 256;

fn budget(low: u64, pressure: u64, high: u64) -> Config {
    Config { tcp_mem_low: low, tcp_mem_pressure: pressure, tcp_mem_high: high, ..Config::default() }
}

/// Many connections from the client, each open on both ends.
fn open_many(pair: &mut Pair, count: usize) -> Vec<(ConnId, ConnId)> {
    (0..count).map(|_| pair.open()).collect()
}

fn memory(pair: &Pair, end: usize) -> u64 {
    pair.ends[end].engine.population().memory
}

/// Reads at the server what `conn` has; how much that was.
fn read(pair: &mut Pair, conn: ConnId) -> usize {
    pair.read(SERVER, conn).len()
}

/// Sends `len` bytes to the server beside all others; how long that takes.
fn moves(pair: &mut Pair, (client, server): (ConnId, ConnId), len: usize) -> Duration {
    let (start, data) = (pair.now, text(len));
    let (mut sent, mut got) = (0, 0);
    while got < len {
        assert!(pair.now.since(start) < Duration::from_secs(600), "{got} of {len} bytes");
        let (now, mut rest) = (pair.now, Bytes::copy_from_slice(&data[sent..]));
        sent += pair.ends[CLIENT].engine.send(now, client, &mut rest).unwrap();
        pair.flush();
        pair.run_for(Duration::from_millis(10));
        got += read(pair, server);
    }
    pair.now.since(start)
}

/// A world in which the server's budget is small. Its clients' is not.
fn world(server: Config) -> Pair {
    let mut pair = Pair::with(Config::default(), server, Link::plain(1500));
    pair.delay = Duration::from_millis(1);
    pair
}

#[test]
fn ten_thousand_peers_with_nothing_but_gaps_hold_what_the_budget_allows() {
    const PEERS: usize = 10_000;
    let (pressure, high) = (16 * MIB, 24 * MIB);
    let mut pair = world(budget(8 * MIB, pressure, high));
    let peers = open_many(&mut pair, PEERS);
    let healthy = pair.open();
    // The first segment of each is lost, all others arrive: 40 kB out of order for each of them.
    let first = std::collections::HashSet::<u16>::new();
    let first = std::cell::RefCell::new(first);
    let port_of = |packet: &[u8]| u16::from_be_bytes([packet[20], packet[21]]);
    let healthy_port = {
        let info = pair.ends[CLIENT].engine.info(healthy.0).unwrap();
        info.local.port()
    };
    pair.filter = Box::new(move |from, packet| {
        let is_text = packet.len() > 100;
        if from != CLIENT || !is_text || port_of(packet) == healthy_port {
            return Way::Pass;
        }
        if first.borrow_mut().insert(port_of(packet)) { Way::Drop } else { Way::Pass }
    });
    // Nobody repairs what is lost: what is sent is looked at before any timer runs out.
    let data = text(20_000);
    let mut most = 0;
    for (client, _) in &peers {
        let (now, mut rest) = (pair.now, Bytes::copy_from_slice(&data));
        pair.ends[CLIENT].engine.send(now, *client, &mut rest).unwrap();
        pair.flush();
        pair.run_for(Duration::from_micros(10));
        most = most.max(memory(&pair, SERVER));
    }
    pair.run_for(Duration::from_millis(3));
    most = most.max(memory(&pair, SERVER));
    assert!(most > pressure, "the budget was asked for: {most}");
    let bound = pressure + (PEERS as u64 + 1) * LEAST;
    assert!(most <= bound.max(high + LEAST), "{most} of {bound}");
    assert!(pair.ends[SERVER].engine.counters().memory_pressures > 0);
    let took = moves(&mut pair, healthy, 1_000_000);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn data_that_nobody_reads_stops_at_the_budget_and_none_that_was_acknowledged_is_lost() {
    let (pressure, high) = (MIB, 2 * MIB);
    let mut pair = world(budget(MIB / 2, pressure, high));
    let peers = open_many(&mut pair, 200);
    let healthy = pair.open();
    let data = text(100_000);
    let mut sent = vec![0; peers.len()];
    let mut most = 0;
    for _ in 0..20 {
        for (peer, sent) in peers.iter().zip(&mut sent) {
            let (now, mut rest) = (pair.now, Bytes::copy_from_slice(&data[*sent..]));
            *sent += pair.ends[CLIENT].engine.send(now, peer.0, &mut rest).unwrap();
        }
        pair.flush();
        pair.run_for(Duration::from_millis(20));
        most = most.max(memory(&pair, SERVER));
    }
    assert!(most > high, "{most}");
    assert!(most <= high + 201 * LEAST, "{most}");
    let took = moves(&mut pair, healthy, 100_000);
    assert!(took < Duration::from_secs(120), "{took:?}");
    // The slow ones go on, and get every byte in order.
    let mut got = vec![Vec::new(); peers.len()];
    let start = pair.now;
    while got.iter().any(|got| got.len() < data.len()) {
        assert!(pair.now.since(start) < Duration::from_secs(600));
        for (at, (client, server)) in peers.iter().enumerate() {
            let (now, mut rest) = (pair.now, Bytes::copy_from_slice(&data[sent[at]..]));
            sent[at] += pair.ends[CLIENT].engine.send(now, *client, &mut rest).unwrap();
            got[at].extend(pair.read(SERVER, *server));
        }
        pair.flush();
        pair.run_for(Duration::from_millis(50));
    }
    assert!(got.iter().all(|got| *got == data));
    assert_eq!(memory(&pair, SERVER), 0);
}

#[test]
fn ten_thousand_zero_windows_make_writers_wait_and_a_healthy_peer_is_served() {
    const PEERS: usize = 10_000;
    let high = 24 * MIB;
    let mut pair = world(budget(8 * MIB, 16 * MIB, high));
    let peers = open_many(&mut pair, PEERS);
    let healthy = pair.open();
    // Their acknowledgements are lost, which is as good as a window of nothing.
    pair.filter = Box::new(|_, packet| if packet.len() > 100 { Way::Drop } else { Way::Pass });
    let data = Bytes::from(text(65_536));
    for (_, server) in &peers {
        let (now, mut rest) = (pair.now, data.clone());
        let taken = pair.ends[SERVER].engine.send(now, *server, &mut rest).unwrap();
        assert!(taken >= 4096, "each has its minimum: {taken}");
    }
    let held = memory(&pair, SERVER);
    assert!(held > high && held <= high + 65_536 + (PEERS as u64) * 4096, "{held}");
    pair.flush();
    pair.filter = Box::new(|_, _| Way::Pass);
    let took = moves(&mut pair, healthy, 200_000);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn an_orphan_beyond_the_budget_is_reset() {
    let mut pair = world(budget(65_536, 65_536, 131_072));
    let (_, a) = pair.open();
    let (_, b) = pair.open();
    pair.filter = Box::new(|_, packet| if packet.len() > 100 { Way::Drop } else { Way::Pass });
    let now = pair.now;
    let mut data = Bytes::from(text(200_000));
    let taken = pair.ends[SERVER].engine.send(now, a, &mut data).unwrap();
    assert_eq!(taken, 200_000);
    // No more than its minimum is queued behind b: it may finish.
    let mut little = Bytes::from(text(5000));
    assert_eq!(pair.ends[SERVER].engine.send(now, b, &mut little).unwrap(), 4096);
    pair.close(SERVER, b);
    assert_eq!(pair.ends[SERVER].engine.counters().abort_on_memory, 0);
    pair.close(SERVER, a);
    let end = &pair.ends[SERVER];
    assert_eq!(end.engine.counters().abort_on_memory, 1);
    assert_eq!(end.engine.population().memory, 4096);
    let reasons: Vec<_> = end.reports.iter().map(|(conn, report)| (*conn, report.reason)).collect();
    assert_eq!(reasons, [(a, EndReason::TooManyOrphans)]);
}

#[test]
fn a_window_that_was_offered_is_never_taken_back() {
    let mut pair = world(budget(65_536, 65_536, 131_072));
    let peers = open_many(&mut pair, 8);
    let edges = std::rc::Rc::new(std::cell::RefCell::new(std::collections::HashMap::new()));
    let seen = edges.clone();
    pair.filter = Box::new(move |from, packet| {
        if from == SERVER && packet[33] & 0x17 == 0x10 {
            let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            let window = u32::from(u16::from_be_bytes([packet[34], packet[35]])) << 7;
            let port = u16::from_be_bytes([packet[22], packet[23]]);
            let edge = word(28).wrapping_add(window);
            let mut edges = seen.borrow_mut();
            let last = edges.entry(port).or_insert(edge);
            // Units of the scale, of which one may be lost to rounding.
            assert!((edge.wrapping_sub(*last) as i32) > -(1 << 7), "{port}: {edge} < {last}");
            *last = edge;
        }
        Way::Pass
    });
    let data = text(100_000);
    for (client, _) in &peers {
        let (now, mut rest) = (pair.now, Bytes::copy_from_slice(&data));
        pair.ends[CLIENT].engine.send(now, *client, &mut rest).unwrap();
        pair.flush();
        pair.run_for(Duration::from_millis(50));
    }
    assert!(memory(&pair, SERVER) > 131_072);
    assert_eq!(edges.borrow().len(), 8);
}

#[test]
fn the_account_is_empty_when_all_is_done() {
    let mut pair = world(budget(65_536, 65_536, 131_072));
    let peers = open_many(&mut pair, 20);
    for (client, server) in &peers {
        let (now, mut rest) = (pair.now, Bytes::from(text(50_000)));
        pair.ends[CLIENT].engine.send(now, *client, &mut rest).unwrap();
        pair.flush();
        pair.run_for(Duration::from_millis(30));
        read(&mut pair, *server);
    }
    for (at, (client, server)) in peers.iter().enumerate() {
        if at % 2 == 0 {
            pair.close(CLIENT, *client);
        }
        let now = pair.now;
        pair.ends[SERVER].engine.abort(now, *server).unwrap();
        pair.flush();
    }
    pair.run_until_idle();
    for (client, _) in peers.iter().skip(1).step_by(2) {
        pair.close(CLIENT, *client);
    }
    pair.run_until_idle();
    for end in [CLIENT, SERVER] {
        let Population { memory, .. } = pair.ends[end].engine.population();
        assert_eq!(memory, 0);
    }
}
