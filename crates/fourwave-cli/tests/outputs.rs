//! What is written: never over what is read or written as well, whole or not at all, and to
//! standard output for `-`.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use common::{Bounded, Scratch, Unprivileged, fourwave, is_root, permitted, stderr, stdout};

/// A connection that is opened and closed, as a script, a capture, a list of knobs, thresholds.
fn inputs(test: &str) -> Scratch {
    let scratch = Scratch::new(&format!("outputs-{test}"));
    let made = fourwave()
        .args(["scenario", "four-waves", "--pcap", "a.pcapng"])
        .current_dir(scratch.path())
        .bounded();
    assert!(made.status.success(), "{}", stderr(&made));
    let script = done(scratch.path(), &["drill", "--from", "a.pcapng", "--local", "192.0.2.1"]);
    fs::write(scratch.path().join("r.pkt"), script.stdout).unwrap();
    fs::write(scratch.path().join("c.toml"), "tcp_fin_timeout = 5\n").unwrap();
    fs::write(scratch.path().join("t.toml"), "close_wait = 5\n").unwrap();
    symlink("a.pcapng", scratch.path().join("link")).unwrap();
    scratch
}

fn fourwave_in(directory: &Path, arguments: &[&str]) -> Output {
    fourwave().args(arguments).current_dir(directory).bounded()
}

/// The same, where nothing goes wrong.
#[track_caller]
fn done(directory: &Path, arguments: &[&str]) -> Output {
    let output = fourwave_in(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    output
}

/// Runs a line of shell with `$F` for the program.
fn shell(directory: &Path, line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("F", env!("CARGO_BIN_EXE_fourwave")).current_dir(directory);
    command.bounded()
}

/// The same in a mount namespace of its own, with the program's `arguments` as `$@`.
fn mounted(directory: &Path, line: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command
        .args(if is_root() { ["-nm", "sh", "-c"] } else { ["-Unmr", "sh", "-c"] })
        .args([line, "sh"])
        .args(arguments)
        .env("F", env!("CARGO_BIN_EXE_fourwave"))
        .current_dir(directory);
    command.bounded()
}

/// Every file with what it holds.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// One line, status 2, and every file as before.
#[track_caller]
fn refused(directory: &Path, arguments: &[&str], line: &str) {
    let before = contents(directory);
    let output = fourwave_in(directory, arguments);
    assert_eq!(stderr(&output), format!("fourwave: {line}\n"), "{arguments:?}");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(contents(directory) == before, "{arguments:?} changed a file");
}

#[test]
fn no_output_takes_the_place_of_an_input() {
    let scratch = inputs("inputs");
    for (arguments, output, input) in [
        (&["drill", "--from", "a.pcapng", "-o", "a.pcapng"][..], "--output a.pcapng", "capture a"),
        (&["drill", "--from", "a.pcapng", "-o", "./link"], "--output ./link", "capture a"),
        (&["drill", "r.pkt", "--pcap", "r.pkt"], "--pcap r.pkt", "script r.pkt"),
        (&["trace", "link", "a.pcapng", "--html", "a.pcapng"], "--html a.pcapng", "capture link"),
    ] {
        let input = input.replace("capture a", "capture a.pcapng");
        let line = format!("{output} and the {input} are the same file: name another");
        refused(scratch.path(), arguments, &line);
    }
    for option in ["--events", "--pcap", "--ladder"] {
        let both = format!("{option} c.toml and --config c.toml are the same file: name another");
        let to = format!("{option}=c.toml");
        refused(scratch.path(), &["run", "--config", "c.toml", &to, "--", "true"], &both);
        let program = format!("{option} ./r.pkt and the program ./r.pkt are the same file");
        let to = format!("{option}=./r.pkt");
        refused(
            scratch.path(),
            &["run", &to, "--", "./r.pkt"],
            &format!("{program}: name another"),
        );
    }
}

#[test]
fn two_outputs_are_two_files() {
    let scratch = inputs("twice");
    let options = ["--ladder", "--events", "--pcap"];
    for (at, one) in options.iter().enumerate() {
        for other in &options[at + 1..] {
            for (name, again) in [("new", "./new"), ("c.toml", "c.toml")] {
                let line = format!("{other} {again} and {one} {name} are the same file");
                let [one, other] = [format!("{one}={name}"), format!("{other}={again}")];
                let arguments = ["run", &other, &one, "--", "true"];
                refused(scratch.path(), &arguments, &format!("{line}: name another"));
            }
        }
    }
    let line = "--pcap ./new and --html new are the same file: name another";
    let arguments = ["scenario", "four-waves", "--html", "new", "--pcap", "./new"];
    refused(scratch.path(), &arguments, line);
    let line = "--html - and --json go to the same stream: name a file";
    refused(scratch.path(), &["trace", "a.pcapng", "--json", "--html", "-"], line);
    refused(scratch.path(), &["scenario", "four-waves", "--json", "--html=-"], line);
    let line = "--pcap - and --json go to the same stream: name a file";
    refused(scratch.path(), &["drill", "r.pkt", "--json", "--pcap", "-"], line);
    let line = "--pcap - and --events - go to the same stream: name a file";
    refused(scratch.path(), &["run", "--events", "-", "--pcap", "-", "--", "true"], line);
}

/// What a shell has opened is known by device and inode too.
#[test]
fn the_streams_are_files_as_well() {
    let scratch = inputs("streams");
    let a = fs::read(scratch.path().join("a.pcapng")).unwrap();
    for (line, one, other) in [
        ("\"$F\" trace a.pcapng >> a.pcapng", "the capture a.pcapng", "standard output"),
        ("\"$F\" trace - < a.pcapng >> a.pcapng", "standard input", "standard output"),
        ("\"$F\" trace /dev/stdin < a.pcapng >> a.pcapng", "the capture /dev/stdin", "standard o"),
        ("\"$F\" drill --from a.pcapng >> a.pcapng", "the capture a.pcapng", "standard output"),
        ("\"$F\" trace a.pcapng --html o > o", "--html o", "standard output"),
        ("\"$F\" scenario four-waves --pcap o >> o", "--pcap o", "standard output"),
        ("\"$F\" run --events o -- true > o", "--events o", "standard output"),
        ("\"$F\" run --pcap a.pcapng -- cat < a.pcapng", "--pcap a.pcapng", "standard input"),
    ] {
        let output = shell(scratch.path(), line);
        let said = stderr(&output);
        let wanted = format!("fourwave: {one} and {other}");
        assert!(said.starts_with(&wanted) && said.lines().count() == 1, "{line}: {said}");
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(fs::read(scratch.path().join("a.pcapng")).unwrap() == a, "{line}");
    }
    // Standard error, and what is written to it.
    let output = shell(scratch.path(), "\"$F\" run --ladder=o -- true 2> o; cat o");
    let line = "fourwave: --ladder o and standard error are the same file: name another\n";
    assert_eq!(stdout(&output), line);
    // A device takes any number of writers.
    let output = shell(scratch.path(), "\"$F\" scenario four-waves --pcap /dev/null > /dev/null");
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

/// Each output that is a file when it is whole, and its exit status when it cannot be written.
const WHOLE: [&[&str]; 5] = [
    &["drill", "--from", "a.pcapng", "--local", "192.0.2.1", "-o", "disk/old"],
    &["drill", "-q", "r.pkt", "--pcap", "disk/old"],
    &["trace", "a.pcapng", "--html", "disk/old"],
    &["scenario", "four-waves", "--html", "disk/old"],
    &["scenario", "four-waves", "--pcap", "disk/old"],
];

#[test]
fn on_a_full_disk_the_older_file_stays() {
    if !permitted() {
        return;
    }
    let scratch = inputs("full");
    let disk = scratch.path().join("disk");
    fs::create_dir(&disk).unwrap();
    for arguments in WHOLE {
        // A file system of its own, full but for a byte.
        let line = "mount -t tmpfs -o size=16k none disk && echo older > disk/old \
                    && ! head -c 1M /dev/zero > disk/zeros 2>/dev/null; \"$F\" \"$@\" > out; \
                    status=$?; cat disk/old; ls -A disk; exit $status";
        let output = mounted(scratch.path(), line, arguments);
        let said = stderr(&output);
        assert!(said.ends_with("No space left on device\n"), "{arguments:?}: {said}");
        assert!(said.contains("disk/old") && said.lines().count() == 1, "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "older\nold\nzeros\n", "{arguments:?}");
    }
}

#[test]
fn a_file_that_one_may_write_and_not_replace_is_written() {
    if !permitted() {
        return;
    }
    let scratch = inputs("mounted");
    fs::create_dir(scratch.path().join("disk")).unwrap();
    for arguments in WHOLE {
        // As a container is given a single file.
        let line = "echo older > host && echo > disk/old && mount --bind host disk/old \
                    && \"$F\" \"$@\" > out && ls -A disk && cat host";
        let output = mounted(scratch.path(), line, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        let written = output.stdout.strip_prefix(b"old\n").unwrap();
        assert!(!written.starts_with(b"older") && written.len() > 100, "{arguments:?}");
    }
}

#[test]
fn a_file_in_a_directory_that_one_may_not_change_is_written() {
    let scratch = inputs("directory");
    let Some(user) = Unprivileged::new(&scratch) else { return };
    let disk = scratch.path().join("disk");
    fs::create_dir(&disk).unwrap();
    fs::write(disk.join("old"), "older").unwrap();
    fs::set_permissions(disk.join("old"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o555)).unwrap();
    for arguments in WHOLE {
        let output = user.fourwave().args(arguments).current_dir(scratch.path()).bounded();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(fs::read(disk.join("old")).unwrap().len() > 100, "{arguments:?}");
    }
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dash_is_standard_output_and_what_is_said_goes_to_standard_error() {
    let scratch = inputs("dash");
    let text = done(scratch.path(), &["scenario", "four-waves"]).stdout;
    let capture = done(scratch.path(), &["scenario", "four-waves", "--pcap", "-"]);
    assert!(capture.stdout == fs::read(scratch.path().join("a.pcapng")).unwrap());
    assert!(capture.stderr == text, "{}", stderr(&capture));
    let page = done(scratch.path(), &["scenario", "four-waves", "--html", "-"]);
    assert!(page.stdout.ends_with(b"</html>\n") && page.stderr == text);

    let text = done(scratch.path(), &["trace", "a.pcapng"]).stdout;
    let page = done(scratch.path(), &["trace", "a.pcapng", "--html", "-"]);
    assert!(page.stdout.trim_ascii_end().ends_with(b"</html>") && page.stderr == text);
    let line = "fourwave: --parquet makes a directory of files, which is not for standard output\n";
    let output = fourwave_in(scratch.path(), &["trace", "a.pcapng", "--parquet", "-"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), line));

    let drilled = done(scratch.path(), &["drill", "r.pkt", "--pcap", "-"]);
    assert_eq!(stderr(&drilled), "PASS r.pkt\n1 passed, 0 failed, 0 skipped\n");
    assert_eq!(drilled.stdout[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a pcapng section");
    let script = fs::read(scratch.path().join("r.pkt")).unwrap();
    let from = ["drill", "--from", "a.pcapng", "--local", "192.0.2.1"];
    let written = done(scratch.path(), &[&from[..], &["-o", "-"]].concat());
    assert!(written.stdout == script && written.stderr.is_empty());
    let line = "\"$F\" drill --from - --local 192.0.2.1 -o - < a.pcapng";
    let piped = stdout(&shell(scratch.path(), line));
    let named = String::from_utf8(script).unwrap();
    assert_eq!(piped, named.replace("of a.pcapng:", "of standard input:"));
    // No file has the name.
    assert!(!scratch.path().join("-").exists());
}

#[test]
fn captures_go_from_one_command_to_the_next() {
    let scratch = inputs("pipe");
    let line = "\"$F\" scenario four-waves --pcap - 2>/dev/null | \"$F\" trace - --list";
    let output = shell(scratch.path(), line);
    assert!(stdout(&output).contains("192.0.2.1:"), "{}{}", stdout(&output), stderr(&output));
    // A reader that has enough is no error.
    for line in [
        "\"$F\" scenario four-waves --pcap - 2>text | head -c 4 >/dev/null; cat text",
        "\"$F\" trace a.pcapng --html - 2>text | true; cat text",
        "\"$F\" scenario four-waves --html - 2>text | true; cat text",
    ] {
        let output = shell(scratch.path(), line);
        let text = stdout(&output);
        assert!(text.contains("wave 4") && !text.contains("fourwave: "), "{line}: {text}");
    }
}

/// By this name a file that the shell has opened would be opened anew, and cut.
#[test]
fn standard_output_by_its_name_is_written_where_it_stands() {
    let scratch = inputs("named");
    for line in [
        "(echo first; \"$F\" scenario four-waves --html /dev/stdout 2>/dev/null) > out",
        "(echo first; \"$F\" trace a.pcapng --html /dev/stdout 2>/dev/null) > out",
        "(echo first; \"$F\" drill --from a.pcapng --local 192.0.2.1 -o /dev/stdout) > out",
        "(echo first; \"$F\" drill r.pkt --pcap /dev/fd/1 2>/dev/null) > out",
    ] {
        let output = shell(scratch.path(), line);
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        let out = fs::read(scratch.path().join("out")).unwrap();
        assert!(out.starts_with(b"first\n") && out.len() > 100, "{line}");
    }
}

#[test]
fn a_run_writes_to_the_streams_too() {
    if !permitted() {
        return;
    }
    let scratch = inputs("run");
    let run = ["run", "-q", "--demo"];
    let events = done(scratch.path(), &[&run[..], &["--events", "-"]].concat());
    assert!(stdout(&events).lines().any(|line| line.starts_with("{\"event\":\"")));
    let line = "(echo first; \"$F\" run -q --demo --pcap /dev/stdout --events /dev/stderr) > out";
    let output = shell(scratch.path(), line);
    assert!(stderr(&output).contains("{\"event\":\""), "{}", stderr(&output));
    let out = fs::read(scratch.path().join("out")).unwrap();
    let section = [0x0a, 0x0d, 0x0d, 0x0a];
    assert!(out.starts_with(b"first\n") && out.windows(4).any(|four| four == section));
    // What was in a file before is gone, and what is written while the program runs stays.
    fs::write(scratch.path().join("e"), "x".repeat(1 << 20)).unwrap();
    done(scratch.path(), &[&run[..], &["--events", "e"]].concat());
    assert!(File::open(scratch.path().join("e")).unwrap().metadata().unwrap().len() < 1 << 20);
}
