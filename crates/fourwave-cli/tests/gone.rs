//! Whoever sits at a terminal may go: the terminal is taken away from every command that stays, or
//! a signal comes. It ends, and what is still there of the terminal is as it was.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use common::{Scratch, has, permitted, skip};
use fourwave_testkit::{Limited, ended, signal as send};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};

/// The longest that anything may hang, in tenths of a second; nothing needs a tenth of it.
const LIMIT: u32 = 600;

const TABLE: [&str; 4] = ["doctor", "--watch", "--sample", "200ms"];
const HIDES_CURSOR: &str = "\x1b[?25l";
const SHOWS_CURSOR: &str = "\x1b[?25h";
const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";

/// How a command stands to its terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    /// It leads the session whose terminal it is, as a shell's only job: SIGHUP tells it.
    Leads,
    /// The same, but it was started by nohup.
    IgnoresHangups,
    /// The terminal is another session's; only reading and writing tells.
    Borrows,
}

/// A pseudo-terminal with a command on it.
struct Terminal {
    person: File,
    program: OwnedFd,
    child: Child,
    mode: String,
    seen: String,
}

impl Terminal {
    /// Starts the command; `None` and a line where there are no such terminals.
    fn start(stands: Stands, arguments: &[&str]) -> Option<Self> {
        if !has(&["setsid"]) {
            return None;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = match openpt(flags) {
            Ok(person) => person,
            Err(error) => {
                skip(format!("/dev/ptmx: {error}"));
                return None;
            }
        };
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let program = ioctl_tiocgptpeer(&person, flags).unwrap();
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program, size).unwrap();
        let mode = format!("{:?}", tcgetattr(&program).unwrap());
        let mut command = match stands {
            Stands::Leads => started_by("setsid", &["--ctty"]),
            Stands::IgnoresHangups => {
                let shell = "trap '' HUP; exec \"$0\" \"$@\"";
                started_by("setsid", &["--ctty", "sh", "-c", shell])
            }
            Stands::Borrows => started_by("env", &["--"]),
        };
        command.args(arguments).env("TERM", "xterm-256color");
        let end = || Stdio::from(program.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        Some(Self { person: person.into(), program, child, mode, seen: String::new() })
    }

    /// Reads on until `text` was written.
    #[track_caller]
    fn until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.read(LIMIT), "no {text:?} in {:?}", self.seen);
        }
    }

    /// Reads what comes within so many tenths of a second.
    fn read(&mut self, tenths: u32) -> bool {
        let mut ready = [PollFd::new(&self.person, PollFlags::IN)];
        let time = Timespec { tv_sec: tenths.into(), tv_nsec: 0 };
        let time = Timespec { tv_sec: time.tv_sec / 10, tv_nsec: time.tv_sec % 10 * 100_000_000 };
        if poll(&mut ready, Some(&time)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let read = self.person.read(&mut bytes).unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    /// A signal comes; how the command ended, and all that it wrote. The terminal's mode is what
    /// it was.
    #[track_caller]
    fn after(mut self, signal: Signal) -> (ExitStatus, String) {
        send(self.child.id(), signal);
        let mut status = None;
        for _ in 0..LIMIT {
            // What is written to a full terminal waits until someone reads.
            while self.read(0) {}
            status = self.child.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let status = status.unwrap_or_else(|| self.give_up());
        while self.read(0) {}
        assert_eq!(format!("{:?}", tcgetattr(&self.program).unwrap()), self.mode);
        (status, self.seen)
    }

    /// The terminal is taken away; how the command ended.
    #[track_caller]
    fn taken_away(self) -> ExitStatus {
        let Self { person, program, mut child, .. } = self;
        drop((person, program));
        ended(&mut child)
    }

    #[track_caller]
    fn give_up<T>(&mut self) -> T {
        let _ended = self.child.kill();
        panic!("it goes on; so far: {:?}", self.seen)
    }
}

/// `program arguments… fourwave`.
fn started_by(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(env!("CARGO_BIN_EXE_fourwave"));
    command
}

#[test]
fn the_table_ends_when_its_terminal_is_taken_away() {
    for stands in [Stands::Leads, Stands::IgnoresHangups, Stands::Borrows] {
        let Some(mut terminal) = Terminal::start(stands, &TABLE) else { return };
        terminal.until("UTC");
        let status = terminal.taken_away();
        assert_eq!(status.code(), Some(0), "{stands:?}: {status}");
    }
}

#[test]
fn a_signal_ends_the_table_and_gives_the_terminal_back() {
    for signal in [Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT] {
        let Some(mut terminal) = Terminal::start(Stands::Leads, &TABLE) else { return };
        terminal.until("UTC");
        assert!(terminal.seen.contains(ENTERS) && terminal.seen.contains(HIDES_CURSOR));
        let (status, seen) = terminal.after(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}: {status}");
        let rest = seen.rsplit_once(HIDES_CURSOR).unwrap().1;
        assert!(rest.contains(LEAVES) && rest.contains(SHOWS_CURSOR), "{signal:?}: {rest:?}");
    }
}

#[test]
fn half_a_key_keeps_no_signal_from_the_table() {
    let Some(mut terminal) = Terminal::start(Stands::Leads, &TABLE) else { return };
    terminal.until("UTC");
    terminal.person.write_all(b"\x1b[").unwrap();
    let (status, seen) = terminal.after(Signal::TERM);
    assert_eq!((status.code(), seen.contains(LEAVES)), (Some(0), true), "{seen:?}");
}

#[test]
fn a_second_signal_ends_the_table_on_a_terminal_that_stands_still() {
    let Some(mut terminal) = Terminal::start(Stands::Leads, &TABLE) else { return };
    terminal.until("UTC");
    tcflow(&terminal.program, Action::OOff).unwrap();
    // Neither the help nor the end of it all can be drawn.
    terminal.person.write_all(b"?").unwrap();
    let status = (0..LIMIT).find_map(|_| {
        let _gone = send(terminal.child.id(), Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
        terminal.child.try_wait().unwrap()
    });
    let status = status.unwrap_or_else(|| terminal.give_up());
    assert_eq!(status.code(), Some(143), "{status}");
}

#[test]
fn an_interface_is_watched_no_longer_than_someone_looks() {
    if !permitted() {
        return;
    }
    for stands in [Stands::Leads, Stands::IgnoresHangups, Stands::Borrows] {
        let arguments = ["trace", "--iface", "any", "--follow"];
        let Some(mut terminal) = Terminal::start(stands, &arguments) else { return };
        if let Some(refused) = until_it_watches(&mut terminal) {
            skip(&refused);
            return;
        }
        let status = terminal.taken_away();
        assert_eq!(status.code(), Some(0), "{stands:?}: {status}");
    }
}

/// Waits until the command has the interface open; what it said when it may not.
fn until_it_watches(terminal: &mut Terminal) -> Option<String> {
    let links = format!("/proc/{}/fd", terminal.child.id());
    for _ in 0..LIMIT {
        let links = std::fs::read_dir(&links).into_iter().flatten().flatten();
        let mut links = links.filter_map(|link| std::fs::read_link(link.path()).ok());
        if links.any(|link| link.to_string_lossy().starts_with("socket:")) {
            return None;
        }
        if terminal.child.try_wait().unwrap().is_some() {
            terminal.read(1);
            return Some(terminal.seen.trim().to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    terminal.give_up()
}

#[test]
fn a_hangup_ends_the_watching_of_an_interface_and_the_page_is_whole() {
    let scratch = Scratch::new("gone-page");
    let page = scratch.path().join("page.html");
    let arguments = ["trace", "--iface", "any", "--html", page.to_str().unwrap()];
    let Some(mut terminal) = Terminal::start(Stands::Leads, &arguments) else { return };
    if let Some(refused) = until_it_watches(&mut terminal) {
        skip(&refused);
        return;
    }
    let status = terminal.taken_away();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(std::fs::read_to_string(page).unwrap().trim_end().ends_with("</html>"));
}

#[test]
fn a_program_that_runs_hears_of_the_hangup_and_its_end_is_ours() {
    if !permitted() {
        return;
    }
    for way in [&["run", "--follow", "--"][..], &["run", "-q", "--"]] {
        let arguments = [way, &["sh", "-c", "echo there; exec sleep 600"]].concat();
        let Some(mut terminal) = Terminal::start(Stands::Leads, &arguments) else { return };
        terminal.until("there");
        let status = terminal.taken_away();
        assert_eq!((status.code(), status.signal()), (Some(129), None), "{way:?}: {status}");
    }
}

/// `doctor --watch --json` into a pipe, which nobody has to sit before.
fn streamed(shell: &str, sample: &str) -> Child {
    let mut command = started_by("sh", &["-c", shell]);
    command.args(["doctor", "--watch", "--json", "--sample", sample]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_nohup_started_goes_on_after_a_hangup() {
    let mut child = streamed("trap '' HUP; exec \"$0\" \"$@\"", "100ms");
    let mut lines = BufReader::new(Limited(child.stdout.take().unwrap())).lines();
    let mut line = || lines.next().expect("a report").unwrap();
    line();
    send(child.id(), Signal::HUP);
    // Far more than can have been on their way.
    for _ in 0..20 {
        line();
    }
    send(child.id(), Signal::TERM);
    assert_eq!(ended(&mut child).code(), Some(0));
}

#[test]
fn reports_end_with_their_reader_and_not_with_the_next_report() {
    let mut child = streamed("exec \"$0\" \"$@\"", "1h");
    drop(child.stdout.take());
    assert_eq!(ended(&mut child).code(), Some(0));
}
