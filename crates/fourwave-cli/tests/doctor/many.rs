//! Very many sockets: 2,000, and with FOURWAVE_LONG=1 200,000 and the time it took.

use std::io::Write;
use std::time::Instant;

use crate::common::stdout;
use crate::host::{Fault, Host, until};

#[test]
fn very_many_sockets_are_all_counted() {
    let Some(host) = Host::new(&[]) else { return };
    let long = std::env::var_os("FOURWAVE_LONG").is_some();
    // TIME_WAIT lasts a minute: several make them at once.
    let (makers, each) = if long { (8, 26_000) } else { (2, 1_000) };
    host.set("net.ipv4.tcp_max_tw_buckets", "500000");
    host.set("net.ipv4.ip_local_port_range", "1024 65535");
    let address = |n: u32| format!("127.0.1.{n}");
    let _servers: Vec<Fault> =
        (1..=makers).map(|n| host.fault(&["serve", &address(n), "80"])).collect();
    let started: Vec<Fault> = (1..=makers)
        .map(|n| {
            let mut command = host.command("python3");
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/fault.py"));
            command.args(["churn", &address(n), "80", &each.to_string()]);
            Fault::spawn(command)
        })
        .collect();
    for maker in &started {
        assert_eq!(maker.line(), format!("ready {each}"));
    }
    let all = u64::from(makers) * each;
    let least = if long { 200_000 } else { all };
    let (found, took) = until("the last to be closed at both ends", || {
        let start = Instant::now();
        let found = host.examine(&["--set", "time_wait_count=1000"]);
        let took = start.elapsed();
        (found.count("TIME_WAIT") >= least).then_some((found, took))
    });
    assert!(found.count("TIME_WAIT") <= all, "{}", found.host);
    found.finding("time-wait-pile", "");
    if long {
        let told = stdout(&host.doctor(&[]));
        let line = format!("{all} sockets: {took:?}, 500 ms of it the sample\n{told}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
