//! The forms of the report: they agree, and change nothing.

use std::collections::BTreeMap;

use crate::common::{Bounded, fourwave, stderr, stdout};
use crate::host::{ADDRESS, Examined, Fault, Host, joined};

/// A host with two faults of different severity.
fn ill() -> Option<(Host, Fault, Fault)> {
    let host = Host::new(&[])?;
    host.set("net.ipv4.tcp_fin_timeout", "10");
    let full = host.fault(&["full", ADDRESS, "8081", "4"]);
    let clients = host.fault(&["call", ADDRESS, "8081", "12"]);
    Some((host, full, clients))
}

#[test]
fn text_json_and_commands_say_the_same() {
    let Some((host, _full, _clients)) = ill() else { return };
    let found = host.examine(&[]);
    assert_eq!(found.kinds(), ["accept-queue-full", "setting"]);
    assert_eq!(found.host["worst"], "critical");
    let text = host.doctor(&[]);
    assert_eq!((text.status.code(), stderr(&text).as_str()), (Some(1), ""));
    // Lines are broken where they end.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = words(&stdout(&text));
    let fix = host.doctor(&["--fix"]);
    assert_eq!(fix.status.code(), Some(1));
    let script = stdout(&fix);
    for finding in &found.findings {
        let headline = finding["headline"].as_str().unwrap();
        assert!(told.contains(headline), "{headline}\n{told}");
        assert!(words(&script).contains(headline), "{headline}\n{script}");
        for command in finding["host"].as_array().unwrap() {
            let line = command["line"].as_str().unwrap();
            assert!(script.lines().any(|one| one == line), "{line}\n{script}");
            assert!(told.contains(&words(line)), "{line}\n{told}");
        }
        let advice = [&finding["program"], &finding["does_not_help"]].map(joined).join("\n");
        assert!(advice.lines().all(|line| told.contains(line)), "{advice}\n{told}");
    }
    assert!(!stdout(&text).contains('\x1b'), "no colours into a pipe");
}

#[test]
fn the_commands_are_a_script_that_a_shell_reads() {
    let Some((host, _full, _clients)) = ill() else { return };
    let script = stdout(&host.doctor(&["--fix"]));
    host.run("sh", &["-nc", &script]);
    let commands: Vec<&str> =
        script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(commands.contains(&"sysctl -w net.ipv4.tcp_fin_timeout=60"), "{script}");
}

#[test]
fn nothing_is_changed() {
    let Some((host, _full, _clients)) = ill() else { return };
    let knobs = || -> BTreeMap<String, String> {
        let lines = host.run("sh", &["-c", "cd /proc/sys/net; grep -rs '' ipv4 core || true"]);
        // A table of live routes, a seed: they change by themselves.
        let steady = |line: &&str| !line.contains("random") && !line.contains("flush");
        let split = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.to_owned()));
        lines.lines().filter(steady).filter_map(split).collect()
    };
    let before = knobs();
    assert!(before.len() > 50, "{before:?}");
    for form in [&["--fix"][..], &[], &["--json"]] {
        assert_eq!(host.doctor(form).status.code(), Some(1));
    }
    assert_eq!(knobs(), before);
}

#[test]
fn every_name_is_explained() {
    let teach = |name: &str| fourwave().args(["doctor", "--explain", name]).bounded();
    let list = fourwave().args(["doctor", "--explain"]).bounded();
    assert_eq!(list.status.code(), Some(0));
    let list = stdout(&list);
    let mut known = 0;
    for name in fourwave_doctor::explain::names() {
        assert!(list.contains(name), "{name}\n{list}");
        let output = teach(name);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        assert!(stdout(&output).lines().count() > 2, "{name}: {}", stdout(&output));
        known += 1;
    }
    assert!(known > 30, "{known}");
    let unknown = teach("tcp_fin_timeot");
    assert_eq!(unknown.status.code(), Some(2));
    let line = stderr(&unknown);
    assert!(line.lines().count() == 1 && line.contains("tcp_fin_timeout"), "{line}");
}

#[test]
fn without_a_terminal_watch_is_one_report_after_the_other() {
    let Some((host, _full, _clients)) = ill() else { return };
    let mut watch = host.command(env!("CARGO_BIN_EXE_fourwave"));
    watch.args(["doctor", "--watch", "--sample", "300ms"]);
    let watch = Fault::spawn(watch);
    let mut rules = 0;
    while rules < 2 {
        rules += u32::from(watch.line().starts_with("────"));
    }
    assert_eq!(watch.terminate(), Some(0));

    // Each line says what it belongs to, so that a stream can be cut anywhere.
    let mut stream = host.command(env!("CARGO_BIN_EXE_fourwave"));
    stream.args(["doctor", "--watch", "--json", "--sample", "300ms"]);
    let stream = Fault::spawn(stream);
    let mut events = Vec::new();
    while events.iter().filter(|event| *event == "host").count() < 3 {
        let line: serde_json::Value = serde_json::from_str(&stream.line()).unwrap();
        events.push(line["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(&events[..4], ["host", "finding", "finding", "host"]);
    assert_eq!(stream.terminate(), Some(0));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let Some((host, _full, _clients)) = ill() else { return };
    let binary = env!("CARGO_BIN_EXE_fourwave");
    let line = format!("{{ {binary} doctor --watch --sample 200ms; echo $? >&2; }} | head -n 1");
    let output = host.command("sh").args(["-c", &line]).bounded();
    assert_eq!(stderr(&output), "0\n");
    let output = host.command("sh").args(["-c", &format!("{binary} doctor >/dev/full")]).bounded();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot be written"), "{}", stderr(&output));
}

#[test]
fn a_file_sets_thresholds_and_the_command_line_goes_over_it() {
    let Some(host) = Host::new(&[]) else { return };
    let scratch = crate::common::Scratch::new("doctor-thresholds");
    let path = scratch.path().join("doctor.toml");
    std::fs::write(&path, "accept_queue = \"50%\"\n").unwrap();
    let file = path.to_str().unwrap();
    let _full = host.fault(&["full", ADDRESS, "8081", "10"]);
    let _clients = host.fault(&["call", ADDRESS, "8081", "6"]);
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let found: Examined = host.examine(arguments);
        found.kinds().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(kinds(&[]), [""; 0]);
    assert_eq!(kinds(&["--config", file]), ["accept-queue-full"]);
    assert_eq!(kinds(&["--config", file, "--set", "accept_queue=70%"]), [""; 0]);
}
