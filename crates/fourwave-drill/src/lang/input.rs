//! The stream that the grammar's parsers read, and the smallest of them.
//!
//! Alternatives are tried by winnow; what each of them would have liked to see is kept beside the
//! stream, for the farthest place reached. So an error names everything that could have stood
//! there, whichever alternative wanted it.

use winnow::combinator::separated_pair;
use winnow::error::{EmptyError, ErrMode};
use winnow::prelude::*;
use winnow::stream::{Stateful, Stream, TokenSlice};

use super::error::{SyntaxError, alternatives, quoted};
use crate::ast::Span;
use crate::lex::script::{Kind, Token};

/// What the parsers read.
pub(super) type In<'s> = Stateful<TokenSlice<'s, Token<'s>>, State<'s>>;

/// What the parsers give.
pub(super) type Res<T> = Result<T, ErrMode<EmptyError>>;

/// What goes along with the tokens.
#[derive(Debug)]
pub(super) struct State<'s> {
    source: &'s str,
    tokens: &'s [Token<'s>],
    /// The farthest place at which something was missing, as an index into the tokens.
    farthest: usize,
    /// What was missing there.
    wanted: Vec<&'static str>,
    /// A value that the grammar allows and the language does not.
    refusal: Option<SyntaxError>,
    /// Brackets open around this place.
    pub(super) depth: u32,
    /// The first token of the event that is being read.
    event: usize,
}

pub(super) fn input<'s>(source: &'s str, tokens: &'s [Token<'s>]) -> In<'s> {
    let state = State {
        source,
        tokens,
        farthest: 0,
        wanted: Vec::new(),
        refusal: None,
        depth: 0,
        event: 0,
    };
    Stateful { input: TokenSlice::new(tokens), state }
}

impl State<'_> {
    fn want(&mut self, at: usize, what: &'static str) {
        if at > self.farthest {
            self.farthest = at;
            self.wanted.clear();
        }
        if at == self.farthest && !self.wanted.contains(&what) {
            self.wanted.push(what);
        }
    }

    /// The first thing that went wrong, and whether all tokens before the end were understood.
    pub(super) fn into_error(self) -> (SyntaxError, bool) {
        if let Some(refusal) = self.refusal {
            return (refusal, false);
        }
        let expected = alternatives(&self.wanted);
        let token = self.tokens.get(self.farthest);
        let before = self.farthest.checked_sub(1).map(|at| self.tokens[at].span);
        let (span, found) = match (token, before) {
            (Some(token), Some(before)) if self.breaks_off(token, before) => {
                (end_of(self.source, before), "the end of the line".to_owned())
            }
            (Some(token), _) => {
                (token.span, quoted(&self.source[token.span.start..token.span.end]))
            }
            (None, Some(before)) => {
                (end_of(self.source, before), "the end of the script".to_owned())
            }
            (None, None) => {
                (Span { line: 1, column: 1, ..Span::default() }, "an empty script".to_owned())
            }
        };
        let at_end = token.is_none();
        (SyntaxError::new(self.source, span, expected, found), at_end)
    }

    /// Whether the event under way was left unfinished, and this token begins the next one.
    fn breaks_off(&self, token: &Token<'_>, before: Span) -> bool {
        let begins = match token.kind {
            Kind::Punct('+' | '*') | Kind::Float(_) => true,
            Kind::Int(_) => matches!(
                self.tokens.get(self.farthest + 1).map(|next| next.kind),
                Some(Kind::Word(_) | Kind::Punct('<' | '>') | Kind::Code(_) | Kind::Backquoted(_))
            ),
            _ => false,
        };
        begins && self.farthest > self.event && self.new_line(before, token.span)
    }

    fn new_line(&self, before: Span, after: Span) -> bool {
        self.source[before.end..after.start].contains('\n')
    }
}

/// The place just behind.
fn end_of(source: &str, span: Span) -> Span {
    let inside = &source[span.start..span.end];
    let lines = inside.matches('\n').count();
    let last = inside.rsplit('\n').next().unwrap_or("").chars().count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span {
        start: span.end,
        end: span.end,
        line: span.line.saturating_add(count(lines)),
        column: if lines > 0 { 1 } else { span.column }.saturating_add(count(last)),
    }
}

/// Index of the next token.
pub(super) fn here(i: &In<'_>) -> usize {
    i.state.tokens.len() - i.input.eof_offset()
}

/// Place of the next token; behind the last one at the end.
pub(super) fn span_here(i: &In<'_>) -> Span {
    match i.input.peek_token() {
        Some(token) => token.span,
        None => i.state.tokens.last().map_or(Span::default(), |t| end_of(i.state.source, t.span)),
    }
}

/// From `start` to the end of the last token taken.
pub(super) fn span_from(i: &In<'_>, start: Span) -> Span {
    let end = here(i).checked_sub(1).map_or(start.end, |at| i.state.tokens[at].span.end);
    Span { end: end.max(start.start), ..start }
}

/// The source between two places.
pub(super) fn text_between<'s>(i: &In<'s>, start: usize, end: usize) -> &'s str {
    i.state.source.get(start..end).unwrap_or("")
}

/// Whether the next token stands on a later line than the last one taken.
pub(super) fn at_new_line(i: &In<'_>) -> bool {
    let at = here(i);
    match (at.checked_sub(1), i.state.tokens.get(at)) {
        (Some(before), Some(next)) => i.state.new_line(i.state.tokens[before].span, next.span),
        _ => true,
    }
}

/// Whether the next token is not followed by another at once.
pub(super) fn space_behind(i: &In<'_>) -> bool {
    let at = here(i);
    match (i.state.tokens.get(at), i.state.tokens.get(at + 1)) {
        (Some(this), Some(next)) => this.span.end < next.span.start,
        _ => true,
    }
}

/// An event begins here: what could have continued the one before is no longer of interest.
pub(super) fn begin_event(i: &mut In<'_>) {
    let at = here(i);
    if i.state.event == at {
        return;
    }
    i.state.event = at;
    if at_new_line(i) && i.state.farthest <= at {
        i.state.wanted.clear();
    }
}

/// The kind of the next token.
pub(super) fn peek<'s>(i: &In<'s>) -> Option<Kind<'s>> {
    i.input.peek_token().map(|token| token.kind)
}

/// The kind of the token after the next.
pub(super) fn peek_second<'s>(i: &In<'s>) -> Option<Kind<'s>> {
    i.state.tokens.get(here(i) + 1).map(|token| token.kind)
}

/// Fails here for want of `what`; other alternatives may be tried.
pub(super) fn missing<T>(i: &mut In<'_>, what: &'static str) -> Res<T> {
    let at = here(i);
    i.state.want(at, what);
    Err(ErrMode::Backtrack(EmptyError))
}

/// Fails here for want of any of these.
pub(super) fn missing_all<T>(i: &mut In<'_>, wanted: &[&'static str]) -> Res<T> {
    let at = here(i);
    wanted.iter().for_each(|what| i.state.want(at, what));
    Err(ErrMode::Backtrack(EmptyError))
}

/// Fails for good: what stands at `span` has the right form and a wrong value.
pub(super) fn refuse<T>(i: &mut In<'_>, span: Span, expected: impl Into<String>) -> Res<T> {
    let found = text_between(i, span.start, span.end);
    let found = if found.is_empty() { "nothing".to_owned() } else { quoted(found) };
    i.state.refusal = Some(SyntaxError::new(i.state.source, span, expected.into(), found));
    Err(ErrMode::Cut(EmptyError))
}

/// The next token if `choose` makes something of it.
pub(super) fn take<'s, T>(
    what: &'static str,
    choose: impl Fn(Kind<'s>) -> Option<T>,
) -> impl Parser<In<'s>, T, ErrMode<EmptyError>> {
    move |i: &mut In<'s>| match i.input.peek_token().and_then(|token| choose(token.kind)) {
        Some(value) => {
            i.input.next_token();
            Ok(value)
        }
        None => missing(i, what),
    }
}

/// This character.
pub(super) fn punct<'s>(c: char) -> impl Parser<In<'s>, (), ErrMode<EmptyError>> {
    take(punct_label(c), move |kind| (kind == Kind::Punct(c)).then_some(()))
}

fn punct_label(c: char) -> &'static str {
    match c {
        '(' => "`(`",
        ')' => "`)`",
        '[' => "`[`",
        ']' => "`]`",
        '{' => "`{`",
        '}' => "`}`",
        '<' => "`<`",
        '>' => "`>`",
        ',' => "`,`",
        ':' => "`:`",
        '=' => "`=`",
        '+' => "`+`",
        '*' => "`*`",
        '~' => "`~`",
        '!' => "`!`",
        '/' => "`/`",
        '.' => "`.`",
        _ => "another character",
    }
}

/// Any word.
pub(super) fn word<'s>(what: &'static str) -> impl Parser<In<'s>, &'s str, ErrMode<EmptyError>> {
    take(what, |kind| match kind {
        Kind::Word(word) => Some(word),
        _ => None,
    })
}

/// This word; `label` is the word in backquotes.
pub(super) fn keyword<'s>(
    keyword: &'static str,
    label: &'static str,
) -> impl Parser<In<'s>, (), ErrMode<EmptyError>> {
    take(label, move |kind| (kind == Kind::Word(keyword)).then_some(()))
}

/// A number of 0 to `max`, decimal or hexadecimal.
pub(super) fn number<'s, T: TryFrom<u64>>(
    what: &'static str,
    max: u64,
) -> impl Parser<In<'s>, T, ErrMode<EmptyError>> {
    move |i: &mut In<'s>| {
        let span = span_here(i);
        let digits = take(what, |kind| match kind {
            Kind::Int(digits) => Some((digits, 10)),
            Kind::Hex(digits) => Some((digits, 16)),
            _ => None,
        });
        let (digits, radix) = { digits }.parse_next(i)?;
        let value = u64::from_str_radix(digits, radix).ok().filter(|&value| value <= max);
        match value.and_then(|value| T::try_from(value).ok()) {
            Some(value) => Ok(value),
            None => refuse(i, span, format!("{what} of 0 to {max}")),
        }
    }
}

pub(super) fn number_u8<'s>(what: &'static str) -> impl Parser<In<'s>, u8, ErrMode<EmptyError>> {
    number(what, u8::MAX.into())
}

pub(super) fn number_u16<'s>(what: &'static str) -> impl Parser<In<'s>, u16, ErrMode<EmptyError>> {
    number(what, u16::MAX.into())
}

pub(super) fn number_u32<'s>(what: &'static str) -> impl Parser<In<'s>, u32, ErrMode<EmptyError>> {
    number(what, u32::MAX.into())
}

/// Sequence numbers from the first to the one behind the last: `1:1001`.
pub(super) fn range(i: &mut In<'_>) -> Res<(u32, u32)> {
    let first = number_u32("a sequence number");
    let end = number_u32("a sequence number");
    separated_pair(first, punct(':'), end).parse_next(i)
}

/// Whether the next two tokens begin an event (and so end whatever stands before).
pub(super) fn begins_event(i: &In<'_>) -> bool {
    match peek(i) {
        None | Some(Kind::Punct('+' | '*') | Kind::Float(_) | Kind::Backquoted(_)) => true,
        Some(Kind::Int(_)) => matches!(
            peek_second(i),
            Some(Kind::Word(_) | Kind::Punct('<' | '>') | Kind::Code(_) | Kind::Backquoted(_))
        ),
        _ => false,
    }
}
