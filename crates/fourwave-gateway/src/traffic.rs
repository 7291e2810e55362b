//! What moves through the gateway: figures for the summary and for knowing when all is quiet.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sums over all relays.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    relays: AtomicU64,
}

impl Traffic {
    /// Bytes went from the program to the host.
    pub(crate) fn up(&self, bytes: usize) {
        self.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes went from the host to the program.
    pub(crate) fn down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a relay for as long as the answer lives.
    pub(crate) fn relay(&self) -> RelayGuard<'_> {
        self.relays.fetch_add(1, Ordering::Relaxed);
        RelayGuard(self)
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

/// See [`Traffic::relay`].
pub(crate) struct RelayGuard<'a>(&'a Traffic);

impl Drop for RelayGuard<'_> {
    fn drop(&mut self) {
        self.0.relays.fetch_sub(1, Ordering::Relaxed);
    }
}
