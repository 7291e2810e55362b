//! `fourwave drill` as a user meets it.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{Bounded, Scratch, fourwave, permitted, run, stderr, stdout};
use serde_json::Value;

/// A connection that is opened and closed.
const GOOD: &str = "\
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 1000
+0 accept(3, ..., ...) = 4
+.01 close(4) = 0
+0 > F. 1:1(0) ack 1
+.01 < F. 1:1(0) ack 2 win 1000
+0 > . 2:2(0) ack 2
";

fn drill(arguments: &[&str]) -> Output {
    fourwave().arg("drill").args(arguments).bounded()
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One line on standard error, nothing on standard output, status 2.
#[track_caller]
fn refused(arguments: &[&str], line: &str) {
    let output = drill(arguments);
    assert_eq!(stderr(&output), format!("fourwave: {line}\n"), "{arguments:?}");
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
}

#[test]
fn a_script_passes() {
    let scratch = Scratch::new("drill-pass");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let output = drill(&[&good]);
    assert_eq!(stdout(&output), format!("PASS {good}\n1 passed, 0 failed, 0 skipped\n"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let quiet = drill(&["-q", &good]);
    assert_eq!(stdout(&quiet), "1 passed, 0 failed, 0 skipped\n");
}

#[test]
fn a_failure_shows_the_event_with_what_differs_and_the_ladder() {
    let scratch = Scratch::new("drill-fail");
    let text = GOOD.replace("> F. 1:1(0) ack 1", "> F. 1:1(0) ack 2");
    let bad = write(scratch.path(), "bad.pkt", text);
    let output = drill(&[&bad]);
    let wanted = format!(
        "FAIL {bad}:9: the packet has other ack\n  {bad}:9: +0 > F. 1:1(0) ack 2\n    \
         expected  0.02 > F. 1:1(0) ack 2\n                               ^^^^^\n    \
         actual    0.02 > F. 1:1(0) ack 1\n                               ^^^^^\n\
         0 passed, 1 failed, 0 skipped\n"
    );
    assert_eq!((stdout(&output), output.status.code()), (wanted, Some(1)));
    let drawn = stdout(&drill(&["--ladder", &bad]));
    for part in ["under test 192.168.0.1:8080", "S. 0:0(0) ack 1", "F. 1:1(0) ack 1"] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }
    assert!(!drawn.contains("TIME_WAIT the"), "what came after the failure is not drawn: {drawn}");
}

#[test]
fn directories_are_walked_in_order_whatever_the_jobs() {
    let scratch = Scratch::new("drill-walk");
    fs::create_dir(scratch.path().join("b")).unwrap();
    for name in ["c.pkt", "a.pkt", "b/2.pkt", "b/1.pkt", "a.txt"] {
        write(scratch.path(), name, GOOD);
    }
    let root = scratch.path().to_str().unwrap();
    let wanted: String =
        ["a", "b/1", "b/2", "c"].map(|name| format!("PASS {root}/{name}.pkt\n")).concat();
    for jobs in ["1", "7"] {
        let output = drill(&["--jobs", jobs, root]);
        assert_eq!(stdout(&output), format!("{wanted}4 passed, 0 failed, 0 skipped\n"));
    }
}

#[test]
fn what_cannot_be_honoured_is_skipped_and_counted_by_reason() {
    let scratch = Scratch::new("drill-skip");
    let text = format!("`modprobe something`\n{GOOD}");
    let one = write(scratch.path(), "1.pkt", &text);
    let two = write(scratch.path(), "2.pkt", &text);
    let output = drill(&[&one, &two]);
    let reason = "the command `modprobe something`";
    let wanted = format!(
        "SKIP {one}: {reason}\nSKIP {two}: {reason}\nskipped for:\n     2  {reason}\n\
         0 passed, 0 failed, 2 skipped\n"
    );
    assert_eq!((stdout(&output), output.status.code()), (wanted, Some(0)));
}

#[test]
fn a_syntax_error_is_a_failure_with_its_place() {
    let scratch = Scratch::new("drill-syntax");
    let bad = write(scratch.path(), "bad.pkt", "0 socket(... SOCK_STREAM) = 3\n");
    let output = drill(&[&bad]);
    let wanted = format!(
        "FAIL {bad}:1:14: expected `,` or `)`, found `SOCK_STREAM`\n  \
         1 | 0 socket(... SOCK_STREAM) = 3\n    |              ^^^^^^^^^^^\n\
         0 passed, 1 failed, 0 skipped\n"
    );
    assert_eq!(stdout(&output), wanted);
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), String::new()));
}

#[test]
fn files_that_are_no_scripts_fail_in_one_line() {
    let scratch = Scratch::new("drill-binary");
    let binary = write(scratch.path(), "binary.pkt", [0x7f, b'E', b'L', b'F', 0xff, 0xfe]);
    let output = drill(&[&binary]);
    let wanted = format!("FAIL {binary}: no script: byte 0 (0x7f) is in no text\n");
    assert!(stdout(&output).starts_with(&wanted), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
    let latin1 = [b"// caf\xe9\n".as_slice(), GOOD.as_bytes()].concat();
    let comment = write(scratch.path(), "latin1.pkt", latin1);
    assert_eq!(drill(&[&comment]).status.code(), Some(0));
    let unknown = write(scratch.path(), "unknown.pkt", format!("--tolerence_usecs=1\n{GOOD}"));
    let output = drill(&[&unknown]);
    let wanted = format!("FAIL {unknown}:1:1: unknown option --tolerence_usecs");
    assert!(stdout(&output).starts_with(&wanted), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_script_that_never_ends_is_given_up() {
    let scratch = Scratch::new("drill-never");
    let text = format!("{GOOD}+99999999 < . 2:2(0) ack 2 win 1000\n");
    let never = write(scratch.path(), "never.pkt", text);
    let output = drill(&[&never]);
    let text = stdout(&output);
    assert!(
        text.starts_with(&format!("FAIL {never}:12: a script lasts 30 days at most")),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_call_that_is_due_after_the_last_event_is_waited_for() {
    let scratch = Scratch::new("drill-due");
    let text = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
                +0 setsockopt(3, SOL_TCP, TCP_SYNCNT, [1], 4) = 0\n\
                +0...3 connect(3, ..., ...) = -1 ETIMEDOUT\n\
                +0 > S 0:0(0) <...>\n";
    let due = write(scratch.path(), "due.pkt", text);
    assert_eq!(stdout(&drill(&[&due])), format!("PASS {due}\n1 passed, 0 failed, 0 skipped\n"));
    let late = write(scratch.path(), "late.pkt", text.replace("0...3", "0...2.5"));
    let output = drill(&[&late]);
    let wanted = format!("FAIL {late}:3: connect returned late\n");
    assert!(stdout(&output).starts_with(&wanted), "{}", stdout(&output));
}

#[test]
fn a_full_disk_is_no_success() {
    let scratch = Scratch::new("drill-full");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourwave"));
    let output = command.args(["drill", &good]).bounded_writing(full);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("fourwave: the output cannot be written"));
}

#[test]
fn wrong_usage_is_2_and_one_line() {
    let scratch = Scratch::new("drill-usage");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    refused(&["/nonexistent.pkt"], "/nonexistent.pkt: No such file or directory");
    refused(&[&good, "/nonexistent.pkt"], "/nonexistent.pkt: No such file or directory");
    refused(&[empty], &format!("{empty}: there is no .pkt file in it"));
    refused(
        &["--tolerance_usecs=x", &good],
        "--tolerance_usecs is a number from 1 to 3600000000, not \"x\"",
    );
    refused(&["--dialect", "perl", &good], "--dialect is auto, linux or nplab, not \"perl\"");
    refused(&["-D", "NAME", &good], "--define wants NAME=value, not \"NAME\"");
    refused(&["--conn", "1", &good], "--conn goes with --from CAPTURE");
    for arguments in [&["--tolerence_usecs=1", &good][..], &[], &["--jobs", "0", &good]] {
        let output = drill(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn packetdrills_options_and_names_reach_the_scripts() {
    let scratch = Scratch::new("drill-options");
    let named = GOOD.replace("listen(3, 1)", "listen(3, BACKLOG)");
    let named = write(scratch.path(), "named.pkt", named);
    assert_eq!(drill(&["-D", "BACKLOG=1", &named]).status.code(), Some(0));
    let output = stdout(&drill(&[&named]));
    assert!(output.starts_with(&format!("SKIP {named}: ")) && output.contains("BACKLOG"));
    // A SYN ACK over IPv6 has another MSS; --mtu makes it the same.
    let good = write(scratch.path(), "good.pkt", GOOD);
    assert_eq!(drill(&["--ip_version=ipv6", "--mtu=1520", &good]).status.code(), Some(0));
    assert_eq!(drill(&["--mtu=1400", &good]).status.code(), Some(1));
    // A packet that nobody reads.
    let unread = GOOD.replace("+0 > . 2:2(0) ack 2\n", "");
    let unread = write(scratch.path(), "unread.pkt", unread);
    assert_eq!(drill(&[&unread]).status.code(), Some(0));
    assert_eq!(drill(&["--strict", &unread]).status.code(), Some(1));
}

#[test]
fn json_has_what_the_schema_says() {
    let scratch = Scratch::new("drill-json");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let text = GOOD.replace("> F. 1:1(0) ack 1", "> F. 1:1(0) ack 2");
    let bad = write(scratch.path(), "bad.pkt", text);
    let syntax = write(scratch.path(), "syntax.pkt", "0 x\n");
    let output = drill(&["--json", &good, &bad, &syntax]);
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), output.status.code()), (4, Some(1)));
    assert_eq!((&lines[0]["verdict"], &lines[0]["failure"]), (&"pass".into(), &Value::Null));
    assert_eq!(lines[0]["packets"], serde_json::json!({ "in": 3, "out": 3 }));
    let failure = &lines[1]["failure"];
    assert_eq!((&failure["line"], &failure["t"]), (&9.into(), &0.02.into()));
    assert_eq!(failure["actual"]["differs"], serde_json::json!(["ack 1"]));
    assert_eq!(lines[2]["failure"]["kind"], "script");
    assert_eq!((&lines[3]["passed"], &lines[3]["failed"]), (&1.into(), &2.into()));
    let schema = fs::read_to_string("../fourwave-drill/SCHEMA.md").unwrap();
    for line in &lines {
        for name in line.as_object().unwrap().keys() {
            assert!(schema.contains(&format!("`{name}`")), "SCHEMA.md does not name {name}");
        }
    }
}

#[test]
fn captures_that_cannot_be_read_are_one_line() {
    let scratch = Scratch::new("drill-capture");
    let text = write(scratch.path(), "text.pcap", "hello world");
    refused(&["--from", "/nonexistent"], "/nonexistent: No such file or directory");
    let what = "not a capture (pcap or pcapng, also in gzip or zstd): looks like text";
    let line = format!("{text}: {what}");
    refused(&["--from", &text], &line);
    let directory = scratch.path().to_str().unwrap();
    refused(&["--from", directory], &format!("{directory}: Is a directory"));
}

/// A pcap file, microseconds, raw IP.
fn pcap(packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (micros, packet) in packets {
        let len = packet.len() as u32;
        for word in [1, *micros, len, len] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(packet);
    }
    file
}

/// A segment between 10.0.0.1:`port` and 192.0.2.7:80, which is the sender if `server`.
fn segment(port: u16, server: bool, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let (client, there) = ([10, 0, 0, 1], [192, 0, 2, 7]);
    let syn = flags & 2 != 0;
    let mut packet = vec![0x45, 0, 0, if syn { 44 } else { 40 }, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend(if server { [there, client] } else { [client, there] }.concat());
    let ports = if server { [80, port] } else { [port, 80] };
    packet.extend(ports.map(u16::to_be_bytes).concat());
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([if syn { 0x60 } else { 0x50 }, flags, 0x40, 0, 0, 0, 0, 0]);
    packet.extend(if syn { &[2, 4, 5, 180][..] } else { &[] });
    packet
}

fn opened_and_closed(port: u16) -> Vec<(u32, Vec<u8>)> {
    vec![
        (0, segment(port, false, 0x02, 1000, 0)),
        (10_000, segment(port, true, 0x12, 5000, 1001)),
        (10_050, segment(port, false, 0x10, 1001, 5001)),
        (90_000, segment(port, false, 0x11, 1001, 5001)),
        (100_000, segment(port, true, 0x11, 5001, 1002)),
        (100_050, segment(port, false, 0x10, 1002, 5002)),
    ]
}

#[test]
fn a_capture_becomes_a_script_that_passes_until_it_is_broken() {
    let scratch = Scratch::new("drill-from");
    let capture = write(scratch.path(), "one.pcap", pcap(&opened_and_closed(40_000)));
    let script = scratch.path().join("one.pkt");
    let path = script.to_str().unwrap();
    let output = drill(&["--from", &capture, "-o", path]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = fs::read_to_string(&script).unwrap();
    assert!(text.contains("plays 10.0.0.1:40000, the one with a private address."), "{text}");
    let played = drill(&[path]);
    assert_eq!(stdout(&played), format!("PASS {path}\n1 passed, 0 failed, 0 skipped\n"), "{text}");
    fs::write(&script, text.replace("> F.", "> R.")).unwrap();
    assert_eq!(drill(&[path]).status.code(), Some(1));
    // The other side passes too.
    let server = drill(&["--from", &capture, "--local", "192.0.2.7", "-o", path]);
    assert_eq!(stderr(&server), "");
    assert_eq!(drill(&[path]).status.code(), Some(0), "{}", fs::read_to_string(path).unwrap());
}

#[test]
fn what_left_before_a_reset_came_is_not_expected_behind_it() {
    let scratch = Scratch::new("drill-reset");
    let mut packets = opened_and_closed(40_000);
    packets.truncate(3);
    packets.push((90_000, segment(40_000, true, 0x04, 5001, 0)));
    packets.push((90_010, segment(40_000, false, 0x11, 1001, 5001)));
    let capture = write(scratch.path(), "reset.pcap", pcap(&packets));
    let script = scratch.path().join("reset.pkt");
    let script = script.to_str().unwrap();
    let output = drill(&["--from", &capture, "-o", script]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = fs::read_to_string(script).unwrap();
    assert!(text.contains("= -1 ECONNRESET") && text.contains("// > F. 1:1(0) ack 1"), "{text}");
    assert_eq!(drill(&[script]).status.code(), Some(0), "{text}");
}

#[test]
fn several_connections_are_listed() {
    let scratch = Scratch::new("drill-list");
    let packets = [opened_and_closed(40_000), opened_and_closed(40_001)].concat();
    let capture = write(scratch.path(), "two.pcap", pcap(&packets));
    let output = drill(&["--from", &capture]);
    let text = stdout(&output);
    assert_eq!((text.lines().count(), output.status.code()), (3, Some(0)), "{text}");
    assert!(text.contains("2  10.0.0.1:40001 to 192.0.2.7:80: 6 segments in 0.1"), "{text}");
    let second = stdout(&drill(&["--from", &capture, "--conn", "2"]));
    assert!(second.starts_with("// Connection 2 of two.pcap: 10.0.0.1:40001"), "{second}");
    let line = format!("{capture}: there is no connection 3: it has 1 to 2");
    refused(&["--from", &capture, "--conn", "3"], &line);
    let line = "it has several connections; --conn N takes one, and without -o they are listed";
    refused(&["--from", &capture, "-o", "x.pkt"], &format!("{capture}: {line}"));
}

#[test]
fn a_connection_that_run_captured_is_replayed() {
    if !permitted() {
        return;
    }
    let scratch = Scratch::new("drill-run");
    let capture = scratch.path().join("run.pcapng");
    let script = scratch.path().join("run.pkt");
    let (capture, script) = (capture.to_str().unwrap(), script.to_str().unwrap());
    assert_eq!(run(&["--demo", "-q", "--pcap", capture]).status.code(), Some(0));
    let output = drill(&["--from", capture, "--conn", "1", "-o", script]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = fs::read_to_string(script).unwrap();
    assert_eq!(drill(&[script]).status.code(), Some(0), "{text}");
    fs::write(script, text.replace("> F.", "> FP.")).unwrap();
    assert_eq!(drill(&[script]).status.code(), Some(1));
}

#[test]
fn what_a_script_leaves_running_ends_with_it() {
    if !permitted() {
        return;
    }
    let scratch = Scratch::new("drill-left");
    let text =
        "`sh -c 'echo $$ > pid; exec sleep 300' & until [ -s pid ]; do :; done`\n".to_owned();
    let left = write(scratch.path(), "left.pkt", text + GOOD);
    let output = drill(&["--target", "linux", LATE, &left]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let pid = fs::read_to_string(scratch.path().join("pid")).unwrap();
    let command = Path::new("/proc").join(pid.trim()).join("cmdline");
    // Killed is killed, but it ends when it next runs.
    let began = std::time::Instant::now();
    while fs::read(&command).is_ok_and(|line| line.starts_with(b"sleep")) {
        assert!(began.elapsed() < fourwave_testkit::LIMIT, "it goes on");
        std::thread::yield_now();
    }
}

/// Linux plays in real time: a busy machine is late, and none of these tests is about that.
const LATE: &str = "--tolerance_usecs=20000000";

#[test]
fn linux_plays_too_and_differences_are_shown() {
    if !permitted() {
        return;
    }
    let scratch = Scratch::new("drill-linux");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let output = drill(&["--target", "linux", LATE, &good]);
    assert_eq!(stdout(&output), format!("PASS {good}\n1 passed, 0 failed, 0 skipped\n"));
    let both = drill(&["--target", "both", LATE, &good]);
    assert_eq!(both.status.code(), Some(0), "{}{}", stdout(&both), stderr(&both));
    // What only the kernel has.
    let kernel = write(scratch.path(), "kernel.pkt", GOOD.to_owned() + "+0 `test -e /proc`\n");
    let both = stdout(&drill(&["--target", "both", LATE, &kernel]));
    assert!(both.starts_with(&format!("SKIP {kernel}: virtual: the command")), "{both}");
    let bad = write(scratch.path(), "bad.pkt", GOOD.replace("> F. 1:1(0)", "> F. 2:2(0)"));
    let both = drill(&["--target", "both", LATE, &bad]);
    let wanted = format!("FAIL {bad}: on each target alike\n");
    assert!(stdout(&both).starts_with(&wanted), "{}", stdout(&both));
}

#[test]
fn the_packets_of_a_script_become_a_capture_that_is_a_script_again() {
    let scratch = Scratch::new("drill-pcap");
    let good = write(scratch.path(), "good.pkt", GOOD);
    let capture = scratch.path().join("good.pcapng");
    let capture = capture.to_str().unwrap();
    let output = drill(&["-q", "--pcap", capture, &good]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let again = drill(&["--from", capture]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let again = write(scratch.path(), "again.pkt", stdout(&again));
    assert_eq!(drill(&["-q", &again]).status.code(), Some(0));
    refused(
        &["--pcap", capture, &good, &again],
        "--pcap takes one script on one target, not 2 scripts on virtual",
    );
    let nowhere = scratch.path().join("no/such.pcapng");
    let output = drill(&["--pcap", nowhere.to_str().unwrap(), &good]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no/such.pcapng"), "{}", stderr(&output));
}
