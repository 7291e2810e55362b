//! When events happen, and whether something happened in time.

use std::time::Duration;

use crate::ast::Time;
use crate::run::Options;

/// Nanoseconds since the script began; a tolerance may take it below zero.
pub(crate) type Nanos = i64;

/// How long an outbound packet is waited for beyond its time.
const PATIENCE: Nanos = 2_000_000_000;
/// How long one that may come at any time is waited for.
const ANY_PATIENCE: Nanos = 120_000_000_000;

pub(crate) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

pub(crate) fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// When an event is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) start: Nanos,
    /// Later than `start` for a range.
    pub(crate) end: Nanos,
    /// Any time will do.
    pub(crate) any: bool,
    /// What the event's relative times count from.
    pub(crate) offset: Nanos,
    /// When the event before was to happen.
    pub(crate) previous: Nanos,
}

impl Plan {
    /// `from`: what relative times count from.
    pub(crate) fn new(time: Time, from: Nanos, previous: Nanos) -> Self {
        let (start, end, offset, any) = match time {
            Time::At(at) => (nanos(at), nanos(at), 0, false),
            Time::Between(a, b) => (nanos(a), nanos(b), 0, false),
            Time::After(gap) => {
                let at = from.saturating_add(nanos(gap));
                (at, at, from, false)
            }
            Time::AfterBetween(a, b) => {
                (from.saturating_add(nanos(a)), from.saturating_add(nanos(b)), from, false)
            }
            Time::Any => (from, from, from, true),
        };
        Self { start, end, any, offset, previous }
    }

    /// The same for the moment at which a blocking call returns.
    pub(crate) fn until(&self, time: Time, until: Duration) -> Self {
        let relative = matches!(time, Time::After(_));
        let at = nanos(until).saturating_add(if relative { self.offset } else { 0 });
        Self { start: at, end: at, ..*self }
    }

    /// Until when an outbound packet is waited for.
    pub(crate) fn deadline(&self) -> Nanos {
        self.end.saturating_add(if self.any { ANY_PATIENCE } else { PATIENCE })
    }

    fn tolerance(&self, options: &Options) -> Nanos {
        let gap = self.start.saturating_sub(self.previous).max(0);
        let share = (gap as f64 * options.tolerance_percent / 100.0) as Nanos;
        share.max(options.tolerance_usecs as Nanos * 1000)
    }

    /// Whether `at` is in time.
    ///
    /// # Errors
    /// The expected and the actual time, in words.
    pub(crate) fn verify(&self, at: Nanos, options: &Options) -> Result<(), (String, String)> {
        let tolerance = self.tolerance(options);
        let early = at < self.start.saturating_sub(tolerance);
        let late = at > self.end.saturating_add(tolerance);
        if self.any || !(early || late) {
            return Ok(());
        }
        let wanted = match self.start == self.end {
            true => seconds(self.start),
            false => format!("{}~{}", seconds(self.start), seconds(self.end)),
        };
        Err((wanted, seconds(at)))
    }
}

/// A time as scripts write it, as exact as it is needed.
pub(crate) fn seconds(at: Nanos) -> String {
    let micros = at / 1000;
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, part) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let text = format!("{sign}{whole}.{part:06}");
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_tolerance_is_the_larger_of_4_ms_and_an_eighth_of_the_gap() {
        let options = Options::default();
        let near = Plan::new(Time::After(ms(10)), 100 * MS, 100 * MS);
        assert!(near.verify(114 * MS, &options).is_ok());
        assert!(near.verify(106 * MS, &options).is_ok());
        assert_eq!(near.verify(115 * MS, &options), Err(("0.11".into(), "0.115".into())));
        assert!(near.verify(105 * MS, &options).is_err());
        let far = Plan::new(Time::At(ms(1100)), 0, 100 * MS);
        assert!(far.verify(1225 * MS, &options).is_ok());
        assert!(far.verify(1226 * MS, &options).is_err());
        let range = Plan::new(Time::AfterBetween(ms(1), ms(50)), 100 * MS, 100 * MS);
        assert!(range.verify(154 * MS, &options).is_ok());
        assert_eq!(range.verify(155 * MS, &options).unwrap_err().0, "0.101~0.15");
        assert!(Plan::new(Time::Any, 0, 0).verify(9999 * MS, &options).is_ok());
    }

    #[test]
    fn a_call_returns_relative_to_what_its_start_is_relative_to() {
        let plan = Plan::new(Time::After(ms(10)), 100 * MS, 0);
        assert_eq!(plan.until(Time::After(ms(10)), ms(30)).start, 130 * MS);
        let plan = Plan::new(Time::At(ms(10)), 100 * MS, 0);
        assert_eq!(plan.until(Time::At(ms(10)), ms(30)).start, 30 * MS);
    }

    #[test]
    fn times_are_written_as_in_scripts() {
        assert_eq!(seconds(0), "0.0");
        assert_eq!(seconds(1_200_000_000), "1.2");
        assert_eq!(seconds(-4_000_000), "-0.004");
    }
}
