//! One budget for the buffers of all connections (`tcp_mem`).
//!
//! Counted are the bytes that wait to be sent, acknowledged, read or completed, and
//! [`PIECE`] for each piece of what was received: what its packet takes beside them. The engine
//! counts around each step of a connection, so a packet costs O(1).

use crate::config::Config;

/// What a received piece costs beside its bytes: its place in a queue and its share of a packet
/// buffer. Counted, so that a flood of tiny segments hits every limit too.
pub(crate) const PIECE: usize = 256;

/// How much of the budget is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum MemoryLevel {
    /// Buffers grow as they like.
    #[default]
    Normal,
    /// No buffer grows by itself, and out-of-order data goes first.
    Pressure,
    /// Beyond the minimum of each connection nothing is taken any more.
    Over,
}

/// The budget's account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    used: u64,
    level: MemoryLevel,
}

impl Memory {
    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn level(&self) -> MemoryLevel {
        self.level
    }

    /// A connection holds so many bytes more, or less. Whether pressure begins.
    #[inline]
    pub(crate) fn moved(&mut self, bytes: i64, config: &Config) -> bool {
        self.used = self.used.wrapping_add_signed(bytes);
        if self.level == MemoryLevel::Normal && self.used <= config.tcp_mem_pressure {
            return false;
        }
        self.judge(config)
    }

    /// As in Linux, pressure begins above the one knob and ends below the other.
    #[cold]
    fn judge(&mut self, config: &Config) -> bool {
        let was = self.level;
        self.level = match self.used {
            used if used > config.tcp_mem_high => MemoryLevel::Over,
            used if used > config.tcp_mem_pressure => MemoryLevel::Pressure,
            used if used > config.tcp_mem_low && was != MemoryLevel::Normal => {
                MemoryLevel::Pressure
            }
            _ => MemoryLevel::Normal,
        };
        was == MemoryLevel::Normal && self.level != MemoryLevel::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_begins_above_one_knob_and_ends_below_the_other() {
        let config = Config {
            tcp_mem_low: 1000,
            tcp_mem_pressure: 2000,
            tcp_mem_high: 3000,
            ..Config::default()
        };
        let mut memory = Memory::default();
        let mut to = |used| {
            let begins = memory.moved(used - memory.used() as i64, &config);
            (memory.level(), begins)
        };
        use MemoryLevel::{Normal, Over, Pressure};
        assert_eq!(to(2000), (Normal, false));
        assert_eq!(to(2001), (Pressure, true));
        assert_eq!(to(3000), (Pressure, false));
        assert_eq!(to(3001), (Over, false));
        assert_eq!(to(1001), (Pressure, false));
        assert_eq!(to(1000), (Normal, false));
        assert_eq!(to(5000), (Over, true));
        assert_eq!(to(0), (Normal, false));
    }
}
