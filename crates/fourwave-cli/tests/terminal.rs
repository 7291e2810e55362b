//! The terminal passes through: Ctrl-C, Ctrl-Z, `fg`, the window's size. A shell in a
//! pseudo-terminal is driven by a script, because job control needs a session of its own.

mod common;

use std::process::Command;

use common::{Bounded, permitted_with};

#[test]
fn an_interactive_shell_keeps_its_job_control() {
    drive("shell");
}

#[test]
fn a_program_is_stopped_continued_and_interrupted_like_any_other() {
    drive("program");
}

#[test]
fn an_interrupt_ends_the_callers_script_too() {
    drive("script");
}

#[track_caller]
fn drive(scenario: &str) {
    if !permitted_with(&["python3", "bash"]) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal.py");
    let mut command = Command::new("python3");
    let output = command.args([script, env!("CARGO_BIN_EXE_fourwave"), scenario]).bounded();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
