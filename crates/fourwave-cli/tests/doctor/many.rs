//! Very many sockets: 2,000, and with FOURWAVE_LONG=1 200,000 and the time it took.

use std::io::Write;
use std::time::Instant;

use crate::common::stdout;
use crate::host::{Fault, Host, until};

#[test]
fn very_many_sockets_are_all_counted() {
    let Some(host) = Host::new(&[]) else { return };
    let long = std::env::var_os("FOURWAVE_LONG").is_some();
    // Each connection is two sockets here. A process may have 20,000 descriptors on most hosts.
    let (pairs, each) = if long { (10, 10_000) } else { (2, 500) };
    let address = |n: u32| format!("127.0.1.{n}");
    let _servers: Vec<Fault> =
        (1..=pairs).map(|n| host.fault(&["serve", &address(n), "80"])).collect();
    let callers: Vec<Fault> =
        (1..=pairs).map(|n| host.begin(&["keep", &address(n), "80", &each.to_string()])).collect();
    for caller in &callers {
        assert_eq!(caller.line(), format!("ready {each}"));
    }
    let all = 2 * u64::from(pairs) * each;
    let (found, took) = until("the last to be accepted", || {
        let start = Instant::now();
        let found = host.examine(&["--set", "ports=1%"]);
        let took = start.elapsed();
        (found.count("ESTABLISHED") == all).then_some((found, took))
    });
    assert_eq!(found.host["destinations"].as_array().unwrap().len(), pairs as usize);
    found.finding("ports-exhausted", "127.0.1.1:80");
    if long {
        let told = stdout(&host.doctor(&[]));
        let line = format!("{all} sockets: {took:?}, 500 ms of it the sample\n{told}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
