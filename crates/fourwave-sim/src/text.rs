//! What the connections carry: text whose every byte is a function of its place.

use bytes::Bytes;

/// An endless text. Two texts, and two places of one, differ with near certainty within 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    key: u64,
}

impl Text {
    /// The text of one direction of one connection.
    pub fn new(seed: u64, conn: usize, side: usize) -> Self {
        Self { key: mix(seed ^ mix(conn as u64 * 2 + side as u64 + 1)) }
    }

    fn word(self, index: u64) -> [u8; 8] {
        mix(self.key.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))).to_le_bytes()
    }

    /// `len` bytes from `offset` on.
    pub fn chunk(self, offset: u64, len: usize) -> Bytes {
        let skip = (offset % 8) as usize;
        let words = (skip + len).div_ceil(8) as u64;
        let mut bytes = Vec::with_capacity(words as usize * 8);
        for index in offset / 8..offset / 8 + words {
            bytes.extend_from_slice(&self.word(index));
        }
        Bytes::from(bytes).slice(skip..skip + len)
    }

    /// The first place in `data` that is not what the text has from `offset` on.
    pub fn first_difference(self, offset: u64, data: &[u8]) -> Option<usize> {
        let right = self.chunk(offset, data.len());
        if right == data {
            return None;
        }
        right.iter().zip(data).position(|(a, b)| a != b)
    }
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_pieces_of_the_whole() {
        let text = Text::new(7, 3, 1);
        let whole = text.chunk(0, 1000);
        for (at, len) in [(0, 0), (0, 9), (3, 5), (5, 990), (8, 8), (991, 9)] {
            assert_eq!(text.chunk(at, len), whole[at as usize..at as usize + len]);
            assert_eq!(text.first_difference(at, &whole[at as usize..at as usize + len]), None);
        }
        let mut wrong = whole.to_vec();
        wrong[500] ^= 1;
        assert_eq!(text.first_difference(0, &wrong), Some(500));
        assert_ne!(Text::new(7, 3, 0).chunk(0, 8), whole[..8]);
    }
}
