//! Shared by the end-to-end tests.
#![allow(dead_code)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test, without what decides how text looks here.
pub(crate) fn fourwave() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourwave"));
    for name in ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    command
}

/// `fourwave run` with these arguments, to its end, standard input empty.
pub(crate) fn run(arguments: &[&str]) -> Output {
    fourwave().arg("run").args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Whether namespaces and TUN may be had here, found out without fourwave. If not, says that the
/// test is skipped; that line is not captured.
pub(crate) fn permitted() -> bool {
    let tun = fs::File::options().read(true).write(true).open("/dev/net/tun");
    if let Err(error) = tun {
        return skip(&format!("/dev/net/tun: {error}"));
    }
    // The namespaces that fourwave makes, and as it makes them.
    let flags: &[&str] = if is_root() { &["-nm"] } else { &["-Unmr"] };
    match Command::new("unshare").args(flags).arg("true").output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => skip(String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => skip(&format!("unshare (util-linux): {error}")),
    }
}

/// Says on standard error, past the harness, why a test does nothing.
pub(crate) fn skip(why: &str) -> bool {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    // eprintln would be captured.
    std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes()).unwrap();
    false
}

pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

/// A directory that goes with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fourwave-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
