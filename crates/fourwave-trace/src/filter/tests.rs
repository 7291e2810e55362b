//! What filters hold for, and what mistakes say.

use super::Filter;
use crate::fixture::leak;

fn holds(expression: &str) -> bool {
    let filter: Filter = expression.parse().unwrap_or_else(|error| panic!("{error}"));
    filter.holds(&leak())
}

#[test]
fn every_test_tells_the_leak_from_what_it_is_not() {
    for (yes, no) in [
        ("host 10.0.0.1", "host 10.0.0.2"),
        ("host 10.0.0.0/8", "host 11.0.0.0/8"),
        ("client 10.0.0.1", "server 10.0.0.1"),
        ("server host [2001:db8::2]", "client host 2001:db8::/32"),
        ("client ::ffff:10.0.0.1", "client ::ffff:10.0.0.9"),
        ("port 8080", "port 80"),
        ("server port 8000-8999", "client port 8080"),
        ("port = 40000", "port != 40000"),
        ("state CLOSE_WAIT", "state TIME_WAIT"),
        ("state close-wait", "client state CLOSE_WAIT"),
        ("end open", "end = orderly"),
        ("closed-first client", "closed-first server"),
        ("anomaly close-wait-lingers", "anomaly refused"),
        ("bytes > 3MB", "bytes > 3.1MB"),
        ("server bytes >= 3000kB", "client bytes >= 3000kB"),
        ("bytes > 2MiB", "bytes <= 2MiB"),
        ("segments = 2100", "segments > 5k"),
        ("retransmitted > 0", "client retransmitted > 0"),
        ("zero-windows == 2", "zero-windows < 2"),
        ("lasted >= 2s", "lasted > 2s"),
        ("lasted < 1min", "lasted < 1900ms"),
        ("rtt > 100ms", "rtt>200ms"),
        ("server rtt > 100ms", "client rtt > 0ms"),
        ("not handshake >= 0s", "handshake >= 0s"),
    ] {
        assert!(holds(yes), "{yes}");
        assert!(!holds(no), "{no}");
    }
}

#[test]
fn and_binds_closer_than_or_and_brackets_closest() {
    assert!(holds("port 8080 or port 1 and port 2"));
    assert!(!holds("(port 8080 or port 1) and port 2"));
    assert!(holds("not port 1 and not (port 2 or port 3)"));
    assert!(holds("!port 1 && (port 8080 || port 3)"));
    assert!(holds("NOT port 1 AND Port 8080"));
    assert!(holds("not not port 8080"));
}

#[test]
fn addresses_decide_early_what_they_can() {
    let addrs = leak().addrs;
    for (expression, may, alone) in [
        ("port 8080", true, true),
        ("port 80", false, true),
        ("not host 10.0.0.1", false, true),
        ("port 80 and end reset", false, false),
        ("port 8080 and end reset", true, false),
        ("port 80 or end reset", true, false),
        ("not (port 8080 or end reset)", false, false),
        ("end reset", true, false),
    ] {
        let filter: Filter = expression.parse().unwrap();
        assert_eq!(filter.may_hold(&addrs), may, "{expression}");
        assert_eq!(filter.is_about_addresses(), alone, "{expression}");
    }
}

#[test]
fn mistakes_point_at_their_place_and_name_what_is_near() {
    let mistakes = [
        "",
        "prot 80",
        "port",
        "port 70000",
        "port 80 end reset",
        "port 80 and",
        "(port 80",
        "port 80)",
        "state CLOSE_WIAT",
        "state 7",
        "end resets",
        "closed-first me",
        "anomaly fin-never-acked",
        "host example.org",
        "host 10.0.0.0/33",
        "bytes 5",
        "bytes > 5 parsec",
        "bytes > 5parsec",
        "lasted > 5",
        "rtt > fast",
        "port > 80",
        "client end reset",
        "server lasted > 1s",
        "client",
        "client and port 80",
        "port\t80 or µ",
        "port 80 | port 81",
    ];
    let mut out = String::new();
    for expression in mistakes {
        let error = expression.parse::<Filter>().expect_err(expression);
        out.push_str(&format!("{error}\n"));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn nesting_has_an_end_and_the_stack_none() {
    let deep = |n: usize| format!("{}port 1{}", "(".repeat(n), ")".repeat(n));
    assert!(deep(60).parse::<Filter>().is_ok());
    let error = deep(100_000).parse::<Filter>().unwrap_err();
    assert_eq!(error.place, 64..65);
    assert!(format!("{}port 1", "not ".repeat(100_000)).parse::<Filter>().is_err());
    assert!("!".repeat(100_000).parse::<Filter>().is_err());
}
