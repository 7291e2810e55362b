//! Other namespaces, with and without the right to enter them; what is not there; a user without
//! privileges.
#![cfg(target_os = "linux")]

mod gather_support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_doctor::{Gatherer, Scope, Snapshot};
use fourwave_testkit::{Bounded, Limited};
use gather_support::{INSIDE, Running, in_namespace, is_root, listen, own, pair, run, skip, until};
use socket2::{Domain, Type};

fn diagnosis(scope: Scope) -> Snapshot {
    Gatherer::open(scope).expect("opens").snapshot().expect("looks")
}

fn refusal(scope: Scope) -> String {
    match Gatherer::open(scope) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

/// Set in the process that is [`elsewhere`].
const ELSEWHERE: &str = "FOURWAVE_GATHER_ELSEWHERE";

/// A process in a new namespace, which listens on port 8181 and has 16 ports for outgoing
/// connections: a copy of the test `other_namespaces`.
fn elsewhere() -> Running {
    let script = "ip link set lo up && \
                  echo 40000 40015 >/proc/sys/net/ipv4/ip_local_port_range && \
                  exec \"$0\" --exact other_namespaces --nocapture";
    let child = Command::new("unshare")
        .args(["-n", "sh", "-c", script])
        .arg(std::env::current_exe().expect("a test binary"))
        .env(ELSEWHERE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("unshare runs");
    let out = BufReader::new(Limited(child.stdout.take().expect("piped")));
    let running = Running(child);
    assert!(out.lines().any(|line| line.expect("text").ends_with("ready")), "it ended early");
    running
}

/// What the process does there.
fn be_elsewhere() {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 8181)).into()).expect("a free port");
    socket.listen(7).expect("listens");
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
}

fn assert_elsewhere(snapshot: &Snapshot, pid: u32) {
    let [listener] = &snapshot.listeners[..] else { panic!("{:?}", snapshot.listeners) };
    assert_eq!((listener.local.port(), listener.backlog), (8181, 7));
    assert_eq!(snapshot.owners[&listener.inode][0].pid, pid);
    assert_eq!(snapshot.ports.range, 40000..=40015);
    assert!(snapshot.knob("ipv4.tcp_fin_timeout").is_some());
    // The same file as the namespace's own view of it.
    let opens = fs::read_to_string(format!("/proc/{pid}/net/snmp")).unwrap();
    let values = opens.lines().filter_map(|line| line.strip_prefix("Tcp: ")).nth(1).unwrap();
    let passive: u64 = values.split(' ').nth(5).unwrap().parse().unwrap();
    assert_eq!(snapshot.counters["TcpPassiveOpens"], passive);
    assert!(snapshot.limitations.is_empty(), "{:?}", snapshot.limitations);
}

/// A name among those of `ip netns`, gone with the value.
struct Name(String);

impl Name {
    fn new(pid: u32) -> Self {
        let name = format!("fwgather{}", std::process::id());
        run("ip", &["netns", "attach", &name, &pid.to_string()]);
        Self(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.0]);
    }
}

#[test]
fn other_namespaces() {
    in_namespace("other_namespaces", || {
        if std::env::var_os(ELSEWHERE).is_some() {
            return be_elsewhere();
        }
        let here = listen("127.0.0.1", 8);
        let other = elsewhere();
        let pid = other.0.id();
        assert_elsewhere(&diagnosis(Scope::Pid(pid)), pid);
        assert_elsewhere(&diagnosis(Scope::Netns(format!("/proc/{pid}/ns/net"))), pid);
        if is_root() {
            let name = Name::new(pid);
            assert_elsewhere(&diagnosis(Scope::Netns(name.0.clone())), pid);
            let error = refusal(Scope::Netns("fwgathernone".into()));
            assert!(error.contains(&name.0) && error.contains("fwgathernone"), "{error}");
        } else {
            skip("other_namespaces", "names of `ip netns` need root");
        }
        // This thread has stayed where it was.
        let own = own();
        assert_eq!(own.listeners.len(), 1);
        assert_eq!(own.listeners[0].local, here.local_addr().unwrap());
        // A process of the same namespace is no other place.
        assert_eq!(diagnosis(Scope::Pid(std::process::id())).listeners, own.listeners);
    });
}

#[test]
fn a_namespace_outlives_its_process() {
    in_namespace("a_namespace_outlives_its_process", || {
        let other = elsewhere();
        let pid = other.0.id();
        let mut gatherer = Gatherer::open(Scope::Pid(pid)).expect("opens");
        assert_eq!(gatherer.snapshot().expect("looks").listeners.len(), 1);
        drop(other);
        assert!(gatherer.snapshot().expect("still looks").listeners.is_empty());
        let error = refusal(Scope::Pid(pid));
        assert!(error.starts_with(&format!("no process {pid}: it is gone")), "{error}");
    });
}

#[test]
fn what_is_no_namespace() {
    in_namespace("what_is_no_namespace", || {
        for file in ["/etc/passwd", "/proc", "/dev/null", "/proc/self/ns/mnt"] {
            let error = refusal(Scope::Netns(file.into()));
            assert!(error.contains("is no network namespace"), "{error}");
            assert!(error.contains(file) && !error.contains('\n'), "{error}");
        }
        let error = refusal(Scope::Netns("/nowhere/at all".into()));
        assert!(error.contains("no network namespace \"/nowhere/at all\""), "{error}");
        let error = refusal(Scope::Pid(u32::MAX));
        assert!(error.starts_with("no process 4294967295"), "{error}");
    });
}

/// A copy of this binary that anybody may execute.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("fourwave-gather-{}", std::process::id()));
        fs::copy(std::env::current_exe().expect("a test binary"), &path).expect("copies");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is ours");
        Self(path)
    }

    /// Runs a test of this binary as a user without any privileges, with `ARGUMENT` set.
    fn as_nobody(&self, test: &str, argument: &str) {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&self.0)
            .args(["--exact", test, "--nocapture"])
            .env(ARGUMENT, argument)
            .env(INSIDE, "ready")
            .current_dir("/")
            .bounded();
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("is ours");
    }
}

/// What a copy of a test, run as nobody, is to look at.
const ARGUMENT: &str = "FOURWAVE_GATHER_ARGUMENT";

/// Without privileges: the sockets are seen, whose they are is not, and that is said.
#[test]
fn owners_without_root() {
    in_namespace("owners_without_root", || {
        if std::env::var_os(ARGUMENT).is_some() {
            let snapshot = own();
            assert_eq!(snapshot.listeners.len(), 2);
            assert!(snapshot.owners.is_empty());
            let [limitation] = &snapshot.limitations[..] else {
                panic!("{:?}", snapshot.limitations)
            };
            assert_eq!(limitation.what, "the programs of 2 sockets");
            assert_eq!(limitation.remedy, "run it as root");
            return;
        }
        if !is_root() {
            return skip("owners_without_root", "to be somebody else needs root");
        }
        let _listeners = [listen("127.0.0.1", 1), listen("::", 1)];
        Copy::new().as_nobody("owners_without_root", "");
    });
}

/// A namespace that may not be entered: what `/proc/PID/net` tells, which is the fallback without
/// sock_diag; and the same as sock_diag told.
#[test]
fn a_process_of_somebody_else() {
    in_namespace("a_process_of_somebody_else", || {
        if let Ok(argument) = std::env::var(ARGUMENT) {
            return beside(&argument);
        }
        if !is_root() {
            return skip("a_process_of_somebody_else", "to be somebody else needs root");
        }
        let listener = listen("::", 9);
        let kept = [pair("127.0.0.1"), pair("::1")];
        for (caller, _) in &kept {
            caller.shutdown(Shutdown::Write).unwrap();
        }
        let (first, second) = pair("127.0.0.1");
        drop((first, second));
        let snapshot = until("settled", |s| {
            let of = |state| s.sockets.iter().filter(|s| s.state == state).count();
            let settled = [of(State::FinWait2), of(State::CloseWait), of(State::TimeWait)];
            (settled == [2, 2, 1]).then(|| s.clone())
        });
        let here = format!("{} {}", std::process::id(), lines(&snapshot).join(";"));
        Copy::new().as_nobody("a_process_of_somebody_else", &here);
        drop((kept, listener));
    });
}

/// Sockets as both ways tell of them.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let all = snapshot.sockets.iter();
    let sockets = all.map(|s| {
        let queues = [s.unread, u32::from(s.unread_end), s.unacked];
        let timer = s.timer.map(|timer| timer.kind);
        format!("{:?} {} {} {queues:?} {} {timer:?}", s.state, s.local, s.remote, s.inode)
    });
    let listeners = snapshot.listeners.iter();
    let listeners = listeners.map(|l| format!("{} {} {}", l.local, l.queue, l.inode));
    let mut lines: Vec<_> = sockets.chain(listeners).collect();
    lines.sort();
    lines
}

/// As nobody, from a namespace of the process's: no sock_diag of its.
fn beside(argument: &str) {
    let (pid, expected) = argument.split_once(' ').expect("two");
    let pid: u32 = pid.parse().expect("a number");
    let snapshot = diagnosis(Scope::Pid(pid));
    assert_eq!(lines(&snapshot).join(";"), expected);
    assert!(snapshot.sockets.iter().all(|s| s.info.is_none()));
    assert_eq!((snapshot.time_wait, snapshot.listeners[0].backlog), (1, 0));
    let timer = snapshot.sockets.iter().find(|s| s.state == State::TimeWait).unwrap().timer;
    let left = timer.expect("a timer").expires;
    assert!(left > Duration::from_secs(20) && left <= Duration::from_secs(60), "{left:?}");
    assert!(snapshot.counters["TcpPassiveOpens"] >= 3);
    let what = snapshot.limitations[0].what.as_str();
    assert!(what.contains("may not be entered"), "{what}");
    assert!(what.ends_with("ports 32768 to 60999 are assumed"), "{what}");
    assert_eq!(snapshot.limitations[1].what, "the programs of 3 sockets");
    assert!(snapshot.limitations[0].remedy.contains(&format!("--target {pid}")));
    // By its path, there is no such way round.
    let error = refusal(Scope::Netns(format!("/proc/{pid}/ns/net")));
    assert!(error.contains("may not be entered") && error.contains("as root"), "{error}");
}
