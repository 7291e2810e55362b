use std::time::Duration;

use fourwave_core::state::State;

use super::make::{Host, kinds};
use crate::diagnose;
use crate::{Finding, FindingKind, Scope, Severity, Thresholds};

const TO: &str = "10.2.0.5:5432";

fn ports(found: Vec<Finding>) -> Option<Finding> {
    found.into_iter().find(|one| one.kind == FindingKind::PortsExhausted)
}

fn found_in(host: &Host) -> Option<Finding> {
    ports(diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default()))
}

/// So many TIME_WAIT that end evenly over 60 s; the rest of the host is idle.
fn waiting(number: u16) -> Host {
    let mut host = Host::new();
    for port in 0..number {
        host.calls("10.1.0.1", 32_768 + port, TO, State::TimeWait).waits(1 + u64::from(port) % 57);
    }
    host
}

#[test]
fn no_port_left_is_critical_and_says_what_fails() {
    let found = found_in(&waiting(28_232)).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    assert_eq!(found.about, "10.2.0.5:5432 from 10.1.0.1");
    assert!(found.headline.contains("No port is left"), "{}", found.headline);
    assert!(found.headline.contains("EADDRNOTAVAIL"));
    assert!(found.evidence[0].starts_with("28,232 of 28,232 ports"), "{:?}", found.evidence);
    assert!(found.cause.contains("470 connections a second"), "{}", found.cause);
    assert!(found.program[0].contains("keep connections"));
    let lines: Vec<&str> = found.host.iter().map(|one| one.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"",
            "sysctl -w net.ipv4.tcp_tw_reuse=1"
        ]
    );
    for word in ["tcp_fin_timeout", "tcp_tw_recycle", "tcp_max_tw_buckets"] {
        assert!(found.does_not_help.iter().any(|line| line.starts_with(word)), "{word}");
    }
}

#[test]
fn ports_that_are_still_left_are_not_denied() {
    let found = found_in(&waiting(28_200)).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.headline.starts_with("Only 32 ports left for connections to"), "{found:#?}");
}

#[test]
fn many_ports_in_use_without_growth_are_a_warning() {
    let found = found_in(&waiting(15_000)).unwrap();
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.headline, "53% of the ports for connections to 10.2.0.5:5432 are in use");
    assert!(found.evidence.iter().any(|line| line.contains("searches them all in vain")));
    assert!(found_in(&waiting(14_000)).is_none());
}

#[test]
fn ports_are_counted_for_each_destination_and_each_source() {
    let mut host = Host::new();
    for port in 32_768..60_999 {
        host.calls("10.1.0.1", port, &format!("10.2.0.{}:80", port % 3), State::TimeWait);
        host.calls(&format!("10.1.0.{}", port % 3), port, TO, State::TimeWait);
    }
    assert!(found_in(&host).is_none(), "9,410 each");
}

/// `rate` closes a second for two seconds on top of those that wait already, of which as many end.
fn closing(old: u16, rate: u16) -> Host {
    let mut host = Host::new();
    for port in 0..old {
        host.calls("10.1.0.1", 32_768 + port, TO, State::TimeWait).waits(1 + u64::from(port) % 57);
    }
    host.earlier = Some(host.now.sockets.clone());
    for port in old..old + rate * 2 {
        host.calls("10.1.0.1", 32_768 + port, TO, State::TimeWait).waits(59);
    }
    host
}

#[test]
fn a_rate_that_leads_to_the_end_is_critical_with_its_time() {
    let found = found_in(&closing(18_000, 600)).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    // 19,200 of 28,232; +600/s, and about 310/s end: some 32 s.
    assert_eq!(
        found.headline, "Ports for connections to 10.2.0.5:5432 run out in about 32 s",
        "{:?}",
        found.evidence
    );
    assert!(found.evidence.iter().any(|line| line.contains("600/s closed into TIME_WAIT")));
}

#[test]
fn a_rate_that_levels_off_is_no_finding() {
    // 400/s for 60 s are 24,000: it never gets to all.
    let mut host = closing(9_000, 400);
    assert!(found_in(&host).is_none());
    // A short burst on an idle host is no trend.
    host = closing(100, 700);
    assert!(found_in(&host).is_none());
}

#[test]
fn connections_that_stay_open_grow_without_levelling_off() {
    let mut host = Host::new();
    for port in 0..20_000_u16 {
        host.calls("10.1.0.1", 32_768 + port, TO, State::Established);
    }
    host.earlier = Some(host.now.sockets[..19_900].to_vec());
    let found = found_in(&host).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.headline.contains("about 2 min 45 s"), "{}", found.headline);
    assert!(found.cause.contains("a pool without a limit"));
    assert!(found.host.iter().all(|one| !one.line.contains("tw_reuse")), "no TIME_WAIT to reuse");
}

#[test]
fn what_may_be_taken_over_does_not_count() {
    let mut host = waiting(28_232);
    host.knob("ipv4.tcp_tw_reuse", "1");
    assert!(found_in(&host).is_none());
    host.knob("ipv4.tcp_timestamps", "0");
    let found = found_in(&host).unwrap();
    assert!(found.host.iter().any(|one| one.line == "sysctl -w net.ipv4.tcp_timestamps=1"));
    // Too young to be taken over.
    let mut young = Host::new();
    young.knob("ipv4.tcp_tw_reuse", "1");
    young.knob("ipv4.tcp_tw_reuse_delay", "30000");
    for port in 0..28_232 {
        young.calls("10.1.0.1", 32_768 + port, TO, State::TimeWait).waits(50);
    }
    assert!(found_in(&young).is_some());
}

#[test]
fn the_default_reuses_on_loopback_only() {
    let mut host = Host::new();
    for port in 0..28_232 {
        host.calls("127.0.0.1", 32_768 + port, "127.0.0.1:80", State::TimeWait).waits(30);
    }
    assert!(found_in(&host).is_none());
    host.knob("ipv4.tcp_tw_reuse", "0");
    assert!(found_in(&host).is_some());
}

#[test]
fn incoming_connections_to_a_port_within_the_range_use_none() {
    let mut host = Host::new();
    host.listener("0.0.0.0:40000", 0, 128);
    for client in 0..28_000 {
        host.client("10.1.0.1:40000", client, State::Established);
    }
    assert!(found_in(&host).is_none());
}

#[test]
fn an_address_of_v4_in_v6_is_the_same_destination() {
    let mut host = Host::new();
    for port in 32_768..46_000 {
        host.calls("10.1.0.1", port, TO, State::TimeWait);
    }
    for port in 46_000..60_000 {
        host.calls("::ffff:10.1.0.1", port, "[::ffff:10.2.0.5]:5432", State::TimeWait);
    }
    assert_eq!(found_in(&host).unwrap().about, "10.2.0.5:5432 from 10.1.0.1");
}

#[test]
fn commands_go_where_it_was_looked_at() {
    let mut host = waiting(28_232);
    host.now.scope = Scope::Pid(812);
    assert!(found_in(&host).unwrap().host[0].line.starts_with("nsenter -t 812 -n sysctl"));
    host.now.scope = Scope::Netns("blue".to_owned());
    assert!(found_in(&host).unwrap().host[0].line.starts_with("ip netns exec blue sysctl"));
}

#[test]
fn time_wait_is_piled_by_destination_or_by_service() {
    let found_in =
        |host: &Host| diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default());
    let found = found_in(&waiting(21_000));
    assert_eq!(kinds(&found), [FindingKind::PortsExhausted], "which has all that matters of it");

    let mut host = waiting(11_000);
    for port in 40_000..49_500 {
        host.calls("10.1.0.1", port, "10.2.0.6:80", State::TimeWait).waits(30);
    }
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::TimeWaitPile]);
    assert_eq!(
        (found[0].about.as_str(), found[0].severity),
        ("to 10.2.0.5:5432", Severity::Warning)
    );

    host = Host::new();
    host.listener("[::]:80", 0, 128);
    for client in 0..21_000 {
        host.client("10.1.0.1:80", client, State::TimeWait).waits(30);
    }
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::TimeWaitPile]);
    assert_eq!((found[0].about.as_str(), found[0].severity), ("at [::]:80", Severity::Advice));
    assert!(found[0].does_not_help[0].starts_with("tcp_tw_reuse"));
    assert!(found[0].host.is_empty(), "nothing to set for a server");
}

#[test]
fn time_wait_at_its_bound_is_a_finding_by_count_or_by_counter() {
    let mut host = Host::new();
    host.listener("0.0.0.0:80", 0, 128);
    host.knob("ipv4.tcp_max_tw_buckets", "1000");
    host.knob("ipv4.tcp_max_syn_backlog", "128");
    host.counter("TcpExtTCPTimeWaitOverflow", 5, 0);
    for client in 0..799 {
        host.client("10.1.0.1:80", client, State::TimeWait);
    }
    let found_in =
        |host: &Host| diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default());
    assert_eq!(kinds(&found_in(&host)), [], "an old overflow is past");
    host.client("10.1.0.1:80", 799, State::TimeWait);
    assert_eq!(kinds(&found_in(&host)), [FindingKind::TimeWaitOverflow]);
    host.now.sockets.truncate(10);
    host.counter("TcpExtTCPTimeWaitOverflow", 5, 3);
    let found = found_in(&host);
    assert_eq!(kinds(&found), [FindingKind::TimeWaitOverflow]);
    assert!(found[0].headline.contains("3 connections destroyed"), "{}", found[0].headline);
}
