//! Numbers as people read them.

use std::time::Duration;

pub(crate) use fourwave_lens::units::{count, counted as of};

/// `part` of `whole` in per cent, 0 where there is no whole; never 100 when something is left.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0%".to_owned();
    }
    percent(part as f64 / whole as f64)
}

/// A share of 1 in per cent.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        return "under 0.1%".to_owned();
    }
    if percent > 0.0 && percent < 10.0 {
        return format!("{}%", (percent * 10.0).floor() / 10.0);
    }
    format!("{}%", percent.floor())
}

/// A time in its two largest units: `4 min 12 s`, `2 h`, `300 ms`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (size, unit, rest, below) = match seconds {
        0 if time.is_zero() => return "0 s".to_owned(),
        0 => return format!("{} ms", time.as_millis().max(1)),
        1..60 => return format!("{seconds} s"),
        60..3600 => (seconds / 60, "min", seconds % 60, "s"),
        3600..86400 => (seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => (seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    };
    if rest == 0 { format!("{size} {unit}") } else { format!("{size} {unit} {rest} {below}") }
}

/// Events a second: `312/s`, `0.4/s`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second.abs() < 0.05 {
        "0/s".to_owned()
    } else if per_second.abs() < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{}/s", count(per_second.abs().round() as u64))
    }
}

/// Bytes in binary units: `900 bytes`, `4.9 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return of(number, "byte");
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Words in lines of at most `width` characters; a longer word has a line for itself.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split(' ') {
        let size = word.chars().count();
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
            room = width.saturating_sub(size);
        } else if size < room {
            last.push(' ');
            last.push_str(word);
            room -= size + 1;
        } else {
            lines.push(word.to_owned());
            room = width.saturating_sub(size);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(share(999, 1000), "99%", "not full while something is left");
        assert_eq!(share(3, 1000), "0.3%");
        assert_eq!(share(1, 28_232), "under 0.1%");
        assert_eq!(share(1, 0), "0%");
        assert_eq!(span(Duration::ZERO), "0 s");
        assert_eq!(span(Duration::from_millis(300)), "300 ms");
        assert_eq!(span(Duration::from_secs(252)), "4 min 12 s");
        assert_eq!(span(Duration::from_secs(7200)), "2 h");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(0.44), "0.4/s");
        assert_eq!(rate(1234.4), "1,234/s");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(5_120_000), "4.9 MiB");
    }
}
