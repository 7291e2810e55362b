//! When to acknowledge: at once, with data, or after a while (RFC 9293 §3.8.6.3, RFC 5681 §4.2).

use crate::time::{Duration, Instant};

/// What is owed to the peer.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Acks {
    /// An ACK is to go out with the next packet, at once.
    now: bool,
    /// Duplicate ACKs owed: one for each segment that arrived out of order, each a packet.
    duplicates: u8,
    /// Bytes received since the last ACK.
    unacked: u32,
    /// Segments that are still acknowledged at once: at the start of a connection, while the
    /// peer's window grows by our ACKs.
    quick: u8,
    /// The application answers what it gets: the ACK may ride on the answer.
    answers: bool,
    /// When a waiting ACK goes out; `NEVER` when none waits.
    pub(crate) delayed_until: Instant,
}

impl Acks {
    pub(crate) fn new() -> Self {
        Self {
            now: false,
            duplicates: 0,
            unacked: 0,
            quick: 0,
            answers: false,
            delayed_until: Instant::NEVER,
        }
    }

    /// The first `quick` segments are acknowledged at once (`tcp_quick_acks`).
    pub(crate) fn begin(&mut self, quick: u8) {
        self.quick = quick;
    }

    /// An ACK must go out at once.
    pub(crate) fn at_once(&mut self) {
        self.now = true;
    }

    /// The next `acks` go out at once.
    pub(crate) fn hurry(&mut self, acks: u8) {
        self.quick = self.quick.max(acks);
        self.answers = false;
    }

    /// A segment arrived out of order.
    pub(crate) fn duplicate(&mut self) {
        self.duplicates = self.duplicates.saturating_add(1);
    }

    /// `len` bytes arrived in order; `mss` is the largest segment that the peer sends.
    pub(crate) fn on_data(&mut self, len: u32, mss: u32, now: Instant, delay: Duration) {
        self.unacked = self.unacked.saturating_add(len);
        let every_second = self.unacked >= 2 * mss;
        let quick = self.quick > 0 && !self.answers;
        self.quick = self.quick.saturating_sub(1);
        if every_second || quick || delay.is_zero() {
            self.now = true;
        } else if self.delayed_until == Instant::NEVER {
            self.delayed_until = now + delay;
        }
    }

    /// The application queued data: an answer, if something waits to be acknowledged.
    pub(crate) fn on_answer(&mut self) {
        self.answers |= self.unacked > 0;
    }

    /// An ACK is owed, and data that waits to be sent will carry it: the two ends talk.
    pub(crate) fn ride(&mut self, until: Instant) {
        self.answers = true;
        self.delayed_until = self.delayed_until.min(until);
    }

    /// The application says whether ACKs may wait for its answers; `release`: the one that waits
    /// goes out.
    pub(crate) fn quicken(&mut self, on: bool, release: bool) {
        self.answers = !on;
        if on && release && self.delayed_until != Instant::NEVER {
            self.now = true;
        }
    }

    /// The delay ran out. Whether an ACK was waiting.
    pub(crate) fn on_timer(&mut self, now: Instant) -> bool {
        let due = self.delayed_until <= now;
        if due {
            self.delayed_until = Instant::NEVER;
            self.now = true;
            // The answer did not come: it is no dialogue.
            self.answers = false;
        }
        due
    }

    /// Whether a packet must go out, data or not.
    pub(crate) fn due(&self) -> bool {
        self.now || self.duplicates > 0
    }

    /// Whether an ACK that carries no data must go out before anything else: the peer counts
    /// duplicates only of this kind.
    pub(crate) fn duplicate_due(&self) -> bool {
        self.duplicates > 0
    }

    /// Whether anything is owed, delayed or not.
    pub(crate) fn owed(&self) -> bool {
        self.due() || self.delayed_until != Instant::NEVER
    }

    /// A segment with the current acknowledgement went out.
    pub(crate) fn sent(&mut self) {
        self.now = false;
        self.duplicates = self.duplicates.saturating_sub(1);
        self.unacked = 0;
        self.delayed_until = Instant::NEVER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(40);

    const QUICK: u8 = 16;

    fn past_quick() -> Acks {
        let mut acks = Acks::new();
        acks.begin(QUICK);
        for _ in 0..QUICK {
            acks.on_data(1, 1000, Instant::ZERO, DELAY);
            assert!(acks.due());
            acks.sent();
        }
        acks
    }

    #[test]
    fn rfc5681_4_2_every_second_full_segment() {
        let mut acks = past_quick();
        acks.on_data(1000, 1000, Instant::ZERO, DELAY);
        assert!(!acks.due() && acks.owed());
        acks.on_data(1000, 1000, Instant::ZERO, DELAY);
        assert!(acks.due());
    }

    #[test]
    fn without_quick_acks_the_first_one_waits_and_without_a_delay_none_does() {
        let mut acks = Acks::new();
        acks.begin(0);
        acks.on_data(10, 1000, Instant::ZERO, DELAY);
        assert!(!acks.due() && acks.owed());
        acks.sent();
        acks.on_data(10, 1000, Instant::ZERO, Duration::ZERO);
        assert!(acks.due());
    }

    #[test]
    fn rfc9293_3_8_6_3_never_later_than_the_delay() {
        let mut acks = past_quick();
        acks.on_data(10, 1000, Instant::ZERO, DELAY);
        assert!(!acks.on_timer(Instant::from_micros(39_999)));
        assert!(acks.on_timer(Instant::from_micros(40_000)) && acks.due());
        acks.sent();
        assert!(!acks.owed());
    }

    #[test]
    fn tcp_quickack_releases_what_waits_and_its_opposite_lets_acks_wait() {
        let mut acks = past_quick();
        acks.on_data(10, 1000, Instant::ZERO, DELAY);
        acks.quicken(true, false);
        assert!(!acks.due());
        acks.quicken(true, true);
        assert!(acks.due());
        let mut acks = Acks::new();
        acks.quicken(true, true);
        assert!(!acks.owed());
        acks.quicken(false, true);
        acks.on_data(10, 1000, Instant::ZERO, DELAY);
        assert!(!acks.due() && acks.owed());
    }

    #[test]
    fn rfc5681_3_2_one_duplicate_for_each_segment_out_of_order() {
        let mut acks = past_quick();
        for _ in 0..3 {
            acks.duplicate();
        }
        for left in (0..3).rev() {
            assert!(acks.duplicate_due());
            acks.sent();
            assert_eq!(acks.duplicates, left);
        }
        assert!(!acks.owed());
    }
}
