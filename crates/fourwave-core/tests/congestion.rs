//! A congestion control of the caller's own: what it is told, and that its word holds.

mod pair;

use std::sync::{Arc, Mutex};

use fourwave_core::Config;
use fourwave_core::congestion::{
    Algorithm, CongestionEvent, CongestionKind, Controller, RateSample, RtoEvent, SendSample,
};
use fourwave_core::time::Duration;
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way, text};

/// What an algorithm was told.
#[derive(Debug, Default)]
struct Told {
    start: Option<u32>,
    most_in_flight: u32,
    acked: u64,
    last: Option<RateSample>,
    /// Bytes a second, of the last sample.
    rate: u64,
    losses: u32,
    recovered: u32,
    timeouts: Vec<bool>,
}

/// A window that never changes.
#[derive(Clone, Debug)]
struct Fixed {
    cwnd: u32,
    /// Bytes a second.
    pace: Option<u64>,
    told: Arc<Mutex<Told>>,
}

impl Fixed {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }
}

impl Controller for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }
    fn start(&mut self, cwnd: u32) {
        self.told().start = Some(cwnd);
    }
    fn on_sent(&mut self, sample: &SendSample) {
        let mut told = self.told();
        told.most_in_flight = told.most_in_flight.max(sample.in_flight);
    }
    fn on_ack(&mut self, sample: &RateSample) {
        self.told().acked += u64::from(sample.acked);
        self.told().last = Some(*sample);
        let rate = sample.delivery_rate;
        rate.into_iter().for_each(|rate| self.told().rate = rate);
    }
    fn on_congestion(&mut self, event: &CongestionEvent) {
        match event.kind {
            CongestionKind::Loss => self.told().losses += 1,
            CongestionKind::Recovered => self.told().recovered += 1,
            _ => {}
        }
    }
    fn on_rto(&mut self, event: &RtoEvent) {
        self.told().timeouts.push(event.is_repeated);
    }
    fn undo(&mut self, _: u32, _: u32) {}

    fn on_idle(&mut self, _initial_cwnd: u32) {}
    fn cwnd(&self) -> u32 {
        self.cwnd
    }
    fn ssthresh(&self) -> u32 {
        u32::MAX
    }
    fn pacing_rate(&self) -> Option<u64> {
        self.pace
    }
    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// A client that runs `Fixed`, and sends 200 000 bytes while `filter` says what is lost.
fn transfer(cwnd: u32, filter: impl FnMut(usize, &[u8]) -> Way + 'static) -> (Pair, Fixed) {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let fixed = Fixed { cwnd, pace: None, told: Arc::default() };
    let algorithm = Algorithm::custom(fixed.clone());
    pair.ends[CLIENT].engine.set_congestion_control(client, algorithm).unwrap();
    pair.filter = Box::new(filter);
    let data = text(200_000);
    let mut got = Vec::new();
    pair.send(CLIENT, client, &data);
    for _ in 0..10_000 {
        pair.run_for(Duration::from_millis(20));
        got.extend(pair.read(SERVER, server));
        if got.len() == data.len() {
            break;
        }
    }
    assert!(got == data);
    pair.run_for(Duration::from_secs(1));
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    assert_eq!((info.congestion, info.snd_cwnd), ("fixed", u64::from(cwnd)));
    (pair, fixed)
}

#[test]
fn its_window_bounds_what_is_in_flight() {
    let (_, fixed) = transfer(5000, |_, _| Way::Pass);
    let told = fixed.told();
    // The window that the connection had before: ten segments.
    assert_eq!(told.start, Some(14_480));
    assert!((3 * 1448..=5000).contains(&told.most_in_flight), "{}", told.most_in_flight);
    assert_eq!(told.acked, 200_000);
    let last = told.last.unwrap();
    assert_eq!((last.mss, last.in_flight, last.is_in_recovery), (1448, 0, false));
    assert_eq!(last.min_rtt, Duration::from_millis(20));
    // Three segments each 20 ms.
    let wanted = 3 * 1448 * 50;
    assert!(told.rate.abs_diff(wanted) < wanted / 10, "{}", told.rate);
    assert_eq!((told.losses, told.recovered, told.timeouts.len()), (0, 0, 0));
}

#[test]
fn it_hears_of_losses_and_timeouts() {
    let mut packets = 0;
    let (_, fixed) = transfer(20_000, move |from, packet| {
        packets += u32::from(from == CLIENT && packet.len() > 1000);
        // One segment once, and later one with everything behind it, twice. Not its ACKs: what
        // arrived before them would show that the timeout was spurious.
        let is_data = packet.len() > 1000;
        if is_data && (packets == 20 || (60..88).contains(&packets)) {
            return Way::Drop;
        }
        Way::Pass
    });
    let told = fixed.told();
    assert_eq!((told.losses, told.recovered), (1, 1));
    assert!(told.timeouts.len() > 1, "{:?}", told.timeouts);
    assert!(!told.timeouts[0] && told.timeouts[1], "{:?}", told.timeouts);
}

/// A window of nothing would stand still for ever.
#[test]
fn less_than_a_segment_counts_as_one() {
    let (_, fixed) = transfer(0, |_, _| Way::Pass);
    assert_eq!(fixed.told().most_in_flight, 1448);
}

/// A client that paces at 1 MB/s with a window of 100 000 bytes has sent `data`: when each of its
/// packets with data left it, in milliseconds, and how many bytes of data each had.
fn paced(
    link: Link,
    data: usize,
    mut filter: impl FnMut(usize) -> Way + 'static,
) -> (Pair, Vec<(u64, usize)>) {
    let mut pair = Pair::with(Config::default(), Config::default(), link);
    let (client, server) = pair.open();
    let fixed = Fixed { cwnd: 100_000, pace: Some(1_000_000), told: Arc::default() };
    let algorithm = Algorithm::custom(fixed);
    pair.ends[CLIENT].engine.set_congestion_control(client, algorithm).unwrap();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (seen, mut count) = (sizes.clone(), 0);
    pair.filter = Box::new(move |end, packet| {
        if end != CLIENT || packet.len() <= 60 {
            return Way::Pass;
        }
        seen.lock().unwrap().push(packet.len() - 52);
        count += 1;
        filter(count)
    });
    let begin = pair.now;
    pair.send(CLIENT, client, &text(data));
    let (mut left, mut got) = (Vec::new(), 0);
    while got < data {
        pair.run_for(Duration::from_micros(100));
        got += pair.read(SERVER, server).len();
        let at = pair.now.since(begin).as_micros() as u64 / 1000;
        left.extend(sizes.lock().unwrap().drain(..).map(|bytes| (at, bytes)));
        assert!(at < 10_000, "{got} bytes");
    }
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    assert_eq!(info.pacing_rate, Some(1_000_000));
    (pair, left)
}

#[test]
fn what_is_paced_leaves_at_the_rate_in_bursts_of_a_millisecond() {
    for link in [Link::plain(1500), Link::offloading(1500)] {
        let (_, left) = paced(link, 200_000, |_| Way::Pass);
        assert!(left.iter().all(|(_, bytes)| *bytes <= 2 * 1448), "{left:?}");
        for from in 0..left.len() {
            // Of any 20 ms: what they carry, a burst and its credit.
            let until = left[from].0 + 20;
            let sent: usize =
                left[from..].iter().take_while(|(at, _)| *at < until).map(|(_, n)| n).sum();
            assert!(sent <= 20_000 + 3 * 1448, "{sent} from {:?}", left[from]);
        }
        let (last, _) = left.last().unwrap();
        assert!((195..=205).contains(last), "{last} ms for 200 kB at 1 MB/s");
    }
}

#[test]
fn what_is_paced_is_so_in_recovery_too_and_no_timer_counts_as_a_timeout() {
    let (pair, left) = paced(Link::plain(1500), 200_000, |n| match n {
        40..60 => Way::Drop,
        _ => Way::Pass,
    });
    for from in 0..left.len() {
        let until = left[from].0 + 20;
        let sent: usize =
            left[from..].iter().take_while(|(at, _)| *at < until).map(|(_, n)| n).sum();
        assert!(sent <= 20_000 + 3 * 1448, "{sent} from {:?}", left[from]);
    }
    assert_eq!(pair.ends[CLIENT].engine.counters().timeouts, 0);
}
