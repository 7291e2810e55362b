//! `fourwave run --demo`: in a namespace, and where none can be made.

mod common;

use std::process::{Command, Output, Stdio};

use common::{Bounded, Scratch, fourwave, has, permitted, skip, stderr, stdout};

/// The ladder of the demo's connection on standard output, and the summary on standard error.
#[track_caller]
fn assert_four_waves(output: &Output) {
    let (text, said) = (stdout(output), stderr(output));
    for part in
        ["SYN", "ESTABLISHED", "wave 1", "wave 2", "wave 3", "wave 4", "FIN_WAIT_2", "TIME_WAIT"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(said.lines().last().unwrap().starts_with("fourwave: 1 connection"), "{said}");
    assert!(!said.contains("wave 1"), "{said}");
}

#[test]
fn the_demo_draws_the_four_waves() {
    if !permitted() {
        return;
    }
    let output = fourwave().args(["run", "--demo"]).bounded();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("bytes of answer"), "{}", stdout(&output));
    assert_four_waves(&output);
}

/// `println!` would panic.
#[test]
fn the_demo_survives_a_reader_that_leaves_and_a_full_disk() {
    if !permitted() {
        return;
    }
    let program = env!("CARGO_BIN_EXE_fourwave");
    let script = format!("{{ {program} run --demo 2>&3; echo $? >&3; }} 3>&1 >/dev/full");
    let full = Command::new("sh").args(["-c", &script]).bounded();
    let said = stdout(&full);
    assert!(said.contains("demo's client: No space left on device\n"), "{said}");
    assert!(said.contains("ladder could not be written and ends here: No space left"), "{said}");
    assert!(said.ends_with("\n125\n") && !said.contains("panicked"), "{said}");

    let mut child = fourwave()
        .args(["run", "--demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let closed = fourwave_testkit::rest(child);
    assert_eq!(closed.status.code(), Some(0), "{}", stderr(&closed));
    assert_eq!(stderr(&closed).lines().count(), 1, "{}", stderr(&closed));
}

#[test]
fn without_namespaces_the_demo_says_what_is_missing_and_plays_in_memory() {
    if !has(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new("demo");
    let pcap = scratch.path().join("demo.pcapng");
    // A user that is not mapped may make no namespace, whoever runs the test.
    let output = Command::new("unshare")
        .args(["-U", env!("CARGO_BIN_EXE_fourwave"), "run", "--demo", "--pcap"])
        .arg(&pcap)
        .bounded();
    let text = stderr(&output);
    if text.starts_with("unshare:") {
        skip(text.trim());
        return;
    }
    let first = text.lines().next().unwrap();
    assert!(first.contains("namespaces may not be made here"), "{text}");
    assert!(output.status.success(), "{text}");
    assert_four_waves(&output);
    // Written by a user that the namespace does not know, so only root may look.
    if let Ok(bytes) = std::fs::read(&pcap) {
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a pcapng section");
    }
}
