//! Connections that one side closed and the other did not: `fourwave run` says so while they live.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Instant;

use common::{Scratch, fourwave, permitted_with};
use fourwave_testkit::{LIMIT, Limited, accept, ended};
use serde_json::Value;

/// Sends, reads to the end of what comes, and does not close before it is told to.
const FORGETFUL: &str = "import socket, sys\n\
    s = socket.create_connection(('10.4.0.1', int(sys.argv[1])))\n\
    s.sendall(b'question')\n\
    while s.recv(100): pass\n\
    sys.stdin.readline()\n";

/// Closes its sending direction and reads to the end.
const HALF: &str = "import socket, sys\n\
    s = socket.create_connection(('10.4.0.1', int(sys.argv[1])))\n\
    s.shutdown(socket.SHUT_WR)\n\
    while s.recv(100): pass\n";

/// A server that does not close after its client has.
const SERVER: &str = "import socket, sys\n\
    l = socket.create_server(('', 80))\n\
    print('ready', flush=True)\n\
    s, _ = l.accept()\n\
    while s.recv(100): pass\n\
    sys.stdin.readline()\n";

fn spawn(options: &[&str], script: &str, argument: &str) -> Child {
    fourwave()
        .args(["run", "-o", "tcp_close_wait_limit=1", "--host-loopback"])
        .args(options)
        .args(["--", "python3", "-c", script, argument])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The line about the leak; what comes before it is part of a failure's message.
fn leak(errors: &mut BufReader<Limited<ChildStderr>>) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(errors.read_line(&mut line).unwrap(), 0, "no leak was told: {all}");
        if line.contains("CLOSE_WAIT") {
            return line.trim_end().to_owned();
        }
        all += &line;
    }
}

fn finish(mut child: Child, mut errors: impl Read) -> String {
    drop(child.stdin.take());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(ended(&mut child).success(), "{rest}");
    rest
}

#[test]
fn a_program_that_never_closes_is_told_of_everywhere() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let scratch = Scratch::new("leak");
    let file = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (ladder, events) = (format!("--ladder={}", file("ladder")), file("events"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut child = spawn(&[&ladder, "--events", &events], FORGETFUL, &port.to_string());
    // Dropped unread data would be an RST.
    let mut question = [0; 8];
    let mut host = accept(&listener);
    host.read_exact(&mut question).unwrap();
    drop(host);
    let mut errors = BufReader::new(Limited(child.stderr.take().unwrap()));
    let line = leak(&mut errors);
    let start = "fourwave: suspected CLOSE_WAIT leak: the program has not closed 10.4.0.100:";
    assert!(line.starts_with(start), "{line}");
    let route = format!(" → 10.4.0.1:{port} for 1");
    assert!(line.contains(&route), "{line}");
    assert!(line.contains("after the server's FIN; last seen of it: send, 1"), "{line}");
    assert!(line.ends_with("(tcp_close_wait_limit=1)"), "{line}");
    let rest = finish(child, errors);
    assert!(!rest.contains("CLOSE_WAIT"), "once: {rest}");

    let events: Vec<Value> = fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<&Value> = events.iter().filter(|e| e["event"] == "close_wait").collect();
    let [told] = told[..] else { panic!("{told:?}") };
    assert_eq!((&told["end"], &told["last_call"]), (&"client".into(), &"send".into()));
    assert_eq!(told["server"], format!("10.4.0.1:{port}"));
    assert!(told["client"].as_str().unwrap().starts_with("10.4.0.100:"), "{told}");
    let (age, ago) = (told["age"].as_f64().unwrap(), told["last_call_ago"].as_f64().unwrap());
    assert!(1.0 <= age && age <= ago, "{told}");
    let ladder = fs::read_to_string(file("ladder")).unwrap();
    assert!(ladder.contains("suspected CLOSE_WAIT leak: the program"), "{ladder}");
}

#[test]
fn quiet_keeps_it_to_the_files() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let scratch = Scratch::new("quiet-leak");
    let events = scratch.path().join("events");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut child = spawn(&["-q", "--events", events.to_str().unwrap()], FORGETFUL, &port);
    let mut host = accept(&listener);
    host.read_exact(&mut [0; 8]).unwrap();
    drop(host);
    let began = Instant::now();
    while !fs::read_to_string(&events).unwrap_or_default().contains("\"close_wait\"") {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a leak");
        assert!(began.elapsed() < LIMIT, "no leak is told");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let errors = Limited(child.stderr.take().unwrap());
    assert_eq!(finish(child, errors), "");
}

#[test]
fn a_server_of_the_host_that_never_closes_is_told_of() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut child = spawn(&[], HALF, &port.to_string());
    let host = accept(&listener);
    let mut errors = BufReader::new(Limited(child.stderr.take().unwrap()));
    let line = leak(&mut errors);
    let start = "fourwave: suspected CLOSE_WAIT leak: the server has not closed 10.4.0.100:";
    assert!(line.starts_with(start), "{line}");
    assert!(line.contains("after the program's FIN"), "{line}");
    drop(host);
    finish(child, errors);
}

#[test]
fn a_server_in_the_namespace_that_never_closes_is_told_of() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let publish = format!("127.0.0.1:{}:80", free.port());
    let mut child = spawn(&["-p", &publish], SERVER, "");
    let mut ready = String::new();
    BufReader::new(Limited(child.stdout.take().unwrap())).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let mut caller = TcpStream::connect(free).unwrap();
    caller.write_all(b"question").unwrap();
    caller.shutdown(std::net::Shutdown::Write).unwrap();
    let mut errors = BufReader::new(Limited(child.stderr.take().unwrap()));
    let line = leak(&mut errors);
    assert!(line.contains("leak: the program has not closed 10.4.0.1:"), "{line}");
    assert!(line.contains(" → 10.4.0.100:80 for 1"), "{line}");
    // It has accepted and never sent.
    assert!(line.contains("after the client's FIN; last seen of it: open, 1"), "{line}");
    finish(child, errors);
}

/// The program's kernel answers everything that it gets: a fault makes it silent.
#[test]
fn a_program_that_answers_no_more_is_told_of_in_events() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let scratch = Scratch::new("unanswered");
    let events = scratch.path().join("events");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let options = ["--fault", "drop:fin:peer:4", "--events", events.to_str().unwrap()];
    let mut child = spawn(&options, FORGETFUL, &port);
    let mut host = accept(&listener);
    host.read_exact(&mut [0; 8]).unwrap();
    drop(host);
    // The fifth FIN gets through, and the program closes.
    let errors = Limited(child.stderr.take().unwrap());
    finish(child, errors);
    let told: Vec<Value> = fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["event"] == "unanswered")
        .collect();
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&told["end"], &told["retransmissions"]), (&"server".into(), &3.into()));
    assert_eq!(told["server"], format!("10.4.0.1:{port}"));
}
