//! `fourwave run --demo`: in a namespace, and where none can be made.

mod common;

use std::process::Command;

use common::{Scratch, fourwave, permitted, skip, stderr, stdout};

/// The ladder of the demo's connection, and the summary below it.
#[track_caller]
fn assert_four_waves(text: &str) {
    for part in
        ["SYN", "ESTABLISHED", "wave 1", "wave 2", "wave 3", "wave 4", "FIN_WAIT_2", "TIME_WAIT"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(
        text.trim_end().lines().last().unwrap().starts_with("fourwave: 1 connection"),
        "{text}"
    );
}

#[test]
fn the_demo_draws_the_four_waves() {
    if !permitted() {
        return;
    }
    let output = fourwave().args(["run", "--demo"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("bytes of answer"), "{}", stdout(&output));
    assert_four_waves(&stderr(&output));
}

#[test]
fn without_namespaces_the_demo_says_what_is_missing_and_plays_in_memory() {
    let scratch = Scratch::new("demo");
    let pcap = scratch.path().join("demo.pcapng");
    // A user that is not mapped may make no namespace, whoever runs the test.
    let output = Command::new("unshare")
        .args(["-U", env!("CARGO_BIN_EXE_fourwave"), "run", "--demo", "--pcap"])
        .arg(&pcap)
        .output()
        .unwrap();
    let text = stderr(&output);
    if text.starts_with("unshare:") {
        skip(text.trim());
        return;
    }
    let first = text.lines().next().unwrap();
    assert!(first.contains("namespaces may not be made here"), "{text}");
    assert!(output.status.success(), "{text}");
    assert_four_waves(&text);
    // Written by a user that the namespace does not know, so only root may look.
    if let Ok(bytes) = std::fs::read(&pcap) {
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a pcapng section");
    }
}
