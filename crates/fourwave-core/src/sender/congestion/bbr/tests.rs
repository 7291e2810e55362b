//! Each transition of the states, on a path that the test plays.

use super::states::{AckPhase, State};
use super::*;
use crate::sender::congestion::{Delivery, ack_of};

const MSS: u32 = 1000;
/// Bytes a second.
const RATE: u64 = 1_000_000;
const RTT: Duration = Duration::from_millis(50);
/// What the path holds.
const BDP: u32 = 50_000;

fn after(time: Duration) -> Instant {
    Instant::from_micros(1_000_000) + time
}

/// An ACK of ten segments that path and flow agree on.
fn ack(now: Instant) -> RateSample {
    RateSample {
        now,
        rtt: Some(RTT),
        srtt: RTT,
        min_rtt: RTT,
        delivery_rate: Some(RATE),
        delivery: Some(Delivery {
            delivered: BDP,
            interval: RTT,
            in_flight: BDP,
            lost: 0,
            is_app_limited: false,
        }),
        in_flight: BDP - MSS,
        is_cwnd_limited: false,
        ..ack_of(10 * MSS)
    }
}

/// A flow and the time; five ACKs, 10 ms apart, make a round.
struct Flow {
    bbr: Bbr,
    now: Instant,
}

impl Flow {
    fn new() -> Self {
        let mut bbr = Bbr::default();
        bbr.start(10 * MSS);
        let now = after(Duration::ZERO);
        bbr.on_sent(&SendSample {
            now,
            in_flight: MSS,
            is_cwnd_limited: false,
            was_idle: true,
            srtt: RTT,
        });
        Self { bbr, now }
    }

    fn ack_with(&mut self, change: impl FnOnce(&mut RateSample)) {
        self.now = self.now + Duration::from_millis(10);
        let mut sample = ack(self.now);
        // Shorter by a microsecond each second: no reason to look for the shortest.
        let seconds = self.now.since(after(Duration::ZERO)).as_secs();
        sample.rtt = Some(RTT - Duration::from_micros(seconds));
        change(&mut sample);
        self.bbr.on_ack(&sample);
    }

    /// ACKs as they come on the path until `is_done`; false after ten seconds.
    fn until(&mut self, is_done: impl Fn(&Bbr) -> bool) -> bool {
        for _ in 0..1000 {
            if is_done(&self.bbr) {
                return true;
            }
            self.ack_with(|_| {});
        }
        false
    }

    /// In a state, with the pipe known to be full.
    fn in_state(state: State) -> Self {
        let mut flow = Self::new();
        assert!(flow.until(|bbr| bbr.state == state), "never in {state:?}");
        flow
    }

    fn lose(&mut self, lost: u32) {
        let since = Delivery { in_flight: BDP, lost, is_app_limited: false, ..Delivery::default() };
        let sample = LossSample { now: self.now, lost, holes: 1, since, mss: MSS };
        self.bbr.on_lost(&sample);
    }

    fn congestion(&mut self, kind: CongestionKind) {
        let event = CongestionEvent::new(self.now, kind, BDP, MSS);
        self.bbr.on_congestion(&event);
    }
}

#[test]
fn before_the_first_sample_the_initial_window_is_paced_over_a_round_trip() {
    let flow = Flow::new();
    // 2.77 times 10 000 bytes in 50 ms.
    assert_eq!(flow.bbr.pacing_rate(), Some(554_000));
    assert_eq!((flow.bbr.state, flow.bbr.cwnd()), (State::Startup, 10 * MSS));
}

#[test]
fn startup_goes_on_while_the_rate_grows_and_ends_three_rounds_after() {
    let mut flow = Flow::new();
    for round in 1..8_u64 {
        let rate = RATE << round;
        for _ in 0..6 {
            flow.ack_with(|sample| sample.delivery_rate = Some(rate));
        }
        assert_eq!(flow.bbr.state, State::Startup, "round {round}");
    }
    let rounds = flow.bbr.round_count;
    let rate = Some(RATE << 7);
    while flow.bbr.state == State::Startup {
        flow.ack_with(|sample| (sample.delivery_rate, sample.in_flight) = (rate, u32::MAX / 2));
    }
    let took = flow.bbr.round_count - rounds;
    assert!((2..=3).contains(&took), "{took} rounds");
    assert_eq!(flow.bbr.state, State::Drain);
}

#[test]
fn startup_does_not_end_where_the_application_has_nothing_to_send() {
    let mut flow = Flow::new();
    for _ in 0..200 {
        flow.ack_with(|sample| {
            sample.delivery = sample.delivery.map(|d| Delivery { is_app_limited: true, ..d });
        });
    }
    assert!(!flow.bbr.full_bw_reached);
}

#[test]
fn startup_ends_by_losses_that_are_many_and_last_a_round() {
    let mut flow = Flow::new();
    flow.ack_with(|_| {});
    flow.congestion(CongestionKind::Loss);
    for _ in 0..6 {
        flow.lose(5 * MSS);
    }
    for _ in 0..8 {
        flow.ack_with(|sample| {
            sample.is_in_recovery = true;
            sample.delivery_rate = None;
            sample.in_flight = u32::MAX / 2;
            sample.delivery = sample.delivery.map(|d| Delivery { lost: 5 * MSS, ..d });
        });
    }
    assert_eq!(flow.bbr.state, State::Drain);
    assert!(flow.bbr.inflight_longterm < INFINITE);
    // They were none: back to Startup.
    flow.bbr.undo(0, 0);
    assert_eq!((flow.bbr.state, flow.bbr.full_bw_reached), (State::Startup, false));
    assert_eq!(flow.bbr.inflight_longterm, INFINITE);
}

#[test]
fn drain_ends_when_no_more_is_in_flight_than_the_path_holds() {
    let mut flow = Flow::new();
    while flow.bbr.state == State::Startup {
        flow.ack_with(|sample| sample.in_flight = 3 * BDP);
    }
    let paced = flow.bbr.pacing_rate().unwrap();
    assert_eq!(paced, RATE * 50 / 100 * 99 / 100);
    flow.ack_with(|sample| sample.in_flight = 2 * BDP);
    assert_eq!(flow.bbr.state, State::Drain);
    flow.ack_with(|_| {});
    assert!(flow.bbr.state.is_probe_bw());
}

#[test]
fn drain_ends_after_three_rounds_whatever_is_in_flight() {
    let mut flow = Flow::new();
    for _ in 0..100 {
        flow.ack_with(|sample| sample.in_flight = 3 * BDP);
    }
    assert!(flow.bbr.state.is_probe_bw());
}

#[test]
fn the_cycle_goes_down_cruises_refills_and_probes_up() {
    let mut flow = Flow::in_state(State::ProbeBwDown);
    assert_eq!(flow.bbr.pacing_rate(), Some(RATE * 90 / 100 * 99 / 100));
    for (state, gain) in [
        (State::ProbeBwCruise, 100),
        (State::ProbeBwRefill, 100),
        (State::ProbeBwUp, 125),
        (State::ProbeBwDown, 90),
    ] {
        assert!(flow.until(|bbr| bbr.state == state), "never in {state:?}");
        assert_eq!(flow.bbr.pacing_rate(), Some(RATE * gain / 100 * 99 / 100));
    }
}

#[test]
fn a_small_path_is_probed_as_often_as_reno_would() {
    let mut flow = Flow::in_state(State::ProbeBwCruise);
    let (began, rounds) = (flow.now, flow.bbr.round_count);
    assert!(flow.until(|bbr| bbr.state == State::ProbeBwRefill));
    let rounds = flow.bbr.round_count - rounds;
    // 50 segments fill it; it is two or three seconds at most.
    assert!(rounds <= 51, "{rounds} rounds");
    assert!(flow.now.since(began) <= Duration::from_secs(3));
}

#[test]
fn losses_while_probing_bound_what_is_in_flight_and_the_next_probe_is_careful() {
    let mut flow = Flow::in_state(State::ProbeBwUp);
    flow.congestion(CongestionKind::Loss);
    flow.lose(MSS);
    assert_eq!(flow.bbr.state, State::ProbeBwUp, "2 % are chance");
    flow.lose(2 * MSS);
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    let bound = flow.bbr.inflight_longterm;
    assert!((35 * MSS..=BDP).contains(&bound), "{bound}");
    flow.ack_with(|sample| {
        sample.delivery = sample.delivery.map(|d| Delivery { lost: 2 * MSS, ..d });
    });
    assert!(flow.bbr.cwnd() <= bound);
    assert!(flow.until(|bbr| bbr.state == State::ProbeBwUp));
    flow.ack_with(|sample| sample.in_flight = 2 * BDP);
    assert_eq!(flow.bbr.state, State::ProbeBwDown, "it was there before");
    assert!(flow.bbr.prev_probe_precautionary);
    // No loss for a round: it probes again at once.
    assert!(flow.until(|bbr| bbr.ack_phase != AckPhase::ProbeStopping));
    assert_eq!(flow.bbr.state, State::ProbeBwRefill);
}

#[test]
fn a_probe_whose_losses_were_none_begins_again() {
    let mut flow = Flow::in_state(State::ProbeBwUp);
    flow.congestion(CongestionKind::Loss);
    flow.lose(10 * MSS);
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    flow.bbr.undo(0, 0);
    assert_eq!(flow.bbr.state, State::ProbeBwRefill);
    assert_eq!(flow.bbr.inflight_longterm, INFINITE);
}

#[test]
fn the_long_term_bound_rises_faster_and_faster_while_it_holds_the_flow() {
    let mut flow = Flow::in_state(State::ProbeBwUp);
    flow.bbr.inflight_longterm = BDP;
    let mut grown = alloc::vec::Vec::new();
    for _ in 0..2 {
        let before = flow.bbr.inflight_longterm;
        for _ in 0..10 {
            flow.bbr.is_cwnd_limited = [true; 2];
            flow.bbr.reset_full_bw();
            flow.ack_with(|_| {});
            flow.bbr.cwnd = flow.bbr.cwnd.max(flow.bbr.inflight_longterm);
        }
        grown.push(flow.bbr.inflight_longterm - before);
    }
    assert!(grown[0] > 0 && grown[1] > 2 * grown[0], "{grown:?}");
}

#[test]
fn losses_or_marks_while_cruising_lower_the_short_term_model_until_the_next_probe() {
    for kind in [CongestionKind::Loss, CongestionKind::Marked] {
        let mut flow = Flow::in_state(State::ProbeBwCruise);
        for _ in 0..12 {
            flow.congestion(kind);
            flow.ack_with(|sample| {
                sample.delivery_rate = Some(RATE * 4 / 5);
                sample.delivery = sample.delivery.map(|d| Delivery { delivered: BDP / 2, ..d });
            });
        }
        // Not below what was delivered, and not below seven tenths.
        assert!((RATE * 7 / 10..=RATE * 9 / 10).contains(&flow.bbr.bw), "{}", flow.bbr.bw);
        assert!(flow.bbr.inflight_shortterm < INFINITE);
        assert!(flow.until(|bbr| bbr.state == State::ProbeBwRefill));
        assert_eq!((flow.bbr.bw, flow.bbr.inflight_shortterm), (RATE, INFINITE));
    }
}

#[test]
fn five_seconds_without_a_shorter_round_trip_lead_to_probe_rtt_and_200_ms_out_of_it() {
    let mut flow = Flow::in_state(State::ProbeBwCruise);
    let mut steps = 0;
    while flow.bbr.state != State::ProbeRtt {
        flow.ack_with(|sample| sample.rtt = Some(RTT * 3 / 2));
        steps += 1;
        assert!(steps < 1000, "never probed");
    }
    let since = flow.now.since(after(Duration::ZERO));
    assert!((5..=6).contains(&since.as_secs()), "{since:?}");
    flow.ack_with(|sample| sample.rtt = Some(RTT * 3 / 2));
    assert!(flow.bbr.cwnd().abs_diff(BDP / 2) < 100);
    let began = flow.now;
    while flow.bbr.state == State::ProbeRtt {
        flow.ack_with(|sample| (sample.in_flight, sample.acked) = (BDP / 3, 5 * MSS));
    }
    assert!((200..=300).contains(&flow.now.since(began).as_millis()));
    assert_eq!(flow.bbr.state, State::ProbeBwCruise);
    assert!(flow.bbr.cwnd() >= BDP, "the window is back");
}

#[test]
fn a_flow_that_was_idle_is_not_slowed_for_a_round_trip() {
    let mut flow = Flow::in_state(State::ProbeBwUp);
    flow.now = flow.now + Duration::from_secs(20);
    let (now, cwnd) = (flow.now, flow.bbr.cwnd());
    flow.bbr.on_idle(10 * MSS);
    flow.bbr.on_sent(&SendSample {
        now,
        in_flight: MSS,
        is_cwnd_limited: false,
        was_idle: true,
        srtt: RTT,
    });
    assert_eq!(flow.bbr.pacing_rate(), Some(RATE * 99 / 100));
    assert_eq!(flow.bbr.cwnd(), cwnd);
    flow.ack_with(|_| {});
    assert_ne!(flow.bbr.state, State::ProbeRtt);
}

#[test]
fn a_timeout_leaves_one_segment_and_its_recovery_gives_the_window_back() {
    let mut flow = Flow::in_state(State::ProbeBwCruise);
    let cwnd = flow.bbr.cwnd();
    let rto = RtoEvent { now: flow.now, in_flight: BDP, mss: MSS, is_repeated: false };
    flow.bbr.on_rto(&rto);
    assert_eq!(flow.bbr.cwnd(), MSS);
    flow.ack_with(|sample| (sample.is_after_timeout, sample.acked) = (true, MSS));
    assert_eq!(flow.bbr.cwnd(), 4 * MSS);
    flow.ack_with(|_| {});
    // What was delivered meanwhile bounds it.
    assert!(flow.bbr.cwnd() >= cwnd * 7 / 10, "{} of {cwnd}", flow.bbr.cwnd());
}

#[test]
fn aggregated_acks_leave_room_for_what_comes_at_once() {
    let mut flow = Flow::in_state(State::ProbeBwCruise);
    let cwnd = flow.bbr.cwnd();
    for _ in 0..20 {
        // 50 ms of data in one ACK.
        flow.now = flow.now + Duration::from_millis(40);
        flow.ack_with(|sample| sample.acked = BDP);
    }
    assert!(flow.bbr.cwnd() > cwnd + BDP / 4, "{} after {cwnd}", flow.bbr.cwnd());
}

#[test]
fn the_wait_for_a_probe_is_two_to_three_seconds_and_differs() {
    let waits: alloc::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let mut bbr = Bbr { delivered: n, ..Bbr::default() };
            bbr.start_probe_bw_down(after(Duration::from_millis(n)));
            assert!((2..=3).contains(&bbr.bw_probe_wait.as_secs()));
            bbr.bw_probe_wait
        })
        .collect();
    assert!(waits.len() > 45);
}

#[test]
fn it_takes_at_most_500_bytes() {
    let all = size_of::<super::super::Paced<Bbr>>();
    assert!(all <= 500, "{all} bytes");
}

#[test]
fn the_send_buffer_does_not_shrink_with_what_a_loss_bounds() {
    let mut flow = Flow::in_state(State::ProbeBwCruise);
    let before = flow.bbr.send_buffer();
    assert!(before >= 6 * BDP);
    flow.bbr.inflight_shortterm = BDP / 2;
    flow.ack_with(|_| {});
    assert!(flow.bbr.cwnd() <= BDP / 2);
    assert!(flow.bbr.send_buffer() >= 6 * BDP - 6 * MSS);
}
