//! JSON is what SCHEMA.md says, and a page is whole.

use std::collections::BTreeSet;

use fourwave_core::Config;
use fourwave_scenario::{all, find, html, json};
use serde_json::Value;

const SCHEMA: &str = include_str!("../SCHEMA.md");

/// The fields under a heading of SCHEMA.md.
fn documented(heading: &str) -> BTreeSet<String> {
    let section = SCHEMA.split("### ").find(|s| s.lines().next() == Some(heading)).unwrap();
    let fields = section.lines().filter_map(|line| line.strip_prefix("| `"));
    fields.map(|rest| rest.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn the_lines_are_those_of_the_schema() {
    for name in ["lost-last-ack", "long-connections"] {
        let performance = find(name).unwrap().play(&Config::default());
        let lines: Vec<Value> = json::render(&performance)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &lines {
            let kind = line["event"].as_str().unwrap();
            if !matches!(kind, "part" | "table" | "scenario") {
                assert!(line["conn"].is_u64(), "a line of the lens: {line}");
                continue;
            }
            let fields: BTreeSet<String> =
                line.as_object().unwrap().keys().filter(|key| *key != "event").cloned().collect();
            assert_eq!(fields, documented(kind), "{line}");
        }
        let last = lines.last().unwrap();
        assert_eq!((&last["event"], &last["name"]), (&"scenario".into(), &name.into()));
        assert_eq!((&last["passed"], &last["failure"]), (&true.into(), &Value::Null));
    }
}

#[test]
fn a_failure_is_part_of_the_json() {
    let mut config = Config::default();
    config.set("tcp_timewait_len", "0").unwrap();
    let performance = find("lost-last-ack").unwrap().play(&config);
    let last: Value =
        serde_json::from_str(json::render(&performance).lines().last().unwrap()).unwrap();
    assert_eq!(last["passed"], false);
    assert_eq!(last["failure"]["what"], "the client's TIME_WAIT");
    assert!(html::render(&performance).contains("class=\"failure\""));
}

/// Every element that is opened is closed, in the right order.
fn assert_balanced(name: &str, page: &str) {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let element = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        if matches!(element, "!doctype" | "meta") {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(element), "{name}");
        } else {
            open.push(element);
        }
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

#[test]
fn a_page_is_whole_and_asks_for_nothing_from_elsewhere() {
    for scenario in all() {
        let performance = scenario.play(&Config::default());
        let page = html::render(&performance);
        assert_balanced(scenario.name, &page);
        for needed in ["<html lang=", "name=\"viewport\"", "<h1>", "prefers-color-scheme: dark"] {
            assert!(page.contains(needed), "{}: {needed}", scenario.name);
        }
        for elsewhere in ["http://", "https://", "src=", "url(", "<script", "\x1b"] {
            assert!(!page.contains(elsewhere), "{}: {elsewhere}", scenario.name);
        }
        // What scrolls can be reached by the keyboard and has a name.
        let scrolling =
            page.matches("<pre ").count() + page.matches("<div class=\"table\"").count();
        assert_eq!(page.matches("tabindex=\"0\" role=\"region\" aria-label=").count(), scrolling);
        assert!(scrolling > 0, "{}", scenario.name);
    }
}
