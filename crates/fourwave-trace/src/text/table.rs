//! Columns as wide as they must be, and bars.

use fourwave_lens::paint::{Line, Style};

use super::TextOptions;

/// A column: two lines of heading, and whether it is aligned to the left.
pub(super) struct Column {
    pub(super) heads: [&'static str; 2],
    pub(super) left: bool,
    /// Where there is no room, columns with the highest rank go first; 0 stays.
    pub(super) rank: u8,
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The widest of each column.
fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let of = |(i, column): (usize, &Column)| {
        let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| width(cell));
        cells.chain(column.heads.map(width)).max().unwrap_or(0)
    };
    columns.iter().enumerate().map(of).collect()
}

/// Which columns there is room for.
fn fitting(columns: &[Column], widths: &[usize], room: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    while kept.iter().map(|i| 2 + widths[*i]).sum::<usize>() > room {
        let highest = kept.iter().map(|i| columns[*i].rank).max().filter(|rank| *rank > 0);
        let Some(highest) = highest else { break };
        kept.retain(|i| columns[*i].rank != highest);
    }
    kept
}

/// The rows below their headings, two spaces before each column.
pub(super) fn table(
    columns: &[Column],
    rows: &[Vec<String>],
    options: &TextOptions,
    out: &mut String,
) {
    let widths = widths(columns, rows);
    let kept = fitting(columns, &widths, options.ladder.width);
    let mut line = |style: Style, cells: &[&str]| {
        let mut line = Line::new(options.ladder.color);
        let mut at = 0;
        for i in &kept {
            let cell = cells.get(*i).copied().unwrap_or_default();
            let pad = if columns[*i].left { 0 } else { widths[*i] - width(cell) };
            line.to(at + 2 + pad).put(style, cell);
            at += 2 + widths[*i];
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
    fn columns_go_where_there_is_no_room() {
        let column = |rank| Column { heads: ["", "head"], left: false, rank };
        let columns = [column(0), column(1), column(2), column(2)];
        let rows = [vec!["123456".to_owned()]];
        let widths = widths(&columns, &rows);
        assert_eq!(widths, [6, 4, 4, 4]);
        for (room, kept) in [(26, &[0, 1, 2, 3][..]), (25, &[0, 1]), (13, &[0]), (1, &[0])] {
            assert_eq!(fitting(&columns, &widths, room), kept, "{room}");
        }
    }

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
