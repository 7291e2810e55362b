//! What is in flight: ranges of sequence numbers with the time at which they were last sent, and
//! what the peer's SACKs say of them (RFC 2018).
//!
//! An ACK on a clean path takes ranges off the front and looks at nothing else. The number of
//! ranges has a bound, whatever a peer claims to have: beyond it a block that covers a part of a
//! range says nothing about it, and new segments join the last range.

use alloc::collections::VecDeque;
use core::ops::Range;

use fourwave_wire::SeqNum;

use super::rate::{NewlyLost, Rates, Snapshot};
use crate::time::Instant;

/// What is on its way, and the size of a full segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    /// The first sequence number of data that is not acknowledged; a SYN is none.
    pub(crate) una: SeqNum,
    /// SND.NXT.
    pub(crate) nxt: SeqNum,
    /// Payload bytes of a full segment.
    pub(crate) mss: u32,
    /// The last number is that of a FIN that went out with text: it goes out with it again, and
    /// makes no segment longer.
    pub(crate) has_fin: bool,
}

impl Flight {
    /// The end of what goes out of `range` at once, where that is `len` numbers at most.
    pub(crate) fn cut(&self, range: &Range<SeqNum>, len: u32) -> SeqNum {
        let end = range.start + len.min(range.end.since(range.start));
        let is_fin_left = self.has_fin && len > 0 && end + 1 == self.nxt && end + 1 == range.end;
        if is_fin_left { range.end } else { end }
    }
}

/// The most ranges of a connection: 32 bytes each.
const MOST_RANGES: usize = 4096;
// The bound above holds.
const _: () = assert!(size_of::<SentRange>() == 32);
/// From here on small segments share a range of at most a full segment.
const MANY_RANGES: usize = 64;

/// What is known of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RangeState {
    /// On its way for the first time.
    InFlight,
    /// Taken for lost, and not sent again yet.
    Lost,
    /// On its way again.
    Retransmitted,
    /// The peer has it, and may still give it up (RFC 2018 §8).
    Sacked,
}

/// Sequence numbers that went out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SentRange {
    pub(crate) start: SeqNum,
    pub(crate) len: u32,
    /// Segments that it took, as far as is known; at least 1.
    segments: u16,
    /// When it last went out.
    pub(crate) sent_at: Instant,
    /// Bytes that had been delivered when it went out, for the delivery rate.
    pub(crate) delivered: u32,
    pub(crate) snapshot: Snapshot,
    pub(crate) state: RangeState,
    /// It went out more than once: an ACK does not say which copy it answers (Karn).
    pub(crate) was_retransmitted: bool,
}

impl SentRange {
    pub(crate) fn end(&self) -> SeqNum {
        self.start + self.len
    }
}

/// When what an ACK delivered went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    /// The oldest: how long an answer may take, a delayed ACK included.
    pub(crate) oldest: Instant,
    /// The newest: how long the path takes.
    pub(crate) newest: Instant,
}

/// What an ACK newly delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Sequence numbers, whether acknowledged or selectively so.
    pub(crate) bytes: u32,
    /// The one of them that was sent last; of those sent at one time, the one that ends last.
    pub(crate) newest: Option<SentRange>,
    /// How far below what was delivered before something lies that was never retransmitted: the
    /// network reorders (RFC 8985 §6.2 step 3). 0 where it does not.
    pub(crate) reordered_by: u32,
    /// Of what was sent once only, so that an ACK of it ends a round trip. As in Linux, nothing
    /// where a part went out again: the rest may have waited for it.
    pub(crate) timed: Option<Timed>,
    has_retransmitted: bool,
    /// Something that was taken for lost, and never sent again, was delivered all the same.
    pub(crate) is_lost_one_here: bool,
    /// Behind the highest number that was delivered before this ACK: its blocks come in any order.
    highest: Option<SeqNum>,
}

impl Delivered {
    fn add(&mut self, range: &SentRange, len: u32) {
        self.bytes += len;
        self.is_lost_one_here |= range.state == RangeState::Lost && !range.was_retransmitted;
        let is_newer = self.newest.is_none_or(|newest| {
            range.sent_at > newest.sent_at
                || (range.sent_at == newest.sent_at && range.end().after(newest.end()))
        });
        if is_newer {
            self.newest = Some(*range);
        }
        if range.was_retransmitted {
            (self.has_retransmitted, self.timed) = (true, None);
        } else if !self.has_retransmitted {
            let at = range.sent_at;
            let Timed { oldest, newest } = self.timed.unwrap_or(Timed { oldest: at, newest: at });
            self.timed = Some(Timed { oldest: oldest.min(at), newest: newest.max(at) });
        }
    }
}

/// The ranges of one connection, without gaps from SND.UNA to SND.NXT; nothing while it is idle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SentRanges {
    ranges: VecDeque<SentRange>,
    sacked: u32,
    /// Segments of `sacked`.
    sacked_segments: u32,
    lost: u32,
    retransmitted: u32,
    /// Behind the highest number that was delivered.
    highest: Option<SeqNum>,
    newly_lost: NewlyLost,
    /// What went out before this number did so in segments of another size.
    former: Option<(SeqNum, u32)>,
}

impl SentRanges {
    /// What was found lost since this was last called.
    pub(crate) fn take_lost(&mut self) -> NewlyLost {
        core::mem::take(&mut self.newly_lost)
    }

    /// Sequence numbers that the peer selectively acknowledged.
    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Segments that the peer selectively acknowledged.
    pub(crate) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    /// Sequence numbers that are taken for lost and were not sent again.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Sequence numbers that are on their way again.
    pub(crate) fn retransmitted_numbers(&self) -> u32 {
        self.retransmitted
    }

    /// Sequence numbers that are on their way (RFC 6675 §4's pipe).
    pub(crate) fn in_flight(&self) -> u32 {
        let all = match (self.ranges.front(), self.ranges.back()) {
            (Some(first), Some(last)) => last.end().since(first.start),
            _ => 0,
        };
        all - self.sacked - self.lost
    }

    /// What an ACK delivers is gathered in this: nothing yet.
    pub(crate) fn ack(&self) -> Delivered {
        Delivered { highest: self.highest, ..Delivered::default() }
    }

    /// New numbers went out.
    pub(crate) fn push(&mut self, range: Range<SeqNum>, mss: u32, now: Instant, rates: &mut Rates) {
        let len = range.end.since(range.start);
        let segments = u16::try_from(len.div_ceil(mss.max(1))).unwrap_or(u16::MAX).max(1);
        let many = self.ranges.len();
        let (snapshot, delivered) = (rates.on_sent(now, self.in_flight(), len), rates.delivered());
        if let Some(last) = self.ranges.back_mut().filter(|last| last.state == RangeState::InFlight)
            && (many >= MOST_RANGES || (many >= MANY_RANGES && last.len + len <= mss))
            && !last.was_retransmitted
        {
            last.len += len;
            last.segments = last.segments.saturating_add(segments);
            (last.sent_at, last.delivered, last.snapshot) = (now, delivered, snapshot);
            return;
        }
        self.ranges.push_back(SentRange {
            start: range.start,
            len,
            segments,
            sent_at: now,
            delivered,
            snapshot,
            state: RangeState::InFlight,
            was_retransmitted: false,
        });
    }

    /// SND.UNA is `una` now. Whether it moved.
    pub(crate) fn acknowledge(&mut self, una: SeqNum, delivered: &mut Delivered) -> bool {
        let mut has_moved = false;
        while let Some(first) = self.ranges.front_mut() {
            if first.start.at_or_after(una) {
                break;
            }
            has_moved = true;
            let len = una.since(first.start).min(first.len);
            let range = *first;
            if len == first.len {
                self.ranges.pop_front();
                if range.state == RangeState::Sacked {
                    self.sacked_segments -= u32::from(range.segments);
                }
            } else {
                (first.start, first.len) = (una, first.len - len);
            }
            self.uncount(range.state, len);
            if range.state != RangeState::Sacked {
                self.note(&range, len, delivered);
            }
        }
        if self.ranges.is_empty() {
            *self = Self::default();
        }
        has_moved
    }

    /// Whether the peer selectively acknowledged the first range: then it gave something up, as
    /// SND.UNA would have moved.
    pub(crate) fn is_first_sacked(&self) -> bool {
        self.ranges.front().is_some_and(|range| range.state == RangeState::Sacked)
    }

    /// The peer has `block`, which lies between SND.UNA and SND.NXT. As in Linux, only whole
    /// segments of `mss` count, and the rest of a range: a receiver has no use for a part of one,
    /// and a peer that names single bytes cuts nothing to pieces.
    pub(crate) fn sack(&mut self, block: Range<SeqNum>, mss: u32, delivered: &mut Delivered) {
        let (Some(first), Some(last)) = (self.ranges.front(), self.ranges.back()) else { return };
        let start = block.start.later(first.start);
        let end = if block.end.after(last.end()) { last.end() } else { block.end };
        if !start.before(end) {
            return;
        }
        let (start, end) = (self.whole(start, mss, true), self.whole(end, mss, false));
        if !start.before(end) {
            return;
        }
        let Some(begin) = self.split(start, true) else { return };
        let Some(until) = self.split(end, false) else { return };
        for at in begin..until {
            let range = self.ranges[at];
            if range.state == RangeState::Sacked {
                continue;
            }
            self.uncount(range.state, range.len);
            self.sacked += range.len;
            self.sacked_segments += u32::from(range.segments);
            self.ranges[at].state = RangeState::Sacked;
            self.note(&range, range.len, delivered);
        }
        self.join(begin, until);
    }

    /// Segments that go out from `nxt` on have another size than `mss`. One such change is known
    /// at a time: an earlier one was of what is nearly all acknowledged.
    pub(crate) fn on_new_mss(&mut self, nxt: SeqNum, mss: u32) {
        self.former = (!self.ranges.is_empty()).then_some((nxt, mss));
    }

    /// Where a segment of `mss` begins that `at` lies in: the next one for the start of a block,
    /// this one for its end. `at` itself where the peer has the range already.
    fn whole(&self, at: SeqNum, mss: u32, is_start: bool) -> SeqNum {
        let index = self.ranges.partition_point(|range| range.end().at_or_before(at));
        let Some(range) = self.ranges.get(index) else { return at };
        let head = at.since(range.start);
        if at.at_or_before(range.start) || range.state == RangeState::Sacked {
            return at;
        }
        // What went out again since segments have another size did so in that one.
        let former = self.former.filter(|(until, _)| range.start.before(*until));
        let sizes = [mss.max(1), former.map_or(mss, |(_, mss)| mss).max(1)];
        match is_start {
            true => {
                let [one, other] = sizes.map(|size| head.next_multiple_of(size));
                range.start + one.min(other).min(range.len)
            }
            false => {
                let [one, other] = sizes.map(|size| head / size * size);
                range.start + one.max(other)
            }
        }
    }

    /// Counts what was delivered, and whether it comes late.
    fn note(&mut self, range: &SentRange, len: u32, delivered: &mut Delivered) {
        let end = range.start + len;
        let below = |at: SeqNum| end.at_or_before(at);
        if let Some(highest) = delivered.highest.filter(|at| below(*at) && !range.was_retransmitted)
        {
            delivered.reordered_by = delivered.reordered_by.max(highest.since(range.start));
        }
        if !self.highest.is_some_and(below) {
            self.highest = Some(end);
        }
        delivered.add(range, len);
    }

    fn uncount(&mut self, state: RangeState, len: u32) {
        match state {
            RangeState::Sacked => self.sacked -= len,
            RangeState::Lost => self.lost -= len,
            RangeState::Retransmitted => self.retransmitted -= len,
            RangeState::InFlight => {}
        }
    }

    /// The index of the range that begins at `at`, made by a cut where there is none. Where no
    /// more ranges may be made: the next one behind, or (for an end) the one that holds it.
    fn split(&mut self, at: SeqNum, is_start: bool) -> Option<usize> {
        let index = self.ranges.partition_point(|range| range.end().at_or_before(at));
        let Some(range) = self.ranges.get_mut(index) else { return Some(index) };
        if range.start.at_or_after(at) {
            return Some(index);
        }
        if self.ranges.len() >= MOST_RANGES {
            return Some(index + usize::from(is_start));
        }
        let range = self.ranges.get_mut(index)?;
        let (head, was) = (at.since(range.start), u32::from(range.segments));
        let mut tail = *range;
        // In proportion, and each part at least one.
        let share = u64::from(range.segments) * u64::from(head) / u64::from(range.len);
        range.len = head;
        range.segments = u16::try_from(share).unwrap_or(u16::MAX).max(1);
        (tail.start, tail.len) = (at, tail.len - head);
        tail.segments = tail.segments.saturating_sub(range.segments).max(1);
        if range.state == RangeState::Sacked {
            let of = |range: &SentRange| u32::from(range.segments);
            self.sacked_segments += of(range) + of(&tail);
            self.sacked_segments -= was;
        }
        self.ranges.insert(index + 1, tail);
        Some(index + 1)
    }

    /// Makes one range of neighbours that the peer has: their times are of no more use.
    fn join(&mut self, begin: usize, until: usize) {
        let is_sacked =
            |range: Option<&SentRange>| range.is_some_and(|r| r.state == RangeState::Sacked);
        let mut first = begin;
        if first > 0 && is_sacked(self.ranges.get(first - 1)) {
            first -= 1;
        }
        let mut last = until;
        if is_sacked(self.ranges.get(last)) {
            last += 1;
        }
        if last <= first + 1 {
            return;
        }
        let end = self.ranges[last - 1].end();
        let start = self.ranges[first].start;
        let those = self.ranges.range(first..last);
        let segments: u32 = those.map(|range| u32::from(range.segments)).sum();
        let sum = u16::try_from(segments).unwrap_or(u16::MAX);
        self.sacked_segments -= segments - u32::from(sum);
        self.ranges[first].segments = sum;
        self.ranges[first].len = end.since(start);
        self.ranges.drain(first + 1..last);
    }

    /// Takes for lost whatever of the ranges on their way `is_lost` picks. Returns how many
    /// numbers those are. O(ranges).
    pub(crate) fn lose(&mut self, mut is_lost: impl FnMut(&SentRange) -> bool) -> u32 {
        let (mut lost, mut end) = (0, None);
        let newly = &mut self.newly_lost;
        for range in &mut self.ranges {
            let on_its_way =
                matches!(range.state, RangeState::InFlight | RangeState::Retransmitted);
            if on_its_way && is_lost(range) {
                if range.state == RangeState::Retransmitted {
                    self.retransmitted -= range.len;
                }
                range.state = RangeState::Lost;
                lost += range.len;
                newly.segments = newly.segments.saturating_add(range.segments);
                newly.holes += u16::from(end != Some(range.start));
                newly.snapshot = range.snapshot;
                end = Some(range.end());
            }
        }
        newly.numbers += lost;
        self.lost += lost;
        lost
    }

    /// What was taken for lost was not.
    pub(crate) fn find_all(&mut self) {
        for range in &mut self.ranges {
            if range.state == RangeState::Lost {
                range.state = match range.was_retransmitted {
                    true => RangeState::Retransmitted,
                    false => RangeState::InFlight,
                };
                if range.was_retransmitted {
                    self.retransmitted += range.len;
                }
            }
        }
        self.lost = 0;
    }

    /// RFC 2018 §8: after a timeout the peer may have given up what it had.
    pub(crate) fn forget_sacks(&mut self) {
        for range in &mut self.ranges {
            if range.state == RangeState::Sacked {
                range.state = RangeState::Lost;
                self.lost += range.len;
            }
        }
        (self.sacked, self.sacked_segments) = (0, 0);
    }

    /// The first numbers that are lost, without a gap: what went out in pieces, a FIN behind its
    /// data say, may go out again as one. O(ranges).
    pub(crate) fn first_lost(&self) -> Option<Range<SeqNum>> {
        if self.lost == 0 {
            return None;
        }
        let is_lost = |range: &&SentRange| range.state == RangeState::Lost;
        let mut lost = self.ranges.iter().skip_while(|range| !is_lost(range)).take_while(is_lost);
        let first = lost.next()?;
        let last = lost.last().unwrap_or(first);
        Some(first.start..last.end())
    }

    /// The numbers of `range` went out again.
    pub(crate) fn retransmitted(&mut self, range: Range<SeqNum>, now: Instant, rates: &mut Rates) {
        let len = range.end.since(range.start);
        let (snapshot, delivered) = (rates.on_sent(now, self.in_flight(), len), rates.delivered());
        let Some(begin) = self.split(range.start, true) else { return };
        let Some(until) = self.split(range.end, false) else { return };
        for at in begin..until.min(self.ranges.len()) {
            let range = self.ranges[at];
            if range.state == RangeState::Sacked {
                continue;
            }
            self.uncount(range.state, range.len);
            self.retransmitted += range.len;
            let again = SentRange {
                sent_at: now,
                delivered,
                snapshot,
                state: RangeState::Retransmitted,
                was_retransmitted: true,
                ..range
            };
            self.ranges[at] = again;
        }
    }

    /// The highest numbers that are on their way, a segment of them: what a tail loss probe
    /// repeats.
    pub(crate) fn tail(&self, flight: &Flight) -> Option<Range<SeqNum>> {
        let last = self.ranges.iter().rev().find(|range| range.state != RangeState::Sacked)?;
        let has_fin = flight.has_fin && last.end() == flight.nxt;
        let len = last.len.min(flight.mss + u32::from(has_fin));
        Some(last.end() - len..last.end())
    }
}

#[cfg(test)]
mod tests;
