//! How connections open and end, two engines against each other in virtual time.

mod pair;

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, EndReason, Event, Side};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way, text};

#[test]
fn rfc9293_3_5_three_way_handshake() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    assert_eq!(pair.state(CLIENT, client), State::Established);
    assert_eq!(pair.state(SERVER, server), State::Established);
    assert!(pair.ends[CLIENT].events.contains(&Event::Connected { conn: client }));
    assert_eq!(pair.packets, 3);
}

#[test]
fn rfc9293_3_6_four_waves() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.send(CLIENT, client, b"request");
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.read(SERVER, server), b"request");

    pair.shutdown(CLIENT, client);
    assert_eq!(pair.state(CLIENT, client), State::FinWait1);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.state(CLIENT, client), State::FinWait2);
    assert_eq!(pair.state(SERVER, server), State::CloseWait);

    // Half-closed: the server goes on sending for as long as it likes.
    let answer = text(300_000);
    pair.run_for(Duration::from_secs(7200));
    pair.send(SERVER, server, &answer);
    let mut got = Vec::new();
    for _ in 0..100 {
        pair.run_for(Duration::from_millis(50));
        got.extend(pair.read(CLIENT, client));
    }
    assert_eq!(got, answer);

    pair.close(SERVER, server);
    pair.run_for(Duration::from_millis(100));
    let report = pair.ends[CLIENT].reports[0].1.clone();
    assert_eq!(report.reason, EndReason::Orderly);
    assert_eq!(report.closed_first, Some(Side::Local));
    assert!(report.time_wait_until.is_some());
    assert_eq!(report.bytes_received, 300_000);
    assert_eq!(report.bytes_acked, 7);
    assert_eq!(pair.ends[SERVER].reports[0].1.closed_first, Some(Side::Remote));
    assert_eq!(pair.ends[SERVER].reports[0].1.time_wait_until, None);
    assert_eq!(pair.ends[CLIENT].engine.population().time_wait, 1);

    let now = pair.now;
    let end_of_stream = pair.ends[CLIENT].engine.receive(now, client, 10).unwrap();
    assert!(end_of_stream.is_empty());
    pair.close(CLIENT, client);
    pair.run_until_idle();
    pair.assert_empty();
    assert_eq!(pair.ends[CLIENT].engine.counters().tw, 1);
}

#[test]
fn rfc9293_3_6_simultaneous_close() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.shutdown(CLIENT, client);
    pair.shutdown(SERVER, server);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.state(CLIENT, client), State::Closing);
    assert_eq!(pair.state(SERVER, server), State::Closing);
    pair.run_for(Duration::from_millis(15));
    for end in &pair.ends {
        assert_eq!(end.engine.population().time_wait, 1);
        assert_eq!(end.reports[0].1.reason, EndReason::Orderly);
    }
    pair.close(CLIENT, client);
    pair.close(SERVER, server);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn rfc9293_3_5_simultaneous_open() {
    let mut pair = Pair::new();
    let (a, b) = (pair.ends[CLIENT].address(1000), pair.ends[SERVER].address(2000));
    let now = pair.now;
    let client = pair.ends[CLIENT].engine.connect(now, a, b).unwrap();
    let server = pair.ends[SERVER].engine.connect(now, b, a).unwrap();
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.state(CLIENT, client), State::SynReceived);
    pair.run_for(Duration::from_millis(60));
    assert_eq!(pair.state(CLIENT, client), State::Established);
    assert_eq!(pair.state(SERVER, server), State::Established);
    pair.send(CLIENT, client, &text(100_000));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.read(SERVER, server), text(100_000));
    pair.close(CLIENT, client);
    pair.close(SERVER, server);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn lost_last_ack_is_answered_from_time_wait() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(100));
    let mut dropped = 0;
    pair.filter = Box::new(move |from, _| {
        if from == CLIENT && dropped < 2 {
            dropped += 1;
            return Way::Drop;
        }
        Way::Pass
    });
    pair.close(SERVER, server);
    pair.run_until_idle();
    pair.assert_empty();
    assert_eq!(pair.ends[SERVER].reports[0].1.reason, EndReason::Orderly);
    assert_eq!(pair.ends[SERVER].reports[0].1.fin_retransmits, 2);
}

#[test]
fn without_time_wait_a_lost_last_ack_ends_in_reset() {
    let mut config = Config::default();
    config.set("tcp_timewait_len", "0").unwrap();
    let mut pair = Pair::with(config, Config::default(), Link::plain(1500));
    let (client, server) = pair.open();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(100));
    let mut first = true;
    pair.filter =
        Box::new(
            move |from, _| {
                if from == CLIENT && std::mem::take(&mut first) { Way::Drop } else { Way::Pass }
            },
        );
    pair.close(SERVER, server);
    pair.run_until_idle();
    assert_eq!(pair.ends[SERVER].reports[0].1.reason, EndReason::ResetByPeer);
}

#[test]
fn refused() {
    let mut pair = Pair::new();
    let (local, remote) = (pair.ends[CLIENT].address(0), pair.ends[SERVER].address(81));
    let now = pair.now;
    let conn = pair.ends[CLIENT].engine.connect(now, local, remote).unwrap();
    pair.run_until_idle();
    let report = &pair.ends[CLIENT].reports[0].1;
    assert_eq!((report.reason, report.closed_first), (EndReason::Refused, Some(Side::Remote)));
    pair.close(CLIENT, conn);
    pair.assert_empty();
}

#[test]
fn nobody_answers() {
    let mut pair = Pair::new();
    pair.filter = Box::new(|_, _| Way::Drop);
    let conn = pair.connect();
    let start = pair.now;
    pair.run_until_idle();
    let report = &pair.ends[CLIENT].reports[0].1;
    assert_eq!(report.reason, EndReason::ConnectTimeout);
    // 1 + 2 + 4 + 8 + 16 + 32 + 64 + 120 seconds: more than three minutes.
    assert_eq!(report.ended.since(start).as_secs(), 247);
    assert_eq!(pair.packets, 8);
    pair.close(CLIENT, conn);
    pair.assert_empty();
}

#[test]
fn rfc9293_3_6_1_close_with_unread_data_resets() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.send(CLIENT, client, b"never read");
    pair.run_for(Duration::from_millis(100));
    pair.close(SERVER, server);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.ends[SERVER].reports[0].1.reason, EndReason::ClosedWithUnreadData);
    assert_eq!(pair.ends[SERVER].reports[0].1.bytes_unread, 10);
    assert_eq!(pair.ends[CLIENT].reports[0].1.reason, EndReason::ResetByPeer);
    pair.close(CLIENT, client);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn rfc9293_3_6_1_data_after_close_resets() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(100));
    pair.send(SERVER, server, b"too late");
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.ends[CLIENT].reports[0].1.reason, EndReason::DataAfterClose);
    assert_eq!(pair.ends[SERVER].reports[0].1.reason, EndReason::ResetByPeer);
    pair.close(SERVER, server);
    pair.assert_empty();
}

#[test]
fn an_orphan_in_fin_wait_2_waits_for_tcp_fin_timeout() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.close(CLIENT, client);
    let closed = pair.now;
    pair.run_for(Duration::from_secs(120));
    let report = &pair.ends[CLIENT].reports[0].1;
    assert_eq!(report.reason, EndReason::FinWait2Timeout);
    assert_eq!(report.ended.since(closed).as_secs(), 60);
    pair.close(SERVER, server);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn an_orphan_gives_up_after_tcp_orphan_retries() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.filter = Box::new(|_, _| Way::Drop);
    pair.close(CLIENT, client);
    pair.run_until_idle();
    let report = &pair.ends[CLIENT].reports[0].1;
    // A tail loss probe, and eight timeouts.
    assert_eq!((report.reason, report.fin_retransmits), (EndReason::OrphanTimeout, 9));
    pair.close(SERVER, server);
}

#[test]
fn keepalive_finds_a_dead_peer() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let now = pair.now;
    let option = fourwave_core::SocketOption::KeepAlive(true);
    pair.ends[CLIENT].engine.set_option(now, client, option).unwrap();
    // The peer lives: nothing ends, however long it takes.
    pair.run_for(Duration::from_secs(100_000));
    assert_eq!(pair.state(CLIENT, client), State::Established);
    assert!(pair.ends[CLIENT].engine.counters().keepalive >= 13);
    pair.filter = Box::new(|_, _| Way::Drop);
    pair.run_for(Duration::from_secs(7200 + 75 * 10));
    assert_eq!(pair.ends[CLIENT].reports[0].1.reason, EndReason::KeepaliveTimeout);
    pair.close(CLIENT, client);
    pair.close(SERVER, server);
}

#[test]
fn ipv6_with_every_offload() {
    let link = Link::offloading(9000);
    let (a, b) = (Config::default(), Config::default());
    let mut pair = Pair::with_addresses(a, b, link, ["fd00::1", "fd00::2"]);
    let (client, server) = pair.open();
    let data = text(1_000_000);
    let mut got = Vec::new();
    for part in data.chunks(100_000) {
        pair.send(CLIENT, client, part);
        pair.run_for(Duration::from_millis(100));
        got.extend(pair.read(SERVER, server));
    }
    pair.shutdown(CLIENT, client);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(got, data);
    assert!(pair.packets < 200, "{} packets for 1 MB", pair.packets);
    pair.close(SERVER, server);
    pair.close(CLIENT, client);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn a_stalled_reader_closes_the_window_and_probes_find_it_open() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let data = text(2_000_000);
    let mut queued = bytes::Bytes::copy_from_slice(&data);
    let mut got = Vec::new();
    for round in 0..20_000 {
        let now = pair.now;
        if !queued.is_empty() {
            pair.ends[CLIENT].engine.send(now, client, &mut queued).unwrap();
        }
        // The reader sleeps for a minute now and then.
        pair.run_for(Duration::from_millis(if round % 50 == 0 { 60_000 } else { 10 }));
        if round % 50 == 0 {
            got.extend(pair.read(SERVER, server));
        }
        if got.len() == data.len() {
            break;
        }
    }
    assert_eq!(got, data);
    assert!(pair.ends[CLIENT].engine.counters().window_probes > 0);
    pair.close(CLIENT, client);
    pair.close(SERVER, server);
    pair.run_until_idle();
    pair.assert_empty();
}
