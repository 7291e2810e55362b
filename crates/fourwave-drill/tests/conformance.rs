//! The collection below `conformance/` passes on the engine.

mod collection;

use std::fs;
use std::path::{Path, PathBuf};

use fourwave_drill::lang;
use fourwave_drill::run::{Failure, Options, Outcome, run};
use fourwave_drill::virt::{Setup, Virtual};

/// Fewer scripts than these, and some have been lost.
const LEAST: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance")
}

/// What is wrong with a script; none where it passes.
fn play(path: &Path) -> Option<String> {
    let bytes = fs::read(path).expect("a file that can be read");
    let base = Options::default();
    let script = match lang::parse_bytes(&bytes, &|name| base.define(name).is_some()) {
        Ok(script) => script,
        Err(error) => return Some(format!("{error:?}")),
    };
    let options = match base.for_script(&script) {
        Ok(options) => options,
        Err(error) => return Some(error.to_string()),
    };
    let mut target = Virtual::new(Setup::from(&options));
    match run(&script, &options, &mut target).outcome {
        Outcome::Passed => None,
        Outcome::Failed(failure) => Some(told(&failure)),
        Outcome::Skipped(reason) => Some(format!("skipped for {reason}")),
    }
}

fn told(failure: &Failure) -> String {
    let expected = failure.expected.iter().map(|shown| format!("\n    expected {shown}"));
    let actual = failure.actual.iter().map(|shown| format!("\n    actual   {shown}"));
    let (expected, actual): (String, String) = (expected.collect(), actual.collect());
    format!("line {}: {}{expected}{actual}", failure.span.line, failure.message)
}

#[test]
fn every_script_passes() {
    let root = root();
    let paths = collection::scripts(&root);
    assert!(paths.len() >= LEAST, "{} scripts, not {LEAST}", paths.len());
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&root).unwrap_or(path).display();
            play(path).map(|what| format!("{name}: {what}"))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} failed\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n")
    );
}
