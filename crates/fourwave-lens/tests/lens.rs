//! What a lens remembers, and for how long.

mod common;

use std::time::Duration;

use common::*;
use fourwave_core::state::State;
use fourwave_core::{EndReason, Instant, Side};
use fourwave_lens::{Ended, EntryKind, Event, LensOptions, Role, RstCause, ladder};
use fourwave_wire::icmp::IcmpError;

fn ended(wire: &Wire) -> usize {
    wire.events.iter().filter(|event| matches!(event, Event::Ended(_))).count()
}

fn tick(wire: &mut Wire, now: Duration) {
    wire.now = now;
    wire.lens.tick(now);
    wire.drain();
}

#[test]
fn a_story_is_told_once_it_has_settled_and_then_forgotten() {
    let mut w = Wire::new();
    w.lens = fourwave_lens::Lens::new(fourwave_lens::LensOptions::default());
    w.open();
    w.at(25_000, Client, "FIN ACK", 1, 1, 0);
    w.at(36_000, Server, "FIN ACK", 1, 2, 0);
    w.at(36_030, Client, "ACK", 2, 2, 0);
    assert_eq!((ended(&w), w.lens.watched()), (0, 1));
    let settled = w.now + Duration::from_secs(1);
    assert_eq!(w.lens.next_tick(), Some(settled));
    tick(&mut w, settled);
    assert_eq!((ended(&w), w.lens.watched()), (1, 0));
    // Its late segments are no connection of their own.
    w.at(20_000_000, Server, "FIN ACK", 1, 2, 0);
    assert_eq!(w.lens.ignored().late, 1);
    assert_eq!(w.record().conn, 1);
    // After 2MSL nothing is remembered: a segment then is a connection seen in mid-stream.
    w.at(90_000_000, Server, "ACK", 2, 2, 0);
    assert_eq!(w.seen.map(|seen| seen.conn), Some(2));
}

#[test]
fn the_last_segment_ends_it_and_only_that_one() {
    let mut w = Wire::new();
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    w.at(30_000, Server, "FIN ACK", 1, 2, 0);
    assert!(!w.seen.unwrap().ended);
    assert_eq!(w.lens.comment(&w.seen.unwrap(), &w.names), None);
    w.at(30_050, Client, "ACK", 2, 2, 0);
    assert!(w.seen.unwrap().ended);
    assert_eq!(
        w.lens.comment(&w.seen.unwrap(), &w.names).as_deref(),
        Some(
            "fourwave: end of connection 1: the program closed first, with FIN; both sides closed \
             and both FINs were acknowledged; the program holds TIME_WAIT until 60.030000 (60 s); \
             0 B from the client, 0 B from the server"
        )
    );
    w.at(31_000, Client, "ACK", 2, 2, 0);
    assert!(!w.seen.unwrap().ended);
}

#[test]
fn a_syn_in_time_wait_is_a_new_connection() {
    let mut w = three_waves();
    w.isn = [70_000_000, 80_000_000];
    w.at(500_000, Client, "SYN", 0, 0, 0);
    assert_eq!(w.seen.unwrap().conn, 2);
    w.at(510_000, Server, "SYN ACK", 0, 1, 0);
    w.at(510_050, Client, "ACK", 1, 1, 0);
    let records = w.records();
    assert_eq!(
        records.iter().map(|record| record.how).collect::<Vec<_>>(),
        [Ended::Orderly, Ended::Open]
    );
    assert_eq!(records[1].states, [State::Established; 2]);
}

#[test]
fn a_client_that_restarted_replaces_its_connection() {
    let mut w = Wire::new();
    w.open();
    let isn = w.isn;
    // The client lost its memory and takes the same port again.
    w.isn[0] = 2_000_000_000;
    w.at(1_000_000, Client, "SYN", 0, 0, 0);
    assert_eq!(w.seen.unwrap().conn, 1);
    w.isn = isn;
    w.at(1_010_000, Server, "ACK", 1, 1, 0);
    w.isn[0] = 2_000_000_000;
    w.isn[1] = 5;
    w.at(3_000_000, Server, "SYN ACK", 0, 1, 0);
    assert_eq!(w.seen.unwrap().conn, 2);
    w.at(3_000_100, Client, "ACK", 1, 1, 0);
    let records = w.records();
    assert_eq!(records[0].how, Ended::Replaced);
    assert_eq!(records[1].states, [State::Established; 2]);
}

#[test]
fn a_syn_without_an_answer_is_given_up() {
    let mut w = unanswered();
    tick(&mut w, Duration::from_secs(130));
    assert_eq!(ended(&w), 0, "the last SYN came at 7 s");
    tick(&mut w, Duration::from_secs(137));
    assert_eq!(w.record().how, Ended::Unanswered { retransmissions: 3 });
}

#[test]
fn a_syn_after_an_icmp_error_is_the_same_attempt() {
    let mut w = unreachable();
    w.at(3_500_000, Client, "SYN", 0, 0, 0);
    w.at(3_510_000, Server, "SYN ACK", 0, 1, 0);
    w.at(3_510_050, Client, "ACK", 1, 1, 0);
    let record = w.record();
    assert_eq!((record.how, record.handshake), (Ended::Open, None));
    assert_eq!(record.states, [State::Established; 2]);
}

#[test]
fn the_engines_word_counts_more_than_arithmetic() {
    let mut w = Wire::new();
    w.open();
    w.at(20_000, Server, "FIN ACK", 1, 1, 0);
    w.at(20_050, Client, "FIN ACK", 1, 2, 0);
    w.at(20_090, Server, "ACK", 2, 2, 0);
    let mut report = w.report(EndReason::Orderly, Some(Side::Local));
    report.time_wait_until = Some(Instant::from_micros(5_020_090));
    assert!(w.lens.end(&report));
    let record = w.record();
    let [wait] = record.time_wait[..] else { panic!("one holds it: {:?}", record.time_wait) };
    assert_eq!((wait.who, wait.until), (Server, Duration::from_micros(5_020_090)));
    // Without TIME_WAIT in the report, nobody holds it.
    let mut w = Wire::new();
    w.open();
    w.at(20_000, Server, "FIN ACK", 1, 1, 0);
    w.at(20_050, Client, "FIN ACK", 1, 2, 0);
    w.at(20_090, Server, "ACK", 2, 2, 0);
    assert!(w.lens.end(&w.report(EndReason::Orderly, Some(Side::Local))));
    assert!(w.record().time_wait.is_empty());
}

#[test]
fn a_report_may_come_before_its_rst() {
    let mut w = Wire::new();
    w.open();
    w.now = Duration::from_millis(50);
    assert!(w.lens.end(&w.report(EndReason::Linger, Some(Side::Local))));
    w.at(50_010, Server, "RST ACK", 1, 1, 0);
    // It ends the connection all the same: the capture's comment belongs to it.
    assert!(w.seen.as_ref().is_some_and(|seen| seen.ended));
    let record = w.record();
    assert_eq!(record.how, Ended::Reset { by: Server, cause: RstCause::Aborted });
    assert_eq!(record.states, [State::Closed; 2]);
    assert_eq!(record.reason(), Some(EndReason::Linger));
    assert!(record.entries.iter().all(|entry| entry.annotation.is_none()), "{:?}", record.entries);
}

#[test]
fn a_report_may_come_before_the_last_ack() {
    let mut w = Wire::new();
    w.open();
    w.at(20_000, Server, "FIN ACK", 1, 1, 0);
    w.at(20_050, Client, "FIN ACK", 1, 2, 0);
    w.now = Duration::from_millis(21);
    assert!(w.lens.end(&w.report(EndReason::Orderly, Some(Side::Local))));
    w.at(21_010, Server, "ACK", 2, 2, 0);
    assert!(w.seen.as_ref().is_some_and(|seen| seen.ended));
    let record = w.record();
    assert_eq!((record.how, record.states), (Ended::Orderly, [State::Closed, State::TimeWait]));
}

#[test]
fn a_report_of_an_earlier_connection_is_left_alone() {
    let mut w = Wire::new();
    w.at(5_000_000, Client, "SYN", 0, 0, 0);
    let mut report = w.report(EndReason::Aborted, None);
    report.ended = Instant::from_micros(4_000_000);
    assert!(!w.lens.end(&report));
    assert_eq!(w.record().report, None);
}

#[test]
fn rfc1337_keeps_time_wait() {
    let mut w = time_wait_assassinated();
    assert!(w.record().time_wait.is_empty());
    let mut w = Wire::new();
    let options = fourwave_lens::LensOptions { rfc1337: true, ..Default::default() };
    w.lens = fourwave_lens::Lens::new(options);
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    w.at(20_050, Server, "FIN ACK", 1, 2, 0);
    w.at(20_090, Client, "ACK", 2, 2, 0);
    w.at(20_400, Server, "RST", 2, 0, 0);
    assert_eq!(w.record().time_wait.len(), 1);
}

#[test]
fn more_than_4_gib_each_byte_counted_once() {
    let mut w = Wire::new();
    w.open();
    w.gso_size = 1000;
    let (chunk, chunks) = (60_000u64, 80_000u64);
    for n in 0..chunks {
        let seq = 1 + (n * chunk) as u32;
        w.at(20_000 + n, Server, "ACK", seq, 1, chunk as usize);
        w.at(20_000 + n, Client, "ACK", 1, seq.wrapping_add(chunk as u32), 0);
    }
    let record = w.record();
    assert_eq!(record.bytes, [0, chunk * chunks]);
    assert_eq!(record.bytes_acked, [0, chunk * chunks]);
    assert_eq!(record.segments[1], 1 + chunks * 60);
    assert_eq!(record.unexpected_segments, 0);
}

#[test]
fn what_never_passed_is_counted() {
    let mut w = Wire::new();
    w.open();
    // One segment of three passes elsewhere, and so does the last.
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(20_010, Server, "ACK", 2001, 1, 1000);
    w.at(20_050, Client, "ACK", 1, 4001, 0);
    let record = w.record();
    assert_eq!((record.bytes, record.unseen), ([0, 4000], [0, 2000]));
}

#[test]
fn a_summary_of_stories() {
    let mut summary = fourwave_lens::summary::Summary::new();
    let mut unnamed = summary.clone();
    for (_, mut w) in all() {
        for record in w.records() {
            summary.add_record(&record, &w.names);
            unnamed.add_record(&record, &fourwave_lens::Names::default());
        }
    }
    insta::assert_snapshot!(format!("{summary}\n{unnamed}"));
}

#[test]
fn rows_are_bounded_and_say_what_is_missing() {
    let mut w = Wire::new();
    w.open();
    // Entries that fold into nothing: a router complains about every segment.
    for n in 0..2_000u32 {
        let at = 20_000 + u64::from(n) * 1_000;
        w.at(at, Server, "ACK", 1 + n * 100, 1, 100);
        let packet = w.packet(Server, "ACK", 1 + n * 100, 1, 100);
        w.icmp(at + 10, IcmpError::TimeExceeded, &packet);
    }
    w.at(3_000_000, Client, "RST ACK", 1, 200_001, 0);
    let record = w.record();
    assert!(record.entries.len() <= 24 + 24 + 1, "{} rows", record.entries.len());
    let left_out: Vec<_> = record
        .entries
        .iter()
        .filter_map(|entry| match entry.what {
            EntryKind::LeftOut(left_out) => Some(left_out),
            _ => None,
        })
        .collect();
    let [left_out] = left_out[..] else { panic!("{left_out:?}") };
    let kept: u64 = record
        .entries
        .iter()
        .map(|entry| match &entry.what {
            EntryKind::Segment(shown) => shown.segments,
            EntryKind::Run(run) => run.segments + run.acks,
            _ => 0,
        })
        .sum();
    assert_eq!(left_out.segments + kept, record.segments.iter().sum::<u64>());
    let drawn = ladder::render(&record, &w.options());
    assert!(drawn.contains("entries left out"), "{drawn}");
}

#[test]
fn told_connections_are_remembered_within_a_limit() {
    let mut w = Wire::new();
    let options = fourwave_lens::LensOptions { remembered: 10, ..Default::default() };
    w.lens = fourwave_lens::Lens::new(options);
    for n in 0..100 {
        w.addrs[0].set_port(1_000 + n);
        let at = u64::from(n) * 2_000_000;
        w.at(at, Client, "SYN", 0, 0, 0);
        w.at(at + 10, Server, "RST ACK", 0, 1, 0);
    }
    tick(&mut w, Duration::from_secs(200));
    assert_eq!(w.lens.watched(), 0);
    // The last one is remembered, an old one is not: its segment opens a connection.
    w.at(201_000_000, Client, "ACK", 1, 1, 0);
    assert_eq!(w.lens.ignored().late, 1);
    w.addrs[0].set_port(1_050);
    w.at(201_000_000, Client, "ACK", 1, 1, 0);
    assert_eq!(w.seen.unwrap().conn, 101);
}

#[test]
fn headers_cut_within_their_options_are_read() {
    let mut w = Wire::new();
    let syn = w.packet(Client, "SYN", 0, 0, 0);
    let seen = w.lens.observe(Duration::ZERO, &syn[..40], syn.len(), 0);
    assert!(seen.is_some());
    assert!(w.lens.observe(Duration::ZERO, &syn[..39], syn.len(), 0).is_none());
    assert_eq!(w.lens.ignored().unreadable, 1);
    assert_eq!(w.record().states[Role::Client.index()], State::SynSent);
}

#[test]
fn what_is_not_tcp_is_counted() {
    let mut w = Wire::new();
    let mut packet = w.packet(Client, "SYN", 0, 0, 0);
    packet[9] = 17;
    assert!(w.lens.observe(Duration::ZERO, &packet, packet.len(), 0).is_none());
    w.at(0, Server, "RST", 7, 0, 0);
    let ignored = w.lens.ignored();
    assert_eq!((ignored.other, ignored.stray, ignored.unreadable), (1, 1, 0));
    assert!(w.records().is_empty());
}

#[test]
fn a_quiet_lens_tells_stories_only() {
    let mut w = Wire::new();
    w.lens = fourwave_lens::Lens::new(fourwave_lens::LensOptions::default());
    w.open();
    w.lens.finish(w.now);
    assert!(w.events.is_empty());
    assert_eq!(w.lens.poll_record().map(|record| record.conn), Some(1));
    assert_eq!(w.lens.poll_record(), None);
}

#[test]
fn of_too_many_that_are_over_the_oldest_is_told_at_once() {
    let settle = Duration::from_secs(60);
    let mut w = Wire::with(LensOptions { settle, most_settling: 1, ..LensOptions::default() });
    for (port, at) in [(40_000, 0), (40_001, 1_000_000)] {
        w.addrs[0].set_port(port);
        w.at(at, Client, "SYN", 0, 0, 0);
        w.at(at + 10, Server, "RST ACK", 0, 1, 0);
    }
    w.lens.tick(Duration::from_secs(2));
    let record = w.lens.poll_record().unwrap();
    assert_eq!(record.addrs[0].port(), 40_000);
    assert_eq!(w.lens.poll_record(), None);
    w.lens.tick(Duration::from_secs(62));
    assert_eq!(w.lens.poll_record().unwrap().addrs[0].port(), 40_001);
}

#[test]
fn rfc9768_the_ladder_tells_the_ace_field_where_both_ends_agreed() {
    let shown = |answer: &str| {
        let mut wire = Wire::new();
        wire.at(0, Client, "SYN ECE CWR AE", 0, 0, 0);
        wire.at(10, Server, answer, 0, 1, 0);
        wire.at(20, Client, "ACK CWR", 1, 1, 0);
        wire.ladder()
    };
    let agreed = shown("SYN ACK CWR");
    assert!(agreed.contains("SYN ECE CWR AE"), "{agreed}");
    assert!(agreed.contains("SYN ACK CWR") && agreed.contains("ACK ack=1 ace=2"), "{agreed}");
    let classic = shown("SYN ACK ECE");
    assert!(!classic.contains("ace=") && classic.contains("ACK CWR"), "{classic}");
}
