//! Programs that people use, as they use them: under `fourwave run`, against servers outside.

use crate::lens::watched;
use crate::process::{finish, finish_with};
use crate::world::{HOST4, HOST6, World, each_user};

const PORT: &str = "8000";

/// An HTTP origin with one small page.
fn origin(world: &World) -> crate::process::Server {
    let root = world.make_directory("origin");
    std::fs::write(format!("{root}/page"), "a page\n".repeat(1000)).unwrap();
    world.script("origin.py", &[PORT, &root])
}

/// The addresses of the host, as in a URL.
fn hosts(world: &World) -> Vec<String> {
    let v6 = world.ipv6.then(|| format!("[{HOST6}]"));
    std::iter::once(HOST4.to_owned()).chain(v6).collect()
}

#[test]
fn curl_over_connections_that_are_kept_and_closed() {
    each_user(&["curl"], |world| {
        let _origin = origin(world);
        for host in hosts(world) {
            let base = format!("http://{host}:{PORT}");
            let fetch = |path: &str| {
                let url = format!("{base}{path}");
                let curl = ["curl", "-sS", "--fail", "-w", "%{num_connects}\n", &url, &url];
                let mut direct = world.user(curl[0]);
                let direct = finish({
                    direct.args(&curl[1..]);
                    direct
                });
                let run = watched(world, &[], &curl);
                assert_eq!(run.outcome.stdout, direct.well().stdout, "{:?}", run.outcome);
                run.assert_captured(world);
                run
            };
            // Two pages over one connection, which curl closes.
            let kept = fetch("/page");
            assert!(kept.outcome.stdout.ends_with("a page\n0\n"));
            assert_eq!(kept.end()["closed_first"]["end"], "client");
            kept.assert_told(&["closed first the program, with FIN"]);
            let stderr = &kept.outcome.stderr;
            assert!(stderr.ends_with("; 1 closed by the program\n"), "{stderr}");
            // Two connections, which the server closes.
            let closed = fetch("/last/page");
            assert!(closed.outcome.stdout.ends_with("a page\n1\n"));
            let ends = closed.ends();
            assert_eq!(ends.len(), 2);
            assert!(ends.iter().all(|end| end["closed_first"]["end"] == "server"));
            let stderr = &closed.outcome.stderr;
            assert!(stderr.ends_with("; 2 closed by the server\n"), "{stderr}");
        }
    });
}

/// Size of the large file: FOURWAVE_E2E_MB megabytes.
fn megabytes() -> String {
    let size = std::env::var("FOURWAVE_E2E_MB").unwrap_or_else(|_| "64".to_owned());
    assert!(size.parse::<u64>().is_ok(), "FOURWAVE_E2E_MB={size}: not a number of megabytes");
    size
}

#[test]
fn a_large_file_down_and_up() {
    each_user(&["curl", "sha256sum", "head"], |world| {
        let root = world.make_directory("origin");
        let file = format!("{root}/large");
        let make = format!("head -c {}M /dev/urandom >{file}; sha256sum <{file}", megabytes());
        let mut command = world.host("sh");
        command.args(["-c", &make]);
        let digest = finish(command).well().stdout;
        let _origin = world.script("origin.py", &[PORT, &root]);
        for host in hosts(world) {
            let url = format!("http://{host}:{PORT}");
            let down = format!("curl -sS --fail {url}/large | sha256sum");
            let run = finish(world.fourwave(&[], &["sh", "-c", &down])).well();
            assert_eq!(run.stdout, digest, "{}", run.stderr);
            // The origin answers with the digest of what it got.
            let run = finish(world.fourwave(&[], &["curl", "-sS", "-T", &file, &url])).well();
            let got = run.stdout.trim();
            assert_eq!(Some(got), digest.split_whitespace().next(), "{}", run.stderr);
        }
    });
}

/// On a link whose packets are small.
#[test]
fn both_ways_by_small_packets() {
    each_user(&[], |world| {
        let steps = ["serve", PORT, "send:4000000", "read:4000000", "shut", "read:end"];
        let server = world.script("peer.py", &steps);
        for mtu in ["1280", "1500"] {
            let options = ["--quiet", "--mtu", mtu];
            let program = ["python3", &world.path("peer.py"), "call", HOST4, PORT];
            let steps = ["read:4000000", "send:4000000", "shut", "read:end"];
            let run = finish(world.fourwave(&options, &[&program[..], &steps].concat())).well();
            assert_eq!(run.stdout, "read 4000000 a515ca39; read 0 e3b0c442 end\n");
            assert_eq!(server.line(), "read 4000000 a515ca39; read 0 e3b0c442 end");
        }
    });
}

#[test]
fn git_clone_over_http() {
    each_user(&["git"], |world| {
        let root = world.make_directory("origin");
        let make = format!(
            "cd {root} && git init -q work && cd work && seq 100000 >numbers && \
             git add numbers && git -c user.name=n -c user.email=e commit -qm numbers && \
             git clone -q --bare . ../numbers.git && git rev-parse HEAD"
        );
        let mut command = world.user("sh");
        command.args(["-c", &make]);
        let head = finish(command).well().stdout;
        // The server may be another user than the repository's owner.
        let mut origin = world.host("python3");
        origin.args([&world.path("origin.py"), PORT, &root]);
        origin.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory")]);
        let _origin = world.serve({
            origin.env("GIT_CONFIG_VALUE_0", "*");
            origin
        });
        for host in hosts(world) {
            let clone = format!("{root}/clone-{}", host.len());
            let url = format!("http://{host}:{PORT}/git/numbers.git");
            let run = watched(world, &[], &["git", "clone", "-q", &url, &clone]);
            assert_eq!(run.outcome.code, 0, "{:?}", run.outcome);
            let mut check = world.user("sh");
            let fsck = format!("cd {clone} && git fsck --strict && git rev-parse HEAD");
            check.args(["-c", &fsck]);
            assert_eq!(finish(check).well().stdout, head);
            assert!(run.ends().iter().all(|end| end["how"] == "orderly"), "{}", run.ladder);
        }
    });
}

/// `nc -N` sends, shuts its direction down, and reads the long, late answer to its end.
#[test]
fn nc_half_closes_and_reads_on() {
    each_user(&["nc"], |world| {
        let steps = ["serve", PORT, "read:end", "wait:3", "send:5000000", "close"];
        let server = world.script("peer.py", &steps);
        let nc = format!("printf x | nc -N {HOST4} {PORT} | sha256sum");
        let mut direct = world.user("sh");
        direct.args(["-c", &nc]);
        let (direct, heard) = (finish(direct).well(), server.line());
        assert!(heard.starts_with("read 1 "), "nc lacks -N: {heard}");
        let run = watched(world, &[], &["sh", "-c", &nc]);
        assert_eq!((&run.outcome.stdout, server.line()), (&direct.stdout, heard));
        run.assert_told(&["half-closed", "the server sent 5 MB in that time"]);
        run.assert_captured(world);
        assert_eq!(run.end()["half_closed"]["sender"], "server");
        assert_eq!(run.end()["half_closed"]["bytes"], 5_000_000);
    });
}

/// One stream and eight, in either direction.
#[test]
fn iperf3_both_ways() {
    each_user(&["iperf3"], |world| {
        let mut server = world.host("iperf3");
        server.args(["--server", "--port", PORT]);
        let _server = world.serve_on(8000, server);
        let host = if world.ipv6 { HOST6 } else { HOST4 };
        for (host, direction) in [(HOST4, None), (host, Some("--reverse"))] {
            for streams in ["1", "8"] {
                let mut program = vec!["iperf3", "-c", host, "-p", PORT, "--json"];
                program.extend(["--bytes", "64M", "--parallel", streams]);
                program.extend(direction);
                let run = finish(world.fourwave(&[], &program)).well();
                let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
                let bytes = |side: &str| report["end"][side]["bytes"].as_u64().unwrap();
                assert_eq!(report["error"], serde_json::Value::Null);
                assert!(bytes("sum_sent") >= 64 << 20, "{}", report["end"]);
                assert!(bytes("sum_received") > 32 << 20, "{}", report["end"]);
                // And the control connection.
                let connections = streams.parse::<u32>().unwrap() + 1;
                let summary = format!("fourwave: {connections} connections, ");
                assert!(run.stderr.starts_with(&summary), "{}", run.stderr);
            }
        }
    });
}

#[test]
fn redis_benchmark_against_a_server_outside() {
    each_user(&["redis-server", "redis-benchmark"], |world| {
        let mut server = world.host("redis-server");
        server.args(["--port", PORT, "--protected-mode", "no", "--save", ""]);
        server.args(["--bind", HOST4]);
        let _server = world.serve_on(8000, server);
        let program = ["redis-benchmark", "-h", HOST4, "-p", PORT, "-n", "5000", "-c", "20"];
        let tests = ["-t", "set,get,lpush", "-P", "4", "--csv"];
        let run = finish(world.fourwave(&[], &[&program[..], &tests].concat())).well();
        let rates: Vec<&str> = run.stdout.lines().skip(1).collect();
        assert_eq!(rates.len(), 3, "{run:?}");
        assert!(rates[0].starts_with("\"SET\"") && rates[2].starts_with("\"LPUSH\""), "{run:?}");
        assert!(!run.stderr.contains("reset"), "{}", run.stderr);
    });
}

/// A shell on a terminal: what it is typed to reaches the network, and its status is ours.
#[test]
fn an_interactive_shell() {
    each_user(&["bash", "curl"], |world| {
        let _origin = origin(world);
        let run = world.fourwave(&["--quiet"], &[]);
        let mut terminal = world.outside("python3");
        terminal.args([&world.path("terminal.py"), &format!("http://{HOST4}:{PORT}/page")]);
        terminal.arg(run.get_program()).args(run.get_args());
        let told = finish_with(terminal, b"").well();
        assert_eq!(told.stdout, "a tty\npage 7000\ninterrupted\nstatus 7\n", "{told:?}");
    });
}
