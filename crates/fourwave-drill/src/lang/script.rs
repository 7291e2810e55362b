//! The script as a whole: options, commands, and events with their times.

use std::time::Duration;

use winnow::combinator::{cut_err, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::stream::Stream;

use super::call::call;
use super::input::{
    In, Res, begin_event, missing, missing_all, peek, punct, refuse, span_from, span_here, take,
};
use super::packet::packet;
use crate::ast::{Command, Direction, Event, EventKind, OptionLine, Script, Span, Time};
use crate::lex::script::Kind;

/// `options* [init command] event+ [cleanup command]`.
pub(super) fn script(i: &mut In<'_>) -> Res<Script> {
    let options = repeat(0.., option_line).parse_next(i)?;
    let init = opt(command).parse_next(i)?;
    let events: Vec<Event> = repeat(1.., event).parse_next(i)?;
    let cleanup = opt(command).parse_next(i)?;
    if peek(i).is_some() {
        return missing(i, "the end of the script");
    }
    Ok(Script { options, init, events, cleanup })
}

fn option_line(i: &mut In<'_>) -> Res<OptionLine> {
    let span = span_here(i);
    let (name, value) = take("an option (`--name=value`)", |kind| match kind {
        Kind::Option(name, value) => Some((name, value)),
        _ => None,
    })
    .parse_next(i)?;
    Ok(OptionLine { name: name.to_owned(), value: value.map(str::to_owned), span })
}

fn command(i: &mut In<'_>) -> Res<Command> {
    begin_event(i);
    let span = span_here(i);
    let text = take("a command between backquotes", |kind| match kind {
        Kind::Backquoted(text) => Some(text),
        _ => None,
    })
    .parse_next(i)?;
    Ok(Command { text: text.to_owned(), span })
}

fn code(i: &mut In<'_>) -> Res<Command> {
    let span = span_here(i);
    let text = take("code between `%{` and `}%`", |kind| match kind {
        Kind::Code(text) => Some(text),
        _ => None,
    })
    .parse_next(i)?;
    Ok(Command { text: text.to_owned(), span })
}

fn event(i: &mut In<'_>) -> Res<Event> {
    begin_event(i);
    let start = span_here(i);
    let time = time(i)?;
    let time_span = span_from(i, start);
    let kind = cut_err(event_kind(time)).parse_next(i)?;
    let outbound = matches!(&kind, EventKind::Packet(p) if p.direction == Direction::Out);
    let ranged = matches!(time, Time::Any | Time::Between(..) | Time::AfterBetween(..));
    if ranged && !outbound {
        let expected = "one time (`*` and ranges are for outbound packets only)";
        return refuse(i, time_span, expected);
    }
    Ok(Event { time, kind, span: span_from(i, start) })
}

fn event_kind<'s>(time: Time) -> impl FnMut(&mut In<'s>) -> Res<EventKind> {
    move |i| match peek(i) {
        Some(Kind::Punct('<' | '>')) => Ok(EventKind::Packet(Box::new(packet(i)?))),
        Some(Kind::Backquoted(_)) => {
            let command = command(i)?;
            Ok(EventKind::Command(command))
        }
        Some(Kind::Code(_)) => Ok(EventKind::Code(code(i)?)),
        Some(Kind::Word(_)) => Ok(EventKind::Call(Box::new(call(i, None)?))),
        Some(Kind::Ellipsis) => {
            let until = until(i, time)?;
            Ok(EventKind::Call(Box::new(call(i, Some(until))?)))
        }
        _ => {
            let wanted =
                ["`<`", "`>`", "a call", "a command between backquotes", "code (`%{ … }%`)"];
            missing_all(i, &wanted)
        }
    }
}

/// `...0.2`: when a blocking call returns; a plus sign before it means nothing more.
fn until(i: &mut In<'_>, time: Time) -> Res<Duration> {
    take("`...`", |kind| (kind == Kind::Ellipsis).then_some(())).parse_next(i)?;
    let start = span_here(i);
    if matches!(time, Time::After(_)) {
        opt(punct('+')).parse_next(i)?;
    }
    let end = seconds.parse_next(i)?;
    match time {
        Time::At(begin) | Time::After(begin) if end < begin => {
            let span = span_from(i, start);
            refuse(i, span, "a time no earlier than the call's beginning")
        }
        _ => Ok(end),
    }
}

fn time(i: &mut In<'_>) -> Res<Time> {
    let start = span_here(i);
    let time = match peek(i) {
        Some(Kind::Punct('*')) => {
            i.input.next_token();
            return Ok(Time::Any);
        }
        Some(Kind::Punct('+')) => {
            i.input.next_token();
            Time::After(cut_err(seconds).parse_next(i)?)
        }
        Some(Kind::Int(_) | Kind::Float(_)) => Time::At(seconds(i)?),
        _ => return missing(i, "a time"),
    };
    let range = match time {
        Time::After(from) => opt(preceded(punct('~'), cut_err((opt(punct('+')), seconds))))
            .parse_next(i)?
            .map(|(_, to)| (from, to, Time::AfterBetween(from, to))),
        Time::At(from) => opt(preceded(punct('~'), cut_err(seconds)))
            .parse_next(i)?
            .map(|to| (from, to, Time::Between(from, to))),
        _ => None,
    };
    match range {
        Some((from, to, _)) if to < from => {
            let span = span_from(i, start);
            refuse(i, span, "a range of times that runs forwards")
        }
        Some((_, _, range)) => Ok(range),
        None => Ok(time),
    }
}

fn seconds(i: &mut In<'_>) -> Res<Duration> {
    let span: Span = span_here(i);
    let text = take("seconds", |kind| match kind {
        Kind::Int(text) | Kind::Float(text) => Some(text),
        _ => None,
    })
    .parse_next(i)?;
    match duration(text) {
        Some(duration) => Ok(duration),
        None => refuse(i, span, "a time below 1000000000 seconds"),
    }
}

/// Decimal seconds, exact; what is finer than a nanosecond is cut off.
fn duration(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = 0;
    for at in 0..9 {
        let digit = fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0');
        nanos = nanos * 10 + u32::from(digit);
    }
    (whole < 1_000_000_000).then(|| Duration::new(whole, nanos))
}
