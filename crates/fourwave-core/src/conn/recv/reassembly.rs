//! Segments that arrived before their predecessors.

use alloc::collections::BTreeMap;

use bytes::Bytes;

/// What a kept segment costs beside its bytes: its place in the map and its share of a packet
/// buffer. Counted, so that a flood of tiny segments hits the limit too.
const OVERHEAD: usize = 256;

/// Out-of-order bytes by stream offset, without overlaps. O(log n) for each operation.
#[derive(Debug, Default)]
#[cfg_attr(feature = "model", derive(Clone, Hash))]
pub(crate) struct Reassembly {
    segments: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Reassembly {
    /// Bytes kept, overhead not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Keeps the part of `data` (at stream offset `start`) that is new, where it fits into
    /// `limit` bytes of everything kept. Bytes that are there already stay as they are. False
    /// when there is no room.
    pub(crate) fn insert(&mut self, start: u64, data: Bytes, limit: usize) -> bool {
        if self.bytes + self.segments.len() * OVERHEAD + data.len() + OVERHEAD > limit {
            return false;
        }
        let (mut start, mut data) = (start, data);
        if let Some((&at, before)) = self.segments.range(..=start).next_back() {
            let end = at + before.len() as u64;
            if end > start {
                let known = (end - start) as usize;
                if known >= data.len() {
                    return true;
                }
                data = data.slice(known..);
                start = end;
            }
        }
        while let Some((&at, after)) = self.segments.range(start..start + data.len() as u64).next()
        {
            let (at_end, end) = (at + after.len() as u64, start + data.len() as u64);
            if at_end > end {
                data.truncate((at - start) as usize);
                break;
            }
            // The new segment covers it whole.
            self.bytes -= after.len();
            self.segments.remove(&at);
        }
        if !data.is_empty() {
            self.bytes += data.len();
            self.segments.insert(start, data);
        }
        true
    }

    /// The segment that continues the stream at `offset`, known bytes cut off its front.
    pub(crate) fn take(&mut self, offset: u64) -> Option<Bytes> {
        while let Some(first) = self.segments.first_entry() {
            let start = *first.key();
            if start > offset {
                return None;
            }
            let mut data = first.remove();
            self.bytes -= data.len();
            let known = (offset - start) as usize;
            if known < data.len() {
                return Some(data.split_off(known));
            }
        }
        None
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
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
                prop_assert!(reassembly.insert(start as u64, piece, 1 << 20));
                while let Some(data) = reassembly.take(offset) {
                    offset += data.len() as u64;
                    seen.extend_from_slice(&data);
                }
                let kept: usize = reassembly.segments.values().map(Bytes::len).sum();
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
            .filter(|i| reassembly.insert(i * 2, Bytes::from_static(b"x"), 64 * 1024))
            .count();
        assert_eq!(kept, 64 * 1024 / (OVERHEAD + 1));
    }
}
