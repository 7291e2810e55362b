//! Values of the filter language: names, addresses, numbers with units.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use fourwave_core::state::State;
use fourwave_lens::suggest::did_you_mean;
use fourwave_lens::{AnomalyKind, Role};
use ipnet::IpNet;

use super::Quantity;

/// How connections end, by `Ended::name`.
pub(super) const ENDS: [&str; 9] = [
    "orderly",
    "reset",
    "refused",
    "unreachable",
    "unanswered",
    "half-open",
    "replaced",
    "silent",
    "open",
];

/// Figures that are compared with numbers.
pub(super) const QUANTITIES: [(&str, Quantity); 7] = [
    ("bytes", Quantity::Bytes),
    ("segments", Quantity::Segments),
    ("retransmitted", Quantity::Retransmitted),
    ("zero-windows", Quantity::ZeroWindows),
    ("lasted", Quantity::Lasted),
    ("rtt", Quantity::Rtt),
    ("handshake", Quantity::Handshake),
];

/// The known name that is nearest to what was written, as a question; else all of them.
pub(super) fn advice(written: &str, known: &[&str]) -> String {
    did_you_mean(written, known.iter().copied())
        .unwrap_or_else(|| format!("known are {}", known.join(", ")))
}

/// One of `known`, in any case, with `-` and `_` alike.
fn named<T: Copy>(word: &str, what: &str, known: &[(&str, T)]) -> Result<T, String> {
    let plain = |name: &str| name.replace('_', "-").to_lowercase();
    let found = known.iter().find(|(name, _)| plain(name) == plain(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{word} is no {what}: {}", advice(word, &names))
    })
}

pub(super) fn state(word: &str) -> Result<State, String> {
    // `ss` and older books have shorter names for these.
    match word.to_uppercase().as_str() {
        "ESTAB" => return Ok(State::Established),
        "SYN-RECV" | "SYN_RECV" => return Ok(State::SynReceived),
        _ => {}
    }
    named(word, "state", &State::ALL.map(|state| (state.name(), state)))
}

pub(super) fn end(word: &str) -> Result<&'static str, String> {
    named(word, "way to end", &ENDS.map(|name| (name, name)))
}

pub(super) fn anomaly(word: &str) -> Result<AnomalyKind, String> {
    named(word, "anomaly", &AnomalyKind::ALL.map(|kind| (kind.name(), kind)))
}

pub(super) fn role(word: &str) -> Result<Role, String> {
    named(word, "end", &Role::BOTH.map(|role| (role.name(), role)))
}

pub(super) fn host(word: &str) -> Result<IpNet, String> {
    let bare = word.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let wanted = "an address is expected: 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32";
    word.parse().map_err(|_| format!("{word} is no address: {wanted}"))
}

pub(super) fn ports(word: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("{word} is no port: 0 to 65535 is expected, or 8000-8999");
    let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (first, last) = match word.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(word)?, port(word)?),
    };
    if first > last { Err(wrong()) } else { Ok(first..=last) }
}

const COUNTS: [(&str, f64); 4] = [("", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9)];
const BYTES: [(&str, f64); 10] = [
    ("", 1.0),
    ("b", 1.0),
    ("k", 1e3),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("tb", 1e12),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
];
const TIMES: [(&str, f64); 7] = [
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

impl Quantity {
    /// The number with its unit that this figure is compared with.
    pub(super) fn limit(self, word: &str) -> Result<f64, String> {
        let (units, wanted): (&[(&str, f64)], _) = match self {
            Self::Bytes => (&BYTES, "bytes are expected: 512, 64kB, 1.5MB, 1GiB"),
            Self::Lasted | Self::Rtt | Self::Handshake => {
                (&TIMES, "a time with its unit is expected: 250us, 100ms, 1.5s, 2min, 1h")
            }
            Self::Segments | Self::Retransmitted | Self::ZeroWindows => {
                (&COUNTS, "a number is expected: 0, 100, 5k")
            }
        };
        let wrong = || format!("{word} cannot be compared with: {wanted}");
        let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let (number, unit) = word.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.to_lowercase();
        let factor = units.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        Ok(number * factor)
    }
}
