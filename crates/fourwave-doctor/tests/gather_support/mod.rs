//! A network namespace for each test, and what is done in it.
#![allow(dead_code)]

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

use fourwave_doctor::{Gatherer, Scope, Snapshot, Socket};
pub(crate) use fourwave_testkit::tell;
use fourwave_testkit::{Bounded, command, has};
use socket2::{Domain, Protocol, Type};

/// Set where a test's own copy runs in its namespace: `new`, or `ready`.
pub(crate) const INSIDE: &str = "FOURWAVE_GATHER_INSIDE";
const POLLS: u32 = 2000;

/// Runs `work` in a new network namespace, with loopback up: this test of this binary once more,
/// below `unshare`. Where no namespace may be made: a visible line, and nothing.
pub(crate) fn in_namespace(test: &str, work: impl FnOnce()) {
    if let Some(how) = std::env::var_os(INSIDE) {
        if how == "new" {
            run("ip", &["link", "set", "lo", "up"]);
        }
        return work();
    }
    if !has(&["ip", "nft", "ss", "unshare"]) {
        return;
    }
    let may = |flags: &&&str| {
        let mut probe = command("unshare");
        probe.args([**flags, "nft", "add table ip probe"]).bounded().status.success()
    };
    let Some(flags) = ["-nm", "-rnm"].iter().find(may) else {
        return skip(test, "no network namespace with nftables may be made here; run as root");
    };
    let output = command("unshare")
        .arg(flags)
        .arg(std::env::current_exe().expect("a test binary"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "new")
        .bounded();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
    for line in err.lines().filter(|line| line.contains("SKIPPED") || line.contains("measured")) {
        tell(line);
    }
}

pub(crate) fn skip(test: &str, why: &str) {
    fourwave_testkit::skip_test(test, why);
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).bounded();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    String::from_utf8(output.stdout).expect("text")
}

/// Sets a knob of this network namespace: `net/ipv4/tcp_fin_timeout`.
pub(crate) fn set(knob: &str, value: &str) {
    let path = format!("/proc/sys/{knob}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

pub(crate) fn nft(rule: &str) {
    run("nft", &[rule]);
}

/// A table whose chain `drops` sees everything that arrives.
pub(crate) fn firewall() {
    nft("add table inet t");
    nft("add chain inet t drops { type filter hook input priority 0; }");
}

/// Whether this process may do what root may, outside of its namespaces too.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"))
}

/// Listens on a port of its own.
pub(crate) fn listen(ip: &str, backlog: i32) -> TcpListener {
    let ip: IpAddr = ip.parse().expect("an address");
    let socket = socket2::Socket::new(
        Domain::for_address((ip, 0).into()),
        Type::STREAM,
        Some(Protocol::TCP),
    );
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from((ip, 0)).into()).expect("a port");
    socket.listen(backlog).expect("listens");
    socket.into()
}

/// A connection: the caller's end and the listener's.
pub(crate) fn pair(ip: &str) -> (TcpStream, TcpStream) {
    let listener = listen(ip, 8);
    let caller = TcpStream::connect(listener.local_addr().unwrap()).expect("connects");
    (caller, fourwave_testkit::accept(&listener))
}

/// Begins to connect, whatever comes of it.
pub(crate) fn begin(to: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let error = socket.connect(&to.into()).expect_err("not at once");
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::INPROGRESS.raw_os_error()));
    socket
}

pub(crate) fn own() -> Snapshot {
    Gatherer::open(Scope::Own).expect("opens").snapshot().expect("looks")
}

/// Polls until `found` says what is sought.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut(&Snapshot) -> Option<T>) -> T {
    let mut gatherer = Gatherer::open(Scope::Own).expect("opens");
    let mut last = None;
    for _ in 0..POLLS {
        let snapshot = gatherer.snapshot().expect("looks");
        if let Some(found) = found(&snapshot) {
            return found;
        }
        last = Some(snapshot);
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never {what}: {:#?}", last.expect("polled").sockets);
}

/// The end at `local` of the connection with `remote`.
pub(crate) fn at(snapshot: &Snapshot, local: SocketAddr, remote: SocketAddr) -> Option<&Socket> {
    snapshot.sockets.iter().find(|s| s.local == local && s.remote == remote)
}

/// A process that ends with the value.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        match self.0.kill() {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
        }
        self.0.wait().expect("it was ours");
    }
}
