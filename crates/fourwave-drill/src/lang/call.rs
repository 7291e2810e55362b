//! System calls and their arguments.

use winnow::combinator::{alt, cut_err, delimited, opt, preceded, separated};
use winnow::prelude::*;
use winnow::stream::Stream;

use super::input::{
    In, Res, at_new_line, missing, peek, peek_second, punct, refuse, span_from, span_here, take,
    text_between, word,
};
use crate::ast::{Call, Expr, ExprKind, Field, Span};
use crate::lex::script::Kind;
use crate::lex::text::{Escapes, unescape};
use std::time::Duration;

/// Brackets and signs within one another that a call may have.
const NESTING: u32 = 64;
/// Levels of the tree that an argument may have (a chain of operators counts each).
const LEVELS: u32 = 256;

/// An expression and the levels of its tree, so that nobody who walks it runs out of stack.
struct Deep {
    expr: Expr,
    levels: u32,
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between brackets: all operators.
    Inside,
    /// A call's result: the `+` or `*` after it is the next event's, `(` begins a note.
    Result,
}

pub(super) fn call(i: &mut In<'_>, until: Option<Duration>) -> Res<Call> {
    let name_span = span_here(i);
    let name = word("the name of a call").parse_next(i)?.to_owned();
    let args = delimited(punct('('), arguments(')'), punct(')')).parse_next(i)?;
    punct('=').parse_next(i)?;
    let result = expression(i, Place::Result)?.expr;
    let ellipsis = result.kind == ExprKind::Ellipsis;
    let errno = opt(errno).parse_next(i)?.map(str::to_owned);
    let note = opt(note).parse_next(i)?;
    let result = (!ellipsis).then_some(result);
    let args = args.into_iter().map(|arg| arg.expr).collect();
    Ok(Call { until, name, name_span, args, result, errno, note })
}

/// `EAGAIN`; at the beginning of a line a word is rather an event without a time.
fn errno<'s>(i: &mut In<'s>) -> Res<&'s str> {
    let elsewhere = at_new_line(i)
        && matches!(peek(i), Some(Kind::Word(name))
            if !name.starts_with('E') || name.contains(|c: char| c.is_ascii_lowercase()));
    match elsewhere {
        true => missing(i, "a time"),
        false => word("an error's name").parse_next(i),
    }
}

/// `(words that mean nothing)`, on one line.
fn note(i: &mut In<'_>) -> Res<String> {
    punct('(').parse_next(i)?;
    let start = span_here(i);
    while peek(i).is_some_and(|kind| kind != Kind::Punct(')')) && !at_new_line(i) {
        i.input.next_token();
    }
    let end = span_from(i, start).end;
    cut_err(punct(')')).parse_next(i)?;
    Ok(text_between(i, start.start, end).to_owned())
}

fn arguments<'s>(close: char) -> impl FnMut(&mut In<'s>) -> Res<Vec<Deep>> {
    move |i| match peek(i) {
        Some(Kind::Punct(c)) if c == close => Ok(Vec::new()),
        _ => separated(1.., argument, punct(',')).parse_next(i),
    }
}

/// An expression, or `name=value`.
fn argument(i: &mut In<'_>) -> Res<Deep> {
    let start = span_here(i);
    let left = expression(i, Place::Inside)?;
    if !matches!(left.expr.kind, ExprKind::Name(_)) || peek(i) != Some(Kind::Punct('=')) {
        return Ok(left);
    }
    punct('=').parse_next(i)?;
    let right = cut_err(|i: &mut In<'_>| expression(i, Place::Inside)).parse_next(i)?;
    combine(i, start, "=", left, right)
}

fn expression(i: &mut In<'_>, place: Place) -> Res<Deep> {
    binary(i, place, 0)
}

/// Operators by how tightly they bind; none that could begin the next event after a result.
fn operator(i: &In<'_>, place: Place) -> Option<(&'static str, u8)> {
    let Some(Kind::Punct(c)) = peek(i) else { return None };
    let (text, binding) = match c {
        '|' => ("|", 1),
        '^' => ("^", 2),
        '&' => ("&", 3),
        '+' => ("+", 4),
        '-' => ("-", 4),
        '*' => ("*", 5),
        '/' => ("/", 5),
        _ => return None,
    };
    (place == Place::Inside || binding < 4).then_some((text, binding))
}

fn binary(i: &mut In<'_>, place: Place, least: u8) -> Res<Deep> {
    let start = span_here(i);
    let mut left = unary(i, place)?;
    while let Some((op, binding)) = operator(i, place).filter(|&(_, binding)| binding > least) {
        i.input.next_token();
        let right = cut_err(|i: &mut In<'_>| binary(i, place, binding)).parse_next(i)?;
        left = combine(i, start, op, left, right)?;
    }
    Ok(left)
}

fn combine(i: &mut In<'_>, start: Span, op: &'static str, left: Deep, right: Deep) -> Res<Deep> {
    let levels = left.levels.max(right.levels) + 1;
    let kind = ExprKind::Binary(op, Box::new(left.expr), Box::new(right.expr));
    finish(i, start, kind, levels)
}

/// Checks the depth of what was read since `start`.
fn finish(i: &mut In<'_>, start: Span, kind: ExprKind, levels: u32) -> Res<Deep> {
    let span = span_from(i, start);
    if levels > LEVELS {
        return refuse(i, start, format!("an argument of at most {LEVELS} operators and brackets"));
    }
    Ok(Deep { expr: Expr { kind, span }, levels })
}

/// Reads what lies one level deeper.
fn nested<T>(i: &mut In<'_>, inner: impl FnOnce(&mut In<'_>) -> Res<T>) -> Res<T> {
    if i.state.depth == NESTING {
        let span = span_here(i);
        return refuse(i, span, format!("at most {NESTING} brackets within one another"));
    }
    i.state.depth += 1;
    let result = inner(i);
    i.state.depth -= 1;
    result
}

fn unary(i: &mut In<'_>, place: Place) -> Res<Deep> {
    let start = span_here(i);
    match peek(i) {
        Some(Kind::Punct('-')) => {
            i.input.next_token();
            let Deep { expr, levels } = nested(i, |i| cut_err(operand(place)).parse_next(i))?;
            let kind = match expr.kind {
                ExprKind::Int(value) => ExprKind::Int(-value),
                kind => {
                    let zero = Expr { kind: ExprKind::Int(0), span: start };
                    let expr = Expr { kind, span: expr.span };
                    ExprKind::Binary("-", Box::new(zero), Box::new(expr))
                }
            };
            finish(i, start, kind, levels + 1)
        }
        Some(Kind::Punct('~')) => {
            i.input.next_token();
            let Deep { expr, levels } = nested(i, |i| cut_err(operand(place)).parse_next(i))?;
            finish(i, start, ExprKind::Not(Box::new(expr)), levels + 1)
        }
        _ => primary(i, place),
    }
}

fn operand<'s>(place: Place) -> impl FnMut(&mut In<'s>) -> Res<Deep> {
    move |i| unary(i, place)
}

fn primary(i: &mut In<'_>, place: Place) -> Res<Deep> {
    let start = span_here(i);
    match peek(i) {
        Some(Kind::Int(digits)) => integer(i, start, digits, 10),
        Some(Kind::Hex(digits)) => integer(i, start, digits, 16),
        Some(Kind::Str(_)) => string(i, start),
        Some(Kind::Ellipsis) => {
            i.input.next_token();
            finish(i, start, ExprKind::Ellipsis, 1)
        }
        Some(Kind::Word(name)) => {
            let applied = peek_second(i) == Some(Kind::Punct('('));
            i.input.next_token();
            if applied && place == Place::Inside {
                let (args, levels) = bracketed(i, '(', ')')?;
                return finish(i, start, ExprKind::Apply(name.to_owned(), args), levels + 1);
            }
            finish(i, start, ExprKind::Name(name.to_owned()), 1)
        }
        Some(Kind::Punct('[')) => {
            let (items, levels) = bracketed(i, '[', ']')?;
            finish(i, start, ExprKind::List(items), levels + 1)
        }
        Some(Kind::Punct('{')) => structure(i, start),
        Some(Kind::Punct('(')) => {
            let inner = nested(i, |i| {
                let inner = |i: &mut In<'_>| expression(i, Place::Inside);
                cut_err(delimited(punct('('), inner, punct(')'))).parse_next(i)
            })?;
            Ok(inner)
        }
        _ => missing(i, "a value"),
    }
}

/// Arguments between brackets, and the levels of the deepest.
fn bracketed(i: &mut In<'_>, open: char, close: char) -> Res<(Vec<Expr>, u32)> {
    let items = nested(i, |i| {
        cut_err(delimited(punct(open), arguments(close), punct(close))).parse_next(i)
    })?;
    let levels = items.iter().map(|item| item.levels).max().unwrap_or(0);
    Ok((items.into_iter().map(|item| item.expr).collect(), levels))
}

fn integer(i: &mut In<'_>, start: Span, digits: &str, radix: u32) -> Res<Deep> {
    i.input.next_token();
    match u64::from_str_radix(digits, radix) {
        Ok(value) => finish(i, start, ExprKind::Int(value.into()), 1),
        Err(_) => refuse(i, start, "a number that fits into 64 bits"),
    }
}

/// `"text"`, `"text" "more"`, `"text"...`.
fn string(i: &mut In<'_>, start: Span) -> Res<Deep> {
    let mut bytes = Vec::new();
    while let Some(Kind::Str(text)) = peek(i) {
        let span = span_here(i);
        i.input.next_token();
        match unescape(text, Escapes::C) {
            Ok(more) => bytes.extend(more),
            Err((at, len)) => {
                // The quote comes before the text; columns count characters.
                let before = text[..at].chars().count();
                let column = span.column.saturating_add(u32::try_from(before).unwrap_or(0) + 1);
                let place = span.start + 1 + at;
                let span = Span { start: place, end: place + len, column, ..span };
                return refuse(i, span, "an escape of C (\\n, \\x1f, \\033, \\\\ …)");
            }
        }
    }
    let prefix = opt(take("`...`", |kind| (kind == Kind::Ellipsis).then_some(())));
    let kind = match { prefix }.parse_next(i)? {
        Some(()) => ExprKind::StrPrefix(bytes),
        None => ExprKind::Str(bytes),
    };
    finish(i, start, kind, 1)
}

/// `{a=1, b(2)=[…], 3}`.
fn structure(i: &mut In<'_>, start: Span) -> Res<Deep> {
    let fields = nested(i, |i| {
        let fields = |i: &mut In<'_>| match peek(i) {
            Some(Kind::Punct('}')) => Ok(Vec::new()),
            _ => separated(1.., field, punct(',')).parse_next(i),
        };
        cut_err(delimited(punct('{'), fields, punct('}'))).parse_next(i)
    })?;
    let levels = fields.iter().map(|&(_, levels)| levels).max().unwrap_or(0);
    let fields: Vec<Field> = fields.into_iter().map(|(field, _)| field).collect();
    finish(i, start, ExprKind::Struct(fields), levels + 1)
}

/// `value`, `name=value` or `name(count)=value`; only the `=` tells which.
fn field(i: &mut In<'_>) -> Res<(Field, u32)> {
    let Deep { expr, levels } = expression(i, Place::Inside)?;
    let head = match expr.kind {
        ExprKind::Name(name) if peek(i) == Some(Kind::Punct('=')) => Ok((name, None)),
        ExprKind::Apply(name, mut args) if args.len() == 1 && peek(i) == Some(Kind::Punct('=')) => {
            Ok((name, args.pop()))
        }
        kind => Err(Expr { kind, span: expr.span }),
    };
    match head {
        Err(value) => {
            // What could have followed, for the error.
            if matches!(value.kind, ExprKind::Name(_)) {
                opt(alt((punct('='), punct('(')))).parse_next(i)?;
            }
            Ok((Field { name: None, count: None, value }, levels))
        }
        Ok((name, count)) => {
            let value = |i: &mut In<'_>| expression(i, Place::Inside);
            let value = preceded(punct('='), cut_err(value)).parse_next(i)?;
            let levels = levels.max(value.levels);
            Ok((Field { name: Some(name), count, value: value.expr }, levels))
        }
    }
}
