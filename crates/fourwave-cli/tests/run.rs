//! `fourwave run` as a wrapper: the program's world, its exit status, signals, privileges.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use common::{Bounded, fourwave, is_root, permitted, permitted_with, run, stderr, stdout};
use fourwave_testkit::{LIMIT, Limited, Signal, accept, ended, not_here, rest, signal, this_test};

fn spawn(arguments: &[&str]) -> Child {
    fourwave()
        .arg("run")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads one line of the program, which says that it got so far.
fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn wait(mut child: Child) -> ExitStatus {
    // Nothing more comes from us.
    drop(child.stdin.take());
    ended(&mut child)
}

#[test]
fn the_exit_status_and_the_output_are_the_programs_own() {
    if !permitted() {
        return;
    }
    for status in [0, 1, 42, 255] {
        let output =
            run(&["-q", "--", "sh", "-c", &format!("echo out; echo err >&2; exit {status}")]);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("out\n", "err\n"));
    }
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let output = run(&["-q", "--", "sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(output.status.code(), Some(status));
    }
}

#[test]
fn without_quiet_there_is_one_line_on_stderr_at_the_end() {
    if !permitted() {
        return;
    }
    let output = run(&["--", "echo", "out"]);
    assert_eq!(stdout(&output), "out\n");
    let text = stderr(&output);
    assert!(text.starts_with("fourwave: no connections"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// Five connections: the host closes three first, the program two.
#[test]
fn counters_say_what_the_engine_did_under_linuxs_names() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let script = "import socket, sys\nfor n in range(5):\n \
                  s = socket.create_connection(('10.4.0.1', int(sys.argv[1])))\n \
                  s.sendall(b'x')\n n < 3 or s.shutdown(socket.SHUT_WR)\n \
                  while s.recv(9): pass\n s.close()";
    let host = std::thread::spawn(move || {
        for n in 0..5 {
            let mut stream = accept(&listener);
            stream.read_exact(&mut [0]).unwrap();
            // To the client's FIN, before ours.
            if n >= 3 {
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            }
        }
    });
    let run = run(&["--counters", "--host-loopback", "--", "python3", "-c", script, &port]);
    host.join().unwrap();
    let text = stderr(&run);
    assert!(run.status.success(), "{text}");
    let counters: std::collections::HashMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("fourwave: ")?.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    for (name, value) in
        [("TcpPassiveOpens", 5), ("TcpExtTW", 0), ("in TIME_WAIT", 3), ("most in TIME_WAIT", 3)]
    {
        // None of them has lived for its 60 s: those that ended are not counted.
        assert_eq!(counters.get(name).copied().unwrap_or(0), value, "{name}: {text}");
    }
    assert!(counters["TcpInSegs"] > 5 * 4, "{text}");
    let zeros: Vec<_> =
        counters.iter().filter(|(name, n)| **n == 0 && !name.contains(' ')).collect();
    assert!(zeros.is_empty(), "only what is not zero: {zeros:?}");
    assert!(text.lines().last().unwrap().contains("5 connections"), "{text}");

    let quiet = run_quietly(&[]);
    assert_eq!(quiet, "");
    let counted = run_quietly(&["--counters"]);
    assert_eq!(counted, "fourwave: in TIME_WAIT 0\nfourwave: most in TIME_WAIT 0\n");
}

/// What is said about a program that opens nothing.
fn run_quietly(options: &[&str]) -> String {
    stderr(&run(&[options, &["-q", "--", "true"]].concat()))
}

#[test]
fn without_a_command_the_users_shell_runs() {
    if !permitted() {
        return;
    }
    let mut child = fourwave()
        .args(["run", "-q"])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"echo shell-$((6 * 7))\nexit 3\n").unwrap();
    let output = rest(child);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("shell-42\n", Some(3)));
}

#[test]
fn the_namespace_has_its_addresses_routes_loopback_and_resolver() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let script = r#"
import socket
for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    listener = socket.socket(family); listener.bind((host, 0)); listener.listen()
    socket.create_connection(listener.getsockname()[:2]).close()
for family, far in (socket.AF_INET, "192.0.2.9"), (socket.AF_INET6, "2001:db8::9"):
    probe = socket.socket(family, socket.SOCK_DGRAM); probe.connect((far, 9))
    print(probe.getsockname()[0])
print(sorted(name for _, name in socket.if_nameindex()))
print(open("/etc/resolv.conf").read().splitlines()[0])
"#;
    let output = run(&["-q", "--", "python3", "-c", script]);
    let expected = "10.4.0.100\nfd04::100\n['fourwave0', 'lo']\nnameserver 10.4.0.1\n";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (expected, ""));
    let mtu = |options: &[&str]| {
        let script = "import fcntl, socket, struct; print(struct.unpack('16xi', fcntl.ioctl(\
                      socket.socket(), 0x8921, struct.pack('16sxxxx', b'fourwave0')))[0])";
        stdout(&run(&[options, &["-q", "--", "python3", "-c", script]].concat()))
    };
    assert_eq!(mtu(&[]), "65520\n");
    assert_eq!(mtu(&["--mtu", "1280"]), "1280\n");
}

#[test]
fn the_hosts_mounts_and_resolver_are_untouched_and_the_programs_go_with_it() {
    if !permitted() {
        return;
    }
    let host = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        (mounts, fs::read("/etc/resolv.conf").ok())
    };
    let before = host();
    let inside = stdout(&run(&["-q", "--", "cat", "/proc/self/mountinfo", "/etc/resolv.conf"]));
    assert!(inside.contains("nameserver 10.4.0.1"));
    assert_eq!(host(), before);
    // Only the one file (or /etc) is covered; the scratch mount is gone.
    let mounts = inside.lines().filter(|line| line.contains(" - ")).count();
    assert_eq!(mounts, before.0.lines().count() + 1, "{inside}");
}

#[test]
fn the_program_inherits_what_it_would_have_without_us() {
    if !permitted() {
        return;
    }
    let script =
        "ls /proc/self/fd | wc -l; cat /proc/self/status; pwd; echo \"$MARK\"; umask; id -u";
    let world = |command: &mut Command| {
        let output = command.env("MARK", "m").bounded();
        let keep = |line: &&str| {
            let (key, _) = line.split_once(':').unwrap_or(("", ""));
            // In a user namespace of its own the program has no capabilities either, but it
            // could have.
            let compare =
                ["Uid", "Gid", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt", "CapEff", "CapPrm"];
            !line.contains(':') || compare.contains(&key)
        };
        stdout(&output).lines().filter(keep).map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = world(Command::new("sh").args(["-c", script]));
    let ours = world(fourwave().args(["run", "-q", "--", "sh", "-c", script]));
    assert_eq!(ours, plain);
}

/// A shell that waits for a signal. Where it waits in `read`, one that comes just before that is
/// seen after it.
const WAITS: &str = "for i in $(seq 2400); do sleep 0.05; done";

#[test]
fn signals_reach_the_program() {
    if !permitted_with(&["bash"]) {
        return;
    }
    for (name, number) in [
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ] {
        let script = format!("trap 'echo got; exit 9' {name}; echo ready; {WAITS}");
        let mut child = spawn(&["-q", "--", "bash", "-c", &script]);
        let mut out = BufReader::new(Limited(child.stdout.take().unwrap()));
        assert_eq!(line(&mut out), "ready");
        assert!(signal(child.id(), number));
        assert_eq!(line(&mut out), "got", "{name}");
        assert_eq!(wait(child).code(), Some(9), "{name}");
    }
}

#[test]
fn a_signal_from_inside_is_not_sent_twice() {
    if !permitted_with(&["python3", "setsid"]) {
        return;
    }
    // The shell signals its whole process group, which is fourwave's too; `exec` makes one
    // process of it, so that a second signal would be counted.
    let script = "import os, signal\nn = 0\ndef count(*_):\n global n\n n += 1\n\
                  signal.signal(signal.SIGUSR1, count)\nos.kill(0, signal.SIGUSR1)\n\
                  signal.sigtimedwait([signal.SIGUSR2], 0.3)\nprint(n)";
    let output = Command::new("setsid")
        .args(["-w", env!("CARGO_BIN_EXE_fourwave"), "run", "-q", "--", "python3", "-c", script])
        .bounded();
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("1\n", ""));
}

#[test]
fn the_program_ends_when_the_gateway_is_killed() {
    if !permitted() {
        return;
    }
    let mut child =
        spawn(&["-q", "--", "sh", "-c", &format!("trap 'echo told; exit' TERM; echo $$; {WAITS}")]);
    let mut out = BufReader::new(Limited(child.stdout.take().unwrap()));
    let pid = line(&mut out);
    // Held, because `wait` closes what it finds: the program would read to the end and exit.
    let stdin = child.stdin.take();
    child.kill().unwrap();
    ended(&mut child);
    assert_eq!(line(&mut out), "told");
    // End of file: nobody holds the pipe any more.
    assert_eq!(line(&mut out), "");
    assert_ne!(pid, "");
    drop(stdin);
}

#[test]
fn a_pipe_that_the_program_closes_is_closed() {
    if !permitted() {
        return;
    }
    let mut child = spawn(&["-q", "--", "sh", "-c", "echo out; exec >&-; read x; exit 4"]);
    let mut out = String::new();
    // Returns only if nobody else holds the pipe, because the program still runs.
    Limited(child.stdout.take().unwrap()).read_to_string(&mut out).unwrap();
    assert_eq!(out, "out\n");
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(wait(child).code(), Some(4));
}

#[test]
fn the_gateway_keeps_no_privileges() {
    if !permitted() {
        return;
    }
    let mut child = spawn(&["-q", "--", "sh", "-c", "echo ready; read x"]);
    let mut out = BufReader::new(Limited(child.stdout.take().unwrap()));
    assert_eq!(line(&mut out), "ready");
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let statuses: Vec<_> = tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .collect();
    drop(child.stdin.take());
    assert!(statuses.len() > 1, "the runtime has threads");
    let kill = if is_root() { "0000000000000020" } else { "0000000000000000" };
    for status in statuses {
        for (key, value) in [
            ("CapPrm", kill),
            ("CapEff", kill),
            ("CapInh", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            assert!(status.contains(&format!("{key}:\t{value}\n")), "{key}: {status}");
        }
    }
    wait(child);
}

#[test]
fn a_published_port_leads_to_the_program_which_sees_who_called() {
    if !permitted_with(&["python3"]) {
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = "import socket\nlistener = socket.create_server(('', 80))\n\
                  print('ready', flush=True)\nstream, peer = listener.accept()\n\
                  stream.sendall(stream.recv(100).upper() + peer[0].encode())";
    let publish = format!("127.0.0.1:{}:80", free.port());
    let mut child = spawn(&["-p", &publish, "--", "python3", "-c", script]);
    let mut out = BufReader::new(Limited(child.stdout.take().unwrap()));
    assert_eq!(line(&mut out), "ready");
    let mut stream = std::net::TcpStream::connect(free).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"hello ").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // The host's loopback is shown as the gateway.
    assert_eq!(answer, "HELLO 10.4.0.1");
    drop(stream);
    let output = rest(child);
    assert!(output.status.success());
    assert!(stderr(&output).starts_with("fourwave: 1 connection"), "{}", stderr(&output));
}

#[test]
fn an_unprivileged_user_can_do_all_this_too() {
    if !permitted_with(&["setpriv"]) {
        return;
    }
    let scratch = common::Scratch::new("unprivileged");
    let Some(user) = common::Unprivileged::new(&scratch) else { return };
    let sh = |script: &str| user.start("sh").args(["-c", script]).arg(user.binary()).bounded();
    if !sh("unshare -Unm true && : <>/dev/net/tun").status.success() {
        let why = "only root may make namespaces or open /dev/net/tun here";
        not_here(&this_test(), why);
        return;
    }
    let script = "\"$0\" run -q -- sh -c 'id -u; id -g; head -1 /etc/resolv.conf; exit 5'";
    let own = stdout(&sh("id -u; id -g"));
    let output = sh(script);
    let expected = format!("{own}nameserver 10.4.0.1\n");
    assert_ne!(own, "0\n0\n");
    assert_eq!((stdout(&output), stderr(&output)), (expected, String::new()));
    assert_eq!(output.status.code(), Some(5));
}
