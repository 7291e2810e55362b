//! `cargo xtask setup`: the programs that the end-to-end tests talk to, by Debian package name.
//!
//! It never fails: what cannot be installed is named in one line, with the command that installs
//! it, and the tests that need it say so themselves.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Output};

use crate::report::Outcome;
use crate::shell;

/// Debian package → a program of it.
const NEEDED: [(&str, &str); 21] = [
    ("iperf3", "iperf3"),
    ("wrk", "wrk"),
    ("nginx-light", "nginx"),
    ("curl", "curl"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("zstd", "zstd"),
    ("netcat-openbsd", "nc.openbsd"),
    ("redis-tools", "redis-benchmark"),
    ("redis-server", "redis-server"),
    ("git", "git"),
    ("python3", "python3"),
    ("python3-pip", "pip3"),
    ("iputils-ping", "ping"),
    ("passt", "pasta"),
    ("slirp4netns", "slirp4netns"),
    ("microsocks", "microsocks"),
    ("hyperfine", "hyperfine"),
    ("chromium", "chromium"),
];

/// What reads `trace --parquet` in a test, by its name and version for pip.
const DUCKDB: &str = "duckdb==2.0.1";

/// How apt-get may be started here, if at all.
#[derive(Debug, PartialEq)]
enum Apt {
    AsRoot,
    WithSudo,
    No,
}

/// Installs what is missing where that is possible; says in one line how it ended.
pub(crate) fn run(root: &Path) -> Outcome {
    components();
    let programs = programs();
    let Err(why) = python_module(root) else { return programs };
    let (Outcome::Passed(note) | Outcome::Skipped(note)) = programs;
    Outcome::Skipped(format!("{note}; {why}"))
}

/// A Python of the project's own that has DuckDB: the tests hear of it by `FOURWAVE_DUCKDB`.
pub(crate) fn duckdb(root: &Path) -> std::path::PathBuf {
    root.join("target/tools/duckdb/bin/python")
}

fn python_module(root: &Path) -> Result<(), String> {
    let python = duckdb(root);
    let there =
        || python.is_file() && shell::succeeds(Command::new(&python).args(["-c", "import duckdb"]));
    if there() {
        return Ok(());
    }
    let why = format!("no {DUCKDB} (python3 -m venv, pip install): a test of --parquet says so");
    println!("setup: installing {DUCKDB} into target/tools");
    let environment = root.join("target/tools/duckdb");
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(environment).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return Err(why);
    }
    let mut pip = Command::new("pip3");
    pip.arg("--python").arg(&python).args(["install", "--quiet", "--no-deps", DUCKDB]);
    // What pip says at length is in the line above.
    let installed = pip.output().is_ok_and(|output| output.status.success());
    if installed && there() { Ok(()) } else { Err(why) }
}

/// Whether tests find all that a package or a permission can give: what is lacking, if anything.
pub(crate) fn lacking(root: &Path) -> Option<String> {
    let lacking = missing(|program| shell::find(program).is_some());
    if !lacking.is_empty() {
        return Some(advice(&lacking));
    }
    if !duckdb(root).is_file() {
        return Some(format!("no {DUCKDB}"));
    }
    let world = "test $(id -u) = 0 && : <>/dev/net/tun && nft list ruleset \
                 && ip link add v0 type veth";
    let made = Command::new("unshare").args(["-nm", "sh", "-c", world]).output();
    let may = made.is_ok_and(|made| made.status.success());
    (!may).then(|| "not root with namespaces, TUN, veth and nftables".to_owned())
}

fn programs() -> Outcome {
    let lacking = missing(|program| shell::find(program).is_some());
    if lacking.is_empty() {
        return Outcome::Passed("every program the tests talk to is installed".to_owned());
    }
    let apt = apt();
    if apt == Apt::No {
        return Outcome::Skipped(advice(&lacking));
    }
    println!("setup: installing {}", lacking.join(" "));
    if lacking.iter().any(|package| ["nginx-light", "redis-server"].contains(package)) {
        println!(
            "setup: Debian starts nginx and redis-server as services; the tests use their own"
        );
    }
    if let Err(problem) = install(&apt, &lacking) {
        println!("setup: {problem}");
    }
    let left = missing(|program| shell::find(program).is_some());
    if left.is_empty() {
        Outcome::Passed(format!("installed {}", lacking.join(" ")))
    } else {
        Outcome::Skipped(advice(&left))
    }
}

fn missing(there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    NEEDED.iter().filter(|(_, program)| !there(program)).map(|(package, _)| *package).collect()
}

fn advice(lacking: &[&str]) -> String {
    let names = lacking.join(" ");
    format!("missing {names}; as root: apt-get install {names} (tests that need one say so)")
}

/// rustfmt and clippy, which rustup's minimal profile leaves out.
fn components() {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = shell::succeeds(Command::new("cargo").args([subcommand, "--version"]));
        if !there && !shell::succeeds(Command::new("rustup").args(["component", "add", component]))
        {
            println!(
                "setup: no `cargo {subcommand}`; install it: rustup component add {component}"
            );
        }
    }
}

fn apt() -> Apt {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !is_debian(&release) || shell::find("apt-get").is_none() {
        return Apt::No;
    }
    let id = Command::new("id").arg("-u").output();
    if id.is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
        Apt::AsRoot
    } else if shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Apt::WithSudo
    } else {
        Apt::No
    }
}

/// Whether an os-release file is Debian's or a descendant's.
fn is_debian(release: &str) -> bool {
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|ids| ids.trim_matches('"').split_whitespace().any(|id| id == "debian"))
}

/// All at once; one by one where that fails, so that one unknown name does not cost the others.
fn install(apt: &Apt, packages: &[&str]) -> Result<(), String> {
    apt_get(apt, &["update"])?;
    let all: Vec<&str> =
        ["install", "-y", "--no-install-recommends"].iter().chain(packages).copied().collect();
    if apt_get(apt, &all).is_ok() {
        return Ok(());
    }
    let each =
        packages.iter().map(|one| apt_get(apt, &["install", "-y", "--no-install-recommends", one]));
    let failed: Vec<String> = each.filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn apt_get(apt: &Apt, arguments: &[&str]) -> Result<(), String> {
    let start: &[&str] = match apt {
        Apt::WithSudo => &["sudo", "-n"],
        Apt::AsRoot | Apt::No => &[],
    };
    let fixed =
        ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];
    let words: Vec<&str> = start.iter().chain(&fixed).copied().collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let shown = format!("apt-get {}", arguments.join(" "));
    if io::stdout().is_terminal() {
        return shell::run(command.args(arguments)).map_err(|_| format!("`{shown}` failed"));
    }
    let output = command.arg("-qq").args(arguments).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{shown}` failed: {}", last_line(&output))),
        Err(e) => Err(format!("cannot start `{shown}`: {e}")),
    }
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned()
}

/// Whether a tool is in `dir`'s own tools or anywhere in PATH.
pub(crate) fn tool(root: &Path, name: &str) -> bool {
    tools(root).join(name).is_file() || shell::find(name).is_some()
}

/// Where the project keeps cargo tools that it installed itself.
pub(crate) fn tools(root: &Path) -> std::path::PathBuf {
    root.join("target/tools/bin")
}

/// A cargo tool: there, or in CI installed (it takes minutes: nobody else is made to wait for it).
pub(crate) fn cargo_tool(root: &Path, name: &str, version: &str) -> Result<(), String> {
    let mut install = shell::cargo(root);
    install.args(["install", name, "--locked", "--version", version]);
    if tool(root, name) {
        return Ok(());
    }
    let how = shell::show(&install);
    if std::env::var_os("CI").is_none() {
        return Err(format!("{name} is not installed: {how}"));
    }
    shell::run(install.args(["--root", "target/tools"]))
        .map_err(|_| format!("{name} cannot be installed: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_descendants_are_told_from_others() {
        assert!(is_debian("PRETTY_NAME=\"x\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nHOME_URL=\"debian\"\n"));
    }

    /// On every machine that can build this (Debian's essential packages), or in a package of
    /// `NEEDED` under another program's name: ss comes with ip, nc with nc.openbsd.
    const THERE: &str = "bash cat head nc nsenter setpriv setsid sh sha256sum ss timeout unshare";

    /// How tests ask for programs.
    const ASKED: [&str; 6] =
        ["has(&[", "permitted_with(&[", "Host::new(&[", "each_user(&[", "can(&[", "basic = ["];

    /// The programs that a test's text asks for.
    fn asked(text: &str) -> impl Iterator<Item = &str> {
        let lists = ASKED.iter().flat_map(move |asked| text.split(asked).skip(1));
        let lists = lists.filter_map(|rest| rest.split_once(']'));
        lists.flat_map(|(list, _)| list.split('"').skip(1).step_by(2))
    }

    #[test]
    fn every_program_that_a_test_asks_for_can_be_installed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let mut folders = vec![root];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let in_tests = path.components().any(|part| part.as_os_str() == "tests");
                if path.is_dir() {
                    folders.push(path);
                } else if in_tests && path.extension().is_some_and(|ending| ending == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    for program in asked(&text) {
                        found += 1;
                        let known = THERE.split(' ').any(|there| there == program)
                            || NEEDED.iter().any(|(_, needed)| *needed == program);
                        assert!(known, "{}: {program} is in no package of setup", path.display());
                    }
                }
            }
        }
        assert!(found > 50, "only {found} are asked for: the search is wrong");
    }

    #[test]
    fn what_is_missing_is_named_by_package() {
        assert_eq!(missing(|program| program != "nc.openbsd"), ["netcat-openbsd"]);
        assert!(advice(&["wrk", "passt"]).contains("apt-get install wrk passt"));
    }
}
