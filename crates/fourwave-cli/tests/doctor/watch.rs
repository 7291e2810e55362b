//! The live table in a real terminal.

use std::process::Stdio;

use crate::common::{Bounded, stderr, stdout};
use crate::host::{ADDRESS, Host};

/// Runs one of terminal.py's scenarios on a host with a full queue.
#[track_caller]
fn drive(scenario: &str) {
    let Some(host) = Host::new(&[]) else { return };
    let _full = host.fault(&["full", ADDRESS, "8081", "4"]);
    let _clients = host.fault(&["call", ADDRESS, "8081", "12"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/terminal.py");
    let mut command = host.command("python3");
    command.args([script, env!("CARGO_BIN_EXE_fourwave"), scenario]).stdin(Stdio::null());
    let output = command.bounded();
    assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
}

#[test]
fn keys_do_what_the_help_says() {
    drive("keys");
}

#[test]
fn it_follows_the_size_of_the_window() {
    drive("resize");
}

#[test]
fn a_report_is_no_wider_than_the_terminal() {
    drive("narrow");
}

#[test]
fn an_interrupt_and_a_signal_give_the_terminal_back() {
    drive("interrupt");
    drive("terminate");
}

#[test]
fn what_cannot_be_looked_at_is_told_before_the_terminal_is_touched() {
    drive("nowhere");
}
