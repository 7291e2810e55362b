//! Times and thresholds as a person types them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fourwave_doctor::Thresholds;
use fourwave_linux::reason;

/// Least and greatest time between two looks.
const SAMPLE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3600)];

/// Reads `--sample`: a number and its unit, `500ms`, `2s`, `1m`, `1h`.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "it takes a time from 100ms to 1h, as in 500ms, 2s or 1m".to_owned();
    let time = fourwave_doctor::parse_time(text).ok_or_else(wrong)?;
    let [least, greatest] = SAMPLE;
    if (least..=greatest).contains(&time) { Ok(time) } else { Err(wrong()) }
}

/// Reads `--listen`.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "it takes an address and a port, as in 127.0.0.1:9464 or [::1]:9464".to_owned()
    })
}

/// Reads `--pid`.
pub(super) fn parse_pid(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(pid @ 1..=0x7fff_ffff) => Ok(pid),
        _ => Err("it takes the number of a process".to_owned()),
    }
}

/// Applies one `threshold=value`.
pub(super) fn set(thresholds: &mut Thresholds, setting: &str) -> Result<(), String> {
    thresholds.set(setting).map_err(|error| format!("--set: {error}"))
}

/// Applies a TOML file of `name = value` lines.
pub(super) fn read_file(thresholds: &mut Thresholds, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {shown}: {}", reason(&error)))?;
    thresholds.read(&text).map_err(|error| format!("{shown}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_range() {
        for (text, millis) in [("100ms", 100), ("2s", 2000), ("1.5s", 1500), ("1m", 60_000)] {
            assert_eq!(parse_time(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(parse_time("1h").unwrap(), Duration::from_secs(3600));
        for bad in ["", "2", "s", "-1s", "99ms", "61m", "2 s", "1..5s", "1e3s", "2sec", "∞s"] {
            assert!(parse_time(bad).unwrap_err().contains("100ms to 1h"), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(parse_address("[::1]:9464").unwrap().port(), 9464);
        for bad in ["9464", ":9464", "::1:9464", "localhost:9464", "127.0.0.1"] {
            assert!(parse_address(bad).unwrap_err().contains("127.0.0.1:9464"), "{bad}");
        }
    }

    #[test]
    fn a_pid_is_a_number_above_0() {
        assert_eq!(parse_pid("1"), Ok(1));
        for bad in ["0", "-1", "x", "", "4294967296", "2147483648"] {
            assert!(parse_pid(bad).is_err(), "{bad}");
        }
    }
}
