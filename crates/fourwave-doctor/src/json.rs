//! The report as JSON lines for machines. `SCHEMA.md` says what every field means.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::{Command, Finding, Limitation, Sample, Scope, Severity, Snapshot, Statistics};

/// How many destinations a `host` line has at most; the others are in `destinations`.
const MOST: usize = 100;

/// One `host` line, a `finding` line for each, a `limitation` line for each. Ends with a line feed.
pub fn lines(sample: &Sample, findings: &[Finding]) -> String {
    let mut out = String::new();
    let t = unix(sample.after.taken);
    write(&mut out, &host(sample, findings));
    for finding in findings {
        write(&mut out, &Out::Finding(Box::new(Found::of(t, finding))));
    }
    for Limitation { what, remedy } in &sample.after.limitations {
        write(&mut out, &Out::Limitation { t, what, remedy });
    }
    out
}

fn write(out: &mut String, line: &Out<'_>) {
    match serde_json::to_string(line) {
        Ok(text) => {
            let _infallible = writeln!(out, "{text}");
        }
        // Maps with keys that are no strings are the only cause, and there is none.
        Err(error) => debug_assert!(false, "{error}"),
    }
}

/// Seconds with milliseconds, since the epoch of Unix.
fn unix(at: SystemTime) -> f64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    seconds(since)
}

fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Out<'a> {
    Host(Box<Host<'a>>),
    Finding(Box<Found<'a>>),
    Limitation { t: f64, what: &'a str, remedy: &'a str },
}

#[derive(Serialize)]
struct Host<'a> {
    t: f64,
    scope: String,
    interval: f64,
    healthy: bool,
    findings: usize,
    worst: Option<Severity>,
    states: BTreeMap<&'static str, u64>,
    time_wait_kernel: u64,
    ports: Ports,
    destinations: Vec<Destination>,
    close_wait: Vec<CloseWait>,
    listeners: Vec<Listener>,
    orphans: u64,
    orphans_limit: Option<u64>,
    counters: BTreeMap<&'a str, u64>,
    sysctls: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Ports {
    first: u16,
    last: u16,
    available: u32,
}

#[derive(Serialize)]
struct Destination {
    from: String,
    to: String,
    used: u64,
    time_wait: u64,
    per_second: f64,
}

#[derive(Serialize)]
struct CloseWait {
    pid: Option<u32>,
    program: Option<String>,
    count: u64,
    unread: u64,
}

#[derive(Serialize)]
struct Listener {
    local: String,
    program: Option<String>,
    queue: u32,
    backlog: u32,
    half_open: u32,
}

#[derive(Serialize)]
struct Found<'a> {
    t: f64,
    kind: &'static str,
    severity: Severity,
    about: &'a str,
    headline: &'a str,
    evidence: &'a [String],
    cause: &'a str,
    program: &'a [String],
    host: &'a [Command],
    does_not_help: &'a [String],
}

impl<'a> Found<'a> {
    fn of(t: f64, finding: &'a Finding) -> Self {
        let Finding {
            kind,
            severity,
            about,
            headline,
            evidence,
            cause,
            program,
            host,
            does_not_help,
        } = finding;
        let (kind, severity) = (kind.name(), *severity);
        Self { t, kind, severity, about, headline, evidence, cause, program, host, does_not_help }
    }
}

fn host<'a>(sample: &'a Sample, findings: &[Finding]) -> Out<'a> {
    let now: &Snapshot = &sample.after;
    let statistics = Statistics::of(sample);
    let grown = |(name, _): (&'a String, &u64)| Some((name.as_str(), sample.grown(name)));
    Out::Host(Box::new(Host {
        t: unix(now.taken),
        scope: match &now.scope {
            Scope::Own => "own".to_owned(),
            Scope::Pid(pid) => format!("pid {pid}"),
            Scope::Netns(name) => format!("netns {name}"),
        },
        interval: seconds(sample.interval),
        healthy: findings.is_empty(),
        findings: findings.len(),
        worst: findings.iter().map(|one| one.severity).max(),
        states: statistics.states.iter().map(|(state, number)| (state.name(), *number)).collect(),
        time_wait_kernel: now.time_wait,
        ports: Ports {
            first: *now.ports.range.start(),
            last: *now.ports.range.end(),
            available: now.ports.len(),
        },
        destinations: statistics
            .destinations
            .iter()
            .take(MOST)
            .map(|one| Destination {
                from: one.from.to_string(),
                to: one.to.to_string(),
                used: one.used,
                time_wait: one.time_wait,
                per_second: (one.per_second * 10.0).round() / 10.0,
            })
            .collect(),
        close_wait: statistics
            .close_wait
            .into_iter()
            .map(|one| {
                let (program, pid) = one.program.unzip();
                CloseWait { pid, program, count: one.count, unread: one.unread }
            })
            .collect(),
        listeners: statistics
            .listeners
            .into_iter()
            .map(|one| Listener {
                local: one.local.to_string(),
                program: one.program,
                queue: one.queue,
                backlog: one.backlog,
                half_open: one.half_open,
            })
            .collect(),
        orphans: now.orphans.now,
        orphans_limit: Some(now.orphans.limit).filter(|limit| *limit > 0),
        counters: now.counters.iter().filter_map(grown).filter(|(_, n)| *n > 0).collect(),
        sysctls: &now.sysctls,
    }))
}
