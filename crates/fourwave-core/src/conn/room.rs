//! How much a write takes, and when a writer that found no room hears of some.

use super::{Connection, Ctx, Signals};
use crate::config::Config;
use crate::memory::MemoryLevel;

/// No send buffer is larger: sequence numbers compare within 2³¹.
const LARGEST_SEND_BUFFER: u32 = 1 << 30;
/// What Linux expects of each segment of the congestion window, sent and to be sent, when it sizes
/// a buffer by itself and counts overhead.
const FOR_A_SEGMENT: u32 = 2 * 2304;
/// The most text of one of Linux's buffers.
const LARGEST_CHUNK: u32 = 65_215;
/// Up to this, a peer's window says nothing about how large a chunk may be.
const SMALL_WINDOW: u32 = 536;
/// Chunks of more segments count as several.
const SEGMENTS_OF_A_CHUNK: u32 = 10;

impl Connection {
    /// Bytes that the send buffer has: what keeps the path full, more would only wait.
    fn buffer_limit(&self, config: &Config, memory: MemoryLevel) -> u32 {
        let limit = self.buffer_wanted(config, memory);
        if memory == MemoryLevel::Over { limit.min(config.tcp_wmem_min as u32) } else { limit }
    }

    fn buffer_wanted(&self, config: &Config, memory: MemoryLevel) -> u32 {
        match self.tuning.as_ref().map_or(0, |tuning| tuning.send_buffer) {
            0 if memory != MemoryLevel::Normal => {
                config.tcp_wmem_default.min(config.tcp_wmem_max) as u32
            }
            0 => {
                let grown = match config.tcp_wmem_overhead {
                    0 => self.sender.send_buffer(),
                    _ => (self.sender.cwnd() / self.snd.mss.max(1)).saturating_mul(FOR_A_SEGMENT),
                };
                grown.max(config.tcp_wmem_default as u32).min(config.tcp_wmem_max as u32)
            }
            set => set.min(LARGEST_SEND_BUFFER),
        }
    }

    /// Bytes of it that are in use.
    fn buffer_used(&self, config: &Config) -> u32 {
        let text = self.snd.queue.len();
        if config.tcp_wmem_overhead == 0 {
            return text;
        }
        let counted = self.chunk().min(SEGMENTS_OF_A_CHUNK.saturating_mul(self.snd.mss)).max(1);
        let overhead = text.div_ceil(counted).saturating_mul(config.tcp_wmem_overhead as u32);
        text.saturating_add(overhead)
    }

    fn not_sent_lowat(&self, config: &Config) -> u32 {
        match self.tuning.as_ref().map_or(0, |tuning| tuning.not_sent_lowat) {
            0 => config.tcp_notsent_lowat as u32,
            set => set,
        }
    }

    /// Text of a full chunk, where overhead is counted: whole segments, of half the largest window
    /// that the peer offered at most.
    fn chunk(&self) -> u32 {
        let mss = self.snd.mss.max(1);
        let window = self.snd.max_window;
        let bound = if window > SMALL_WINDOW { window / 2 } else { window };
        let bytes = if bound == 0 { LARGEST_CHUNK } else { bound.min(LARGEST_CHUNK) };
        (bytes / mss * mss).max(mss)
    }

    /// Bytes that [`send`](Self::send) would take now.
    pub(crate) fn send_room(&self, config: &Config, memory: MemoryLevel) -> u32 {
        let free = self.buffer_limit(config, memory).saturating_sub(self.buffer_used(config));
        let unsent = self.snd.unsent();
        let lowat = self.not_sent_lowat(config);
        if config.tcp_wmem_overhead == 0 {
            return free.min(lowat.saturating_sub(unsent));
        }
        // The rest of the last chunk, whatever the limit says, or a new one.
        let chunk = self.chunk();
        match unsent % chunk {
            0 if free > 0 && unsent < lowat => chunk,
            0 => 0,
            last => chunk - last,
        }
    }

    /// Whether a writer that waits should go on: a third of the send buffer is free and half of
    /// what may be unsent is sent, as Linux has it. Waking it for less costs more than it moves.
    pub(crate) fn is_writable(&self, config: &Config, memory: MemoryLevel) -> bool {
        let used = self.buffer_used(config);
        let free = self.buffer_limit(config, memory).saturating_sub(used);
        let is_sent = self.snd.unsent().saturating_mul(2) < self.not_sent_lowat(config);
        free > 0 && free >= used / 2 && is_sent
    }

    /// Tells a writer that found no room once there is enough.
    pub(super) fn wake_writer(&mut self, ctx: &Ctx<'_>) {
        if self.snd.starved && self.is_writable(ctx.config, ctx.memory) {
            self.snd.starved = false;
            self.handle.signals.set(Signals::WRITABLE);
        }
    }
}
