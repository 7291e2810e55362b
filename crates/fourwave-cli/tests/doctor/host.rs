//! A host for one test: a network namespace that lives as long as the value.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::common::{Bounded, has, is_root, skip, stderr, stdout};
use fourwave_testkit::{LIMIT, Limited, Signal, ended, path, rest, signal};

/// Addresses of the host that are not loopback's, so that loopback's rules do not hold.
pub(crate) const ADDRESS: &str = "10.9.0.2";

const FAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/fault.py");

const SET_UP: &str = "set -e; ip link set lo up; ip address add 10.9.0.2/32 dev lo; \
                      echo ready; exec cat";

/// A network namespace. Dropped, it goes with everything that was started in it.
pub(crate) struct Host {
    holder: Child,
    /// Closed, the holder ends.
    _input: ChildStdin,
}

impl Host {
    /// Makes one; a visible line and `None` where that is not allowed or a program is missing.
    pub(crate) fn new(needs: &[&str]) -> Option<Self> {
        if !has(&["unshare", "nsenter", "ip", "python3"]) || !has(needs) {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(if is_root() { &["-n"][..] } else { &["-n", "-U", "-r"] });
        command.args(["--", "sh", "-c", SET_UP]).env("PATH", path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let input = holder.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(Limited(holder.stdout.take().unwrap())).read_line(&mut line).unwrap();
        if line == "ready\n" {
            return Some(Self { holder, _input: input });
        }
        let output = rest(holder);
        skip(format!("a network namespace: {}", stderr(&output).trim()));
        None
    }

    /// A process of the namespace that does nothing.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// TIME_WAITs by the kernel's own count.
    pub(crate) fn time_waits(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/net/sockstat", self.pid())).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let tw = words.windows(2).find(|pair| pair[0] == "tw").unwrap();
        tw[1].parse().unwrap()
    }

    /// A command in the namespace, as its root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string(), "--net"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--", program]).env("PATH", path());
        command
    }

    /// Runs a command that must go well; what it printed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).bounded();
        assert!(output.status.success(), "{program} {arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// Sets a knob: `net.ipv4.tcp_fin_timeout`.
    #[track_caller]
    pub(crate) fn set(&self, knob: &str, value: &str) {
        let path = format!("/proc/sys/{}", knob.replace('.', "/"));
        self.run("sh", &["-c", &format!("echo {value} >{path}")]);
    }

    /// `fourwave doctor` in the namespace, with a short sample.
    pub(crate) fn doctor(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_fourwave"));
        command.arg("doctor").args(arguments);
        if !arguments.contains(&"--sample") {
            command.args(["--sample", "500ms"]);
        }
        command.bounded()
    }

    /// The same as JSON lines; with the exit status.
    #[track_caller]
    pub(crate) fn examine(&self, arguments: &[&str]) -> Examined {
        let output = self.doctor(&[arguments, &["--json"]].concat());
        Examined::of(&output)
    }

    /// Starts `fault.py`, which may not be ready yet.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Fault {
        let mut command = self.command("python3");
        command.arg(FAULT).args(arguments);
        Fault::spawn(command)
    }

    /// Starts `fault.py`; it is ready.
    #[track_caller]
    pub(crate) fn fault(&self, arguments: &[&str]) -> Fault {
        let fault = self.begin(arguments);
        let line = fault.line();
        assert!(line.starts_with("ready"), "{arguments:?}: {line}");
        fault
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// A program that runs while the test looks. Dropped, it is killed.
pub(crate) struct Fault {
    child: Child,
    input: RefCell<Option<ChildStdin>>,
    lines: Receiver<String>,
}

impl Fault {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let input = RefCell::new(child.stdin.take());
        Self { child, input, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line")
    }

    /// Says something to it, and waits for its answer.
    #[track_caller]
    pub(crate) fn ask(&self, word: &str) -> String {
        let mut input = self.input.borrow_mut();
        writeln!(input.as_mut().unwrap(), "{word}").unwrap();
        self.line()
    }

    /// Its standard error, where that was asked for.
    pub(crate) fn stderr(&mut self) -> Limited<ChildStderr> {
        Limited(self.child.stderr.take().unwrap())
    }

    /// Sends SIGTERM; the exit status, `None` where the signal itself ended it.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        assert!(signal(self.pid(), Signal::TERM));
        ended(&mut self.child).code()
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn lines(pipe: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What `--json` said.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) status: i32,
    pub(crate) host: Value,
    pub(crate) findings: Vec<Value>,
    pub(crate) limitations: Vec<Value>,
}

impl Examined {
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let status = output.status.code().unwrap();
        let lines: Vec<Value> = stdout(output)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let of = |event: &str| -> Vec<Value> {
            lines.iter().filter(|line| line["event"] == event).cloned().collect()
        };
        let [host] = &of("host")[..] else { panic!("no host line: {output:?}") };
        let (findings, limitations) = (of("finding"), of("limitation"));
        assert_eq!(lines.len(), 1 + findings.len() + limitations.len(), "unknown lines: {lines:?}");
        assert_eq!(status, i32::from(!findings.is_empty()), "{lines:?}");
        Self { status, host: host.clone(), findings, limitations }
    }

    /// The finding of a kind about something, if it is there.
    pub(crate) fn get(&self, kind: &str, about: &str) -> Option<&Value> {
        self.findings.iter().find(|one| {
            one["kind"] == kind && one["about"].as_str().is_some_and(|text| text.contains(about))
        })
    }

    #[track_caller]
    pub(crate) fn finding(&self, kind: &str, about: &str) -> &Value {
        self.get(kind, about).unwrap_or_else(|| panic!("no {kind} about {about:?}: {self:#?}"))
    }

    /// The kinds found, in order.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.findings.iter().map(|one| one["kind"].as_str().unwrap()).collect()
    }

    /// Sockets in a state.
    pub(crate) fn count(&self, state: &str) -> u64 {
        self.host["states"][state].as_u64().unwrap()
    }
}

/// Does it again until it is so.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut so: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = so() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}: not so");
}

/// All of a JSON array of texts in one.
pub(crate) fn joined(value: &Value) -> String {
    let texts = value.as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    texts.collect::<Vec<_>>().join("\n")
}
