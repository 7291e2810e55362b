//! What the simulator and the fuzzers found, each case as small as it gets.

mod bench;

use bench::{Bench, config};
use bytes::Bytes;
use fourwave_core::error::ReceiveError;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReason, Event, SocketOption};
use fourwave_wire::tcp::Flags;

/// Queues `len` bytes.
fn send(bench: &mut Bench, conn: ConnId, len: usize) {
    let mut data = Bytes::from(vec![7; len]);
    let now = bench.now;
    bench.engine.set_option(now, conn, SocketOption::NoDelay(true)).unwrap();
    assert_eq!(bench.engine.send(now, conn, &mut data), Ok(len));
}

/// The window of an ACK in bytes.
fn window(bench: &Bench, conn: ConnId, raw: u16) -> u32 {
    let shift = bench.engine.info(conn).unwrap().rcv_wscale.unwrap_or(0);
    u32::from(raw) << shift
}

/// The window counts from SEG.ACK. An ACK that moves SND.UNA on a segment older than SND.WL1
/// left the old window in place, which then reached further than the peer ever promised.
#[test]
fn rfc9293_3_10_7_4_an_ack_that_moves_snd_una_brings_its_window() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.window = 2000;
    // A pure ACK overtakes the ten bytes before it.
    bench.arrives(Flags::ACK, 11, 1, b"");
    send(&mut bench, conn, 8000);
    assert_eq!(bench.sent().len(), 8);
    // They follow, and say that the peer has all and no more room.
    bench.window = 0;
    bench.arrives(Flags::ACK, 1, 8001, b"ten bytes.");
    bench.sent();
    send(&mut bench, conn, 1000);
    bench.silence();
}

#[test]
fn events_name_only_handles_that_are_held() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.events();
    bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"");
    let now = bench.now;
    assert_eq!(bench.engine.receive(now, conn, 10), Ok(Bytes::new()));
    bench.engine.close(now, conn).unwrap();
    assert_eq!(bench.events(), []);
}

/// The queue of events names a slot, and the slot had a new owner who was not accepted yet.
#[test]
fn no_event_for_a_connection_that_was_not_accepted() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.events();
    bench.arrives(Flags::ACK, 1, 1, b"unread");
    let now = bench.now;
    bench.engine.abort(now, conn).unwrap();
    bench.sent();
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::ACK, 1, 1, b"hello");
    let names_one = |event: &Event| matches!(event, Event::Readable { .. });
    assert!(!bench.events().iter().any(names_one));
    let conn = bench.engine.accept(now, bench.listener).unwrap().conn;
    assert!(bench.events().contains(&Event::Readable { conn }));
}

#[test]
fn a_connection_that_ended_before_accept_has_told_its_last_event() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::ACK, 1, 1, b"last words");
    bench.arrives(Flags::RST, 11, 0, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    let now = bench.now;
    let conn = bench.engine.accept(now, bench.listener).unwrap().conn;
    assert_eq!(bench.events(), []);
    assert_eq!(bench.engine.receive(now, conn, 100), Ok(Bytes::from_static(b"last words")));
    let ended = Err(ReceiveError::Ended(EndReason::ResetByPeer));
    assert_eq!(bench.engine.receive(now, conn, 100), ended);
    bench.engine.close(now, conn).unwrap();
    assert_eq!(bench.events(), []);
    assert_eq!(bench.engine.population(), fourwave_core::Population::default());
}

/// The window was always rounded up to the scale's unit: byte by byte, it never closed.
#[test]
fn rfc7323_2_4_small_segments_do_not_hold_the_window_open() {
    for most in ["65536", "1073741824"] {
        let settings = [("tcp_rmem_default", "65536"), ("tcp_rmem_max", most)];
        let mut bench = Bench::new(config(&settings));
        let conn = bench.open();
        let mut open = true;
        let mut sent = 0;
        while open && sent < 200_000 {
            bench.arrives(Flags::ACK, 1 + sent, 1, b"x");
            sent += 1;
            bench.pass(Duration::from_millis(50));
            open = bench.sent().iter().all(|s| s.header.window.0 > 0);
        }
        assert!(!open && sent <= 65_537, "{sent} bytes were taken into 64 KiB");
        let unread = bench.engine.info(conn).unwrap().rcv_unread;
        assert!(unread <= 65_537, "{unread}");
    }
}

/// A buffer smaller than the scale's unit could not be told: the window stayed closed for ever.
/// And each read that could not be told sent an ACK that said so.
#[test]
fn rfc9293_3_8_6_2_2_a_window_that_closed_opens_again_whatever_the_scale() {
    let settings = [("tcp_rmem_default", "4096"), ("tcp_rmem_max", "1073741824")];
    let mut bench = Bench::new(config(&settings));
    let conn = bench.open();
    let mut seq = 1;
    let mut closed = false;
    while !closed && seq < 1_000_000 {
        bench.arrives(Flags::ACK, seq, 1, &[1; 1000]);
        seq += 1000;
        closed = bench.sent().iter().any(|s| s.header.window.0 == 0);
    }
    assert!(closed);
    let (now, mut updates) = (bench.now, Vec::new());
    while bench.engine.receive(now, conn, 10).is_ok() {
        updates.extend(bench.sent().iter().map(|s| window(&bench, conn, s.header.window.0)));
    }
    assert!(!updates.is_empty() && updates.len() < 10, "{updates:?}");
    assert!(updates.iter().all(|window| *window > 0), "{updates:?}");
}

/// Without scaling a buffer may be larger than any window; that is no gain to tell of.
#[test]
fn rfc9293_3_8_6_2_2_no_update_of_a_window_that_is_as_large_as_it_can_be() {
    let mut bench = Bench::new(config(&[("tcp_window_scaling", "0")]));
    let conn = bench.open();
    let mut seq = 1;
    for _ in 0..10 {
        bench.arrives(Flags::ACK, seq, 1, &[1; 1000]);
        seq += 1000;
        bench.one();
        let now = bench.now;
        assert_eq!(bench.engine.receive(now, conn, 1000).unwrap().len(), 1000);
        bench.silence();
    }
}

/// Two SYNs that crossed and whose connections were aborted left two half-open records, each of
/// which answered the other's SYN ACK with its own, without end.
#[test]
fn rfc9293_3_10_7_4_a_syn_ack_in_syn_received_is_answered_by_an_ack() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    bench.ack(1, 1);
    // The peer's own SYN again is answered as before.
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
}

/// Two half-open records of old SYNs, each beyond the other's window, answered each other's
/// challenges a thousand times a second.
#[test]
fn rfc5961_7_a_half_open_end_challenges_once_for_each_syn_ack() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::ACK, 1 << 20, 1, b"");
    bench.ack(1, 1);
    for _ in 0..3 {
        bench.arrives(Flags::ACK, 1 << 20, 1, b"");
        bench.silence();
    }
    bench.pass(Duration::from_millis(1100));
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
    bench.arrives(Flags::ACK, 1 << 20, 1, b"");
    bench.ack(1, 1);
}

/// With an interval of zero the keepalive timer ran out as soon as it was set.
#[test]
fn keepalive_times_are_a_second_at_least() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let (now, none) = (bench.now, Duration::ZERO);
    let option = SocketOption::KeepAliveTimes { idle: none, interval: none, probes: 0 };
    bench.engine.set_option(now, conn, option).unwrap();
    bench.pass(Duration::from_millis(900));
    bench.silence();
    bench.pass(Duration::from_millis(101));
    bench.ack(0, 1);
    bench.pass(Duration::from_millis(900));
    assert_eq!(bench.reason(), None);
    bench.pass(Duration::from_millis(101));
    assert_eq!(bench.reason(), Some(EndReason::KeepaliveTimeout));
}

/// `TCP_LINGER2` of zero left the rest to the FIN that came with our FIN's ACK; where that could
/// not be taken yet, nothing ended the orphan.
#[test]
fn an_orphan_that_may_not_wait_ends_though_the_peers_fin_came_early() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let now = bench.now;
    bench.engine.set_option(now, conn, SocketOption::Linger2(Duration::ZERO)).unwrap();
    bench.engine.close(now, conn).unwrap();
    bench.one();
    // Ten bytes before it are missing.
    bench.arrives(Flags::FIN | Flags::ACK, 11, 2, b"");
    assert!(bench.one().header.flags.rst());
    assert_eq!(bench.reason(), Some(EndReason::DataAfterClose));
    assert_eq!(bench.engine.population().connections, 0);
}

#[test]
fn a_limit_that_is_raised_wakes_the_writer() {
    for (tight, loose) in [
        (SocketOption::NotSentLowat(1000), SocketOption::NotSentLowat(0)),
        (SocketOption::NotSentLowat(1000), SocketOption::NotSentLowat(100_000)),
        (SocketOption::SendBuffer(1000), SocketOption::SendBuffer(0)),
    ] {
        let mut bench = Bench::new(Config::default());
        bench.window = 0;
        let conn = bench.open();
        bench.events();
        let now = bench.now;
        bench.engine.set_option(now, conn, tight).unwrap();
        let mut data = Bytes::from(vec![7; 2000]);
        assert_eq!(bench.engine.send(now, conn, &mut data), Ok(1000));
        assert_eq!(bench.events(), []);
        bench.engine.set_option(now, conn, loose).unwrap();
        assert_eq!(bench.events(), [Event::Writable { conn }]);
        assert_eq!(bench.engine.send(now, conn, &mut data), Ok(1000));
    }
}

/// The room that `TCP_NOTSENT_LOWAT` leaves was measured by all that was on its way: the writer
/// slept until nearly all of it was acknowledged.
#[test]
fn a_low_mark_of_unsent_bytes_lets_the_path_be_full() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let now = bench.now;
    bench.engine.set_option(now, conn, SocketOption::NotSentLowat(2000)).unwrap();
    let mut data = Bytes::from(vec![7; 9000]);
    for _ in 0..4 {
        assert_eq!(bench.engine.send(now, conn, &mut data), Ok(2000));
        assert_eq!(bench.sent().len(), 2);
    }
    assert_eq!(bench.engine.send(now, conn, &mut data), Ok(1000));
    bench.sent();
    let mut more = Bytes::from(vec![7; 9000]);
    assert_eq!(bench.engine.send(now, conn, &mut more), Ok(2000));
    bench.events();
    bench.arrives(Flags::ACK, 1, 1001, b"");
    bench.sent();
    bench.arrives(Flags::ACK, 1, 2001, b"");
    assert_eq!(bench.events(), [Event::Writable { conn }]);
    assert!(bench.engine.send(now, conn, &mut more).unwrap() > 0);
}

#[test]
fn no_send_buffer_reaches_half_of_the_sequence_numbers() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let now = bench.now;
    bench.engine.set_option(now, conn, SocketOption::SendBuffer(u32::MAX)).unwrap();
    assert_eq!(bench.engine.send_room(conn), Ok(1 << 30));
}

/// A writer that had found no room was told of some by an option, after the end.
#[test]
fn a_limit_that_is_raised_wakes_no_writer_after_the_end() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let now = bench.now;
    bench.engine.set_option(now, conn, SocketOption::SendBuffer(1000)).unwrap();
    assert_eq!(bench.engine.send(now, conn, &mut Bytes::from(vec![7; 2000])), Ok(1000));
    bench.arrives(Flags::RST, 1, 0, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    bench.engine.set_option(now, conn, SocketOption::SendBuffer(0)).unwrap();
    assert_eq!(bench.events(), []);
}
