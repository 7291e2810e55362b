//! A place in a text, and the characters there.

use crate::ast::Span;

/// Reads a text from its beginning to its end, and knows lines and columns.
pub(super) struct Cursor<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'s> Cursor<'s> {
    pub(super) const fn new(source: &'s str) -> Self {
        Self { source, at: 0, line: 1, column: 1 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    /// The next character.
    pub(super) fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Moves on by so many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        for c in self.source[self.at..self.at + bytes].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at += bytes;
    }

    /// The place of the next so many bytes.
    pub(super) fn span(&self, bytes: usize) -> Span {
        Span { start: self.at, end: self.at + bytes, line: self.line, column: self.column }
    }
}

/// What words consist of: letters, digits and underscores.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The longest beginning of the text that consists of such characters.
pub(super) fn run_of(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

/// Bytes of the spaces and tabs that the text begins with.
pub(super) fn blanks(text: &str) -> usize {
    run_of(text, |c| c == ' ' || c == '\t').len()
}

/// Bytes of the comment up to the line's end that the text begins with, which `mark` opens.
pub(super) fn comment(text: &str, mark: &str) -> Option<usize> {
    text.starts_with(mark).then(|| run_of(text, |c| c != '\n').len())
}
