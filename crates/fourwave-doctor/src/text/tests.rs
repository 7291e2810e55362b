use std::time::Duration;

use super::*;
use crate::{Command, FindingKind, Limitation, Snapshot, Thresholds};

fn sample() -> Sample {
    let now = Snapshot::empty(Scope::Own);
    Sample { before: now.clone(), after: now, interval: Duration::from_secs(2) }
}

fn found() -> Finding {
    Finding {
        kind: FindingKind::CloseWaitLeak,
        severity: Severity::Warning,
        about: "pid 7".to_owned(),
        headline: "a\nname (pid 7) holds 12 connections".to_owned(),
        evidence: vec!["twelve words that are long enough to be wrapped when narrow".to_owned()],
        cause: "it forgets → them".to_owned(),
        program: vec!["close them".to_owned()],
        host: vec![Command { line: "ss -tan".to_owned(), effect: "lists them".to_owned() }],
        does_not_help: vec!["no knob".to_owned()],
    }
}

#[test]
fn a_healthy_host_is_one_line_with_figures() {
    let sample = sample();
    let found = crate::diagnose(&sample, &Thresholds::default());
    let text = report(&sample, &found, &TextOptions::default());
    assert!(
        text.contains("\nhealthy         nothing found in 0 sockets and 0 listeners"),
        "{text}"
    );
    assert!(text.contains("32768..60999: 28,232 for each destination; none in use"));
    assert!(text.starts_with("examined        this network namespace, watched for 2 s\n"));
}

#[test]
fn a_finding_is_told_in_order_and_what_lacks_at_the_end() {
    let mut sample = sample();
    let remedy = "run it as root".to_owned();
    sample
        .after
        .limitations
        .push(Limitation { what: "the programs of 3 sockets".to_owned(), remedy });
    let text = report(&sample, &[found()], &TextOptions::default());
    let places: Vec<usize> = [
        "1. warning",
        "twelve words",
        "  cause",
        "in the program",
        "    - close them",
        "on the host",
        "    $ ss -tan\n      lists them",
        "  does not help",
        "--explain close-wait-leak",
        "the programs of 3 sockets: run it as root",
    ]
    .iter()
    .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is not in\n{text}")))
    .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("a?name"), "a line feed in a name does not get out");
}

#[test]
fn width_colour_and_ascii_are_kept() {
    let options = TextOptions { width: 40, color: false, ascii: true };
    let text = report(&sample(), &[found()], &options);
    assert!(text.is_ascii() && !text.contains('\x1b'));
    let wide: Vec<&str> = text
        .lines()
        .filter(|line| line.len() > 40 && !line.trim_start().starts_with('$'))
        .collect();
    assert_eq!(wide, [""; 0]);
    let colored = report(&sample(), &[found()], &TextOptions { color: true, ..options });
    assert!(colored.contains("\x1b[1;33m1. warning"));
}
