//! Plays every script below the directory that `FOURWAVE_PKT_DIR` names (script collections are
//! not part of this repository) on the engine and prints how each ended; `FOURWAVE_PERSONA` says
//! whom it plays (`--persona`).

mod collection;

use std::path::Path;

use fourwave_drill::lang;
use fourwave_drill::run::{Options, Outcome, run};
use fourwave_drill::virt::{Setup, Virtual};

fn play(path: &Path) -> Outcome {
    let bytes = std::fs::read(path).expect("a file");
    let mut base = Options::default();
    if let Ok(persona) = std::env::var("FOURWAVE_PERSONA") {
        base.set("persona", Some(&persona)).expect("a persona");
    }
    let script = match lang::parse_bytes(&bytes, &|name| base.define(name).is_some()) {
        Ok(script) => script,
        Err(error) => return Outcome::Skipped(format!("syntax: {error:?}")),
    };
    let options = match base.for_script(&script) {
        Ok(options) => options,
        Err(error) => return Outcome::Skipped(format!("options: {error}")),
    };
    let mut target = Virtual::new(Setup::from(&options));
    run(&script, &options, &mut target).outcome
}

#[test]
#[ignore = "needs a collection of scripts: FOURWAVE_PKT_DIR=… cargo test -- --ignored"]
fn each_ends_somehow() {
    let directory = std::env::var("FOURWAVE_PKT_DIR").expect("FOURWAVE_PKT_DIR names a directory");
    let paths = collection::scripts(Path::new(&directory));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for path in &paths {
        let name = path.strip_prefix(&directory).unwrap_or(path).display();
        match play(path) {
            Outcome::Passed => {
                println!("PASS {name}");
                passed += 1;
            }
            Outcome::Failed(failure) => {
                println!("FAIL {name}:{}: {}", failure.span.line, failure.message);
                for (word, shown) in
                    [("expected", &failure.expected), ("actual  ", &failure.actual)]
                {
                    if let Some(shown) = shown {
                        println!("       {word} {shown}");
                    }
                }
                failed += 1;
            }
            Outcome::Skipped(reason) => {
                println!("SKIP {name}: {reason}");
                skipped += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    assert!(passed > 0, "no script passed");
}
