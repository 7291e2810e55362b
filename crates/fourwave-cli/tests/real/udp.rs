//! What is not TCP: names, datagrams, pings.

use fourwave_testkit::{not_here, this_test};

use crate::process::finish;
use crate::world::{HOST4, HOST6, OTHER4, UNREACHABLE4, World, each_user, skipped};

/// The host's name server, if the tests could make this one the host's.
fn names(world: &World) -> Option<crate::process::Server> {
    if !world.names {
        skipped("/etc/resolv.conf is missing: it cannot be covered with the tests' own");
        return None;
    }
    Some(world.script("names.py", &[HOST4]))
}

/// A script of the program's must say the same with and without us.
#[track_caller]
fn same(world: &World, script: &str, says: &str) {
    let mut direct = world.user("python3");
    direct.args(["-c", script]);
    let direct = finish(direct);
    assert_eq!((direct.stdout.trim_end(), direct.code), (says, 0), "direct: {direct:?}");
    let run = finish(world.fourwave(&["--quiet"], &["python3", "-c", script]));
    assert_eq!((run.stdout.trim_end(), run.code), (says, 0), "{run:?}");
    assert_eq!(run.stderr, "");
}

#[test]
fn names_are_resolved_by_the_hosts_resolver() {
    each_user(&["curl"], |world| {
        let Some(_names) = names(world) else { return };
        let script = "
import socket
def found(name, family=0):
    try:
        answers = socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.errno == socket.EAI_NONAME
    return sorted(answer[4][0] for answer in answers)
print(found('origin.test', socket.AF_INET), found('origin.test', socket.AF_INET6))
# Too long for UDP: the resolver asks again by TCP.
print(len(found('big.test', socket.AF_INET)), found('none.test'))";
        same(world, script, "['10.9.0.2'] ['fd99::2']\n200 True");
        let root = world.make_directory("origin");
        std::fs::write(format!("{root}/page"), "by name\n").unwrap();
        let _origin = world.script("origin.py", &["8000", &root]);
        let curl = ["curl", "-sS", "--fail", "http://origin.test:8000/page"];
        assert_eq!(finish(world.fourwave(&[], &curl)).well().stdout, "by name\n");
    });
}

/// Datagrams of every size, many of them, to several peers by one socket.
#[test]
fn datagrams_are_echoed() {
    each_user(&[], |world| {
        let server = "
import select, socket
sockets = []
for family, host, port in (2, '10.9.0.2', 7), (2, '10.9.0.3', 7), (2, '10.9.0.2', 8), \
                          (10, 'fd99::2', 7):
    try:
        sockets.append(socket.socket(family, socket.SOCK_DGRAM))
        sockets[-1].bind((host, port))
    except OSError:
        pass
print('ready', flush=True)
while True:
    for ready in select.select(sockets, [], [])[0]:
        data, caller = ready.recvfrom(65536)
        ready.sendto(data, caller)";
        let mut command = world.host("python3");
        command.args(["-c", server]);
        let _echo = world.serve(command);
        let client = |family: &str, peers: &str| {
            format!(
                "
import socket
near = socket.socket({family}, socket.SOCK_DGRAM)
near.settimeout(30)
for size in 0, 1, 1200, 1472, 1473, 9000, 65000:
    for peer in {peers}:
        data = bytes(i * 7 % 251 for i in range(size))
        near.sendto(data, peer)
        assert near.recvfrom(65536)[0] == data, size
for i in range(200):
    for peer in {peers}:
        near.sendto(b'%d' % i, peer)
        answer, by = near.recvfrom(65536)
        assert (answer, by[:2]) == (b'%d' % i, peer), (answer, by)
print('echoed')"
            )
        };
        let peers = format!("[('{HOST4}', 7), ('{OTHER4}', 7), ('{HOST4}', 8)]");
        same(world, &client("socket.AF_INET", &peers), "echoed");
        if world.ipv6 {
            same(world, &client("socket.AF_INET6", &format!("[('{HOST6}', 7)]")), "echoed");
        }
    });
}

/// Nobody there: the datagram socket is told, as it is without us.
#[test]
fn a_datagram_to_a_closed_port_is_refused() {
    each_user(&[], |world| {
        let script = |host: &str, error: &str| {
            format!(
                "
import errno, select, socket
near = socket.socket(socket.AF_INET6 if ':' in '{host}' else socket.AF_INET, socket.SOCK_DGRAM)
near.settimeout(30)
near.connect(('{host}', 9))
try:
    near.send(b'anyone?')
    near.recv(1)
except OSError as error:
    assert error.errno == errno.{error}, error
    print('told')"
            )
        };
        same(world, &script(HOST4, "ECONNREFUSED"), "told");
        if world.ipv6 {
            same(world, &script(HOST6, "ECONNREFUSED"), "told");
        }
    });
}

#[test]
fn ping_is_answered_by_the_real_target() {
    each_user(&["ping"], |world| {
        if !world.ping {
            not_here(&this_test(), "ping sockets are missing here (ping_group_range)");
            return;
        }
        let ping = |host: &str| {
            let program = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "30", host];
            finish(world.fourwave(&["--quiet"], &program))
        };
        for host in [HOST4].into_iter().chain(world.ipv6.then_some(HOST6)) {
            let output = ping(host);
            assert!(output.stdout.contains("2 packets transmitted, 2 received"), "{output:?}");
            assert!(output.stdout.contains(&format!("from {host}")), "{output:?}");
            assert_eq!(output.stderr, "");
        }
        let output = ping(UNREACHABLE4);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stdout.contains("Destination Host Unreachable"), "{output:?}");
    });
}
