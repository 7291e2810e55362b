//! The program's resolv.conf, whatever the host's looks like; the host's stays as it is.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use common::{Bounded, Scratch, permitted, stderr, stdout};

/// Runs a command under fourwave where `/etc` is this directory. Root in a user namespace does
/// for that, so the tests need none.
fn with_etc(etc: &Path, command: &str) -> Output {
    let script = "mount --bind \"$1\" /etc && exec \"$0\" run -q -- sh -c \"$2\"";
    Command::new("unshare")
        .args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_fourwave")])
        .arg(etc)
        .arg(command)
        .bounded()
}

#[track_caller]
fn assert_conf(output: &Output, rest: &str) {
    let expected = format!("nameserver 10.4.0.1\n{rest}");
    assert_eq!((stdout(output), stderr(output)), (expected, String::new()));
}

#[test]
fn a_plain_file_keeps_its_search_and_options() {
    if !permitted() {
        return;
    }
    let etc = Scratch::new("etc-plain");
    let host = "nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n";
    fs::write(etc.path().join("resolv.conf"), host).unwrap();
    let output = with_etc(etc.path(), "cat /etc/resolv.conf");
    assert_conf(&output, "search example.org\noptions ndots:2\n");
    assert_eq!(fs::read_to_string(etc.path().join("resolv.conf")).unwrap(), host);
}

#[test]
fn a_symlink_is_followed_as_systemd_resolved_lays_it() {
    if !permitted() {
        return;
    }
    let etc = Scratch::new("etc-symlink");
    fs::create_dir(etc.path().join("stub")).unwrap();
    fs::write(etc.path().join("stub/stub-resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
    symlink("stub/stub-resolv.conf", etc.path().join("resolv.conf")).unwrap();
    let output = with_etc(etc.path(), "cat /etc/resolv.conf /etc/stub/stub-resolv.conf");
    assert_conf(&output, "nameserver 10.4.0.1\n");
}

#[test]
fn a_missing_file_or_a_dangling_symlink_is_made_up_for_and_nothing_is_made_on_disk() {
    if !permitted() {
        return;
    }
    for dangling in [false, true] {
        let etc = Scratch::new("etc-missing");
        fs::write(etc.path().join("other"), "other\n").unwrap();
        if dangling {
            symlink("/nonexistent/stub-resolv.conf", etc.path().join("resolv.conf")).unwrap();
        }
        let output = with_etc(etc.path(), "cat /etc/resolv.conf /etc/other");
        if stderr(&output).contains("overlay") {
            common::skip(stderr(&output).trim());
            return;
        }
        assert_conf(&output, "other\n");
        let made = fs::metadata(etc.path().join("resolv.conf"));
        assert!(made.is_err(), "dangling: {dangling}");
        assert_eq!(fs::read_dir(etc.path()).unwrap().count(), if dangling { 2 } else { 1 });
    }
}
