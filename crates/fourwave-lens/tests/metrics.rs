//! Metrics of a connection.

mod common;

use std::time::Duration;

use common::*;
use fourwave_lens::{EndMetrics, LensOptions, Metrics, PointKind, Retransmissions, Role};

fn metrics(w: &mut Wire) -> Metrics {
    *w.record().metrics.unwrap()
}

fn end(w: &mut Wire, who: Role) -> EndMetrics {
    metrics(w).ends[who.index()].clone()
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Ten segments by the server, the second of which is lost beyond the point of watching.
fn lossy() -> Wire {
    let mut w = Wire::measuring();
    w.open();
    for n in 0..10 {
        w.at(20_000 + n * 10, Server, "ACK", 1 + n as u32 * 1000, 1, 1000);
    }
    w.at(30_000, Client, "ACK", 1, 1001, 0);
    w
}

#[test]
fn round_trips_beyond_the_point_of_watching() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(20_300, Client, "ACK", 1, 1001, 0);
    w.at(21_000, Server, "ACK", 1001, 1, 1000);
    w.at(21_500, Client, "ACK", 1, 2001, 0);
    let all = metrics(&mut w);
    let [client, server] = &all.ends;
    // SYN to SYN ACK; SYN ACK to ACK, and two of data.
    assert_eq!((client.rtt.samples, client.rtt.mean()), (1, Some(micros(11_900))));
    assert_eq!((server.rtt.samples, server.rtt.min, server.rtt.max), (3, micros(100), micros(500)));
    assert_eq!(server.rtt.sum, micros(900));
    assert_eq!(all.opening, Some(micros(12_000)));
}

#[test]
fn karn_what_was_sent_twice_gives_no_round_trip() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(250_000, Server, "ACK", 1, 1, 1000);
    w.at(250_100, Client, "ACK", 1, 1001, 0);
    let server = end(&mut w, Server);
    assert_eq!((server.rtt.samples, server.rtt.max), (1, micros(100)));
}

#[test]
fn three_duplicate_acks_ask_for_it() {
    let mut w = lossy();
    for n in 0..3 {
        w.at(30_010 + n, Client, "ACK", 1, 1001, 0);
    }
    w.at(30_020, Server, "ACK", 1001, 1, 1000);
    // A partial ACK in the same recovery asks for the next one.
    w.at(41_000, Client, "ACK", 1, 3001, 0);
    w.at(41_010, Server, "ACK", 3001, 1, 1000);
    w.at(52_000, Client, "ACK", 1, 10_001, 0);
    let all = metrics(&mut w);
    assert_eq!(
        all.ends[1].retransmissions,
        Retransmissions { fast: 2, ..Retransmissions::default() }
    );
    assert_eq!((all.ends[0].dup_acks, all.ends[1].max_in_flight), (3, 10_000));
}

#[test]
fn a_sack_hole_asks_for_it() {
    let mut w = lossy();
    w.sacks(30_010, Client, 1, 1001, &[(2001, 10_001)]);
    w.at(30_020, Server, "ACK", 1001, 1, 1000);
    assert_eq!(
        end(&mut w, Server).retransmissions,
        Retransmissions { fast: 1, ..Retransmissions::default() }
    );
}

#[test]
fn nothing_asks_after_a_timeout() {
    let mut w = lossy();
    w.sacks(30_010, Client, 1, 1001, &[(2001, 3001)]);
    w.at(240_000, Server, "ACK", 1001, 1, 1000);
    // What the timeout took for lost goes with it.
    w.at(251_000, Client, "ACK", 1, 3001, 0);
    w.at(251_010, Server, "ACK", 3001, 1, 1000);
    assert_eq!(
        end(&mut w, Server).retransmissions,
        Retransmissions { timeout: 2, ..Retransmissions::default() }
    );
}

#[test]
fn a_dsack_proves_it_needless() {
    let mut w = lossy();
    w.at(240_000, Server, "ACK", 1001, 1, 1000);
    w.sacks(240_500, Client, 1, 10_001, &[(1001, 2001)]);
    let server = end(&mut w, Server);
    assert_eq!(
        server.retransmissions,
        Retransmissions { spurious: 1, ..Retransmissions::default() }
    );
}

#[test]
fn an_old_echo_proves_it_needless() {
    for (echo, again) in [
        (100, Retransmissions { spurious: 1, ..Retransmissions::default() }),
        (300, Retransmissions { timeout: 1, ..Retransmissions::default() }),
    ] {
        let mut w = Wire::measuring();
        w.open();
        w.stamped(20_000, Server, (100, 7), (1, 1, 1000));
        w.stamped(240_000, Server, (300, 7), (1, 1, 1000));
        w.stamped(251_000, Client, (9, echo), (1, 1001, 0));
        assert_eq!(end(&mut w, Server).retransmissions, again, "{echo}");
    }
}

#[test]
fn a_gap_filled_late_was_resent_or_overtaken() {
    // By timestamp.
    for (stamp, late) in [(99, (0, 1)), (200, (1, 0))] {
        let mut w = Wire::measuring();
        w.open();
        w.stamped(20_000, Server, (98, 7), (1, 1, 1000));
        w.stamped(20_010, Server, (100, 7), (2001, 1, 1000));
        w.stamped(90_000, Server, (stamp, 7), (1001, 1, 1000));
        let server = end(&mut w, Server);
        assert_eq!(
            (server.retransmissions.total(), server.out_of_order),
            late,
            "timestamp {stamp}"
        );
    }
    // By identification.
    for (id, late) in [(105, (0, 1)), (110, (1, 0))] {
        let mut w = Wire::measuring();
        w.open();
        w.ids[1] = 100;
        for n in 0..5 {
            w.at(20_000 + n, Server, "ACK", 1 + n as u32 * 1000, 1, 1000);
        }
        w.ids[1] = 106;
        w.at(20_010, Server, "ACK", 6001, 1, 1000);
        w.ids[1] = id;
        w.at(90_000, Server, "ACK", 5001, 1, 1000);
        let server = end(&mut w, Server);
        assert_eq!(
            (server.retransmissions.total(), server.out_of_order),
            late,
            "identification {id}"
        );
    }
    // By time: the round trip is 12 ms.
    for (at, late) in [(20_500, (0, 1)), (32_500, (1, 0))] {
        let mut w = Wire::measuring();
        w.open();
        w.at(20_000, Server, "ACK", 1001, 1, 1000);
        w.at(at, Server, "ACK", 1, 1, 1000);
        let server = end(&mut w, Server);
        assert_eq!((server.retransmissions.total(), server.out_of_order), late, "at {at}");
    }
}

#[test]
fn zero_windows_and_probes() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Server, "ACK", 1, 1, 30_000);
    w.window[0] = 0;
    w.at(13_000, Client, "ACK", 1, 30_001, 0);
    // Linux probes with an old number, others with one byte.
    w.at(213_000, Server, "ACK", 30_000, 1, 0);
    w.at(213_040, Client, "ACK", 1, 30_001, 0);
    w.at(613_000, Server, "ACK", 30_001, 1, 1);
    w.at(613_040, Client, "ACK", 1, 30_001, 0);
    w.window[0] = 64_000;
    w.at(700_000, Client, "ACK", 1, 30_001, 0);
    w.at(711_000, Server, "PSH ACK", 30_001, 1, 1000);
    w.at(711_040, Client, "ACK", 1, 31_001, 0);
    w.window[0] = 0;
    w.at(720_000, Client, "ACK", 1, 31_001, 0);
    w.now = micros(721_000);
    let all = metrics(&mut w);
    let [client, server] = &all.ends;
    assert_eq!((client.zero_windows, client.zero_window_time), (2, micros(688_000)));
    assert_eq!((server.window_probes, server.retransmissions.total()), (2, 0));
    assert_eq!(server.data, Some((micros(12_300), micros(711_000))));
    assert_eq!(server.payload, 31_001);
}

#[test]
fn keepalives_are_no_retransmissions() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "PSH ACK", 1, 1, 1);
    w.at(20_100, Server, "ACK", 1, 2, 0);
    for n in 1..=3 {
        // With the last byte again, as some do.
        w.at(n * 75_000_000, Client, "ACK", 1, 1, (n % 2) as usize);
        w.at(n * 75_000_000 + 100, Server, "ACK", 1, 2, 0);
    }
    let client = end(&mut w, Client);
    assert_eq!((client.keepalives, client.retransmissions.total()), (3, 0));
}

#[test]
fn fins_resets_and_payload_are_counted_as_they_come() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "FIN PSH ACK", 1, 1, 10);
    w.at(230_000, Client, "FIN PSH ACK", 1, 1, 10);
    w.at(230_100, Server, "ACK", 1, 12, 0);
    w.at(240_000, Server, "RST ACK", 1, 12, 0);
    let all = metrics(&mut w);
    assert_eq!((all.ends[0].fins, all.ends[0].payload, all.ends[1].rsts), (2, 20, 1));
    assert_eq!(
        all.ends[0].retransmissions,
        Retransmissions { fin: 1, ..Retransmissions::default() }
    );
}

#[test]
fn super_packets_count_their_segments() {
    let mut w = Wire::measuring();
    w.open();
    w.gso_size = 1000;
    w.at(20_000, Server, "ACK", 1, 1, 64_000);
    w.at(250_000, Server, "ACK", 1, 1, 64_000);
    assert_eq!(end(&mut w, Server).retransmissions.timeout, 64);
    let record = w.records();
    assert!(record.len() <= 1);
}

#[test]
fn points_tell_data_acks_windows_and_what_came_again() {
    let mut w = lossy();
    w.at(240_000, Server, "ACK", 1001, 1, 1000);
    let points = metrics(&mut w).points;
    assert!(points.is_sorted_by_key(|point| point.at));
    let of = |kind, stream| {
        points
            .iter()
            .filter(|p| p.kind == kind && p.stream == stream)
            .map(|p| p.seq)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(PointKind::Retransmitted, Server), [2001]);
    assert_eq!(of(PointKind::Ack, Server), [1, 1001]);
    assert_eq!(of(PointKind::Window, Server), [64_241, 65_241]);
    assert_eq!(of(PointKind::Data, Server).last(), Some(&10_001));
}

#[test]
fn a_long_transfer_stays_small() {
    let mut w = Wire::with(LensOptions { metrics: true, ..LensOptions::default() });
    w.open();
    for n in 0..50_000u32 {
        let at = 20_000 + u64::from(n) * 20;
        w.at(at, Server, "ACK", 1 + n * 1000, 1, 1000);
        w.at(at + 10, Client, "ACK", 1, 1001 + n * 1000, 0);
    }
    let record = w.record();
    assert!(record.anomalies.is_empty(), "{:?}", record.anomalies);
    let all = record.metrics.unwrap();
    assert!(all.points.len() <= 1024 && all.points.len() > 256, "{}", all.points.len());
    assert_eq!(all.ends[1].max_in_flight, 1000);
    let rate = all.ends[1].throughput(record.bytes[1]).unwrap();
    assert!((49e6..51e6).contains(&rate), "{rate}");
}

#[test]
fn the_syn_ack_of_a_simultaneous_open_is_no_retransmission() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(3_000, Server, "SYN", 0, 0, 0);
    w.at(3_050, Client, "SYN ACK", 0, 1, 0);
    w.at(6_000, Server, "SYN ACK", 0, 1, 0);
    w.at(6_100, Client, "PSH ACK", 1, 1, 5);
    w.at(7_000, Server, "ACK", 1, 6, 0);
    let record = w.record();
    assert!(record.anomalies.is_empty(), "{:?}", record.anomalies);
    assert_eq!(record.metrics.unwrap().ends.map(|end| end.retransmissions.total()), [0, 0]);
}

#[test]
fn many_gaps_at_once_are_no_retransmissions_when_they_close() {
    let mut w = Wire::measuring();
    w.open();
    // Every other segment was lost before the point of watching; then they come.
    for n in 0..30 {
        w.at(20_000 + n, Client, "ACK", 101 + 200 * n as u32, 1, 100);
    }
    for n in 0..30 {
        w.at(90_000 + n, Client, "ACK", 1 + 200 * n as u32, 1, 100);
    }
    let record = w.record();
    assert_eq!((record.retransmitted, record.bytes), ([0, 0], [6000, 0]));
}
