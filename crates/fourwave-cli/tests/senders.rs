//! `fourwave run`: what the engine says of its senders, in events and in the capture.

mod common;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::thread;

use common::{Bounded, Scratch, fourwave, permitted_with, run, stderr};
use fourwave_testkit::accept;
use serde_json::Value;

const BYTES: usize = 2_000_000;

/// The `sender` lines of a download with these options; the capture has them too.
fn senders(name: &str, options: &[&str]) -> Vec<Value> {
    let scratch = Scratch::new(name);
    let (events, pcap) = (scratch.path().join("events"), scratch.path().join("run.pcapng"));
    let pcap = pcap.to_str().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || accept(&listener).write_all(&vec![0; BYTES]).unwrap());
    let client = format!("exec 3<>/dev/tcp/10.4.0.1/{port}; cat <&3 | wc -c");
    let events = events.to_str().unwrap();
    let mut arguments =
        vec!["-q", "--host-loopback", "--mtu", "1500", "--events", events, "--pcap", pcap];
    arguments.extend(options);
    arguments.extend(["--", "bash", "-c", &client]);
    let output = run(&arguments);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), BYTES.to_string());
    server.join().unwrap();
    let told = of_senders(&fs::read_to_string(events).unwrap());
    let traced = fourwave().args(["trace", "--json", pcap]).bounded();
    let traced = of_senders(&String::from_utf8_lossy(&traced.stdout));
    let says = |line: &Value| {
        ["end", "state", "congestion", "cwnd", "ssthresh", "lost", "rtt"].map(|f| line[f].clone())
    };
    let both = [&told, &traced].map(|lines| lines.iter().map(says).collect::<Vec<_>>());
    assert_eq!(both[0], both[1]);
    told
}

fn of_senders(lines: &str) -> Vec<Value> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "sender").collect()
}

fn states(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["state"].as_str().unwrap()).collect()
}

#[test]
fn a_sender_that_loses_says_so_in_events() {
    if !permitted_with(&["bash"]) {
        return;
    }
    let lines = senders("senders-lossy", &["--fault", "loss:2%,delay:2ms"]);
    assert!(lines.iter().all(|line| line["end"] == "server" && line["congestion"] == "cubic"));
    let at: Vec<f64> = lines.iter().map(|line| line["t"].as_f64().unwrap()).collect();
    assert!(at.is_sorted(), "{at:?}");
    assert!(states(&lines).contains(&"recovery"), "{:?}", states(&lines));
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert!(first["ssthresh"].is_null() && last["ssthresh"].as_u64().unwrap() > 0);
    assert!(last["retransmitted"].as_u64().unwrap() > 0, "{last}");
    let lost = |line: &Value| line["lost"].as_u64().unwrap() > 0;
    assert!(lines.iter().any(lost) && !lost(first));
    // A round trip is at least twice the delay.
    assert!(last["min_rtt"].as_f64().unwrap() >= 0.004, "{last}");
}

#[test]
fn a_sender_on_a_clean_link_only_opens_its_window() {
    if !permitted_with(&["bash"]) {
        return;
    }
    let lines = senders("senders-clean", &["-o", "tcp_congestion_control=reno"]);
    assert_eq!(lines[0]["congestion"], "reno");
    assert!(states(&lines).iter().all(|&state| state == "open"), "{:?}", states(&lines));
    let cwnd: Vec<u64> = lines.iter().map(|line| line["cwnd"].as_u64().unwrap()).collect();
    assert!(cwnd.is_sorted() && cwnd[0] < cwnd[cwnd.len() - 1], "{cwnd:?}");
    // A line for each eighth, and some for round trips: not one for each ACK.
    assert!(lines.len() < 100, "{} lines", lines.len());
}
