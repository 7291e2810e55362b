//! Reads every script below the directory that `FOURWAVE_PKT_DIR` names (script collections are
//! not part of this repository), writes it out, and reads that again.

mod collection;

use std::path::Path;

use fourwave_drill::lang;

#[test]
#[ignore = "needs a collection of scripts: FOURWAVE_PKT_DIR=… cargo test -- --ignored"]
fn each_reads_back() {
    let directory = std::env::var("FOURWAVE_PKT_DIR").expect("FOURWAVE_PKT_DIR names a directory");
    let paths = collection::scripts(Path::new(&directory));
    let mut failed = 0;
    let mut taken = std::time::Duration::ZERO;
    for path in &paths {
        let name = path.display().to_string();
        let source = String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned();
        let begin = std::time::Instant::now();
        let script = lang::parse(&source);
        taken += begin.elapsed();
        let script = match script {
            Ok(script) => script,
            Err(error) => {
                println!("{}", error.in_file(&name));
                failed += 1;
                continue;
            }
        };
        let text = script.to_string();
        let again = lang::parse(&text).map_err(|error| error.in_file(&name).to_string());
        if again.as_ref().map(ToString::to_string).as_ref() != Ok(&text) {
            println!("{name}: written and read again, it differs: {}", again.err().unwrap_or(text));
            failed += 1;
        }
    }
    println!("{} scripts read in {taken:?}, {failed} failed", paths.len());
    assert!(!paths.is_empty() && failed == 0, "{failed} of {} failed", paths.len());
}
