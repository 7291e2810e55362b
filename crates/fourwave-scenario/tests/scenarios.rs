//! Every scenario comes out as it must, prints what the snapshots say, and can fail.

use fourwave_core::Config;
use fourwave_scenario::{Performance, all, find, text};

fn play(name: &str, settings: &[(&str, &str)]) -> Performance {
    let mut config = Config::default();
    for (knob, value) in settings {
        config.set(knob, value).unwrap();
    }
    find(name).unwrap().play(&config)
}

/// What failed, in one line; empty when nothing did.
fn failure(name: &str, settings: &[(&str, &str)]) -> String {
    play(name, settings).failure.map(|failure| failure.to_string()).unwrap_or_default()
}

#[test]
fn every_scenario_comes_out_and_prints_the_same_as_ever() {
    for scenario in all() {
        let performance = scenario.play(&Config::default());
        assert_eq!(performance.failure, None, "{}", scenario.name);
        assert!(!performance.outcome.is_empty(), "{}", scenario.name);
        assert!(!performance.metrics.is_empty(), "{}", scenario.name);
        let printed = text::render(&performance, &text::TextOptions::default());
        for line in printed.lines() {
            let width = line.chars().count();
            assert!(width <= 100, "{}: {width} columns: {line}", scenario.name);
        }
        insta::assert_snapshot!(scenario.name, printed);
    }
}

#[test]
fn the_same_again_is_the_same() {
    for name in ["old-duplicate-fin", "nat-recycle", "long-connections"] {
        let print = || text::render(&play(name, &[]), &text::TextOptions::default());
        assert_eq!(print(), print(), "{name}");
    }
}

#[test]
fn the_list_names_every_scenario_once() {
    insta::assert_snapshot!("list", text::list(100));
}

#[test]
fn narrow_and_in_ascii() {
    let options = text::TextOptions { width: 72, ascii: true, color: false };
    let printed = text::render(&play("lost-last-ack", &[]), &options);
    assert!(printed.is_ascii());
    assert!(printed.lines().all(|line| line.len() <= 72), "{printed}");
}

/// The reason for TIME_WAIT that no other mechanism takes over: without it an old segment of the
/// first connection enters the second one's stream and ends it.
#[test]
fn an_old_duplicate_hurts_without_time_wait_and_only_then() {
    let performance = play("old-duplicate-fin", &[]);
    assert_eq!(performance.failure, None);
    let metric = |name: &str| performance.metrics[name].as_u64().unwrap();
    assert_eq!(metric("bytes_with_time_wait"), 75_000);
    assert_eq!(metric("foreign_bytes_with_time_wait"), 0);
    assert!(metric("bytes_without") < 75_000);
    assert!(metric("foreign_bytes_without") > 0);
}

/// An engine whose TIME_WAIT does not hold the four-tuple is found out.
#[test]
fn a_broken_time_wait_is_found_out() {
    let broken = [("tcp_max_tw_buckets", "0")];
    assert_eq!(
        failure("old-duplicate-fin", &broken),
        "the same port while in TIME_WAIT: expected refused, got taken"
    );
    assert_eq!(
        failure("lost-last-ack", &broken),
        "the client's TIME_WAIT: expected there, got none"
    );
    assert!(failure("time-wait-assassination", &broken).contains("tcp_rfc1337=1"));
    let short = [("tcp_timewait_len", "1")];
    assert!(failure("too-many-time-wait", &short).starts_with("refused without a remedy"));
}

#[test]
fn knobs_vary_a_scenario() {
    let performance = play("lost-fin-orphan", &[("tcp_orphan_retries", "3")]);
    assert_eq!(performance.failure, None);
    assert_eq!(performance.metrics["fin_retransmits"], 1 + 3);
    let performance = play("fin-wait-2-timeout", &[("tcp_fin_timeout", "5")]);
    assert_eq!(performance.failure, None);
    assert_eq!(performance.metrics["seconds"].as_f64().unwrap().round(), 5.0);
    let settings = [("tcp_keepalive_time", "60"), ("tcp_keepalive_probes", "3")];
    let performance = play("keepalive-dead-peer", &settings);
    assert_eq!(performance.failure, None);
    assert_eq!(performance.metrics["seconds"], 60 + 3 * 75);
    let performance = play("four-waves", &[("tcp_timewait_len", "7")]);
    assert_eq!(performance.metrics["time_wait_seconds"], 7);
}
