//! Events as single lines while they come: `--follow`.

use std::time::Duration;

use crate::comment::ending;
use crate::entry::{EntryKind, Move};
use crate::event::{EntrySeen, Event, Opened};
use crate::label::{self, Signs};
use crate::ladder::LadderOptions;
use crate::paint::{Line, Style};
use crate::record::ConnectionRecord;
use crate::units::{bytes, seconds};
use crate::words::{Role, icmp_words};

const NUMBER: usize = 5;
const STATES: usize = NUMBER + 2 + 10 + 2;
const ARROW: usize = STATES + 12 + 1;
const RIGHT: usize = ARROW + 4;
const TEXT: usize = RIGHT + 12 + 2;

/// One line for `event`, with a line feed: connection, seconds since it was opened, both
/// states where they change, and the segment. The same options as for a ladder; lines are not
/// cut to its width.
pub fn line(event: &Event, options: &LadderOptions) -> String {
    let mut out = String::new();
    match event {
        Event::Opened(opened) => self::opened(opened, options, &mut out),
        Event::Entry(seen) => entry(seen, options, &mut out),
        // Too many for people; they are JSON's.
        Event::Sender(_) => {}
        Event::Ended(record) => ended(record, options, &mut out),
    }
    if options.ascii { out.replace('µ', "u").replace(|c: char| !c.is_ascii(), "?") } else { out }
}

fn start(conn: u64, since: Duration, options: &LadderOptions) -> Line {
    let mut line = Line::new(options.color);
    line.put(Style::Bold, &format!("{conn:>NUMBER$}"));
    line.put(Style::Dim, &format!("  {:>10}  ", seconds(since)));
    line
}

fn opened(opened: &Opened, options: &LadderOptions, out: &mut String) {
    let [client, server] = opened.addrs.map(|addr| options.names.title(addr));
    let arrow = arrow(Role::Client, options);
    let verb = if opened.opened_by.is_some() { "opens" } else { "seen in mid-stream" };
    let mut line = start(opened.conn, Duration::ZERO, options);
    line.put(Style::Bold, &format!("{verb}: {client} {arrow} {server}"));
    line.finish(out);
}

fn arrow(from: Role, options: &LadderOptions) -> &'static str {
    match (from, options.ascii) {
        (Role::Client, false) => "──▶",
        (Role::Server, false) => "◀──",
        (Role::Client, true) => "-->",
        (Role::Server, true) => "<--",
    }
}

fn entry(seen: &EntrySeen, options: &LadderOptions, out: &mut String) {
    let entry = &seen.entry;
    let signs: Signs = if options.ascii { label::ASCII } else { label::UTF8 };
    let (from, mut text) = match &entry.what {
        EntryKind::Segment(shown) => (entry.from, label::segment(shown)),
        EntryKind::Run(run) if run.packets == 1 => (entry.from, label::segment(&run.first)),
        EntryKind::Run(run) => (entry.from, label::run(run, signs)),
        EntryKind::Exchange(exchange) => (entry.from, label::exchange(exchange, signs)),
        EntryKind::Arrival(flags) => (entry.from, vec![format!("the {flags} arrives")]),
        EntryKind::Icmp(error) => {
            (entry.from.other(), vec![format!("ICMP: {}", icmp_words(*error))])
        }
        EntryKind::Note(text) => (entry.from, vec![text.clone()]),
        EntryKind::Warning(warning) => {
            let word = |who: Role| options.names.word(who, seen.addrs[who.index()]);
            let (who, other) = (word(entry.from), word(entry.from.other()));
            (entry.from, vec![warning.sentence(entry.at, &who, &other, "")])
        }
        EntryKind::LeftOut(left_out) => (entry.from, label::left_out(left_out, signs)),
    };
    let mut text = text.swap_remove(0);
    if let Some(wave) = entry.wave {
        text.push_str(&format!("   {}: \"{}\"", wave.title(), wave.says()));
    }
    if let Some(cause) = entry.cause {
        let word = |who: Role| options.names.word(who, seen.addrs[who.index()]);
        text.push_str(&format!(
            "   {}",
            cause.sentence(&word(entry.from), &word(entry.from.other()))
        ));
    }
    if let Some(annotation) = entry.annotation {
        text.push_str(&format!("   {annotation}"));
    }
    if seen.so_far {
        text.push_str("   so far");
    }
    let at = match &entry.what {
        EntryKind::Run(run) if run.packets == 1 => entry.at,
        _ => entry.until(),
    };
    let mut line = start(seen.conn, at.saturating_sub(seen.opened), options);
    let state = |line: &mut Line, moved: Option<Move>| {
        if let Some(moved) = moved {
            line.put(Style::of_state(moved.to), moved.to.name());
        }
    };
    state(&mut line, entry.moved[0]);
    line.to(ARROW);
    if !matches!(entry.what, EntryKind::Note(_) | EntryKind::Warning(_)) {
        line.put(Style::Dim, arrow(from, options));
    }
    line.to(RIGHT);
    state(&mut line, entry.moved[1]);
    line.to(TEXT).put(Style::Plain, &text);
    line.finish(out);
}

fn ended(record: &ConnectionRecord, options: &LadderOptions, out: &mut String) {
    let [up, down] = record.bytes.map(bytes);
    let [right, left] = Role::BOTH.map(|who| arrow(who, options));
    let ending = ending(record, &options.names);
    let text = format!("ends: {ending}; {up} {right}, {down} {left}");
    let mut line = start(record.conn, record.lasted(), options);
    line.put(Style::Bold, &text);
    line.finish(out);
}
