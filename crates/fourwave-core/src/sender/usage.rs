//! Whether the congestion window was what held the sender back.

use fourwave_wire::SeqNum;

/// How much of the congestion window was in use at once since a round trip began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CwndUsage {
    /// The most bytes in flight; `ALL` when it was all of the window.
    most: u32,
    /// Acknowledged this far, the next round begins.
    until: SeqNum,
}

/// No window is so large.
const ALL: u32 = u32::MAX;

impl CwndUsage {
    pub(crate) fn new(iss: SeqNum) -> Self {
        Self { most: 0, until: iss }
    }

    /// Whether the window that is in use may grow depends on how much of it was used while it was
    /// filled, not on what is left when its ACKs come (RFC 7661 §4.3's idea, Linux's way).
    pub(crate) fn on_sent(&mut self, una: SeqNum, nxt: SeqNum, in_flight: u32, is_limited: bool) {
        let round_over = una.at_or_after(self.until);
        if round_over || is_limited || in_flight > self.most {
            *self = Self { most: if is_limited { ALL } else { in_flight }, until: nxt };
        }
    }

    /// Whether more would have been sent, had the window been larger: in slow start half of it in
    /// use is enough, so that it reaches twice what is acknowledged.
    pub(crate) fn is_limit(&self, cwnd: u32, in_slow_start: bool) -> bool {
        self.most == ALL || (in_slow_start && cwnd < self.most.saturating_mul(2))
    }
}
