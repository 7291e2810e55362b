//! What moves through the gateway: figures for the summary and for knowing when all is quiet.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sums over all relays.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    owed: AtomicU64,
    relays: AtomicU64,
}

impl Traffic {
    /// Bytes came from the program, and are owed to the host for as long as the answer lives.
    pub(crate) fn up(&self, bytes: usize) -> Counted<'_> {
        let bytes = bytes as u64;
        self.up.fetch_add(bytes, Ordering::Relaxed);
        Counted::new(&self.owed, bytes)
    }

    /// Bytes of the program's that hosts have not taken yet.
    pub(crate) fn owed(&self) -> u64 {
        self.owed.load(Ordering::Relaxed)
    }

    /// Bytes went from the host to the program.
    pub(crate) fn down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a relay for as long as the answer lives.
    pub(crate) fn relay(&self) -> Counted<'_> {
        Counted::new(&self.relays, 1)
    }

    /// Relays that have not ended.
    pub(crate) fn relays(&self) -> u64 {
        self.relays.load(Ordering::Relaxed)
    }

    /// Bytes moved in both directions.
    pub(crate) fn moved(&self) -> u64 {
        self.up.load(Ordering::Relaxed).wrapping_add(self.down.load(Ordering::Relaxed))
    }
}

/// An amount that is part of a sum until this is dropped.
#[must_use]
pub(crate) struct Counted<'a> {
    sum: &'a AtomicU64,
    amount: u64,
}

impl<'a> Counted<'a> {
    fn new(sum: &'a AtomicU64, amount: u64) -> Self {
        sum.fetch_add(amount, Ordering::Relaxed);
        Self { sum, amount }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.amount, Ordering::Relaxed);
    }
}
