//! A short run of every fuzz target. Their corpora run as ordinary tests too, so a skip here
//! loses no known case.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::report::Outcome;
use crate::{setup, shell};

const VERSION: &str = "0.13.2";
const SECONDS: u32 = 10;

/// Runs each target of `fuzz/` for a while, if nightly and cargo-fuzz are there.
pub(crate) fn run(root: &Path) -> Result<Outcome, String> {
    if !root.join("fuzz/Cargo.toml").is_file() {
        return Ok(Outcome::Skipped("there is no fuzz/ yet".to_owned()));
    }
    let toolchains = Command::new("rustup").args(["toolchain", "list"]).output();
    let nightly =
        toolchains.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("nightly"));
    if !nightly {
        return Ok(Outcome::Skipped(
            "no nightly toolchain: rustup toolchain install nightly".to_owned(),
        ));
    }
    if let Err(why) = setup::cargo_tool(root, "cargo-fuzz", VERSION) {
        return Ok(Outcome::Skipped(why));
    }
    let list =
        fuzz(root).arg("list").output().map_err(|e| format!("cannot start cargo fuzz: {e}"))?;
    if !list.status.success() {
        return Err(format!(
            "`cargo fuzz list` failed: {}",
            String::from_utf8_lossy(&list.stderr).trim()
        ));
    }
    let names = String::from_utf8_lossy(&list.stdout).into_owned();
    let targets: Vec<&str> = names.split_whitespace().collect();
    if targets.is_empty() {
        return Err("fuzz/ has no target".to_owned());
    }
    for target in &targets {
        one(root, target)?;
    }
    Ok(Outcome::Passed(format!("targets: {}, for {SECONDS} s each", targets.len())))
}

/// New inputs go below target/; the corpus of the repository is only read.
fn one(root: &Path, target: &str) -> Result<(), String> {
    let found = root.join("target/fuzz-corpus").join(target);
    fs::create_dir_all(&found).map_err(|e| format!("cannot make {}: {e}", found.display()))?;
    let mut command = fuzz(root);
    command.args(["run", target]).arg(&found);
    let corpus = format!("fuzz/corpus/{target}");
    if root.join(&corpus).is_dir() {
        command.arg(corpus);
    }
    let seconds = format!("-max_total_time={SECONDS}");
    shell::run(command.args(["--", &seconds, "-verbosity=0", "-print_final_stats=1"]))
        .map_err(|e| format!("{e}; the input is in fuzz/artifacts/{target}/"))
}

fn fuzz(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let with_tools = std::iter::once(setup::tools(root)).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(with_tools) {
        command.env("PATH", path);
    }
    command.current_dir(root).env_remove("CARGO").args(["run", "nightly", "cargo", "fuzz"]);
    command
}
