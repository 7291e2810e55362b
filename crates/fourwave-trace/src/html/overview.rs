//! The whole capture, as the page's template shows it.

use std::time::Duration;

use fourwave_lens::{AnomalyKind, Severity, units};

use crate::overview::{FileRead, Lifetimes, Overview, Service, Suspect};
use crate::sink::Numbering;

/// Everything that the template prints. Counts and spans are for people already.
#[derive(Debug)]
pub(super) struct View {
    pub(super) files: Vec<File>,
    /// From, to, how long.
    pub(super) span: Option<[String; 3]>,
    /// Connections in the page.
    pub(super) shown: String,
    pub(super) none: bool,
    /// Figures: name, value, a remark.
    pub(super) tiles: Vec<(&'static str, String, String)>,
    pub(super) ends: Vec<End>,
    pub(super) services: Vec<Closer>,
    pub(super) lifetimes: Option<Life>,
    pub(super) anomalies: Vec<Group>,
    pub(super) suspects: Vec<Suspicion>,
    /// What is not in the page, and why.
    pub(super) notes: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) notes: Vec<String>,
}

/// Connections that ended alike.
#[derive(Debug)]
pub(super) struct End {
    pub(super) name: &'static str,
    pub(super) count: String,
    pub(super) percent: f64,
}

/// Who closes first at one service.
#[derive(Debug)]
pub(super) struct Closer {
    pub(super) port: u16,
    pub(super) connections: String,
    pub(super) parts: Vec<Part>,
    pub(super) words: String,
    pub(super) time_wait: [String; 2],
    pub(super) bytes: [String; 2],
}

/// A part of a bar, in per cent.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) from: f64,
    pub(super) width: f64,
    pub(super) title: String,
}

/// Lifetimes on a logarithmic axis: places in per cent.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) connections: String,
    pub(super) marks: Vec<Mark>,
    /// From the shortest to the longest, to half, to nine of ten.
    pub(super) spans: [(&'static str, f64, f64); 3],
}

/// A quantile.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) at: f64,
}

/// Anomalies of one weight.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) severity: &'static str,
    pub(super) kinds: Vec<(&'static str, &'static str, String)>,
}

/// A connection that is worth looking at.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) conn: u64,
    pub(super) ends: [String; 2],
    pub(super) severity: &'static str,
    pub(super) title: &'static str,
    pub(super) text: String,
    pub(super) packets: String,
}

impl View {
    pub(super) fn of(overview: &Overview, numbering: &Numbering, left_out: u64) -> Self {
        let shown = overview.connections.saturating_sub(left_out);
        let span = overview.span.map(|(from, to)| {
            let span = units::span(to.saturating_sub(from));
            [units::clock(from), units::clock(to), span]
        });
        Self {
            files: overview.files.iter().map(file).collect(),
            span,
            shown: units::count(shown),
            none: overview.connections == 0,
            tiles: tiles(overview),
            ends: ends(overview),
            services: overview.services.iter().map(service).collect(),
            lifetimes: lifetimes(&overview.lifetimes),
            anomalies: anomalies(overview),
            suspects: overview.suspects.iter().map(|one| suspicion(one, numbering)).collect(),
            notes: notes(overview, left_out),
        }
    }
}

fn file(read: &FileRead) -> File {
    let tally = &read.tally;
    let what = format!("{}, {}", units::counted(tally.frames, "packet"), units::bytes(tally.bytes));
    let mut notes = Vec::new();
    notes.extend(read.damaged.as_ref().map(|why| format!("stopped early: {why}")));
    let kinds = [
        (tally.cut, "cut short by the snapshot length"),
        (tally.other, "without IP"),
        (tally.twice, "in the capture twice, counted once"),
    ];
    for (n, text) in kinds {
        if n > 0 {
            notes.push(format!("{} {text}", units::counted(n, "packet")));
        }
    }
    for (link, n) in &tally.unknown_links {
        notes.push(format!("{} of the unknown link type {link}", units::counted(*n, "packet")));
    }
    if let Some(dropped) = tally.dropped.filter(|n| *n > 0) {
        notes
            .push(format!("{} dropped by the capturing system", units::counted(dropped, "packet")));
    }
    let name = if read.name == "-" { "standard input" } else { &read.name };
    File { name: name.to_owned(), what, notes }
}

fn tiles(overview: &Overview) -> Vec<(&'static str, String, String)> {
    let [client, server] = overview.bytes.map(units::bytes);
    let retransmitted = overview.retransmitted;
    let share = match overview.segments {
        0 => String::new(),
        all => {
            format!("{:.2} % of {}", 100.0 * retransmitted as f64 / all as f64, units::count(all))
        }
    };
    let suspects = overview.suspects.len();
    let most = if suspects == 20 { "the worst 20 are below" } else { "all are below" };
    let most = if suspects == 0 { "" } else { most };
    vec![
        ("connections", units::count(overview.connections), String::new()),
        ("by clients", client, "bytes of the streams".to_owned()),
        ("by servers", server, "bytes of the streams".to_owned()),
        ("segments retransmitted", units::count(retransmitted), share),
        ("suspects", units::count(suspects as u64), most.to_owned()),
    ]
}

fn ends(overview: &Overview) -> Vec<End> {
    let all = overview.ends.values().sum::<u64>().max(1) as f64;
    let mut ends: Vec<_> = overview.ends.iter().filter(|(_, count)| **count > 0).collect();
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let end = |(name, count): (&&'static str, &u64)| End {
        name,
        count: units::count(*count),
        percent: 100.0 * *count as f64 / all,
    };
    ends.into_iter().map(end).collect()
}

fn service(service: &Service) -> Closer {
    let [client, server] = service.closed_first;
    let [client_rst, server_rst] = service.reset;
    let kinds = [
        ("cf", client, "closed first by the client"),
        ("sf", server, "closed first by the server"),
        ("cr", client_rst, "reset by the client"),
        ("sr", server_rst, "reset by the server"),
        ("un", service.unopened, "never opened"),
    ];
    let sum: u64 = kinds.iter().map(|(_, n, _)| n).sum();
    let all = sum.max(service.connections).max(1) as f64;
    let (mut parts, mut words, mut from) = (Vec::new(), Vec::new(), 0.0);
    for (class, n, text) in kinds.into_iter().filter(|(_, n, _)| *n > 0) {
        let width = 100.0 * n as f64 / all;
        let title = format!("{} {text}", units::count(n));
        words.push(title.clone());
        parts.push(Part { class, from, width, title });
        from += width;
    }
    Closer {
        port: service.port,
        connections: units::count(service.connections),
        parts,
        words: words.join(", "),
        time_wait: service.time_wait.map(|n| if n == 0 { "–".to_owned() } else { units::count(n) }),
        bytes: service.bytes.map(units::bytes),
    }
}

fn lifetimes(life: &Lifetimes) -> Option<Life> {
    if life.connections == 0 {
        return None;
    }
    // Microseconds on a logarithmic axis; equal ones stand in the middle.
    let place = |d: Duration| (d.as_micros().max(1) as f64).log10();
    let (low, high) = (place(life.quantiles[0]), place(life.quantiles[4]));
    let at = |d: Duration| {
        if high - low < 1e-9 { 50.0 } else { 2.0 + 96.0 * (place(d) - low) / (high - low) }
    };
    let names = ["shortest", "half", "9 of 10", "99 of 100", "longest"];
    let mark =
        |(name, d): (&'static str, Duration)| Mark { name, value: units::span(d), at: at(d) };
    let marks: Vec<Mark> = names.into_iter().zip(life.quantiles).map(mark).collect();
    let from = marks[0].at;
    let to = |class, index: usize| (class, from, (marks[index].at - from).max(0.5));
    let spans = [to("all", 4), to("most", 2), to("half", 1)];
    Some(Life { connections: units::count(life.connections), spans, marks })
}

fn anomalies(overview: &Overview) -> Vec<Group> {
    let group = |severity: Severity| {
        let of_it = |(kind, _): &(&AnomalyKind, &u64)| kind.severity() == severity;
        let mut kinds: Vec<_> = overview.anomalies.iter().filter(of_it).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let words = kinds.into_iter().filter(|(_, count)| **count > 0);
        let words = words.map(|(kind, n)| (kind.name(), kind.title(), units::count(*n)));
        Group { severity: severity.name(), kinds: words.collect() }
    };
    let groups = [Severity::Error, Severity::Warning, Severity::Note].map(group);
    groups.into_iter().filter(|group| !group.kinds.is_empty()).collect()
}

fn suspicion(suspect: &Suspect, numbering: &Numbering) -> Suspicion {
    let packets = suspect.packets.iter().map(|&n| numbering.text(n)).collect::<Vec<_>>();
    Suspicion {
        conn: suspect.conn,
        ends: suspect.addrs.map(|addr| addr.to_string()),
        severity: suspect.severity.name(),
        title: suspect.kind.title(),
        text: suspect.text.clone(),
        packets: packets.join(", "),
    }
}

fn notes(overview: &Overview, left_out: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!(
            "{} more are counted above and not in this page: it holds the first {} \
             (--html-limit takes more)",
            units::counted(left_out, "connection"),
            units::count(overview.connections.saturating_sub(left_out)),
        ));
    }
    if overview.filtered_out > 0 {
        let n = units::counted(overview.filtered_out, "connection");
        notes.push(format!("{n} did not pass the filter and count nowhere"));
    }
    let ignored = &overview.ignored;
    let kinds = [
        (ignored.other, "of other protocols"),
        (ignored.unreadable, "malformed, cut too short or fragments"),
        (ignored.stray, "RST or ICMP without a connection"),
        (ignored.late, "of connections that were reported already"),
    ];
    for (n, text) in kinds.into_iter().filter(|(n, _)| *n > 0) {
        notes.push(format!("{} not used: {text}", units::counted(n, "packet")));
    }
    notes
}
