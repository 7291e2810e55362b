//! `cargo xtask test`: the steps, in order, up to the first failure.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::ValueEnum;

use crate::report::{Line, Outcome};
use crate::{deny, fuzz, setup, shell, tidy};

/// One thing that the test command checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Step {
    /// Install what the tests talk to, where possible
    Setup,
    /// cargo fmt --check
    Fmt,
    /// The project's own style rules
    Tidy,
    /// cargo clippy, warnings denied
    Clippy,
    /// cargo doc, warnings denied
    Doc,
    /// cargo test, the end-to-end tests with real programs included
    Test,
    /// A short run of the fuzz targets, if nightly and cargo-fuzz are there
    Fuzz,
    /// cargo deny, if it is there
    Deny,
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn run(self, root: &Path) -> Result<Outcome, String> {
        match self {
            Self::Setup => Ok(setup::run(root)),
            Self::Fmt => component(root, "rustfmt", &["fmt", "--all", "--check"]),
            Self::Tidy => tidy::run(root).map(Outcome::Passed),
            Self::Clippy => {
                let all = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
                component(root, "clippy", &all)
            }
            Self::Doc => {
                let mut command = shell::cargo(root);
                command.args(["doc", "--workspace", "--no-deps"]);
                shell::run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
                Ok(Outcome::Passed(String::new()))
            }
            Self::Test => tests(root),
            Self::Fuzz => fuzz::run(root),
            Self::Deny => deny::run(root),
        }
    }
}

/// Runs the steps of `only`, or all; prints the summary; whether all of them passed.
pub(crate) fn run(root: &Path, only: &[Step]) -> bool {
    let mut lines: Vec<Line> = Vec::new();
    for step in Step::value_variants().iter().filter(|step| only.is_empty() || only.contains(step))
    {
        println!("\n== {}", step.name());
        let start = Instant::now();
        let end = step.run(root);
        if let Err(problem) = &end {
            println!("{problem}");
        }
        // What is long has been printed above: the summary has one line for each step.
        let end = end.map_err(|_| format!("again: cargo xtask test --only {}", step.name()));
        let failed = end.is_err();
        lines.push(Line { step: step.name(), took: start.elapsed(), end });
        if failed {
            break;
        }
    }
    println!();
    lines.iter().for_each(|line| println!("{line}"));
    lines.iter().all(|line| line.end.is_ok())
}

/// A subcommand that comes with a component of the toolchain, if that is there.
fn component(root: &Path, name: &str, arguments: &[&str]) -> Result<Outcome, String> {
    if !shell::succeeds(shell::cargo(root).args([arguments[0], "--version"])) {
        return Ok(Outcome::Skipped(format!("not installed: rustup component add {name}")));
    }
    shell::run(shell::cargo(root).args(arguments))?;
    Ok(Outcome::Passed(String::new()))
}

/// `cargo test`, its output passed on and its results counted: a run of no test has not passed, and
/// a test that did nothing has not either.
fn tests(root: &Path) -> Result<Outcome, String> {
    let mut command = interruptible(shell::cargo(root), root);
    let list = root.join("target/skipped-tests");
    let fresh = std::fs::create_dir_all(root.join("target")).and_then(|()| File::create(&list));
    fresh.map_err(|e| format!("{}: {e}", list.display()))?;
    // Everyone's: some tests run as another user.
    std::fs::set_permissions(&list, Permissions::from_mode(0o666))
        .map_err(|e| format!("{}: {e}", list.display()))?;
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    command.env("FOURWAVE_SKIPS", &list);
    if setup::duckdb(root).is_file() {
        command.env("FOURWAVE_DUCKDB", setup::duckdb(root));
    }
    require(root, &mut command);
    let shown = shell::show(&command);
    println!("$ {shown}");
    let mut child = command.spawn().map_err(|e| format!("cannot start `{shown}`: {e}"))?;
    let mut sum = Count::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|e| format!("cannot read what `{shown}` says: {e}"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            sum.add(&line);
        }
    }
    let status = child.wait().map_err(|e| format!("cannot wait for `{shown}`: {e}"))?;
    let skips = std::fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
    sum.skip(&skips).for_each(|line| println!("{line}"));
    if !status.success() {
        return Err(format!("`{shown}` failed ({status}): {sum}"));
    }
    if sum.passed == 0 {
        return Err(format!("`{shown}` ran no test"));
    }
    Ok(Outcome::Passed(sum.to_string()))
}

/// With `FOURWAVE_REQUIRE=possible` (CI) a skipped test fails where nothing excuses it: there the
/// tests are told `all`. Elsewhere a line says what excuses them.
fn require(root: &Path, tests: &mut Command) {
    if std::env::var("FOURWAVE_REQUIRE").as_deref() != Ok("possible") {
        return;
    }
    match setup::lacking(root) {
        None => {
            println!("nothing that tests need is missing here: a skipped test fails");
            tests.env("FOURWAVE_REQUIRE", "all");
        }
        Some(lacking) => {
            println!("tests may be skipped here: {lacking}");
            tests.env_remove("FOURWAVE_REQUIRE");
        }
    }
}

/// A shell has its background jobs ignore SIGINT and SIGQUIT, and tests send them: so that they
/// arrive, `env` (coreutils) takes that back.
fn interruptible(command: Command, root: &Path) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !ignores_interrupts(&status) {
        return command;
    }
    let mut env = Command::new("env");
    env.arg("--default-signal=INT,QUIT").arg(command.get_program()).args(command.get_args());
    env.current_dir(root);
    env
}

/// Whether SIGINT (2) or SIGQUIT (3) is ignored, by `/proc/PID/status`.
fn ignores_interrupts(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored & 0b110 != 0)
}

/// The results of all test binaries together.
#[derive(Default, Debug, PartialEq)]
struct Count {
    passed: u64,
    failed: u64,
    /// Ignored, or found that they could do nothing.
    skipped: u64,
}

impl Count {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`; ignores any other.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Tests that passed for the harness and did nothing, or not all: a line `SKIPPED test: why` or
    /// `NOT HERE test: why` each. Returns the lines, each once.
    fn skip<'a>(&mut self, lines: &'a str) -> impl Iterator<Item = &'a str> {
        let lines: BTreeSet<&str> = lines.lines().collect();
        let name = |line: &'a str| {
            let test = line.split(": ").next().unwrap_or(line);
            test.trim_start_matches("SKIPPED ").trim_start_matches("NOT HERE ")
        };
        let tests = lines.iter().map(|line| name(line)).collect::<BTreeSet<_>>().len() as u64;
        self.passed = self.passed.saturating_sub(tests);
        self.skipped += tests;
        lines.into_iter()
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_binaries_are_summed() {
        let mut sum = Count::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out",
        ] {
            sum.add(line);
        }
        assert_eq!(sum, Count { passed: 7, failed: 2, skipped: 1 });
        assert_eq!(sum.to_string(), "7 passed, 2 failed, 1 skipped");
        let lines =
            "SKIPPED a::b: no ip\nSKIPPED c: no tun\nSKIPPED a::b: no ip\nNOT HERE c: nobody\n";
        assert_eq!(sum.skip(lines).count(), 3, "a line is said once");
        assert_eq!(sum, Count { passed: 5, failed: 2, skipped: 3 }, "a test is counted once");
    }

    #[test]
    fn a_background_jobs_signals_are_seen() {
        assert!(ignores_interrupts(
            "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001006\n"
        ));
        assert!(!ignores_interrupts("SigBlk:\t0000000000000006\nSigIgn:\t0000000000001000\n"));
    }

    #[test]
    fn every_step_can_be_named_on_the_command_line() {
        for step in Step::value_variants() {
            assert_eq!(Step::from_str(&step.name(), false), Ok(*step));
        }
    }
}
