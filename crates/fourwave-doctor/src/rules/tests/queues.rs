use std::time::Duration;

use super::make::{Host, kinds};
use crate::diagnose;
use crate::{Finding, FindingKind, Sample, Severity, Thresholds};

fn find(sample: &Sample) -> Vec<Finding> {
    diagnose(sample, &Thresholds::default())
}

fn found_in(host: &Host) -> Vec<Finding> {
    find(&host.over(Duration::from_secs(2)))
}

#[test]
fn a_full_queue_is_critical_and_says_which_limit_it_is() {
    let mut host = Host::new();
    host.listener("127.0.0.1:8080", 6, 5);
    let found = found_in(&host);
    assert_eq!(
        (found[0].kind, found[0].severity),
        (FindingKind::AcceptQueueFull, Severity::Critical)
    );
    assert_eq!(found[0].about, "127.0.0.1:8080");
    assert!(found[0].evidence.iter().any(|line| line.contains("what listen() asked for")));
    assert!(found[0].host.is_empty(), "somaxconn is not the limit");

    let mut host = Host::new();
    host.knob("core.somaxconn", "128");
    host.listener("0.0.0.0:80", 129, 128);
    let found = found_in(&host);
    assert_eq!(found[0].host[0].line, "sysctl -w net.core.somaxconn=4096");
}

#[test]
fn a_nearly_full_queue_has_to_last() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 110, 128);
    let mut sample = host.over(Duration::from_secs(2));
    assert_eq!(find(&sample)[0].severity, Severity::Warning);
    sample.before.listeners[0].queue = 0;
    assert!(find(&sample).is_empty(), "a moment's burst");
    // Of a short queue even when it is full for a moment.
    sample.after.listeners[0].backlog = 0;
    sample.after.listeners[0].queue = 1;
    assert!(find(&sample).is_empty());
    sample.after.counters.insert("TcpExtListenOverflows".to_owned(), 1);
    assert_eq!(find(&sample)[0].severity, Severity::Critical);
}

#[test]
fn overflows_that_no_look_met_are_told_with_the_likeliest() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 3, 128);
    host.listener("0.0.0.0:81", 0, 128);
    host.counter("TcpExtListenOverflows", 10, 7);
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::AcceptQueueFull]);
    assert_eq!((found[0].about.as_str(), found[0].severity), ("0.0.0.0:80", Severity::Critical));
    let mut idle = Host::new();
    idle.counter("TcpExtListenOverflows", 10, 7);
    assert_eq!(found_in(&idle)[0].about, "");
}

#[test]
fn several_listeners_on_one_address_are_one_finding() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 120, 128);
    host.listener("0.0.0.0:80", 128, 128);
    let found = found_in(&host);
    assert_eq!(found.len(), 1);
    assert!(found[0].headline.contains("128 of 128"), "{}", found[0].headline);
}

#[test]
fn half_open_connections_against_what_the_listener_allows() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 0, 128);
    host.now.listeners[0].half_open = 60;
    assert!(found_in(&host).is_empty());
    // Without cookies tcp_max_syn_backlog counts as well.
    host.knob("ipv4.tcp_max_syn_backlog", "64");
    host.knob("ipv4.tcp_syncookies", "0");
    let found = found_in(&host);
    assert_eq!((found[0].kind, found[0].severity), (FindingKind::SynBacklog, Severity::Critical));
    assert!(found[0].evidence[0].contains("48 may be"), "{found:#?}");
    // With them the backlog.
    host.knob("ipv4.tcp_syncookies", "1");
    host.now.listeners[0].half_open = 110;
    assert_eq!(kinds(&found_in(&host)), [FindingKind::SynBacklog]);
}

#[test]
fn half_open_connections_of_several_listeners_on_one_address_have_all_their_room() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.listener("0.0.0.0:80", 0, 128);
    }
    // The kernel does not tell whose they are.
    host.now.listeners[0].half_open = 200;
    assert!(found_in(&host).is_empty(), "{:#?}", found_in(&host));
    host.now.listeners[0].half_open = 450;
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::SynBacklog]);
    assert!(found[0].evidence[0].contains("512 may be"), "{found:#?}");
}

#[test]
fn a_queue_whose_length_is_not_known_is_not_full() {
    let mut host = Host::new();
    // As it is without sock_diag.
    host.listener("0.0.0.0:80", 7, 0);
    host.now.listeners[0].half_open = 40;
    assert!(found_in(&host).is_empty(), "{:#?}", found_in(&host));
    host.counter("TcpExtListenOverflows", 0, 3);
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::AcceptQueueFull]);
    assert_eq!(found[0].headline, "The accept queue at 0.0.0.0:80 is overflowing: 7");
    assert!(found[0].evidence[0].contains("is not known"), "{found:#?}");
}

#[test]
fn cookies_are_an_overflow_unless_every_connection_gets_one() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 0, 4);
    host.now.listeners[0].half_open = 4;
    assert!(found_in(&host).is_empty(), "a short queue's usual moment");
    host.counter("TcpExtSyncookiesSent", 0, 40);
    assert_eq!(found_in(&host)[0].severity, Severity::Warning);
    host.knob("ipv4.tcp_syncookies", "2");
    assert!(found_in(&host).iter().all(|one| one.kind != FindingKind::SynBacklog));
}
