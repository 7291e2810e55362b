//! What is explored: the bounds of a search.

use std::fmt;

use fourwave_core::Config;
use fourwave_core::time::Duration;

use crate::action::End;

/// The bounds of a search. [`Display`](fmt::Display) writes the arguments that ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Faults of the network in all: a segment lost, copied or held back is one.
    pub faults: u8,
    /// Bytes that client and server may send at most, one at a time.
    pub bytes: [u8; 2],
    /// The same for the second incarnation.
    pub second_bytes: [u8; 2],
    /// The only fault is a copy.
    pub copies_only: bool,
    /// `tcp_timestamps`.
    pub timestamps: bool,
    /// `tcp_timewait_len` in seconds.
    pub time_wait: u64,
    /// `tcp_rfc1337`.
    pub rfc1337: bool,
    /// Connections on the same four numbers, one after the other: 1 or 2.
    pub incarnations: u8,
    /// Programs close only when they have read the end of the stream or an error.
    pub polite: bool,
    /// Connections live no longer than a tick of the clock of initial sequence numbers, 4 µs: they
    /// outrun it, as any connection of more than 250 kB/s does. Else they live for 1 ms at least.
    pub fast: bool,
    /// Judge only what programs read, not how connections end.
    pub streams_only: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            faults: 0,
            bytes: [0, 0],
            second_bytes: [0, 0],
            copies_only: false,
            timestamps: true,
            time_wait: 60,
            rfc1337: false,
            incarnations: 1,
            polite: false,
            fast: false,
            streams_only: false,
        }
    }
}

impl Setup {
    /// How much the program at `end` may send in an incarnation.
    pub(crate) fn limit(&self, end: End, incarnation: usize) -> u8 {
        let bytes = if incarnation == 0 { self.bytes } else { self.second_bytes };
        bytes[end.index()]
    }

    /// By how much the clock moves when a connection ends. Nothing else takes time but timers.
    pub(crate) fn life(&self) -> Duration {
        if self.fast { Duration::from_micros(4) } else { Duration::from_millis(1) }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            tcp_timestamps: self.timestamps.into(),
            tcp_timewait_len: self.time_wait,
            tcp_rfc1337: self.rfc1337.into(),
            ..Config::default()
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, bytes: [c, s], timestamps, time_wait, rfc1337, incarnations, .. } = self;
        write!(f, "--faults {faults} --bytes {c},{s}")?;
        if !timestamps {
            f.write_str(" --no-timestamps")?;
        }
        if *time_wait != 60 {
            write!(f, " --time-wait {time_wait}")?;
        }
        if *rfc1337 {
            f.write_str(" --rfc1337")?;
        }
        if *incarnations != 1 {
            let [c, s] = self.second_bytes;
            write!(f, " --incarnations {incarnations} --second-bytes {c},{s}")?;
        }
        if self.copies_only {
            f.write_str(" --copies-only")?;
        }
        if self.polite {
            f.write_str(" --polite")?;
        }
        if self.fast {
            f.write_str(" --fast")?;
        }
        if self.streams_only {
            f.write_str(" --streams-only")?;
        }
        Ok(())
    }
}
