//! `fourwave scenario` as a user meets it.

use std::process::{Command, Output};

use fourwave_testkit::Bounded;

fn scenario(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourwave"));
    command.arg("scenario").args(arguments).bounded()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn without_a_name_they_are_listed() {
    let out = scenario(&[]);
    assert!(out.status.success());
    let listed = text(&out.stdout);
    assert!(listed.lines().any(|line| line.starts_with("lost-last-ack ")), "{listed}");
    let named = listed.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(named, 28, "{listed}");
}

#[test]
fn all_of_them_pass() {
    let out = scenario(&["--all"]);
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("PASS ")), "{lines:?}");
    assert_eq!((lines.len(), out.status.code()), (28, Some(0)));
}

#[test]
fn one_prints_its_ladder_and_outcome() {
    let out = scenario(&["four-waves"]);
    assert!(out.status.success() && out.stderr.is_empty(), "{}", text(&out.stderr));
    for expected in ["FIN_WAIT_2", "wave 4: \"I heard: closed\"", "\noutcome: "] {
        assert!(text(&out.stdout).contains(expected), "{expected}");
    }
}

#[test]
fn a_failed_expectation_is_one_line_and_status_1() {
    let out = scenario(&["lost-last-ack", "-o", "tcp_timewait_len=0"]);
    assert_eq!(out.status.code(), Some(1));
    let last = text(&out.stderr).lines().last().unwrap();
    assert_eq!(last, "fourwave: lost-last-ack: the client's TIME_WAIT: expected there, got none");
    let out = scenario(&["--all", "-o", "tcp_timewait_len=0"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stdout).contains("FAIL lost-last-ack: "));
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    for (arguments, line) in [
        (
            &["lost-last-akc"][..],
            "fourwave: there is no scenario lost-last-akc: did you mean lost-last-ack?\n",
        ),
        (&["zzz"], "fourwave: there is no scenario zzz: `fourwave scenario` lists them\n"),
        (
            &["four-waves", "-o", "tcp_fin_timeot=1"],
            "fourwave: there is no knob tcp_fin_timeot: did you mean tcp_fin_timeout?\n",
        ),
    ] {
        let out = scenario(arguments);
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(2), line));
    }
    let out = scenario(&["--all", "four-waves"]);
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(text(&out.stderr).lines().count(), 1);
}

#[test]
fn json_and_a_page() {
    let path = std::env::temp_dir().join(format!("fourwave-scenario-{}.html", std::process::id()));
    let page = path.to_str().unwrap();
    let out = scenario(&["long-connections", "--json", "--html", page]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let last: serde_json::Value =
        serde_json::from_str(text(&out.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["passed"]), (&"scenario".into(), &true.into()));
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("</html>\n"));
    std::fs::remove_file(&path).unwrap();

    let out = scenario(&["four-waves", "--html", "/nowhere/page.html"]);
    assert_eq!(out.status.code(), Some(2), "not what a failed expectation is");
    let line = "fourwave: /nowhere/page.html cannot be written: No such file or directory\n";
    assert_eq!(text(&out.stderr), line);
}

#[test]
fn its_packets_become_a_capture() {
    let path = std::env::temp_dir().join(format!("scenario-{}.pcapng", std::process::id()));
    let out = scenario(&["old-duplicate-fin", "--pcap", path.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let read = Command::new(env!("CARGO_BIN_EXE_fourwave"))
        .args(["drill", "--from", path.to_str().unwrap()])
        .bounded();
    std::fs::remove_file(&path).unwrap();
    // With TIME_WAIT and without: two connections each.
    let listed = String::from_utf8_lossy(&[&read.stdout[..], &read.stderr].concat()).into_owned();
    assert_eq!(listed.matches("192.0.2.1:").count(), 4, "{listed}");
}
