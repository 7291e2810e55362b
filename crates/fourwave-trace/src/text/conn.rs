//! One connection: its ladder, its metrics, its anomalies.

use std::time::Duration;

use fourwave_lens::ladder;
use fourwave_lens::paint::{Line, Style};
use fourwave_lens::units::{bytes, count, counted, seconds, span};
use fourwave_lens::{
    Anomaly, ClosedBy, ConnectionRecord, EndMetrics, Ended, Metrics, Names, Retransmissions, Role,
    RstCause, Severity,
};

use super::{TextOptions, paragraph, sentence};
use crate::sink::Numbering;

/// Where names of facts begin below a ladder, and where their texts do.
const NAME: usize = 13;
const FACT: usize = 29;

/// Bytes, and the time for them, from which on a rate is reported.
const LITTLE: u64 = 10_000;
const BURST: Duration = Duration::from_millis(5);

/// The ladder of `record` and all that is known beside it.
pub(super) fn render(
    record: &ConnectionRecord,
    options: &TextOptions,
    numbering: &Numbering,
) -> String {
    let mut ladder_options = options.ladder.clone();
    ladder_options.packets = true;
    // A ladder knows one number for a packet: that in its file.
    let mut numbered = record.clone();
    for row in &mut numbered.entries {
        if row.packet > 0 {
            row.packet = numbering.locate(row.packet).1;
        }
    }
    let mut out = ladder::render(&numbered, &ladder_options);
    for (name, text) in facts(record, options, numbering) {
        fact(name, &text, options, &mut out);
    }
    for anomaly in &record.anomalies {
        self::anomaly(anomaly, record, options, numbering, &mut out);
    }
    out
}

/// One line: number, ends, size, who closed first and why, names of anomalies.
pub(super) fn line(record: &ConnectionRecord, options: &TextOptions) -> String {
    let names = &options.ladder.names;
    let [client, server] = record.addrs;
    let [up, down] = record.bytes.map(bytes);
    let segments = counted(record.segments.iter().sum(), "segment");
    let mut line = Line::new(options.ladder.color);
    line.put(Style::Bold, &format!("{:>6}", record.conn));
    line.put(Style::Plain, &format!("  {client} → {server}"));
    line.put(Style::Dim, &format!("  {segments} in {}, {up} →, {down} ←; ", span(record.lasted())));
    line.put(Style::Plain, &ending(record, names));
    let mut names: Vec<(Severity, &str)> =
        record.anomalies.iter().map(|one| (one.kind.severity(), one.kind.name())).collect();
    names.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    names.dedup();
    for (i, (severity, name)) in names.into_iter().enumerate() {
        line.put(Style::Plain, if i == 0 { "  " } else { ", " });
        line.put(of_severity(severity), name);
    }
    let mut out = String::new();
    line.finish(&mut out);
    out
}

/// Who closed first, and why it ended.
fn ending(record: &ConnectionRecord, names: &Names) -> String {
    let refused = matches!(record.how, Ended::Reset { cause: RstCause::Refused, .. });
    match record.closed_first {
        Some(first) if !refused && (first.by == ClosedBy::Fin || !record.was_reset()) => {
            let who = names.word(first.who, record.addr(first.who));
            format!("{who} closed first, with {}; {}", first.by.name(), record.why(names))
        }
        _ => record.why(names),
    }
}

pub(super) fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Error => Style::Red,
        Severity::Warning => Style::Yellow,
        Severity::Note => Style::Cyan,
    }
}

fn fact(name: &str, text: &str, options: &TextOptions, out: &mut String) {
    let name = format!("{:NAME$}{name}", "");
    paragraph((Style::Bold, &name), FACT, text, options, out);
}

/// `#12, #15 (7 times): sentence. meaning.` and the remedy below it.
fn anomaly(
    anomaly: &Anomaly,
    record: &ConnectionRecord,
    options: &TextOptions,
    numbering: &Numbering,
    out: &mut String,
) {
    let severity = anomaly.kind.severity();
    let name = format!("{:NAME$}{}", "", severity.name());
    let at = proof(anomaly, numbering);
    let at = if at.is_empty() { at } else { format!("{at}: ") };
    let parts = sentence(&anomaly.sentence(record, &options.ladder.names));
    let meaning = sentence(anomaly.kind.meaning());
    paragraph(
        (of_severity(severity), &name),
        FACT,
        &format!("{at}{parts} {meaning}"),
        options,
        out,
    );
    let remedy = format!("→ {}", sentence(anomaly.kind.remedy()));
    paragraph((Style::Plain, ""), FACT, &remedy, options, out);
}

/// The packets that prove it; where not all are kept, how many there were.
fn proof(anomaly: &Anomaly, numbering: &Numbering) -> String {
    let packets = anomaly.proof.packets();
    let mut text = numbers(packets, numbering);
    if anomaly.proof.times() > packets.len() as u64 {
        let times = count(anomaly.proof.times());
        text.push_str(&format!(" (the first ones and the last one of {times})"));
    }
    text
}

/// `#12, #15`, with the name of the file once where there are several.
pub(super) fn numbers(packets: &[u64], numbering: &Numbering) -> String {
    let mut out = String::new();
    let mut file = None;
    let several = numbering.names().len() > 1;
    for (i, packet) in packets.iter().enumerate() {
        let (index, number) = numbering.locate(*packet);
        if let Some(before) = file.filter(|before| *before != index && several) {
            out.push_str(&of_file(before, numbering));
        }
        let comma = if i == 0 { "" } else { ", " };
        out.push_str(&format!("{comma}#{number}"));
        file = Some(index);
    }
    if let (Some(last), true) = (file, several) {
        out.push_str(&of_file(last, numbering));
    }
    out
}

fn of_file(index: usize, numbering: &Numbering) -> String {
    numbering.names().nth(index).map(|name| format!(" of {name}")).unwrap_or_default()
}

/// What the ladder does not tell.
fn facts(
    record: &ConnectionRecord,
    options: &TextOptions,
    numbering: &Numbering,
) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if record.opened_by.is_none() {
        let text = "the capture begins in mid-connection: who opened it, when, and what came \
                    before is not known; the end with the higher port is taken for the client";
        facts.push(("unknown", text.to_owned()));
    }
    facts.extend(files(record, numbering).map(|text| ("packets", text)));
    let Some(metrics) = record.metrics.as_deref() else { return facts };
    let word = |who: Role| options.ladder.names.word(who, record.addr(who));
    if let Some(opening) = metrics.opening.filter(|_| record.handshake.is_none()) {
        facts.push((
            "half-open",
            format!("{} from the first SYN to the end of opening", span(opening)),
        ));
    }
    let each = |of: &dyn Fn(&EndMetrics, Role) -> Option<String>| {
        let parts = Role::BOTH.into_iter().filter_map(|who| of(&metrics.ends[who.index()], who));
        parts.collect::<Vec<_>>().join("; ")
    };
    let round_trips = each(&|end, who| round_trip(end, &word(who.other())));
    let throughput = throughput(record, metrics);
    let retransmitted = each(&|end, who| {
        let kinds = retransmitted(&end.retransmissions);
        (!kinds.is_empty()).then(|| format!("by {}: {kinds}", word(who)))
    });
    let windows = each(&|end, who| {
        let times = (end.zero_windows > 0).then(|| counted(end.zero_windows, "time"))?;
        let closed = span(end.zero_window_time);
        Some(format!("{}'s was closed {times}, {closed} in all", word(who)))
    });
    let probes = each(&|end, who| probes(end, &word(who)));
    for (name, text) in [
        ("round trips", round_trips),
        ("throughput", throughput),
        ("retransmitted", retransmitted),
        ("window", windows),
        ("probes", probes),
    ] {
        if !text.is_empty() {
            facts.push((name, text));
        }
    }
    facts
}

/// Which files a connection's rows stand in, where it begins in one and ends in another.
fn files(record: &ConnectionRecord, numbering: &Numbering) -> Option<String> {
    let packets = || record.entries.iter().map(|row| row.packet).filter(|packet| *packet > 0);
    let (first, last) = (packets().next()?, packets().next_back()?);
    let (first, last) = (numbering.locate(first).0, numbering.locate(last).0);
    let name = |index: usize| numbering.names().nth(index).unwrap_or_default().to_owned();
    if first == last {
        return (numbering.names().len() > 1)
            .then(|| format!("numbers are those of {}", name(first)));
    }
    let mut begins = Vec::new();
    for index in first + 1..=last {
        let row = record
            .entries
            .iter()
            .find(|row| row.packet > 0 && numbering.locate(row.packet).0 == index);
        if let Some(row) = row {
            let at = seconds(row.at.saturating_sub(record.opened));
            begins.push(format!("from {at} those of {}", name(index)));
        }
    }
    Some(format!("numbers are those of {}, {}", name(first), begins.join(", ")))
}

fn round_trip(end: &EndMetrics, to: &str) -> Option<String> {
    let mean = end.rtt.mean()?;
    let (min, max) = (span(end.rtt.min), span(end.rtt.max));
    let samples = counted(end.rtt.samples, "sample");
    let times = match min == max {
        true => format!("{max} ({samples})"),
        false => format!("{} ({min} to {max}, {samples})", span(mean)),
    };
    Some(format!("from here to {to} and back {times}"))
}

fn throughput(record: &ConnectionRecord, metrics: &Metrics) -> String {
    let of = |who: Role| {
        let carried = record.bytes[who.index()];
        // Of less, the rate is that of a burst.
        let (first, last) = metrics.ends[who.index()].data?;
        if carried < LITTLE || last.saturating_sub(first) < BURST {
            return None;
        }
        let rate = metrics.ends[who.index()].throughput(carried)?;
        let arrow = if who == Role::Client { "→" } else { "←" };
        Some(format!("{}/s {arrow}", bytes(rate as u64)))
    };
    let rates: Vec<String> = Role::BOTH.into_iter().filter_map(of).collect();
    if rates.is_empty() {
        return String::new();
    }
    format!("{} while data came", rates.join(", "))
}

/// `2 SYN, 3 after duplicate ACKs, 1 after a timeout`.
fn retransmitted(retransmitted: &Retransmissions) -> String {
    let Retransmissions { syn, fin, fast, timeout, spurious } = *retransmitted;
    let kinds = [
        (syn, "SYN"),
        (fin, "FIN"),
        (fast, "fast (duplicate ACKs asked for them)"),
        (timeout, "after a timeout"),
        (spurious, "needlessly (they had arrived)"),
    ];
    let parts = kinds.into_iter().filter(|(n, _)| *n > 0);
    parts.map(|(n, kind)| format!("{} {kind}", count(n))).collect::<Vec<_>>().join(", ")
}

fn probes(end: &EndMetrics, who: &str) -> Option<String> {
    let mut parts = Vec::new();
    if end.keepalives > 0 {
        parts.push(format!("{} for keepalive", count(end.keepalives)));
    }
    if end.window_probes > 0 {
        parts.push(format!("{} of a closed window", count(end.window_probes)));
    }
    (!parts.is_empty()).then(|| format!("{who} sent {}", parts.join(", ")))
}
