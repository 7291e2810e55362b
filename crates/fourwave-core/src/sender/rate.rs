//! Samples of the delivery rate (draft-ietf-ccwg-bbr-06 §4.1): each ACK tells how much was
//! delivered since the newest of what it acknowledges went out, and how long that took, by what was
//! sent or by what was acknowledged, whichever took longer.

use core::hash::{Hash, Hasher};

use crate::time::{Duration, Instant};

/// Bits of a rough number that are its digits: it is a 512th less than what it stands for at most.
const DIGITS: u32 = 10;
/// The bit of a snapshot's `in_flight` that is no part of the number.
const APP_LIMITED: u16 = 1 << 15;

/// `n` in 15 bits, rounded down.
fn rough(n: u32) -> u16 {
    let shift = (u32::BITS - n.leading_zeros()).saturating_sub(DIGITS);
    ((shift << DIGITS) | (n >> shift)) as u16
}

fn unrough(rough: u16) -> u32 {
    let digits = u32::from(rough) & ((1 << DIGITS) - 1);
    digits << ((rough & !APP_LIMITED) >> DIGITS)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// What a range remembers of the moment in which it went out. Eight bytes: numbers are rough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Microseconds since what was delivered last before it went out itself.
    send_elapsed: u16,
    /// Microseconds since the last delivery.
    ack_age: u16,
    /// Numbers in flight, its own included, and whether the application held the sender back.
    in_flight: u16,
    /// Segments that had been found lost, wrapping.
    lost: u16,
}

// A model's controller reads no rates.
impl Hash for Snapshot {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What went out and was delivered, or found lost, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampled {
    /// Numbers delivered meanwhile.
    pub(crate) delivered: u32,
    pub(crate) interval: Duration,
    /// Numbers in flight when it went out, its own included.
    pub(crate) in_flight: u32,
    /// Segments found lost meanwhile.
    pub(crate) lost: u32,
    /// The application held the sender back when it went out.
    pub(crate) is_app_limited: bool,
}

/// What was found lost since somebody last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewlyLost {
    pub(crate) numbers: u32,
    pub(crate) segments: u16,
    /// Holes that are not neighbours.
    pub(crate) holes: u16,
    /// Of the last of it.
    pub(crate) snapshot: Snapshot,
}

impl Hash for NewlyLost {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The sampler of one connection, while anything is in flight.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    /// Numbers delivered so far, wrapping.
    delivered: u32,
    /// When something was last delivered.
    delivered_at: Instant,
    /// When what was last delivered had gone out.
    first_sent_at: Instant,
    /// Segments found lost, wrapping.
    lost: u16,
    /// Up to so many delivered numbers, what went out was less than might have.
    app_limited: Option<u32>,
    /// Somebody asks for samples.
    is_on: bool,
}

impl Hash for Rates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.delivered.hash(state);
    }
}

impl Rates {
    /// Nothing was in flight: the application had nothing to send.
    pub(crate) fn new(is_on: bool) -> Self {
        let (delivered_at, first_sent_at) = (Instant::ZERO, Instant::ZERO);
        Self { delivered: 0, delivered_at, first_sent_at, lost: 0, app_limited: Some(0), is_on }
    }

    /// Whether anybody asks for samples. Those of what went out before may be too high.
    pub(crate) fn ask(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    /// Numbers delivered so far, wrapping.
    pub(crate) fn delivered(&self) -> u32 {
        self.delivered
    }

    /// `len` numbers go out beside `before` in flight.
    pub(crate) fn on_sent(&mut self, now: Instant, before: u32, len: u32) -> Snapshot {
        if !self.is_on {
            return Snapshot::default();
        }
        if before == 0 {
            (self.delivered_at, self.first_sent_at) = (now, now);
        }
        let flag = if self.app_limited.is_some() { APP_LIMITED } else { 0 };
        Snapshot {
            send_elapsed: rough(micros(now.since(self.first_sent_at))),
            ack_age: rough(micros(now.since(self.delivered_at))),
            in_flight: rough(before.saturating_add(len)) | flag,
            lost: self.lost,
        }
    }

    /// Nothing waits to be sent, and more might be: what goes out until all of this is delivered
    /// says what the application does, not what the path can.
    pub(crate) fn on_app_limited(&mut self, in_flight: u32) {
        self.app_limited = Some(self.delivered.wrapping_add(in_flight));
    }

    pub(crate) fn on_lost(&mut self, segments: u16) {
        self.lost = self.lost.wrapping_add(segments);
    }

    /// An ACK delivered so many numbers; those that went out last did so at `sent_at`, when
    /// `was_delivered` had been delivered.
    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        numbers: u32,
        sent_at: Instant,
        was_delivered: u32,
        snapshot: Snapshot,
    ) -> Option<Sampled> {
        self.delivered = self.delivered.wrapping_add(numbers);
        if !self.is_on {
            return None;
        }
        self.delivered_at = now;
        self.first_sent_at = sent_at;
        let is_over = |until: u32| self.delivered.wrapping_sub(until) as i32 > 0;
        self.app_limited = self.app_limited.filter(|until| !is_over(*until));
        let acked = micros(now.since(sent_at)).saturating_add(unrough(snapshot.ack_age));
        let interval = acked.max(unrough(snapshot.send_elapsed));
        Some(Sampled {
            delivered: self.delivered.wrapping_sub(was_delivered),
            interval: Duration::from_micros(interval.into()),
            ..self.since(snapshot)
        })
    }

    /// What was lost since something went out.
    pub(crate) fn since(&self, snapshot: Snapshot) -> Sampled {
        Sampled {
            delivered: 0,
            interval: Duration::ZERO,
            in_flight: unrough(snapshot.in_flight),
            lost: self.lost.wrapping_sub(snapshot.lost).into(),
            is_app_limited: snapshot.in_flight & APP_LIMITED != 0,
        }
    }
}

impl Sampled {
    /// Bytes a second; `None` where it took less than any round trip, so that the ACK was that of
    /// another copy (§4.1.2.3).
    pub(crate) fn rate(&self, min_rtt: Duration) -> Option<u64> {
        let micros = u64::from(micros(self.interval));
        (micros > 0 && self.interval >= min_rtt)
            .then(|| u64::from(self.delivered) * 1_000_000 / micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1_000_000 + millis * 1000)
    }

    #[test]
    fn a_rough_number_is_off_by_a_512th_at_most() {
        for n in (0..32).flat_map(|bit| [1u32 << bit, (1 << bit) - 1, 3 << bit, u32::MAX >> bit]) {
            let back = unrough(rough(n) | APP_LIMITED);
            assert!(back <= n && n - back <= n / 512, "{n} {back}");
        }
    }

    #[test]
    fn the_rate_is_that_of_sending_or_of_acks_whichever_is_less() {
        let mut rates = Rates::new(true);
        let mut sent: alloc::vec::Vec<_> = (0..10)
            .map(|n| (at(n), rates.delivered(), rates.on_sent(at(n), n as u32 * 1000, 1000)))
            .collect();
        let mut last = None::<Sampled>;
        for (n, (sent_at, was, snapshot)) in sent.drain(..).enumerate() {
            // The ACKs come compressed: two a millisecond.
            let now = Instant::from_micros(at(40).as_micros() + n as u64 * 500);
            last = rates.on_delivered(now, 1000, sent_at, was, snapshot);
        }
        let last = last.unwrap();
        assert_eq!(last.delivered, 10_000);
        // By the ACKs, 44.5 ms; nine by what was sent.
        let micros = last.interval.as_micros();
        assert!(micros.abs_diff(44_500) < 20, "{micros}");
        assert_eq!(last.rate(Duration::from_millis(40)), Some(10_000_000_000 / micros as u64));
        assert_eq!(last.rate(Duration::from_millis(45)), None, "sooner than any round trip");
        assert!(last.is_app_limited, "nothing was in flight before");
    }

    #[test]
    fn what_went_out_after_the_application_had_nothing_is_marked_until_that_is_delivered() {
        let mut rates = Rates::new(true);
        let first = rates.on_sent(at(0), 0, 1000);
        rates.on_delivered(at(10), 1000, at(0), 0, first);
        let full = rates.on_sent(at(10), 0, 1000);
        assert!(!rates.since(full).is_app_limited);
        rates.on_app_limited(1000);
        let limited = rates.on_sent(at(11), 1000, 1000);
        assert!(rates.since(limited).is_app_limited);
        rates.on_delivered(at(20), 1000, at(10), 1000, full);
        rates.on_delivered(at(21), 1000, at(11), 1000, limited);
        let free = rates.on_sent(at(22), 0, 1000);
        assert!(!rates.since(free).is_app_limited);
    }

    #[test]
    fn losses_are_counted_since_the_transmission() {
        let mut rates = Rates::new(true);
        rates.on_lost(7);
        let snapshot = rates.on_sent(at(0), 9000, 1000);
        rates.on_lost(2);
        let sampled = rates.since(snapshot);
        assert_eq!(sampled.lost, 2);
        assert!(sampled.in_flight.abs_diff(10_000) <= 20);
    }
}
