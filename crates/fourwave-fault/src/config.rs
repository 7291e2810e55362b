//! What a faulty link does, as people write it: `loss:1%,delay:20ms±5ms`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// A probability for each packet, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0.0);

    /// A probability of `value`; `None` outside 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parsing divided by 100; the product may miss by the last digits.
        write!(f, "{}%", (self.0 * 1e14).round() / 1e12)
    }
}

/// The faults of one direction of a link. The default has none.
///
/// Text form: items separated by commas, each at most once.
///
/// - `loss:1%`: drop a packet with this probability
/// - `burst:8`: so many packets are lost in a row, in the mean; `loss` stays the share of all that
///   are lost (the model of Gilbert), at most 50%
/// - `delay:20ms` or `delay:20ms±5ms`: hold each packet that long, give or take a uniform jitter
///   (`+-` is as good as `±`); jitter alone never reorders
/// - `reorder:1%`: let up to three later packets overtake
/// - `dup:1%`: deliver twice
/// - `corrupt:0.1%`: flip one random bit
/// - `mtu:1400b`: a packet of more bytes, IP header included, vanishes, and nobody is told: a black
///   hole (RFC 2923 §2.1)
/// - `rate:10mbit`: bits per second (`bit`, `kbit`, `mbit`, `gbit`, powers of 1000)
/// - `queue:64kb`: bytes that may wait for the rate (`b`, `kb`, `mb`, `gb`, powers of 1000); what
///   exceeds them is dropped. Default: 100 ms of the rate, at least 64 kB
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct FaultConfig {
    /// Drop.
    pub loss: Probability,
    /// How many packets in a row are lost in the mean, 1 to 1000; `None`: each loss is on its own.
    pub burst: Option<NonZeroU32>,
    /// Deliver twice.
    pub duplicate: Probability,
    /// Flip a bit.
    pub corrupt: Probability,
    /// Let later packets overtake.
    pub reorder: Probability,
    /// How long each packet is held.
    pub delay: Duration,
    /// How far the delay of one packet may be from `delay`; at most `delay`.
    pub jitter: Duration,
    /// Bytes of the largest packet that passes, at least 68; `None`: no limit.
    pub mtu: Option<u32>,
    /// Bytes per second; `None`: no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate; `None`: the default.
    pub queue: Option<u64>,
}

/// The least default queue, in bytes: space for some packets at any rate.
const MIN_QUEUE: u64 = 64_000;
/// The largest share of packets that is lost in bursts.
const MAX_BURST_LOSS: f64 = 0.5;
/// Longer bursts are outages.
const MAX_BURST: u32 = 1000;
/// Every link carries so much (RFC 791).
const LEAST_MTU: u32 = 68;
/// No packet is larger.
const LARGEST_PACKET: u32 = 65_535;
/// Longer delays are mistakes.
const MAX_DELAY: Duration = Duration::from_secs(3600);
/// The names, as the text form has them.
const NAMES: &str = "loss, burst, delay, reorder, dup, corrupt, mtu, rate and queue";

impl FaultConfig {
    /// Whether there is no fault at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes that may wait for the rate.
    pub fn queue_limit(&self) -> u64 {
        let tenth = self.rate.unwrap_or(0) / 10;
        self.queue.unwrap_or(tenth.max(MIN_QUEUE))
    }

    fn set(&mut self, name: &str, value: &str, item: &str) -> Result<(), FaultConfigError> {
        let bad = |expected| FaultConfigError::BadValue { item: item.to_owned(), expected };
        let probability = || parse_probability(value).ok_or_else(|| bad(PROBABILITY));
        match name {
            "loss" => self.loss = probability()?,
            "burst" => self.burst = Some(parse_burst(value).ok_or_else(|| bad(BURST))?),
            "reorder" => self.reorder = probability()?,
            "dup" => self.duplicate = probability()?,
            "corrupt" => self.corrupt = probability()?,
            "delay" => {
                (self.delay, self.jitter) = parse_delay(value).ok_or_else(|| bad(DELAY))?;
            }
            "mtu" => self.mtu = Some(parse_mtu(value).ok_or_else(|| bad(MTU))?),
            "rate" => self.rate = Some(parse_rate(value).ok_or_else(|| bad(RATE))?),
            "queue" => self.queue = Some(parse_bytes(value).ok_or_else(|| bad(QUEUE))?),
            _ => return Err(FaultConfigError::UnknownFault { name: name.to_owned() }),
        }
        Ok(())
    }
}

const PROBABILITY: &str = "a percentage from 0% to 100%, as in 1% or 0.1%";
const BURST: &str = "packets in a row in the mean, 1 to 1000, as in 8";
const DELAY: &str = "a time of up to 3600s with a jitter no larger, as in 20ms or 20ms±5ms";
const MTU: &str = "a size of 68b to 65535b, as in 1400b";
const RATE: &str = "a rate of at least 8bit, as in 512kbit, 10mbit or 1gbit";
const QUEUE: &str = "a size above 0, as in 64kb or 1mb";

/// What is wrong with a description of faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultConfigError {
    /// Not `name:value`.
    #[error("{item:?} is no fault: write name:value, as in loss:1%")]
    NotAnItem {
        /// The item.
        item: String,
    },
    /// No such fault.
    #[error("unknown fault {name:?}: there are {NAMES}")]
    UnknownFault {
        /// The name.
        name: String,
    },
    /// The fault takes another kind of value, or one in range.
    #[error("{item:?}: expected {expected}")]
    BadValue {
        /// The item.
        item: String,
        /// What the fault takes.
        expected: &'static str,
    },
    /// A fault is given twice.
    #[error("the fault {name:?} is given twice")]
    Repeated {
        /// The name.
        name: String,
    },
    /// Bursts of nothing, or of nearly everything.
    #[error("a burst needs a loss above 0% and up to 50%, as in loss:1%,burst:8")]
    BurstWithoutLoss,
    /// A queue that nothing waits in.
    #[error("a queue needs a rate, as in rate:10mbit,queue:64kb")]
    QueueWithoutRate,
}

impl FromStr for FaultConfig {
    type Err = FaultConfigError;

    fn from_str(text: &str) -> Result<Self, FaultConfigError> {
        let mut config = Self::default();
        let mut seen = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (name, value) = item
                .split_once(':')
                .ok_or_else(|| FaultConfigError::NotAnItem { item: item.to_owned() })?;
            let (name, value) = (name.trim(), value.trim());
            config.set(name, value, item)?;
            if seen.contains(&name) {
                return Err(FaultConfigError::Repeated { name: name.to_owned() });
            }
            seen.push(name);
        }
        if config.burst.is_some() && !(f64::MIN_POSITIVE..=MAX_BURST_LOSS).contains(&config.loss.0)
        {
            return Err(FaultConfigError::BurstWithoutLoss);
        }
        if config.queue.is_some() && config.rate.is_none() {
            return Err(FaultConfigError::QueueWithoutRate);
        }
        Ok(config)
    }
}

impl fmt::Display for FaultConfig {
    /// The text form; `none` without faults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, burst, duplicate, corrupt, reorder, delay, jitter, mtu, rate, queue } =
            *self;
        let mut items = Vec::new();
        for (name, p) in
            [("loss", loss), ("reorder", reorder), ("dup", duplicate), ("corrupt", corrupt)]
        {
            if p != Probability::NEVER {
                items.push(format!("{name}:{p}"));
            }
        }
        if let Some(burst) = burst {
            items.push(format!("burst:{burst}"));
        }
        if !delay.is_zero() {
            let jitter = if jitter.is_zero() { String::new() } else { format!("±{jitter:?}") };
            items.push(format!("delay:{delay:?}{jitter}"));
        }
        if let Some(mtu) = mtu {
            items.push(format!("mtu:{mtu}b"));
        }
        if let Some(rate) = rate {
            items.push(format!("rate:{}", with_unit(rate.saturating_mul(8), &BITS)));
        }
        if let Some(queue) = queue {
            items.push(format!("queue:{}", with_unit(queue, &BYTES)));
        }
        f.write_str(if items.is_empty() { "none" } else { "" })?;
        f.write_str(&items.join(","))
    }
}

/// Units of rates and of sizes, each a thousand of the one before.
const BITS: [&str; 4] = ["bit", "kbit", "mbit", "gbit"];
pub(super) const BYTES: [&str; 4] = ["b", "kb", "mb", "gb"];

/// `number` in the largest unit of which it is a whole multiple.
pub(super) fn with_unit(mut number: u64, units: &[&str]) -> String {
    let mut unit = 0;
    while number != 0 && number.is_multiple_of(1000) && unit + 1 < units.len() {
        (number, unit) = (number / 1000, unit + 1);
    }
    format!("{number}{}", units[unit])
}

/// The number in front of a unit, and what the unit stands for.
fn number(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number.parse::<f64>().ok()? * factor)
}

fn parse_probability(text: &str) -> Option<Probability> {
    Probability::new(number(text, &[("%", 1.0)])? / 100.0)
}

fn parse_burst(text: &str) -> Option<NonZeroU32> {
    text.parse().ok().filter(|burst: &NonZeroU32| burst.get() <= MAX_BURST)
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    const UNITS: [(&str, f64); 5] =
        [("ns", 1e0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let nanos = number(text, &UNITS)?;
    (nanos <= MAX_DELAY.as_nanos() as f64).then(|| Duration::from_nanos(nanos.round() as u64))
}

fn parse_delay(text: &str) -> Option<(Duration, Duration)> {
    let Some((delay, jitter)) = text.split_once('±').or_else(|| text.split_once("+-")) else {
        return Some((parse_duration(text)?, Duration::ZERO));
    };
    let (delay, jitter) = (parse_duration(delay)?, parse_duration(jitter)?);
    (jitter <= delay).then_some((delay, jitter))
}

fn parse_mtu(text: &str) -> Option<u32> {
    let bytes = u32::try_from(parse_bytes(text)?).ok()?;
    (LEAST_MTU..=LARGEST_PACKET).contains(&bytes).then_some(bytes)
}

fn parse_rate(text: &str) -> Option<u64> {
    let units = [("bit", 1e0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    let bytes = number(text, &units)? / 8.0;
    (1.0..=1e15).contains(&bytes).then_some(bytes as u64)
}

pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let bytes = number(text, &[("b", 1e0), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9)])?;
    (1.0..=1e12).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> FaultConfig {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_item_is_read() {
        let config = parse("loss:1%, delay:20ms±5ms,reorder:2%,dup:3%,corrupt:0.1%,rate:10mbit");
        assert_eq!(config.loss.value(), 0.01);
        assert_eq!(config.reorder.value(), 0.02);
        assert_eq!(config.duplicate.value(), 0.03);
        assert_eq!(config.corrupt.value(), 0.001);
        assert_eq!(config.delay, Duration::from_millis(20));
        assert_eq!(config.jitter, Duration::from_millis(5));
        assert_eq!((config.rate, config.queue), (Some(1_250_000), None));
        assert_eq!(config.queue_limit(), 125_000);
        assert_eq!(parse("rate:8kbit").queue_limit(), MIN_QUEUE);
        assert_eq!(parse("rate:8kbit,queue:3kb").queue_limit(), 3000);
        assert_eq!(parse("loss:1%,burst:8").burst.map(NonZeroU32::get), Some(8));
        assert_eq!(parse("delay:1.5s").delay, Duration::from_millis(1500));
        assert_eq!(parse("mtu:1400b").mtu, Some(1400));
        assert_eq!(parse("delay:7us+-7µs").jitter, Duration::from_micros(7));
        assert_eq!(parse("delay:0").delay, Duration::ZERO);
        assert!(parse("loss:0%").is_none());
    }

    #[test]
    fn mistakes_are_named_with_what_would_be_right() {
        for (text, says) in [
            ("", "\"\" is no fault: write name:value, as in loss:1%"),
            ("loss", "\"loss\" is no fault"),
            ("los:1%", "unknown fault \"los\": there are loss, burst"),
            ("loss:1", "\"loss:1\": expected a percentage"),
            ("loss:101%", "0% to 100%"),
            ("loss:-1%", "0% to 100%"),
            ("loss:x%", "0% to 100%"),
            ("loss:1%,dup:", "\"dup:\": expected a percentage"),
            ("delay:20", "as in 20ms"),
            ("delay:5ms±6ms", "a jitter no larger"),
            ("delay:2000000s", "up to 3600s"),
            ("mtu:1400", "68b to 65535b, as in 1400b"),
            ("mtu:67b", "68b to 65535b"),
            ("mtu:66kb", "68b to 65535b"),
            ("rate:0bit", "at least 8bit"),
            ("rate:10mb", "as in 512kbit"),
            ("rate:1kbit,queue:0b", "above 0"),
            ("loss:1%,burst:0", "1 to 1000"),
            ("loss:1%,burst:1001", "1 to 1000"),
            ("burst:8", "a burst needs a loss"),
            ("loss:0%,burst:8", "a burst needs a loss"),
            ("loss:51%,burst:8", "up to 50%"),
            ("queue:1kb", "a queue needs a rate"),
            ("loss:1%,loss:2%", "\"loss\" is given twice"),
        ] {
            let error = text.parse::<FaultConfig>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(
            (loss, dup) in (0..=10_000u32, 0..=100u32),
            (delay, jitter) in (0..3_600_000u64, 0..=100u64),
            rate in proptest::option::of(1..1_000_000u64), queue in 1..1_000_000u64,
            burst in proptest::option::of(1..=1000u32),
            mtu in proptest::option::of(68..=65_535u32),
        ) {
            let delay = Duration::from_millis(delay);
            let config = FaultConfig {
                loss: Probability::new(f64::from(loss) / 100.0 / 100.0).unwrap(),
                burst: burst.and_then(NonZeroU32::new).filter(|_| (1..=5000).contains(&loss)),
                duplicate: Probability::new(f64::from(dup) / 100.0).unwrap(),
                delay,
                jitter: delay * jitter as u32 / 100,
                mtu,
                rate,
                queue: rate.map(|_| queue),
                ..Default::default()
            };
            let shown = config.to_string();
            if config.is_none() {
                prop_assert_eq!(shown, "none");
            } else {
                let read: FaultConfig = shown.parse().unwrap();
                prop_assert!((read.loss.value() - config.loss.value()).abs() < 1e-12);
                let rest = |c: FaultConfig| FaultConfig { loss: Probability::NEVER, ..c };
                prop_assert_eq!(rest(read), rest(config), "{}", shown);
            }
        }

        #[test]
        fn no_text_panics(text in "[a-z:,.%±0-9 +-]{0,40}") {
            if let Ok(config) = text.parse::<FaultConfig>() {
                prop_assert!(config.jitter <= config.delay);
            }
        }
    }
}
