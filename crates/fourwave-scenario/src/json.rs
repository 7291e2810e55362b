//! A performance as JSON lines: what the lenses told, and one object about the whole. `SCHEMA.md`
//! says what every field means.

use fourwave_lens::json;
use serde_json::json;

use crate::part::Part;
use crate::performance::Performance;

/// One JSON object a line. Connections are counted again after each `part` line.
pub fn render(performance: &Performance) -> String {
    let mut out = String::new();
    let name = performance.scenario.name;
    for (number, part) in performance.parts.iter().enumerate() {
        let number = number + 1;
        let mut push = |value: serde_json::Value| out.push_str(&format!("{value}\n"));
        match part {
            Part::Watched { title, events, names, .. } => {
                push(json!({ "event": "part", "scenario": name, "part": number, "title": title }));
                events.iter().for_each(|event| json::write(event, names, &mut out));
            }
            Part::Table { heads, rows } => push(json!({
                "event": "table", "scenario": name, "part": number, "heads": heads, "rows": rows,
            })),
        }
    }
    let Performance { scenario, outcome, metrics, failure, parts: _ } = performance;
    let failure = failure.as_ref().map(|failure| {
        json!({ "what": failure.what, "expected": failure.expected, "actual": failure.actual })
    });
    let whole = json!({
        "event": "scenario", "name": scenario.name, "title": scenario.title,
        "passed": failure.is_none(), "outcome": outcome, "metrics": metrics, "failure": failure,
    });
    out.push_str(&format!("{whole}\n"));
    out
}
