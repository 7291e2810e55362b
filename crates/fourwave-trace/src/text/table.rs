//! Columns as wide as they must be, and bars.

use fourwave_lens::paint::{Line, Style};

use super::TextOptions;

/// A column: two lines of heading, and whether it is aligned to the left.
pub(super) struct Column {
    pub(super) heads: [&'static str; 2],
    pub(super) left: bool,
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The rows below their headings, two spaces before each column.
pub(super) fn table(
    columns: &[Column],
    rows: &[Vec<String>],
    options: &TextOptions,
    out: &mut String,
) {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| width(cell));
            cells.chain(column.heads.map(width)).max().unwrap_or(0)
        })
        .collect();
    let mut line = |style: Style, cells: &[&str]| {
        let mut line = Line::new(options.ladder.color);
        let mut at = 0;
        for ((cell, column), columns) in cells.iter().zip(columns).zip(&widths) {
            let pad = if column.left { 0 } else { columns - width(cell) };
            line.to(at + 2 + pad).put(style, cell);
            at += 2 + columns;
        }
        line.finish(out);
    };
    for row in 0..2 {
        let heads: Vec<&str> = columns.iter().map(|column| column.heads[row]).collect();
        if heads.iter().any(|head| !head.is_empty()) {
            line(Style::Dim, &heads);
        }
    }
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(Style::Plain, &cells);
    }
}

/// A bar of `part` of `whole` in `columns`, an eighth of a column at least.
pub(super) fn bar(part: u64, whole: u64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part == 0 || whole == 0 {
        return String::new();
    }
    let eighths = (part as f64 / whole as f64 * columns as f64 * 8.0).round() as usize;
    let eighths = eighths.clamp(1, columns * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// `part` of `whole` in per cent: `91 %`, `0.1 %`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    match part as f64 * 100.0 / whole as f64 {
        0.0 => "0 %".to_owned(),
        few if few < 0.1 => "<0.1 %".to_owned(),
        few if few < 9.95 => format!("{few:.1} %"),
        // Not all of them.
        most if most > 99.0 && part < whole => format!("{:.1} %", most.min(99.9)),
        many => format!("{many:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_shares_show_little_as_little_and_never_as_nothing() {
        assert_eq!(bar(1, 1_000_000, 10), "▏");
        assert_eq!(bar(5, 10, 4), "██");
        assert_eq!(bar(0, 10, 4), "");
        assert_eq!(bar(10, 10, 4), "████");
        for (part, text) in [(0, "0 %"), (1, "<0.1 %"), (999_999, "99.9 %"), (1_000_000, "100 %")] {
            assert_eq!(percent(part, 1_000_000), text);
        }
        assert_eq!(percent(1, 8), "12 %");
    }
}
