//! What a reader of a script's error gets to see.

use std::fmt;

use crate::ast::Span;
use crate::lex::script::{Found, Stopped};

/// How much of a long line is shown around the mistake.
const EXCERPT: usize = 100;

/// Why a text is no script: where, what could have stood there and what did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What stands there.
    pub span: Span,
    /// What could have stood there: "`,` or `)`".
    pub expected: String,
    /// What does stand there: "`]`", "the end of the line".
    pub found: String,
    /// The line, shortened around the place if it is long.
    excerpt: String,
    /// Characters of `excerpt` before the place.
    before: usize,
    /// Characters to underline.
    width: usize,
}

impl SyntaxError {
    pub(super) fn new(source: &str, span: Span, expected: String, found: String) -> Self {
        let (excerpt, before, width) = excerpt(source, span);
        Self { span, expected, found, excerpt, before, width }
    }

    /// Where the tokens ended too early.
    pub(super) fn at_stop(source: &str, stopped: Stopped) -> Self {
        let Stopped { span, expected, found } = stopped;
        let found = match found {
            Found::LineEnd => "the end of the line".to_owned(),
            Found::ScriptEnd => "the end of the script".to_owned(),
            Found::Place => quoted(&source[span.start..span.end]),
        };
        Self::new(source, span, expected.to_owned(), found)
    }

    /// `file:line:column: expected …, found …`, the line, and carets under the place.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { error: self, file }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { span, expected, found, .. } = self;
        write!(f, "{}:{}: expected {expected}, found {found}", span.line, span.column)
    }
}

impl std::error::Error for SyntaxError {}

struct InFile<'a> {
    error: &'a SyntaxError,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, file } = self;
        let margin = error.span.line.to_string();
        let blank = " ".repeat(margin.len());
        // Tabs stay tabs, so that the carets stand where the reader's editor puts them.
        let indent: String = error
            .excerpt
            .chars()
            .take(error.before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{file}:{error}")?;
        writeln!(f, "{margin} | {}", error.excerpt)?;
        write!(f, "{blank} | {indent}{}", "^".repeat(error.width))
    }
}

/// The line of `span`, the characters before the place and the width of the place in it.
fn excerpt(source: &str, span: Span) -> (String, usize, usize) {
    let start = span.start.min(source.len());
    let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
    let lead: Vec<char> = source[line_start..start].chars().rev().take(EXCERPT / 2).collect();
    let rest = &source[start..line_end];
    let room = EXCERPT - lead.len();
    let end = span.end.clamp(start, line_end);
    let width = source[start..end].chars().take(room).count().max(1);
    let mut text = String::new();
    let mut before = lead.len();
    if source[line_start..start].chars().rev().nth(EXCERPT / 2).is_some() {
        text.push('…');
        before += 1;
    }
    text.extend(lead.into_iter().rev().map(printable));
    text.extend(rest.chars().take(room).map(printable));
    if rest.chars().nth(room).is_some() {
        text.push('…');
    }
    let keep = text.trim_end().len();
    text.truncate(keep);
    (text, before, width)
}

/// Nothing that a terminal would obey.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

/// A few words of the source as they go into a message: quoted, short, and on one line.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let line = text.lines().next().unwrap_or("");
    let cut = line.chars().nth(SHOWN).is_some() || line.len() < text.len();
    let shown: String = line.chars().take(SHOWN).map(printable).collect();
    let more = if cut { "…" } else { "" };
    match shown.contains('`') {
        true => format!("{shown}{more}"),
        false => format!("`{shown}{more}`"),
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn alternatives(labels: &[&str]) -> String {
    match labels {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
