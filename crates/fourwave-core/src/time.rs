//! The engine's time: an argument, never a clock.

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A point in time in microseconds since an epoch of the caller's choice.
///
/// The engine only compares and subtracts; the epoch must stay the same for the life of a
/// [`Engine`](crate::Engine) and time must not run backwards. 64 bits last 584,000 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

/// Hashes a peer's timestamp (RFC 7323), which ticks as the clock does, by a call of its own too.
pub(crate) fn hash_timestamp(value: u32, state: &mut impl core::hash::Hasher) {
    state.write_i64(value.into());
}

// By a call of its own, so that a hasher can tell times from other numbers: a model checker takes
// them relative to its clock.
impl core::hash::Hash for Instant {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        match self.known() {
            Some(at) => state.write_i128(at.as_micros().into()),
            None => state.write_u8(0),
        }
    }
}

impl Instant {
    /// The epoch.
    pub const ZERO: Self = Self(0);
    /// Later than any time that comes: "no deadline" in the engine's compact fields.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `None` for "never".
    pub(crate) const fn known(self) -> Option<Self> {
        if self.0 == u64::MAX { None } else { Some(self) }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        let micros = u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
