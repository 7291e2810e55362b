//! Text → tokens. White space and comments fall away here, and so does what `#ifdef` leaves out.

use super::scan::{Cursor, blanks, comment, is_word, run_of};
use super::text::{Escapes, hexadecimal, quoted_len};
use crate::ast::Span;

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind<'s>,
    pub(crate) span: Span,
}

/// What a token is; numbers stay text until the grammar knows what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'s> {
    /// `123`.
    Int(&'s str),
    /// `0x1f`, without the `0x`.
    Hex(&'s str),
    /// `1.5`, `.5`.
    Float(&'s str),
    /// Letters, digits and underscores.
    Word(&'s str),
    /// What stands between quotes, escapes and all.
    Str(&'s str),
    /// What stands between backquotes.
    Backquoted(&'s str),
    /// What stands between `%{` and `}%`.
    Code(&'s str),
    /// `--name=value`.
    Option(&'s str, Option<&'s str>),
    /// `...`.
    Ellipsis,
    /// Any other character.
    Punct(char),
}

/// The tokens, and what ended them before the text did.
pub(crate) struct Lexed<'s> {
    pub(crate) tokens: Vec<Token<'s>>,
    pub(crate) stopped: Option<Stopped>,
}

/// Where tokens end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) span: Span,
    /// What is missing.
    pub(crate) expected: &'static str,
    pub(crate) found: Found,
}

/// What stands there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The end of the line.
    LineEnd,
    /// The end of the script.
    ScriptEnd,
    /// What the place holds.
    Place,
}

/// Splits a script into tokens. `defined` answers `#ifdef`; linear in the length.
pub(crate) fn lex<'s>(source: &'s str, defined: &dyn Fn(&str) -> bool) -> Lexed<'s> {
    let mut lexer = Lexer {
        cursor: Cursor::new(source),
        tokens: Vec::with_capacity(source.len() / 4),
        conditions: Vec::new(),
        defined,
        fresh_line: true,
    };
    let stopped = lexer.run().err();
    Lexed { tokens: lexer.tokens, stopped }
}

struct Lexer<'s, 'd> {
    cursor: Cursor<'s>,
    tokens: Vec<Token<'s>>,
    /// The `#ifdef`s around this place, all of them true here.
    conditions: Vec<Span>,
    defined: &'d dyn Fn(&str) -> bool,
    /// Nothing but white space since the line began.
    fresh_line: bool,
}

impl<'s> Lexer<'s, '_> {
    fn rest(&self) -> &'s str {
        self.cursor.rest()
    }

    fn push(&mut self, kind: Kind<'s>, bytes: usize) {
        self.tokens.push(Token { kind, span: self.cursor.span(bytes) });
        self.cursor.advance(bytes);
    }

    fn run(&mut self) -> Result<(), Stopped> {
        while let Some(c) = self.cursor.next() {
            let fresh = self.fresh_line;
            self.fresh_line = c == '\n' || (fresh && c.is_whitespace());
            match c {
                c if c.is_whitespace() || c == '\u{feff}' => self.cursor.advance(c.len_utf8()),
                '#' if fresh && self.directive()? => {}
                _ => self.token(c)?,
            }
        }
        match self.conditions.last() {
            Some(&open) => Err(ends_in(open, "`#endif` for this")),
            None => Ok(()),
        }
    }

    fn token(&mut self, c: char) -> Result<(), Stopped> {
        let rest = self.rest();
        match c {
            '/' if rest.starts_with("//") => {
                self.cursor.advance(comment(rest, "//").unwrap_or(rest.len()));
            }
            '/' if rest.starts_with("/*") => {
                let inner = self.enclosed(2, "*/", "the end of this comment, `*/`")?;
                self.cursor.advance(inner.len() + 4);
            }
            '"' => {
                let inner = self.until_quote('"', "the end of this text, `\"`")?;
                self.push(Kind::Str(inner), inner.len() + 2);
            }
            '`' => {
                let inner = self.until_quote('`', "the end of this command, a backquote")?;
                self.push(Kind::Backquoted(inner), inner.len() + 2);
            }
            '%' if rest.starts_with("%{") => {
                let inner = self.enclosed(2, "}%", "the end of this code, `}%`")?;
                let code = inner.trim_matches([' ', '\t']);
                self.push(Kind::Code(code), inner.len() + 4);
            }
            '.' if rest.starts_with("...") => self.push(Kind::Ellipsis, 3),
            '-' if rest.starts_with("--") && rest[2..].starts_with(is_word) => self.option()?,
            c if is_word(c) || c == '.' => self.word_or_number(),
            c => self.push(Kind::Punct(c), c.len_utf8()),
        }
        Ok(())
    }

    /// What stands from `opening` bytes on up to `closing`.
    fn enclosed(
        &self,
        opening: usize,
        closing: &str,
        expected: &'static str,
    ) -> Result<&'s str, Stopped> {
        let inner = &self.rest()[opening..];
        match inner.find(closing) {
            Some(end) => Ok(&inner[..end]),
            None => Err(ends_in(self.cursor.span(opening), expected)),
        }
    }

    /// What stands between this quote and the next that no backslash precedes.
    fn until_quote(&self, quote: char, expected: &'static str) -> Result<&'s str, Stopped> {
        match quoted_len(self.rest(), quote, Escapes::C) {
            Some(len) => Ok(&self.rest()[1..len - 1]),
            None => Err(ends_in(self.cursor.span(1), expected)),
        }
    }

    fn word_or_number(&mut self) {
        let rest = self.rest();
        let word = run_of(rest, is_word);
        let digits = run_of(rest, |c| c.is_ascii_digit());
        if digits.len() == word.len() && rest[digits.len()..].starts_with('.') {
            let fraction = run_of(&rest[digits.len() + 1..], |c| c.is_ascii_digit());
            if !fraction.is_empty() {
                let len = digits.len() + 1 + fraction.len();
                return self.push(Kind::Float(&rest[..len]), len);
            }
        }
        let kind = match hexadecimal(word) {
            _ if word.is_empty() => return self.push(Kind::Punct('.'), 1),
            _ if digits.len() == word.len() => Kind::Int(word),
            Some(hex) if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Kind::Hex(hex)
            }
            _ => Kind::Word(word),
        };
        self.push(kind, word.len());
    }

    /// `--name`, `--name=value`, `--name="a value"`; the value ends at white space or a comment.
    fn option(&mut self) -> Result<(), Stopped> {
        let rest = self.rest();
        let name = run_of(&rest[2..], is_word);
        let mut len = 2 + name.len();
        let gap = blanks(&rest[len..]);
        let mut value = None;
        if rest[len + gap..].starts_with('=') {
            len += gap + 1;
            len += blanks(&rest[len..]);
            let Some(bytes) = option_value(&rest[len..]) else {
                let expected = "the end of the quotes in this option";
                return Err(ends_in(self.cursor.span(len), expected));
            };
            let text = &rest[len..len + bytes];
            len += bytes;
            value = Some(unquoted(text));
        }
        self.push(Kind::Option(name, value), len);
        Ok(())
    }

    /// `#ifdef NAME`, `#ifndef NAME`, `#else`, `#endif`: false if it is none of them.
    fn directive(&mut self) -> Result<bool, Stopped> {
        let (directive, name, len) = split_directive(self.rest());
        let span = self.cursor.span(len);
        match directive {
            "ifdef" | "ifndef" => {
                if name.is_empty() {
                    let expected = "a name after this";
                    return Err(Stopped { span, expected, found: Found::LineEnd });
                }
                let holds = (self.defined)(name) || self.defines(name);
                self.cursor.advance(len);
                if holds == (directive == "ifdef") {
                    self.conditions.push(span);
                } else {
                    self.skip(span, true)?;
                }
            }
            "else" | "endif" => {
                if self.conditions.pop().is_none() {
                    let expected = "an event (no `#ifdef` is open)";
                    return Err(Stopped { span, expected, found: Found::Place });
                }
                self.cursor.advance(len);
                if directive == "else" {
                    self.skip(span, false)?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Skips to the `#endif` that belongs to the directive at `open`, or to its `#else`.
    fn skip(&mut self, open: Span, or_else: bool) -> Result<(), Stopped> {
        let mut inner = 0_usize;
        loop {
            let line = self.rest();
            let line = &line[..line.find('\n').map_or(line.len(), |at| at + 1)];
            if line.is_empty() {
                return Err(ends_in(open, "`#endif` for this"));
            }
            let text = line.trim_start();
            let (directive, _, len) = split_directive(text);
            match directive {
                "ifdef" | "ifndef" => inner += 1,
                "endif" if inner > 0 => inner -= 1,
                "endif" => {
                    self.cursor.advance(line.len() - text.len() + len);
                    return Ok(());
                }
                "else" if inner == 0 && or_else => {
                    self.conditions.push(open);
                    self.cursor.advance(line.len() - text.len() + len);
                    return Ok(());
                }
                _ => {}
            }
            self.cursor.advance(line.len());
        }
    }

    /// Whether an option line of the script itself defines the name.
    fn defines(&self, name: &str) -> bool {
        self.tokens.iter().any(|token| match token.kind {
            Kind::Option("define", Some(value)) => value.split('=').next() == Some(name),
            _ => false,
        })
    }
}

fn ends_in(span: Span, expected: &'static str) -> Stopped {
    Stopped { span, expected, found: Found::ScriptEnd }
}

/// Directive, name after it, and the bytes of both; empty for a line that is none.
fn split_directive(line: &str) -> (&str, &str, usize) {
    let Some(rest) = line.strip_prefix('#') else { return ("", "", 0) };
    let gap = blanks(rest);
    let directive = run_of(&rest[gap..], is_word);
    let mut len = 1 + gap + directive.len();
    let mut name = "";
    if matches!(directive, "ifdef" | "ifndef") {
        len += blanks(&line[len..]);
        name = run_of(&line[len..], is_word);
        len += name.len();
    }
    (directive, name, len)
}

/// Bytes of an option's value; none if a quote is never closed.
fn option_value(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        match c {
            c if c.is_whitespace() || rest.starts_with("//") || rest.starts_with("/*") => break,
            '"' | '`' => at += quoted_len(rest, c, Escapes::C)?,
            c => at += c.len_utf8(),
        }
    }
    Some(at)
}

/// Without quotes around the whole.
fn unquoted(text: &str) -> &str {
    let whole = text.starts_with('"') && quoted_len(text, '"', Escapes::C) == Some(text.len());
    if whole { &text[1..text.len() - 1] } else { text }
}

/// Whether an option's value reads back as itself without quotes.
pub(crate) fn is_plain_value(text: &str) -> bool {
    !text.is_empty() && option_value(text) == Some(text.len()) && unquoted(text).len() == text.len()
}
