//! The code of `%{ … }%` in words.

use super::scan::{Cursor, comment, is_word, run_of};
use super::text::{Escapes, hexadecimal, integer, quoted_len, unescape};
use crate::ast::Span;

/// A word, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Int(i128),
    Float(f64),
    Str(String),
    Name(String),
    Op(&'static str),
    /// A line's end or `;`.
    End,
}

/// Longer ones first.
const OPERATORS: [&str; 35] = [
    "//=", "<<=", ">>=", "**", "==", "!=", "<=", ">=", "<<", ">>", "//", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "<", ">", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "(", ")",
    ",", ":",
];

/// The words of a snippet. Line ends within parentheses and after `\` are blanks.
pub(crate) fn tokens(code: &str) -> Result<Vec<Token>, String> {
    let mut cursor = Cursor::new(code);
    let mut tokens = Vec::new();
    let mut open = 0usize;
    while let Some(c) = cursor.next() {
        let rest = cursor.rest();
        let blank = match c {
            '\n' if open > 0 => 1,
            '\\' => joined(rest),
            '#' => comment(rest, "#").unwrap_or(1),
            '\n' | ';' => 0,
            _ => usize::from(c.is_ascii_whitespace()),
        };
        if blank > 0 {
            cursor.advance(blank);
            continue;
        }
        let (kind, len) = token(c, rest)?;
        match kind {
            Kind::Op("(") => open += 1,
            Kind::Op(")") => open = open.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token { kind, span: cursor.span(len) });
        cursor.advance(len);
    }
    Ok(tokens)
}

/// Bytes of a backslash with the line's end after it; 0 where there is more on the line.
fn joined(rest: &str) -> usize {
    let gap = 1 + run_of(&rest[1..], |c| matches!(c, ' ' | '\t' | '\r')).len();
    if rest[gap..].starts_with('\n') { gap + 1 } else { 0 }
}

/// The next word, and its bytes.
fn token(c: char, rest: &str) -> Result<(Kind, usize), String> {
    Ok(match c {
        '\n' | ';' => (Kind::End, 1),
        '\'' | '"' => string(c, rest)?,
        _ if c.is_ascii_digit() || c == '.' => {
            let number = run_of(rest, |c| is_word(c) || c == '.');
            (number_of(number)?, number.len())
        }
        _ if is_word(c) => {
            let name = run_of(rest, is_word);
            (Kind::Name(name.to_owned()), name.len())
        }
        _ => {
            let op = OPERATORS.into_iter().find(|op| rest.starts_with(op));
            let op = op.ok_or_else(|| format!("{c:?} means nothing in code"))?;
            (Kind::Op(op), op.len())
        }
    })
}

/// Whole in decimal or hexadecimal, or with a fraction or exponent; `_` divides digits.
fn number_of(text: &str) -> Result<Kind, String> {
    let text = text.replace('_', "");
    let fractional = hexadecimal(&text).is_none() && text.contains(['.', 'e', 'E']);
    let kind = match fractional {
        true => text.parse().ok().map(Kind::Float),
        false => integer(&text).map(Kind::Int),
    };
    kind.ok_or_else(|| format!("{text} is no number"))
}

fn string(quote: char, rest: &str) -> Result<(Kind, usize), String> {
    let text = quoted_len(rest, quote, Escapes::Code).and_then(|len| {
        let bytes = unescape(&rest[1..len - 1], Escapes::Code).ok()?;
        Some((Kind::Str(String::from_utf8(bytes).ok()?), len))
    });
    text.ok_or_else(|| "a text has no end".to_owned())
}
