//! Results as JSON lines for machines. `SCHEMA.md` says what every field means.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::compare::Difference;
use super::{Verdict, length, text};
use crate::ast::{Direction, Span};
use crate::run::{Failure, Outcome, Report, Shown};

/// What became of a script, as far as it came.
#[derive(Clone, Copy, Debug)]
pub enum JsonVerdict<'a> {
    /// It was played.
    Played(&'a Report),
    /// It could not be: why, in one line, and where that stands.
    Unreadable {
        /// The line.
        message: &'a str,
        /// The place, where there is one.
        span: Option<Span>,
    },
}

/// The `script` line of one script on one target, with a line feed.
pub fn script_line(file: &str, source: &str, target: &str, verdict: JsonVerdict<'_>) -> String {
    let value = match verdict {
        JsonVerdict::Played(report) => played(file, source, target, report),
        JsonVerdict::Unreadable { message, span } => json!({
            "event": "script", "file": file, "target": target, "verdict": "fail",
            "reason": message, "seconds": null, "events": 0, "packets": json!({"in": 0, "out": 0}),
            "failure": {
                "kind": "script", "line": span.map(|span| span.line),
                "column": span.map(|span| span.column),
                "source": span.and_then(|span| text::excerpt(source, span)),
                "t": null, "message": message, "expected": null, "actual": null,
            },
            "warnings": [],
        }),
    };
    format!("{value}\n")
}

fn played(file: &str, source: &str, target: &str, report: &Report) -> Value {
    let (reason, failed) = match &report.outcome {
        Outcome::Passed => (None, None),
        Outcome::Failed(failed) => (Some(&failed.message), Some(failure(source, failed))),
        Outcome::Skipped(why) => (Some(why), None),
    };
    let count = |direction: Direction| {
        report.packets.iter().filter(|packet| packet.direction == direction).count()
    };
    let warnings: Vec<Value> =
        report.warnings.iter().map(|warning| failure(source, warning)).collect();
    json!({
        "event": "script", "file": file, "target": target,
        "verdict": Verdict::from(&report.outcome).word().to_lowercase(), "reason": reason,
        "seconds": seconds(length(report)), "events": report.events.len(),
        "packets": { "in": count(Direction::In), "out": count(Direction::Out) },
        "failure": failed, "warnings": warnings,
    })
}

fn failure(source: &str, failure: &Failure) -> Value {
    let Failure { event, span, at, message, expected, actual } = failure;
    let place = (span.line > 0).then_some(span);
    json!({
        "kind": if event.is_some() { "event" } else { "run" },
        "line": place.map(|span| span.line), "column": place.map(|span| span.column),
        "source": text::excerpt(source, *span), "t": seconds(*at), "message": message,
        "expected": expected.as_ref().map(shown), "actual": actual.as_ref().map(shown),
    })
}

fn shown(shown: &Shown) -> Value {
    let differs: Vec<&str> = shown
        .pieces
        .iter()
        .filter(|piece| piece.differs)
        .map(|piece| piece.text.as_str())
        .collect();
    json!({ "text": shown.to_string(), "differs": differs })
}

/// The `difference` line of a script that two targets played otherwise, with a line feed.
pub fn difference_line(file: &str, source: &str, difference: &Difference) -> String {
    let Difference { span, ours, theirs } = difference;
    let value = json!({
        "event": "difference", "file": file, "line": span.map(|span| span.line),
        "source": span.and_then(|span| text::excerpt(source, span)),
        "virtual": ours, "linux": theirs,
    });
    format!("{value}\n")
}

/// The last line: how many of each, and why scripts were skipped, most frequent first.
pub fn summary_line(
    target: &str,
    counts: [usize; 3],
    differ: usize,
    reasons: &BTreeMap<String, usize>,
) -> String {
    let [passed, failed, skipped] = counts;
    let mut sorted: Vec<(&String, &usize)> = reasons.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<Value> = sorted
        .into_iter()
        .map(|(reason, count)| json!({ "reason": reason, "scripts": count }))
        .collect();
    let value = json!({
        "event": "summary", "target": target, "passed": passed, "failed": failed,
        "skipped": skipped, "differ": differ, "skip_reasons": reasons,
    });
    format!("{value}\n")
}

/// With microseconds.
fn seconds(at: Duration) -> f64 {
    at.as_micros() as f64 / 1e6
}
