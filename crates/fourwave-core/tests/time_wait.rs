//! TIME_WAIT at its bound, and every remedy against too many of them.

mod pair;

use fourwave_core::error::ConnectError;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, EndReason, Event, Side, SocketOption};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way};

fn pair(settings: &[(&str, &str)]) -> Pair {
    let mut config = Config::default();
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    Pair::with(config, Config::default(), Link::plain(1500))
}

/// A connection that the client closes first.
fn short(pair: &mut Pair) {
    let (client, server) = pair.open();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(50));
    pair.close(SERVER, server);
    pair.run_for(Duration::from_millis(50));
}

fn time_waits(pair: &Pair) -> usize {
    pair.ends[CLIENT].engine.population().time_wait
}

fn counters(pair: &Pair) -> fourwave_core::counters::Counters {
    *pair.ends[CLIENT].engine.counters()
}

#[test]
fn at_the_bound_the_oldest_goes() {
    let mut pair = pair(&[("tcp_max_tw_buckets", "3")]);
    for _ in 0..5 {
        short(&mut pair);
    }
    assert_eq!(time_waits(&pair), 3);
    let counters = counters(&pair);
    assert_eq!((counters.time_wait_overflow, counters.tw_evicted), (2, 2));
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn all_of_them_can_be_dropped_at_once() {
    let mut pair = pair(&[]);
    for _ in 0..3 {
        short(&mut pair);
    }
    assert_eq!(pair.ends[CLIENT].engine.drop_time_waits(), 3);
    assert_eq!((time_waits(&pair), counters(&pair).tw_killed), (0, 3));
    pair.assert_empty();
}

#[test]
fn orphans_tell_their_states() {
    let mut pair = pair(&[]);
    let (client, _) = pair.open();
    assert_eq!(pair.ends[CLIENT].engine.orphan_states().count(), 0);
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(50));
    let states: Vec<State> = pair.ends[CLIENT].engine.orphan_states().collect();
    assert_eq!(states, [State::FinWait2]);
}

#[test]
fn at_the_bound_the_new_one_is_refused() {
    let mut pair = pair(&[("tcp_max_tw_buckets", "3"), ("tw_overflow", "refuse-new")]);
    for _ in 0..5 {
        short(&mut pair);
    }
    assert_eq!(time_waits(&pair), 3);
    assert_eq!((counters(&pair).time_wait_overflow, counters(&pair).tw_evicted), (2, 0));
    let reports = &pair.ends[CLIENT].reports;
    assert!(reports[2].1.time_wait_until.is_some() && reports[3].1.time_wait_until.is_none());
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn at_the_bound_the_remaining_times_are_halved() {
    let mut pair = pair(&[("tcp_max_tw_buckets", "3"), ("tw_overflow", "shorten")]);
    let start = pair.now;
    for _ in 0..3 {
        short(&mut pair);
    }
    pair.run_for(Duration::from_secs(20));
    short(&mut pair);
    // The bound holds all the same; what is left ends in half its time.
    assert_eq!(time_waits(&pair), 3);
    assert_eq!(counters(&pair).tw_evicted, 1);
    pair.run_for(Duration::from_secs(25));
    assert_eq!(time_waits(&pair), 1, "{:?}", pair.now.since(start));
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn none_at_all_when_the_bound_is_zero() {
    let mut pair = pair(&[("tcp_max_tw_buckets", "0")]);
    short(&mut pair);
    assert_eq!(time_waits(&pair), 0);
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn recycle_shortens_time_wait_to_some_timeouts() {
    let mut pair = pair(&[("tcp_tw_recycle", "1")]);
    short(&mut pair);
    assert_eq!(time_waits(&pair), 1);
    // 3.5 × (20 ms + 200 ms) is less than a second, the shortest lane.
    pair.run_for(Duration::from_millis(1100));
    assert_eq!(time_waits(&pair), 0);
    assert_eq!((counters(&pair).tw, counters(&pair).tw_killed), (0, 1));
}

#[test]
fn recycle_needs_timestamps() {
    let mut pair = pair(&[("tcp_tw_recycle", "1"), ("tcp_timestamps", "0")]);
    short(&mut pair);
    pair.run_for(Duration::from_secs(55));
    assert_eq!(time_waits(&pair), 1);
}

fn connect(pair: &mut Pair) -> Result<ConnId, ConnectError> {
    let (local, remote) = (pair.ends[CLIENT].address(0), pair.ends[SERVER].address(80));
    let now = pair.now;
    pair.ends[CLIENT].engine.connect(now, local, remote)
}

const ONE_PORT: [(&str, &str); 2] =
    [("ip_local_port_last", "40000"), ("ip_local_port_first", "40000")];

#[test]
fn rfc6191_reuse_takes_a_time_wait_over_after_its_delay() {
    let mut pair = pair(&[ONE_PORT[0], ONE_PORT[1], ("tcp_tw_reuse", "1")]);
    short(&mut pair);
    let exhausted = connect(&mut pair).unwrap_err();
    let remote = pair.ends[SERVER].address(80);
    assert_eq!(exhausted, ConnectError::PortsExhausted { remote, ports: 1, time_wait: 1 });
    pair.run_for(Duration::from_millis(1100));
    let (client, server) = pair.open();
    assert_eq!((counters(&pair).tw_recycled, time_waits(&pair)), (1, 0));
    pair.send(CLIENT, client, b"the second incarnation");
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.read(SERVER, server), b"the second incarnation");
}

#[test]
fn reuse_is_off_by_default_but_on_loopback() {
    let mut far = pair(&ONE_PORT);
    short(&mut far);
    far.run_for(Duration::from_secs(30));
    assert!(matches!(connect(&mut far), Err(ConnectError::PortsExhausted { .. })));
    let mut config = Config::default();
    for (name, value) in ONE_PORT {
        config.set(name, value).unwrap();
    }
    let ips = ["127.0.0.1", "127.0.0.2"];
    let mut near = Pair::with_addresses(config, Config::default(), Link::plain(1500), ips);
    short(&mut near);
    near.run_for(Duration::from_secs(2));
    assert!(connect(&mut near).is_ok());
}

#[test]
fn a_port_that_the_caller_insists_on_may_be_in_time_wait_where_there_are_timestamps() {
    for (timestamps, allowed) in [("1", true), ("0", false)] {
        let mut pair = pair(&[ONE_PORT[0], ONE_PORT[1], ("tcp_timestamps", timestamps)]);
        short(&mut pair);
        let (local, remote) = (pair.ends[CLIENT].address(40_000), pair.ends[SERVER].address(80));
        let now = pair.now;
        let again = pair.ends[CLIENT].engine.connect(now, local, remote);
        assert_eq!(again.is_ok(), allowed);
        assert_eq!(time_waits(&pair), usize::from(!allowed));
    }
}

#[test]
fn reuse_needs_timestamps() {
    let settings = [ONE_PORT[0], ONE_PORT[1], ("tcp_tw_reuse", "1"), ("tcp_timestamps", "0")];
    let mut pair = pair(&settings);
    short(&mut pair);
    pair.run_for(Duration::from_secs(30));
    assert!(connect(&mut pair).is_err());
    pair.run_for(Duration::from_secs(31));
    assert!(connect(&mut pair).is_ok(), "TIME_WAIT is over");
}

#[test]
fn the_peer_may_be_let_to_close_first() {
    let mut pair = pair(&[]);
    let (client, server) = pair.open();
    let now = pair.now;
    let option = SocketOption::PeerClosesFirst(Duration::from_secs(5));
    pair.ends[CLIENT].engine.set_option(now, client, option).unwrap();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_secs(1));
    pair.close(SERVER, server);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(time_waits(&pair), 0);
    assert_eq!(pair.ends[SERVER].engine.population().time_wait, 1);
    assert_eq!(pair.ends[CLIENT].reports[0].1.closed_first, Some(Side::Remote));
    pair.run_until_idle();
    pair.assert_empty();
}

#[test]
fn a_peer_that_does_not_close_first_is_not_waited_for_for_ever() {
    let mut pair = pair(&[]);
    let (client, server) = pair.open();
    let now = pair.now;
    let option = SocketOption::PeerClosesFirst(Duration::from_secs(5));
    pair.ends[CLIENT].engine.set_option(now, client, option).unwrap();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_secs(4));
    assert_eq!(pair.state(SERVER, server), fourwave_core::state::State::Established);
    pair.run_for(Duration::from_secs(2));
    pair.close(SERVER, server);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.ends[CLIENT].reports[0].1.closed_first, Some(Side::Local));
    assert_eq!(time_waits(&pair), 1);
}

#[test]
fn linger2_bounds_fin_wait_2_of_one_connection() {
    for (life, reason) in [(3, EndReason::FinWait2Timeout), (0, EndReason::FinWait2Timeout)] {
        let mut pair = pair(&[]);
        let (client, server) = pair.open();
        let now = pair.now;
        let option = SocketOption::Linger2(Duration::from_secs(life));
        pair.ends[CLIENT].engine.set_option(now, client, option).unwrap();
        pair.close(CLIENT, client);
        let closed = pair.now;
        pair.run_for(Duration::from_secs(10));
        let report = pair.ends[CLIENT].reports[0].1.clone();
        assert_eq!((report.reason, report.ended.since(closed).as_secs()), (reason, life));
        let peer = pair.ends[SERVER].reports.first().map(|(_, r)| r.reason);
        assert_eq!(peer, (life == 0).then_some(EndReason::ResetByPeer));
        pair.close(SERVER, server);
    }
}

#[test]
fn linger_zero_leaves_no_time_wait_and_resets_the_peer() {
    let mut pair = pair(&[]);
    let (client, server) = pair.open();
    let now = pair.now;
    pair.ends[CLIENT].engine.set_option(now, client, SocketOption::LingerZero(true)).unwrap();
    pair.close(CLIENT, client);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.ends[CLIENT].reports[0].1.reason, EndReason::Linger);
    assert_eq!(pair.ends[SERVER].reports[0].1.reason, EndReason::ResetByPeer);
    assert_eq!((time_waits(&pair), counters(&pair).abort_on_linger), (0, 1));
    pair.close(SERVER, server);
    pair.assert_empty();
}

#[test]
fn tcp_max_orphans_bounds_what_is_closed_and_unfinished() {
    let mut pair = pair(&[("tcp_max_orphans", "1")]);
    let (first, _) = pair.open();
    let (second, _) = pair.open();
    pair.filter = Box::new(|_, _| Way::Drop);
    pair.close(CLIENT, first);
    assert!(pair.ends[CLIENT].reports.is_empty());
    pair.close(CLIENT, second);
    assert_eq!(pair.ends[CLIENT].reports[0].1.reason, EndReason::TooManyOrphans);
    assert_eq!(counters(&pair).abort_on_memory, 1);
}

#[test]
fn an_old_close_wait_is_suspected_once_with_the_last_call() {
    let mut pair = pair(&[("tcp_close_wait_limit", "60")]);
    let (client, server) = pair.open();
    pair.send(CLIENT, client, b"the last thing it did");
    let sent_at = pair.now;
    pair.run_for(Duration::from_secs(5));
    pair.close(SERVER, server);
    // It had unread data: RST. Another one that reads.
    let (client, server) = {
        let _ = client;
        pair.open()
    };
    pair.send(CLIENT, client, b"hello");
    let last = pair.now;
    pair.run_for(Duration::from_secs(5));
    pair.read(SERVER, server);
    pair.close(SERVER, server);
    pair.run_for(Duration::from_secs(600));
    let suspected: Vec<_> = pair.ends[CLIENT]
        .events
        .iter()
        .filter(|event| matches!(event, Event::CloseWaitSuspected { .. }))
        .collect();
    assert_eq!(suspected.len(), 1);
    let Event::CloseWaitSuspected { conn, last_call, last_call_at, since } = suspected[0] else {
        unreachable!()
    };
    assert_eq!((*conn, *last_call), (client, fourwave_core::UserCall::Send));
    assert_eq!(*last_call_at, last);
    assert!(*since > last && last > sent_at);
}
