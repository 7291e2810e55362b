//! Ports of the program that the host can call (`-p`).

use std::fs;

use fourwave_testkit::Signal;

use crate::process::{Outcome, Server, finish};
use crate::world::{HOST4, HOST6, OTHER4, OTHER6, World, each_user};

/// On the host, and inside.
const PUBLISH: &str = "8080:8000";
const HOST_PORT: u16 = 8080;

/// Starts a server under `run`, and waits until it really listens inside.
fn publish(world: &World, program: &[&str], listens: impl Fn() -> bool) -> Server {
    let run = world.spawn(&mut world.fourwave(&["-p", PUBLISH], program));
    world.wait_until_listening(HOST_PORT);
    crate::process::wait_for("the program to listen", listens);
    run
}

/// A caller on the host.
fn call(world: &World, program: &[&str]) -> Outcome {
    let mut command = world.host(program[0]);
    command.args(&program[1..]);
    finish(command)
}

fn answers(world: &World) -> impl Fn() -> bool + '_ {
    let url = format!("http://{HOST4}:{HOST_PORT}/");
    move || call(world, &["curl", "-s", "-o", "/dev/null", &url]).code == 0
}

/// Ends a published server by SIGTERM to it alone; its summary.
fn stop(run: Server) -> String {
    run.signal(Signal::TERM);
    run.end().stderr
}

#[test]
fn nginx_under_load() {
    each_user(&["nginx", "wrk", "curl"], |world| {
        let home = world.make_directory("nginx");
        fs::write(format!("{home}/page"), "x".repeat(10_000)).unwrap();
        let user = if world.is_root() { "user root;" } else { "" };
        let conf = format!(
            "{user} daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log; \
             events {{ worker_connections 512; }} \
             http {{ access_log {home}/access.log combined; client_body_temp_path {home}/b; \
             proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; \
             scgi_temp_path {home}/s; keepalive_requests 100; \
             server {{ listen 8000; listen [::]:8000; root {home}; \
             location = / {{ return 204; }} }} }}"
        );
        let path = format!("{home}/nginx.conf");
        fs::write(&path, conf).unwrap();
        let program = ["nginx", "-e", &format!("{home}/error.log"), "-p", &home, "-c", &path];
        let run = publish(world, &program, answers(world));

        let url = format!("http://{HOST4}:{HOST_PORT}/page");
        let load = call(world, &["wrk", "-t", "2", "-c", "50", "-d", "2s", &url]).well();
        assert!(!load.stdout.contains("Socket errors"), "{}", load.stdout);
        assert!(!load.stdout.contains("Non-2xx"), "{}", load.stdout);
        let line = load.stdout.lines().find(|line| line.contains(" requests in ")).unwrap();
        let requests: usize = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!(requests > 100, "{}", load.stdout);

        // Who called, as the program sees it.
        let v6 = world.ipv6.then(|| (OTHER6, format!("http://[{HOST6}]:{HOST_PORT}/page?other")));
        let v4 = (OTHER4, format!("http://{HOST4}:{HOST_PORT}/page?other"));
        let callers: Vec<_> = std::iter::once(v4).chain(v6).collect();
        for (from, url) in &callers {
            let page = call(world, &["curl", "-sS", "--fail", "--interface", from, url]).well();
            assert_eq!(page.stdout.len(), 10_000);
        }
        let summary = stop(run);
        let log = fs::read_to_string(format!("{home}/access.log")).unwrap();
        let count = |from: &str, path: &str| {
            let of = |line: &&str| {
                line.starts_with(&format!("{from} ")) && line.contains(&format!("GET {path} "))
            };
            log.lines().filter(of).count()
        };
        assert!(count(HOST4, "/page") >= requests, "{requests} requests, {}", log.lines().count());
        for (from, _) in callers {
            assert_eq!(count(from, "/page?other"), 1, "{from}");
        }
        assert!(summary.contains(" connections, "), "{summary}");
    });
}

#[test]
fn pythons_http_server() {
    each_user(&["curl"], |world| {
        let home = world.make_directory("site");
        fs::write(format!("{home}/file"), "0123456789".repeat(300_000)).unwrap();
        let program = ["python3", "-u", "-m", "http.server", "8000", "-d", &home];
        let run = publish(world, &program, answers(world));
        let url = format!("http://{HOST4}:{HOST_PORT}/file");
        let page = call(world, &["curl", "-sS", "--fail", "--interface", OTHER4, &url]).well();
        assert_eq!(page.stdout, fs::read_to_string(format!("{home}/file")).unwrap());
        run.signal(Signal::TERM);
        let end = run.end();
        assert_eq!(end.code, 128 + 15);
        // The server logs its callers on stderr, and knows who they are.
        assert!(end.stderr.contains(&format!("{OTHER4} - - ")), "{}", end.stderr);
        assert!(end.stderr.lines().last().unwrap().starts_with("fourwave: "), "{}", end.stderr);
    });
}

/// Calls `steps` (peer.py) from the host into a program that does `serve`, published and direct;
/// what both ends say must be the same.
fn same_both_ways(call_steps: &str, serve_steps: &str, says: &str, heard: &str) {
    each_user(&[], |world| {
        let script = world.path("peer.py");
        let serve: Vec<&str> = serve_steps.split(' ').collect();
        let steps: Vec<&str> = call_steps.split(' ').collect();
        let server = ["python3", &script, "serve", "8000"];
        let client = |port: &str| {
            let program = ["python3", &script, "call", HOST4, port];
            call(world, &[&program[..], &steps].concat())
        };
        let mut direct = world.user(server[0]);
        direct.args(&server[1..]).args(&serve);
        let direct = world.serve(direct);
        let (said, told) = (client("8000"), direct.line());
        assert_eq!((said.stdout.trim_end(), told.as_str()), (says, heard), "direct");

        let run = world.serve(world.fourwave(&["-p", PUBLISH], &[&server[..], &serve].concat()));
        let (said, told) = (client("8080"), run.line());
        assert_eq!((said.stdout.trim_end(), told.as_str()), (says, heard), "published");
    });
}

#[test]
fn a_caller_half_closes_and_reads_on() {
    let (says, heard) = ("read 3000000 002c24cb end", "read 1 6e340b9c end");
    same_both_ways("send:1 shut read:end", "read:end wait:2 send:3000000 close", says, heard);
}

#[test]
fn a_caller_aborts() {
    let (says, heard) = ("read 1 6e340b9c", "read 40000 ee382f3f ECONNRESET");
    same_both_ways("send:40000 acked read:1 abort", "send:1 broken read:end", says, heard);
}

#[test]
fn the_program_aborts_on_its_caller() {
    let (says, heard) = ("read 40000 ee382f3f ECONNRESET", "read 1 6e340b9c");
    same_both_ways("send:1 broken read:end", "read:1 send:40000 acked abort", says, heard);
}

#[test]
fn the_program_closes_on_a_caller_that_writes() {
    same_both_ways("flood", "unread close", "flood ECONNRESET", "done");
}
