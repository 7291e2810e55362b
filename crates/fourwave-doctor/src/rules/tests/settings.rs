use std::time::Duration;

use fourwave_core::state::State;

use super::make::Host;
use crate::diagnose;
use crate::{Finding, FindingKind, PortRange, Severity, Thresholds};

fn found_in(host: &Host) -> Vec<Finding> {
    let found = diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default());
    found.into_iter().filter(|one| one.kind == FindingKind::Setting).collect()
}

/// What is found on a host with one knob set differently.
fn with(knob: &str, value: &str) -> Vec<Finding> {
    let mut host = Host::new();
    host.knob(knob, value);
    found_in(&host)
}

#[test]
fn each_knob_that_cannot_help_is_told_with_the_way_back() {
    for (knob, value, back) in [
        ("ipv4.tcp_tw_recycle", "1", "0"),
        ("ipv4.tcp_fin_timeout", "15", "60"),
        ("ipv4.tcp_abort_on_overflow", "1", "0"),
        ("ipv4.tcp_syncookies", "0", "1"),
        ("ipv4.tcp_syncookies", "2", "1"),
        ("ipv4.tcp_orphan_retries", "1", "0"),
        ("ipv4.tcp_orphan_retries", "30", "0"),
        ("ipv4.tcp_max_tw_buckets", "5000", "32768"),
    ] {
        let found = with(knob, value);
        assert_eq!(found.len(), 1, "{knob}={value}");
        assert_eq!(found[0].about, knob.trim_start_matches("ipv4."));
        assert_eq!(found[0].host[0].line, format!("sysctl -w net.{knob}={back}"));
    }
    assert_eq!(with("ipv4.tcp_tw_recycle", "1")[0].severity, Severity::Warning);
}

#[test]
fn defaults_and_harmless_settings_are_none() {
    for (knob, value) in [
        ("ipv4.tcp_tw_recycle", "0"),
        ("ipv4.tcp_fin_timeout", "120"),
        ("ipv4.tcp_tw_reuse", "0"),
        ("ipv4.tcp_tw_reuse", "1"),
        ("ipv4.tcp_rfc1337", "1"),
        ("ipv4.tcp_timestamps", "0"),
        ("ipv4.tcp_orphan_retries", "3"),
        ("ipv4.tcp_max_tw_buckets", "2000000"),
        ("core.somaxconn", "128"),
    ] {
        assert!(with(knob, value).is_empty(), "{knob}={value}");
    }
}

#[test]
fn a_small_host_has_few_tw_buckets_by_itself() {
    let mut host = Host::new();
    host.knob("ipv4.tcp_max_tw_buckets", "4096");
    host.knob("ipv4.tcp_max_syn_backlog", "128");
    host.now.orphans.limit = 4096;
    assert!(found_in(&host).is_empty());
    // One of the others was raised: still nothing was lowered.
    host.now.orphans.limit = 262_144;
    host.knob("ipv4.tcp_max_syn_backlog", "128");
    assert!(found_in(&host).is_empty());
}

#[test]
fn tw_reuse_on_a_server_does_nothing() {
    let mut host = Host::new();
    host.knob("ipv4.tcp_tw_reuse", "1");
    host.listener("0.0.0.0:80", 0, 128);
    host.counter("TcpPassiveOpens", 50_000, 10);
    host.counter("TcpActiveOpens", 20, 0);
    for client in 0..100 {
        host.client("10.1.0.1:80", client, State::TimeWait);
    }
    let found = found_in(&host);
    assert_eq!(found[0].about, "tcp_tw_reuse");
    assert_eq!(found[0].host[0].line, "sysctl -w net.ipv4.tcp_tw_reuse=2");
    // It calls somebody: then it may help.
    host.calls("10.1.0.1", 40_000, "10.2.0.5:80", State::Established);
    assert!(found_in(&host).is_empty());
}

#[test]
fn tw_reuse_rests_on_timestamps() {
    let mut host = Host::new();
    host.knob("ipv4.tcp_tw_reuse", "1");
    host.knob("ipv4.tcp_timestamps", "0");
    assert_eq!(found_in(&host)[0].host[0].line, "sysctl -w net.ipv4.tcp_timestamps=1");
}

#[test]
fn a_range_of_ports_may_be_too_small_or_cover_services() {
    let mut host = Host::new();
    host.now.ports = PortRange { range: 40_000..=40_499, reserved: 0 };
    let found = found_in(&host);
    assert_eq!(found[0].about, "ip_local_port_range");
    assert!(found[0].evidence[1].contains("8 connections a second"));

    host.now.ports = PortRange { range: 1_024..=65_535, reserved: 1 };
    host.knob("ipv4.ip_local_reserved_ports", "9000-9010");
    host.listener("0.0.0.0:8080", 0, 128);
    host.listener("[::]:8080", 0, 128);
    host.listener("0.0.0.0:9001", 0, 128);
    host.listener("0.0.0.0:443", 0, 128);
    host.listener("0.0.0.0:45000", 0, 128);
    let found = found_in(&host);
    assert_eq!(found[0].about, "ip_local_reserved_ports");
    let line = "sysctl -w net.ipv4.ip_local_reserved_ports=9000-9010,8080";
    assert_eq!(found[0].host[0].line, line);
}
