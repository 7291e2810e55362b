//! Captures that fourwave itself writes: `run`, `scenario` and `drill` with `--pcap`.

use std::path::Path;
use std::process::Command;

use fourwave_testkit::{Bounded, has};

use crate::lab::{Lab, can, say, skipped, text};
use crate::told::{Agreed, agree, compare};

/// A directory that goes with the value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fourwave-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

fn fourwave(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fourwave")).args(arguments).bounded();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn add(sums: &mut Agreed, more: Agreed) {
    sums.connections += more.connections;
    sums.segments += more.segments;
    sums.bytes += more.bytes;
    sums.retransmitted += more.retransmitted;
    sums.fins += more.fins;
    sums.rsts += more.rsts;
    sums.unproven += more.unproven;
    sums.renamed += more.renamed;
    sums.late += more.late;
}

#[test]
fn scenarios() {
    if !has(&["tshark", "timeout"]) {
        return;
    }
    let scratch = Scratch::new("scenarios");
    let mut sums = Agreed::default();
    let listed = fourwave(&["scenario"]);
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    // Two show a load of many connections in figures and write no packets.
    let figures = ["too-many-time-wait", "long-connections"];
    for name in names.filter(|name| name.contains('-') && !figures.contains(name)) {
        let capture = scratch.path(&format!("{name}.pcapng"));
        fourwave(&["scenario", name, "--pcap", &capture]);
        add(&mut sums, agree(&capture));
    }
    say(&format!("scenarios: {sums:?}"));
    assert!(sums.connections > 20, "{sums:?}");
}

/// In these a SYN is refused by TIME_WAIT, and then the old connection's FIN comes again. Both
/// trace and tshark count it to the new connection, by numbers that are the old one's: where they
/// lie in the new stream is chance.
const OLD_CONNECTION: [&str; 3] = [
    "time-wait-refuses-older-sequence",
    "time-wait-refuses-older-timestamp",
    "time-wait-syn-without-listener",
];

#[test]
fn scripts_of_drill() {
    if !has(&["tshark", "timeout"]) {
        return;
    }
    let scratch = Scratch::new("drill");
    let (mut sums, mut wrong) = (Agreed::default(), Vec::new());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/close");
    let mut found: Vec<_> =
        std::fs::read_dir(scripts).unwrap().map(|it| it.unwrap().path()).collect();
    found.sort();
    found.retain(|path| path.extension().is_some_and(|it| it == "pkt"));
    if std::env::var_os("FOURWAVE_LONG").is_none() {
        found = found.into_iter().step_by(8).collect();
    }
    for script in &found {
        let name = script.file_stem().unwrap().to_str().unwrap();
        if OLD_CONNECTION.contains(&name) {
            continue;
        }
        let capture = scratch.path(&format!("{name}.pcapng"));
        fourwave(&["drill", "-q", "--pcap", &capture, script.to_str().unwrap()]);
        match compare(&capture) {
            Ok(agreed) => add(&mut sums, agreed),
            Err(difference) => wrong.push(difference),
        }
    }
    say(&format!("drill: {sums:?}"));
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    assert!(sums.connections > 10, "{sums:?}");
}

/// A program's packets as `run` writes them, clean and with its own faults.
const RUN: &str = r#"
s python3 ends.py serve >ends.log &
listening 7007
visit() {
    local name=$1
    shift
    c "$FOURWAVE" run --pcap $name "$@" -- python3 ends.py visit $S 2 2>$name.log
}
visit clean.pcapng
visit lossy.pcapng --fault loss:3%
visit mixed.pcapng --fault dup:2% --fault reorder:2%
"#;

#[test]
fn runs() {
    if !can(&[]) {
        return;
    }
    if !Path::new("/dev/net/tun").exists() {
        return skipped("/dev/net/tun is missing");
    }
    let lab = Lab::run(RUN, &[]);
    for name in ["clean.pcapng", "lossy.pcapng", "mixed.pcapng"] {
        let agreed = agree(&lab.path(name));
        say(&format!("run {name}: {agreed:?}"));
        assert!(agreed.connections > 15, "{agreed:?}");
    }
}
