use super::*;
use crate::piece::tests::{OPEN, packet};
use fourwave_fault::Faultable;

const MS: Duration = Duration::from_millis(1);

/// Offers `count` packets of `payload` bytes, one each `gap`, in virtual time; when each came out.
fn times(faults: &str, count: u32, payload: usize, gap: Duration) -> Vec<Duration> {
    let mut direction = Direction::new(faults.parse().unwrap(), 1);
    let mut out = Vec::new();
    let mut now = Duration::ZERO;
    let mut until = |direction: &mut Direction, end: Duration, now: &mut Duration| {
        while let Some(due) = direction.injector.next_due().filter(|due| *due <= end) {
            *now = due;
            direction.deliver(*now, |piece| {
                assert_eq!(piece.wire_len(), 52 + payload);
                out.push(due);
            });
        }
    };
    for n in 0..count {
        until(&mut direction, gap * n, &mut now);
        now = gap * n;
        let buffer = direction.slabs.buffer();
        buffer.extend_from_slice(&OPEN.encode());
        buffer.extend_from_slice(&packet(n, payload, 0x10));
        direction.take(now);
    }
    until(&mut direction, Duration::MAX, &mut now);
    out
}

#[test]
fn each_packet_is_as_late_as_the_delay_says() {
    let out = times("delay:10ms", 100, 1000, MS);
    let expected: Vec<_> = (0..100).map(|n| MS * n + 10 * MS).collect();
    assert_eq!(out, expected);
}

#[test]
fn a_rate_spaces_packets_by_their_time_on_the_wire() {
    // 1250 bytes at 10 Mbit/s: 1 ms each, all of them offered at once.
    let out = times("delay:5ms,rate:10mbit,queue:1mb", 100, 1250 - 52, Duration::ZERO);
    let expected: Vec<_> = (1..=100).map(|n| MS * n + 5 * MS).collect();
    assert_eq!(out, expected);
}

#[test]
fn a_queue_holds_so_many_bytes_and_loses_the_rest() {
    let out = times("rate:10mbit,queue:12500b", 100, 1250 - 52, Duration::ZERO);
    assert_eq!(out.len(), 10, "the queue of ten packets, the one on the wire among them");
}

#[test]
fn buffers_are_used_again_when_their_packets_are_gone() {
    let mut slabs = Slabs::default();
    let mut starts = std::collections::HashSet::new();
    let mut held = std::collections::VecDeque::new();
    for _ in 0..1000 {
        let buffer = slabs.buffer();
        assert!(buffer.is_empty() && buffer.capacity() >= vnet::MAX_PACKET);
        buffer.resize(60_000, 1);
        held.push_back(buffer.split().freeze());
        if held.len() > 50 {
            held.pop_front();
        }
        starts.insert(slabs.current.as_ptr() as usize / SLAB);
    }
    assert!(starts.len() <= 16, "{} places for a window of 3 MB", starts.len());
}

#[test]
fn a_sleep_is_no_shorter_than_the_shortest_and_no_longer_than_is_due() {
    assert_eq!(nap(5 * MS, 3 * MS), 2 * MS);
    assert_eq!(nap(5 * MS, 5 * MS), Duration::ZERO);
    assert_eq!(nap(5 * MS, 9 * MS), Duration::ZERO);
    assert_eq!(nap(Duration::from_micros(7), Duration::ZERO), SHORTEST_SLEEP);
}

#[test]
fn lateness_is_what_lies_between_due_and_handed_out() {
    let mut direction = Direction::new("delay:10ms".parse().unwrap(), 1);
    let mut count = 0;
    for n in 0..2 {
        direction.slabs.buffer().extend_from_slice(&OPEN.encode());
        direction.slabs.current.extend_from_slice(&packet(n, 100, 0x10));
        direction.take(MS * n);
    }
    direction.deliver(9 * MS, |_| count += 1);
    assert_eq!((count, direction.late), (0, Lateness::default()));
    direction.deliver(13 * MS, |_| count += 1);
    let late = direction.late.and(Lateness { packets: 2, sum: MS, most: MS });
    assert_eq!((count, late.most, late.mean()), (2, 3 * MS, 6 * MS / 4));
}
