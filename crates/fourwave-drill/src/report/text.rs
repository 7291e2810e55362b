//! A failure as a person reads it.

use std::fmt::Write;

use crate::ast::Span;
use crate::run::{Failure, Piece, Shown};

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TextOptions {
    /// ANSI colours. The caller decides: a terminal, and `NO_COLOR` not set.
    pub color: bool,
}

/// How much of a line of the script is shown.
const EXCERPT: usize = 160;
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The lines below `FAIL file: …`: the event as it stands in `source`, and expected against
/// actual with what differs marked. Each ends with a line feed; none where nothing can be shown.
pub fn failure(file: &str, source: &str, failure: &Failure, options: &TextOptions) -> String {
    let mut out = String::new();
    if let Some(line) = excerpt(source, failure.span) {
        let _infallible = writeln!(out, "  {file}:{}: {line}", failure.span.line);
    }
    let sides = [("expected", &failure.expected, GREEN), ("actual  ", &failure.actual, RED)];
    for (title, shown, color) in sides {
        if let Some(shown) = shown {
            side(&mut out, title, shown, options.color.then_some(color));
        }
    }
    out
}

/// The line of a place, on one line and without what a terminal would obey.
pub(super) fn excerpt(source: &str, span: Span) -> Option<String> {
    let line = source.lines().nth(usize::try_from(span.line).ok()?.checked_sub(1)?)?.trim();
    let mut text: String = line.chars().take(EXCERPT).map(printable).collect();
    if line.chars().nth(EXCERPT).is_some() {
        text.push('…');
    }
    (!text.is_empty()).then_some(text)
}

fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn side(out: &mut String, title: &str, shown: &Shown, color: Option<&str>) {
    let mut text = String::new();
    let mut marks = String::new();
    for Piece { text: piece, differs } in &shown.pieces {
        let piece: String = piece.chars().map(printable).collect();
        let mark = if *differs { "^" } else { " " };
        marks.push_str(&mark.repeat(piece.chars().count()));
        match color {
            Some(color) if *differs => text.extend([color, &piece, PLAIN]),
            _ => text.push_str(&piece),
        }
    }
    let _infallible = writeln!(out, "    {title}  {text}");
    // Where all of it differs, marks tell nothing.
    let marks = marks.trim_end();
    if marks.contains('^') && shown.pieces.len() > 1 {
        let _infallible = writeln!(out, "    {}  {marks}", " ".repeat(title.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shown(pieces: &[(&str, bool)]) -> Option<Shown> {
        let piece =
            |(text, differs): &(&str, bool)| Piece { text: (*text).to_owned(), differs: *differs };
        Some(Shown { pieces: pieces.iter().map(piece).collect() })
    }

    fn example() -> Failure {
        Failure {
            event: Some(1),
            span: Span { start: 8, end: 20, line: 2, column: 1 },
            at: Duration::from_millis(100),
            message: "ack differs".to_owned(),
            expected: shown(&[("0.1 > . 1:1(0) ", false), ("ack 1001", true)]),
            actual: shown(&[("0.1 > . 1:1(0) ", false), ("ack 1", true)]),
        }
    }

    #[test]
    fn the_event_and_what_differs_stand_below_each_other() {
        let source = "0 one()\n+.1\t> . 1:1(0) ack 1001 \x07\n";
        let text = failure("a.pkt", source, &example(), &TextOptions::default());
        let blank = " ".repeat(29);
        let wanted = format!(
            "  a.pkt:2: +.1 > . 1:1(0) ack 1001 \u{fffd}\n    \
             expected  0.1 > . 1:1(0) ack 1001\n{blank}^^^^^^^^\n    \
             actual    0.1 > . 1:1(0) ack 1\n{blank}^^^^^\n"
        );
        assert_eq!(text, wanted);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let text = failure("a.pkt", "", &example(), &TextOptions { color: true });
        assert!(text.contains("\x1b[31mack 1\x1b[0m"), "{text:?}");
        let text = failure("a.pkt", "", &example(), &TextOptions::default());
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_result_that_differs_as_a_whole_has_no_marks() {
        let whole = Failure { expected: shown(&[("3", true)]), actual: None, ..example() };
        let text = failure("a.pkt", "", &whole, &TextOptions::default());
        assert_eq!(text, "    expected  3\n");
    }
}
