//! Shared by the end-to-end tests.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use fourwave_testkit::{Bounded, has, is_root, skip};

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
    fourwave().arg("run").args(arguments).bounded()
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
        return skip(format!("/dev/net/tun: {error}"));
    }
    if !has(&["unshare"]) {
        return false;
    }
    // The namespaces that fourwave makes, and as it makes them.
    let flags: &[&str] = if is_root() { &["-nm"] } else { &["-Unmr"] };
    let output = Command::new("unshare").args(flags).arg("true").bounded();
    output.status.success() || skip(String::from_utf8_lossy(&output.stderr).trim())
}

/// The same, and these programs are here.
pub(crate) fn permitted_with(programs: &[&str]) -> bool {
    has(programs) && permitted()
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
