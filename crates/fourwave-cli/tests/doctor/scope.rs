//! Other namespaces, and users who may not look everywhere.

use std::process::{Command, Output, Stdio};

use crate::common::{Bounded, fourwave, has, is_root, skip, stderr, stdout};
use crate::host::{ADDRESS, Examined, Fault, Host};

/// Nobody, whom root can become.
const NOBODY: &str = "65534";

fn doctor(arguments: &[&str]) -> Output {
    fourwave().args(["doctor", "--sample", "200ms"]).args(arguments).bounded()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let line = stderr(output);
    assert_eq!((output.status.code(), stdout(output).as_str()), (Some(2), ""), "{line}");
    assert!(line.starts_with("fourwave: ") && line.lines().count() == 1, "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
}

#[test]
fn another_namespace_is_looked_at_by_process_and_by_path() {
    if !is_root() {
        skip("only root may enter another's namespace");
        return;
    }
    let Some(host) = Host::new(&[]) else { return };
    let full = host.fault(&["full", ADDRESS, "8081", "4"]);
    let _clients = host.fault(&["call", ADDRESS, "8081", "12"]);
    host.set("net.ipv4.tcp_fin_timeout", "10");
    let own = format!("/proc/{}/ns/net", host.pid());
    for scope in [["--pid", &full.pid().to_string()], ["--netns", &own]] {
        let found = Examined::of(&doctor(&[scope[0], scope[1], "--json"]));
        let queue = found.finding("accept-queue-full", "10.9.0.2:8081");
        assert!(queue.to_string().contains(&full.pid().to_string()), "{queue:#}");
        // What is proposed is to be done there.
        let script = stdout(&doctor(&[scope[0], scope[1], "--fix"]));
        let is_there = |line: &str| line.starts_with("nsenter ") && line.contains(" sysctl -w ");
        assert!(script.lines().any(is_there), "{script}");
    }
    // Ours has no such thing.
    let found = Examined::of(&doctor(&["--json"]));
    assert!(found.get("accept-queue-full", "10.9.0.2:8081").is_none());
}

/// A namespace with a name, which goes with the value.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "delete", &self.0]).bounded();
    }
}

#[test]
fn another_namespace_is_looked_at_by_name() {
    if !has(&["ip"]) {
        return;
    }
    let name = Named(format!("fwdoc{}", std::process::id()));
    let made = Command::new("ip").args(["netns", "add", &name.0]).bounded();
    if !made.status.success() {
        skip(stderr(&made).trim());
        return;
    }
    let set = ["netns", "exec", &name.0, "sh", "-c", "echo 9 >/proc/sys/net/ipv4/tcp_fin_timeout"];
    assert!(Command::new("ip").args(set).bounded().status.success());
    let found = Examined::of(&doctor(&["--netns", &name.0, "--json"]));
    let setting = found.finding("setting", "tcp_fin_timeout");
    let line = setting["host"][0]["line"].as_str().unwrap();
    let expected = format!("ip netns exec {} sysctl -w net.ipv4.tcp_fin_timeout=60", name.0);
    assert_eq!(line, expected);
}

#[test]
fn what_is_not_there_is_one_line() {
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    let gone = child.id();
    fourwave_testkit::ended(&mut child);
    refused(&doctor(&["--pid", &gone.to_string()]), &[&gone.to_string(), "gone"]);
    refused(&doctor(&["--netns", "no-such-one"]), &["no-such-one"]);
    refused(&doctor(&["--netns", "/etc/passwd"]), &["/etc/passwd", "no network namespace"]);
    refused(&doctor(&["--netns", "/nonexistent/ns"]), &["/nonexistent/ns"]);
}

#[test]
fn a_user_without_rights_sees_the_sockets_and_is_told_what_is_missing() {
    if !is_root() {
        skip("only root can become another user");
        return;
    }
    let Some(host) = Host::new(&["setpriv"]) else { return };
    let _leaky = host.fault(&["leak", ADDRESS, "8080", "5"]);
    let clients = host.fault(&["call", ADDRESS, "8080", "5"]);
    clients.ask("close");
    // An open file is reached whatever the directories above it allow.
    let line = "exec 9<$0; exec setpriv --reuid $1 --regid $1 --clear-groups \
                /proc/self/fd/9 doctor --sample 200ms";
    let nobody = |arguments: &str| -> Output {
        let mut command = host.command("sh");
        command.args([
            "-c",
            &format!("{line} {arguments}"),
            env!("CARGO_BIN_EXE_fourwave"),
            NOBODY,
        ]);
        command.bounded()
    };
    let thresholds = "--json --set close_wait=5 --set close_wait_age=0";
    let found = Examined::of(&nobody(thresholds));
    let leak = found.finding("close-wait-leak", "10.9.0.2:8080");
    assert!(leak["headline"].as_str().unwrap().contains("user 0"), "{leak:#}");
    let [limitation] = &found.limitations[..] else { panic!("{found:#?}") };
    assert!(limitation["what"].as_str().unwrap().contains("program"), "{limitation}");
    assert!(limitation["remedy"].as_str().unwrap().contains("root"), "{limitation}");
    // And in words, after all that was found.
    let told = stdout(&nobody("--set close_wait=5 --set close_wait_age=0"));
    let (before, after) = told.split_once("not examined").unwrap();
    assert!(before.contains("CLOSE_WAIT") && after.contains("root"), "{told}");

    // A namespace that may not be entered: what its /proc has, and what is missing.
    let found = Examined::of(&nobody(&format!("--json --pid {}", host.pid())));
    assert_eq!(found.count("CLOSE_WAIT"), 5);
    let limitations = serde_json::Value::from(found.limitations).to_string();
    assert!(
        limitations.contains("may not be entered") && limitations.contains("as root"),
        "{limitations}"
    );
}

#[test]
fn the_doctor_leaves_no_process_and_no_descriptor_behind() {
    let Some(host) = Host::new(&[]) else { return };
    let mut watch = host.command(env!("CARGO_BIN_EXE_fourwave"));
    watch.args(["doctor", "--watch", "--json", "--sample", "100ms"]);
    let watch = Fault::spawn(watch);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", watch.pid())).unwrap().count();
    let tasks = || std::fs::read_dir(format!("/proc/{}/task", watch.pid())).unwrap().count();
    watch.line();
    let before = (open(), tasks());
    for _ in 0..10 {
        watch.line();
    }
    assert_eq!((open(), tasks()), before);
    assert_eq!(watch.terminate(), Some(0));
}
