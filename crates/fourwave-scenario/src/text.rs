//! A performance for a terminal.

use fourwave_lens::ladder::{self, LadderOptions};
use fourwave_lens::paint::{to_ascii, wrap};

use crate::part::Part;
use crate::performance::Performance;
use crate::{Scenario, all};

/// How it is printed: as a ladder is, with the scenario's own names for the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns, 100 by default; a ladder takes 72 at least.
    pub width: usize,
    /// Only ASCII.
    pub ascii: bool,
    /// ANSI colours.
    pub color: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { width: 100, ascii: false, color: false }
    }
}

/// The title, what is shown and why, the ladders and tables, and the outcome.
pub fn render(performance: &Performance, options: &TextOptions) -> String {
    let Scenario { name, title, about, .. } = performance.scenario;
    let width = options.width;
    let mut out = String::new();
    let (bold, plain) = if options.color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    out.push_str(bold);
    paragraph(&format!("{name}: {title}"), width, "  ", &mut out);
    out.push_str(plain);
    out.push('\n');
    paragraph(about, width, "", &mut out);
    for part in &performance.parts {
        out.push('\n');
        out.push_str(&self::part(part, options));
    }
    if !performance.outcome.is_empty() {
        out.push('\n');
    }
    for sentence in &performance.outcome {
        paragraph(&format!("outcome: {sentence}"), width, "         ", &mut out);
    }
    if options.ascii { to_ascii(&out) } else { out }
}

/// One ladder or table with its title.
fn part(part: &Part, options: &TextOptions) -> String {
    let mut out = String::new();
    match part {
        Part::Watched { title, .. } => {
            if !title.is_empty() {
                paragraph(&format!("## {title}"), options.width, "   ", &mut out);
                out.push('\n');
            }
            out.push_str(&ladders(part, options).join("\n"));
        }
        Part::Table { heads, rows } => table(heads, rows, options.width, &mut out),
    }
    out
}

/// The ladders of a part.
pub(crate) fn ladders(part: &Part, options: &TextOptions) -> Vec<String> {
    let Part::Watched { names, .. } = part else { return Vec::new() };
    let TextOptions { width, ascii, color } = *options;
    let names = names.clone();
    let options = LadderOptions { width, ascii, color, names, ..LadderOptions::default() };
    part.records().iter().map(|record| ladder::render(record, &options)).collect()
}

/// Columns as wide as they must be, numbers to the right; where that is wider than `width`, cells
/// are cut into lines.
fn table(heads: &[&str], rows: &[Vec<String>], width: usize, out: &mut String) {
    let (widths, gap) = widths(heads, rows, width);
    let numeric: Vec<bool> = (0..heads.len()).map(|at| is_numeric(rows, at)).collect();
    let mut row = |cells: &[&str]| {
        let cut = cells.iter().zip(&widths).map(|(cell, width)| cut(cell, *width));
        let cut: Vec<Vec<String>> = cut.collect();
        for line in 0..cut.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            for (at, cell) in cut.iter().enumerate() {
                let cell = cell.get(line).map_or("", String::as_str);
                let pad = " ".repeat(widths[at].saturating_sub(columns(cell)));
                let gap = if at == 0 { "" } else { gap };
                let pads = if numeric[at] { (pad.as_str(), "") } else { ("", pad.as_str()) };
                text += &format!("{gap}{}{cell}{}", pads.0, pads.1);
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    };
    row(heads);
    for cells in rows {
        row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// How wide each column is, and what stands between them.
fn widths(heads: &[&str], rows: &[Vec<String>], width: usize) -> (Vec<usize>, &'static str) {
    let longest = |at: usize, of: fn(&str) -> usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| of(cell));
        cells.chain([of(heads[at])]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..heads.len()).map(|at| longest(at, columns)).collect();
    let least: Vec<usize> = (0..heads.len()).map(|at| longest(at, longest_word)).collect();
    let gaps = heads.len().saturating_sub(1);
    let gap = if least.iter().sum::<usize>() + 2 * gaps <= width { "  " } else { " " };
    let gap = if widths.iter().sum::<usize>() + 2 * gaps <= width { "  " } else { gap };
    let room = width.saturating_sub(gap.len() * gaps);
    while widths.iter().sum::<usize>() > room {
        // The one that is the furthest from what it must be.
        let slack = |at: &usize| widths[*at] - least[*at];
        match (0..widths.len()).max_by_key(slack).filter(|at| slack(at) > 0) {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    (widths, gap)
}

/// A cell in lines, each indented as the first.
fn cut(cell: &str, width: usize) -> Vec<String> {
    if columns(cell) <= width {
        return vec![cell.to_owned()];
    }
    let indent = &cell[..cell.len() - cell.trim_start().len()];
    let lines = wrap(cell, width.saturating_sub(indent.len()));
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// With what the cell is indented by.
fn longest_word(cell: &str) -> usize {
    let indent = cell.len() - cell.trim_start().len();
    cell.split_whitespace().map(columns).max().map_or(0, |word| indent + word)
}

/// Whether a column holds nothing but numbers: those stand to the right.
pub(crate) fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell))
}

/// Digits with what belongs to them, or a dash for none.
fn is_number(cell: &str) -> bool {
    cell == "-" || !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || ",.".contains(c))
}

/// Every scenario with its title, in lines of `columns`.
pub fn list(columns: usize) -> String {
    let width = all().iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let hang = " ".repeat(width + 2);
    let mut out = String::new();
    for Scenario { name, title, .. } in all() {
        out.push_str(&format!("{name:<width$}  "));
        paragraph(title, columns.saturating_sub(hang.len()), &hang, &mut out);
    }
    out
}

/// Cuts `text` at spaces into lines of at most `width` columns, all but the first behind `indent`.
fn paragraph(text: &str, width: usize, indent: &str, out: &mut String) {
    let mut columns = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if columns > 0 && columns + 1 + len > width {
            out.push('\n');
            out.push_str(indent);
            columns = indent.len();
        } else if columns > 0 {
            out.push(' ');
            columns += 1;
        }
        out.push_str(word);
        columns += len;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_there_is_room() {
        let rows = [("one, two three", "7", "a b"), ("  four five", "1,000", "c")];
        let rows = rows.map(|(a, b, c)| [a, b, c].map(str::to_owned).to_vec());
        let drawn = |width| {
            let mut out = String::new();
            table(&["name", "a number", "rest"], &rows, width, &mut out);
            out
        };
        let wide = "name            a number  rest\n\
                    one, two three         7  a b\n  four five        1,000  c\n";
        assert_eq!(drawn(30), wide);
        assert_eq!(drawn(500), wide);
        let narrow = "name       a number  rest\n\
                      one, two          7  a b\nthree\n  four        1,000  c\n  five\n";
        assert_eq!(drawn(25), narrow);
        let tight = "name        a rest\n       number\none,        7 a b\ntwo\nthree\n  \
                     four  1,000 c\n  five\n";
        assert_eq!(drawn(18), tight);
        assert_eq!(drawn(1), tight, "words stay whole");
    }
}
