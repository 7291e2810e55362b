use std::time::Duration;

use super::*;
use crate::statistics::tests::busy;
use crate::{Thresholds, diagnose};

fn diagnosis() -> Diagnosis {
    let mut sample = busy();
    for (name, value) in [("TcpExtTW", 5), ("TcpRetransSegs", 7), ("TcpExtOther", 9)] {
        sample.after.counters.insert(name.to_owned(), value);
    }
    let findings = diagnose(&sample, &Thresholds::default());
    Diagnosis { sample, findings, took: Duration::from_millis(12) }
}

/// Every row of the text that is no comment.
fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_look_becomes_rows() {
    let text = text(&diagnosis()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let rows = rows(&text);
    for row in [
        "fourwave_doctor_sockets{state=\"TIME_WAIT\"} 800.0",
        "fourwave_doctor_ports_used{from=\"10.0.0.1\",to=\"10.0.0.9:5432\"} 800.0",
        "fourwave_doctor_ports_time_wait{from=\"10.0.0.1\",to=\"10.0.0.9:5432\"} 800.0",
        "fourwave_doctor_ports_limit 1000.0",
        "fourwave_doctor_close_wait{program=\"leaky\"} 12.0",
        "fourwave_doctor_close_wait_unread_bytes{program=\"leaky\"} 1200.0",
        "fourwave_doctor_listener_queue{local=\"0.0.0.0:80\",program=\"nginx\"} 100.0",
        "fourwave_doctor_listener_backlog{local=\"0.0.0.0:80\",program=\"nginx\"} 128.0",
        "fourwave_doctor_orphans 3.0",
        "fourwave_doctor_findings{kind=\"syn-backlog\"} 0.0",
        "fourwave_doctor_findings{kind=\"ports-exhausted\"} 1.0",
        "fourwave_doctor_kernel_total{name=\"TcpExtTW\"} 5",
        "fourwave_doctor_collection_seconds 0.012",
        "fourwave_doctor_sample_seconds 2.0",
    ] {
        assert!(rows.contains(&row), "{row}\nis not in\n{text}");
    }
    assert!(!text.contains("TcpExtOther"));
}

#[test]
fn labels_stay_bounded_and_the_largest_are_kept() {
    let mut diagnosis = diagnosis();
    for n in 0..500u16 {
        let to = format!("10.1.{}.{}:80", n / 250, n % 250);
        diagnosis.sample.after.sockets.push(crate::statistics::tests::socket(
            fourwave_core::state::State::TimeWait,
            40_000,
            &to,
        ));
        diagnosis.sample.after.listeners.push(crate::statistics::tests::listener(1000 + n, 0, 5));
    }
    let text = text(&diagnosis).unwrap();
    for name in ["ports_used{", "listener_queue{"] {
        let name = format!("{PREFIX}_{name}");
        let number = text.lines().filter(|line| line.starts_with(&name)).count();
        assert_eq!(number, MOST_ROWS, "{name}");
    }
    assert!(text.contains("10.0.0.9:5432") && text.contains("0.0.0.0:80"));
    assert!(text.contains("fourwave_doctor_destinations 502"), "{text}");
}

#[test]
fn listeners_that_share_an_address_are_one_row() {
    let mut diagnosis = diagnosis();
    let twin = diagnosis.sample.after.listeners[0].clone();
    diagnosis.sample.after.listeners.push(twin);
    let text = text(&diagnosis).unwrap();
    let row = "fourwave_doctor_listener_backlog{local=\"0.0.0.0:80\",program=\"nginx\"} 256.0\n";
    assert!(text.contains(row), "{text}");
}

#[test]
fn a_programs_name_cannot_break_the_format() {
    let mut diagnosis = diagnosis();
    for owners in diagnosis.sample.after.owners.values_mut() {
        owners[0].program = "a\"b\\c\nd".into();
    }
    let text = text(&diagnosis).unwrap();
    assert!(text.contains(r#"close_wait{program="a\"b\\c\nd"} 12.0"#), "{text}");
}

#[test]
fn the_page_names_every_metric_and_no_other() {
    let page = include_str!("../../../../docs/doctor.md");
    let section = page.split("\n## Metrics\n").nth(1).expect("a section on metrics");
    let section = section.split("\n## ").next().unwrap();
    let named: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
        .collect();
    let text = text(&diagnosis()).unwrap();
    let mut served: Vec<&str> =
        rows(&text).iter().map(|row| row.split(['{', ' ']).next().unwrap()).collect();
    served.dedup();
    assert_eq!(named, served);
}

#[test]
fn a_backlog_that_is_not_known_is_no_row() {
    let mut diagnosis = diagnosis();
    diagnosis.sample.after.listeners[0].backlog = 0;
    let text = text(&diagnosis).unwrap();
    let row = |name: &str| rows(&text).iter().any(|row| row.starts_with(name));
    assert!(row("fourwave_doctor_listener_queue{local=\"0.0.0.0:80\""), "{text}");
    assert!(!row("fourwave_doctor_listener_backlog{local=\"0.0.0.0:80\""), "{text}");
}

#[test]
fn told_to_end_the_moment_it_runs_it_ends_well() {
    use rustix::process::{Signal, getpid, kill_process};
    let address = "127.0.0.1:0".parse().unwrap();
    let every = Duration::from_secs(1);
    let end = |_| kill_process(getpid(), Signal::TERM).unwrap();
    serve(crate::Scope::Own, Thresholds::default(), every, address, end).unwrap();
}
