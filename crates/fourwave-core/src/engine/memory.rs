//! The account of what all buffers hold, and who gives some of it back.

use super::Engine;
use crate::memory::MemoryLevel;

/// Connections that are looked at for each packet that arrives under pressure.
const LOOKED_AT: u32 = 2;

impl Engine {
    /// A connection holds so many bytes more, or less.
    #[inline]
    pub(super) fn memory_moved(&mut self, bytes: i64) {
        let begins = self.memory.moved(bytes, &self.config);
        self.counters.memory_pressures += u64::from(begins);
    }

    /// Takes the connection at `index` out, and what it holds off the account.
    pub(super) fn remove_conn(&mut self, index: u32) {
        if let Some(conn) = self.records.conns.remove(index) {
            self.memory_moved(-(conn.held() as i64));
        }
    }

    /// Under pressure out-of-order data goes first: a few connections are looked at for each
    /// packet, in turn, so that all are after as many packets as there are connections. O(1); what
    /// is dropped was paid for when it came.
    #[inline]
    pub(super) fn reclaim(&mut self) {
        if self.memory.level() != MemoryLevel::Normal {
            self.look_at_some();
        }
    }

    #[cold]
    fn look_at_some(&mut self) {
        for _ in 0..LOOKED_AT {
            self.hand = if self.hand == 0 { self.records.conns.slots() } else { self.hand } - 1;
            let Some(conn) = self.records.conns.get_mut(self.hand) else { continue };
            let before = conn.held();
            if conn.prune(&self.config) {
                self.counters.rcv_pruned += 1;
                let moved = conn.held() as i64 - before as i64;
                self.memory_moved(moved);
            }
        }
    }
}
