//! Captures of the programs that people use: tcpdump and zstd. Skips where they are not.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Frame, Order, ip, pcap, read, rest};
use fourwave_capture::Reader;
use fourwave_testkit::{Bounded, Limited, accept, command, find, has, is_root, missing, skip_test};

/// Past this a test is stuck, not slow.
const STUCK: Duration = Duration::from_secs(60);
const SENT: usize = 200_000;
const FIN: u8 = 1;
const SYN: u8 = 2;

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("fourwave-capture-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not made where the test was skipped.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Ends what it started, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// One connection that sends so much.
fn exchange(listener: &TcpListener) {
    let server = listener.try_clone().unwrap();
    let server = std::thread::spawn(move || {
        let mut conn = accept(&server);
        let mut got = Vec::new();
        conn.read_to_end(&mut got).unwrap()
    });
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(&vec![7; SENT]).unwrap();
    drop(client);
    assert_eq!(server.join().unwrap(), SENT);
}

/// tcpdump of one connection on loopback; false after a line that says why there is none.
fn tcpdump(test: &str, interface: &str, arguments: &[&str], file: &Path) -> bool {
    if !is_root() {
        return skip_test(test, "tcpdump needs root");
    }
    if find("tcpdump").is_none() {
        return skip_test(test, missing("tcpdump"));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let started = command("tcpdump")
        // Of its buffer each packet takes as much as the snap length.
        .args(["-i", interface, "--immediate-mode", "-U", "-Z", "root", "-B", "65536", "-w"])
        .arg(file)
        .args(arguments)
        .args(["tcp", "port", &port])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(started.expect("it is there"));
    let mut lines = BufReader::new(Limited(running.0.stderr.take().unwrap()));
    let mut said = String::new();
    while !said.contains("listening on") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "tcpdump ended: {said}");
    }
    exchange(&listener);
    // It writes each packet at once; the last FIN is answered by an ACK.
    let began = Instant::now();
    while seen(file).is_none_or(|seen| seen.fins < 2) {
        assert!(began.elapsed() < STUCK, "{:?}", seen(file));
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    syns: usize,
    fins: usize,
    payload: usize,
}

/// What a file has so far; none while its header is not there.
fn seen(file: &Path) -> Option<Seen> {
    let mut reader = Reader::open(file).ok()?;
    let mut seen = Seen::default();
    for packet in rest(&mut reader) {
        let Some(ip) = packet.ip else { continue };
        let flags = ip[33];
        seen.syns += usize::from(flags & SYN != 0);
        seen.fins += usize::from(flags & FIN != 0);
        seen.payload += packet.wire_len - 20 - usize::from(ip[32] >> 4) * 4;
    }
    Some(seen)
}

fn check(test: &str, interface: &str, arguments: &[&str], link: Option<u32>) {
    let scratch = Scratch::new(test);
    if !tcpdump(test, interface, arguments, &scratch.0) {
        return;
    }
    let found = seen(&scratch.0).unwrap();
    assert_eq!((found.syns, found.fins), (2, 2), "{found:?}");
    assert!((SENT..SENT * 3 / 2).contains(&found.payload), "{found:?}");
    let bytes = std::fs::read(&scratch.0).unwrap();
    let has = u32::from_le_bytes(bytes[20..24].try_into().unwrap());
    assert!(link.is_none_or(|link| link == has), "link type {has}");
}

#[test]
fn tcpdump_on_loopback() {
    check("tcpdump_on_loopback", "lo", &[], Some(1));
}

#[test]
fn tcpdump_on_loopback_with_nanoseconds_and_a_snap_length() {
    let test = "tcpdump_on_loopback_with_nanoseconds_and_a_snap_length";
    check(test, "lo", &["--time-stamp-precision=nano", "-s", "96"], Some(1));
}

#[test]
fn tcpdump_on_all_interfaces() {
    check("tcpdump_on_all_interfaces", "any", &["-y", "LINUX_SLL2"], Some(276));
    check("tcpdump_on_all_interfaces", "any", &["-y", "LINUX_SLL"], Some(113));
}

#[test]
fn frames_of_the_zstd_program() {
    let frames: Vec<_> = (0..800).map(|n| Frame::new(0, ip(4, n, 900))).collect();
    let file = pcap(Order::Little, true, 101, &frames);
    let wanted = read(&file);
    if !has(&["zstd"]) {
        return;
    }
    let scratch = Scratch::new("zstd");
    std::fs::write(&scratch.0, &file).unwrap();
    for level in ["-1", "-19", "--long=24"] {
        let input = std::fs::File::open(&scratch.0).unwrap();
        let packed = command("zstd").args(["-q", "-c", level]).bounded_reading(input);
        assert!(packed.status.success());
        assert_eq!(read(&packed.stdout), wanted, "{level}");
    }
}
