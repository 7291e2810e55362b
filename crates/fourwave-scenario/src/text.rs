//! A performance for a terminal.

use fourwave_lens::ladder::{self, LadderOptions};

use crate::script::{Part, Performance};
use crate::{Scenario, all};

/// How it is printed: as a ladder is, with the scenario's own names for the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns; 72 at least.
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
    let width = options.width.max(ladder::MIN_WIDTH);
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
    if options.ascii { out.replace(|c: char| !c.is_ascii(), "?") } else { out }
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
        Part::Table { heads, rows } => table(heads, rows, &mut out),
    }
    out
}

/// The ladders of a part.
pub(crate) fn ladders(part: &Part, options: &TextOptions) -> Vec<String> {
    let Part::Watched { names, .. } = part else { return Vec::new() };
    let TextOptions { width, ascii, color } = *options;
    let names = names.clone();
    let options = LadderOptions { width, ascii, color, names, ..LadderOptions::default() };
    part.stories().iter().map(|story| ladder::render(story, &options)).collect()
}

/// Columns as wide as they must be; numbers to the right.
fn table(heads: &[&str], rows: &[Vec<String>], out: &mut String) {
    let columns = |text: &str| text.chars().count();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| columns(cell));
        cells.chain([columns(heads[at])]).max().unwrap_or(0)
    };
    let numeric = |at: usize| is_numeric(rows, at);
    let mut line = |cells: &[&str]| {
        let mut text = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(width(at).saturating_sub(columns(cell)));
            let gap = if at == 0 { "" } else { "  " };
            let (before, after) = if numeric(at) { (pad.as_str(), "") } else { ("", pad.as_str()) };
            text += &format!("{gap}{before}{cell}{after}");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(heads);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Whether a column holds nothing but numbers: those stand to the right.
pub(crate) fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell))
}

/// Digits with what belongs to them, or a dash for none.
fn is_number(cell: &str) -> bool {
    cell == "-" || !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || ",.".contains(c))
}

/// Every scenario in a line.
pub fn list() -> String {
    let width = all().iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    all().iter().map(|s| format!("{:<width$}  {}\n", s.name, s.title)).collect()
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
