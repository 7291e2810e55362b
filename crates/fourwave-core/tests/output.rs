//! Which segment goes out when: Nagle, silly windows, delayed ACKs, probes, retransmission.

mod pair;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, SocketOption};
use fourwave_wire::Link;
use fourwave_wire::ip::IpHeader;
use fourwave_wire::tcp::TcpHeader;
use pair::{CLIENT, Pair, SERVER, Way, text};

/// Sender, relative sequence number of the first byte seen, payload length, of each packet.
type Log = Rc<RefCell<Vec<(usize, u32, usize)>>>;

/// Writes down every packet from here on.
fn log(pair: &mut Pair) -> Log {
    let log: Log = Rc::default();
    let to = log.clone();
    pair.filter = Box::new(move |from, bytes| {
        let ip = IpHeader::parse(bytes).unwrap();
        let (header, payload) = TcpHeader::parse(&bytes[ip.payload]).unwrap();
        to.borrow_mut().push((from, header.seq.value(), payload.len()));
        Way::Pass
    });
    log
}

/// Payload lengths of the packets that `end` sent.
fn lengths(log: &Log, end: usize) -> Vec<usize> {
    log.borrow().iter().filter(|(from, ..)| *from == end).map(|(.., len)| *len).collect()
}

fn set(pair: &mut Pair, conn: ConnId, option: SocketOption) {
    let now = pair.now;
    pair.ends[CLIENT].engine.set_option(now, conn, option).unwrap();
}

#[test]
fn rfc9293_3_7_4_nagle_holds_a_small_segment_while_data_is_in_flight() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    for _ in 0..5 {
        pair.send(CLIENT, client, b"word");
    }
    assert_eq!(lengths(&packets, CLIENT), [4]);
    pair.run_for(Duration::from_millis(200));
    assert_eq!(lengths(&packets, CLIENT), [4, 16]);
}

#[test]
fn rfc9293_3_7_4_the_end_of_a_long_write_does_not_wait_for_its_middle() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    pair.send(CLIENT, client, &text(3000));
    assert_eq!(lengths(&packets, CLIENT), [1448, 1448, 104]);
    // But a second small segment waits for the first.
    pair.send(CLIENT, client, b"word");
    assert_eq!(lengths(&packets, CLIENT), [1448, 1448, 104]);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(lengths(&packets, CLIENT), [1448, 1448, 104, 4]);
}

#[test]
fn a_window_that_was_half_used_may_double_whatever_is_left_when_its_acks_come() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    pair.send(CLIENT, client, &text(10 * 1448));
    pair.run_for(Duration::from_millis(100));
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    assert_eq!(info.snd_cwnd, 20 * 1448);
    // Three segments of twenty prove nothing.
    pair.send(CLIENT, client, &text(3 * 1448));
    pair.run_for(Duration::from_millis(100));
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    assert_eq!(info.snd_cwnd, 20 * 1448);
}

#[test]
fn nodelay_sends_at_once() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    set(&mut pair, client, SocketOption::NoDelay(true));
    let packets = log(&mut pair);
    for _ in 0..5 {
        pair.send(CLIENT, client, b"word");
    }
    assert_eq!(lengths(&packets, CLIENT), [4; 5]);
}

#[test]
fn a_cork_holds_a_small_segment_until_it_is_pulled_or_a_timeout_has_passed() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    set(&mut pair, client, SocketOption::NoDelay(true));
    set(&mut pair, client, SocketOption::Cork(true));
    let packets = log(&mut pair);
    pair.send(CLIENT, client, &text(1450));
    assert_eq!(lengths(&packets, CLIENT), [1448]);
    pair.send(CLIENT, client, b"word");
    set(&mut pair, client, SocketOption::Cork(false));
    pair.step();
    pair.run_for(Duration::from_millis(15));
    assert_eq!(lengths(&packets, CLIENT), [1448, 6]);
    // Nobody is left in the bottle for ever.
    set(&mut pair, client, SocketOption::Cork(true));
    pair.send(CLIENT, client, b"word");
    pair.run_for(Duration::from_millis(150));
    assert_eq!(lengths(&packets, CLIENT), [1448, 6]);
    pair.run_for(Duration::from_millis(150));
    assert_eq!(lengths(&packets, CLIENT), [1448, 6, 4]);
    // A FIN does not wait.
    pair.send(CLIENT, client, b"end");
    pair.shutdown(CLIENT, client);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(lengths(&packets, CLIENT), [1448, 6, 4, 3]);
    assert_eq!(pair.read(SERVER, server).len(), 1461);
}

#[test]
fn what_a_pulled_cork_held_back_waits_for_nagle() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    pair.send(CLIENT, client, b"word");
    set(&mut pair, client, SocketOption::Cork(true));
    pair.send(CLIENT, client, b"more");
    set(&mut pair, client, SocketOption::Cork(false));
    pair.step();
    assert_eq!(lengths(&packets, CLIENT), [4]);
    // The first one is acknowledged.
    pair.run_for(Duration::from_millis(500));
    assert_eq!(lengths(&packets, CLIENT), [4, 4]);
    // Without Nagle nothing holds it.
    set(&mut pair, client, SocketOption::NoDelay(true));
    pair.send(CLIENT, client, b"word");
    set(&mut pair, client, SocketOption::Cork(true));
    pair.send(CLIENT, client, b"more");
    assert_eq!(lengths(&packets, CLIENT), [4, 4, 4]);
    set(&mut pair, client, SocketOption::Cork(false));
    pair.step();
    pair.run_for(Duration::from_millis(15));
    assert_eq!(lengths(&packets, CLIENT), [4, 4, 4, 4]);
}

#[test]
fn on_a_slow_path_a_super_segment_is_small() {
    let link = Link::offloading(1500);
    let mut pair = Pair::with(Config::default(), Config::default(), link);
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    // Ten segments for each 20 ms: less than two a millisecond.
    pair.send(CLIENT, client, &text(14_480));
    assert_eq!(lengths(&packets, CLIENT), [2896; 5]);
}

#[test]
fn no_segment_reaches_over_the_end_of_a_record() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    for record in [400, 400, 2000] {
        let mut data = Bytes::from(text(record));
        let now = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut data).unwrap();
        set(&mut pair, client, SocketOption::EndOfRecord);
    }
    pair.send(CLIENT, client, b"after");
    assert_eq!(lengths(&packets, CLIENT), [400, 400, 1448, 552]);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(lengths(&packets, CLIENT), [400, 400, 1448, 552, 5]);
}

#[test]
fn more_to_come_is_not_pushed() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let pushed: Rc<RefCell<Vec<bool>>> = Rc::default();
    let to = pushed.clone();
    pair.filter = Box::new(move |from, bytes| {
        let ip = IpHeader::parse(bytes).unwrap();
        let (header, payload) = TcpHeader::parse(&bytes[ip.payload]).unwrap();
        if from == CLIENT && !payload.is_empty() {
            to.borrow_mut().push(header.flags.psh());
        }
        Way::Pass
    });
    set(&mut pair, client, SocketOption::More(true));
    pair.send(CLIENT, client, &text(1448));
    pair.run_for(Duration::from_millis(50));
    set(&mut pair, client, SocketOption::More(false));
    pair.send(CLIENT, client, b"end");
    assert_eq!(*pushed.borrow(), [false, true]);
}

#[test]
fn the_send_buffer_and_the_unsent_mark_bound_what_is_queued() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    set(&mut pair, client, SocketOption::SendBuffer(20_000));
    let room = |pair: &Pair| pair.ends[CLIENT].engine.send_room(client).unwrap();
    assert_eq!(room(&pair), 20_000);
    set(&mut pair, client, SocketOption::NotSentLowat(1000));
    assert_eq!(room(&pair), 1000);
    set(&mut pair, client, SocketOption::Cork(true));
    let mut data = Bytes::from(text(1500));
    let now = pair.now;
    assert_eq!(pair.ends[CLIENT].engine.send(now, client, &mut data), Ok(1000));
    assert_eq!(room(&pair), 0);
    set(&mut pair, client, SocketOption::NotSentLowat(u32::MAX));
    assert_eq!(room(&pair), 19_000);
}

#[test]
fn with_overhead_counted_a_send_takes_a_chunk_of_half_the_peers_window() {
    let mut config = Config::default();
    config.set("tcp_wmem_overhead", "1280").unwrap();
    let mut server = Config::default();
    server.set("tcp_rmem_default", "29000").unwrap();
    server.set("tcp_rmem_max", "29000").unwrap();
    let mut pair = Pair::with(config, server, Link::plain(1500));
    let (client, _) = pair.open();
    set(&mut pair, client, SocketOption::SendBuffer(30_000));
    set(&mut pair, client, SocketOption::Cork(true));
    let (mut data, now) = (Bytes::from(text(100_000)), pair.now);
    let engine = &mut pair.ends[CLIENT].engine;
    // Ten segments of 1448 bytes are most of 14,500; the third chunk fills the buffer beyond its
    // limit.
    let mut send = || engine.send(now, client, &mut data);
    assert_eq!([send(), send(), send()], [Ok(14_480), Ok(14_480), Ok(0)]);
    assert_eq!(pair.ends[CLIENT].engine.is_writable(client), Ok(false));
}

#[test]
fn tcp_info_tells_when_data_passed_and_what_it_waited_for() {
    let millis = Duration::from_millis;
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.run_for(millis(100));
    pair.send(CLIENT, client, &text(1000));
    pair.run_for(millis(500));
    let info = pair.ends[CLIENT].engine.info_at(pair.now, client).unwrap();
    assert_eq!(info.last_data_sent, millis(500));
    assert_eq!(info.last_data_recv, info.last_data_sent + millis(120), "when it opened");
    assert!(info.last_ack_recv > millis(400) && info.last_ack_recv < millis(500));
    assert_eq!(info.busy_time + info.last_ack_recv, millis(500), "until the ACK came");
    assert_eq!((info.bytes_sent, info.bytes_retrans), (1000, 0));
    let peer = pair.ends[SERVER].engine.info_at(pair.now, server).unwrap();
    assert_eq!(peer.busy_time, Duration::ZERO);
    assert!(peer.last_data_recv > millis(400) && peer.last_data_recv < millis(500));
    // More than anyone reads.
    pair.send(CLIENT, client, &text(300_000));
    pair.run_for(millis(1000));
    let info = pair.ends[CLIENT].engine.info_at(pair.now, client).unwrap();
    assert!(info.rwnd_limited > millis(500), "{:?}", info.rwnd_limited);
    assert!(info.busy_time > info.rwnd_limited && info.sndbuf_limited.is_zero());
}

#[test]
fn tcp_syncnt_ends_an_open_earlier() {
    let mut pair = Pair::new();
    pair.filter = Box::new(|_, _| Way::Drop);
    let client = pair.connect();
    set(&mut pair, client, SocketOption::SynCount(1));
    pair.run_for(Duration::from_millis(2900));
    assert_eq!(pair.state(CLIENT, client), fourwave_core::state::State::SynSent);
    pair.run_for(Duration::from_millis(200));
    assert_eq!(pair.state(CLIENT, client), fourwave_core::state::State::Closed);
}

#[test]
fn tcp_maxseg_is_announced_and_kept() {
    let mut pair = Pair::new();
    let packets = log(&mut pair);
    let client = pair.connect();
    set(&mut pair, client, SocketOption::MaxSeg(512));
    pair.run_for(Duration::from_millis(50));
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    assert_eq!((info.advmss, info.snd_mss), (512, 512));
    pair.send(CLIENT, client, &text(1024));
    assert!(lengths(&packets, CLIENT).ends_with(&[512, 512]));
}

#[test]
fn rfc9293_3_6_a_fin_rides_on_the_last_data_and_is_not_held_by_nagle() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.send(CLIENT, client, b"first");
    let packets = log(&mut pair);
    let now = pair.now;
    pair.ends[CLIENT].engine.send(now, client, &mut Bytes::from_static(b"last")).unwrap();
    pair.shutdown(CLIENT, client);
    assert_eq!(lengths(&packets, CLIENT), [4]);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.read(SERVER, server), b"firstlast");
    let now = pair.now;
    let eof = pair.ends[SERVER].engine.receive(now, server, 1).unwrap();
    assert!(eof.is_empty());
}

#[test]
fn rfc6928_the_first_flight_is_ten_segments() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let packets = log(&mut pair);
    pair.send(CLIENT, client, &text(100_000));
    assert_eq!(lengths(&packets, CLIENT), [1448; 10]);
}

#[test]
fn an_offloading_device_gets_the_same_as_super_segments_of_half_the_window() {
    let link = Link::offloading(1500);
    let mut config = Config::default();
    config.set("tcp_min_tso_segs", "44").unwrap();
    let mut pair = Pair::with(config, Config::default(), link);
    let (client, server) = pair.open();
    let packets = log(&mut pair);
    pair.send(CLIENT, client, &text(100_000));
    assert_eq!(lengths(&packets, CLIENT), [7240, 7240]);
    pair.run_for(Duration::from_millis(15));
    // One ACK answers what arrives together.
    assert_eq!(lengths(&packets, SERVER), [0]);
    assert_eq!(pair.read(SERVER, server).len(), 14_480);
}

#[test]
fn rfc9293_3_8_6_3_an_ack_waits_for_a_second_segment_or_its_time() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    set(&mut pair, client, SocketOption::NoDelay(true));
    // Past the segments that are acknowledged at once at the start.
    for _ in 0..16 {
        pair.send(CLIENT, client, b"x");
        pair.run_for(Duration::from_millis(50));
    }
    pair.read(SERVER, server);
    let packets = log(&mut pair);
    pair.send(CLIENT, client, b"x");
    pair.run_for(Duration::from_millis(49));
    assert_eq!(lengths(&packets, SERVER), []);
    pair.run_for(Duration::from_millis(2));
    assert_eq!(lengths(&packets, SERVER), [0]);
    pair.run_for(Duration::from_millis(50));
    // An answer carries it.
    pair.send(CLIENT, client, b"question");
    pair.run_for(Duration::from_millis(11));
    packets.borrow_mut().clear();
    pair.send(SERVER, server, b"answer");
    pair.run_for(Duration::from_millis(8));
    assert_eq!(lengths(&packets, SERVER), [6]);
    assert_eq!(pair.ends[SERVER].engine.counters().delayed_acks, 1);
}

#[test]
fn rfc9293_3_8_6_2_2_the_window_opens_by_whole_segments() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let mut data = Bytes::from(text(1_000_000));
    for _ in 0..200 {
        let now = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut data).unwrap();
        pair.run_for(Duration::from_millis(20));
    }
    let wnd = |pair: &Pair| pair.ends[CLIENT].engine.info(client).unwrap().snd_wnd;
    assert_eq!(wnd(&pair), 0, "nobody reads");
    let packets = log(&mut pair);
    // A byte read is no reason to say anything.
    let now = pair.now;
    let one = pair.ends[SERVER].engine.receive(now, server, 1).unwrap();
    assert_eq!(one.len(), 1);
    pair.run_for(Duration::from_millis(5));
    assert_eq!(lengths(&packets, SERVER), []);
    // A buffer read is.
    let before = wnd(&pair);
    pair.read(SERVER, server);
    pair.run_for(Duration::from_millis(15));
    assert!(!lengths(&packets, SERVER).is_empty());
    assert!(wnd(&pair) > before + 1448);
}

#[test]
fn rfc9293_3_8_6_1_a_zero_window_is_probed_for_as_long_as_the_peer_answers() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let mut data = Bytes::from(text(1_000_000));
    for _ in 0..100 {
        let now = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut data).unwrap();
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_for(Duration::from_secs(3 * 3600));
    let probes = pair.ends[CLIENT].engine.counters().window_probes;
    assert!((90..=120).contains(&probes), "{probes} probes in three hours: at most every 120 s");
    assert_eq!(pair.state(CLIENT, client), fourwave_core::state::State::Established);
    // A peer that does not answer any more is given up.
    pair.filter = Box::new(|_, _| Way::Drop);
    pair.run_for(Duration::from_secs(3 * 3600));
    assert_eq!(
        pair.ends[CLIENT].reports[0].1.reason,
        fourwave_core::EndReason::RetransmissionTimeout
    );
    let _ = server;
}

#[test]
fn rfc5681_3_2_a_lost_segment_is_sent_again_without_a_timeout() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let mut seen = 0;
    pair.filter = Box::new(move |from, bytes| {
        seen += u32::from(from == CLIENT && bytes.len() > 1000);
        if seen == 3 && from == CLIENT { Way::Drop } else { Way::Pass }
    });
    let data = text(100_000);
    pair.send(CLIENT, client, &data);
    pair.run_for(Duration::from_millis(300));
    assert_eq!(pair.read(SERVER, server), data);
    let counters = pair.ends[CLIENT].engine.counters();
    assert_eq!((counters.fast_retrans, counters.retrans_segs, counters.timeouts), (1, 1, 0));
}

#[test]
fn rfc6298_5_the_timeout_doubles_and_the_connection_is_given_up() {
    let mut config = Config::default();
    config.set("tcp_retries2", "5").unwrap();
    config.set("tcp_early_retrans", "0").unwrap();
    let mut pair = Pair::with(config, Config::default(), Link::plain(1500));
    let (client, server) = pair.open();
    let times = Rc::new(RefCell::new(Vec::new()));
    let to = times.clone();
    pair.filter = Box::new(move |from, _| {
        to.borrow_mut().push(from);
        Way::Drop
    });
    pair.send(CLIENT, client, b"lost");
    let start = pair.now;
    pair.run_until_idle();
    assert_eq!(times.borrow().len(), 6, "once and five times again");
    let report = &pair.ends[CLIENT].reports[0].1;
    assert_eq!(report.reason, fourwave_core::EndReason::RetransmissionTimeout);
    assert_eq!((report.bytes_unsent, report.retransmits), (4, 5));
    // RTO is 20 ms of round trip and 200 ms at least of variance; 1 + 2 + … + 32 of them.
    let rtos = report.ended.since(start).as_millis() / 63;
    assert!((219..=225).contains(&rtos), "{rtos} ms");
    let _ = server;
}

#[test]
fn user_timeout_bounds_how_long_data_may_stay_unacknowledged() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    set(&mut pair, client, SocketOption::UserTimeout(Duration::from_secs(5)));
    pair.filter = Box::new(|_, _| Way::Drop);
    pair.send(CLIENT, client, b"lost");
    let start = pair.now;
    pair.run_until_idle();
    let report = &pair.ends[CLIENT].reports[0].1;
    assert_eq!(report.reason, fourwave_core::EndReason::UserTimeout);
    // Not at the back-off's next step, but when the time is up.
    let millis = report.ended.since(start).as_millis();
    assert!((5000..=5002).contains(&millis), "{millis} ms");
}

#[test]
fn ports_run_out_with_a_word_about_what_ran_out() {
    let mut config = Config::default();
    config.set("ip_local_port_last", "60000").unwrap();
    config.set("ip_local_port_first", "59991").unwrap();
    let mut pair = Pair::with(config, Config::default(), Link::plain(1500));
    let conns: Vec<ConnId> = (0..10).map(|_| pair.connect()).collect();
    pair.run_for(Duration::from_millis(100));
    let now = pair.now;
    let (local, remote) = (pair.ends[CLIENT].address(0), pair.ends[SERVER].address(80));
    let error = pair.ends[CLIENT].engine.connect(now, local, remote).unwrap_err();
    assert!(error.to_string().contains("all 10 ports"), "{error}");
    // Another destination has all of them.
    let other = pair.ends[SERVER].address(81);
    assert!(pair.ends[CLIENT].engine.connect(now, local, other).is_ok());
    assert_eq!(conns.len(), 10);
}

#[test]
fn more_to_come_waits_for_the_next_ack_only() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    set(&mut pair, client, SocketOption::NoDelay(true));
    set(&mut pair, client, SocketOption::More(true));
    let packets = log(&mut pair);
    pair.send(CLIENT, client, &text(1448));
    pair.send(CLIENT, client, b"tail");
    assert_eq!(lengths(&packets, CLIENT), [1448]);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(lengths(&packets, CLIENT), [1448, 4]);
}
