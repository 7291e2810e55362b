//! BBR over a link with a rate: the link is in use, its queue is short, chance losses do not slow
//! it down, and two flows share.

mod pair;

use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId};
use fourwave_net::{Bottleneck, Carry};
use fourwave_wire::Link;
use pair::{CLIENT, Flows, Pair, SERVER, Way, jain, text};

/// Bytes a second: 10 Mbit/s.
const RATE: u64 = 1_250_000;
/// What a link of that rate and 40 ms of round trip holds.
const BDP: u64 = RATE * 40 / 1000;

/// What became of a while of sending as much as goes.
struct Run {
    pair: Pair,
    conns: Vec<(ConnId, ConnId)>,
    /// Bytes that arrived of each.
    got: Vec<u64>,
    /// The longest queue of each 5 ms, in bytes.
    queues: Vec<u64>,
}

/// `flows` connections with `algorithm` send what goes for `seconds`, each a second after the one
/// before it; 1 of `lost` packets is lost by chance.
fn run(link: Link, algorithm: u64, flows: usize, seconds: u64, lost: Option<u64>) -> Run {
    let config = Config { tcp_congestion_control: algorithm, ..Config::default() };
    let mut pair = Pair::with(config, Config::default(), link);
    pair.delay = Duration::from_millis(20);
    pair.bottleneck = Some(Bottleneck { rate: RATE, queue: 8 * BDP });
    pair.carry = Carry::Cut;
    let mut state = 7_u64;
    pair.filter = Box::new(move |end, _| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match lost {
            Some(of) if end == CLIENT && (state >> 33).is_multiple_of(of) => Way::Drop,
            _ => Way::Pass,
        }
    });
    let (gap, time) = (Duration::from_secs(1), Duration::from_secs(seconds));
    let mut queues = Vec::new();
    let step = Duration::from_millis(5);
    let Flows { conns, got } = Flows::run(&mut pair, (flows, gap), time, step, |pair, _| {
        let held = pair.ends[CLIENT].busy.since(pair.now);
        queues.push(held.as_micros() as u64 * RATE / 1_000_000);
    });
    Run { pair, conns, got, queues }
}

/// The share of the link's rate that arrived as data in so many seconds.
fn share(run: &Run, seconds: u64) -> f64 {
    run.got.iter().sum::<u64>() as f64 / (RATE * seconds) as f64
}

#[test]
fn the_link_is_in_use_and_its_queue_below_what_the_path_holds() {
    for link in [Link::plain(1500), Link::offloading(1500)] {
        let mut run = run(link, 2, 1, 20, None);
        // 1448 of 1500 bytes are data.
        let share = share(&run, 20);
        assert!(share > 0.90, "{share} over {link:?}");
        // Startup and its drain apart.
        run.queues.drain(..200);
        run.queues.sort_unstable();
        let (median, most) = (run.queues[run.queues.len() / 2], run.queues.last().copied());
        assert!(median < BDP / 2, "{median} of {BDP} over {link:?}");
        assert!(most.unwrap() < BDP * 3 / 2, "{most:?} of {BDP} over {link:?}");
        let info = run.pair.ends[CLIENT].engine.info(run.conns[0].0).unwrap();
        assert_eq!((info.congestion, info.total_retrans), ("bbr", 0));
        assert!(info.pacing_rate.is_some_and(|rate| rate.abs_diff(RATE) < RATE / 2));
    }
}

#[test]
fn losses_by_chance_do_not_slow_it_down() {
    let bbr = share(&run(Link::plain(1500), 2, 1, 20, Some(100)), 20);
    let cubic = share(&run(Link::plain(1500), 1, 1, 20, Some(100)), 20);
    // About 0.8, and twice of what CUBIC gets.
    assert!(bbr > 0.75, "{bbr}, CUBIC {cubic}");
    assert!(cubic < 0.50, "{cubic}: this link is too good for the test");
}

#[test]
fn two_flows_share() {
    let run = run(Link::plain(1500), 2, 2, 60, None);
    let index = jain(&run.got);
    assert!(index >= 0.9, "{index}: {:?}", run.got);
    assert!(share(&run, 60) > 0.90);
}

#[test]
fn an_idle_flow_goes_on_at_its_pace() {
    let mut run = run(Link::plain(1500), 2, 1, 5, None);
    let (client, server) = run.conns[0];
    run.pair.run_for(Duration::from_secs(60));
    run.pair.read(SERVER, server);
    let now = run.pair.now;
    let mut data = bytes::Bytes::from(text(500_000));
    run.pair.ends[CLIENT].engine.send(now, client, &mut data).unwrap();
    let mut most = 0;
    let mut got = 0;
    while got < 500_000 - data.len() {
        run.pair.run_for(Duration::from_millis(1));
        got += run.pair.read(SERVER, server).len();
        let held = run.pair.ends[CLIENT].busy.since(run.pair.now);
        most = most.max(held.as_micros() as u64 * RATE / 1_000_000);
        assert!(run.pair.now.since(now) < Duration::from_secs(2), "{got} bytes");
    }
    let took = run.pair.now.since(now).as_secs_f64();
    let least = got as f64 / RATE as f64;
    assert!(took < 1.3 * least + 0.1, "{took} s, {least} at least");
    assert!(most < BDP, "{most} bytes queued after a pause");
}
