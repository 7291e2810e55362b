//! Explicit congestion notification (RFC 3168), both roles.

mod bench;
mod pair;

use std::cell::RefCell;
use std::rc::Rc;

use bench::{Bench, PEER, config};
use fourwave_core::time::Duration;
use fourwave_core::{CaState, Config, ConnId, SocketOption, TcpInfo};
use fourwave_net::segment;
use fourwave_wire::ip::{IpHeader, ecn};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RawWindow, RxChecksum, SeqNum, WindowScale};
use pair::{CLIENT, Pair, SERVER, Way, text};

/// What a SYN says that asks; all that a TCP header says of ECN.
const ASKS: Flags = Flags::from_bits(0xc0);
const MSS: usize = 1000;

/// What one packet of the engine's says.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    ip: u8,
    flags: Flags,
    seq: SeqNum,
    len: usize,
}

impl Said {
    /// Of ECN.
    fn ecn(&self) -> (u8, Flags) {
        (self.ip, Flags::from_bits(self.flags.bits() & ASKS.bits()))
    }
}

fn read(packet: &[u8]) -> Said {
    let ip = IpHeader::parse(packet).unwrap();
    let (header, payload) = TcpHeader::parse(&packet[ip.payload.clone()]).unwrap();
    Said { ip: ip.ecn, flags: header.flags, seq: header.seq, len: payload.len() }
}

fn said(bench: &mut Bench) -> Vec<Said> {
    bench.packets().iter().map(|packet| read(packet)).collect()
}

fn ecn_said(bench: &mut Bench) -> Vec<(u8, Flags)> {
    said(bench).iter().map(Said::ecn).collect()
}

/// A segment of the peer in a packet that says `codepoint`.
fn arrives(bench: &mut Bench, codepoint: u8, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
    let mut options = TcpOptions::default();
    if flags.syn() {
        options.mss = Some(MSS as u16);
        options.window_scale = Some(WindowScale::new(7));
        options.sack_permitted = bench.sack;
    }
    let header = TcpHeader {
        seq: SeqNum::new(bench::IRS) + seq,
        ack: bench.iss + ack,
        flags,
        window: RawWindow(bench.window),
        options,
        ..TcpHeader::default()
    };
    let mut packet = segment(PEER.parse().unwrap(), bench::US.parse().unwrap(), header, payload);
    let mut bytes = packet.bytes.to_vec();
    bytes[1] |= codepoint;
    (packet.bytes, packet.checksum) = (bytes.into(), RxChecksum::Trusted);
    assert!(bench.engine.handle_packet(bench.now, &packet));
}

/// Half of the window is left; and no probe goes out before a timeout.
const RENO: &[(&str, &str)] = &[("tcp_congestion_control", "reno"), ("tcp_early_retrans", "0")];

/// An open connection that has agreed on ECN.
fn open_with(settings: &[(&str, &str)], sack: bool) -> (Bench, ConnId) {
    let mut bench = Bench::new(config(settings));
    bench.sack = sack;
    bench.window = 60_000;
    arrives(&mut bench, 0, Flags::SYN | ASKS, 0, 0, b"");
    let syn_ack = said(&mut bench).remove(0);
    assert_eq!(syn_ack.ecn(), (ecn::NOT_ECT, Flags::ECE));
    bench.iss = syn_ack.seq;
    bench.pass(Duration::from_millis(50));
    arrives(&mut bench, 0, Flags::ACK, 1, 1, b"");
    let conn = bench.engine.accept(bench.now, bench.listener).expect("accepted").conn;
    (bench, conn)
}

fn open() -> (Bench, ConnId) {
    open_with(RENO, true)
}

fn write(bench: &mut Bench, conn: ConnId, segments: usize) {
    let mut data = text(segments * MSS).into();
    let taken = bench.engine.send(bench.now, conn, &mut data).unwrap();
    assert_eq!(taken, segments * MSS);
}

fn info(bench: &Bench, conn: ConnId) -> TcpInfo {
    bench.engine.info(conn).unwrap()
}

/// Threshold in segments, and what the sender is about.
fn reduced(bench: &Bench, conn: ConnId) -> (u64, CaState) {
    let info = info(bench, conn);
    (info.snd_ssthresh / MSS as u64, info.ca_state)
}

const REDUCES: CaState = CaState::Cwr;

#[test]
fn rfc3168_6_1_1_both_ends_must_want_it() {
    for (client, server) in (0..=2).flat_map(|c| (0..=2).map(move |s| (c, s))) {
        let knob = |tcp_ecn| Config { tcp_ecn, ..Config::default() };
        let mut pair = Pair::with(knob(client), knob(server), Link::plain(1500));
        let (ours, theirs) = pair.open();
        let agreed = client == 1 && server != 0;
        for (end, conn) in [(CLIENT, ours), (SERVER, theirs)] {
            let info = pair.ends[end].engine.info(conn).unwrap();
            assert_eq!((info.ecn, info.ecn_seen), (agreed, false), "{client} and {server}");
        }
        pair.send(CLIENT, ours, b"text");
        pair.run_for(Duration::from_millis(100));
        let seen = pair.ends[SERVER].engine.info(theirs).unwrap().ecn_seen;
        assert_eq!(seen, agreed);
        let counters = pair.ends[SERVER].engine.counters();
        assert_eq!(counters.in_ect0, u64::from(agreed));
        assert!(counters.in_no_ect >= 2 && counters.in_ce + counters.in_ect1 == 0);
    }
}

#[test]
fn rfc3168_6_1_1_what_a_listener_answers() {
    for (knob, flags, codepoint, answer) in [
        ("0", ASKS, 0, Flags::NONE),
        ("1", ASKS, 0, Flags::ECE),
        ("2", ASKS, 0, Flags::ECE),
        ("2", Flags::NONE, 0, Flags::NONE),
        ("2", Flags::ECE, 0, Flags::NONE),
        ("2", Flags::CWR, 0, Flags::NONE),
        // Something on the way sets these bits on everything.
        ("2", ASKS, ecn::ECT_0, Flags::NONE),
        ("2", ASKS, ecn::CE, Flags::NONE),
    ] {
        let mut bench = Bench::new(config(&[("tcp_ecn", knob)]));
        arrives(&mut bench, codepoint, Flags::SYN | flags, 0, 0, b"");
        assert_eq!(ecn_said(&mut bench), [(0, answer)], "tcp_ecn={knob}, {flags:?} {codepoint}");
    }
}

#[test]
fn rfc3168_6_1_1_a_second_syn_that_does_not_ask_is_not_agreed_with() {
    let mut bench = Bench::new(Config::default());
    arrives(&mut bench, 0, Flags::SYN | ASKS, 0, 0, b"");
    let first = said(&mut bench).remove(0);
    assert_eq!(first.ecn(), (0, Flags::ECE));
    arrives(&mut bench, 0, Flags::SYN, 0, 0, b"");
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    bench.iss = first.seq;
    arrives(&mut bench, 0, Flags::ACK, 1, 1, b"");
    let conn = bench.engine.accept(bench.now, bench.listener).expect("accepted").conn;
    assert!(!info(&bench, conn).ecn);
}

/// A connection of the engine's to a peer whose first number is known; what its SYN said.
fn connect(knob: &str) -> (Bench, ConnId, Said) {
    let mut bench = Bench::new(config(&[("tcp_ecn", knob)]));
    let (local, remote) = (bench::US.parse().unwrap(), PEER.parse().unwrap());
    let conn = bench.engine.connect(bench.now, local, remote).unwrap();
    let syn = said(&mut bench).remove(0);
    bench.iss = syn.seq;
    (bench, conn, syn)
}

#[test]
fn rfc3168_6_1_1_what_a_client_asks_and_takes_for_an_answer() {
    for (knob, asks) in [("0", Flags::NONE), ("1", ASKS), ("2", Flags::NONE)] {
        for (answer, agrees) in
            [(Flags::NONE, false), (Flags::ECE, true), (Flags::CWR, false), (ASKS, false)]
        {
            let (mut bench, conn, syn) = connect(knob);
            assert_eq!(syn.ecn(), (0, asks), "tcp_ecn={knob}");
            arrives(&mut bench, 0, Flags::SYN | Flags::ACK | answer, 0, 1, b"");
            assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
            let agreed = agrees && knob == "1";
            assert_eq!(info(&bench, conn).ecn, agreed, "tcp_ecn={knob}, {answer:?}");
            write(&mut bench, conn, 1);
            let codepoint = if agreed { ecn::ECT_0 } else { ecn::NOT_ECT };
            assert_eq!(ecn_said(&mut bench), [(codepoint, Flags::NONE)]);
        }
    }
}

#[test]
fn rfc3168_6_1_1_1_a_syn_that_is_sent_again_does_not_ask() {
    let (mut bench, conn, syn) = connect("1");
    assert_eq!(syn.ecn(), (0, ASKS));
    bench.pass(Duration::from_millis(1100));
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    // The first one got there. Who ever sent one that does not ask sends nothing ECN-capable
    // (§6.1.1), and echoes marks all the same.
    arrives(&mut bench, 0, Flags::SYN | Flags::ACK | Flags::ECE, 0, 1, b"");
    said(&mut bench);
    assert!(info(&bench, conn).ecn);
    write(&mut bench, conn, 1);
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    arrives(&mut bench, ecn::CE, Flags::ACK, 1, 1001, &[0; MSS]);
    assert_eq!(ecn_said(&mut bench), [(0, Flags::ECE)]);
}

#[test]
fn rfc3168_6_1_1_a_simultaneous_open_agrees_by_its_syns() {
    for (theirs, agreed) in [(ASKS, true), (Flags::NONE, false)] {
        let (mut bench, conn, _) = connect("1");
        arrives(&mut bench, 0, Flags::SYN | theirs, 0, 0, b"");
        let answer = if agreed { Flags::ECE } else { Flags::NONE };
        assert_eq!(ecn_said(&mut bench), [(0, answer)]);
        arrives(&mut bench, 0, Flags::SYN | Flags::ACK | answer, 0, 1, b"");
        assert_eq!((info(&bench, conn).ecn, ecn_said(&mut bench).len()), (agreed, 1));
    }
}

#[test]
fn rfc3168_6_1_3_a_mark_is_echoed_until_cwr() {
    let (mut bench, conn) = open();
    let mut at = 1;
    let mut next = |bench: &mut Bench, codepoint, flags| {
        arrives(bench, codepoint, Flags::ACK | flags, at, 1, &[0; MSS]);
        at += MSS as u32;
        bench.pass(Duration::from_millis(50));
        ecn_said(bench)
    };
    assert_eq!(next(&mut bench, ecn::ECT_0, Flags::NONE), [(0, Flags::NONE)]);
    assert_eq!(next(&mut bench, ecn::CE, Flags::NONE), [(0, Flags::ECE)]);
    assert_eq!(next(&mut bench, ecn::ECT_0, Flags::NONE), [(0, Flags::ECE)]);
    assert_eq!(next(&mut bench, ecn::ECT_0, Flags::CWR), [(0, Flags::NONE)]);
    assert_eq!(next(&mut bench, ecn::CE, Flags::CWR), [(0, Flags::ECE)]);
    write(&mut bench, conn, 1);
    assert_eq!(ecn_said(&mut bench), [(ecn::ECT_0, Flags::ECE)], "text carries the echo");
    assert!(info(&bench, conn).ecn_seen);
    assert_eq!(bench.engine.counters().in_ce, 2);
}

#[test]
fn rfc3168_6_1_3_acks_and_what_lies_outside_the_window_are_not_echoed() {
    let (mut bench, _conn) = open();
    arrives(&mut bench, ecn::CE, Flags::ACK, 1, 1, b"");
    arrives(&mut bench, ecn::CE, Flags::ACK, 1_000_000, 1, &[0; MSS]);
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)], "§6.1.5");
    arrives(&mut bench, ecn::ECT_0, Flags::ACK, 1, 1, &[0; MSS]);
    bench.pass(Duration::from_millis(50));
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
}

#[test]
fn a_mark_and_cwr_are_acknowledged_at_once() {
    let (mut bench, conn) = open();
    let lets_acks_wait = |bench: &mut Bench| {
        bench.engine.set_option(bench.now, conn, SocketOption::QuickAck(false)).unwrap();
    };
    // Past the first ACKs, and in a dialogue: an ACK would wait.
    lets_acks_wait(&mut bench);
    arrives(&mut bench, ecn::ECT_0, Flags::ACK, 1, 1, &[0; 10]);
    assert_eq!(ecn_said(&mut bench), []);
    bench.pass(Duration::from_millis(50));
    assert_eq!(ecn_said(&mut bench).len(), 1);
    lets_acks_wait(&mut bench);
    arrives(&mut bench, ecn::CE, Flags::ACK, 11, 1, &[0; 10]);
    assert_eq!(ecn_said(&mut bench), [(0, Flags::ECE)]);
    lets_acks_wait(&mut bench);
    arrives(&mut bench, ecn::ECT_0, Flags::ACK | Flags::CWR, 21, 1, &[0; 10]);
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
}

#[test]
fn rfc3168_6_1_2_once_for_each_window_of_data() {
    for sack in [true, false] {
        let (mut bench, conn) = open_with(RENO, sack);
        write(&mut bench, conn, 40);
        let first = said(&mut bench);
        assert!(first.len() == 10 && first.iter().all(|s| s.ecn() == (ecn::ECT_0, Flags::NONE)));
        bench.pass(Duration::from_millis(50));
        let mut new = Vec::new();
        for acked in 1..=10 {
            arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1 + acked * MSS as u32, b"");
            assert_eq!(reduced(&bench, conn), (5, REDUCES), "SACK: {sack}, {acked}");
            new.extend(said(&mut bench));
        }
        // Spread over the round trip, and down to half (RFC 9937 §6). CWR is on the first.
        assert!((5..=6).contains(&new.len()), "{}", new.len());
        assert_eq!(new[0].ecn(), (ecn::ECT_0, Flags::CWR));
        assert!(new[1..].iter().all(|s| s.ecn() == (ecn::ECT_0, Flags::NONE)), "{new:?}");
        let told = info(&bench, conn);
        assert_eq!((told.delivered_ce, told.total_retrans), (10, 0));
        // What was sent since is acknowledged: the peer has CWR, and may tell of the next mark.
        bench.pass(Duration::from_millis(50));
        arrives(&mut bench, 0, Flags::ACK, 1, 1 + 11 * MSS as u32, b"");
        assert_eq!(reduced(&bench, conn), (5, CaState::Open));
        assert_eq!(info(&bench, conn).snd_cwnd, 5 * MSS as u64);
        said(&mut bench);
        arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1 + 12 * MSS as u32, b"");
        assert_eq!(reduced(&bench, conn), (2, REDUCES));
        assert_eq!(bench.engine.counters().delivered_ce, 11);
    }
}

#[test]
fn cubic_leaves_as_much_after_a_mark_as_after_a_loss() {
    let (mut bench, conn) = open_with(&[("tcp_congestion_control", "cubic")], true);
    write(&mut bench, conn, 10);
    said(&mut bench);
    bench.pass(Duration::from_millis(50));
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
    assert_eq!(reduced(&bench, conn), (7, REDUCES));
}

#[test]
fn rfc3168_6_1_2_an_echo_counts_only_where_ecn_was_agreed_on_and_something_is_in_flight() {
    let (mut bench, conn) = open();
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1, b"");
    assert_eq!(
        (info(&bench, conn).snd_ssthresh, info(&bench, conn).ca_state),
        (u64::MAX, CaState::Open)
    );
    // An ACK that moves nothing echoes too.
    write(&mut bench, conn, 4);
    said(&mut bench);
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1, b"");
    assert_eq!(reduced(&bench, conn), (2, REDUCES));

    let (mut bench, conn, _) = connect("0");
    arrives(&mut bench, 0, Flags::SYN | Flags::ACK | Flags::ECE, 0, 1, b"");
    write(&mut bench, conn, 4);
    said(&mut bench);
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
    assert_eq!(
        (info(&bench, conn).snd_ssthresh, info(&bench, conn).ca_state),
        (u64::MAX, CaState::Open)
    );
    assert_eq!(info(&bench, conn).delivered_ce, 0);
}

#[test]
fn rfc3168_6_1_2_after_a_reduction_for_loss_the_peer_is_told_too() {
    for sack in [true, false] {
        let (mut bench, conn) = open_with(RENO, sack);
        write(&mut bench, conn, 12);
        said(&mut bench);
        // The timer runs out.
        bench.pass(Duration::from_secs(1));
        let again = said(&mut bench);
        assert!(!again.is_empty() && again.iter().all(|s| s.ecn() == (0, Flags::NONE)), "§6.1.5");
        assert!(again.iter().all(|s| s.seq.before(bench.iss + 10_001)), "{again:?}");
        bench.pass(Duration::from_millis(50));
        arrives(&mut bench, 0, Flags::ACK, 1, 10_001, b"");
        let new = said(&mut bench);
        assert_eq!(new[0].ecn(), (ecn::ECT_0, Flags::CWR), "SACK: {sack}, {new:?}");
        assert!(new[1..].iter().all(|s| s.ecn() == (ecn::ECT_0, Flags::NONE)));
    }
}

#[test]
fn rfc3168_6_1_2_a_loss_in_a_window_that_was_reduced_reduces_it_no_further() {
    let (mut bench, conn) = open_with(RENO, false);
    write(&mut bench, conn, 10);
    said(&mut bench);
    bench.pass(Duration::from_millis(50));
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
    assert_eq!(reduced(&bench, conn), (5, REDUCES));
    for _ in 0..3 {
        arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
    }
    assert_eq!(reduced(&bench, conn), (5, CaState::Recovery));
    let again = said(&mut bench);
    assert_eq!((again[0].seq, again[0].ecn()), (bench.iss + 1001, (0, Flags::NONE)), "{again:?}");
    assert_eq!(bench.engine.counters().fast_retrans, 1);
}

#[test]
fn rfc3168_6_1_2_a_timeout_in_a_window_that_was_reduced_keeps_the_threshold() {
    let (mut bench, conn) = open();
    write(&mut bench, conn, 10);
    said(&mut bench);
    bench.pass(Duration::from_millis(50));
    arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
    assert_eq!(reduced(&bench, conn), (5, REDUCES));
    bench.pass(Duration::from_secs(2));
    assert_eq!(reduced(&bench, conn), (5, CaState::Loss));
    assert_eq!(info(&bench, conn).snd_cwnd, MSS as u64);
}

#[test]
fn rfc3168_6_1_4_only_new_text_is_capable() {
    let (mut bench, conn) = open();
    // An ACK.
    arrives(&mut bench, ecn::ECT_0, Flags::ACK, 1, 1, &[0; MSS]);
    bench.pass(Duration::from_millis(50));
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    // Text into a window that closes, and a probe of it (§6.1.6).
    write(&mut bench, conn, 1);
    assert_eq!(ecn_said(&mut bench), [(ecn::ECT_0, Flags::NONE)]);
    let window = std::mem::replace(&mut bench.window, 0);
    arrives(&mut bench, 0, Flags::ACK, 1001, 1001, b"");
    write(&mut bench, conn, 1);
    assert_eq!(ecn_said(&mut bench), []);
    bench.pass(Duration::from_secs(1));
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    bench.window = window;
    arrives(&mut bench, 0, Flags::ACK, 1001, 1001, b"");
    assert_eq!(ecn_said(&mut bench), [(ecn::ECT_0, Flags::NONE)]);
    arrives(&mut bench, 0, Flags::ACK, 1001, 2001, b"");
    // A FIN without text, and an RST.
    bench.engine.shutdown(bench.now, conn).unwrap();
    assert_eq!(ecn_said(&mut bench), [(0, Flags::NONE)]);
    bench.engine.abort(bench.now, conn).unwrap();
    let reset = said(&mut bench);
    assert!(reset[0].flags.rst() && reset[0].ip == 0);
}

/// A path that marks every tenth packet that is ECN-capable, and loses those that are not and
/// would have been marked: `(marked, lost)` when the text has arrived.
fn over_a_marking_path(knob: u64, link: Link, sack: u64) -> ((u32, u32), TcpInfo) {
    let config = Config { tcp_ecn: knob, tcp_sack: sack, ..Config::default() };
    let ips = ["fd00::1", "fd00::2"];
    let mut pair = Pair::with_addresses(config, Config::default(), link, ips);
    pair.delay = Duration::from_millis(10);
    let (client, server) = pair.open();
    let counts = Rc::new(RefCell::new((0, 0)));
    let (seen, mut count) = (Rc::clone(&counts), 0);
    pair.filter = Box::new(move |from, packet| {
        let has_text = from == CLIENT && packet.len() > 500;
        count += u32::from(has_text);
        if !has_text || count % 10 != 0 {
            return Way::Pass;
        }
        if IpHeader::parse(packet).unwrap().ecn != ecn::ECT_0 {
            seen.borrow_mut().1 += 1;
            return Way::Drop;
        }
        seen.borrow_mut().0 += 1;
        let mut bytes = packet.to_vec();
        bytes[1] |= ecn::CE << 4;
        Way::Rewrite(bytes.into())
    });
    let data = text(100_000);
    pair.send(CLIENT, client, &data);
    pair.run_for(Duration::from_secs(20));
    assert!(pair.read(SERVER, server) == data);
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    let counts = *counts.borrow();
    (counts, info)
}

#[test]
fn a_path_that_marks_loses_nothing() {
    for (link, sack) in
        [(Link::plain(1500), 1), (Link::plain(1500), 0), (Link::offloading(1500), 1)]
    {
        let ((marked, lost), info) = over_a_marking_path(1, link, sack);
        assert!(marked > 2 && lost == 0, "{marked} {lost}");
        assert_eq!(info.total_retrans, 0);
        assert!(info.delivered_ce >= marked && info.snd_ssthresh < u64::MAX);
    }
    let ((marked, lost), info) = over_a_marking_path(2, Link::plain(1500), 1);
    assert!(marked == 0 && lost > 2 && info.total_retrans >= lost && info.delivered_ce == 0);
}

#[test]
fn rfc8511_3_abe_is_a_knob() {
    for (knob, algorithm, left) in
        [("0", "reno", 5), ("1", "reno", 8), ("0", "cubic", 7), ("1", "cubic", 8)]
    {
        for sack in [true, false] {
            let settings = [("tcp_abe", knob), ("tcp_congestion_control", algorithm)];
            let (mut bench, conn) = open_with(&settings, sack);
            write(&mut bench, conn, 10);
            said(&mut bench);
            bench.pass(Duration::from_millis(50));
            arrives(&mut bench, 0, Flags::ACK | Flags::ECE, 1, 1001, b"");
            assert_eq!(reduced(&bench, conn), (left, REDUCES), "tcp_abe={knob}, {algorithm}");
        }
    }
}
