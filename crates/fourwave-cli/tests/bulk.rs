//! `fourwave drill --from` of real bulk transfers: of our engine and of the kernel, both ways, both
//! ends.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use common::{Bounded, Scratch, fourwave, has, is_root, permitted_with, run, skip, stderr, stdout};
use fourwave_testkit::{LIMIT, Limited, accept, command, ended};

const BYTES: usize = 600_000;

/// What a server does with its only connection.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It reads to the end.
    Up,
    /// It writes, in pieces of so many bytes, and reads to the end.
    Down(usize),
}

fn serve(listener: TcpListener, way: Way) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = accept(&listener);
        if let Way::Down(piece) = way {
            write(&mut stream, piece);
        }
        stream.read_to_end(&mut Vec::new()).unwrap();
    })
}

fn write(stream: &mut TcpStream, piece: usize) {
    vec![0; BYTES].chunks(piece).for_each(|part| stream.write_all(part).unwrap());
    stream.shutdown(Shutdown::Write).unwrap();
}

/// The script of the side with this address; it has nothing to complain of.
fn script(capture: &Path, local: &str, scratch: &Scratch) -> (String, String) {
    let path = scratch.path().join(format!("{local}.pkt")).to_str().unwrap().to_owned();
    let capture = capture.to_str().unwrap();
    let arguments = ["drill", "--from", capture, "--local", local, "-o", &path];
    let output = fourwave().args(arguments).bounded();
    let text = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{text}");
    (path, text)
}

fn status(arguments: &[&str], path: &str) -> Option<i32> {
    let output = fourwave().arg("drill").args(arguments).arg(path).bounded();
    println!("{}", stdout(&output));
    output.status.code()
}

/// Scripts of both sides pass, and fail when an end is not as they say.
fn both_sides(what: &str, capture: &Path, sides: [&str; 2], scratch: &Scratch) {
    for local in sides {
        let (path, text) = script(capture, local, scratch);
        assert!(text.contains("--loose_segments"), "{what}, {local}: {text}");
        assert_eq!(status(&[], &path), Some(0), "{what}, {local}:\n{text}");
        let flags = if text.contains("> FP. ") { "> FP. " } else { "> F. " };
        assert!(text.contains(flags), "{what}, {local}:\n{text}");
        fs::write(&path, text.replace(flags, "> R. ")).unwrap();
        assert_eq!(status(&[], &path), Some(1), "{what}, {local}, with R:\n{text}");
        let silent = text.replace(" close(", " dup(");
        let silent: String = silent
            .lines()
            .filter(|line| !line.contains(" dup("))
            .fold(String::new(), |text, line| text + line + "\n");
        fs::write(&path, silent).unwrap();
        if !text.contains(" shutdown(") {
            assert_eq!(status(&[], &path), Some(1), "{what}, {local}, no close:\n{text}");
        }
    }
}

/// A transfer by `bash` through the engine.
fn by_engine(options: &[&str], way: Way, capture: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = serve(listener, way);
    let client = match way {
        Way::Up => format!("exec 3<>/dev/tcp/10.4.0.1/{port}; head -c {BYTES} /dev/zero >&3"),
        Way::Down(_) => format!("exec 3<>/dev/tcp/10.4.0.1/{port}; cat <&3 >/dev/null"),
    };
    let mut arguments = vec!["-q", "--host-loopback", "--pcap", capture.to_str().unwrap()];
    arguments.extend(options);
    arguments.extend(["--", "bash", "-c", &client]);
    let output = run(&arguments);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{arguments:?}");
    server.join().unwrap();
}

#[test]
fn bulk_transfers_of_the_engine_pass() {
    if !permitted_with(&["bash"]) {
        return;
    }
    let scratch = Scratch::new("bulk-engine");
    let capture = scratch.path().join("run.pcapng");
    for mtu in ["1500", "65520"] {
        for way in [Way::Up, Way::Down(BYTES), Way::Down(7000)] {
            for options in [&["--mtu", mtu][..], &["--mtu", mtu, "--fault", "drop:fin"]] {
                by_engine(options, way, &capture);
                let what = format!("{way:?} {options:?}");
                both_sides(&what, &capture, ["10.4.0.100", "10.4.0.1"], &scratch);
            }
        }
    }
}

#[test]
fn a_bulk_transfer_of_the_engine_passes_on_linux_too() {
    if !permitted_with(&["bash"]) {
        return;
    }
    let scratch = Scratch::new("bulk-linux");
    let capture = scratch.path().join("run.pcapng");
    by_engine(&["--mtu", "1500"], Way::Up, &capture);
    // On a busy machine nothing is exact.
    let patient = ["--target", "linux", "--tolerance_usecs=2000000"];
    for local in ["10.4.0.100", "10.4.0.1"] {
        let (path, text) = script(&capture, local, &scratch);
        assert_eq!(status(&patient, &path), Some(0), "{local}:\n{text}");
    }
}

/// tcpdump on loopback, once it captures.
fn tcpdump(port: u16, file: &Path) -> Option<Child> {
    if !has(&["tcpdump"]) || !(is_root() || skip("tcpdump needs root")) {
        return None;
    }
    let mut child = command("tcpdump")
        .args(["-i", "lo", "-s", "128", "--immediate-mode", "-U", "-Z", "root", "-w"])
        .arg(file)
        .args(["tcp", "port", &port.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(Limited(child.stderr.take().unwrap()));
    let mut line = String::new();
    while !line.contains("listening on") {
        assert!(said.read_line(&mut line).unwrap() > 0, "tcpdump ended: {line}");
    }
    // What it says at its end has somewhere to go.
    thread::spawn(move || said.read_to_end(&mut Vec::new()));
    Some(child)
}

/// Whether a capture has come to its end: the FINs of both sides and what acknowledges them.
fn is_whole(capture: &Path) -> bool {
    let output = fourwave().args(["drill", "--from", capture.to_str().unwrap()]).bounded();
    stdout(&output).contains("both sides closed and both FINs were acknowledged")
}

#[test]
fn bulk_transfers_of_the_kernel_pass() {
    for way in [Way::Up, Way::Down(65_536), Way::Down(5000)] {
        let scratch = Scratch::new("bulk-kernel");
        let capture = scratch.path().join("lo.pcap");
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Some(mut tcpdump) = tcpdump(address.port(), &capture) else { return };
        let server = serve(listener, way);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        if matches!(way, Way::Up) {
            write(&mut stream, 16_384);
        }
        stream.read_to_end(&mut Vec::new()).unwrap();
        drop(stream);
        server.join().unwrap();
        let began = Instant::now();
        while !is_whole(&capture) {
            assert!(began.elapsed() < LIMIT, "{way:?}: the capture does not end");
            thread::yield_now();
        }
        tcpdump.kill().unwrap();
        ended(&mut tcpdump);
        both_sides(&format!("{way:?}"), &capture, ["127.0.0.1", "127.0.0.2"], &scratch);
    }
}
