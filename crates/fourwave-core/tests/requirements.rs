//! RFC 9293's requirements that no other test states: docs/rfc9293.md lists them all.

mod bench;

use std::net::SocketAddr;

use bench::{Bench, IRS, PEER, US, config};
use bytes::Bytes;
use fourwave_core::error::ConnectError;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReason, Event, SocketOption};
use fourwave_net::segment;
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, RxChecksum, RxPacket, SeqNum};

const FIN_ACK: Flags = Flags::from_bits(Flags::FIN.bits() | Flags::ACK.bits());

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn send(bench: &mut Bench, conn: ConnId, data: &'static [u8]) {
    let taken = bench.engine.send(bench.now, conn, &mut Bytes::from_static(data));
    assert_eq!(taken, Ok(data.len()));
}

/// An open connection in `state`, its sequence numbers: the peer's next, and ours. What waves 1 to
/// 3 say was sent and is off the table.
fn in_state(bench: &mut Bench, state: State) -> (ConnId, u32, u32) {
    let conn = bench.open();
    let close = |bench: &mut Bench| {
        bench.engine.shutdown(bench.now, conn).unwrap();
        assert!(bench.one().header.flags.fin());
    };
    let (theirs, ours) = match state {
        State::FinWait1 => {
            close(bench);
            (1, 2)
        }
        State::FinWait2 => {
            close(bench);
            bench.arrives(Flags::ACK, 1, 2, b"");
            (1, 2)
        }
        State::Closing => {
            close(bench);
            bench.arrives(FIN_ACK, 1, 1, b"");
            bench.one();
            (2, 2)
        }
        State::CloseWait => {
            bench.arrives(FIN_ACK, 1, 1, b"");
            bench.one();
            (2, 1)
        }
        State::LastAck => {
            bench.arrives(FIN_ACK, 1, 1, b"");
            bench.one();
            close(bench);
            (2, 2)
        }
        other => panic!("{other:?} does not close"),
    };
    assert_eq!(bench.state(conn), state);
    (conn, theirs, ours)
}

const CLOSING: [State; 5] =
    [State::FinWait1, State::FinWait2, State::Closing, State::CloseWait, State::LastAck];

#[test]
fn rfc9293_3_10_7_4_an_rst_while_closing() {
    for state in CLOSING {
        let mut bench = Bench::new(Config::default());
        let (conn, theirs, ours) = in_state(&mut bench, state);
        bench.arrives(Flags::RST, theirs - 1, 0, b"");
        bench.arrives(Flags::RST, theirs + 10_000_000, 0, b"");
        bench.silence();
        bench.arrives(Flags::RST, theirs + 1, 0, b"");
        bench.ack(ours, theirs);
        assert_eq!(bench.state(conn), state);
        bench.arrives(Flags::RST, theirs, 0, b"");
        bench.silence();
        assert_eq!(bench.reason(), Some(EndReason::ResetByPeer), "{state:?}");
        assert_eq!(bench.engine.population().time_wait, 0, "{state:?}");
    }
}

#[test]
fn rfc9293_3_10_7_4_a_syn_while_closing() {
    for state in CLOSING {
        let mut bench = Bench::new(Config::default());
        let (conn, theirs, ours) = in_state(&mut bench, state);
        for seq in [theirs - 1, theirs, theirs + 1, theirs + 10_000_000] {
            bench.arrives(Flags::SYN, seq, 0, b"");
            bench.ack(ours, theirs);
        }
        assert_eq!(bench.state(conn), state);
        assert_eq!(bench.engine.counters().syn_challenge, 4);
    }
}

#[test]
fn rfc9293_3_10_7_4_the_peers_fin_again_is_acknowledged_and_moves_nothing() {
    for state in [State::CloseWait, State::Closing, State::LastAck] {
        let mut bench = Bench::new(Config::default());
        let (conn, theirs, ours) = in_state(&mut bench, state);
        for _ in 0..3 {
            bench.arrives(FIN_ACK, theirs - 1, 1, b"");
            bench.ack(ours, theirs);
        }
        assert_eq!(bench.state(conn), state);
    }
}

#[test]
fn rfc9293_3_6_1_time_wait_lasts_2msl_and_a_fin_starts_it_anew() {
    let mut bench = Bench::new(Config::default());
    let (_, theirs, ours) = in_state(&mut bench, State::FinWait2);
    bench.arrives(FIN_ACK, theirs, ours, b"");
    bench.ack(ours, theirs + 1);
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.engine.population().time_wait, 1);
    bench.arrives(FIN_ACK, theirs, ours, b"");
    bench.ack(ours, theirs + 1);
    bench.pass(Duration::from_millis(59_999));
    assert_eq!(bench.engine.population().time_wait, 1);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.engine.population().time_wait, 0);
    // CLOSED: whoever comes now hears RST (§3.10.7.1).
    bench.arrives(FIN_ACK, theirs, ours, b"");
    assert!(bench.one().header.flags.rst());
}

/// The SYN of MAY-2 turns out to be an old duplicate: its sender knows nothing of it.
#[test]
fn rfc9293_3_6_1_time_wait_comes_back_when_the_new_syn_was_an_old_duplicate() {
    let mut bench = Bench::new(Config::default());
    let (_, theirs, ours) = in_state(&mut bench, State::FinWait2);
    bench.arrives(FIN_ACK, theirs, ours, b"");
    bench.ack(ours, theirs + 1);
    bench.arrives(Flags::SYN, 500, 0, b"");
    assert!(bench.one().header.flags.syn());
    assert_eq!(bench.engine.population().time_wait, 0);
    bench.arrives(Flags::RST, 501, 0, b"");
    bench.silence();
    let population = bench.engine.population();
    assert_eq!((population.time_wait, population.half_open, population.demux_entries), (1, 0, 1));
    let counters = bench.engine.counters();
    assert_eq!((counters.tw_taken_over, counters.tw_restored), (1, 1));
    bench.arrives(FIN_ACK, theirs, ours, b"");
    bench.ack(ours, theirs + 1);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.engine.population().demux_entries, 0);
}

#[test]
fn rfc9293_3_6_1_the_last_ack_ends_the_passive_side_at_once() {
    let mut bench = Bench::new(Config::default());
    let (conn, theirs, ours) = in_state(&mut bench, State::LastAck);
    bench.arrives(Flags::ACK, theirs, ours, b"");
    bench.silence();
    assert_eq!(bench.reason(), Some(EndReason::Orderly));
    bench.engine.close(bench.now, conn).unwrap();
    assert_eq!(bench.engine.population(), fourwave_core::Population::default());
}

#[test]
fn rfc9293_3_8_6_an_rst_counts_with_a_window_of_zero_and_may_carry_data() {
    for text in [&b""[..], b"an explanation"] {
        let mut bench = Bench::new(config(&[("tcp_rmem_default", "4096")]));
        let conn = bench.open();
        let seq = fill(&mut bench, conn);
        bench.arrives(Flags::RST, seq, 0, text);
        assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    }
}

/// Sends until our window is closed; the number of the peer's next byte.
fn fill(bench: &mut Bench, conn: ConnId) -> u32 {
    let mut seq = 1;
    while bench.engine.info(conn).unwrap().rcv_wnd > 0 {
        let len = bench.engine.info(conn).unwrap().rcv_wnd.min(500);
        bench.arrives(Flags::ACK, seq, 1, &vec![1; len as usize]);
        seq += len;
        bench.pass(Duration::from_millis(50));
        bench.sent();
        assert!(seq < 1_000_000);
    }
    seq
}

#[test]
fn rfc9293_3_4_the_ack_of_a_probe_counts_with_a_window_of_zero() {
    let mut bench = Bench::new(config(&[("tcp_rmem_default", "4096")]));
    let conn = bench.open();
    let seq = fill(&mut bench, conn);
    send(&mut bench, conn, b"answer");
    bench.one();
    // A byte that does not fit; its ACK is of what we sent.
    bench.arrives(Flags::ACK, seq, 7, b"!");
    bench.ack(7, seq);
    let info = bench.engine.info(conn).unwrap();
    assert_eq!((info.unacked, info.bytes_acked), (0, 6));
    assert_eq!(info.bytes_received, u64::from(seq - 1));
}

#[test]
fn rfc9293_3_5_an_rst_in_syn_received_of_an_active_open_is_a_refusal() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.engine.connect(bench.now, address(US), address(PEER)).unwrap();
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(bench.state(conn), State::SynReceived);
    bench.arrives(Flags::RST, 1, 0, b"");
    assert_eq!(bench.reason(), Some(EndReason::Refused));
    assert_eq!(bench.engine.counters().attempt_fails, 1);
}

#[test]
fn rfc9293_3_9_2_3_no_open_to_or_from_a_group() {
    let mut bench = Bench::new(Config::default());
    for bad in ["224.0.0.1:80", "255.255.255.255:80", "0.0.0.0:80"] {
        let to = bench.engine.connect(bench.now, address(US), address(bad));
        assert_eq!(to, Err(ConnectError::BadAddress), "{bad}");
        let from = bench.engine.connect(bench.now, address(bad), address(PEER));
        assert_eq!(from, Err(ConnectError::BadAddress), "{bad}");
    }
    let (us, bad) = (address("[fd00::1]:0"), address("[ff02::1]:80"));
    assert_eq!(bench.engine.connect(bench.now, us, bad), Err(ConnectError::BadAddress));
    assert_eq!(bench.engine.population().demux_entries, 0);
}

#[test]
fn rfc9293_3_9_2_3_a_syn_to_or_from_a_group_is_dropped_in_silence() {
    let mut bench = Bench::new(Config::default());
    let syn = TcpHeader { flags: Flags::SYN, window: RawWindow(1000), ..TcpHeader::default() };
    for source in ["224.0.0.1:4000", "255.255.255.255:4000", "0.0.0.0:4000"] {
        bench.raw(address(source), syn, b"");
    }
    for target in ["224.0.0.1:80", "255.255.255.255:80"] {
        let packet = segment(address(PEER), address(target), syn, b"");
        assert!(bench.engine.handle_packet(bench.now, &packet));
    }
    bench.silence();
    assert_eq!(bench.engine.population().half_open, 0);
    assert_eq!(bench.engine.counters().in_errs, 5);
}

#[test]
fn rfc9293_3_8_6_a_window_that_shrinks_is_borne_for_as_long_as_the_peer_answers() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.set_option(bench.now, conn, SocketOption::NoDelay(true)).unwrap();
    send(&mut bench, conn, b"ten bytes.");
    bench.one();
    // The window shrinks to nothing while they are in flight.
    bench.window = 0;
    bench.arrives(Flags::ACK, 1, 1, b"");
    send(&mut bench, conn, b"no room for this");
    bench.silence();
    let mut again = 0;
    for _ in 0..3 * 3600 {
        bench.pass(Duration::from_secs(1));
        for sent in bench.sent() {
            assert!(sent.header.seq.at_or_before(bench.iss + 1), "new data past the edge");
            again += 1;
            bench.arrives(Flags::ACK, 1, 1, b"");
        }
    }
    assert!((80..=130).contains(&again), "sent again {again} times");
    assert_eq!(bench.state(conn), State::Established);
    bench.window = 10_000;
    bench.arrives(Flags::ACK, 1, 11, b"");
    assert_eq!(bench.one().payload, b"no room for this");
}

#[test]
fn rfc9293_3_6_a_fin_waits_for_the_window_like_data() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.window = 0;
    bench.arrives(Flags::ACK, 1, 1, b"");
    bench.engine.shutdown(bench.now, conn).unwrap();
    assert_eq!(bench.state(conn), State::FinWait1);
    for _ in 0..600 {
        bench.pass(Duration::from_secs(1));
        for sent in bench.sent() {
            assert!(!sent.header.flags.fin());
            bench.arrives(Flags::ACK, 1, 1, b"");
        }
    }
    bench.window = 1;
    bench.arrives(Flags::ACK, 1, 1, b"");
    assert!(bench.one().header.flags.fin());
}

#[test]
fn what_is_left_behind_does_not_wait_for_a_window_for_ever() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.window = 0;
    bench.arrives(Flags::ACK, 1, 1, b"");
    bench.engine.close(bench.now, conn).unwrap();
    let start = bench.now;
    let mut reason = None;
    while reason.is_none() {
        bench.pass(Duration::from_secs(1));
        for _ in bench.sent() {
            bench.arrives(Flags::ACK, 1, 1, b"");
        }
        reason = bench.reason();
        assert!(bench.now.since(start).as_secs() < 3600);
    }
    assert_eq!(reason, Some(EndReason::OrphanTimeout));
    assert!(bench.now.since(start).as_secs() > 120, "a slow reader has minutes");
}

#[test]
fn rfc9293_3_8_3_the_application_is_told_at_r1_and_the_connection_ends_at_r2() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    send(&mut bench, conn, b"lost");
    bench.events();
    let (mut told, mut sent, mut reason) = (Vec::new(), bench.sent().len(), None);
    while reason.is_none() {
        bench.pass(Duration::from_secs(1));
        sent += bench.sent().len();
        for event in bench.events() {
            match event {
                Event::Unanswered { conn: which } => told.push((which, sent)),
                Event::Closed { report, .. } => reason = Some(report.reason),
                _ => {}
            }
        }
    }
    assert_eq!(reason, Some(EndReason::RetransmissionTimeout));
    // R1: three retransmissions; R2: fifteen, which take more than a hundred seconds.
    assert_eq!((told, sent), (vec![(conn, 4)], 16));
    assert!(bench.now.as_micros() > 100_000_000);
}

#[test]
fn rfc9293_3_8_3_syns_are_handled_in_the_same_way() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.engine.connect(bench.now, address(US), address(PEER)).unwrap();
    let start = bench.now;
    let mut events = Vec::new();
    while !events.iter().any(|e| matches!(e, Event::Closed { .. })) {
        bench.pass(Duration::from_secs(1));
        bench.sent();
        events.extend(bench.events());
    }
    assert_eq!(events.iter().filter(|e| **e == Event::Unanswered { conn }).count(), 1);
    assert!(bench.now.since(start).as_secs() >= 180, "R2 of a SYN is three minutes at least");
}

#[test]
fn rfc9293_3_8_4_keepalive_is_off_by_default() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.pass(Duration::from_secs(1_000_000));
    bench.silence();
    assert_eq!(bench.state(conn), State::Established);
}

#[test]
fn rfc9293_3_8_4_keepalive_waits_for_idle_sends_no_data_and_bears_lost_answers() {
    let mut bench = Bench::new(Config::default());
    assert!(bench.engine.config().tcp_keepalive_time >= 2 * 3600);
    let conn = bench.open();
    let times = SocketOption::KeepAliveTimes {
        idle: Duration::from_secs(100),
        interval: Duration::from_secs(10),
        probes: 3,
    };
    bench.engine.set_option(bench.now, conn, times).unwrap();
    // Whatever arrives starts the wait anew.
    bench.pass(Duration::from_secs(60));
    bench.arrives(Flags::ACK, 1, 1, b"");
    bench.pass(Duration::from_secs(99));
    bench.silence();
    // A timer may be two ticks of the wheel late.
    bench.pass(Duration::from_millis(1001));
    for lost in 0..3 {
        let probe = bench.one();
        assert_eq!((probe.header.seq, probe.payload.len()), (bench.iss, 0), "probe {lost}");
        if lost < 2 {
            bench.pass(Duration::from_millis(10_001));
        }
    }
    // The last one is answered: all is well.
    bench.arrives(Flags::ACK, 1, 1, b"");
    bench.pass(Duration::from_secs(99));
    bench.silence();
    assert_eq!(bench.state(conn), State::Established);
    // While data is in flight, its own timer works.
    send(&mut bench, conn, b"data");
    bench.one();
    bench.pass(Duration::from_secs(1));
    assert!(bench.sent().iter().all(|s| s.payload == b"data"));
    assert_eq!(bench.engine.counters().keepalive, 3);
}

#[test]
fn rfc9293_3_8_1_karn_a_retransmitted_segment_measures_nothing() {
    let mut bench = Bench::new(config(&[("tcp_timestamps", "0")]));
    let conn = bench.open();
    let before = bench.engine.info(conn).unwrap().rtt;
    send(&mut bench, conn, b"data");
    bench.one();
    bench.pass(Duration::from_secs(5));
    bench.one();
    bench.arrives(Flags::ACK, 1, 5, b"");
    assert_eq!(bench.engine.info(conn).unwrap().rtt, before);
    // The next one, sent once, does.
    send(&mut bench, conn, b"more");
    bench.one();
    bench.pass(Duration::from_millis(150));
    bench.arrives(Flags::ACK, 1, 9, b"");
    assert_ne!(bench.engine.info(conn).unwrap().rtt, before);
}

#[test]
fn rfc9293_3_7_1_mss_stands_on_syns_only() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    let syn_ack = bench.one().header;
    assert_eq!(syn_ack.options.mss, Some(1460));
    bench.iss = syn_ack.seq;
    bench.arrives(Flags::ACK, 1, 1, b"");
    let conn = bench.engine.accept(bench.now, bench.listener).unwrap().conn;
    send(&mut bench, conn, b"data");
    bench.engine.shutdown(bench.now, conn).unwrap();
    assert!(bench.sent().iter().all(|s| s.header.options == TcpOptions::default()));
}

#[test]
fn rfc9293_3_9_1_2_push_stands_on_the_last_segment_of_what_is_queued() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let mut data = Bytes::from(vec![1; 2500]);
    bench.engine.set_option(bench.now, conn, SocketOption::NoDelay(true)).unwrap();
    bench.engine.send(bench.now, conn, &mut data).unwrap();
    let pushed: Vec<bool> = bench.sent().iter().map(|s| s.header.flags.psh()).collect();
    assert_eq!(pushed, [false, false, true]);
}

#[test]
fn rfc9293_3_8_6_2_1_a_small_window_is_not_filled_until_it_has_waited() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    // 400 bytes: less than a segment, less than half of the largest window.
    bench.window = 100;
    bench.arrives(Flags::ACK, 1, 1, b"");
    let mut data = Bytes::from(vec![1; 5000]);
    bench.engine.send(bench.now, conn, &mut data).unwrap();
    bench.silence();
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.one().payload.len(), 400);
}

#[test]
fn rfc9293_3_10_7_1_the_rst_of_closed_has_acceptable_numbers() {
    let mut bench = Bench::new(Config::default());
    let header = TcpHeader {
        seq: SeqNum::new(IRS),
        ack: SeqNum::new(77),
        flags: Flags::ACK,
        ..TcpHeader::default()
    };
    // On the listener's port too: an ACK to LISTEN is answered the same way (§3.10.7.2).
    bench.raw(address(PEER), header, b"text");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, SeqNum::new(77)));
    bench.raw(address(PEER), TcpHeader { flags: Flags::RST, ..header }, b"");
    bench.silence();
}

#[test]
fn rfc9293_3_10_4_close_and_abort_in_syn_sent_say_nothing() {
    for abort in [false, true] {
        let mut bench = Bench::new(Config::default());
        let conn = bench.engine.connect(bench.now, address(US), address(PEER)).unwrap();
        bench.one();
        let reason = if abort {
            bench.engine.abort(bench.now, conn).unwrap();
            EndReason::Aborted
        } else {
            bench.engine.close(bench.now, conn).unwrap();
            EndReason::ClosedWhileOpening
        };
        bench.silence();
        assert_eq!(bench.reason(), Some(reason));
        assert_eq!(bench.engine.population(), fourwave_core::Population::default());
    }
}

#[test]
fn rfc9293_3_10_5_abort_resets_every_synchronized_state() {
    for state in [State::FinWait1, State::FinWait2, State::CloseWait] {
        let mut bench = Bench::new(Config::default());
        let (conn, theirs, ours) = in_state(&mut bench, state);
        bench.engine.abort(bench.now, conn).unwrap();
        let reset = bench.one().header;
        assert_eq!(reset.flags, Flags::RST | Flags::ACK, "{state:?}");
        assert_eq!((reset.seq, reset.ack), (bench.iss + ours, SeqNum::new(IRS) + theirs));
        assert_eq!(bench.reason(), Some(EndReason::Aborted));
        assert_eq!(bench.engine.population(), fourwave_core::Population::default());
    }
}

#[test]
fn rfc9293_3_9_2_ip_options_are_passed_over() {
    let mut bench = Bench::new(Config::default());
    let syn = TcpHeader {
        src_port: 4000,
        dst_port: 80,
        flags: Flags::SYN,
        window: RawWindow(1000),
        ..TcpHeader::default()
    };
    let (src, dst) = (address(PEER).ip(), address(US).ip());
    let mut bytes = Vec::new();
    IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 }
        .emit(syn.emitted_len() + 8, &mut bytes);
    // A header of seven words: record route with room for one, and the end of the list.
    bytes[0] = 0x47;
    bytes.extend_from_slice(&[7, 7, 4, 0, 0, 0, 0, 0]);
    syn.emit(&mut bytes);
    let checksum = RxChecksum::Trusted;
    let packet = RxPacket { bytes: bytes.into(), gso_size: 0, checksum };
    assert!(bench.engine.handle_packet(bench.now, &packet));
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
}
