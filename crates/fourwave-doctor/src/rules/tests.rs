//! The rules on made snapshots: what each one needs to speak, and what makes it keep silent.

mod closing;
mod make;
mod ports;
mod queues;
mod settings;

use std::time::Duration;

use fourwave_core::state::State;

use crate::diagnose;
use crate::{FindingKind, Severity, Thresholds};
use make::{Host, kinds};

#[test]
fn an_empty_host_is_healthy() {
    assert_eq!(diagnose(&Host::new().once(), &Thresholds::default()), []);
}

/// A web server and its database: thousands of connections, many TIME_WAIT on both sides, a few of
/// everything that is normal.
fn busy() -> Host {
    let mut host = Host::new();
    host.listener("0.0.0.0:443", 12, 4096);
    host.listener("[::]:80", 0, 511);
    host.listener("127.0.0.1:6379", 1, 511);
    // A program that let the kernel choose its port.
    host.listener("0.0.0.0:40001", 0, 128);
    for client in 0..5_000 {
        host.client("10.1.0.1:443", client, State::Established);
    }
    for client in 5_000..12_000 {
        host.client("10.1.0.1:443", client, State::TimeWait).waits(client as u64 % 60);
    }
    for client in 12_000..12_030 {
        host.client("10.1.0.1:443", client, State::LastAck).again(3);
        host.client("10.1.0.1:443", client + 100, State::FinWait1).again(1);
        host.client("10.1.0.1:443", client + 200, State::FinWait2);
        host.client("10.1.0.1:443", client + 300, State::SynReceived);
    }
    for port in 33_000..35_000 {
        host.calls("10.1.0.1", port, "10.2.0.5:5432", State::TimeWait).waits(port as u64 % 60);
    }
    for port in 35_000..35_200 {
        host.calls("10.1.0.1", port, "10.2.0.5:5432", State::Established).owned(7, "app", 9);
    }
    // Closed by the other side a moment ago.
    for port in 36_000..36_100 {
        host.calls("10.1.0.1", port, "10.2.0.6:80", State::CloseWait).owned(7, "app", 9).aged(2);
    }
    // Old, but so few that a pool explains them.
    for port in 36_200..36_204 {
        host.calls("10.1.0.1", port, "10.2.0.6:80", State::CloseWait).owned(7, "app", 9).aged(600);
    }
    host.counter("TcpOutSegs", 2_000_000, 200_000);
    host.counter("TcpRetransSegs", 9_000, 1_500);
    host.counter("TcpActiveOpens", 400_000, 300);
    host.counter("TcpPassiveOpens", 900_000, 400);
    host.counter("TcpExtTW", 1_000_000, 500);
    host.counter("TcpExtListenOverflows", 17, 0);
    host.counter("TcpExtSyncookiesSent", 3, 0);
    host.counter("TcpExtTCPTimeWaitOverflow", 2, 0);
    host
}

#[test]
fn a_healthy_busy_host_has_no_finding() {
    let found = diagnose(&busy().over(Duration::from_secs(2)), &Thresholds::default());
    assert_eq!(kinds(&found), [], "{found:#?}");
}

#[test]
fn the_most_harmful_comes_first_then_the_largest() {
    let mut host = busy();
    host.knob("ipv4.tcp_fin_timeout", "15");
    for port in 37_000..37_020 {
        host.calls("10.1.0.1", port, "10.2.0.6:80", State::CloseWait).owned(8, "a", 3).aged(70);
    }
    for port in 37_100..37_150 {
        host.calls("10.1.0.1", port, "10.2.0.6:80", State::CloseWait).owned(9, "b", 3).aged(70);
    }
    host.listener("0.0.0.0:8080", 6, 5);
    let found = diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default());
    let order: Vec<_> =
        found.iter().map(|one| (one.kind, one.severity, one.about.as_str())).collect();
    assert_eq!(
        order,
        [
            (FindingKind::AcceptQueueFull, Severity::Critical, "0.0.0.0:8080"),
            (FindingKind::CloseWaitLeak, Severity::Warning, "pid 9"),
            (FindingKind::CloseWaitLeak, Severity::Warning, "pid 8"),
            (FindingKind::Setting, Severity::Advice, "tcp_fin_timeout"),
        ]
    );
}

#[test]
fn retransmissions_need_traffic_and_a_sample() {
    let mut host = Host::new();
    host.counter("TcpOutSegs", 0, 900);
    host.counter("TcpRetransSegs", 0, 90);
    let few = host.over(Duration::from_secs(2));
    assert_eq!(kinds(&diagnose(&few, &Thresholds::default())), []);
    host.counter("TcpOutSegs", 0, 9_000);
    host.counter("TcpRetransSegs", 0, 1_000);
    host.counter("TcpExtTCPSynRetrans", 0, 800);
    let found = diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default());
    assert_eq!(kinds(&found), [FindingKind::Retransmissions]);
    assert_eq!(found[0].headline, "10% of the segments sent are retransmissions");
    assert!(found[0].cause.contains("most are SYNs"));
    assert_eq!(kinds(&diagnose(&host.once(), &Thresholds::default())), [], "no time, no rate");
}

#[test]
fn sentences_have_no_line_feeds_and_name_no_lie() {
    let mut host = busy();
    host.knob("ipv4.tcp_fin_timeout", "15");
    host.listener("0.0.0.0:8080", 6, 5);
    for finding in diagnose(&host.over(Duration::from_secs(2)), &Thresholds::default()) {
        let all = finding.evidence.iter().chain(&finding.program).chain(&finding.does_not_help);
        for text in all.chain([&finding.headline, &finding.cause]) {
            assert!(!text.is_empty() && !text.contains('\n') && !text.contains("  "), "{text:?}");
        }
    }
}
