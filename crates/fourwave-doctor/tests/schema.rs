//! The JSON that is written and SCHEMA.md say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use fourwave_core::state::State;
use fourwave_doctor::{
    FindingKind, Limitation, Listener, Owner, Sample, Scope, Snapshot, Socket, TcpInfo, Thresholds,
    diagnose, json,
};
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

/// Every path to a value; objects whose keys are data are one field.
fn paths(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !matches!(prefix, "states" | "counters" | "sysctls") => {
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

/// A host with a leak of CLOSE_WAIT to one destination.
fn sample() -> Sample {
    let mut now = Snapshot::empty(Scope::Own);
    now.taken = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
    for port in 40_000..40_012 {
        let heard = Duration::from_secs(90);
        now.sockets.push(Socket {
            state: State::CloseWait,
            local: format!("10.1.0.1:{port}").parse().unwrap(),
            remote: "10.2.0.5:80".parse().unwrap(),
            unread: 0,
            unread_end: false,
            unacked: 0,
            inode: port,
            uid: 0,
            timer: None,
            info: Some(Box::new(TcpInfo { last_ack_received: heard, ..TcpInfo::default() })),
        });
        let owner = Owner { pid: 7, program: "leaky".to_owned(), fd: 5 };
        now.owners.insert(port, vec![owner]);
    }
    let local = "[::]:80".parse().unwrap();
    now.listeners.push(Listener { local, queue: 0, backlog: 128, half_open: 0, inode: 1, uid: 0 });
    now.sysctls.insert("ipv4.tcp_fin_timeout".to_owned(), "15".to_owned());
    now.counters.insert("TcpExtTW".to_owned(), 9);
    now.limitations.push(Limitation { what: "a".to_owned(), remedy: "b".to_owned() });
    let mut before = now.clone();
    before.counters.insert("TcpExtTW".to_owned(), 4);
    Sample { before, after: now, interval: Duration::from_secs(2) }
}

fn lines() -> Vec<Value> {
    let sample = sample();
    let findings = diagnose(&sample, &Thresholds::default());
    assert_eq!(findings.len(), 2, "{findings:#?}");
    let text = json::lines(&sample, &findings);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_field_written_is_documented_and_every_documented_one_written() {
    let mut written = Fields::new();
    for value in lines() {
        let event = value["event"].as_str().unwrap().to_owned();
        paths("", &value, written.entry(event).or_default());
    }
    assert_eq!(written, documented());
}

#[test]
fn every_kind_and_harm_is_documented() {
    for kind in FindingKind::ALL {
        assert!(SCHEMA.contains(&format!("`{}`", kind.name())), "{}", kind.name());
        // serde's own name, which a program that embeds `Finding` writes.
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    for severity in ["critical", "warning", "advice"] {
        assert!(SCHEMA.contains(&format!("`{severity}`")));
    }
}

#[test]
fn the_page_has_a_row_for_every_finding() {
    let page = include_str!("../../../docs/doctor.md");
    for kind in FindingKind::ALL {
        assert!(page.contains(&format!("\n| `{}` | ", kind.name())), "{}", kind.name());
    }
}

#[test]
fn figures_are_what_was_seen() {
    let lines = lines();
    let host = &lines[0];
    assert_eq!(host["t"], 1.5);
    assert_eq!(host["states"]["CLOSE_WAIT"], 12);
    assert_eq!(host["counters"]["TcpExtTW"], 5);
    assert_eq!(host["worst"], "warning");
    assert_eq!(host["destinations"][0]["to"], "10.2.0.5:80");
    assert_eq!(host["orphans_limit"], Value::Null);
    assert_eq!(lines[1]["about"], "pid 7");
    assert_eq!(lines[3]["event"], "limitation");
}
