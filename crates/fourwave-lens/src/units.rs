//! Numbers as people read them: bytes, counts, spans and points of time.

use std::time::Duration;

/// `1448` as `1,448`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `n things`, with the plural's `s` where it belongs.
pub fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Bytes in decimal units with at most one decimal: `73 B`, `34.1 MB`, `1.2 GB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would print as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let text = if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

/// A span in the unit that suits it: `12 µs`, `3.4 ms`, `1.02 s`, `2 min 5 s`, `2 h 0 min`.
pub fn span(d: Duration) -> String {
    let micros = d.as_micros();
    let short = |value: f64, unit: &str| {
        let text = match value {
            v if v < 10.0 => format!("{v:.2}"),
            v if v < 100.0 => format!("{v:.1}"),
            v => format!("{v:.0}"),
        };
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
        format!("{text} {unit}")
    };
    match micros {
        0..1_000 => format!("{micros} µs"),
        // 999.5 ms and more would print as 1000 ms.
        1_000..999_500 => short(micros as f64 / 1e3, "ms"),
        999_500..120_000_000 => short(micros as f64 / 1e6, "s"),
        120_000_000..7_200_000_000 => {
            let seconds = d.as_secs();
            match seconds % 60 {
                0 => format!("{} min", seconds / 60),
                rest => format!("{} min {rest} s", seconds / 60),
            }
        }
        _ => {
            let minutes = d.as_secs() / 60;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// Seconds with microseconds, as in a ladder's first column: `1.020313`.
pub fn seconds(d: Duration) -> String {
    if d.as_secs() < 10_000 {
        format!("{}.{:06}", d.as_secs(), d.subsec_micros())
    } else {
        format!("{}.{:03}", d.as_secs(), d.subsec_millis())
    }
}

/// A point of time since the epoch that the caller chose: a date where the epoch is evidently
/// that of Unix, seconds otherwise.
pub fn clock(at: Duration) -> String {
    if at.as_secs() < 1_000_000_000 {
        return format!("{}.{:03} s", at.as_secs(), at.subsec_millis());
    }
    let (days, second) = (at.as_secs() / 86_400, at.as_secs() % 86_400);
    // Days to a civil date: the algorithm of H. Hinnant, with years that start in March.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60,
        at.subsec_millis()
    )
}

/// `once`, `twice`, `3 times`.
pub fn often(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{} times", count(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "segment"), "1 segment");
        assert_eq!(counted(2, "segment"), "2 segments");
    }

    #[test]
    fn bytes_keep_one_decimal_at_most() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (34_120_000, "34.1 MB"),
            (94_000_000, "94 MB"),
            (140_000_000, "140 MB"),
            (999_960, "1 MB"),
            (1_200_000_000, "1.2 GB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn spans_take_the_unit_that_suits_them() {
        let cases = [
            (12, "12 µs"),
            (3_400, "3.4 ms"),
            (999_400, "999 ms"),
            (999_600, "1 s"),
            (1_020_000, "1.02 s"),
            (60_000_000, "60 s"),
            (125_000_000, "2 min 5 s"),
            (7_200_000_000, "2 h 0 min"),
        ];
        for (micros, text) in cases {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_unix_time_is_a_date() {
        let at = Duration::from_millis(1_709_164_800_120);
        assert_eq!(clock(at), "2024-02-29 00:00:00.120 UTC");
        assert_eq!(clock(Duration::from_millis(12_120)), "12.120 s");
    }
}
