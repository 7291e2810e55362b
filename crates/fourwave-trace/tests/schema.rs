//! The lines that are about no single connection, and the lens's SCHEMA.md, say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use fourwave_capture::Tally;
use fourwave_lens::{AnomalyKind, Names, Severity};
use fourwave_trace::json::Json;
use fourwave_trace::{FileRead, Numbering, Overview, Service, Sink, Suspect};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../fourwave-lens/SCHEMA.md");

/// The fields below one heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let section = SCHEMA.split("\n### ").find(|section| section.starts_with(heading)).unwrap();
    let fields = section.lines().filter_map(|line| line.strip_prefix("| `"));
    fields.map(|rest| rest.split('`').next().unwrap().to_owned()).collect()
}

/// Every path to a value. What an object's keys are is data in `ends` and `anomalies`.
fn paths(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !matches!(prefix, "ends" | "anomalies") => {
            for (key, value) in object {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                paths(&path, value, out);
            }
        }
        Value::Array(values) => {
            out.insert(prefix.to_owned());
            for value in values.iter().filter(|value| value.is_object()) {
                paths(&format!("{prefix}[]"), value, out);
            }
        }
        _ => {
            out.insert(prefix.to_owned());
        }
    }
}

fn lines() -> Vec<Value> {
    let tally = Tally { unknown_links: vec![(147, 2)], ..Tally::default() };
    let span = Some((Duration::from_secs(1), Duration::from_secs(2)));
    let overview = Overview {
        files: vec![FileRead { name: "a.pcap".to_owned(), tally, span, damaged: None }],
        span,
        ends: [("orderly", 1)].into(),
        anomalies: [(AnomalyKind::FinRetransmitted, 1)].into(),
        services: vec![Service::default()],
        suspects: vec![Suspect {
            conn: 1,
            addrs: ["10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()],
            kind: AnomalyKind::FinRetransmitted,
            severity: Severity::Warning,
            text: "a sentence".to_owned(),
            packets: vec![3, 12],
        }],
        ..Overview::default()
    };
    let mut numbering = Numbering::default();
    numbering.begin("a.pcap", 0);
    numbering.begin("b.pcap", 10);
    let mut out = Vec::new();
    Json::new(&mut out, Names::default()).finish(&overview, &numbering).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn file_and_summary_are_what_is_documented() {
    let lines = lines();
    assert_eq!(lines.len(), 3, "two files and the summary");
    for line in &lines {
        let mut written = BTreeSet::new();
        paths("", line, &mut written);
        assert_eq!(written, documented(line["event"].as_str().unwrap()));
    }
    let suspect = &lines[2]["suspects"][0];
    assert_eq!((&suspect["packets"], &suspect["files"]), (&[3, 2].into(), &[0, 1].into()));
}
