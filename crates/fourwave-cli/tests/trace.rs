//! `fourwave trace` as a user meets it, on captures that scenarios write and on broken ones.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Bounded, Scratch, Unprivileged, fourwave, is_root, permitted_with, stderr, stdout};
use fourwave_testkit::{Limited, Signal, ended, rest, signal};
use serde_json::Value;

/// A directory with the capture of a scenario.
fn captured(test: &str, scenario: &str) -> Scratch {
    let scratch = Scratch::new(&format!("trace-{test}"));
    let out = fourwave()
        .args(["scenario", scenario, "--pcap", "a.pcapng"])
        .current_dir(scratch.path())
        .bounded();
    assert!(out.status.success(), "{}", stderr(&out));
    scratch
}

fn trace(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = fourwave();
    command.arg("trace").args(arguments).current_dir(dir);
    command.bounded()
}

/// The blocks of a pcapng file, each with its type.
fn blocks(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while let Some(head) = rest.first_chunk::<8>() {
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (block, behind) = rest.split_at(word(4) as usize);
        blocks.push((word(0), block));
        rest = behind;
    }
    blocks
}

const ENHANCED_PACKET: u32 = 6;

/// Cuts a capture in two behind its first `first` packets, as rotating does.
fn rotate(dir: &Path, first: usize) {
    let bytes = fs::read(dir.join("a.pcapng")).unwrap();
    let blocks = blocks(&bytes);
    let is_packet = |block: &&(u32, &[u8])| block.0 == ENHANCED_PACKET;
    let head: Vec<u8> = blocks
        .iter()
        .filter(|block| !is_packet(block))
        .flat_map(|block| block.1)
        .copied()
        .collect();
    let packets: Vec<&[u8]> = blocks.iter().filter(is_packet).map(|block| block.1).collect();
    for (name, part) in [("1.pcapng", &packets[..first]), ("2.pcapng", &packets[first..])] {
        fs::write(dir.join(name), [head.clone(), part.concat()].concat()).unwrap();
    }
}

/// A pcap file of one link type.
fn pcap(link: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link] {
        file.extend_from_slice(&u32::to_le_bytes(word));
    }
    for (i, packet) in packets.iter().enumerate() {
        let len = packet.len() as u32;
        for word in [1_700_000_000 + i as u32, 0, len, len] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(packet);
    }
    file
}

#[track_caller]
fn assert_line(out: &Output, status: i32, line: &str) {
    assert_eq!((out.status.code(), stderr(out).as_str()), (Some(status), line), "{}", stdout(out));
}

#[test]
fn few_connections_are_drawn_and_explained() {
    let scratch = captured("few", "lost-last-ack");
    let out = trace(scratch.path(), &["a.pcapng"]);
    assert_line(&out, 0, "");
    insta::assert_snapshot!(stdout(&out));
}

#[test]
fn of_many_an_overview_is_told() {
    let scratch = captured("many", "nat-recycle");
    let out = trace(scratch.path(), &["a.pcapng", "--ascii"]);
    assert_line(&out, 0, "");
    assert!(stdout(&out).is_ascii());
    insta::assert_snapshot!(stdout(&out));
}

#[test]
fn a_list_is_filtered_and_a_connection_drawn() {
    let scratch = captured("list", "nat-recycle");
    let out = trace(scratch.path(), &["a.pcapng", "--list", "--filter", "end unanswered"]);
    assert_line(&out, 0, "");
    let listed = stdout(&out);
    let line = listed.lines().next().unwrap();
    assert!(line.starts_with("    16  203.0.113.5:50001 → 198.51.100.7:80"), "{line}");
    assert!(line.ends_with("syn-unanswered"), "{line}");
    assert!(listed.contains("\n27 connections filtered out\n"), "{listed}");
    let out = trace(scratch.path(), &["a.pcapng", "--conn", "16", "--conn", "2"]);
    let drawn = stdout(&out);
    assert_eq!(drawn.matches("─── connection ").count(), 2, "{drawn}");
    assert!(drawn.contains("─── connection 16 ─") && drawn.contains("#151"), "{drawn}");
    let out = trace(scratch.path(), &["a.pcapng", "--ladders"]);
    assert_eq!(stdout(&out).matches("─── connection ").count(), 28);
    let out = trace(scratch.path(), &["a.pcapng", "--follow", "--filter", "client port 50001"]);
    let (told, opened) = (stdout(&out), "opens: 203.0.113.5:50001 ──▶");
    assert_eq!((told.matches("opens: ").count(), told.matches(opened).count()), (2, 2), "{told}");
    let out = trace(scratch.path(), &["a.pcapng", "--filter", "port 81"]);
    assert_line(&out, 0, "");
    assert!(stdout(&out).contains("none of its 28 connections is asked for"));
}

#[test]
fn json_is_whole_stories_and_a_summary() {
    let scratch = captured("json", "lost-last-ack");
    let out = trace(scratch.path(), &["a.pcapng", "--json"]);
    assert_line(&out, 0, "");
    let lines: Vec<Value> =
        stdout(&out).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "file");
    assert_eq!(lines.last().unwrap()["event"], "summary");
    let of = |event: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["event"] == event).collect()
    };
    let about: Vec<bool> = lines[1..lines.len() - 1].iter().map(|l| l["conn"].is_u64()).collect();
    assert!(about.iter().all(|is| *is));
    assert_eq!(of("anomaly")[0]["name"], "fin-retransmitted");
    assert_eq!(of("anomaly")[0]["packets"], Value::from([12]));
    let fin = of("segment").into_iter().find(|line| line["kind"] == "fin").unwrap();
    assert_eq!((&fin["file"], &fin["packet"]), (&0.into(), &8.into()));
    assert_eq!((of("open").len(), of("metrics").len(), of("end").len()), (2, 2, 2));
}

#[test]
fn rotated_captures_are_one_in_the_order_of_time() {
    let scratch = captured("rotated", "four-waves");
    let whole = stdout(&trace(scratch.path(), &["a.pcapng"]));
    rotate(scratch.path(), 9);
    let out = trace(scratch.path(), &["2.pcapng", "1.pcapng"]);
    let order = "fourwave: read in the order of their first packets: 1.pcapng, 2.pcapng\n";
    assert_line(&out, 0, order);
    let both = stdout(&out);
    assert_eq!(both.matches("─── connection ").count(), 1, "{both}");
    let packets = "numbers are those of 1.pcapng, from 0.190000 those of 2.pcapng";
    assert!(both.contains(packets), "{both}");
    assert!(both.contains(" LAST_ACK          #1\n"), "{both}");
    let rows = |text: &str| text.lines().filter(|line| line.contains('│')).count();
    assert_eq!(rows(&both), rows(&whole));
    assert_line(&trace(scratch.path(), &["1.pcapng", "2.pcapng"]), 0, "");
    let out = trace(scratch.path(), &["a.pcapng", "2.pcapng"]);
    assert!(stderr(&out).contains("a.pcapng and 2.pcapng overlap in time"), "{}", stderr(&out));
}

#[test]
fn more_files_than_a_process_may_have_open() {
    let scratch = captured("thousand", "four-waves");
    let names: Vec<String> = (0..60).map(|n| format!("{n}.pcapng")).collect();
    for name in &names {
        fs::copy(scratch.path().join("a.pcapng"), scratch.path().join(name)).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_fourwave");
    let script = format!("ulimit -n 32; exec {program} trace {} --list", names.join(" "));
    let mut shell = Command::new("sh");
    let out = shell.args(["-c", &script]).current_dir(scratch.path()).bounded();
    assert!(out.status.success(), "{}", stderr(&out));
    let told = stdout(&out);
    assert!(
        told.contains("59.pcapng: 11 packets") && told.contains("\n60 connections: "),
        "{told}"
    );
}

#[test]
fn a_capture_that_begins_late_says_what_it_does_not_know() {
    let scratch = captured("late", "four-waves");
    rotate(scratch.path(), 5);
    let out = trace(scratch.path(), &["2.pcapng"]);
    assert_line(&out, 0, "");
    let told = stdout(&out);
    assert!(told.contains(", seen in mid-stream"), "{told}");
    assert!(told.contains("the capture begins in mid-connection: who opened it"), "{told}");
}

#[test]
fn a_capture_can_come_through_a_pipe() {
    let scratch = captured("pipe", "four-waves");
    let file = File::open(scratch.path().join("a.pcapng")).unwrap();
    let mut child = fourwave()
        .args(["trace", "-", "--list"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::copy(&mut BufReader::new(file), &mut input).unwrap();
    drop(input);
    let out = rest(child);
    assert!(out.status.success());
    assert!(stdout(&out).contains("\n-: 11 packets, "), "{}", stdout(&out));
    let out = trace(scratch.path(), &["-", "-"]);
    assert_line(&out, 2, "fourwave: standard input (-) can be read once only\n");
}

#[test]
fn a_pipe_that_does_not_end_is_told_of_at_ctrl_c() {
    let scratch = captured("endless", "nat-recycle");
    let mut child = fourwave()
        .args(["trace", "-", "--list"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&fs::read(scratch.path().join("a.pcapng")).unwrap()).unwrap();
    let mut output = BufReader::new(Limited(child.stdout.take().unwrap()));
    let mut told = String::new();
    output.read_line(&mut told).unwrap();
    assert!(told.starts_with("     1  203.0.113.5:50000"), "{told}");
    let signalled = signal(child.id(), Signal::INT);
    output.read_to_string(&mut told).unwrap();
    let status = ended(&mut child);
    drop(input);
    assert!(signalled && status.success(), "{status}: {told}");
    assert!(told.contains("\n28 connections: "), "{told}");
}

#[test]
fn a_page_and_tables_are_written_beside_the_text() {
    let scratch = captured("files", "four-waves");
    let out = trace(scratch.path(), &["a.pcapng", "--html", "p.html", "--parquet", "tables"]);
    assert_line(&out, 0, "");
    assert!(fs::read_to_string(scratch.path().join("p.html")).unwrap().contains("a.pcapng"));
    assert!(scratch.path().join("tables/flows").is_dir());
    let out = trace(scratch.path(), &["a.pcapng", "--html", "a.pcapng"]);
    let line = "--html a.pcapng and the capture a.pcapng are the same file: name another";
    assert_line(&out, 2, &format!("fourwave: {line}\n"));
}

#[test]
fn what_cannot_be_read_is_one_line_and_the_rest_is_told() {
    let scratch = captured("broken", "four-waves");
    let dir = scratch.path();
    let whole = fs::read(dir.join("a.pcapng")).unwrap();
    fs::write(dir.join("cut.pcapng"), &whole[..whole.len() - 30]).unwrap();
    let out = trace(dir, &["cut.pcapng"]);
    assert_eq!(out.status.code(), Some(1));
    let line = stderr(&out);
    assert!(line.starts_with("fourwave: cut.pcapng: ") && line.lines().count() == 1, "{line}");
    assert!(stdout(&out).contains("Reading stopped early") && stdout(&out).contains("LAST_ACK"));

    fs::write(dir.join("text"), "not a capture\n").unwrap();
    let refused = "fourwave: text: not a capture (pcap or pcapng, also in gzip or zstd): \
                   looks like text\n";
    assert_line(&trace(dir, &["text"]), 2, refused);
    let out = trace(dir, &["text", "a.pcapng"]);
    assert_line(&out, 1, refused);
    assert!(stdout(&out).contains("wave 4"));
}

#[test]
fn each_mistake_is_one_line_and_status_2() {
    let scratch = captured("mistakes", "four-waves");
    let dir = scratch.path();
    fs::write(dir.join("empty"), "").unwrap();
    fs::write(dir.join("header.pcap"), pcap(1, &[])).unwrap();
    fs::write(dir.join("radio.pcap"), pcap(105, &[b"some frame", b"another"])).unwrap();
    for (arguments, line) in [
        (&["empty"][..], "empty: is empty: no capture, not even the header of one"),
        (&["nowhere.pcap"], "nowhere.pcap: no such file"),
        (&["."], ".: is a directory; name the capture files in it"),
        (&["header.pcap"], "header.pcap: no TCP connection in 0 packets"),
        (&["a.pcapng", "--conn", "2"], "there is no connection 2: it has 1 to 1"),
        (
            &["a.pcapng", "--follow", "--filter", "end reset"],
            "--follow reports connections before their end is known: with it --filter takes host \
             and port only",
        ),
        (
            &["a.pcapng", "--html", "no/where.html"],
            "no/where.html cannot be written: No such file or directory",
        ),
    ] {
        assert_line(&trace(dir, arguments), 2, &format!("fourwave: {line}\n"));
    }
    let out = trace(dir, &["radio.pcap"]);
    let (link, no_tcp) = ("2 packets of link type 105 (IEEE802_11) cannot be read", "no TCP");
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains(link) && stderr(&out).contains(no_tcp), "{}", stderr(&out));
    let out = trace(dir, &["a.pcapng", "--filter", "state CLOSE_WIAT"]);
    let pointed = "fourwave: --filter: CLOSE_WIAT is no state: did you mean CLOSE_WAIT?\n  \
                   state CLOSE_WIAT\n        ^^^^^^^^^^\n";
    assert_line(&out, 2, pointed);
    for arguments in [&[][..], &["a.pcapng", "--iface", "lo"], &["a.pcapng", "--conn", "0"]] {
        let out = trace(dir, arguments);
        assert_eq!((out.status.code(), stderr(&out).lines().count()), (Some(2), 1));
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let scratch = captured("forbidden", "four-waves");
    let Some(user) = Unprivileged::new(&scratch) else { return };
    let path = scratch.path().join("a.pcapng");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let out = user.fourwave().args(["trace", "a.pcapng"]).current_dir(scratch.path()).bounded();
    let line = "fourwave: a.pcapng: permission denied: its owner, or root, can read it\n";
    assert_line(&out, 2, line);
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_closed_pipe_none() {
    let scratch = captured("full", "nat-recycle");
    for way in ["--list", "--json", "--ladders"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = fourwave()
            .args(["trace", "a.pcapng", way])
            .current_dir(scratch.path())
            .bounded_writing(full);
        let line = "fourwave: the output cannot be written: No space left on device\n";
        assert_line(&out, 2, line);
        let mut child = fourwave()
            .args(["trace", "a.pcapng", way])
            .current_dir(scratch.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = rest(child);
        assert_line(&out, 0, "");
    }
}

#[test]
fn an_output_that_fails_takes_no_other_with_it() {
    let scratch = captured("half", "nat-recycle");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let out = fourwave()
        .args(["trace", "a.pcapng", "--list", "--html", "p.html"])
        .current_dir(scratch.path())
        .bounded_writing(full);
    assert_line(&out, 2, "fourwave: the output cannot be written: No space left on device\n");
    let page = fs::read_to_string(scratch.path().join("p.html")).unwrap();
    assert!(page.trim_end().ends_with("</html>"), "the page is cut off");
}

/// A namespace whose loopback `fourwave trace --iface lo` watches, until SIGINT.
fn watch_in_a_namespace(arguments: &str) -> std::process::Child {
    let flags = if is_root() { "-nm" } else { "-Unmr" };
    let program = env!("CARGO_BIN_EXE_fourwave");
    let script = format!("ip link set lo up; exec {program} trace --iface lo {arguments}");
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", &script]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Something is refused in the namespace of that process.
fn knock(pid: u32) {
    let flags: &[&str] = if is_root() { &["-n"] } else { &["-n", "-U", "--preserve-credentials"] };
    let knocked = Command::new("nsenter")
        .args(["-t", &pid.to_string()])
        .args(flags)
        .args(["bash", "-c", ": > /dev/tcp/127.0.0.1/9"])
        .bounded();
    assert!(!knocked.status.success(), "nobody listens there");
}

#[test]
fn an_interface_is_told_of_live_until_ctrl_c() {
    if !permitted_with(&["ip", "nsenter", "bash"]) {
        return;
    }
    let mut child = watch_in_a_namespace("--filter 'server port 9'");
    let (told, lines) = std::sync::mpsc::channel();
    let mut output = BufReader::new(Limited(child.stdout.take().unwrap()));
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            // Whoever listened may have heard enough.
            let _gone = told.send(std::mem::take(&mut line));
        }
    });
    // A connection is reported a second after its end, when the next one shows that time goes on.
    let first = (0..200).find_map(|_| {
        knock(child.id());
        lines.recv_timeout(std::time::Duration::from_millis(100)).ok()
    });
    let signalled = signal(child.id(), Signal::INT);
    let status = ended(&mut child);
    reader.join().unwrap();
    let first = first.unwrap_or_default();
    assert!(signalled && status.success(), "{status} {first}");
    assert!(first.contains("127.0.0.1:9  2 segments in "), "{first}");
    assert!(first.trim_end().ends_with("  refused"), "{first}");
    let rest: String = lines.iter().collect();
    assert!(rest.contains("\nlo: ") && rest.contains("Who closes first"), "{rest}");
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let scratch = Scratch::new("trace-nowhere");
    let out = trace(scratch.path(), &["--iface", "nowhere0"]);
    assert_eq!((out.status.code(), stderr(&out).lines().count()), (Some(2), 1));
    assert!(stderr(&out).starts_with("fourwave: "), "{}", stderr(&out));
    let out = trace(scratch.path(), &["--iface", "lo", "--duration", "10"]);
    assert!(stderr(&out).contains("a time like 10s"), "{}", stderr(&out));
}

/// Runs what stands behind `$ ` in the page's console blocks, in one directory, one after another;
/// returns the page with what was printed in the place of what stood there.
fn played(page: &str, dir: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_fourwave")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut out = String::new();
    let mut in_console = false;
    for line in BufReader::new(page.as_bytes()).lines().map(Result::unwrap) {
        in_console = in_console && line != "```";
        let command = line.strip_prefix("$ ").filter(|_| in_console);
        if !in_console || command.is_some() {
            out.push_str(&format!("{line}\n"));
        }
        if let Some(command) = command {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("({command}) 2>&1")]).current_dir(dir).env("PATH", &path);
            out.push_str(&stdout(&shell.bounded()));
        }
        in_console |= line == "```console";
    }
    out
}

/// `UPDATE_DOCS=1 cargo test -p fourwave-cli --test trace` writes what is printed into the page.
#[test]
fn the_page_shows_what_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/trace.md");
    let scratch = Scratch::new("trace-docs");
    let page = fs::read_to_string(path).unwrap();
    let played = played(&page, scratch.path());
    assert!(played.contains("─── connection 1 ─"), "nothing was played");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        File::create(path).unwrap().write_all(played.as_bytes()).unwrap();
        return;
    }
    assert!(page == played, "docs/trace.md is not what is printed: UPDATE_DOCS=1 writes it anew");
}

#[test]
fn what_comes_into_time_wait_is_part_of_the_story() {
    // The RST comes five seconds after the end.
    let scratch = captured("late", "time-wait-assassination");
    let out = trace(scratch.path(), &["a.pcapng", "--list", "--filter", "port 80"]);
    let listed = stdout(&out);
    assert_eq!(listed.matches(", time-wait-assassinated\n").count(), 2, "{listed}");
}
