//! Loss detection by time (RACK, RFC 8985): what was sent well before something that has arrived
//! is lost, however few segments say so.

use fourwave_wire::SeqNum;

use crate::sender::sent::{Delivered, SentRange, SentRanges};
use crate::time::{Duration, Instant};

/// Recoveries after which the window is narrow again (RFC 8985 §6.2 step 4).
const PERSISTENCE: u8 = 16;
/// Segments beyond a hole that tell of a loss at once while nothing was ever reordered.
const DUP_THRESH: u32 = 3;

/// What has arrived of what was sent last, and how far the network reorders.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Rack {
    /// When the newest segment that has arrived went out; `NEVER` before the first.
    sent_at: Instant,
    /// Behind its last number.
    end: SeqNum,
    /// Its round trip in microseconds.
    rtt: u32,
    reordering: Reordering,
    /// Duplicates count again once this is acknowledged: one step a round trip.
    duplicate_round: Option<SeqNum>,
}

/// What was learned of a path that reorders.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Reordering {
    /// Quarters of the shortest round trip in the reordering window.
    steps: u8,
    /// Recoveries for which they stay.
    persists: u8,
    /// How often it was seen, and by how many segments at most.
    seen: u16,
    most: u16,
}

/// Segments by which nothing is known to be reordered: as `tcp_reordering` in Linux.
const LEAST_REORDERING: u16 = 3;
/// As `tcp_max_reordering` in Linux.
const MOST_REORDERING: u16 = 300;

impl Default for Reordering {
    fn default() -> Self {
        Self { steps: 1, persists: 0, seen: 0, most: LEAST_REORDERING }
    }
}

impl Reordering {
    fn note(&mut self, segments: u32) {
        let segments = u16::try_from(segments).unwrap_or(u16::MAX).min(MOST_REORDERING);
        self.seen = self.seen.saturating_add(1);
        self.most = self.most.max(segments);
    }

    /// How often it was seen.
    pub(crate) fn seen(&self) -> u16 {
        self.seen
    }

    /// By how many segments, at least three.
    pub(crate) fn most(&self) -> u16 {
        self.most
    }

    /// Whether it was more than three segments: duplicates are no sign of a loss then.
    pub(crate) fn is_wide(&self) -> bool {
        self.most > LEAST_REORDERING
    }
}

/// What bounds the reordering window besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) srtt: Duration,
    pub(crate) min_rtt: Duration,
    pub(crate) mss: u32,
}

impl Rack {
    pub(crate) const fn new(reordering: Reordering) -> Self {
        Self {
            sent_at: Instant::NEVER,
            end: SeqNum::new(0),
            rtt: 0,
            reordering,
            duplicate_round: None,
        }
    }

    pub(crate) fn reordering(&self) -> Reordering {
        self.reordering
    }

    /// RFC 8985 §6.2 steps 1 to 3: an ACK delivered something.
    pub(crate) fn on_delivered(&mut self, now: Instant, delivered: &Delivered, path: &Path) {
        if delivered.reordered_by > 0 {
            self.reordering.note(delivered.reordered_by.div_ceil(path.mss.max(1)));
        }
        let Some(newest) = delivered.newest else { return };
        let rtt = now.since(newest.sent_at);
        // An ACK sooner than any round trip answers the copy before this one.
        if newest.was_retransmitted && rtt < path.min_rtt {
            return;
        }
        if self.sent_at == Instant::NEVER || self.is_after(&newest) {
            self.sent_at = newest.sent_at;
            self.end = newest.end();
        }
        self.rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
    }

    /// Whether `range` went out after the newest that has arrived.
    fn is_after(&self, range: &SentRange) -> bool {
        range.sent_at > self.sent_at
            || (range.sent_at == self.sent_at && range.end().after(self.end))
    }

    /// RFC 8985 §6.2 step 4: a DSACK tells that something was sent again for nothing.
    pub(crate) fn on_duplicate(&mut self, una: SeqNum, nxt: SeqNum) {
        if self.duplicate_round.is_some_and(|round| una.before(round)) {
            return;
        }
        self.duplicate_round = Some(nxt);
        self.reordering.steps = self.reordering.steps.saturating_add(1);
        self.reordering.persists = PERSISTENCE;
    }

    /// A recovery is over.
    pub(crate) fn on_recovered(&mut self) {
        self.reordering.persists = self.reordering.persists.saturating_sub(1);
        if self.reordering.persists == 0 {
            self.reordering.steps = 1;
        }
    }

    /// What was taken for lost has arrived: the network reorders, if never seen before.
    pub(crate) fn on_spurious(&mut self) {
        self.reordering.seen = self.reordering.seen.max(1);
    }

    /// How long after it was sent a range is lost, if something sent later has arrived; `sacked`
    /// segments are behind gaps. `hurry`: recovery is under way, by whatever it was found.
    pub(crate) fn wait(&self, sacked: u32, hurry: bool, path: &Path) -> Duration {
        Duration::from_micros(self.rtt.into()) + self.reordering_window(sacked, hurry, path)
    }

    fn reordering_window(&self, sacked: u32, hurry: bool, path: &Path) -> Duration {
        let many = sacked >= DUP_THRESH;
        if self.reordering.seen == 0 && (hurry || many) {
            return Duration::ZERO;
        }
        (path.min_rtt / 4 * u32::from(self.reordering.steps)).min(path.srtt)
    }

    /// RFC 8985 §6.2 step 5: takes for lost what had time enough to arrive. Returns the numbers
    /// newly lost, and when the next may be lost. O(ranges).
    pub(crate) fn detect(
        &self,
        now: Instant,
        sent: &mut SentRanges,
        hurry: bool,
        path: &Path,
    ) -> (u32, Option<Instant>) {
        if self.sent_at == Instant::NEVER {
            return (0, None);
        }
        let wait = self.wait(sent.sacked_segments(), hurry, path);
        let mut next = None;
        let lost = sent.lose(|range| {
            if self.is_after(range) || (range.sent_at, range.end()) == (self.sent_at, self.end) {
                return false;
            }
            let at = range.sent_at + wait;
            if at <= now {
                return true;
            }
            // The last of them: then all are.
            next = next.max(Some(at));
            false
        });
        (lost, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::rate::Rates;

    const MSS: u32 = 1000;
    const PATH: Path =
        Path { srtt: Duration::from_millis(40), min_rtt: Duration::from_millis(40), mss: MSS };

    fn at(n: u32) -> SeqNum {
        SeqNum::new(n)
    }

    fn time(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// `count` segments, one a millisecond from 1 on, of which those from `from` on have arrived
    /// at `now`.
    fn arrived(count: u32, from: u32, now: Instant) -> (Rack, SentRanges) {
        let mut sent = SentRanges::default();
        for n in 0..count {
            sent.push(
                at(n * MSS)..at((n + 1) * MSS),
                MSS,
                time(u64::from(n) + 1),
                &mut Rates::new(true),
            );
        }
        let mut rack = Rack::new(Reordering::default());
        let mut delivered = Delivered::default();
        sent.sack(at(from * MSS)..at(count * MSS), MSS, &mut delivered);
        rack.on_delivered(now, &delivered, &PATH);
        (rack, sent)
    }

    #[test]
    fn rfc8985_6_2_what_was_sent_a_window_before_what_arrived_is_lost() {
        // One segment beyond the hole: a quarter of the round trip is waited for.
        let (rack, mut sent) = arrived(2, 1, time(42));
        assert_eq!(rack.detect(time(42), &mut sent, false, &PATH), (0, Some(time(1 + 40 + 10))));
        assert_eq!(rack.detect(time(51), &mut sent, false, &PATH), (MSS, None));
    }

    #[test]
    fn rfc8985_6_2_three_segments_tell_at_once_where_nothing_was_ever_reordered() {
        let (mut rack, mut sent) = arrived(4, 1, time(44));
        rack.reordering.note(1);
        assert_eq!(rack.detect(time(44), &mut sent, false, &PATH).0, 0, "this path reorders");
        rack.reordering.seen = 0;
        assert_eq!(rack.detect(time(44), &mut sent, false, &PATH), (MSS, None));
    }

    #[test]
    fn rfc8985_6_2_4_duplicates_widen_the_window_once_a_round_trip() {
        let (mut rack, _) = arrived(2, 1, time(42));
        let before = rack.wait(0, false, &PATH);
        rack.on_duplicate(at(0), at(2000));
        rack.on_duplicate(at(1000), at(3000));
        assert_eq!(rack.wait(0, false, &PATH) - before, PATH.min_rtt / 4);
        rack.on_duplicate(at(2000), at(4000));
        assert_eq!(rack.wait(0, false, &PATH) - before, PATH.min_rtt / 2);
        (0..PERSISTENCE).for_each(|_| rack.on_recovered());
        assert_eq!(
            rack.wait(0, false, &PATH),
            before,
            "after sixteen recoveries it is narrow again"
        );
    }

    #[test]
    fn an_answer_sooner_than_any_round_trip_is_the_first_copys() {
        let (mut rack, mut sent) = arrived(4, 1, time(44));
        let was = rack.sent_at;
        sent.lose(|_| true);
        sent.retransmitted(at(0)..at(MSS), time(50), &mut Rates::new(true));
        let mut delivered = Delivered::default();
        sent.acknowledge(at(MSS), &mut delivered);
        rack.on_delivered(time(55), &delivered, &PATH);
        assert_eq!(rack.sent_at, was);
        rack.on_delivered(time(95), &delivered, &PATH);
        assert_eq!(rack.sent_at, time(50));
    }
}
