//! The tool over a real link: what it says of a link is what the link was told to be.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use fourwave_testkit::{is_root, rest, skip};
use serde_json::Value;

fn may_be_done() -> bool {
    if !is_root() {
        return skip("namespaces and TUNs without a user namespace need root");
    }
    if !Path::new("/dev/net/tun").exists() {
        return skip("/dev/net/tun is missing");
    }
    true
}

/// The lines of JSON of one run.
fn measured(file: &str, arguments: &[&str]) -> Vec<Value> {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let child = Command::new(env!("CARGO_BIN_EXE_fourwave-path"))
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = rest(child);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("The link carries at most"));
    let text = fs::read_to_string(json).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ten megabits and 40 ms of round trip, from and to whom there is.
#[test]
fn a_link_is_as_slow_and_as_long_as_it_was_told() {
    if !may_be_done() {
        return;
    }
    let arguments = ["--rows", "first/10mbit", "--rounds", "1", "--seconds", "2"];
    let all = measured("slow.jsonl", &[&arguments[..], &["--algorithm", "reno"]].concat());
    let (transfers, rows): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|line| line["kind"] == "transfer");
    assert_eq!((transfers.len(), rows.len()), (3, 2));
    for line in &transfers {
        let goodput = line["received"].as_f64().unwrap() * 8.0 / line["seconds"].as_f64().unwrap();
        assert!((4e6..10e6).contains(&goodput), "{line}");
        let rtt = line["rtt_us"].as_u64().unwrap();
        assert!((40_000..400_000).contains(&rtt), "both delays, and at most the queue's 100 ms");
        assert_eq!((&line["lost"], &line["refused"]), (&0.into(), &0.into()), "{line}");
    }
    for row in &rows {
        assert!(row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row}");
    }
}

/// A small transfer ends by itself, after two round trips at least: the handshake's and its own.
#[test]
fn a_small_transfer_takes_its_round_trips() {
    if !may_be_done() {
        return;
    }
    let arguments = ["--rows", "loss0/100ms/full/10kB", "--rounds", "1", "--senders-only"];
    let all = measured("small.jsonl", &[&arguments[..], &["--algorithm", "reno"]].concat());
    let transfers = all.iter().filter(|line| line["kind"] == "transfer");
    for line in transfers {
        assert_eq!((&line["complete"], &line["received"]), (&true.into(), &10_000.into()));
        let seconds = line["seconds"].as_f64().unwrap();
        assert!((0.15..1.0).contains(&seconds), "handshake 100 ms, data 50 ms: {line}");
    }
    assert_eq!(all.len(), 2 * 5 + 1);
}
