//! The JSON that is written and SCHEMA.md say the same.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use fourwave_lens::{AnomalyKind, Sender, json};
use serde_json::Value;

/// Lines that the crate of `trace` writes, and checks.
const OF_TRACE: [&str; 2] = ["file", "summary"];

/// Lines that one packet showed.
const OF_PACKETS: [&str; 9] =
    ["open", "segment", "data", "state", "wave", "arrival", "icmp", "exchange", "left_out"];

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
    for event in OF_TRACE {
        assert!(fields.remove(event).is_some(), "{event}");
    }
    let metrics = fields.get_mut("metrics").unwrap();
    let client = metrics.iter().filter_map(|path| path.strip_prefix("client."));
    let server: Vec<String> = client.map(|path| format!("server.{path}")).collect();
    metrics.extend(server);
    for (event, of_event) in &mut fields {
        let has = |field: &&String| {
            !matches!(field.as_str(), "file" | "packet") || OF_PACKETS.contains(&event.as_str())
        };
        of_event.extend(common.iter().filter(has).cloned());
    }
    fields
}

/// Every path to a value; of objects that are never null only what is in them.
fn paths(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if matches!(
                prefix.rsplit('.').next(),
                Some("closed_first" | "half_closed" | "report" | "rtt")
            ) {
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

/// More entries than a record keeps.
fn many_entries() -> Wire {
    let mut wire = Wire::new();
    wire.open();
    for i in 0..100 {
        wire.window[0] = 1000 + i;
        wire.at(20_000 + u64::from(i) * 1000, Client, "ACK", 1, 1, 0);
    }
    wire
}

/// The lines of all connections, as they come and as whole records.
fn lines() -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut add = |name, text: String| {
        lines.extend(text.lines().map(|line| (name, line.to_owned())));
    };
    for (name, mut wire) in all() {
        add(name, wire.json());
    }
    for (name, mut wire) in all().into_iter().chain([("many_rows", many_entries())]) {
        for record in wire.records() {
            let mut out = String::new();
            let place = |packet| json::PacketLocation { file: 0, packet };
            json::write_record(&record, &wire.names, &place, &mut out);
            add(name, out);
        }
    }
    add("sender", sender().json());
    lines
}

/// An engine at the server's end says what its sender does.
fn sender() -> Wire {
    let mut wire = Wire::new();
    wire.open();
    let says = Sender { state: "open", congestion: "cubic", cwnd: 14_480, ..Sender::default() };
    assert!(wire.lens.sender(wire.now, (wire.addrs[1], wire.addrs[0]), says));
    assert!(
        !wire.lens.sender(wire.now, (wire.addrs[1], wire.addrs[1]), says),
        "no such connection"
    );
    wire
}

fn written() -> Fields {
    let mut fields = Fields::new();
    for (_, line) in lines() {
        let value: Value = serde_json::from_str(&line).unwrap();
        let event = value["event"].as_str().unwrap().to_owned();
        paths("", &value, fields.entry(event).or_default());
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
    for (name, line) in lines() {
        let value: Value = serde_json::from_str(&line).unwrap();
        for field in ["kind", "place", "cause", "how", "reset_cause", "name", "severity"] {
            if let Some(text) = value[field].as_str() {
                assert!(SCHEMA.contains(&format!("`{text}`")), "{name}: {field} {text}");
            }
        }
    }
    for kind in AnomalyKind::ALL {
        assert!(SCHEMA.contains(&format!("`{}`", kind.name())), "{}", kind.name());
    }
}
