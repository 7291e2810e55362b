//! Recovery where the peer acknowledges selectively: RACK-TLP (RFC 8985), PRR (RFC 9937), F-RTO
//! (RFC 5682), and the FIN in all of that.

mod pair;

use fourwave_core::congestion::Algorithm;
use fourwave_core::counters::Counters;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{CaState, Config, ConnId, EndReason, SocketOption, TcpInfo};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way, text};

const RTT: Duration = Duration::from_millis(20);
const MSS: usize = 1448;

/// An open connection on a path of 20 ms there and back, whose round trip is known.
fn open() -> (Pair, ConnId, ConnId) {
    open_with(Config::default())
}

fn open_with(config: Config) -> (Pair, ConnId, ConnId) {
    let mut pair = Pair::with(config, Config::default(), Link::plain(1500));
    pair.delay = RTT / 2;
    let (client, server) = pair.open();
    pair.send(CLIENT, client, b"a first round trip");
    pair.run_for(RTT * 4);
    assert!(!pair.read(SERVER, server).is_empty());
    (pair, client, server)
}

/// Loses the data segments of the client with these numbers, counted from now on.
fn lose(pair: &mut Pair, lost: &'static [u32]) {
    let mut count = 0;
    pair.filter = Box::new(move |from, packet| {
        let has_data = from == CLIENT && packet.len() > 60;
        count += u32::from(has_data);
        if has_data && lost.contains(&count) { Way::Drop } else { Way::Pass }
    });
}

fn info(pair: &Pair, conn: ConnId) -> TcpInfo {
    pair.ends[CLIENT].engine.info(conn).unwrap()
}

fn counters(pair: &Pair) -> Counters {
    *pair.ends[CLIENT].engine.counters()
}

#[test]
fn rfc8985_holes_of_one_window_are_repaired_in_one_round_trip() {
    let (mut pair, client, server) =
        open_with(Config { tcp_congestion_control: 0, ..Config::default() });
    lose(&mut pair, &[2, 4, 6]);
    let data = text(10 * MSS);
    pair.send(CLIENT, client, &data);
    pair.run_for(RTT + RTT / 2);
    assert_eq!(info(&pair, client).ca_state, CaState::Recovery);
    pair.run_for(RTT * 2);
    assert!(pair.read(SERVER, server) == data);
    let (info, counters) = (info(&pair, client), counters(&pair));
    assert_eq!((info.total_retrans, info.ca_state, info.unacked), (3, CaState::Open, 0));
    assert_eq!((counters.fast_retrans, counters.timeouts), (1, 0));
    // RFC 6675 §5: half of what was not acknowledged in order. RFC 9937: that is the window then.
    let window = 9 * MSS as u64 / 2;
    assert_eq!((info.snd_cwnd, info.snd_ssthresh), (window, window));
}

#[test]
fn rfc8985_7_a_probe_finds_a_lost_tail_long_before_the_timeout() {
    let (mut pair, client, server) = open();
    // Two full segments: the ACK of less may be delayed, and the probe as long.
    lose(&mut pair, &[3, 4]);
    let data = text(4 * MSS);
    pair.send(CLIENT, client, &data);
    // Two round trips, the probe's own, and that of what its answer tells.
    pair.run_for(RTT * 6);
    assert!(pair.read(SERVER, server) == data);
    let counters = counters(&pair);
    assert_eq!((counters.loss_probes, counters.timeouts), (1, 0));
    pair.run_for(RTT);
    // §7.4: a loss that only the probe repaired is one of congestion all the same.
    let info = info(&pair, client);
    assert!(info.snd_ssthresh < u64::MAX && info.ca_state == CaState::Open, "{info:?}");
}

#[test]
fn rfc8985_7_new_data_is_the_better_probe() {
    let (mut pair, client, server) = open();
    lose(&mut pair, &[10]);
    let data = text(11 * MSS);
    // One more than the window lets out, and the last of the window is lost with its ACK.
    pair.send(CLIENT, client, &data);
    pair.run_for(RTT * 8);
    assert!(pair.read(SERVER, server) == data);
    assert_eq!(counters(&pair).timeouts, 0);
}

/// What Nagle holds back is no probe: the tail goes out again in its place.
#[test]
fn rfc8985_7_new_data_that_may_not_go_out_does_not_hold_up_the_probe() {
    let (mut pair, client, server) = open();
    lose(&mut pair, &[1, 2, 3]);
    let data = text(2 * MSS + 200);
    pair.send(CLIENT, client, &data[..2 * MSS + 100]);
    pair.send(CLIENT, client, &data[2 * MSS + 100..]);
    assert_eq!(info(&pair, client).notsent_bytes, 100);
    pair.run_for(RTT * 8);
    assert!(pair.read(SERVER, server) == data);
    let counters = counters(&pair);
    assert_eq!((counters.loss_probes, counters.timeouts), (1, 0));
}

#[test]
fn a_lost_fin_is_the_probe() {
    let (mut pair, client, server) = open();
    // The FIN, and two full segments before it.
    let (mut data_seen, mut fins) = (0, 0);
    pair.filter = Box::new(move |from, packet| {
        let is_fin = from == CLIENT && packet[33] & 1 != 0;
        fins += u32::from(is_fin);
        let has_data = from == CLIENT && packet.len() > 60;
        data_seen += u32::from(has_data);
        let lost = is_fin && fins == 1 || has_data && [3, 4].contains(&data_seen);
        if lost { Way::Drop } else { Way::Pass }
    });
    let data = text(4 * MSS);
    pair.send(CLIENT, client, &data);
    pair.shutdown(CLIENT, client);
    pair.run_for(RTT * 6);
    assert!(pair.read(SERVER, server) == data);
    let counters = counters(&pair);
    assert_eq!((counters.loss_probes, counters.timeouts), (1, 0));
    pair.close(SERVER, server);
    pair.close(CLIENT, client);
    pair.run_until_idle();
    assert!(
        pair.ends[CLIENT].reports.iter().all(|(_, report)| report.reason == EndReason::Orderly)
    );
    pair.assert_empty();
}

/// After a timeout the window is one segment: the FIN rides on what is sent again with it.
#[test]
fn a_fin_goes_out_again_with_the_data_before_it() {
    let (mut pair, client, server) =
        open_with(Config { tcp_early_retrans: 0, ..Config::default() });
    let mut packets = 0;
    pair.filter = Box::new(move |from, _| {
        packets += u32::from(from == CLIENT);
        if from == CLIENT && packets <= 2 { Way::Drop } else { Way::Pass }
    });
    let data = text(1000);
    pair.send(CLIENT, client, &data);
    pair.shutdown(CLIENT, client);
    pair.run_for(Duration::from_millis(250));
    assert!(pair.read(SERVER, server) == data);
    assert_eq!(pair.state(SERVER, server), State::CloseWait);
    assert_eq!((counters(&pair).timeouts, info(&pair, client).total_retrans), (1, 1));
}

#[test]
fn rfc8985_6_2_what_overtakes_by_little_is_no_loss() {
    let (mut pair, client, server) = open();
    // The first segment takes 3 ms longer than those behind it.
    pair.delay = RTT / 2 + Duration::from_millis(3);
    pair.send(CLIENT, client, &text(MSS));
    pair.delay = RTT / 2;
    pair.send(CLIENT, client, &text(MSS));
    pair.run_for(RTT * 4);
    assert_eq!(pair.read(SERVER, server).len(), 2 * MSS);
    let info = info(&pair, client);
    assert_eq!((info.total_retrans, info.snd_ssthresh), (0, u64::MAX));
}

#[test]
fn rfc5682_a_timeout_that_was_only_a_delay_is_undone() {
    let (mut pair, client, server) =
        open_with(Config { tcp_early_retrans: 0, ..Config::default() });
    let before = info(&pair, client).snd_cwnd;
    let now = pair.now;
    let nodelay = SocketOption::NoDelay(true);
    pair.ends[CLIENT].engine.set_option(now, client, nodelay).unwrap();
    // The path is held up for a little longer than the timeout of 220 ms.
    pair.delay = Duration::from_millis(225);
    let data = text(2400);
    pair.send(CLIENT, client, &data[..1200]);
    pair.send(CLIENT, client, &data[1200..]);
    pair.delay = RTT / 2;
    pair.run_for(Duration::from_secs(2));
    assert!(pair.read(SERVER, server) == data);
    let (info, counters) = (info(&pair, client), counters(&pair));
    assert_eq!((counters.timeouts, counters.spurious_rtos), (1, 1));
    assert!(info.snd_cwnd >= before && info.snd_ssthresh == u64::MAX, "{info:?}");
    // The first segment, and not the whole window again.
    assert_eq!(info.total_retrans, 1);
}

/// RFC 8985 §7.2: where the timeout would come first, the probe takes its place, and the window
/// is halved only.
#[test]
fn a_single_segment_is_probed_in_the_timeouts_place() {
    for (tcp_early_retrans, timeouts) in [(3, 0), (0, 1)] {
        let (mut pair, client, server) =
            open_with(Config { tcp_early_retrans, ..Config::default() });
        lose(&mut pair, &[1]);
        let (start, data) = (pair.now, text(1000));
        pair.send(CLIENT, client, &data);
        pair.run_for(Duration::from_millis(260));
        assert!(pair.read(SERVER, server) == data, "after {:?}", pair.now.since(start));
        let counters = counters(&pair);
        assert_eq!((counters.timeouts, counters.loss_probes), (timeouts, 1 - timeouts));
        // Half of it, for a loss, and not one segment.
        assert_eq!(info(&pair, client).snd_cwnd < 5 * MSS as u64, timeouts == 1);
    }
}

#[test]
fn rfc3042_what_is_only_named_lets_no_window_grow() {
    let (mut pair, client, server) = open();
    let before = info(&pair, client).snd_cwnd;
    // The first takes 3 ms longer than the two behind it: less than a reordering window.
    pair.delay = RTT / 2 + Duration::from_millis(3);
    let data = text(3 * MSS);
    pair.send(CLIENT, client, &data[..MSS]);
    pair.delay = RTT / 2;
    pair.send(CLIENT, client, &data[MSS..]);
    pair.run_for(RTT + Duration::from_millis(1));
    let named = info(&pair, client);
    assert_eq!((named.ca_state, named.sacked), (CaState::Disorder, 2 * MSS as u32));
    assert_eq!(named.snd_cwnd, before);
    pair.run_for(RTT * 4);
    assert_eq!(pair.read(SERVER, server).len(), 3 * MSS);
    let after = info(&pair, client);
    assert_eq!((after.reord_seen, after.sacked, after.total_retrans), (1, 0, 0));
}

/// A flight whose first segment takes half a round trip longer than the rest, so that it goes out
/// again for nothing, and as much as the window holds behind it.
fn overtaken(timestamps: u64) -> (TcpInfo, Counters) {
    let config = Config { tcp_timestamps: timestamps, ..Config::default() };
    let mut pair = Pair::with(config.clone(), config, Link::plain(1500));
    pair.delay = RTT / 2;
    let (client, server) = pair.open();
    let segments = 30;
    let data = text(segments * MSS);
    pair.delay = RTT;
    pair.send(CLIENT, client, &data[..MSS]);
    pair.delay = RTT / 2;
    pair.send(CLIENT, client, &data[MSS..]);
    pair.run_for(RTT * 10);
    assert!(pair.read(SERVER, server) == data);
    (info(&pair, client), counters(&pair))
}

#[test]
fn rfc4015_a_fast_retransmission_of_what_was_only_late_is_undone() {
    // By the timestamp that the first ACK behind the hole echoes, or by the duplicate.
    for (timestamps, undos) in [(1, (1, 0)), (0, (0, 1))] {
        let (info, counters) = overtaken(timestamps);
        assert_eq!((counters.fast_retrans, info.total_retrans, counters.timeouts), (1, 1, 0));
        assert_eq!((counters.full_undos, counters.dsack_undos), undos);
        assert!(info.snd_cwnd >= 10 * MSS as u64, "{}", info.snd_cwnd);
        assert_eq!(info.snd_ssthresh, u64::MAX);
    }
}

#[test]
fn a_peer_without_sack_is_served_by_counting_duplicates() {
    let config = Config { tcp_sack: 0, ..Config::default() };
    let mut pair = Pair::with(Config::default(), config, Link::plain(1500));
    pair.delay = RTT / 2;
    let (client, server) = pair.open();
    lose(&mut pair, &[2]);
    let data = text(10 * MSS);
    pair.send(CLIENT, client, &data);
    pair.run_for(RTT * 4);
    assert!(pair.read(SERVER, server) == data);
    let counters = counters(&pair);
    assert_eq!((counters.fast_retrans, counters.timeouts, counters.loss_probes), (1, 0, 0));
}

/// RFC 9438 §4.6 in a connection: 7/10 are left where Reno leaves half.
#[test]
fn cubic_by_name_and_by_knob() {
    assert!(Algorithm::by_name("vegas").is_none());
    let config = Config { tcp_congestion_control: 1, ..Config::default() };
    let mut pair = Pair::with(config, Config::default(), Link::plain(1500));
    pair.delay = RTT / 2;
    let (client, server) = pair.open();
    assert_eq!(info(&pair, client).congestion, "cubic");
    lose(&mut pair, &[2]);
    let data = text(10 * MSS);
    pair.send(CLIENT, client, &data);
    pair.run_for(RTT * 4);
    assert!(pair.read(SERVER, server) == data);
    assert_eq!(info(&pair, client).snd_ssthresh, 7 * MSS as u64);
    let reno = Algorithm::by_name("reno").unwrap();
    pair.ends[CLIENT].engine.set_congestion_control(client, reno).unwrap();
    assert_eq!(info(&pair, client).congestion, "reno");
}
