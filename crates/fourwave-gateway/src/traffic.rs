//! What moves through the gateway: figures for the summary and for knowing when all is quiet.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sums over all relays.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    owed: AtomicU64,
    relays: AtomicU64,
    owing: AtomicU64,
}

impl Traffic {
    /// Bytes came from the program, and are owed to the host for as long as the answer lives.
    pub(crate) fn up(&self, bytes: usize) -> OwedGuard<'_> {
        let bytes = bytes as u64;
        self.up.fetch_add(bytes, Ordering::Relaxed);
        self.owed.fetch_add(bytes, Ordering::Relaxed);
        OwedGuard(self, bytes)
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
        Counted::new(&self.relays)
    }

    /// Counts a relay that holds data of the program for which the host has no room, for as long
    /// as the answer lives.
    pub(crate) fn owe(&self) -> Counted<'_> {
        Counted::new(&self.owing)
    }

    /// Whether data of the program waits for room at the host.
    pub(crate) fn is_owing(&self) -> bool {
        self.owing.load(Ordering::Relaxed) > 0
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

/// One more in a count until dropped.
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Traffic::up`].
#[must_use]
pub(crate) struct OwedGuard<'a>(&'a Traffic, u64);

impl Drop for OwedGuard<'_> {
    fn drop(&mut self) {
        self.0.owed.fetch_sub(self.1, Ordering::Relaxed);
    }
}
