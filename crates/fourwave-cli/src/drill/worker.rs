//! Linux as a target: a process for each script, since only one with a single thread can move
//! into a namespace.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use fourwave_drill::ast::{EventKind, Script, Time};
use fourwave_drill::linux;
use fourwave_drill::report;
use fourwave_drill::run::{self, Options, Report};
use fourwave_linux::reason;

use super::source::{Settings, Source, broken, read};

/// First argument of a worker.
pub(crate) const WORKER: &str = "__drill-worker";

/// Real time that a worker has beyond what its script says.
const GRACE: Duration = Duration::from_secs(60);
/// What a target that is not there begins its answer with.
const NO_TARGET: &str = "no target: ";

/// Plays a script in a worker.
///
/// # Errors
/// A line about why Linux is not to be had here.
pub(super) fn run(path: &Path, source: &Source, settings: &Settings) -> Result<Report, String> {
    let limit = length(&source.script) + GRACE;
    let mut child = start(path, settings)
        .map_err(|error| format!("cannot start a worker: {}", reason(&error)))?;
    // It ends where this is closed, so also where this process is ended.
    let _alive = child.stdin.take();
    let answer = child.stdout.take().map(|output| listen(output, limit));
    linux::group::end(&child);
    let status = child.wait().map_err(|error| format!("a worker is lost: {}", reason(&error)))?;
    let answer = match answer {
        Some(Ok(answer)) => answer,
        _ => {
            let seconds = limit.as_secs();
            return Ok(broken(format!("the script does not end: given up after {seconds} s")));
        }
    };
    let line = answer.lines().last().unwrap_or("");
    if let Some(why) = line.strip_prefix(NO_TARGET) {
        return Err(why.to_owned());
    }
    Ok(report::from_json(line).unwrap_or_else(|error| broken(ended(status, &error.to_string()))))
}

fn ended(status: ExitStatus, error: &str) -> String {
    if status.success() { error.to_owned() } else { format!("the worker ended with {status}") }
}

fn start(path: &Path, settings: &Settings) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(WORKER).arg(path);
    for (name, value) in &settings.given {
        command.arg(match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
    }
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// What the worker writes until it ends.
fn listen(mut output: ChildStdout, limit: Duration) -> Result<String, RecvTimeoutError> {
    let (sender, receiver) = channel();
    // Not joined: what a script leaves running may keep the pipe open.
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.read_to_end(&mut bytes);
        // Nobody listens any more after the limit.
        let _late = sender.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver.recv_timeout(limit).map(Result::unwrap_or_default)
}

/// How long a script takes by its own times.
fn length(script: &Script) -> Duration {
    let mut at = Duration::ZERO;
    for event in &script.events {
        at = match event.time {
            Time::At(time) | Time::Between(_, time) => at.max(time),
            Time::After(gap) | Time::AfterBetween(_, gap) => at.saturating_add(gap),
            Time::Any => at.saturating_add(Duration::from_secs(120)),
        };
        if let EventKind::Call(call) = &event.kind {
            at = at.saturating_add(call.until.unwrap_or_default());
        }
    }
    at
}

/// The worker: plays one script on Linux and writes the report to standard output.
pub(crate) fn work(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.collect();
    let line = match report_of(&arguments) {
        Ok(report) => report::to_json(&report),
        Err(why) => format!("{NO_TARGET}{why}"),
    };
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    u8::from(written.is_err())
}

fn report_of(arguments: &[OsString]) -> Result<Report, String> {
    let Some((path, given)) = arguments.split_first() else {
        return Err(format!("{WORKER} is internal"));
    };
    let path = PathBuf::from(path);
    let mut options = Options::default();
    for one in given {
        let (name, value) = parted(one);
        options.set(&name, value.as_deref()).map_err(|error| error.to_string())?;
    }
    let Ok(source) = read(&path, &options) else {
        return Err(format!("{} has changed meanwhile", path.display()));
    };
    let Source { script, options, .. } = &source;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut setup = linux::Options::from(options);
    setup.directory = directory.map(Path::to_path_buf);
    let mut target = linux::enter(setup).map_err(|error| error.to_string())?;
    linux::group::end_when_closed(io::stdin())
        .map_err(|error| format!("cannot start a thread: {}", reason(&error)))?;
    Ok(run::run(script, options, &mut target))
}

/// `name=value`.
fn parted(one: &OsStr) -> (String, Option<String>) {
    let text = String::from_utf8_lossy(one.as_bytes());
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.into_owned(), None),
    }
}
