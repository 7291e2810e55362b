//! What an engine said of its sender while it sent, in bounded memory.

use super::SenderPoint;

/// Points kept for each connection.
const LIMIT: usize = 1024;

/// Collects them. When it is full every second one goes, of those that no change of state and no
/// new threshold sets apart, and from then on every second one is taken.
#[derive(Clone, Debug)]
pub(crate) struct Senders {
    pub(crate) points: Vec<SenderPoint>,
    stride: u32,
    seen: u32,
}

impl Senders {
    pub(crate) fn new() -> Self {
        Self { points: Vec::new(), stride: 1, seen: 0 }
    }

    /// One more. O(1) amortised.
    pub(crate) fn push(&mut self, point: SenderPoint) {
        self.seen = self.seen.wrapping_add(1);
        let turns = self.points.last().is_none_or(|last| is_turn(last, &point));
        if !turns && !self.seen.is_multiple_of(self.stride) {
            return;
        }
        if self.points.len() == LIMIT {
            self.thin_out();
        }
        self.points.push(point);
    }

    fn thin_out(&mut self) {
        self.every_second(is_turn);
        self.stride = self.stride.saturating_mul(2);
        if self.points.len() > LIMIT / 4 * 3 {
            self.every_second(|_, _| false);
        }
    }

    /// Drops every second one of those that `keeps` does not hold for, with the one before.
    fn every_second(&mut self, keeps: impl Fn(&SenderPoint, &SenderPoint) -> bool) {
        let (mut before, mut odd) = (None, false);
        self.points.retain(|point| {
            let kept = before.replace(*point).is_none_or(|before| keeps(&before, point));
            odd = !odd && !kept;
            kept || !odd
        });
    }
}

fn is_turn(before: &SenderPoint, point: &SenderPoint) -> bool {
    let of = |point: &SenderPoint| (point.end, point.sender.state, point.sender.ssthresh);
    of(before) != of(point)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Sender;
    use crate::words::Role;

    fn point(n: u64, state: &'static str) -> SenderPoint {
        let sender = Sender { state, cwnd: n, ..Sender::default() };
        SenderPoint { at: Duration::from_micros(n), end: Role::Server, sender }
    }

    #[test]
    fn however_many_come_few_are_kept_and_turns_among_them() {
        let mut senders = Senders::new();
        for n in 0..100_000 {
            senders.push(point(n, if n % 10_000 == 5000 { "recovery" } else { "open" }));
        }
        let points = &senders.points;
        assert!(points.len() <= LIMIT && points.len() > LIMIT / 4, "{}", points.len());
        assert!(points.is_sorted_by_key(|point| point.at));
        let recoveries = points.iter().filter(|point| point.sender.state == "recovery");
        assert_eq!(recoveries.count(), 10);
    }

    #[test]
    fn turns_without_end_are_bounded_too() {
        let mut senders = Senders::new();
        for n in 0..50_000 {
            senders.push(point(n, if n % 2 == 0 { "loss" } else { "open" }));
        }
        assert!(senders.points.len() <= LIMIT, "{}", senders.points.len());
    }
}
