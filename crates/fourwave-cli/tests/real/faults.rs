//! `run --fault`: how real programs and real kernels stand up to what goes wrong on purpose.

use fourwave_testkit::{not_here, this_test};

use crate::lens::{Watched, watched};
use crate::process::finish;
use crate::world::{HOST4, HOST6, OTHER4, World, each_user};

const PORT: &str = "61235";

/// One connection of the program to a server on the host, both doing their steps of peer.py.
/// What either says is returned with the run.
fn connection(world: &World, faults: &[&str], to: &str, call: &str, serve: &str) -> Watched {
    let steps: Vec<&str> = serve.split_whitespace().collect();
    let _server = world.script("peer.py", &[&["serve", PORT], &steps[..]].concat());
    let script = world.path("peer.py");
    let steps: Vec<&str> = call.split_whitespace().collect();
    let program = [&["python3", &script, "call", to, PORT], &steps[..]].concat();
    let faults: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    watched(world, &faults, &program)
}

/// The last lines on standard error, the summary apart: what each fault did.
fn assert_struck(run: &Watched, lines: &[&str]) {
    let stderr = &run.outcome.stderr;
    let said: Vec<&str> = stderr.lines().filter(|line| line.contains("--fault")).collect();
    let expected: Vec<String> =
        lines.iter().map(|line| format!("fourwave: --fault {line}")).collect();
    assert_eq!(said, expected, "{stderr}{}", run.ladder);
}

#[test]
fn the_programs_last_ack_is_lost_and_both_ends_close_in_order() {
    each_user(&[], |world| {
        let run = connection(world, &["drop:last-ack:2"], HOST4, "send:9 shut skim", "skim");
        assert_eq!(run.outcome.stdout, "skim end\n", "{:?}", run.outcome);
        assert_eq!(run.end()["how"], "orderly", "{}", run.ladder);
        run.assert_told(&[
            "--fault drop:last-ack:2: the program's last ACK dropped (1 of 2)",
            "--fault drop:last-ack:2: the program's last ACK dropped (2 of 2)",
            "(retransmitted)",
            "its ACK was lost or late",
            "closed first the program, with FIN",
            "why both sides closed and both FINs were acknowledged",
            "TIME_WAIT the program",
        ]);
        assert_struck(&run, &["drop:last-ack:2: struck 2 times in 1 connection"]);
    });
}

#[test]
fn the_peers_last_ack_is_lost_and_the_programs_kernel_sends_its_fin_again() {
    each_user(&[], |world| {
        let faults = ["drop:last-ack:program", "drop:last-ack:peer"];
        let run = connection(world, &faults, HOST4, "skim", "send:9 shut skim");
        assert_eq!(run.outcome.stdout, "skim end\n", "{:?}", run.outcome);
        assert_eq!(run.end()["how"], "orderly", "{}", run.ladder);
        run.assert_told(&[
            "--fault drop:last-ack:peer: the peer's last ACK dropped",
            "(retransmitted)",
            "closed first the server, with FIN",
            "why both sides closed and both FINs were acknowledged",
        ]);
        assert_struck(
            &run,
            &[
                "drop:last-ack:program: never struck, in 1 connection",
                "drop:last-ack:peer: struck 1 time in 1 connection",
            ],
        );
    });
}

#[test]
fn lost_and_late_fins_of_the_chosen_connections_only_take_longer() {
    each_user(&[], |world| {
        let v6 = format!("@[{HOST6}]:{PORT}");
        let v4 = format!("@{HOST4}:{PORT}");
        let mut hosts = vec![(HOST4, v4)];
        if world.ipv6 {
            hosts.push((HOST6, v6));
        } else {
            not_here(&this_test(), "this kernel has no IPv6");
        }
        for (host, target) in hosts {
            let faults = ["drop:fin:2", "delay:fin:30ms"].map(|fault| format!("{fault}{target}"));
            let faults = [&faults[0], &faults[1], "drop:fin:all@:1", "rst-after:0@192.0.2.99"];
            let run = connection(world, &faults, host, "send:5000 shut skim", "skim");
            assert_eq!(run.outcome.stdout, "skim end\n", "{:?}", run.outcome);
            assert_eq!(run.end()["how"], "orderly", "{}", run.ladder);
            run.assert_told(&[
                "the program's FIN dropped (1 of 2)",
                "the program's FIN dropped (2 of 2)",
                "the program's FIN held back for 30ms",
                "the peer's FIN dropped (2 of 2)",
                "the peer's FIN held back for 30ms",
            ]);
            assert_struck(
                &run,
                &[
                    &format!("{}: struck 4 times in 1 connection", faults[0]),
                    &format!("{}: struck 2 times in 1 connection", faults[1]),
                    "drop:fin:all@:1: no connection was meant",
                    "rst-after:0@192.0.2.99: no connection was meant",
                ],
            );
        }
    });
}

/// An HTTP origin with a file of 5 MB, and what `sha256sum` says of it.
fn origin(world: &World, port: &str) -> (crate::process::Server, String) {
    let root = world.make_directory("origin");
    let mut command = world.host("sh");
    let make = format!("head -c 5000000 /dev/urandom >{root}/file; sha256sum <{root}/file");
    command.args(["-c", &make]);
    let digest = finish(command).well().stdout;
    (world.script("origin.py", &[port, &root]), digest)
}

#[test]
fn curl_gets_every_byte_over_a_link_that_loses_doubles_corrupts_and_reorders() {
    each_user(&["curl", "sha256sum", "head"], |world| {
        let (_origin, digest) = origin(world, "8001");
        let fetch = format!("curl -sS --fail http://{HOST4}:8001/file | sha256sum");
        let program = ["sh", "-c", fetch.as_str()];
        let options = ["--mtu", "1500", "--fault", "loss:5%,reorder:1%,dup:1%,corrupt:0.1%"];
        let options = [&options[..], &["--fault", "delay:1ms@:8001"]].concat();
        let run = watched(world, &options, &program);
        assert_eq!(run.outcome.stdout, digest, "{:?}", run.outcome);
        // A flipped bit in a port makes a segment of no connection, which the ladder shows too.
        let ends = run.ends();
        assert!(ends.iter().any(|end| end["how"] == "orderly"), "{}", run.ladder);
        let stderr = &run.outcome.stderr;
        let said: Vec<&str> = stderr.lines().filter(|line| line.contains("--fault")).collect();
        assert!(said[0].contains(" packets, ") && said[0].contains(" lost, "), "{stderr}");
        assert!(said[1].starts_with("fourwave: --fault delay:1ms@:8001: "), "{stderr}");
    });
}

#[test]
fn a_reset_in_the_middle_is_an_error_for_curl_and_the_ladder_says_whose() {
    each_user(&["curl", "sha256sum", "head"], |world| {
        let (_origin, _) = origin(world, "8002");
        let url = format!("http://{HOST4}:8002/file");
        let fault = format!("rst-after:peer:1mb@{HOST4}:8002");
        let curl = ["curl", "-sS", "-o", "/dev/null", &url];
        let run = watched(world, &["--fault", &fault], &curl);
        assert_eq!(run.outcome.code, 56, "{:?}", run.outcome);
        assert_eq!(run.end()["how"], "reset", "{}", run.ladder);
        run.assert_told(&[&format!("--fault {fault}: after 1"), "payload, RST to both ends"]);
        assert_struck(&run, &[&format!("{fault}: struck 1 time in 1 connection")]);
        // Elsewhere nothing happens.
        let fault = format!("rst-after:0@{OTHER4}");
        let run = watched(world, &["--fault", &fault], &curl);
        assert_eq!(run.outcome.code, 0, "{:?}", run.outcome);
        assert_eq!(run.end()["how"], "orderly", "{}", run.ladder);
    });
}

#[test]
fn a_stalled_peer_makes_curl_give_up_by_its_own_limit() {
    each_user(&["curl", "sha256sum", "head"], |world| {
        let (_origin, _) = origin(world, "8003");
        let (url, file) = (format!("http://{HOST4}:8003/up"), world.path("origin/file"));
        let curl = ["curl", "-sS", "--max-time", "2", "-T", &file, &url];
        let run = watched(world, &["--fault", "stall:zero-window:1mb"], &curl);
        // 28: the operation timed out.
        assert_eq!(run.outcome.code, 28, "{:?}", run.outcome);
        run.assert_told(&["--fault stall:zero-window:1mb: from here on the peer's window reads 0"]);
        assert_struck(&run, &["stall:zero-window:1mb: struck 1 time in 1 connection"]);
    });
}

/// Closes after the server did, waits until its kernel has no connection any more, and says how
/// that ended.
const CLOSE_SECOND: &str = "
import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while connection.recv(4096):
    pass
connection.shutdown(socket.SHUT_WR)
while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 7:
    time.sleep(0.01)
print('SO_ERROR', connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
";

#[test]
fn without_time_wait_a_lost_last_ack_is_an_error_for_the_program() {
    each_user(&[], |world| {
        let _server = world.script("peer.py", &["serve", PORT, "send:9", "shut", "skim"]);
        let program = ["python3", "-c", CLOSE_SECOND, HOST4, PORT];
        // 104: connection reset by peer, although all went well.
        for (length, says) in [("60", "SO_ERROR 0\n"), ("0", "SO_ERROR 104\n")] {
            let knob = format!("tcp_timewait_len={length}");
            let run = watched(world, &["-o", &knob, "--fault", "drop:last-ack:peer"], &program);
            assert_eq!(run.outcome.stdout, says, "{:?}{}", run.outcome, run.ladder);
            run.assert_told(&["the peer's last ACK dropped", "(retransmitted)"]);
        }
    });
}
