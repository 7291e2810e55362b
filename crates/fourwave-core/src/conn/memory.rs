//! What a connection holds of the engine's budget, and what it may take of it yet (`tcp_mem`).

use super::{Connection, Ctx};
use crate::config::Config;
use crate::memory::MemoryLevel;

/// Full segments of a window under pressure, as in Linux.
const SEGMENTS_UNDER_PRESSURE: u32 = 4;

impl Connection {
    /// Bytes that it holds: see [`memory`](crate::memory). O(1).
    #[inline]
    pub(crate) fn held(&self) -> u64 {
        u64::from(self.snd.queue.len()) + self.rcv.cost()
    }

    /// Takes a step that changes the receive side, and what it holds then into the account.
    #[inline]
    pub(super) fn counted<T>(&mut self, ctx: &mut Ctx<'_>, step: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.rcv.cost();
        let done = step(self);
        ctx.moved += self.rcv.cost() as i64 - before as i64;
        done
    }

    /// What it may receive whatever the others hold, so that it still moves: `tcp_rmem`'s first
    /// number, or a segment.
    fn least_received(&self, config: &Config) -> u32 {
        (config.tcp_rmem_min as u32).max(self.rcv.mss)
    }

    /// The largest window that opens now. What was promised stays promised, whatever it is.
    #[inline]
    pub(super) fn window_cap(&self, ctx: &Ctx<'_>) -> u32 {
        match ctx.memory {
            MemoryLevel::Normal => u32::MAX,
            level => self.small_window(level, ctx.config),
        }
    }

    #[cold]
    fn small_window(&self, level: MemoryLevel, config: &Config) -> u32 {
        let least = self.least_received(config);
        match level {
            MemoryLevel::Over => least.saturating_sub(self.rcv.cost().min(u32::MAX.into()) as u32),
            _ => least.max(SEGMENTS_UNDER_PRESSURE.saturating_mul(self.rcv.mss)),
        }
    }

    /// How much of what is in order may be taken beyond the budget. Where that is not all, what is
    /// out of order goes before anything else does.
    #[cold]
    pub(super) fn room_in_order(&mut self, ctx: &mut Ctx<'_>) -> usize {
        let config = ctx.config;
        if self.counted(ctx, |conn| conn.prune(config)) {
            ctx.counters.rcv_pruned += 1;
        }
        u64::from(self.least_received(ctx.config)).saturating_sub(self.rcv.cost()) as usize
    }

    /// How much may be kept out of order, overhead included; `None` for what the buffer allows.
    pub(super) fn room_out_of_order(&self, ctx: &Ctx<'_>) -> Option<usize> {
        if ctx.memory == MemoryLevel::Normal {
            return None;
        }
        let rest = u64::from(self.least_received(ctx.config));
        Some(rest.saturating_sub(self.rcv.cost_in_order()) as usize)
    }

    /// Drops what is out of order, where more than the minimum is held: it was not acknowledged,
    /// and its sender keeps it (RFC 2018 §8). Whether there was some.
    pub(crate) fn prune(&mut self, config: &Config) -> bool {
        let is_much = self.rcv.cost() > self.least_received(config).into();
        let prunes = is_much && self.rcv.has_gap();
        if prunes {
            self.rcv.give_up();
        }
        prunes
    }

    /// Whether it holds more than its minimum for a peer while nobody holds it any more.
    pub(crate) fn is_costly_orphan(&self, level: MemoryLevel, config: &Config) -> bool {
        let queued = u64::from(self.snd.queue.len());
        self.handle.orphan && level == MemoryLevel::Over && queued > config.tcp_wmem_min
    }
}
