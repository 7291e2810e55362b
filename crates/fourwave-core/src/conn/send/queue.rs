//! Bytes that wait to be sent or acknowledged: shared chunks, never copied.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

/// Chunks smaller than this are gathered into blocks: an application that writes a byte at a time
/// shall not fill the queue with a million chunks.
const SMALL: usize = 1024;
/// Size of such a block.
const BLOCK: usize = 4096;

/// The queue. Offsets count from its front, which is the oldest unacknowledged byte. Holds no
/// memory when empty.
#[derive(Debug, Default, Clone, Hash)]
pub(crate) struct SendQueue {
    chunks: VecDeque<Bytes>,
    /// Small pieces behind the last chunk, not asked for yet. Boxed: most connections have none.
    tail: Option<Box<BytesMut>>,
    len: u32,
    /// The chunk in which the last range ended, and the offset at which that chunk starts: the
    /// next range usually starts there, so finding it costs O(1) however many chunks there are.
    cursor: (u32, u32),
}

impl SendQueue {
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a chunk; the caller keeps the whole below 2³¹ bytes. A small one is copied.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len() as u32;
        if chunk.len() < SMALL {
            let tail = self.tail.get_or_insert_default();
            if tail.capacity() - tail.len() < chunk.len() {
                let full = core::mem::replace(&mut **tail, BytesMut::with_capacity(BLOCK));
                if !full.is_empty() {
                    self.chunks.push_back(full.freeze());
                }
            }
            tail.extend_from_slice(&chunk);
            return;
        }
        self.close_tail();
        self.chunks.push_back(chunk);
    }

    /// The small pieces become a chunk; what is free of their block serves the next ones.
    fn close_tail(&mut self) {
        if let Some(tail) = self.tail.as_mut().filter(|tail| !tail.is_empty()) {
            self.chunks.push_back(tail.split().freeze());
        }
    }

    /// Forgets the first `n` bytes, which were acknowledged. Amortised O(1).
    pub(crate) fn acknowledge(&mut self, n: u32) {
        let n = n.min(self.len);
        self.len -= n;
        if n > 0 {
            self.close_tail();
        }
        let (mut index, start) = self.cursor;
        let mut left = n as usize;
        while let Some(front) = self.chunks.front_mut() {
            if left < front.len() {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.chunks.pop_front();
            index = index.saturating_sub(1);
        }
        self.cursor = if index == 0 { (0, 0) } else { (index, start - n) };
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// Appends the chunks of `offset..offset + len` to `out`. What lies beyond the end is left
    /// out.
    pub(crate) fn gather(&mut self, offset: u32, len: u32, out: &mut Vec<Bytes>) {
        if len == 0 {
            return;
        }
        self.close_tail();
        let (mut index, mut start) = if offset >= self.cursor.1 { self.cursor } else { (0, 0) };
        let mut offset = offset;
        let mut left = len;
        while let Some(chunk) = self.chunks.get(index as usize) {
            let size = chunk.len() as u32;
            if offset < start + size {
                let from = offset - start;
                let take = left.min(size - from);
                out.push(chunk.slice(from as usize..(from + take) as usize));
                left -= take;
                offset += take;
                if left == 0 {
                    break;
                }
            }
            start += size;
            index += 1;
        }
        self.cursor = (index, start);
    }

    /// Drops everything, memory too.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_at_a_time_makes_few_chunks() {
        let mut queue = SendQueue::default();
        for i in 0..10_000u32 {
            queue.push(Bytes::copy_from_slice(&i.to_be_bytes()[3..]));
        }
        let mut out = Vec::new();
        queue.gather(0, 10_000, &mut out);
        assert!(out.len() <= 3, "{} chunks", out.len());
        queue.acknowledge(10_000);
        assert_eq!(queue.chunks.capacity(), 0);
        assert!(queue.tail.is_none());
    }

    proptest! {
        /// Against one plain vector.
        #[test]
        fn ranges_are_those_of_a_plain_vector(
            steps in proptest::collection::vec((0u8..3, 0u32..3000, 1u32..2000), 1..100)
        ) {
            let mut queue = SendQueue::default();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            for (what, a, b) in steps {
                match what {
                    0 => {
                        let chunk: Vec<u8> = (0..b).map(|i| next.wrapping_add(i as u8)).collect();
                        next = next.wrapping_add(b as u8);
                        model.extend_from_slice(&chunk);
                        queue.push(chunk.into());
                    }
                    1 => {
                        let n = a.min(queue.len());
                        queue.acknowledge(n);
                        model.drain(..n as usize);
                    }
                    _ => {
                        let from = a.min(queue.len());
                        let len = b.min(queue.len() - from);
                        let mut out = Vec::new();
                        queue.gather(from, len, &mut out);
                        let got: Vec<u8> = out.concat();
                        prop_assert_eq!(&got[..], &model[from as usize..(from + len) as usize]);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
            }
        }
    }
}
