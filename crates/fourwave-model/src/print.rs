//! Fingerprints: 64 bits that stand for a world.

use std::hash::{BuildHasherDefault, Hasher};

/// A quick hash, good enough for a set of worlds: multiply, rotate, and a last mix.
#[derive(Clone, Copy, Default)]
pub(crate) struct Print(u64);

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Print {
    fn add(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word.wrapping_add(ODD)) * 0xd1b5_4a32_d192_ed03_u128;
        self.0 = (wide as u64 ^ (wide >> 64) as u64).rotate_left(23).wrapping_add(ODD);
    }
}

impl Hasher for Print {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word) ^ (chunk.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.add(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.add(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }

    fn finish(&self) -> u64 {
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }
}

/// For keys that are fingerprints themselves.
#[derive(Clone, Copy, Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type Prints<V> = std::collections::HashMap<u64, V, BuildHasherDefault<Same>>;
