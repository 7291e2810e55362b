//! TCP Fast Open (RFC 7413), listener and client, with a peer written by hand.

mod bench;

use std::net::SocketAddr;

use bench::{Bench, IRS, PEER, Sent, US, config};
use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{
    CaState, ConnId, ConnectOptions, EndReason, FastOpenKeys, ListenFastOpen, Population,
    SocketOption, SocketOptions,
};
use fourwave_wire::options::{FastOpen, TcpOptions};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

const KEYS: FastOpenKeys = FastOpenKeys { primary: [1; 16], backup: None };

fn listener(tcp_fastopen: &str) -> Bench {
    let mut bench = Bench::new(config(&[("tcp_fastopen", tcp_fastopen)]));
    bench.engine.set_fast_open_keys(KEYS);
    take_part(&mut bench, ListenFastOpen::new(2));
    bench
}

fn take_part(bench: &mut Bench, part: ListenFastOpen) {
    assert!(bench.engine.set_listen_options(bench.listener, SocketOptions::default(), part));
}

/// Asks for a cookie by an ordinary open, and closes that.
fn cookie(bench: &mut Bench) -> FastOpen {
    bench.fast_open = FastOpen::new(&[], false);
    bench.arrives(Flags::SYN, 0, 0, b"");
    let cookie = bench.one().header.options.fast_open.expect("a cookie");
    assert_eq!(cookie.cookie().len(), 8);
    bench.arrives(Flags::RST, 1, 0, b"");
    cookie
}

fn accept(bench: &mut Bench) -> ConnId {
    bench.engine.accept(bench.now, bench.listener).expect("a connection").conn
}

fn read(bench: &mut Bench, conn: ConnId) -> Bytes {
    bench.engine.receive(bench.now, conn, 1000).unwrap()
}

#[test]
fn rfc7413_4_2_2_a_cookie_lets_the_text_of_a_syn_in_before_the_handshake_is_through() {
    let mut bench = listener("2");
    bench.fast_open = Some(cookie(&mut bench));
    bench.arrives(Flags::SYN, 0, 0, b"question");
    let syn_ack = bench.one().header;
    assert_eq!(syn_ack.flags, Flags::SYN | Flags::ACK);
    assert_eq!(syn_ack.ack, SeqNum::new(IRS) + 9);
    assert_eq!(syn_ack.options.fast_open, None);
    bench.iss = syn_ack.seq;
    let conn = accept(&mut bench);
    assert_eq!(bench.state(conn), State::SynReceived);
    assert_eq!(&read(&mut bench, conn)[..], b"question");
    let info = bench.engine.info(conn).unwrap();
    assert!(info.syn_data);
    // The answer does not wait either.
    let sent = bench.engine.send(bench.now, conn, &mut Bytes::from_static(b"answer")).unwrap();
    assert_eq!(sent, 6);
    let answer = bench.one();
    assert_eq!((answer.header.seq, &answer.payload[..]), (bench.iss + 1, &b"answer"[..]));
    bench.arrives(Flags::ACK, 9, 7, b"");
    assert_eq!(bench.state(conn), State::Established);
    assert_eq!(bench.engine.counters().fast_open_passive, 1);
    bench.engine.close(bench.now, conn).unwrap();
    let fin = bench.one().header;
    assert_eq!((fin.flags, fin.seq), (Flags::FIN | Flags::ACK, bench.iss + 7));
}

#[test]
fn rfc7413_4_2_2_a_wrong_cookie_gets_a_handshake_and_a_right_cookie() {
    let mut bench = listener("2");
    let right = cookie(&mut bench);
    bench.fast_open = FastOpen::new(&[9; 8], false);
    bench.arrives(Flags::SYN, 0, 0, b"question");
    let syn_ack = bench.one().header;
    assert_eq!(syn_ack.ack, SeqNum::new(IRS) + 1);
    assert_eq!(syn_ack.options.fast_open, Some(right));
    assert!(bench.engine.accept(bench.now, bench.listener).is_none());
    // Not on the SYN ACKs that follow: the option may be why the first was lost.
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.one().header.options.fast_open, None);
    assert_eq!(bench.engine.counters().fast_open_passive_fail, 1);
}

#[test]
fn the_experimental_option_is_answered_in_kind() {
    let mut bench = listener("2");
    bench.fast_open = FastOpen::new(&[], true);
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert!(bench.one().header.options.fast_open.unwrap().experimental);
}

#[test]
fn without_leave_of_config_and_listener_text_on_a_syn_waits() {
    for (config, asked) in [("1", true), ("2", false)] {
        let mut bench = listener(config);
        if !asked {
            take_part(&mut bench, ListenFastOpen::new(0));
        }
        bench.fast_open = FastOpen::new(&[9; 8], false);
        bench.arrives(Flags::SYN, 0, 0, b"question");
        let syn_ack = bench.one().header;
        assert_eq!(syn_ack.ack, SeqNum::new(IRS) + 1);
        assert_eq!(syn_ack.options.fast_open, None);
    }
}

#[test]
fn no_cookie_is_needed_where_the_listener_says_so() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    assert_eq!(bench.one().header.ack, SeqNum::new(IRS) + 9);
    let conn = accept(&mut bench);
    assert_eq!(&read(&mut bench, conn)[..], b"question");
}

#[test]
fn a_key_that_was_replaced_is_believed_and_its_cookie_renewed() {
    let mut bench = listener("2");
    bench.fast_open = Some(cookie(&mut bench));
    let new = FastOpenKeys { primary: [2; 16], backup: Some(KEYS.primary) };
    take_part(&mut bench, ListenFastOpen::new(2).with_keys(new));
    bench.arrives(Flags::SYN, 0, 0, b"question");
    let syn_ack = bench.one().header;
    assert_eq!(syn_ack.ack, SeqNum::new(IRS) + 9);
    assert!(syn_ack.options.fast_open.is_some_and(|given| Some(given) != bench.fast_open));
}

#[test]
fn rfc7413_5_1_as_many_wait_for_their_handshake_as_the_listener_allows() {
    let mut bench = listener("514");
    take_part(&mut bench, ListenFastOpen::new(1));
    bench.arrives(Flags::SYN, 0, 0, b"question");
    bench.iss = bench.one().header.seq;
    let second = TcpHeader {
        seq: SeqNum::new(5),
        flags: Flags::SYN,
        window: RawWindow(1000),
        options: TcpOptions { mss: Some(1000), ..TcpOptions::default() },
        ..TcpHeader::default()
    };
    let other: SocketAddr = "10.0.0.2:4001".parse().unwrap();
    bench.raw(other, second, b"more");
    assert_eq!(bench.one().header.ack, SeqNum::new(6));
    assert_eq!(bench.engine.counters().fast_open_overflow, 1);
    // The first is through: there is room again.
    bench.arrives(Flags::ACK, 9, 1, b"");
    let third = TcpHeader { seq: SeqNum::new(50), ..second };
    bench.raw("10.0.0.2:4002".parse().unwrap(), third, b"more");
    assert!(bench.sent().iter().any(|sent| sent.header.ack == SeqNum::new(55)));
}

#[test]
fn a_syn_that_comes_again_is_answered_again_and_a_handshake_that_never_ends_gives_up() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    let syn_ack = bench.one().header;
    let conn = accept(&mut bench);
    bench.arrives(Flags::SYN, 0, 0, b"question");
    let again = bench.one().header;
    assert_eq!((again.seq, again.ack, again.flags), (syn_ack.seq, syn_ack.ack, syn_ack.flags));
    assert_eq!(&read(&mut bench, conn)[..], b"question");
    for _ in 0..8 {
        bench.pass(Duration::from_secs(130));
        bench.sent();
    }
    assert_eq!(bench.reason(), Some(EndReason::HandshakeTimeout));
}

#[test]
fn a_reset_before_the_handshake_is_through_ends_it() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    bench.one();
    let conn = accept(&mut bench);
    bench.arrives(Flags::RST, 9, 0, b"");
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    // What it sent before can be read.
    assert_eq!(&read(&mut bench, conn)[..], b"question");
}

/// Opens with Fast Open; the connection, and how much of the text it took.
fn open(bench: &mut Bench, text: &'static [u8]) -> (ConnId, usize) {
    let (us, peer): (SocketAddr, SocketAddr) = (US.parse().unwrap(), PEER.parse().unwrap());
    let mut data = Bytes::from_static(text);
    let mut options = ConnectOptions::default();
    options.fast_open = true;
    bench.engine.connect_with(bench.now, us, peer, options, &mut data).unwrap()
}

fn syn(bench: &mut Bench) -> Sent {
    let syn = bench.one();
    assert_eq!(syn.header.flags, Flags::SYN);
    bench.iss = syn.header.seq;
    syn
}

/// A client that got a cookie by an ordinary open.
fn client(settings: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(config(settings));
    let (conn, taken) = open(&mut bench, b"text");
    assert_eq!(taken, 0);
    let first = syn(&mut bench);
    assert_eq!(first.header.options.fast_open, FastOpen::new(&[], false));
    assert!(first.payload.is_empty());
    bench.fast_open = FastOpen::new(&[7; 8], false);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    bench.engine.abort(bench.now, conn).unwrap();
    bench.sent();
    bench.events();
    bench
}

#[test]
fn rfc7413_4_2_1_the_cookie_is_remembered_and_the_next_syn_carries_text() {
    let mut bench = client(&[]);
    assert!(bench.engine.fast_open_ready(
        bench.now,
        PEER.parse::<SocketAddr>().unwrap().ip(),
        false
    ));
    let (conn, taken) = open(&mut bench, b"question");
    assert_eq!(taken, 8);
    let first = syn(&mut bench);
    assert_eq!(first.header.options.fast_open, FastOpen::new(&[7; 8], false));
    assert_eq!(&first.payload[..], b"question");
    bench.fast_open = None;
    bench.arrives(Flags::SYN | Flags::ACK, 0, 9, b"answer");
    assert_eq!(bench.state(conn), State::Established);
    let info = bench.engine.info(conn).unwrap();
    assert!(info.syn_data);
    assert_eq!((info.unacked, info.bytes_acked), (0, 8));
    assert_eq!(&read(&mut bench, conn)[..], b"answer");
    let ack = bench.one().header;
    assert_eq!((ack.seq, ack.ack), (bench.iss + 9, SeqNum::new(IRS) + 7));
    assert_eq!(bench.engine.counters().fast_open_active, 1);
}

#[test]
fn a_syn_ack_may_bring_the_answer_and_its_end() {
    let mut bench = client(&[]);
    let (conn, _) = open(&mut bench, b"question");
    syn(&mut bench);
    bench.arrives(Flags::SYN | Flags::ACK | Flags::FIN, 0, 9, b"answer");
    assert_eq!(bench.state(conn), State::CloseWait);
    assert_eq!(&read(&mut bench, conn)[..], b"answer");
    assert!(read(&mut bench, conn).is_empty());
}

#[test]
fn rfc7413_4_2_1_text_that_was_not_taken_goes_again_at_once() {
    let mut bench = client(&[]);
    let (conn, _) = open(&mut bench, b"question");
    syn(&mut bench);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    let again = bench.one();
    assert_eq!((again.header.seq, &again.payload[..]), (bench.iss + 1, &b"question"[..]));
    assert!(!bench.engine.info(conn).unwrap().syn_data);
    assert_eq!(bench.engine.counters().fast_open_active_fail, 1);
}

#[test]
fn a_part_of_the_text_may_be_taken() {
    let mut bench = client(&[]);
    open(&mut bench, b"question");
    syn(&mut bench);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 4, b"");
    let again = bench.one();
    assert_eq!((again.header.seq, &again.payload[..]), (bench.iss + 4, &b"stion"[..]));
}

#[test]
fn a_syn_that_is_lost_goes_again_without_cookie_and_text() {
    let mut bench = client(&[]);
    let (conn, _) = open(&mut bench, b"question");
    syn(&mut bench);
    bench.pass(Duration::from_millis(1010));
    let again = bench.one();
    assert_eq!((again.header.options.fast_open, again.payload.len()), (None, 0));
    // The first one arrived after all.
    bench.arrives(Flags::SYN | Flags::ACK, 0, 9, b"");
    assert!(bench.engine.info(conn).unwrap().syn_data);
    bench.one();
}

#[test]
fn what_does_not_fit_on_the_syn_is_left_to_the_caller() {
    static LONG: [u8; 3000] = [b'x'; 3000];
    let mut bench = client(&[]);
    // The peer's MSS is 1000; 40 bytes of it are left to options.
    let (_, taken) = open(&mut bench, &LONG);
    assert_eq!(taken, 960);
    assert_eq!(syn(&mut bench).payload.len(), 960);
}

#[test]
fn without_leave_it_is_an_ordinary_open() {
    let mut bench = Bench::new(config(&[("tcp_fastopen", "0")]));
    let (_, taken) = open(&mut bench, b"question");
    assert_eq!(taken, 0);
    assert_eq!(syn(&mut bench).header.options.fast_open, None);
}

#[test]
fn cookieless_text_goes_where_the_knob_says_so() {
    let mut bench = Bench::new(config(&[("tcp_fastopen", "5")]));
    let (_, taken) = open(&mut bench, b"question");
    assert_eq!(taken, 8);
    let first = syn(&mut bench);
    assert_eq!((first.header.options.fast_open, &first.payload[..]), (None, &b"question"[..]));
}

#[test]
fn the_experimental_option_is_tried_where_the_standard_one_was_not_answered() {
    let mut bench = Bench::new(config(&[]));
    open(&mut bench, b"");
    syn(&mut bench);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    bench.arrives(Flags::RST, 1, 1, b"");
    bench.sent();
    for experimental in [true, false, false] {
        let (conn, _) = open(&mut bench, b"");
        assert_eq!(syn(&mut bench).header.options.fast_open.unwrap().experimental, experimental);
        bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
        bench.engine.abort(bench.now, conn).unwrap();
        bench.sent();
    }
}

#[test]
fn rfc7413_7_1_fast_open_pauses_when_the_way_swallows_it() {
    let mut bench = client(&[("tcp_fastopen_blackhole_timeout_sec", "1000")]);
    open(&mut bench, b"question");
    syn(&mut bench);
    for seconds in [1, 2, 4] {
        bench.pass(Duration::from_millis(seconds * 1010));
        bench.sent();
    }
    assert_eq!(bench.engine.counters().fast_open_blackhole, 1);
    let peer = PEER.parse::<SocketAddr>().unwrap().ip();
    assert!(!bench.engine.fast_open_ready(bench.now, peer, false));
    bench.pass(Duration::from_secs(1001));
    assert!(bench.engine.fast_open_ready(bench.now, peer, false));
}

/// The ACK that opens said nothing of the early text, and counted as a duplicate.
#[test]
fn the_ack_that_opens_is_no_duplicate_and_early_text_goes_again() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    bench.iss = bench.one().header.seq;
    let conn = accept(&mut bench);
    read(&mut bench, conn);
    bench.engine.send(bench.now, conn, &mut Bytes::from_static(b"answer")).unwrap();
    bench.one();
    // Not before the handshake is through: until then, the SYN ACK.
    bench.pass(Duration::from_millis(1010));
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
    for _ in 0..3 {
        bench.arrives(Flags::ACK, 9, 1, b"");
    }
    assert_eq!(bench.engine.info(conn).unwrap().ca_state, CaState::Disorder);
    assert_eq!(bench.engine.counters().fast_retrans, 0);
    bench.silence();
    bench.pass(Duration::from_millis(3010));
    let again = bench.one();
    assert_eq!((again.header.seq, &again.payload[..]), (bench.iss + 1, &b"answer"[..]));
    bench.arrives(Flags::ACK, 9, 7, b"");
    assert_eq!(bench.engine.info(conn).unwrap().unacked, 0);
}

/// The close of a connection whose handshake was not through gave its SYN ACK `tcp_retries2`.
#[test]
fn a_handshake_that_never_ends_gives_up_as_soon_when_it_was_closed() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    bench.one();
    let conn = accept(&mut bench);
    read(&mut bench, conn);
    bench.engine.shutdown(bench.now, conn).unwrap();
    assert_eq!(bench.state(conn), State::FinWait1);
    for _ in 0..8 {
        bench.pass(Duration::from_secs(130));
        bench.sent();
    }
    assert_eq!(bench.reason(), Some(EndReason::HandshakeTimeout));
}

/// It was taken for the end of a simultaneous open: the early text was taken back, though the
/// peer may have it.
#[test]
fn a_syn_ack_to_a_connection_that_a_cookie_made_is_challenged() {
    let mut bench = listener("514");
    bench.arrives(Flags::SYN, 0, 0, b"question");
    bench.iss = bench.one().header.seq;
    let conn = accept(&mut bench);
    bench.engine.send(bench.now, conn, &mut Bytes::from_static(b"answer")).unwrap();
    bench.one();
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    bench.ack(7, 9);
    assert_eq!(bench.state(conn), State::SynReceived);
    bench.arrives(Flags::ACK, 9, 7, b"");
    assert_eq!(bench.state(conn), State::Established);
}

/// FIN, ACK, RST and calls at every point before the handshake is through.
#[test]
fn every_end_of_a_handshake_that_is_not_through() {
    type Step = fn(&mut Bench, ConnId);
    let steps: [Step; 9] = [
        |bench, _| bench.arrives(Flags::FIN | Flags::ACK, 9, 1, b""),
        |bench, _| bench.arrives(Flags::FIN | Flags::ACK, 9, 2, b""),
        |bench, _| bench.arrives(Flags::FIN, 9, 0, b""),
        |bench, _| bench.arrives(Flags::SYN, 0, 0, b"question"),
        |bench, _| bench.arrives(Flags::RST, 9, 0, b""),
        |bench, conn| {
            let _may_be_gone = bench.engine.shutdown(bench.now, conn);
        },
        |bench, conn| {
            let _may_be_gone = bench.engine.close(bench.now, conn);
        },
        |bench, conn| {
            let _may_be_gone = bench.engine.abort(bench.now, conn);
        },
        |bench, _| bench.pass(Duration::from_secs(10)),
    ];
    for run in 0..steps.len().pow(4) {
        let mut bench = listener("514");
        bench.arrives(Flags::SYN, 0, 0, b"question");
        bench.iss = bench.one().header.seq;
        let conn = accept(&mut bench);
        read(&mut bench, conn);
        for n in 0..4 {
            steps[run / steps.len().pow(n) % steps.len()](&mut bench, conn);
            bench.sent();
        }
        let _may_be_gone = bench.engine.abort(bench.now, conn);
        // A SYN after the end made another one, which waits for accept.
        bench.engine.unlisten(bench.now, bench.listener);
        for _ in 0..20 {
            bench.pass(Duration::from_secs(200));
            bench.sent();
        }
        assert_eq!(bench.engine.population(), Population::default(), "run {run}");
    }
}

/// Timers of other kinds were counted as the third timeout again, and lengthened the pause.
#[test]
fn rfc7413_7_1_the_third_timeout_is_counted_once() {
    let mut bench = client(&[("tcp_fastopen_blackhole_timeout_sec", "1000")]);
    let (conn, _) = open(&mut bench, b"question");
    let (idle, interval) = (Duration::from_secs(8), Duration::from_secs(1));
    let option = SocketOption::KeepAliveTimes { idle, interval, probes: 9 };
    bench.engine.set_option(bench.now, conn, option).unwrap();
    syn(&mut bench);
    for _ in 0..14 {
        bench.pass(Duration::from_millis(1010));
        bench.sent();
    }
    assert_eq!(bench.engine.counters().fast_open_blackhole, 1);
}

#[test]
fn a_largest_segment_holds_without_leave_for_fast_open_too() {
    let mut bench = Bench::new(config(&[("tcp_fastopen", "0")]));
    let (us, peer): (SocketAddr, SocketAddr) = (US.parse().unwrap(), PEER.parse().unwrap());
    let mut options = ConnectOptions::default();
    options.fast_open = true;
    options.socket = SocketOptions::default().with(SocketOption::MaxSeg(700));
    bench.engine.connect_with(bench.now, us, peer, options, &mut Bytes::new()).unwrap();
    assert_eq!(syn(&mut bench).header.options.mss, Some(700));
}
