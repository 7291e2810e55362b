//! One end of a relay: what its ACKs say is true of the far end too.

mod bench;

use bench::{Bench, IRS, config};
use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReason, Event, FarEndQuery, SocketOption};
use fourwave_wire::SeqNum;
use fourwave_wire::tcp::Flags;

const TRUST: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

fn relay(settings: &[(&str, &str)]) -> (Bench, ConnId) {
    let mut bench = Bench::new(config(settings));
    let conn = bench.open();
    bench.engine.set_option(bench.now, conn, SocketOption::FarEnd(TRUST)).unwrap();
    bench.events();
    (bench, conn)
}

fn asked(bench: &mut Bench, conn: ConnId) -> Option<FarEndQuery> {
    let told = bench.events().contains(&Event::FarEndAsked { conn });
    told.then(|| bench.engine.far_end_query(conn).unwrap())
}

fn confirm(bench: &mut Bench, conn: ConnId) {
    bench.engine.confirm_far_end(bench.now, conn).unwrap();
}

fn answer(bench: &mut Bench, conn: ConnId) {
    bench.engine.set_option(bench.now, conn, SocketOption::NoDelay(true)).unwrap();
    let mut data = Bytes::from_static(b"answer");
    assert_eq!(bench.engine.send(bench.now, conn, &mut data), Ok(6));
}

#[test]
fn without_the_option_a_probe_is_answered_and_nobody_is_asked() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.pass(SECOND * 60);
    bench.arrives(Flags::ACK, 0, 1, b"");
    bench.ack(1, 1);
    assert_eq!(asked(&mut bench, conn), None);
    assert_eq!(bench.engine.far_end_query(conn), None);
}

#[test]
fn a_keepalive_probe_is_answered_once_the_far_end_is_confirmed() {
    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND * 2);
    bench.arrives(Flags::ACK, 0, 1, b"");
    bench.silence();
    let first = FarEndQuery::Keepalive { idle: SECOND * 2, interval: None };
    assert_eq!(asked(&mut bench, conn), Some(first));
    // The older form carries a byte (RFC 1122 §4.2.3.6).
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 0, 1, b"x");
    bench.silence();
    let second = FarEndQuery::Keepalive { idle: SECOND * 2, interval: Some(SECOND) };
    assert_eq!(asked(&mut bench, conn), Some(second));
    confirm(&mut bench, conn);
    bench.ack(1, 1);
    assert_eq!(bench.engine.far_end_query(conn), None);
    // A sign of life counts for a moment.
    bench.pass(Duration::from_millis(150));
    bench.arrives(Flags::ACK, 0, 1, b"x");
    bench.ack(1, 1);
    assert_eq!(asked(&mut bench, conn), None);
}

#[test]
fn data_after_a_silence_of_the_far_end_waits_for_it() {
    let (mut bench, conn) = relay(&[]);
    bench.arrives(Flags::ACK, 1, 1, b"at once");
    bench.ack(1, 8);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 8, 1, b"question");
    bench.silence();
    assert_eq!(asked(&mut bench, conn), Some(FarEndQuery::Data));
    // What was received is there to be read and handed on.
    assert_eq!(bench.engine.receive(bench.now, conn, 100).unwrap(), "at once");
    assert_eq!(bench.engine.receive(bench.now, conn, 100).unwrap(), "question");
    // The peer sends it again, and that asks again.
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 8, 1, b"question");
    bench.silence();
    assert_eq!(asked(&mut bench, conn), Some(FarEndQuery::Data));
    confirm(&mut bench, conn);
    bench.ack(1, 16);
}

#[test]
fn what_the_far_end_says_is_its_sign_of_life() {
    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, b"question");
    bench.silence();
    answer(&mut bench, conn);
    let sent = bench.one();
    assert_eq!((&sent.payload[..], sent.header.ack), (&b"answer"[..], SeqNum::new(IRS) + 9));
    // The FIN of the far end is one, too.
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 9, 7, b"more");
    bench.silence();
    bench.engine.shutdown(bench.now, conn).unwrap();
    assert_eq!(bench.one().header.ack, SeqNum::new(IRS) + 13);
}

/// With more than one segment in flight the peer's TCP would take them for lost before its timeout.
#[test]
fn no_more_than_the_last_segment_waits() {
    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, &[1; 1000]);
    bench.silence();
    bench.arrives(Flags::ACK, 1001, 1, &[2; 1000]);
    bench.ack(1, 1001);
    bench.arrives(Flags::ACK, 2001, 1, b"end");
    bench.ack(1, 2001);
    confirm(&mut bench, conn);
    bench.ack(1, 2004);
    // Where more than a segment came at once, that is its last byte.
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 3004, 1, &[2; 1000]);
    bench.silence();
    bench.arrives(Flags::ACK, 2004, 1, &[1; 1000]);
    bench.ack(1, 4003);
    confirm(&mut bench, conn);
    bench.ack(1, 4004);
}

#[test]
fn the_windows_right_edge_is_the_same_with_and_without_the_ack_that_waits() {
    let (mut bench, conn) = relay(&[]);
    let edge = |bench: &mut Bench| {
        let sent = bench.one().header;
        let shift = bench.engine.info(conn).unwrap().rcv_wscale.unwrap_or(0);
        sent.ack + (u32::from(sent.window.0) << shift)
    };
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, &[1; 1024]);
    bench.silence();
    bench.arrives(Flags::ACK, 1025, 1, &[2; 1024]);
    let held = edge(&mut bench);
    confirm(&mut bench, conn);
    assert_eq!(edge(&mut bench), held);
}

/// A window is the business of this end alone.
#[test]
fn a_probe_of_a_closed_window_is_answered_at_once() {
    let (mut bench, conn) = relay(&[("tcp_rmem_default", "4096")]);
    let (mut seq, limit) = (1, 100_000);
    while bench.engine.info(conn).unwrap().rcv_wnd > 0 {
        let len = bench.engine.info(conn).unwrap().rcv_wnd.min(1000);
        bench.arrives(Flags::ACK, seq, 1, &vec![0; len as usize]);
        bench.sent();
        seq += len;
        assert!(seq < limit);
    }
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, seq - 1, 1, b"");
    assert_eq!(bench.one().header.window.0, 0);
    assert_eq!(asked(&mut bench, conn), None);
}

#[test]
fn a_fin_waits_only_with_data_and_a_close_here_ends_the_wait() {
    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND);
    bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"");
    bench.ack(1, 2);
    assert_eq!(asked(&mut bench, conn), None);

    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND);
    bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"question");
    bench.silence();
    assert_eq!(asked(&mut bench, conn), Some(FarEndQuery::Data));
    assert_eq!(bench.state(conn), State::CloseWait);
    bench.engine.receive(bench.now, conn, 100).unwrap();
    bench.engine.close(bench.now, conn).unwrap();
    let fin = bench.one();
    assert!(fin.header.flags.fin());
    assert_eq!(fin.header.ack, SeqNum::new(IRS) + 10);

    // The second FIN leads to TIME_WAIT, which speaks for nobody.
    let (mut bench, conn) = relay(&[]);
    bench.engine.shutdown(bench.now, conn).unwrap();
    bench.one();
    bench.arrives(Flags::ACK, 1, 2, b"");
    bench.pass(SECOND);
    bench.arrives(Flags::FIN | Flags::ACK, 1, 2, b"");
    bench.ack(2, 2);
    assert_eq!(bench.engine.population().time_wait, 1);
}

/// Linux ends a connection by its user timeout without a word; the next thing it gets, it resets.
#[test]
fn a_peer_that_waits_in_silence_is_probed_without_an_ack_of_what_waits() {
    let (mut bench, conn) = relay(&[("tcp_half_closed_time", "30")]);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, b"question");
    bench.silence();
    bench.pass(SECOND * 31);
    let probe = bench.one();
    assert_eq!((probe.header.seq, probe.header.ack), (bench.iss, SeqNum::new(IRS) + 1));
    bench.arrives(Flags::RST, 9, 1, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    bench.engine.close(bench.now, conn).unwrap();
}

#[test]
fn probes_stop_when_nothing_waits_any_more() {
    let (mut bench, conn) = relay(&[("tcp_half_closed_time", "30")]);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, b"question");
    confirm(&mut bench, conn);
    bench.ack(1, 9);
    bench.pass(SECOND * 1000);
    bench.silence();
    assert_eq!(bench.state(conn), State::Established);
}

/// The kernel of a program that was killed forgets its half-closed connection after a minute.
#[test]
fn a_half_closed_peer_is_asked_whether_it_is_still_there() {
    let half_close = |settings: &[_]| {
        let (mut bench, conn) = relay(settings);
        bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"");
        bench.ack(1, 2);
        (bench, conn)
    };
    let (mut bench, conn) = half_close(&[]);
    for _ in 0..100 {
        // It lives, and may for as long as it likes.
        bench.pass(SECOND * 33);
        assert_eq!(bench.one().header.seq, bench.iss);
        bench.arrives(Flags::ACK, 2, 1, b"");
        bench.silence();
    }
    assert_eq!(bench.state(conn), State::CloseWait);
    bench.pass(SECOND * 33);
    bench.one();
    bench.arrives(Flags::RST, 2, 1, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));

    let (mut bench, conn) = half_close(&[("tcp_half_closed_time", "0")]);
    bench.pass(SECOND * 100_000);
    bench.silence();
    assert_eq!(bench.state(conn), State::CloseWait);

    // Of others than relays it is the application's business (RFC 9293 §3.8.4).
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"");
    bench.ack(1, 2);
    bench.pass(SECOND * 100_000);
    bench.silence();
    assert_eq!(bench.state(conn), State::CloseWait);
}

/// A program may have closed before the relay has got its connection.
#[test]
fn one_that_closed_before_anyone_spoke_for_a_far_end_is_asked_too() {
    let mut bench = Bench::new(config(&[("tcp_half_closed_time", "30")]));
    let conn = bench.open();
    bench.arrives(Flags::FIN | Flags::ACK, 1, 1, b"");
    bench.ack(1, 2);
    bench.engine.set_option(bench.now, conn, SocketOption::FarEnd(TRUST)).unwrap();
    bench.pass(SECOND * 31);
    assert_eq!(bench.one().header.seq, bench.iss);
    bench.arrives(Flags::RST, 2, 1, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
}

#[test]
fn the_option_is_taken_back() {
    let (mut bench, conn) = relay(&[]);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 1, 1, b"question");
    bench.silence();
    bench.engine.set_option(bench.now, conn, SocketOption::FarEnd(Duration::ZERO)).unwrap();
    bench.ack(1, 9);
    bench.pass(SECOND);
    bench.arrives(Flags::ACK, 8, 1, b"");
    bench.ack(1, 9);
}
