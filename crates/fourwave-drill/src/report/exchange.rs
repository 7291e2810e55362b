//! A report on its way from one process to another: one line of JSON. Both ends are the same
//! program, so this is no interface; `SCHEMA.md` documents what is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ast::{Direction, Span};
use crate::run::{Failure, Outcome, Passing, Piece, Played, Report, Shown};

/// A line that is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's answer has no {0}")]
pub struct ExchangeError(&'static str);

type Read<T> = Result<T, ExchangeError>;

/// The report as JSON, without a line feed.
pub fn to_json(report: &Report) -> String {
    let Report { outcome, packets, events, warnings } = report;
    let outcome = match outcome {
        Outcome::Passed => json!({ "passed": true }),
        Outcome::Failed(failure) => json!({ "failed": failure_out(failure) }),
        Outcome::Skipped(why) => json!({ "skipped": why }),
    };
    let packets: Vec<Value> = packets.iter().map(packet_out).collect();
    let played = |played: &Played| {
        let Played { event, planned, at } = *played;
        json!([event, nanos(planned), nanos(at)])
    };
    let events: Vec<Value> = events.iter().map(played).collect();
    let warnings: Vec<Value> = warnings.iter().map(failure_out).collect();
    json!({ "outcome": outcome, "packets": packets, "events": events, "warnings": warnings })
        .to_string()
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// The line is something else, and this names what it lacks.
pub fn from_json(line: &str) -> Result<Report, ExchangeError> {
    let all: Value = serde_json::from_str(line).map_err(|_| ExchangeError("JSON"))?;
    let outcome = &all["outcome"];
    let outcome = if let Some(why) = outcome["skipped"].as_str() {
        Outcome::Skipped(why.to_owned())
    } else if outcome["failed"].is_object() {
        Outcome::Failed(Box::new(failure_in(&outcome["failed"])?))
    } else if outcome["passed"] == true {
        Outcome::Passed
    } else {
        return Err(ExchangeError("outcome"));
    };
    Ok(Report {
        outcome,
        packets: list(&all["packets"], "packets")?.iter().map(packet_in).collect::<Read<_>>()?,
        events: list(&all["events"], "events")?.iter().map(played_in).collect::<Read<_>>()?,
        warnings: list(&all["warnings"], "warnings")?
            .iter()
            .map(failure_in)
            .collect::<Read<_>>()?,
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn packet_out(passing: &Passing) -> Value {
    let Passing { at, direction, packet, event } = passing;
    let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    json!([nanos(*at), *direction == Direction::In, hex, event])
}

fn packet_in(value: &Value) -> Read<Passing> {
    let direction = match value[1].as_bool().ok_or(ExchangeError("direction"))? {
        true => Direction::In,
        false => Direction::Out,
    };
    let hex = value[2].as_str().ok_or(ExchangeError("packet"))?;
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let packet: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    let packet = packet.ok_or(ExchangeError("packet in hexadecimal"))?;
    Ok(Passing { at: time(&value[0])?, direction, packet, event: place(&value[3]) })
}

fn played_in(value: &Value) -> Read<Played> {
    let event = place(&value[0]).ok_or(ExchangeError("event"))?;
    Ok(Played { event, planned: time(&value[1])?, at: time(&value[2])? })
}

fn failure_out(failure: &Failure) -> Value {
    let Failure { event, span, at, message, expected, actual } = failure;
    let Span { start, end, line, column } = *span;
    json!({
        "event": event, "span": [start, end, line, column], "at": nanos(*at), "message": message,
        "expected": expected.as_ref().map(shown_out), "actual": actual.as_ref().map(shown_out),
    })
}

fn failure_in(value: &Value) -> Read<Failure> {
    let span = &value["span"];
    let position = |at: usize| {
        span[at].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or(ExchangeError("place"))
    };
    Ok(Failure {
        event: place(&value["event"]),
        span: Span {
            start: position(0)? as usize,
            end: position(1)? as usize,
            line: position(2)?,
            column: position(3)?,
        },
        at: time(&value["at"])?,
        message: value["message"].as_str().ok_or(ExchangeError("message"))?.to_owned(),
        expected: shown_in(&value["expected"])?,
        actual: shown_in(&value["actual"])?,
    })
}

fn shown_out(shown: &Shown) -> Value {
    shown.pieces.iter().map(|Piece { text, differs }| json!([text, differs])).collect()
}

fn shown_in(value: &Value) -> Read<Option<Shown>> {
    if value.is_null() {
        return Ok(None);
    }
    let piece = |piece: &Value| {
        let text = piece[0].as_str().ok_or(ExchangeError("text"))?.to_owned();
        Ok(Piece { text, differs: piece[1] == true })
    };
    let pieces = list(value, "pieces")?.iter().map(piece).collect::<Read<_>>()?;
    Ok(Some(Shown { pieces }))
}

fn list<'a>(value: &'a Value, name: &'static str) -> Read<&'a Vec<Value>> {
    value.as_array().ok_or(ExchangeError(name))
}

fn time(value: &Value) -> Read<Duration> {
    value.as_u64().map(Duration::from_nanos).ok_or(ExchangeError("time"))
}

fn place(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_as_it_was() {
        let shown = |text: &str| Shown { pieces: vec![Piece { text: text.into(), differs: true }] };
        let failure = Failure {
            event: Some(2),
            span: Span { start: 5, end: 9, line: 2, column: 3 },
            at: Duration::from_nanos(1_500_000_001),
            message: "it \"differs\"".into(),
            expected: Some(shown("3")),
            actual: None,
        };
        let packet = Passing {
            at: Duration::from_millis(3),
            direction: Direction::Out,
            packet: vec![0x45, 0, 0xff],
            event: None,
        };
        let inbound = Passing { direction: Direction::In, event: Some(7), ..packet.clone() };
        let planned = Duration::from_millis(1);
        let report = Report {
            outcome: Outcome::Failed(Box::new(failure.clone())),
            packets: vec![packet, inbound],
            events: vec![Played { event: 0, planned, at: planned }],
            warnings: vec![failure],
        };
        assert_eq!(from_json(&to_json(&report)), Ok(report.clone()));
        for outcome in [Outcome::Passed, Outcome::Skipped("sockets of type 3".into())] {
            let report = Report { outcome, ..report.clone() };
            assert_eq!(from_json(&to_json(&report)), Ok(report));
        }
    }

    #[test]
    fn another_line_is_refused() {
        assert_eq!(from_json("hello"), Err(ExchangeError("JSON")));
        assert_eq!(from_json("{}"), Err(ExchangeError("outcome")));
        let cut = r#"{"outcome":{"passed":true},"packets":[[1,true,"4g",null]]}"#;
        assert_eq!(from_json(cut), Err(ExchangeError("packet in hexadecimal")));
    }
}
