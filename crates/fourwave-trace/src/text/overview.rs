//! A whole capture in a page of text.

use fourwave_capture::{Tally, link_name};
use fourwave_lens::Severity;
use fourwave_lens::paint::{Line, Style, wrap};
use fourwave_lens::units::{bytes, clock, count, counted, span};

use super::conn::{numbers, of_severity};
use super::table::{Column, bar, percent, table};
use super::{TextOptions, paragraph, sentence, styled};
use crate::overview::{FileRead, Overview, Service, Suspect};
use crate::sink::Numbering;

/// Suspects that are reported; JSON and the page have more.
const SUSPECTS: usize = 10;
/// Columns of the longest bar.
const BAR: usize = 40;

/// A line for each file, and what is wrong with it.
pub(super) fn files(overview: &Overview, options: &TextOptions, out: &mut String) {
    for file in &overview.files {
        let packets = counted(file.tally.frames, "packet");
        let mut text = format!("{packets}, {}", bytes(file.tally.bytes));
        if let Some((first, last)) = file.span {
            let lasted = span(last.saturating_sub(first));
            text.push_str(&format!(", {lasted} from {}", clock(first)));
        }
        let mut line = Line::new(options.ladder.color);
        line.put(Style::Bold, &file.name).put(Style::Plain, &format!(": {text}"));
        line.finish(out);
        for note in notes(file) {
            paragraph((Style::Yellow, "  !"), 4, &sentence(&note), options, out);
        }
    }
}

/// What a reader must know before trusting what follows.
fn notes(file: &FileRead) -> Vec<String> {
    let Tally { frames, bytes: _, other, cut, unknown_links, dropped, twice } = &file.tally;
    let mut notes = Vec::new();
    notes.extend(
        file.damaged
            .as_ref()
            .map(|why| format!("reading stopped early: {why}; what came before is reported")),
    );
    if let Some(dropped @ 1..) = dropped {
        notes.push(format!(
            "the capturing system dropped {}: gaps below may be its own, not the network's",
            counted(*dropped, "packet")
        ));
    }
    for (link, n) in unknown_links {
        notes.push(format!(
            "{} of link type {link} ({}) cannot be read",
            counted(*n, "packet"),
            link_name(*link)
        ));
    }
    if *cut > 0 {
        notes.push(format!(
            "{} cut short by the capture (snaplen): lengths are known from their headers; \
             where TCP options are cut off, windows are not scaled and SACK is not seen",
            was_were(*cut, "packet")
        ));
    }
    if *twice > 0 {
        notes.push(format!(
            "{} in the capture twice, as captures of several interfaces have them; each counts \
             once",
            was_were(*twice, "packet")
        ));
    }
    if *other > 0 && other == frames {
        notes.push("none of its packets carries IP".to_owned());
    }
    notes
}

fn was_were(n: u64, thing: &str) -> String {
    format!("{} {}", counted(n, thing), if n == 1 { "was" } else { "were" })
}

/// What is not told.
pub(super) fn left_out(overview: &Overview, options: &TextOptions, out: &mut String) {
    let Overview { ignored, filtered_out, .. } = overview;
    let mut parts = Vec::new();
    let mut say = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    };
    say(ignored.other, "of other protocols");
    say(ignored.unreadable, "malformed, cut short or fragments");
    say(ignored.stray, "without a connection (RST, ICMP)");
    say(ignored.late, "after their connection's end");
    if !parts.is_empty() {
        let text = format!("packets not reported: {}", parts.join(", "));
        out.push('\n');
        paragraph((Style::Plain, ""), 0, &text, options, out);
    }
    if *filtered_out > 0 && overview.connections > 0 {
        let text = format!("{} filtered out", counted(*filtered_out, "connection"));
        paragraph((Style::Plain, ""), 0, &text, options, out);
    }
}

/// The whole page, behind the files.
pub(super) fn render(
    overview: &Overview,
    options: &TextOptions,
    numbering: &Numbering,
    out: &mut String,
) {
    let Overview { connections, bytes: carried, segments, retransmitted, .. } = overview;
    if *connections == 0 {
        out.push('\n');
        let text = match overview.filtered_out {
            0 => "no TCP connection in it".to_owned(),
            n => format!("none of its {} is asked for", counted(n, "connection")),
        };
        styled(Style::Bold, &text, options, out);
        return left_out(overview, options, out);
    }
    let [up, down] = carried.map(bytes);
    let share = percent(*retransmitted, *segments);
    let text = format!(
        "{}: {up} by clients, {down} by servers; {}, {} of them retransmitted ({share})",
        counted(*connections, "connection"),
        counted(*segments, "segment"),
        count(*retransmitted)
    );
    out.push('\n');
    paragraph((Style::Plain, ""), 0, &text, options, out);
    services(&overview.services, options, out);
    ends(overview, options, out);
    lifetimes(overview, options, out);
    anomalies(overview, options, out);
    suspects(&overview.suspects, options, numbering, out);
    left_out(overview, options, out);
    next(overview, options, out);
}

fn heading(text: &str, options: &TextOptions, out: &mut String) {
    out.push('\n');
    styled(Style::Bold, text, options, out);
}

fn services(services: &[Service], options: &TextOptions, out: &mut String) {
    heading("Who closes first, by the server's port", options, out);
    let column = |above, below, rank| Column { heads: [above, below], left: false, rank };
    let columns = [
        column("", "port", 0),
        column("connec-", "tions", 0),
        column("never", "opened", 1),
        column("FIN first", "client", 0),
        column("", "server", 0),
        column("reset by", "client", 0),
        column("", "server", 0),
        column("TIME_WAIT", "client", 0),
        column("", "server", 0),
        column("bytes by", "clients", 2),
        column("", "servers", 2),
    ];
    let some = |n: u64| if n == 0 { "·".to_owned() } else { count(n) };
    let rows: Vec<Vec<String>> = services
        .iter()
        .map(|one| {
            let mut row = vec![one.port.to_string(), count(one.connections), some(one.unopened)];
            for pair in [one.closed_first, one.reset, one.time_wait] {
                row.extend(pair.map(some));
            }
            row.extend(one.bytes.map(bytes));
            row
        })
        .collect();
    table(&columns, &rows, options, out);
}

fn ends(overview: &Overview, options: &TextOptions, out: &mut String) {
    heading("How they ended", options, out);
    let mut ends: Vec<(&str, u64)> = overview.ends.iter().map(|(name, n)| (*name, *n)).collect();
    ends.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
    let most = ends.first().map_or(0, |(_, n)| *n);
    let column = |left| Column { heads: ["", ""], left, rank: 0 };
    let rows: Vec<Vec<String>> = ends
        .into_iter()
        .map(|(name, n)| {
            let share = percent(n, overview.connections);
            vec![name.to_owned(), count(n), share, bar(n, most, BAR)]
        })
        .collect();
    table(&[column(true), column(false), column(false), column(true)], &rows, options, out);
}

fn lifetimes(overview: &Overview, options: &TextOptions, out: &mut String) {
    let lifetimes = &overview.lifetimes;
    if lifetimes.connections == 0 {
        return;
    }
    let whole = counted(lifetimes.connections, "connection");
    heading(&format!("How long they lasted, {whole} seen from beginning to end"), options, out);
    let [min, half, most, nearly, max]: [String; 5] = lifetimes.quantiles.map(span);
    let text = match min == max {
        true => max,
        false => format!(
            "{min} to {max}: half of them up to {half}, 90 % up to {most}, 99 % up to {nearly}"
        ),
    };
    paragraph((Style::Plain, ""), 2, &text, options, out);
}

fn anomalies(overview: &Overview, options: &TextOptions, out: &mut String) {
    if overview.anomalies.is_empty() {
        return heading("No anomalies", options, out);
    }
    heading("Anomalies, and in how many connections", options, out);
    let mut found: Vec<_> = overview.anomalies.iter().map(|(kind, n)| (*kind, *n)).collect();
    found.sort_by_key(|(kind, n)| (std::cmp::Reverse((kind.severity(), *n)), *kind));
    let names = found.iter().map(|(kind, _)| kind.name().len()).max().unwrap_or(0);
    for (kind, n) in found {
        let severity: Severity = kind.severity();
        let mut line = Line::new(options.ladder.color);
        line.put(Style::Plain, &format!("  {:>6}  ", count(n)));
        line.put(of_severity(severity), &format!("{:<9}", severity.name()));
        line.put(Style::Plain, &format!("{:<names$}  ", kind.name()));
        line.put(Style::Dim, kind.title());
        line.finish(out);
    }
}

fn suspects(suspects: &[Suspect], options: &TextOptions, numbering: &Numbering, out: &mut String) {
    if suspects.is_empty() {
        return;
    }
    let suspects = &suspects[..suspects.len().min(SUSPECTS)];
    heading("Suspects, the worst first", options, out);
    let columns = suspects.iter().map(|one| one.conn.to_string().len()).max().unwrap_or(0);
    let text_at = 2 + columns + 2;
    for one in suspects {
        let [client, server] = one.addrs;
        let mut line = Line::new(options.ladder.color);
        line.put(Style::Bold, &format!("  {:>columns$}", one.conn)).to(text_at);
        line.put(of_severity(one.severity), one.severity.name());
        line.put(Style::Plain, &format!("  {client} → {server}"));
        line.finish(out);
        let at = numbers(&one.packets, numbering);
        let at = if at.is_empty() { at } else { format!("{at}: ") };
        for piece in wrap(&format!("{at}{}", sentence(&one.text)), options.ladder.width - text_at) {
            let mut line = Line::new(options.ladder.color);
            line.to(text_at).put(Style::Dim, &piece);
            line.finish(out);
        }
    }
}

/// What to type next.
fn next(overview: &Overview, options: &TextOptions, out: &mut String) {
    let command = &options.command;
    let mut ways = Vec::new();
    match overview.suspects.first() {
        Some(worst) => {
            ways.push((format!("{command} --conn {}", worst.conn), "its ladder and all about it"));
            let kind = worst.kind.name();
            let filter = format!("{command} --list --filter 'anomaly {kind}'");
            ways.push((filter, "all that are like it"));
        }
        None => ways.push((format!("{command} --list"), "a line for each connection")),
    }
    out.push('\n');
    for (way, what) in ways {
        let mut line = Line::new(options.ladder.color);
        line.put(Style::Bold, &way).put(Style::Dim, &format!("   {what}"));
        line.finish(out);
    }
}
