//! How text looks: columns, colours and more than ASCII, by one rule in every command.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Bounded, Scratch, fourwave, permitted, stderr, stdout};
use fourwave_testkit::ended;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A directory with a capture, a script that passes and one that fails.
fn inputs(test: &str) -> Scratch {
    let scratch = Scratch::new(&format!("text-{test}"));
    let fourwave = |arguments: &[&str]| {
        let out = fourwave().args(arguments).current_dir(scratch.path()).bounded();
        assert!(out.status.success(), "{}", stderr(&out));
        stdout(&out)
    };
    fourwave(&["scenario", "lost-last-ack", "--pcap", "a.pcapng"]);
    let script = fourwave(&["drill", "--from", "a.pcapng", "--conn", "1", "--local", "192.0.2.1"]);
    fs::write(scratch.path().join("bad.pkt"), script.replace("> F.", "> R.")).unwrap();
    fs::write(scratch.path().join("good.pkt"), script).unwrap();
    scratch
}

/// What a person reads who wants to know.
const PROSE: [&[&str]; 15] = [
    &["help"],
    &["--help"],
    &["run", "--help"],
    &["run", "-h"],
    &["trace", "--help"],
    &["drill", "--help"],
    &["doctor", "--help"],
    &["scenario", "--help"],
    &["knobs", "--help"],
    &["knobs"],
    &["scenario"],
    &["doctor", "--explain"],
    &["doctor", "--explain", "TIME_WAIT"],
    &["doctor", "--explain", "tcp_tw_reuse"],
    &["doctor", "--explain", "close-wait-leak"],
];

/// What is drawn and reported.
const REPORTS: [&[&str]; 7] = [
    &["scenario", "lost-last-ack"],
    &["trace", "a.pcapng"],
    &["trace", "a.pcapng", "--list"],
    &["trace", "a.pcapng", "--follow"],
    &["drill", "good.pkt", "--ladder"],
    &["drill", "bad.pkt", "--ladder"],
    &["doctor", "--sample", "100ms"],
];

/// A command, and what is set for it.
fn command(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = fourwave();
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command.env("TERM", "xterm").envs(variables.iter().copied());
    command
}

/// What is written into a pipe, and said.
fn piped(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let out = command(directory, arguments, variables).bounded();
    stdout(&out) + &stderr(&out)
}

/// What is written on a terminal of so many columns.
fn shown(directory: &Path, columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    on_terminal(columns, command(directory, arguments, variables), None)
}

/// The same of a command that reads keys: `q` is pressed when it has written this.
fn shown_until(text: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    on_terminal(100, command(Path::new("."), arguments, variables), Some(text))
}

fn on_terminal(columns: u16, mut command: Command, mut quit_at: Option<&str>) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = openpt(flags).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let program = ioctl_tiocgptpeer(&person, flags).unwrap();
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&program, size).unwrap();
    let end = || Stdio::from(program.try_clone().unwrap());
    if quit_at.is_some() {
        command.stdin(end());
    }
    let mut child = command.stdout(end()).stderr(end()).spawn().unwrap();
    drop((command, program));
    let mut person = File::from(person);
    let mut seen = Vec::new();
    loop {
        let mut ready = [PollFd::new(&person, PollFlags::IN)];
        let limit = Timespec { tv_sec: fourwave_testkit::LIMIT.as_secs() as i64, tv_nsec: 0 };
        if poll(&mut ready, Some(&limit)).unwrap() == 0 {
            child.kill().unwrap();
            panic!("it does not end: {}", String::from_utf8_lossy(&seen));
        }
        let mut bytes = [0; 4096];
        // When nobody has the other end any more, reading is an error (EIO) and no end.
        match person.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(read) => seen.extend_from_slice(&bytes[..read]),
        }
        let is_there = |text: &&str| String::from_utf8_lossy(&seen).contains(*text);
        if quit_at.take_if(|text| is_there(&&**text)).is_some() {
            person.write_all(b"q").unwrap();
        }
    }
    ended(&mut child);
    String::from_utf8(seen).unwrap().replace("\r\n", "\n")
}

/// Each sequence of control with its final byte, and the text behind it.
fn controls(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.split("\x1b[").skip(1).filter_map(|part| {
        let at = part.find(|c: char| c.is_ascii_alphabetic())?;
        Some((part[at..].chars().next()?, &part[at + 1..]))
    })
}

/// Lines as they are seen: without colours, and without what was written over.
fn plain(text: &str) -> String {
    let first = text.split("\x1b[").next().unwrap_or_default().to_owned();
    let plain = controls(text).fold(first, |plain, (_, rest)| plain + rest);
    let seen = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned() + "\n";
    plain.lines().map(seen).collect()
}

#[track_caller]
fn assert_fits(text: &str, columns: usize, what: &[&str]) {
    for line in plain(text).lines() {
        // A word that is longer than a line is no text: a path, a command to copy.
        let is_whole = line.trim_start().contains(' ') && !line.starts_with("  fourwave ");
        let fits = line.chars().count() <= columns || !is_whole;
        assert!(fits, "{what:?} in {columns} columns: {line}");
    }
    assert!(text.lines().count() > 1, "{what:?}: {text}");
}

#[test]
fn prose_is_cut_to_what_was_asked_the_terminal_has_or_80_columns() {
    let scratch = inputs("width");
    for arguments in PROSE {
        assert_fits(&piped(scratch.path(), arguments, &[]), 80, arguments);
        assert_fits(&shown(scratch.path(), 60, arguments, &[]), 60, arguments);
        assert_fits(&shown(scratch.path(), 300, arguments, &[]), 100, arguments);
        let columns = [("COLUMNS", "50")];
        assert_fits(&piped(scratch.path(), arguments, &columns), 50, arguments);
        if arguments != ["help"] {
            let asked = [arguments, &["--width", "64"]].concat();
            // clap stops at --help, so that it must have been said before.
            let asked = if arguments.last() == Some(&"--help") || arguments.contains(&"-h") {
                [&["--width=64"], arguments].concat()
            } else {
                asked
            };
            assert_fits(&shown(scratch.path(), 90, &asked, &columns), 64, &asked);
        }
    }
    for scenario in ["lost-last-ack", "too-many-time-wait", "nat-recycle", "long-connections"] {
        let arguments = ["scenario", scenario];
        assert_fits(&piped(scratch.path(), &arguments, &[]), 80, &arguments);
        assert_fits(&shown(scratch.path(), 90, &arguments, &[]), 90, &arguments);
    }
}

#[test]
fn ladders_are_as_wide_as_there_is_room() {
    let scratch = inputs("ladders");
    let widest = |text: &str| plain(text).lines().map(|line| line.chars().count()).max().unwrap();
    for arguments in [&["trace", "a.pcapng"][..], &["drill", "good.pkt", "--ladder"]] {
        assert_eq!(widest(&piped(scratch.path(), arguments, &[])), 100, "{arguments:?}");
        assert_eq!(widest(&piped(scratch.path(), arguments, &[("COLUMNS", "130")])), 130);
        assert_eq!(widest(&shown(scratch.path(), 140, arguments, &[])), 140, "{arguments:?}");
        let asked = [arguments, &["--width", "90"]].concat();
        assert_eq!(widest(&shown(scratch.path(), 140, &asked, &[])), 90, "{arguments:?}");
    }
    let out = command(scratch.path(), &["trace", "a.pcapng", "--width", "39"], &[]).bounded();
    let line = stderr(&out);
    assert!(line.contains("from 40 to 500") && line.lines().count() == 1, "{line}");
}

#[test]
fn colours_are_for_terminals_that_have_them_and_for_who_asks() {
    let scratch = inputs("colour");
    let here = scratch.path();
    for arguments in REPORTS.iter().chain(&[&["run", "--help"][..]]).copied() {
        let asked = |how: &str| {
            let how = format!("--color={how}");
            [&[how.as_str()], arguments].concat().join(" ")
        };
        let asked = |how: &str, terminal: bool| {
            let line = asked(how);
            let line: Vec<&str> = line.split(' ').collect();
            match terminal {
                true => shown(here, 120, &line, &[("NO_COLOR", ""), ("CLICOLOR_FORCE", "")]),
                false => piped(here, &line, &[("NO_COLOR", "1")]),
            }
        };
        let has_colors = |text: &str| {
            assert!(text.lines().count() > 1, "{arguments:?}: {text}");
            // What a line of progress is wiped with is none.
            controls(text).any(|(what, _)| what == 'm')
        };
        assert!(has_colors(&shown(here, 120, arguments, &[])), "{arguments:?}");
        assert!(has_colors(&asked("always", false)), "{arguments:?}");
        let forced = piped(here, arguments, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")]);
        assert!(has_colors(&forced), "{arguments:?}");
        assert!(!has_colors(&asked("never", true)), "{arguments:?}");
        assert!(!has_colors(&piped(here, arguments, &[])), "{arguments:?}");
        for without in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let text = shown(here, 120, arguments, &[without]);
            assert!(!has_colors(&text), "{arguments:?} {without:?}: {text}");
            // Nor is anything written over what cannot be.
            let over = text.contains('\r') || text.contains('\x1b');
            assert!(without.0 != "TERM" || !over, "{arguments:?}: {text}");
        }
    }
}

#[test]
fn ascii_is_for_locales_that_have_no_more_and_for_who_asks() {
    let scratch = inputs("ascii");
    let here = scratch.path();
    for arguments in PROSE.iter().chain(&REPORTS).copied() {
        for variable in ["LC_ALL", "LC_CTYPE", "LANG"] {
            let other = piped(here, arguments, &[(variable, "de_DE.ISO-8859-1")]);
            assert!(other.is_ascii() && !other.is_empty(), "{arguments:?} {variable}: {other}");
        }
        if arguments != ["help"] {
            let asked = piped(here, &[&["--ascii"], arguments].concat(), &[("LANG", "C.UTF-8")]);
            assert!(asked.is_ascii(), "{arguments:?}: {asked}");
        }
    }
    for arguments in [&["knobs"][..], &["run", "--help"], &["trace", "a.pcapng"]] {
        assert!(!piped(here, arguments, &[]).is_ascii(), "{arguments:?} has more");
        assert!(!piped(here, arguments, &[("LC_ALL", "en_US.UTF-8")]).is_ascii());
    }
    // What machines read is as it is.
    for arguments in [&["trace", "a.pcapng", "--json"][..], &["scenario", "four-waves", "--json"]] {
        let ascii = piped(here, arguments, &[("LC_ALL", "en_US")]);
        assert_eq!(ascii, piped(here, arguments, &[]));
    }
    // Also on standard error.
    let out = command(here, &["trace", "a.pcapng", "café.pcapng", "--ascii"], &[]).bounded();
    assert_eq!(stderr(&out), "fourwave: caf?.pcapng: no such file\n");
}

#[test]
fn follow_and_ladder_do_what_each_says() {
    if !permitted() {
        return;
    }
    let scratch = inputs("follow");
    let here = scratch.path();
    let run = |arguments: &[&str]| {
        let arguments = [&["run", "-q", "--demo"], arguments].concat();
        command(here, &arguments, &[]).bounded()
    };
    let (live, drawn) = ("opens: program ", "─── connection 1 ─");
    let out = run(&["--follow", "--ladder=l"]);
    let file = fs::read_to_string(here.join("l")).unwrap();
    assert!(stderr(&out).contains(live) && !stderr(&out).contains(drawn), "{}", stderr(&out));
    assert!(file.starts_with(drawn) && !file.contains(live), "{file}");
    let out = run(&["--follow", "--ladder"]);
    let text = stderr(&out);
    assert!(text.contains(live) && text.contains(drawn), "{text}");
    // The line that tells of the end comes before the ladder.
    assert!(text.find(" ends: ").unwrap_or(usize::MAX) < text.find(drawn).unwrap(), "{text}");
    let out = run(&["--follow"]);
    assert!(stderr(&out).contains(live) && stdout(&out).contains(drawn));
    // As wide and as colourful as where it goes.
    let out = command(here, &["run", "-q", "--demo", "--ladder=l", "--width=80"], &[]).bounded();
    assert!(out.status.success());
    let file = fs::read_to_string(here.join("l")).unwrap();
    assert_eq!(file.lines().next().unwrap().chars().count(), 80);
    let text = shown(here, 110, &["run", "-q", "--demo", "--ladder=l"], &[]);
    let file = fs::read_to_string(here.join("l")).unwrap();
    assert!(!file.contains('\x1b') && !text.contains(drawn), "{file}");
    let text = shown(here, 110, &["run", "-q", "--demo"], &[]);
    assert!(text.contains("\x1b["), "{text}");
    let plain = plain(&text);
    let head = plain.lines().find(|line| line.starts_with("───")).unwrap();
    assert_eq!(head.chars().count(), 110);
}

/// It has colours in any case: none is an end of one.
#[test]
fn the_table_follows_the_rule_too() {
    let table = ["doctor", "--watch", "--sample", "200ms"];
    let shown = |more: &[&str], variables: &[(&str, &str)]| {
        shown_until("quit", &[&table, more].concat(), variables)
    };
    let has_colors = |text: &str| text.contains("\x1b[39m");
    let text = shown(&[], &[]);
    assert!(has_colors(&text) && !text.is_ascii(), "{text}");
    assert!(has_colors(&shown(&["--color", "always"], &[("NO_COLOR", "1")])));
    for (more, variables) in [(&["--color=never"][..], &[][..]), (&[], &[("NO_COLOR", "1")])] {
        let text = shown(more, variables);
        assert!(!has_colors(&text) && text.contains("\x1b[?25l"), "{text}");
    }
    for (more, variables) in [(&["--ascii"][..], &[][..]), (&[], &[("LC_ALL", "en_US")])] {
        let text = shown(more, variables);
        assert!(text.is_ascii(), "{text}");
    }
}
