//! Each fault of the issue, made with real sockets.

use std::collections::BTreeSet;
use std::fs;

use crate::common::stdout;
use crate::host::{ADDRESS, Host, joined, until};

#[test]
fn a_pile_of_time_wait_is_told_with_its_destination() {
    let Some(host) = Host::new(&[]) else { return };
    let _server = host.fault(&["serve", ADDRESS, "5432"]);
    let _client = host.fault(&["churn", ADDRESS, "5432", "300"]);
    let found = until("the last to be closed at both ends", || {
        let found = host.examine(&["--set", "time_wait_count=200"]);
        // How many stay the kernel decides: a SYN may follow a TIME_WAIT, and an RST of the end
        // that is closed ends some (20 of 300 on Linux 6.18.44, each with a TcpOutRsts).
        let open = ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK"];
        let all_closed = open.iter().all(|state| found.count(state) == 0);
        let told = found.count("TIME_WAIT");
        (all_closed && (201..=300).contains(&told) && told == host.time_waits()).then_some(found)
    });
    let pile = found.finding("time-wait-pile", "");
    let all = pile.to_string();
    assert!(all.contains("10.9.0.2:5432 (") && all.contains("TIME_WAIT"), "{all}");
    // The same in words, and not below the threshold.
    let told = stdout(&host.doctor(&["--set", "time_wait_count=200"]));
    assert!(told.contains("10.9.0.2:5432") && told.contains("TIME_WAIT"), "{told}");
    assert!(host.examine(&["--set", "time_wait_count=301"]).get("time-wait-pile", "").is_none());
}

#[test]
fn ports_that_run_out_are_told_with_the_time_that_is_left_and_then_that_none_is() {
    let Some(host) = Host::new(&[]) else { return };
    host.set("net.ipv4.ip_local_port_range", "40000 41099");
    let _server = host.fault(&["serve", ADDRESS, "5432"]);
    let client = host.fault(&["churn", ADDRESS, "5432", "500", "50"]);
    let found = host.examine(&[]);
    let ports = found.finding("ports-exhausted", "10.9.0.2:5432");
    assert_eq!(ports["severity"], "critical", "{ports:#}");
    let headline = ports["headline"].as_str().unwrap();
    assert!(headline.contains("10.9.0.2:5432 run out in about"), "{headline}");
    assert!(joined(&ports["evidence"]).contains("of 1,100 ports (40000..41099)"), "{ports:#}");
    assert!(joined(&ports["does_not_help"]).contains("tcp_fin_timeout"), "{ports:#}");
    // The first is the worst.
    assert_eq!(found.kinds()[0], "ports-exhausted");

    // Another client takes the rest at once.
    drop(client);
    let client = host.begin(&["churn", ADDRESS, "5432", "5000"]);
    let said = client.line();
    assert!(said.starts_with("exhausted"), "{said}");
    let found = host.examine(&[]);
    let ports = found.finding("ports-exhausted", "10.9.0.2:5432");
    let headline = ports["headline"].as_str().unwrap();
    assert!(headline.contains("left for connections to 10.9.0.2:5432"), "{headline}");
    assert!(headline.contains("EADDRNOTAVAIL"), "{headline}");
    // Another destination has all of its ports.
    assert_eq!(found.kinds().iter().filter(|kind| **kind == "ports-exhausted").count(), 1);
}

#[test]
fn a_leak_of_close_wait_is_told_with_its_process_and_descriptors() {
    let Some(host) = Host::new(&[]) else { return };
    let leaky = host.fault(&["leak", ADDRESS, "8080", "5", "2"]);
    let clients = host.fault(&["call", ADDRESS, "8080", "5"]);
    clients.ask("close");
    let said = leaky.line();
    let told: BTreeSet<i32> =
        said.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
    let thresholds = ["--set", "close_wait=5", "--set", "close_wait_age=0"];
    let found = host.examine(&thresholds);
    let leak = found.finding("close-wait-leak", &format!("pid {}", leaky.pid()));
    let evidence = joined(&leak["evidence"]);
    let line = evidence.lines().find_map(|line| line.strip_prefix("descriptors ")).unwrap();
    let seen: BTreeSet<i32> = line.split(", ").map(|number| number.parse().unwrap()).collect();
    assert_eq!(seen, told, "{evidence}");
    assert_eq!(seen, sockets_of(leaky.pid(), 5), "{evidence}");
    assert!(leak["headline"].as_str().unwrap().contains("python3"), "{leak:#}");
    assert!(evidence.contains("2 not read to the end") && evidence.contains("3 read to the end"));
    let row = &found.host["close_wait"][0];
    assert_eq!((row["pid"].as_u64(), row["count"].as_u64()), (Some(leaky.pid().into()), Some(5)));

    // One that is younger than the threshold is no leak, and one that is closed none either.
    assert!(host.examine(&["--set", "close_wait=5"]).get("close-wait-leak", "").is_none());
    assert_eq!(leaky.ask("close"), "closed");
    assert_eq!(host.examine(&thresholds).status, 0);
}

/// The descriptors of a process that are sockets but its listener, by `/proc`: the first socket is
/// the listener, because it was opened first.
fn sockets_of(pid: u32, number: usize) -> BTreeSet<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let sockets = entries.filter(|entry| {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        link.to_string_lossy().starts_with("socket:")
    });
    let all: BTreeSet<i32> =
        sockets.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect();
    assert_eq!(all.len(), number + 1, "{all:?}");
    all.into_iter().skip(1).collect()
}

#[test]
fn a_full_accept_queue_is_told_with_its_listener_and_program() {
    let Some(host) = Host::new(&[]) else { return };
    let full = host.fault(&["full", ADDRESS, "8081", "4"]);
    let _clients = host.fault(&["call", ADDRESS, "8081", "12"]);
    let found = host.examine(&[]);
    let queue = found.finding("accept-queue-full", "10.9.0.2:8081");
    let all = queue.to_string();
    assert!(all.contains("python3") && all.contains(&full.pid().to_string()), "{queue:#}");
    assert_eq!(queue["severity"], "critical", "{queue:#}");
    let row = &found.host["listeners"][0];
    assert_eq!(row["local"], "10.9.0.2:8081");
    assert_eq!((row["queue"].as_u64(), row["backlog"].as_u64()), (Some(5), Some(4)));
}

#[test]
fn orphans_whose_peer_does_not_answer_are_told_with_it() {
    let Some(host) = Host::new(&["nft"]) else { return };
    let server = host.fault(&["leak", ADDRESS, "8082", "12"]);
    let clients = host.fault(&["call", ADDRESS, "8082", "12"]);
    clients.ask("close");
    server.line();
    until("the clients' FINs", || (host.examine(&[]).count("CLOSE_WAIT") == 12).then_some(()));
    // From here on nothing of the server's arrives: its FINs are not acknowledged.
    let rules = "add table ip t; add chain ip t out { type filter hook output priority 0; }; \
                 add rule ip t out tcp sport 8082 drop";
    host.run("nft", &[rules]);
    assert_eq!(server.ask("close"), "closed");
    let found = until("orphans that retransmit", || {
        let found = host.examine(&[]);
        found.get("orphans-stuck", "").is_some().then_some(found)
    });
    let stuck = found.finding("orphans-stuck", "10.9.0.2");
    let evidence = joined(&stuck["evidence"]);
    assert!(evidence.contains("LAST_ACK (12)"), "{evidence}");
    assert_eq!(found.count("LAST_ACK"), 12);
}

#[test]
fn a_setting_that_cannot_help_is_told() {
    let Some(host) = Host::new(&[]) else { return };
    assert_eq!(host.examine(&[]).status, 0);
    host.set("net.ipv4.tcp_fin_timeout", "10");
    let found = host.examine(&[]);
    let setting = found.finding("setting", "tcp_fin_timeout");
    let headline = setting["headline"].as_str().unwrap();
    assert!(headline.contains("10 s") && headline.contains("does not shorten TIME_WAIT"));
    assert_eq!((found.status, setting["severity"].as_str()), (1, Some("advice")));
}
