//! `--listen`, scraped with curl.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::common::{Bounded, fourwave, stderr, stdout};
use crate::host::{ADDRESS, Fault, Host};

/// Starts it; where it is to be scraped.
fn listen(host: &Host, arguments: &[&str]) -> (Fault, String) {
    let mut command = host.command(env!("CARGO_BIN_EXE_fourwave"));
    command.args(["doctor", "--listen", "127.0.0.1:0", "--sample", "200ms"]).args(arguments);
    command.stderr(Stdio::piped());
    let mut serving = Fault::spawn(command);
    let mut line = String::new();
    BufReader::new(serving.stderr()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("fourwave: metrics at ").unwrap_or_else(|| panic!("{line}"));
    (serving, url.to_owned())
}

fn scrape(host: &Host, url: &str) -> String {
    host.run("curl", &["-sSf", "--noproxy", "*", url])
}

/// Holds the text to OpenMetrics: each row belongs to the family that was described before it, no
/// row comes twice, and the end is marked.
fn check(text: &str) {
    let rest = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
    let mut family = String::new();
    let mut seen = std::collections::HashSet::new();
    for line in rest.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            described.split(' ').next().unwrap().clone_into(&mut family);
            continue;
        }
        if let Some(kind) = line.strip_prefix(&format!("# TYPE {family} ")) {
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!([family.clone(), format!("{family}_total")].contains(&name.to_owned()), "{line}");
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(seen.insert(series), "twice: {line}");
    }
    assert!(seen.len() > 30, "{text}");
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn a_scrape_has_the_figures_of_now() {
    let Some(host) = Host::new(&["curl"]) else { return };
    let (serving, url) = listen(&host, &[]);
    let before = scrape(&host, &url);
    check(&before);
    let finding = "fourwave_doctor_findings{kind=\"accept-queue-full\"}";
    assert_eq!(value(&before, finding), Some(0.0));

    let _full = host.fault(&["full", ADDRESS, "8081", "4"]);
    let _clients = host.fault(&["call", ADDRESS, "8081", "12"]);
    let _server = host.fault(&["serve", ADDRESS, "5432"]);
    let _churn = host.fault(&["churn", ADDRESS, "5432", "100"]);
    let queue = "fourwave_doctor_listener_queue{local=\"10.9.0.2:8081\",program=\"python3\"}";
    let waiting = "fourwave_doctor_ports_time_wait{from=\"10.9.0.2\",to=\"10.9.0.2:5432\"}";
    let expected = [(finding, 1.0), (queue, 5.0)];
    let after = crate::host::until("the figures of now", || {
        let text = scrape(&host, &url);
        let is_there = |(series, number): &(&str, f64)| value(&text, series) == Some(*number);
        let many = value(&text, waiting).is_some_and(|number| (90.0..=100.0).contains(&number));
        (many && expected.iter().all(is_there)).then_some(text)
    });
    check(&after);
    let opens = "fourwave_doctor_kernel_total{name=\"TcpActiveOpens\"}";
    assert!(value(&after, opens) > value(&before, opens), "{after}");

    let headers = host.run("curl", &["-sSI", "--noproxy", "*", "-X", "GET", &url]);
    assert!(headers.contains("application/openmetrics-text; version=1.0.0"), "{headers}");
    let other = url.replace("/metrics", "/");
    let other = host.run("curl", &["-s", "--noproxy", "*", "-w", "%{http_code}", &other]);
    assert!(other.contains("/metrics") && other.ends_with("404"), "{other}");
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn it_ends_even_with_a_client_that_says_nothing() {
    let Some(host) = Host::new(&["curl"]) else { return };
    let (serving, url) = listen(&host, &[]);
    let port = url.split([':', '/']).nth(4).unwrap();
    let _silent = host.fault(&["call", "127.0.0.1", port, "1"]);
    scrape(&host, &url);
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn an_address_that_cannot_be_had_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, word) in [(taken.as_str(), "another program"), ("192.0.2.1:9464", "no interface")]
    {
        let output = fourwave().args(["doctor", "--listen", address]).bounded();
        let line = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{line}");
        assert!(
            line.lines().count() == 1 && line.contains(address) && line.contains(word),
            "{line}"
        );
    }
}
