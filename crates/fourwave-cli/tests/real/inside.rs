//! What tells a person, or a script, that they are inside.

use std::io::Write;
use std::process::Stdio;

use crate::process::finish;
use crate::world::{World, each_user, find};

/// What a run says of a Python script, whose own output is `says`.
#[track_caller]
fn told(world: &World, options: &[&str], script: &str, says: &str) -> String {
    let run = finish(world.fourwave(options, &["python3", "-c", script]));
    assert_eq!((run.stdout.trim_end(), run.code), (says, 0), "{run:?}");
    run.stderr
}

#[test]
fn a_variable_says_so_to_every_program_and_a_line_to_a_shell() {
    each_user(&[], |world| {
        let script = "import os; print(int(os.environ['FOURWAVE_RUN']) == os.getppid())";
        told(world, &[], script, "True");
        let mut shell = world.fourwave(&[], &[]);
        shell.env("SHELL", "/bin/sh").stdin(Stdio::piped());
        let mut shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(b"echo $FOURWAVE_RUN").unwrap();
        let output = fourwave_testkit::rest(shell);
        assert!(String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().is_ok());
        let said = String::from_utf8(output.stderr).unwrap();
        let mut lines = said.lines();
        let first = "fourwave: this shell's TCP is fourwave's now, until `exit`; FOURWAVE_RUN is \
                     set in it";
        assert_eq!(lines.next(), Some(first), "{said}");
        assert_eq!(lines.next(), Some("fourwave: no connections"), "{said}");
    });
}

/// A server of the host's loopback that says nothing.
const HOSTS: &str = "
import socket, time
sockets = [socket.create_server(('127.0.0.1', 8001)), socket.create_server(('0.0.0.0', 8002))]
print('ready', flush=True)
time.sleep(60)";

const CALL: &str = "
import socket, sys
def call(*address):
    try:
        socket.create_connection(address)
        return 'connected'
    except ConnectionRefusedError:
        return 'refused'
";

#[test]
fn who_looks_for_the_hosts_localhost_inside_gets_one_line() {
    each_user(&[], |world| {
        let mut server = world.host("python3");
        server.args(["-c", HOSTS]);
        let _server = world.serve(server);
        let call = |port: u16| format!("{CALL}print(call('127.0.0.1', {port}))");
        for port in [8001, 8002] {
            let said = told(world, &[], &call(port), "refused");
            let line = format!(
                "fourwave: nothing listens at 127.0.0.1:{port} inside: localhost is the \
                 program's own there; the host's is 10.4.0.1:{port}, with --host-loopback\n\
                 fourwave: no connections\n"
            );
            assert_eq!(said, line);
        }
        let said = told(world, &["--host-loopback"], &call(8001), "refused");
        assert!(said.contains("the host's is 10.4.0.1:8001\n"), "{said}");
        // Nobody listens on the host either: it is a plain refusal.
        assert_eq!(told(world, &[], &call(8003), "refused"), "fourwave: no connections\n");
        assert_eq!(told(world, &["--quiet"], &call(8001), "refused"), "");
    });
}

#[test]
fn the_gateways_own_address_names_the_flag() {
    each_user(&[], |world| {
        let script = format!("{CALL}print(call('10.4.0.1', 8001), call('10.4.0.1', 8002))");
        let said = told(world, &[], &script, "refused refused");
        let line = "fourwave: 10.4.0.1:8001 is refused: the gateway leads to the host's localhost \
                    only with --host-loopback\n";
        assert_eq!(said, format!("{line}fourwave: 2 connections, 0 B up, 0 B down; 2 refused\n"));
        assert_eq!(told(world, &["--quiet"], &script, "refused refused"), "");
    });
}

#[test]
fn datagrams_and_pings_are_not_nothing() {
    each_user(&[], |world| {
        let server = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.9.0.2', 7))
print('ready', flush=True)
while True:
    s.sendto(b'answer', s.recvfrom(100)[1])";
        let mut command = world.host("python3");
        command.args(["-c", server]);
        let _server = world.serve(command);
        let script = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(2):
    s.sendto(b'question?', ('10.9.0.2', 7))
    answer = s.recv(100)
print(answer.decode())";
        let said = told(world, &[], script, "answer");
        assert_eq!(said, "fourwave: no TCP connections; 1 UDP flow, 18 B up, 12 B down\n");
        if find("ping").is_some() {
            let run = finish(world.fourwave(&[], &["ping", "-c1", "10.4.0.1"])).well();
            assert_eq!(run.stderr, "fourwave: no TCP connections; 1 ping\n");
        }
    });
}
