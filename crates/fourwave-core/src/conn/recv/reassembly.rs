//! Segments that arrived before their predecessors.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Range;

use bytes::Bytes;
use fourwave_wire::options::MAX_SACK_BLOCKS;

use crate::memory::PIECE;

/// Out-of-order bytes by stream offset, without overlaps; costs memory only while there are some.
/// O(log n) for each operation.
#[derive(Debug, Default, Clone, Hash)]
pub(crate) struct Reassembly(Option<Box<Kept>>);

#[derive(Debug, Default, Clone, Hash)]
struct Kept {
    segments: BTreeMap<u64, Bytes>,
    bytes: usize,
    /// What SACK names: stretches without a gap, the one that changed last first (RFC 2018 §4).
    blocks: [Range<u64>; MAX_SACK_BLOCKS],
}

impl Reassembly {
    /// Bytes kept, overhead not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.bytes)
    }

    /// Bytes kept, overhead counted.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        self.0.as_deref().map_or(0, Kept::cost)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|kept| kept.segments.is_empty())
    }

    /// Stretches that SACK may name, the one that changed last first; at most four. With more
    /// gaps the oldest is forgotten, which only makes the peer's knowledge smaller.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let blocks = self.0.iter().flat_map(|kept| kept.blocks.iter());
        blocks.filter(|block| !block.is_empty()).cloned()
    }

    /// Keeps the part of `data` (at stream offset `start`) that is new, where it fits into
    /// `limit` bytes of everything kept. Bytes that are there already stay as they are, and the
    /// first stretch of them goes into `known`.
    pub(crate) fn insert(
        &mut self,
        start: u64,
        data: Bytes,
        limit: usize,
        known: &mut Range<u64>,
    ) -> Insertion {
        self.0.get_or_insert_default().insert(start, data, limit, known)
    }

    /// The segment that continues the stream at `offset`, known bytes cut off its front. The first
    /// stretch of such bytes goes into `known`.
    pub(crate) fn take(&mut self, offset: u64, known: &mut Range<u64>) -> Option<Bytes> {
        let kept = self.0.as_mut()?;
        let taken = kept.take(offset, known);
        if kept.segments.is_empty() {
            self.0 = None;
        }
        taken
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

/// What became of a segment out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// Some of it is new.
    New,
    /// All of it was there.
    Known,
    /// There is no room for it.
    NoRoom,
}

impl Kept {
    fn cost(&self) -> usize {
        self.bytes + self.segments.len() * PIECE
    }

    fn insert(
        &mut self,
        start: u64,
        data: Bytes,
        limit: usize,
        known: &mut Range<u64>,
    ) -> Insertion {
        if self.cost() + data.len() + PIECE > limit {
            return Insertion::NoRoom;
        }
        let whole = start..start + data.len() as u64;
        let (mut start, mut data) = (start, data);
        if let Some((&at, before)) = self.segments.range(..=start).next_back() {
            let end = at + before.len() as u64;
            if end > start {
                extend(known, start..end.min(whole.end));
                if end >= whole.end {
                    self.note(whole);
                    return Insertion::Known;
                }
                data = data.slice((end - start) as usize..);
                start = end;
            }
        }
        while let Some((&at, after)) = self.segments.range(start..start + data.len() as u64).next()
        {
            let (at_end, end) = (at + after.len() as u64, start + data.len() as u64);
            extend(known, at..at_end.min(end));
            if at_end > end {
                data.truncate((at - start) as usize);
                break;
            }
            // The new segment covers it whole.
            self.bytes -= after.len();
            self.segments.remove(&at);
        }
        self.note(whole);
        if data.is_empty() {
            return Insertion::Known;
        }
        self.bytes += data.len();
        self.segments.insert(start, data);
        Insertion::New
    }

    /// Puts `new`, joined with the blocks that touch it, before the others.
    fn note(&mut self, mut new: Range<u64>) {
        let mut others: [Range<u64>; MAX_SACK_BLOCKS] = Default::default();
        let mut left = 0;
        for block in self.blocks.iter().filter(|block| !block.is_empty()) {
            if block.start <= new.end && new.start <= block.end {
                new = new.start.min(block.start)..new.end.max(block.end);
            } else {
                others[left] = block.clone();
                left += 1;
            }
        }
        others.rotate_right(1);
        others[0] = new;
        self.blocks = others;
    }

    fn take(&mut self, offset: u64, known: &mut Range<u64>) -> Option<Bytes> {
        while let Some(first) = self.segments.first_entry() {
            let start = *first.key();
            if start > offset {
                return None;
            }
            let mut data = first.remove();
            self.bytes -= data.len();
            let front = (offset - start) as usize;
            extend(known, start..(start + data.len() as u64).min(offset));
            if front < data.len() {
                self.passed(start + data.len() as u64);
                return Some(data.split_off(front));
            }
        }
        None
    }

    /// The stream goes on to `offset` at least: blocks before it are acknowledged.
    fn passed(&mut self, offset: u64) {
        for block in &mut self.blocks {
            if block.start < offset {
                *block = 0..0;
            }
        }
    }
}

/// The first stretch of what is known grows by one that follows it; others are left out, for
/// there is one place to name them in (RFC 2883 §4).
fn extend(known: &mut Range<u64>, stretch: Range<u64>) {
    if known.is_empty() {
        *known = stretch;
    } else if stretch.start == known.end {
        known.end = stretch.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// Whatever pieces of one text arrive in whatever order, the text comes out.
        #[test]
        fn the_text_comes_out(
            pieces in proptest::collection::vec((0usize..500, 1usize..120), 1..80)
        ) {
            let text: Vec<u8> = (0..1000usize).map(|i| (i * 7 % 251) as u8).collect();
            let mut reassembly = Reassembly::default();
            let mut offset = 0u64;
            let mut seen = Vec::new();
            for (start, len) in pieces.into_iter().chain((0..10).map(|i| (i * 100, 100))) {
                let piece = Bytes::copy_from_slice(&text[start..start + len]);
                let inserted = reassembly.insert(start as u64, piece, 1 << 20, &mut (0..0));
                prop_assert!(inserted != Insertion::NoRoom);
                while let Some(data) = reassembly.take(offset, &mut (0..0)) {
                    offset += data.len() as u64;
                    seen.extend_from_slice(&data);
                }
                let segments = reassembly.0.iter().flat_map(|kept| kept.segments.values());
                let kept: usize = segments.map(Bytes::len).sum();
                prop_assert_eq!(kept, reassembly.bytes());
            }
            prop_assert_eq!(&seen[..], &text[..]);
            prop_assert!(reassembly.is_empty());
        }
    }

    #[test]
    fn tiny_segments_hit_the_limit_too() {
        let mut reassembly = Reassembly::default();
        let kept = (1..1000u64)
            .filter(|i| {
                let byte = Bytes::from_static(b"x");
                reassembly.insert(i * 2, byte, 64 * 1024, &mut (0..0)) == Insertion::New
            })
            .count();
        assert_eq!(kept, 64 * 1024 / (PIECE + 1));
    }

    #[test]
    fn rfc2018_4_the_stretch_that_changed_last_comes_first() {
        let mut reassembly = Reassembly::default();
        let mut insert = |at: u64, len: usize| {
            let data = Bytes::copy_from_slice(&[0; 100][..len]);
            let done = reassembly.insert(at, data, 1 << 20, &mut (0..0));
            (done, reassembly.blocks().collect::<Vec<_>>())
        };
        assert_eq!(insert(10, 10), (Insertion::New, alloc::vec![10..20]));
        assert_eq!(insert(30, 10), (Insertion::New, alloc::vec![30..40, 10..20]));
        assert_eq!(insert(12, 3), (Insertion::Known, alloc::vec![10..20, 30..40]));
        assert_eq!(insert(20, 10), (Insertion::New, alloc::vec![10..40]));
        for at in [50, 60, 70, 80] {
            insert(at, 5);
        }
        let blocks: Vec<_> = reassembly.blocks().collect();
        assert_eq!(blocks, [80..85, 70..75, 60..65, 50..55]);
        assert_eq!(reassembly.take(10, &mut (0..0)).map(|data| data.len()), Some(10));
    }

    #[test]
    fn rfc2883_4_2_the_part_that_is_known_is_told() {
        let insert = |at: u64, len: usize| {
            let (mut reassembly, mut known) = (Reassembly::default(), 0..0);
            for at in [10, 30] {
                reassembly.insert(at, Bytes::from_static(&[0; 10]), 1 << 20, &mut (0..0));
            }
            let data = Bytes::copy_from_slice(&[0; 100][..len]);
            (reassembly.insert(at, data, 1 << 20, &mut known), known)
        };
        assert_eq!(insert(12, 5), (Insertion::Known, 12..17));
        assert_eq!(insert(15, 10), (Insertion::New, 15..20), "the front");
        assert_eq!(insert(5, 10), (Insertion::New, 10..15), "the back");
        assert_eq!(insert(5, 20), (Insertion::New, 10..20), "the middle");
        assert_eq!(insert(15, 20), (Insertion::New, 15..20), "the first of two");
        assert_eq!(insert(20, 10), (Insertion::New, 0..0), "nothing");
    }
}
