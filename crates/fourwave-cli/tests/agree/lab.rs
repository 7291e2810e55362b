//! Two hosts and a router between them, in namespaces of their own: a script runs there, and
//! everything that it started ends with it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use fourwave_testkit::{Bounded, has, is_root, path, skip, tell};

/// Sets the hosts up and defines what scripts use: `c` and `s` run a command on the client's and
/// the server's host, `tap NAME c|s` and `untap` capture, `listening PORT` waits for a server.
const PRELUDE: &str = include_str!("lab.sh");

/// Stops what hangs; nothing needs a fifth of it.
const LIMIT: &str = "120";

/// A directory with what a script left behind. It goes with the value.
pub(crate) struct Lab {
    directory: PathBuf,
}

/// Says why a test does nothing.
pub(crate) fn skipped(why: &str) {
    skip(why);
}

/// Says a figure past the harness.
pub(crate) fn say(text: &str) {
    tell(text);
}

/// Whether `programs` are here and namespaces can be had; says what is missing.
pub(crate) fn can(programs: &[&str]) -> bool {
    let basic = ["unshare", "ip", "tcpdump", "nft", "python3", "ss", "timeout", "tshark"];
    if !has(&basic) || !has(programs) {
        return false;
    }
    let said = isolated(&["ip", "link", "add", "v0", "type", "veth"]).bounded();
    if !said.status.success() {
        skipped(&format!("no namespaces: {}", String::from_utf8_lossy(&said.stderr).trim()));
    }
    said.status.success()
}

/// A command in namespaces of its own; when it ends, so does all that it started.
fn isolated(command: &[&str]) -> Command {
    let mut all = Command::new("unshare");
    if !is_root() {
        all.args(["--user", "--map-root-user"]);
    }
    all.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    all.args(command).env("PATH", path()).env("LC_ALL", "C").stdin(Stdio::null());
    all
}

impl Lab {
    /// Runs `script` with these environment variables.
    ///
    /// # Panics
    /// The script failed; with all that it said.
    pub(crate) fn run(script: &str, environment: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fourwave-agree-{}-{number}", std::process::id());
        let lab = Self { directory: std::env::temp_dir().join(name) };
        fs::create_dir(&lab.directory).unwrap();
        for (name, text) in
            [("ends.py", include_str!("ends.py")), ("hold.py", include_str!("hold.py"))]
        {
            fs::write(lab.directory.join(name), text).unwrap();
        }
        let limit = std::env::var("FOURWAVE_LONG").map_or(LIMIT, |_| "600");
        let script = format!("{PRELUDE}\n{script}\n");
        let mut command = isolated(&["timeout", "-k", "5", limit, "bash", "-c", &script]);
        command.current_dir(&lab.directory).env("FOURWAVE", env!("CARGO_BIN_EXE_fourwave"));
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{:?}: {}", output.status, text(&output));
        lab
    }

    /// A file that the script left.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Its text.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed test leaves its captures where they can be looked at.
        if std::thread::panicking() {
            say(&format!("kept: {}", self.directory.display()));
        } else {
            fs::remove_dir_all(&self.directory).unwrap();
        }
    }
}

/// All that a command said.
pub(crate) fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    both.concat()
}
