//! Tells states of an engine apart for the model checker: a hash in which time is relative, so
//! that the same situation an hour later is the same state.

use core::hash::Hasher;

use crate::time::Instant;

/// Hashes with `now` as zero: instants come by `write_i128`, timestamps (RFC 7323) by
/// `write_i64`, and nothing else in the engine's records does.
pub(crate) struct Printer<'a, H> {
    pub(crate) now: Instant,
    pub(crate) inner: &'a mut H,
}

impl<H: Hasher> Hasher for Printer<'_, H> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_u8(&mut self, n: u8) {
        self.inner.write_u8(n);
    }

    fn write_u32(&mut self, n: u32) {
        self.inner.write_u32(n);
    }

    fn write_u64(&mut self, n: u64) {
        self.inner.write_u64(n);
    }

    fn write_i128(&mut self, micros: i128) {
        self.inner.write_u64((micros as u64).wrapping_sub(self.now.as_micros()));
    }

    fn write_i64(&mut self, timestamp: i64) {
        let clock = (self.now.as_micros() / 1000) as u32;
        self.inner.write_u32((timestamp as u32).wrapping_sub(clock));
    }
}
