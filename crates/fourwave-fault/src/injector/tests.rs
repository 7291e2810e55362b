use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn injector(config: &str, seed: u64) -> Injector<Vec<u8>> {
    Injector::new(config.parse().unwrap_or_else(|error| panic!("{error}")), seed)
}

/// A packet of `len` bytes that carries its number.
fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut packet = number.to_be_bytes().to_vec();
    packet.resize(len.max(4), 0);
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]])
}

/// Everything that comes out until nothing is held, with the time of each.
fn drain(injector: &mut Injector<Vec<u8>>, mut now: Duration) -> Vec<(Duration, Vec<u8>)> {
    let mut out = vec![];
    loop {
        while let Some(packet) = injector.poll(now) {
            out.push((now, packet));
        }
        match injector.next_due() {
            Some(due) => now = now.max(due),
            None => return out,
        }
    }
}

/// Offers packets 0 to `count`, one each `gap`, taking what is due in between.
fn run(config: &str, seed: u64, count: u32, gap: Duration) -> Vec<(Duration, Vec<u8>)> {
    let mut injector = injector(config, seed);
    let mut out = vec![];
    let mut now = Duration::ZERO;
    for i in 0..count {
        while let Some(due) = injector.next_due().filter(|due| *due < gap * i) {
            now = now.max(due);
            out.extend(injector.poll(now).map(|packet| (now, packet)));
        }
        now = gap * i;
        injector.offer(now, numbered(i, 100));
    }
    out.extend(drain(&mut injector, now));
    let counters = injector.counters();
    assert_eq!(counters.offered, u64::from(count));
    assert_eq!(counters.delivered, out.len() as u64);
    assert_eq!(
        counters.offered + counters.duplicated,
        counters.delivered + counters.lost + counters.too_large + counters.overflowed
    );
    out
}

fn numbers(out: &[(Duration, Vec<u8>)]) -> Vec<u32> {
    out.iter().map(|(_, packet)| number(packet)).collect()
}

#[test]
fn without_faults_packets_pass_at_once_and_in_order() {
    let mut injector: Injector<Vec<u8>> = Injector::new(FaultConfig::default(), 1);
    for i in 0..10 {
        injector.offer(Duration::ZERO, numbered(i, 10));
    }
    for i in 0..10 {
        assert_eq!(injector.poll(Duration::ZERO), Some(numbered(i, 10)));
    }
    assert!(injector.is_empty() && injector.next_due().is_none());
}

#[test]
fn loss_takes_its_share() {
    let passed = run("loss:10%", 7, 20_000, MS).len();
    assert!((17_700..18_300).contains(&passed), "{passed} of 20000 at 10 %");
    assert!(run("loss:100%", 7, 100, MS).is_empty());
    assert_eq!(run("loss:0%", 7, 100, MS).len(), 100);
}

#[test]
fn bursts_take_their_share_in_rows_of_their_length() {
    for (config, share, length) in [
        ("loss:2%,burst:8", 0.02, 8.0),
        ("loss:50%,burst:4", 0.5, 4.0),
        ("loss:5%,burst:1", 0.05, 1.0),
    ] {
        let count = 400_000;
        let passed = numbers(&run(config, 9, count, MS));
        let lost = f64::from(count) - passed.len() as f64;
        assert!((lost / f64::from(count) / share - 1.0).abs() < 0.1, "{config}: {lost} lost");
        let gaps = passed.windows(2).filter(|pair| pair[1] - pair[0] > 1).count() as f64;
        assert!((lost / gaps / length - 1.0).abs() < 0.1, "{config}: {lost} lost in {gaps} bursts");
    }
}

#[test]
fn delay_holds_each_packet_as_long_as_it_says() {
    let mut injector = injector("delay:20ms", 1);
    injector.offer(5 * MS, numbered(1, 10));
    assert_eq!(injector.next_due(), Some(25 * MS));
    assert_eq!(injector.poll(24 * MS), None);
    assert_eq!(injector.poll(25 * MS), Some(numbered(1, 10)));
}

#[test]
fn jitter_spreads_and_keeps_the_order() {
    let out = run("delay:20ms±10ms", 3, 2000, MS * 30);
    let delays: Vec<_> = out.iter().map(|(at, p)| *at - MS * 30 * number(p)).collect();
    assert!(delays.iter().all(|d| (10 * MS..=30 * MS).contains(d)));
    assert!(delays.iter().any(|d| *d < 12 * MS) && delays.iter().any(|d| *d > 28 * MS));
    let close = run("delay:20ms±10ms", 3, 2000, MS / 10);
    assert_eq!(numbers(&close), (0..2000).collect::<Vec<_>>());
}

#[test]
fn reordering_lets_one_to_three_packets_overtake() {
    let out = numbers(&run("reorder:5%", 3, 5000, MS / 10));
    let late: Vec<_> = (0..out.len())
        .map(|i| out[..i].iter().filter(|earlier| **earlier > out[i]).count())
        .collect();
    let mut sorted = out.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..5000).collect::<Vec<_>>(), "none is lost");
    for by in 1..=3 {
        assert!(late.contains(&by), "some packet is overtaken by {by}");
    }
    let moved = late.iter().filter(|by| **by > 0).count();
    assert!((150..350).contains(&moved), "{moved} of 5000 at 5 %");
}

#[test]
fn a_reordered_packet_that_nothing_follows_arrives_all_the_same() {
    let mut injector = injector("reorder:100%,delay:1ms", 3);
    injector.offer(Duration::ZERO, numbered(1, 10));
    assert_eq!(injector.next_due(), Some(MS + REORDER_PATIENCE));
    assert_eq!(injector.poll(MS), None);
    assert_eq!(injector.poll(MS + REORDER_PATIENCE), Some(numbered(1, 10)));
}

#[test]
fn duplicates_are_whole_even_when_the_original_is_damaged() {
    let out = run("dup:100%", 3, 50, MS);
    let twice: Vec<u32> = (0..50).flat_map(|i| [i, i]).collect();
    assert_eq!(numbers(&out), twice);
    let mut injector = injector("dup:100%,corrupt:100%", 3);
    injector.offer(MS, numbered(9, 1000));
    let packets = [injector.poll(MS).unwrap(), injector.poll(MS).unwrap()];
    let whole = packets.iter().filter(|packet| **packet == numbered(9, 1000)).count();
    assert_eq!(whole, 1);
}

#[test]
fn corruption_flips_one_bit() {
    let mut injector = injector("corrupt:100%", 3);
    let mut places = std::collections::HashSet::new();
    for _ in 0..1000 {
        injector.offer(MS, vec![0; 40]);
        let packet = injector.poll(MS).unwrap();
        let ones: u32 = packet.iter().map(|b| b.count_ones()).sum();
        assert_eq!((packet.len(), ones), (40, 1));
        places.insert(packet.iter().position(|b| *b != 0));
    }
    assert_eq!(places.len(), 40, "every byte is hit at some time");
    injector.offer(MS, vec![]);
    assert_eq!(injector.poll(MS), Some(vec![]), "an empty packet has no bit to flip");
}

#[test]
fn a_rate_spaces_packets_and_its_queue_drops_beyond_its_bound() {
    // 100 bytes at 800 kbit/s take 1 ms; the queue holds 1000 bytes.
    let mut injector = injector("rate:800kbit,queue:1kb", 1);
    for i in 0..30 {
        injector.offer(Duration::ZERO, numbered(i, 100));
    }
    let out = drain(&mut injector, Duration::ZERO);
    let expected: Vec<_> = (0..10).map(|i| (MS * (i + 1), numbered(i, 100))).collect();
    assert_eq!(out, expected);
    assert_eq!(injector.counters().overflowed, 20);
    // After a pause the link is idle, and takes even a packet larger than its queue.
    injector.offer(MS * 100, numbered(99, 2000));
    assert_eq!(injector.next_due(), Some(MS * 120));
}

#[test]
fn what_is_larger_than_the_mtu_vanishes_and_nothing_else() {
    let mut injector = injector("mtu:1400b", 1);
    for (i, len) in [1400, 1401, 68, 65_535].into_iter().enumerate() {
        injector.offer(Duration::ZERO, numbered(i as u32, len));
    }
    assert_eq!(numbers(&drain(&mut injector, Duration::ZERO)), [0, 2]);
    assert_eq!((injector.counters().too_large, injector.counters().lost), (2, 0));
}

#[test]
fn memory_is_bounded_whatever_the_delay() {
    let mut injector = injector("delay:3600s,reorder:50%", 1);
    for i in 0..MAX_HELD as u32 + 5 {
        injector.offer(Duration::ZERO, numbered(i, 4));
    }
    assert_eq!((injector.len(), injector.counters().overflowed), (MAX_HELD, 5));
}

#[test]
fn switching_one_fault_on_leaves_the_others_choices() {
    let lost = |config| {
        let out = numbers(&run(config, 11, 3000, MS));
        (0..3000).filter(|i| !out.contains(i)).collect::<Vec<u32>>()
    };
    let alone = lost("loss:5%");
    assert_eq!(alone, lost("loss:5%,delay:9ms±9ms,reorder:10%,dup:10%"));
    let damaged = |config| {
        let out = run(config, 11, 3000, MS);
        let bad = out.into_iter().filter(|(_, p)| *p != numbered(number(p), 100));
        bad.map(|(_, packet)| packet).collect::<Vec<_>>()
    };
    let without = damaged("corrupt:5%");
    let with = damaged("corrupt:5%,loss:50%");
    assert!(with.len() < without.len() && !with.is_empty());
    assert!(with.iter().all(|packet| without.contains(packet)));
}

proptest! {
    #[test]
    fn the_same_seed_is_the_same_run(seed: u64, gap in 0..3000u64) {
        let config = "loss:5%,delay:3ms±2ms,reorder:5%,dup:5%,corrupt:5%,rate:2mbit";
        let gap = Duration::from_micros(gap);
        prop_assert_eq!(run(config, seed, 300, gap), run(config, seed, 300, gap));
    }

    #[test]
    fn another_seed_is_another_run(seed: u64) {
        let run = |seed| run("loss:50%", seed, 200, MS);
        prop_assert_ne!(numbers(&run(seed)), numbers(&run(seed.wrapping_add(1))));
    }

    #[test]
    fn how_often_it_is_polled_does_not_matter(seed: u64) {
        let config = "loss:5%,delay:3ms±2ms,reorder:5%,dup:5%,corrupt:5%";
        let polled = run(config, seed, 300, MS);
        let mut once = injector(config, seed);
        (0..300).for_each(|i| once.offer(MS * i, numbered(i, 100)));
        let drained = drain(&mut once, Duration::ZERO);
        let packets = |out: &[(Duration, Vec<u8>)]| {
            let mut packets: Vec<_> = out.iter().map(|(_, packet)| packet.clone()).collect();
            packets.sort();
            packets
        };
        prop_assert_eq!(packets(&polled), packets(&drained));
    }

    #[test]
    fn nothing_is_held_past_its_due_time(
        seed: u64,
        offers in proptest::collection::vec(0..9u64, 1..99),
    ) {
        let mut injector = injector("delay:3ms±3ms,reorder:30%,dup:10%,rate:1mbit", seed);
        let mut now = Duration::ZERO;
        for (i, wait) in offers.iter().enumerate() {
            now += MS * *wait as u32;
            injector.offer(now, numbered(i as u32, 100));
            while injector.poll(now).is_some() {}
            prop_assert!(injector.next_due().is_none_or(|due| due > now));
        }
    }
}
