use std::time::Duration;

use fourwave_core::state::State;

use super::make::Host;
use crate::diagnose;
use crate::{Finding, FindingKind, Owner, Severity, Thresholds};

fn found_in(host: &Host) -> Vec<Finding> {
    diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default())
}

fn leak(number: u16, age: u64) -> Host {
    let mut host = Host::new();
    host.listener("0.0.0.0:8000", 0, 128);
    for client in 0..number {
        host.client("10.1.0.1:8000", client.into(), State::CloseWait)
            .owned(812, "api.py", 5 + i32::from(client))
            .aged(age + u64::from(client));
    }
    host
}

#[test]
fn a_leak_names_program_descriptors_ages_and_peers() {
    let mut host = leak(12, 70);
    host.earlier = Some(host.now.sockets[..9].to_vec());
    let found = found_in(&host);
    assert_eq!(found.len(), 1, "{found:#?}");
    let one = &found[0];
    assert_eq!((one.kind, one.severity), (FindingKind::CloseWaitLeak, Severity::Warning));
    assert_eq!(one.about, "pid 812");
    assert!(one.headline.starts_with("api.py (pid 812) holds 12 connections"), "{}", one.headline);
    assert!(
        one.evidence[0].ends_with("for at least 1 min 10 s, the oldest for at least 1 min 21 s")
    );
    assert_eq!(one.evidence[1], "connections at 0.0.0.0:8000 (12)");
    assert_eq!(one.evidence[2], "descriptors 5, 6, 7, 8, 9, 10, 11, 12 and 4 more");
    assert!(one.evidence.contains(&"12 read to the end and not closed".to_owned()));
    assert!(one.evidence.iter().any(|line| line.starts_with("3 more sockets")), "it grows");
    assert!(one.cause.starts_with("its clients have closed, it has read the end"), "{}", one.cause);
    assert!(one.does_not_help[0].starts_with("no knob ends CLOSE_WAIT"));
}

#[test]
fn young_or_few_are_no_leak() {
    assert!(found_in(&leak(9, 70)).is_empty());
    assert!(found_in(&leak(12, 20)).is_empty());
}

#[test]
fn unread_bytes_tell_that_it_does_not_look() {
    let mut host = Host::new();
    for port in 40_000..40_020 {
        host.calls("10.1.0.1", port, "10.2.0.5:80", State::CloseWait)
            .owned(9, "pool", 7)
            .aged(300)
            .unread(100);
    }
    let found = found_in(&host);
    assert!(
        found[0].evidence.iter().any(|line| line.contains("2.0 KiB wait in them")),
        "{found:#?}"
    );
    assert!(found[0].cause.contains("the servers it called have closed"));
    assert!(found[0].cause.contains("does not read these sockets any more"));
    assert!(found[0].program.iter().any(|line| line.contains("a pool has to see the end")));
}

#[test]
fn without_permission_the_place_and_the_user_are_told() {
    let mut host = leak(12, 70);
    host.now.owners.clear();
    let found = found_in(&host);
    assert_eq!(found[0].about, "at 0.0.0.0:8000");
    assert!(found[0].headline.contains("user 1000"));
    assert!(found[0].host.is_empty());
}

#[test]
fn a_queue_that_nobody_accepts_from_is_told_apart() {
    let mut host = Host::new();
    host.listener("0.0.0.0:8000", 12, 128);
    for client in 0..12 {
        host.client("10.1.0.1:8000", client, State::CloseWait).aged(70).inode(0).unread(4);
    }
    let found = found_in(&host);
    assert_eq!(found[0].about, "queue of 0.0.0.0:8000");
    assert!(found[0].cause.contains("does not call accept()"));
}

#[test]
fn a_descriptor_that_a_child_inherited_is_told() {
    let mut host = leak(12, 70);
    for owners in host.now.owners.values_mut() {
        owners.push(Owner { pid: 900, program: "worker".to_owned(), fd: 5 });
    }
    let found = found_in(&host);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].about, "pid 812");
    assert!(found[0].evidence.iter().any(|line| line.contains("open in other processes too")));
}

#[test]
fn orphans_that_nobody_answers_are_stuck() {
    let mut host = Host::new();
    for port in 40_000..40_012 {
        host.calls("10.1.0.1", port, "10.2.0.5:80", State::LastAck).again(4);
    }
    let found = found_in(&host);
    assert_eq!(found[0].kind, FindingKind::OrphansStuck);
    assert_eq!(found[0].about, "10.2.0.5:80");
    assert!(found[0].evidence.iter().any(|line| line.contains("means 8")), "{found:#?}");

    // One retransmission is a lost packet, and a program that still has the socket is no orphan.
    let mut fine = Host::new();
    for port in 40_000..40_012 {
        fine.calls("10.1.0.1", port, "10.2.0.5:80", State::LastAck).again(1);
        fine.calls("10.1.0.1", port + 100, "10.2.0.5:80", State::FinWait1).again(4).inode(77);
    }
    assert!(found_in(&fine).is_empty());
}

#[test]
fn orphans_near_their_limit() {
    let mut host = Host::new();
    host.now.orphans.now = 27_000;
    let found = found_in(&host);
    assert_eq!((found[0].kind, found[0].severity), (FindingKind::OrphansLimit, Severity::Warning));
    assert_eq!(found[0].headline, "27,000 orphans: 82% of tcp_max_orphans");
    host.counter("TcpExtTCPAbortOnMemory", 0, 4);
    assert_eq!(found_in(&host)[0].severity, Severity::Critical);
    // The knob is the host's, not the namespace's.
    host.now.scope = crate::Scope::Netns("blue".to_owned());
    assert_eq!(found_in(&host)[0].host[0].line, "sysctl -w net.ipv4.tcp_max_orphans=65536");
    host.now.orphans.limit = 0;
    assert!(found_in(&host).is_empty(), "a limit that is not known");
}

#[test]
fn fin_wait_2_is_held_or_left() {
    let mut host = Host::new();
    for port in 40_000..41_000 {
        host.calls("10.1.0.1", port, "10.2.0.5:80", State::FinWait2);
    }
    let found = found_in(&host);
    assert_eq!((found[0].kind, found[0].severity), (FindingKind::FinWait2Pile, Severity::Advice));
    assert!(found[0].cause.contains("tcp_fin_timeout, 60 s"));
    for socket in &mut host.now.sockets {
        socket.inode = 99;
    }
    let found = found_in(&host);
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].cause.contains("No timer ends this"));
}
