//! The language: text to [`Script`] and back.
//!
//! | step | where |
//! | --- | --- |
//! | text → tokens, comments and `#ifdef` gone | `script.rs` of `lex` |
//! | tokens → tree | `script`, `call`, `packet`, `options`, on winnow's combinators |
//! | what could have stood where something else did | `input`, [`SyntaxError`] |
//! | tree → text | `format`: `Display` for [`Script`], [`Packet`](crate::ast::Packet), parts |
//!
//! Where the tool that made the language is lenient (white space, `.1`, `SEWA` in any order), so
//! are we; it knows decimal and hexadecimal numbers only, so `010` is ten.

mod call;
mod error;
mod format;
mod input;
mod options;
mod packet;
mod script;

pub use error::SyntaxError;

use crate::ast::{Script, Span};
use crate::lex;

/// Reads a script; of `#ifdef`'s names only those count as defined that the script's own
/// `--define` lines name.
///
/// # Errors
///
/// The first place that is not the language's, and what it would have allowed there.
/// Takes time in proportion to the length, whatever the text.
pub fn parse(source: &str) -> Result<Script, SyntaxError> {
    parse_with(source, &|_| false)
}

/// Reads a script for which `defined` tells what is defined besides (`fourwave drill --define`).
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with(source: &str, defined: &dyn Fn(&str) -> bool) -> Result<Script, SyntaxError> {
    if let Some(at) = source.find('\0') {
        return Err(SyntaxError::new(
            source,
            place(source, at),
            "text".into(),
            "a zero byte".into(),
        ));
    }
    let lexed = lex::script::lex(source, defined);
    let mut input = input::input(source, &lexed.tokens);
    let stopped = lexed.stopped.map(|stopped| SyntaxError::at_stop(source, stopped));
    match (script::script(&mut input), stopped) {
        (Ok(script), None) => Ok(script),
        (Ok(_), Some(error)) => Err(error),
        (Err(_), lexical) => {
            let (error, at_end) = input.state.into_error();
            // What stops the lexer matters only if all before it was understood.
            Err(lexical.filter(|_| at_end).unwrap_or(error))
        }
    }
}

/// Reads a script from a file's bytes; some that are not UTF-8 do no harm in a comment.
///
/// # Errors
///
/// As [`parse`]; a file with a zero byte in it is no text.
pub fn parse_bytes(source: &[u8], defined: &dyn Fn(&str) -> bool) -> Result<Script, SyntaxError> {
    parse_with(&String::from_utf8_lossy(source), defined)
}

/// The place of one byte.
fn place(source: &str, at: usize) -> Span {
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { start: at, end: at + 1, line: count(line), column: count(column) }
}
