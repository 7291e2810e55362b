//! Shared by the end-to-end tests.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
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

/// The program, in a place where everyone may execute it, as somebody without rights: nobody
/// where the tests are root's, else whoever runs them.
pub(crate) struct Unprivileged(PathBuf);

impl Unprivileged {
    /// Copied into `scratch`, which everyone may then enter; none, and a line that says so, where
    /// root cannot become nobody.
    pub(crate) fn new(scratch: &Scratch) -> Option<Self> {
        if is_root() && !has(&["setpriv"]) {
            return None;
        }
        let binary = scratch.path().join("fourwave");
        fs::copy(env!("CARGO_BIN_EXE_fourwave"), &binary).unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self(binary))
    }

    /// A program with these arguments.
    pub(crate) fn start(&self, program: impl AsRef<OsStr>) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(program);
        command
    }

    /// `fourwave` itself.
    pub(crate) fn fourwave(&self) -> Command {
        self.start(&self.0)
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.0
    }
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
