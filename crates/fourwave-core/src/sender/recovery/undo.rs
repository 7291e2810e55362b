//! What is given back when what was taken for a loss was none: the sender's response to a spurious
//! timeout or fast retransmission (RFC 4015), found by what was lost and came without being sent
//! again (RFC 5682), by echoed timestamps (RFC 3522) or by duplicates (RFC 3708).

use fourwave_wire::SeqNum;

use crate::time::{Duration, Instant};

/// The windows before a loss, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Before {
    pub(crate) cwnd: u32,
    pub(crate) ssthresh: u32,
}

/// By what it was found that nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// What was never sent again arrived after a timeout.
    Arrival,
    /// The ACK echoes a timestamp older than the first retransmission, or there was none.
    Echo,
    /// All that was sent again was told to be duplicate.
    Duplicates,
}

/// What was done for a loss, and may have to be undone.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Undo {
    before: Before,
    /// SND.UNA then: what lies below it has nothing to do with this loss.
    from: SeqNum,
    /// A timeout told of it, and nothing before that.
    is_timeout: bool,
    /// When the first of it was sent again; `NEVER` before.
    retransmitted_at: Instant,
    /// Numbers sent again that no duplicate was told of.
    unanswered: u32,
}

impl Undo {
    /// A loss at `from`; `probed` numbers of a tail loss probe are on their way a second time.
    pub(crate) fn new(before: Before, from: SeqNum, is_timeout: bool, probed: u32) -> Self {
        let retransmitted_at = Instant::NEVER;
        Self { before, from, is_timeout, retransmitted_at, unanswered: probed }
    }

    pub(crate) fn before(&self) -> Before {
        self.before
    }

    pub(crate) fn set_before(&mut self, windows: Before) {
        self.before = windows;
    }

    pub(crate) fn on_retransmitted(&mut self, len: u32, now: Instant) {
        self.retransmitted_at = self.retransmitted_at.min(now);
        self.unanswered = self.unanswered.saturating_add(len);
    }

    /// The peer told that `start..end` came twice (RFC 2883). Whether all that was sent again did.
    pub(crate) fn on_duplicate(&mut self, start: SeqNum, end: SeqNum) -> bool {
        if self.retransmitted_at == Instant::NEVER || start.before(self.from) {
            return false;
        }
        self.unanswered = self.unanswered.saturating_sub(end.since(start));
        self.unanswered == 0
    }

    /// SND.UNA moved by an ACK that echoes a timestamp of `age`: whether that is older than the
    /// first retransmission, or nothing went out again yet. The echo counts whole milliseconds, so
    /// one of them proves nothing.
    pub(crate) fn is_echo_older(&self, now: Instant, age: Option<Duration>) -> bool {
        let is_older = |age| age >= now.since(self.retransmitted_at) + Duration::from_millis(1);
        self.retransmitted_at == Instant::NEVER || age.is_some_and(is_older)
    }

    /// Whether duplicates may still tell of it.
    pub(crate) fn is_open(&self) -> bool {
        self.unanswered > 0
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.is_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    fn at(n: u32) -> SeqNum {
        SeqNum::new(u32::MAX - 1500) + n
    }

    fn time(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn undo(probed: u32) -> Undo {
        Undo::new(Before { cwnd: 10 * MSS, ssthresh: u32::MAX }, at(1000), false, probed)
    }

    #[test]
    fn rfc3708_only_where_all_that_was_sent_again_came_twice() {
        let mut undo = undo(0);
        assert!(!undo.on_duplicate(at(1000), at(2000)), "nothing was sent again");
        undo.on_retransmitted(2 * MSS, time(100));
        assert!(!undo.on_duplicate(at(0), at(1000)), "from before this loss");
        assert!(!undo.on_duplicate(at(1000), at(2000)));
        assert!(undo.on_duplicate(at(2000), at(3000)));
    }

    #[test]
    fn a_probes_duplicate_is_not_a_retransmissions() {
        let mut undo = undo(MSS);
        undo.on_retransmitted(MSS, time(100));
        assert!(!undo.on_duplicate(at(5000), at(6000)));
        assert!(undo.on_duplicate(at(1000), at(2000)));
    }

    #[test]
    fn rfc3522_an_echo_older_than_the_first_retransmission() {
        let mut undo = undo(0);
        let age = |millis| Some(Duration::from_millis(millis));
        assert!(undo.is_echo_older(time(120), None), "nothing was sent again");
        undo.on_retransmitted(MSS, time(100));
        undo.on_retransmitted(MSS, time(110));
        assert!(!undo.is_echo_older(time(120), None));
        assert!(!undo.is_echo_older(time(120), age(20)));
        assert!(undo.is_echo_older(time(120), age(21)));
    }
}
