//! What a person types wrong: one line, exit status 2.

use std::process::Output;

use crate::common::{Bounded, Scratch, fourwave, stderr, stdout};

fn doctor(arguments: &[&str]) -> Output {
    fourwave().arg("doctor").args(arguments).bounded()
}

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = doctor(arguments);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("fourwave: ") && !line.contains("os error"), "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    for [one, other] in [
        ["--watch", "--fix"],
        ["--json", "--fix"],
        ["--watch", "--listen=127.0.0.1:0"],
        ["--json", "--listen=127.0.0.1:0"],
        ["--fix", "--listen=127.0.0.1:0"],
        ["--pid=1", "--netns=x"],
        ["--explain=time-wait", "--json"],
        ["--explain=time-wait", "--sample=2s"],
    ] {
        let name = |option: &str| option.split('=').next().unwrap().to_owned();
        refused(&[one, other], &["cannot be used with", &name(one)]);
    }
}

#[test]
fn values_are_held_to_their_ranges() {
    refused(&["--sample", "5"], &["--sample", "100ms to 1h"]);
    refused(&["--sample", "50ms"], &["100ms to 1h"]);
    refused(&["--listen", "9464"], &["127.0.0.1:9464"]);
    refused(&["--pid", "0"], &["--pid", "number of a process"]);
    refused(&["--set", "close_wait"], &["close_wait", "NAME=VALUE"]);
    refused(&["--set", "close_wiat=3"], &["close_wiat", "did you mean close_wait?"]);
    refused(&["--set", "ports=2"], &["ports", "0.001 to 1"]);
    refused(&["--watsh"], &["--watsh", "--watch"]);
}

#[test]
fn a_file_of_thresholds_is_named_when_it_is_wrong() {
    refused(&["--config", "/nonexistent"], &["/nonexistent"]);
    let scratch = Scratch::new("doctor-config");
    let path = scratch.path().join("doctor.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "ports = 0.9\nclose_wait = 0\n").unwrap();
    refused(&["--config", file], &[file, "close_wait", "not 0"]);
    std::fs::write(&path, "ports = 0.9\nclose_wait = \n").unwrap();
    refused(&["--config", file], &[file, "line 2"]);
}

#[test]
fn the_help_has_examples_exit_status_and_thresholds() {
    let output = doctor(&["--help"]);
    let help = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    for word in ["Examples:", "exit status is 0", "Root adds", "close_wait_age", "--netns"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
}
