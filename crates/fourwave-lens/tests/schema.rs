//! The JSON that is written and SCHEMA.md say the same.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use serde_json::Value;

const SCHEMA: &str = include_str!("../SCHEMA.md");

type Fields = BTreeMap<String, BTreeSet<String>>;

/// The fields of each heading's table.
fn documented() -> Fields {
    let mut fields = Fields::new();
    let mut event = String::new();
    for line in SCHEMA.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            event = heading.to_owned();
        } else if let Some(rest) = line.strip_prefix("| `") {
            let field = rest.split('`').next().unwrap().to_owned();
            assert!(fields.entry(event.clone()).or_default().insert(field), "twice: {line}");
        }
    }
    let common = fields.remove("every line").unwrap();
    for of_event in fields.values_mut() {
        of_event.extend(common.iter().cloned());
    }
    fields
}

/// Every path to a value; of objects that are never null only what is in them.
fn paths(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if matches!(prefix, "closed_first" | "half_closed" | "report") {
                out.insert(prefix.to_owned());
            }
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

fn written() -> Fields {
    let mut fields = Fields::new();
    for (_, mut wire) in all() {
        for line in wire.json().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let event = value["event"].as_str().unwrap().to_owned();
            paths("", &value, fields.entry(event).or_default());
        }
    }
    fields
}

#[test]
fn every_field_written_is_documented_and_every_documented_one_written() {
    assert_eq!(written(), documented());
}

#[test]
fn a_plain_connection_as_json() {
    insta::assert_snapshot!(half_close().json());
}

#[test]
fn kinds_places_and_causes_are_documented() {
    for (name, mut wire) in all() {
        for line in wire.json().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            for field in ["kind", "place", "cause", "how", "reset_cause"] {
                if let Some(text) = value[field].as_str() {
                    assert!(SCHEMA.contains(&format!("`{text}`")), "{name}: {field} {text}");
                }
            }
        }
    }
}
