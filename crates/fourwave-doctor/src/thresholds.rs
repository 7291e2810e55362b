//! Thresholds from which something is a finding.

use std::time::Duration;

use fourwave_lens::suggest::did_you_mean;
use thiserror::Error;

/// From where on something is a finding. Shares are of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Share of the ephemeral ports in use towards one destination. At a half of them those that
    /// connect() tries first are used up, and each call searches them all in vain.
    pub ports: f64,
    /// Time to exhaustion below which ports are a critical finding.
    pub ports_time: Duration,
    /// TIME_WAIT in all, as a share of `tcp_max_tw_buckets`.
    pub time_wait: f64,
    /// TIME_WAIT in all, as a number.
    pub time_wait_count: u64,
    /// CLOSE_WAIT of one program.
    pub close_wait: u64,
    /// How long a socket is in CLOSE_WAIT before it counts.
    pub close_wait_age: Duration,
    /// Share of a listener's backlog.
    pub accept_queue: f64,
    /// Half-open connections as a share of what their listener may have.
    pub syn_backlog: f64,
    /// Orphans that retransmit without an answer.
    pub orphans_stuck: u64,
    /// Orphans as a share of `tcp_max_orphans`.
    pub orphans: f64,
    /// FIN_WAIT_2 in all.
    pub fin_wait_2: u64,
    /// Share of the segments sent that are retransmitted.
    pub retransmissions: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            ports: 0.5,
            ports_time: Duration::from_secs(300),
            time_wait: 0.8,
            time_wait_count: 20_000,
            close_wait: 10,
            close_wait_age: Duration::from_secs(60),
            accept_queue: 0.8,
            syn_backlog: 0.8,
            orphans_stuck: 10,
            orphans: 0.8,
            fin_wait_2: 1_000,
            retransmissions: 0.05,
        }
    }
}

/// What a threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// A share, from 0.001 to 1; `80%` is 0.8.
    Share,
    /// Sockets, from 1 to 10,000,000.
    Sockets,
    /// Seconds, from 0 to 86,400; with a unit (`5m`) a time.
    Seconds,
}

impl Counts {
    /// The values it takes, for a message.
    pub const fn takes(self) -> &'static str {
        match self {
            Self::Share => "a share from 0.001 to 1, or 0.1% to 100%",
            Self::Sockets => "a whole number from 1 to 10000000",
            Self::Seconds => "a time from 0 to 24h in whole seconds, as in 90, 90s, 5m or 1h",
        }
    }
}

/// One threshold, as the page lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub counts: Counts,
    /// What it bounds, one sentence without its stop.
    pub about: &'static str,
}

/// Every threshold, in the order of the page.
pub const THRESHOLDS: [Threshold; 12] = [
    threshold("ports", Counts::Share, "ports in use towards one destination"),
    threshold("ports_time", Counts::Seconds, "time until the last port is gone, at the rate seen"),
    threshold("time_wait", Counts::Share, "TIME_WAIT as a share of tcp_max_tw_buckets"),
    threshold("time_wait_count", Counts::Sockets, "TIME_WAIT in all"),
    threshold("close_wait", Counts::Sockets, "old CLOSE_WAIT of one program"),
    threshold("close_wait_age", Counts::Seconds, "age from which a CLOSE_WAIT is old"),
    threshold("accept_queue", Counts::Share, "connections to be accepted, of the backlog"),
    threshold("syn_backlog", Counts::Share, "half-open connections, of what the listener may have"),
    threshold("orphans_stuck", Counts::Sockets, "orphans that retransmit without an answer"),
    threshold("orphans", Counts::Share, "orphans as a share of tcp_max_orphans"),
    threshold("fin_wait_2", Counts::Sockets, "FIN_WAIT_2 in all"),
    threshold("retransmissions", Counts::Share, "segments sent that are retransmissions"),
];

const fn threshold(name: &'static str, counts: Counts, about: &'static str) -> Threshold {
    Threshold { name, counts, about }
}

/// Why a threshold was not set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ThresholdError {
    /// No `=` in it.
    #[error("{0}: it takes NAME=VALUE ({names})", names = names())]
    NoValue(String),
    /// No such threshold; the nearest name, or all of them.
    #[error("there is no threshold {0}: {1}")]
    Unknown(String, String),
    /// Outside the range, or no number.
    #[error("{0} takes {takes}, not {2}", takes = .1.takes())]
    Value(&'static str, Counts, String),
    /// A file that is no TOML: line and reason.
    #[error("line {0}: {1}")]
    Toml(usize, String),
}

fn names() -> String {
    THRESHOLDS.map(|one| one.name).join(", ")
}

impl Thresholds {
    /// Sets one: `close_wait=5`, `ports=70%`, `ports_time=120`, `close_wait_age=5m`.
    ///
    /// # Errors
    /// An unknown name (the nearest one is named), a value that is none or outside the range;
    /// nothing is changed then.
    pub fn set(&mut self, setting: &str) -> Result<(), ThresholdError> {
        let (name, value) =
            setting.split_once('=').ok_or_else(|| ThresholdError::NoValue(setting.to_owned()))?;
        self.apply(name.trim(), value.trim())
    }

    /// Sets those of a TOML file of `name = value` lines.
    ///
    /// # Errors
    /// As [`set`](Self::set), and where the text is no TOML. Nothing is changed then.
    pub fn read(&mut self, text: &str) -> Result<(), ThresholdError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            ThresholdError::Toml(line, error.message().to_owned())
        })?;
        let mut changed = self.clone();
        for (name, value) in table {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                other => format!("a value of type {}", other.type_str()),
            };
            changed.apply(&name, &value)?;
        }
        *self = changed;
        Ok(())
    }

    /// A threshold's value as [`set`](Self::set) takes it; `None` for an unknown name.
    pub fn show(&self, name: &str) -> Option<String> {
        let mut copy = self.clone();
        Some(match copy.field(name)? {
            Field::Share(share) => share.to_string(),
            Field::Sockets(number) => number.to_string(),
            Field::Seconds(time) => time.as_secs().to_string(),
        })
    }

    fn apply(&mut self, name: &str, value: &str) -> Result<(), ThresholdError> {
        let Some(known) = THRESHOLDS.iter().find(|one| one.name == name) else {
            let names = || THRESHOLDS.iter().map(|one| one.name);
            let hint = did_you_mean(name, names())
                .unwrap_or_else(|| format!("they are {}", self::names()));
            return Err(ThresholdError::Unknown(name.to_owned(), hint));
        };
        let wrong = || ThresholdError::Value(known.name, known.counts, value.to_owned());
        let number = number(value, known.counts).ok_or_else(wrong)?;
        match self.field(name).ok_or_else(wrong)? {
            Field::Share(share) => *share = number,
            Field::Sockets(sockets) => *sockets = number as u64,
            Field::Seconds(time) => *time = Duration::from_secs(number as u64),
        }
        Ok(())
    }

    fn field(&mut self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "ports" => Field::Share(&mut self.ports),
            "ports_time" => Field::Seconds(&mut self.ports_time),
            "time_wait" => Field::Share(&mut self.time_wait),
            "time_wait_count" => Field::Sockets(&mut self.time_wait_count),
            "close_wait" => Field::Sockets(&mut self.close_wait),
            "close_wait_age" => Field::Seconds(&mut self.close_wait_age),
            "accept_queue" => Field::Share(&mut self.accept_queue),
            "syn_backlog" => Field::Share(&mut self.syn_backlog),
            "orphans_stuck" => Field::Sockets(&mut self.orphans_stuck),
            "orphans" => Field::Share(&mut self.orphans),
            "fin_wait_2" => Field::Sockets(&mut self.fin_wait_2),
            "retransmissions" => Field::Share(&mut self.retransmissions),
            _ => return None,
        })
    }
}

enum Field<'a> {
    Share(&'a mut f64),
    Sockets(&'a mut u64),
    Seconds(&'a mut Duration),
}

/// Reads a number and its unit, `500ms`, `2s`, `1.5m` (or `min`), `1h`; `None` for anything else.
pub fn parse_time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

/// A value within its range; `None` for another.
fn number(value: &str, counts: Counts) -> Option<f64> {
    let plain = || value.parse::<f64>().ok();
    let number = match (value.strip_suffix('%'), counts) {
        (Some(share), Counts::Share) => share.parse::<f64>().ok()? / 100.0,
        (None, Counts::Seconds) => plain().or_else(|| Some(parse_time(value)?.as_secs_f64()))?,
        _ => plain()?,
    };
    let whole = number.fract() == 0.0;
    let allowed = match counts {
        Counts::Share => (0.001..=1.0).contains(&number),
        Counts::Sockets => whole && (1.0..=1e7).contains(&number),
        Counts::Seconds => whole && (0.0..=86_400.0).contains(&number),
    };
    allowed.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_set_by_its_name_and_shown_as_it_is_taken() {
        for one in THRESHOLDS {
            let mut thresholds = Thresholds::default();
            let value = thresholds.show(one.name).unwrap();
            thresholds.set(&format!("{}={value}", one.name)).unwrap();
            assert_eq!(thresholds, Thresholds::default(), "{}", one.name);
            let other = if one.counts == Counts::Share { "0.5" } else { "7" };
            thresholds.set(&format!("{} = {other}", one.name)).unwrap();
            assert_eq!(thresholds.show(one.name).unwrap(), other);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out() {
        let refused = |setting: &str| {
            let mut thresholds = Thresholds::default();
            let line = thresholds.set(setting).unwrap_err().to_string();
            assert_eq!(thresholds, Thresholds::default());
            line
        };
        assert_eq!(
            refused("close_wayt=5"),
            "there is no threshold close_wayt: did you mean close_wait?"
        );
        assert!(refused("zzz=5").contains("they are ports, ports_time"));
        assert!(refused("ports").contains("NAME=VALUE"));
        assert_eq!(
            refused("close_wait=0"),
            "close_wait takes a whole number from 1 to 10000000, not 0"
        );
        assert_eq!(
            refused("ports=101%"),
            "ports takes a share from 0.001 to 1, or 0.1% to 100%, not 101%"
        );
        assert!(refused("ports_time=5x").contains("as in 90, 90s, 5m or 1h, not 5x"));
        for bad in ["ports=nan", "close_wait=1.5", "ports_time=-1", "orphans=inf", "close_wait=5s"]
        {
            refused(bad);
        }
        for bad in ["500ms", "25h", "s", "1.5", "-1s", "1e3s", "5%", "2 s"] {
            refused(&format!("close_wait_age={bad}"));
        }
    }

    #[test]
    fn times_are_taken_with_their_unit_too() {
        let mut thresholds = Thresholds::default();
        let times = [
            ("90", 90),
            ("1s", 1),
            ("0s", 0),
            ("5m", 300),
            ("1.5min", 90),
            ("1h", 3600),
            ("24h", 86_400),
        ];
        for (value, seconds) in times {
            thresholds.set(&format!("close_wait_age={value}")).unwrap();
            assert_eq!(thresholds.close_wait_age, Duration::from_secs(seconds), "{value}");
        }
        thresholds.read("ports_time = \"2m\"\n").unwrap();
        assert_eq!(thresholds.show("ports_time").unwrap(), "120");
    }

    #[test]
    fn a_file_sets_them_all_or_none() {
        let mut thresholds = Thresholds::default();
        thresholds.read("# ours\nclose_wait = 5\nports = \"70%\"\norphans = 0.5\n").unwrap();
        assert_eq!((thresholds.close_wait, thresholds.ports), (5, 0.7));
        let before = thresholds.clone();
        assert!(thresholds.read("close_wait = 6\nport = 1").is_err());
        assert_eq!(thresholds, before);
        let error = thresholds.read("close_wait = 6\n=").unwrap_err();
        assert!(matches!(error, ThresholdError::Toml(2, _)), "{error}");
    }

    #[test]
    fn the_page_lists_every_threshold_with_its_default() {
        let page = include_str!("../../../docs/doctor.md");
        for one in THRESHOLDS {
            let value = Thresholds::default().show(one.name).unwrap();
            let row = format!("| `{}` | {value} | ", one.name);
            assert!(page.contains(&row), "docs/doctor.md lacks {row}");
        }
    }
}
