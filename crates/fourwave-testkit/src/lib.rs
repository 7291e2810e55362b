//! What the tests of all crates share, so that they do the same on every machine: a program that is
//! not there is asked for and said in one line, nothing waits without a limit, and a signal needs
//! no program to send it.
//!
//! | question | file |
//! | --- | --- |
//! | is it there, may it be done; if not, who says so? | `lib.rs` |
//! | children, pipes and sockets that may hang | `bounded.rs` |
#![forbid(unsafe_code)]

mod bounded;

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, kill_process};

pub use bounded::{Bounded, LIMIT, Limited, accept, bounded, ended, rest};
pub use rustix::process::Signal;

/// Where skipped tests are written, a line each: `cargo xtask test` sets it, and counts them.
const SKIPS: &str = "FOURWAVE_SKIPS";
/// With `all` in this variable a test that cannot be done fails.
const REQUIRE: &str = "FOURWAVE_REQUIRE";

/// Says in one line on standard error, past the harness, that the test of this thread does nothing
/// for want of something that this machine could have (a package, a permission, a device), and
/// why. Returns false.
///
/// # Panics
/// Where `FOURWAVE_REQUIRE` is `all`.
#[track_caller]
pub fn skip(why: impl Display) -> bool {
    skip_test(&this_test(), why)
}

/// The same where the thread is not the test's own.
///
/// # Panics
/// Where `FOURWAVE_REQUIRE` is `all`, or the list of skipped tests cannot be written.
#[track_caller]
pub fn skip_test(test: &str, why: impl Display) -> bool {
    let line = record("SKIPPED", test, why);
    assert!(std::env::var(REQUIRE).as_deref() != Ok("all"), "{REQUIRE}=all, and {line}");
    false
}

/// Says that a test does not apply here, and why: no package and no permission would change it, but
/// another kernel, another user or a setting that asks for more. Named and counted as a skipped one
/// is, and never a failure. Returns false.
///
/// # Panics
/// Where the list of skipped tests cannot be written.
#[track_caller]
pub fn not_here(test: &str, why: impl Display) -> bool {
    record("NOT HERE", test, why);
    false
}

/// The line, on standard error and in the list.
#[track_caller]
fn record(kind: &str, test: &str, why: impl Display) -> String {
    let line = format!("{kind} {test}: {why}");
    tell(&line);
    if let Some(list) = std::env::var_os(SKIPS) {
        let file = OpenOptions::new().append(true).create(true).open(&list);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.unwrap_or_else(|error| panic!("{}: {error}", Path::new(&list).display()));
    }
    line
}

/// The name of the test whose thread this is.
pub fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// A line past the harness, which captures what is printed otherwise.
pub fn tell(line: &str) {
    // Whoever closed standard error does not want it.
    let _closed = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether all of these programs are there; if not, a line says which the test lacks.
#[track_caller]
pub fn has(programs: &[&str]) -> bool {
    match programs.iter().find(|program| find(program).is_none()) {
        Some(lacking) => skip(missing(lacking)),
        None => true,
    }
}

/// That a program is missing, and the way out.
pub fn missing(program: &str) -> String {
    format!("the program {program} is missing (`cargo xtask setup` installs it, or says how)")
}

/// Where a program is, in [`path`].
pub fn find(program: &str) -> Option<PathBuf> {
    path().split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// Debian's own places, those that only root's shell has included, and then PATH: a version
/// manager's programs are slow scripts, and may be out of another user's reach.
pub fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:{own}")
}

/// A command that is looked for where [`find`] looks.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", path());
    command
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Sends a signal to a process; false where there is none with this number any more.
///
/// # Panics
/// When it may not be sent.
pub fn signal(pid: u32, signal: Signal) -> bool {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the number of a process");
    match kill_process(raw, signal) {
        Ok(()) => true,
        Err(rustix::io::Errno::SRCH) => false,
        Err(errno) => panic!("{signal:?} to process {pid}: {errno}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_said() {
        assert!(has(&["sh", "cat"]) && find("sh").unwrap().is_absolute());
        assert!(find("no-such-program").is_none());
        assert!(missing("nft").starts_with("the program nft is missing"));
    }

    #[test]
    fn a_signal_arrives_and_one_to_nobody_is_told() {
        let mut child = command("sleep").arg("600").spawn().unwrap();
        assert!(signal(child.id(), Signal::TERM));
        assert_eq!(ended(&mut child).signal(), Some(15));
        assert!(!signal(child.id(), Signal::TERM), "it is gone");
    }
}
