use alloc::vec::Vec;

use proptest::prelude::*;

use super::RangeState::{InFlight, Sacked};
use super::*;

const MSS: u32 = 1000;

fn at(n: u32) -> SeqNum {
    // Across the point where numbers begin again.
    SeqNum::new(u32::MAX - 2500) + n
}

fn time(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

/// `count` segments, one a millisecond from 1 on.
fn sent(count: u32) -> SentRanges {
    let mut sent = SentRanges::default();
    for n in 0..count {
        let range = at(n * MSS)..at((n + 1) * MSS);
        sent.push(range, MSS, time(u64::from(n) + 1), &mut Rates::new(true));
    }
    sent
}

fn states(sent: &SentRanges) -> Vec<(u32, u32, RangeState)> {
    let offset = |range: &SentRange| range.start.since(at(0));
    sent.ranges.iter().map(|range| (offset(range), range.len, range.state)).collect()
}

#[test]
fn an_ack_takes_ranges_off_the_front_and_tells_the_newest() {
    let mut sent = sent(4);
    let mut delivered = Delivered::default();
    assert!(sent.acknowledge(at(2500), &mut delivered));
    assert_eq!((sent.in_flight(), delivered.bytes), (1500, 2500));
    assert_eq!(delivered.newest.unwrap().sent_at, time(3));
    assert_eq!(delivered.timed, Some(Timed { oldest: time(1), newest: time(3) }));
    assert!(!sent.acknowledge(at(2500), &mut delivered), "nothing new");
    assert!(sent.acknowledge(at(4000), &mut delivered));
    assert_eq!(sent, SentRanges::default(), "nothing is kept while nothing is in flight");
}

#[test]
fn rfc2018_blocks_are_counted_once_and_joined() {
    let mut sent = sent(5);
    let mut delivered = Delivered::default();
    sent.sack(at(1000)..at(2000), MSS, &mut delivered);
    sent.sack(at(1000)..at(3500), 500, &mut delivered);
    assert_eq!((delivered.bytes, sent.sacked(), sent.in_flight()), (2500, 2500, 2500));
    assert_eq!(
        states(&sent),
        [(0, 1000, InFlight), (1000, 2500, Sacked), (3500, 500, InFlight), (4000, 1000, InFlight)]
    );
    assert_eq!(delivered.reordered_by, 0, "blocks of one ACK come in any order");
    let mut delivered = sent.ack();
    sent.sack(at(0)..at(1000), MSS, &mut delivered);
    assert!(delivered.reordered_by > 0 && sent.is_first_sacked());
}

#[test]
fn what_is_lost_goes_out_again_and_is_in_flight_then() {
    let mut sent = sent(4);
    sent.sack(at(3000)..at(4000), MSS, &mut Delivered::default());
    assert_eq!(sent.lose(|range| range.sent_at <= time(2)), 2000);
    assert_eq!((sent.in_flight(), sent.first_lost()), (1000, Some(at(0)..at(2000))));
    sent.retransmitted(at(0)..at(500), time(9), &mut Rates::new(true));
    assert_eq!((sent.in_flight(), sent.lost()), (1500, 1500));
    assert_eq!(sent.first_lost(), Some(at(500)..at(2000)));
    let mut delivered = Delivered::default();
    sent.acknowledge(at(2000), &mut delivered);
    // Karn: what was sent twice times nothing, what was lost and never sent again was late.
    assert!(delivered.is_lost_one_here);
    assert_eq!(delivered.newest.unwrap().sent_at, time(9));
    assert_eq!(delivered.timed, None);
    assert_eq!((sent.lost(), sent.in_flight()), (0, 1000));
}

#[test]
fn rfc2018_8_what_a_peer_gave_up_is_lost() {
    let mut sent = sent(3);
    sent.sack(at(1000)..at(3000), MSS, &mut Delivered::default());
    sent.forget_sacks();
    assert_eq!((sent.sacked(), sent.lost(), sent.in_flight()), (0, 2000, 1000));
    sent.find_all();
    assert_eq!((sent.lost(), sent.in_flight()), (0, 3000));
}

#[test]
fn only_whole_segments_count() {
    let mut sent = SentRanges::default();
    sent.push(at(0)..at(2500), MSS, time(1), &mut Rates::new(true));
    let mut delivered = Delivered::default();
    // A byte, the end of one segment and the beginning of the next.
    sent.sack(at(999)..at(1000), MSS, &mut delivered);
    sent.sack(at(500)..at(1500), MSS, &mut delivered);
    assert_eq!((sent.sacked(), sent.ranges.len()), (0, 1));
    // Two and a half, of which the last is short.
    sent.sack(at(900)..at(2500), MSS, &mut delivered);
    assert_eq!(states(&sent), [(0, 1000, InFlight), (1000, 1500, Sacked)]);
    assert_eq!(delivered.bytes, 1500);
}

#[test]
fn the_number_of_ranges_has_a_bound() {
    let mut sent = SentRanges::default();
    for n in 0..20_000 {
        sent.push(at(n)..at(n + 1), 1, time(1), &mut Rates::new(true));
    }
    assert!(sent.ranges.len() <= MOST_RANGES && sent.in_flight() == 20_000);
    // Every other byte of the last range is claimed to have arrived.
    for n in (0..20_000).step_by(2) {
        sent.sack(at(n)..at(n + 1), 1, &mut Delivered::default());
    }
    assert!(sent.ranges.len() <= MOST_RANGES);
    // Small segments share ranges long before.
    let mut small = SentRanges::default();
    let rates = &mut Rates::new(true);
    (0..5000).for_each(|n| small.push(at(n)..at(n + 1), MSS, time(1), rates));
    assert!(small.ranges.len() < MANY_RANGES + 10, "{}", small.ranges.len());
}

proptest! {
    /// Whatever a peer claims, each number is counted once.
    #[test]
    fn the_sums_are_those_of_the_ranges(
        steps in prop::collection::vec((0_u8..5, 0_u32..12_000, 1_u32..4000), 1..60),
    ) {
        let mut sent = sent(10);
        let mut una = 0;
        for (kind, from, len) in steps {
            let mut delivered = Delivered::default();
            let before = sent.in_flight() + sent.lost();
            match kind {
                0 => {
                    una = una.max(from.min(10_000));
                    sent.acknowledge(at(una), &mut delivered);
                }
                1 => sent.sack(at(from)..at(from + len), 1, &mut delivered),
                2 => drop(sent.lose(|range| range.start.since(at(0)) % 3000 < from % 3000)),
                3 => {
                    if let Some(lost) = sent.first_lost() {
                        let end = lost.start + len.min(lost.end.since(lost.start));
                        sent.retransmitted(lost.start..end, time(99), &mut Rates::new(true));
                    }
                }
                _ => sent.forget_sacks(),
            }
            let of = |state| -> u32 {
                let those = sent.ranges.iter().filter(|range| range.state == state);
                those.map(|range| range.len).sum()
            };
            prop_assert_eq!(sent.sacked(), of(RangeState::Sacked));
            let segments = |range: &SentRange| u32::from(range.segments);
            let sacked = sent.ranges.iter().filter(|range| range.state == Sacked);
            prop_assert_eq!(sent.sacked_segments(), sacked.map(segments).sum::<u32>());
            prop_assert_eq!(sent.lost(), of(RangeState::Lost));
            prop_assert_eq!(sent.retransmitted_numbers(), of(RangeState::Retransmitted));
            let on_its_way = of(RangeState::InFlight) + of(RangeState::Retransmitted);
            prop_assert_eq!(sent.in_flight(), on_its_way);
            if kind < 2 {
                prop_assert_eq!(before - delivered.bytes, sent.in_flight() + sent.lost());
            }
            for pair in sent.ranges.iter().collect::<Vec<_>>().windows(2) {
                prop_assert!(pair[0].end() == pair[1].start && pair[0].len > 0);
            }
        }
    }
}
