//! A record as a ladder: time, both ends' states, and between two lifelines every segment.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_core::{EndReason, EndReport, Side};

use crate::entry::{EntryKind, LadderEntry, Move, Run, Shown};
use crate::label;
use crate::label::Signs;
use crate::names::Names;
use crate::paint::{Line, Style, wrap};
use crate::record::ConnectionRecord;
use crate::units::{bytes, clock, count, counted, seconds, span};
use crate::words::{LOST, Role, icmp_words};

/// The narrowest ladder.
pub const MIN_WIDTH: usize = 72;

/// How a ladder is drawn.
#[derive(Clone, Debug)]
pub struct LadderOptions {
    /// Columns; 72 at least, 100 by default.
    pub width: usize,
    /// Only ASCII.
    pub ascii: bool,
    /// ANSI colours. The caller decides: a terminal, and `NO_COLOR` not set.
    pub color: bool,
    /// What the ends are called.
    pub names: Names,
    /// How a segment is written where there is room, for readers of another notation; the notes
    /// that follow stay ours.
    pub notation: Option<fn(&Shown) -> String>,
    /// The number of the packet that began an entry, as `#12` at the end of its line.
    pub packets: bool,
}

impl Default for LadderOptions {
    fn default() -> Self {
        Self {
            width: 100,
            ascii: false,
            color: false,
            names: Names::default(),
            notation: None,
            packets: false,
        }
    }
}

const STATE: usize = 12;
/// Where the left states begin: behind a space, the time and two spaces.
const LEFT: usize = 13;
/// Where the left lifeline stands.
const LIFELINE: usize = LEFT + STATE + 1;

/// What the numbers of packets take, a space before them included.
const NUMBER: usize = 8;

/// Where the closing lines' texts begin: where labels do.
const FACT: usize = LIFELINE + 3;

/// The strokes of a ladder.
struct Strokes {
    life: &'static str,
    from_left: &'static str,
    from_right: &'static str,
    line: char,
    bulk: char,
    late: char,
    to_right: &'static str,
    to_left: &'static str,
    lost: &'static str,
    gap: &'static str,
    long_right: &'static str,
    long_left: &'static str,
}

const UTF8: Strokes = Strokes {
    life: "│",
    from_left: "├",
    from_right: "┤",
    line: '─',
    bulk: '═',
    late: '╌',
    to_right: "▶",
    to_left: "◀",
    lost: "✗",
    gap: "┆",
    long_right: "──▶",
    long_left: "◀──",
};

const ASCII: Strokes = Strokes {
    life: "|",
    from_left: "|",
    from_right: "|",
    line: '-',
    bulk: '=',
    late: '.',
    to_right: ">",
    to_left: "<",
    lost: "x",
    gap: ":",
    long_right: "-->",
    long_left: "<--",
};

/// Draws `record`, with a line feed at the end. O(entries).
pub fn render(record: &ConnectionRecord, options: &LadderOptions) -> String {
    let mut ladder = Ladder::new(record, options);
    ladder.head();
    for entry in &record.entries {
        ladder.entry(entry);
    }
    ladder.foot();
    if options.ascii { to_ascii(&ladder.out) } else { ladder.out }
}

/// What stands below a ladder: names of facts and their texts, in order. O(entries).
pub fn facts(record: &ConnectionRecord, names: &Names) -> Vec<(&'static str, String)> {
    let options = LadderOptions { names: names.clone(), ..LadderOptions::default() };
    let mut ladder = Ladder::new(record, &options);
    ladder.collect();
    ladder.facts
}

/// What stands below the arrow of `entry`, its remark not among it.
pub fn captions(record: &ConnectionRecord, names: &Names, entry: &LadderEntry) -> Vec<String> {
    let options = LadderOptions { names: names.clone(), ..LadderOptions::default() };
    let explanations = Ladder::new(record, &options).explanations(entry);
    explanations.into_iter().map(|(_, text)| text).collect()
}

/// What is left of UTF-8 in texts that are shared with other renderers, or given by the caller.
fn to_ascii(text: &str) -> String {
    text.replace('µ', "u").replace(|c: char| !c.is_ascii(), "?")
}

struct Ladder<'a> {
    record: &'a ConnectionRecord,
    options: &'a LadderOptions,
    strokes: &'static Strokes,
    signs: Signs,
    width: usize,
    facts: Vec<(&'static str, String)>,
    /// What the next line ends with.
    number: Option<u64>,
    out: String,
}

/// How one arrow looks.
struct Arrow {
    to_right: bool,
    stroke: char,
    tail: &'static str,
    style: Style,
    lost: bool,
}

impl<'a> Ladder<'a> {
    fn new(record: &'a ConnectionRecord, options: &'a LadderOptions) -> Self {
        Self {
            record,
            options,
            strokes: if options.ascii { &ASCII } else { &UTF8 },
            signs: if options.ascii { label::ASCII } else { label::UTF8 },
            width: options.width.max(MIN_WIDTH),
            facts: Vec::new(),
            number: None,
            out: String::new(),
        }
    }

    fn line(&self) -> Line {
        Line::new(self.options.color)
    }

    /// Where the numbers of packets begin; the ladder's width without them.
    fn numbers_at(&self) -> usize {
        self.width - if self.options.packets { NUMBER } else { 0 }
    }

    /// Columns between the lifelines.
    fn middle(&self) -> usize {
        self.numbers_at() - (LIFELINE + 1) - (1 + 1 + STATE)
    }

    fn word(&self, who: Role) -> String {
        self.options.names.word(who, self.record.addr(who))
    }

    /// Time since the connection was opened.
    fn since(&self, at: Duration) -> String {
        seconds(at.saturating_sub(self.record.opened))
    }

    fn head(&mut self) {
        let rule = self.strokes.line.to_string();
        let middle = if self.record.opened_by.is_some() { "" } else { ", seen in mid-stream" };
        let title = format!("connection {}{middle}", self.record.conn);
        let when = clock(self.record.opened);
        let used = 3 + 1 + title.len() + 1 + 1 + when.len() + 1 + 3;
        let mut line = self.line();
        line.put(Style::Dim, &rule.repeat(3));
        line.put(Style::Bold, &format!(" {title} "));
        line.put(Style::Dim, &rule.repeat(self.width.saturating_sub(used)));
        line.put(Style::Dim, &format!(" {when} {}", rule.repeat(3)));
        line.finish(&mut self.out);
        let [left, right] = self.record.addrs.map(|addr| self.options.names.title(addr));
        let right_at = self.numbers_at().saturating_sub(right.chars().count());
        let mut line = self.line();
        line.put(Style::Dim, "    seconds").to(LEFT).put(Style::Bold, &left);
        if LEFT + left.chars().count() + 2 > right_at {
            line.finish(&mut self.out);
            line = self.line();
        }
        line.to(right_at).put(Style::Bold, &right);
        line.finish(&mut self.out);
    }

    /// The cells of a line beside its middle; `time` and states may be empty.
    fn cells(&self, time: &str, left: Option<Move>) -> Line {
        let mut line = self.line();
        line.to(11 - time.len().min(11)).put(Style::Dim, time).to(LEFT);
        if let Some(left) = left {
            line.put(Style::of_state(left.to), left.to.name());
        }
        line.to(LIFELINE);
        line
    }

    fn close_cells(&mut self, mut line: Line, right: Option<Move>) {
        if let Some(right) = right {
            line.put(Style::Plain, " ").put(Style::of_state(right.to), right.to.name());
        }
        if let Some(number) = self.number.take() {
            let number = format!("#{number}");
            line.to(self.width.saturating_sub(number.len())).put(Style::Dim, &number);
        }
        line.finish(&mut self.out);
    }

    fn entry(&mut self, entry: &LadderEntry) {
        self.number = Some(entry.packet).filter(|number| self.options.packets && *number > 0);
        match &entry.what {
            EntryKind::Segment(shown) => {
                let style = if shown.flags.rst() {
                    Style::Red
                } else if shown.flags.fin() {
                    Style::Yellow
                } else {
                    Style::Plain
                };
                let mut arrow = self.arrow_of(entry.from, self.strokes.line, style);
                arrow.lost = entry.annotation == Some(LOST);
                let (labels, said) = self
                    .with_remark(label::segment_in(self.options.notation, shown), entry.annotation);
                self.arrow(entry.at, &entry.moved, &arrow, labels);
                if said {
                    return self.captions(entry, None);
                }
            }
            EntryKind::Run(run) => self.run(entry, run),
            EntryKind::Exchange(exchange) => {
                let labels = label::exchange(exchange, self.signs);
                self.both_ways(entry, labels);
            }
            EntryKind::Arrival(flags) => {
                let arrow = self.arrow_of(entry.from, self.strokes.late, Style::Dim);
                let label = format!("the {flags} arrives");
                self.arrow(entry.at, &entry.moved, &arrow, vec![label]);
            }
            EntryKind::Icmp(error) => {
                let mut arrow = self.arrow_of(entry.from.other(), self.strokes.line, Style::Red);
                arrow.tail = self.strokes.lost;
                let label = format!("ICMP: {}", icmp_words(*error));
                self.arrow(entry.at, &entry.moved, &arrow, vec![label]);
            }
            EntryKind::Note(text) => self.note(entry, text),
            EntryKind::Warning(warning) => {
                let (who, other) = (self.word(entry.from), self.word(entry.from.other()));
                self.note(entry, &warning.sentence(entry.at, &who, &other, ""));
            }
            EntryKind::LeftOut(left_out) => {
                let labels = label::left_out(left_out, self.signs);
                self.gap(entry, labels);
            }
        }
        self.captions(entry, entry.annotation);
    }

    /// Where a remark fits behind the first label, it stands there, and `true` is returned.
    fn with_remark(
        &self,
        mut labels: Vec<String>,
        annotation: Option<&'static str>,
    ) -> (Vec<String>, bool) {
        if let (Some(annotation), Some(label)) = (annotation, labels.first_mut()) {
            let longer = match label.strip_suffix(')') {
                Some(open) => format!("{open}, {annotation})"),
                None => format!("{label}  ({annotation})"),
            };
            if longer.chars().count() <= self.middle() - 6 {
                *label = longer;
                return (labels, true);
            }
        }
        (labels, false)
    }

    fn arrow_of(&self, from: Role, stroke: char, style: Style) -> Arrow {
        let to_right = from == Role::Client;
        let tail = if to_right { self.strokes.from_left } else { self.strokes.from_right };
        Arrow { to_right, stroke, tail, style, lost: false }
    }

    fn arrow(
        &mut self,
        at: Duration,
        moved: &[Option<Move>; 2],
        arrow: &Arrow,
        labels: Vec<String>,
    ) {
        let middle = self.middle();
        // A stroke before the label, two at least behind it, the head, and a space on each side.
        let label = label::fitting(labels, middle - 6);
        let strokes = middle - label.chars().count() - 4;
        let stroke = arrow.stroke.to_string();
        let mut line = self.cells(&self.since(at), moved[0]);
        let Strokes { life, mut to_right, mut to_left, .. } = *self.strokes;
        if arrow.lost {
            (to_right, to_left) = (self.strokes.lost, self.strokes.lost);
        }
        if arrow.to_right {
            line.put(Style::Dim, arrow.tail).put(Style::Dim, &stroke);
            line.put(arrow.style, &format!(" {label} "));
            line.put(Style::Dim, &stroke.repeat(strokes)).put(Style::Dim, to_right);
            line.put(Style::Dim, life);
        } else {
            line.put(Style::Dim, life).put(Style::Dim, to_left);
            line.put(Style::Dim, &stroke.repeat(strokes));
            line.put(arrow.style, &format!(" {label} "));
            line.put(Style::Dim, &stroke).put(Style::Dim, arrow.tail);
        }
        self.close_cells(line, moved[1]);
    }

    fn run(&mut self, entry: &LadderEntry, run: &Run) {
        if run.packets > 1 {
            let arrow = self.arrow_of(entry.from, self.strokes.bulk, Style::Plain);
            self.arrow(entry.at, &entry.moved, &arrow, label::run(run, self.signs));
            return;
        }
        let arrow = self.arrow_of(entry.from, self.strokes.line, Style::Plain);
        self.arrow(
            entry.at,
            &entry.moved,
            &arrow,
            label::segment_in(self.options.notation, &run.first),
        );
        if let Some((at, ack)) = &run.last_ack {
            let mut labels = label::segment_in(self.options.notation, ack);
            if run.acks > 1 {
                labels.insert(0, format!("{}  (the last of {} ACKs)", labels[0], count(run.acks)));
            }
            let arrow = self.arrow_of(entry.from.other(), self.strokes.line, Style::Plain);
            self.arrow(*at, &[None; 2], &arrow, labels);
        }
    }

    fn both_ways(&mut self, entry: &LadderEntry, labels: Vec<String>) {
        let middle = self.middle();
        let label = label::fitting(labels, middle - 8);
        let strokes = middle - label.chars().count() - 4;
        let bulk = self.strokes.bulk.to_string();
        let Strokes { life, to_right, to_left, .. } = *self.strokes;
        let mut line = self.cells(&self.since(entry.at), None);
        line.put(Style::Dim, life).put(Style::Dim, to_left);
        line.put(Style::Dim, &bulk.repeat(strokes / 2));
        line.put(Style::Plain, &format!(" {label} "));
        line.put(Style::Dim, &bulk.repeat(strokes - strokes / 2));
        line.put(Style::Dim, to_right).put(Style::Dim, life);
        self.close_cells(line, None);
    }

    fn gap(&mut self, entry: &LadderEntry, labels: Vec<String>) {
        let middle = self.middle();
        let label = label::fitting(labels, middle - 2);
        let pad = middle - label.chars().count();
        let mut line = self.cells(&self.since(entry.at), None);
        line.put(Style::Dim, self.strokes.gap).to(LIFELINE + 1 + pad / 2);
        line.put(Style::Dim, &label).to(LIFELINE + 1 + middle);
        line.put(Style::Dim, self.strokes.gap);
        self.close_cells(line, None);
    }

    fn note(&mut self, entry: &LadderEntry, text: &str) {
        let mut moved = entry.moved;
        let mut time = self.since(entry.at);
        for piece in wrap(text, self.middle() - 4) {
            self.between(&time, moved, Role::Client, Style::Cyan, &piece);
            (moved, time) = ([None; 2], String::new());
        }
    }

    /// A text between the lifelines, at the side of `who`.
    fn between(
        &mut self,
        time: &str,
        moved: [Option<Move>; 2],
        who: Role,
        style: Style,
        text: &str,
    ) {
        let middle = self.middle();
        let columns = text.chars().count();
        let at = match who {
            Role::Client => LIFELINE + 1 + 2,
            Role::Server => LIFELINE + 1 + middle.saturating_sub(columns + 2),
        };
        let mut line = self.cells(time, moved[0]);
        line.put(Style::Dim, self.strokes.life).to(at).put(style, text);
        line.to(LIFELINE + 1 + middle).put(Style::Dim, self.strokes.life);
        self.close_cells(line, moved[1]);
    }

    /// What stands below an arrow: the wave and what it says, what an RST was for, remarks.
    fn captions(&mut self, entry: &LadderEntry, annotation: Option<&'static str>) {
        let mut captions = self.explanations(entry);
        if let Some(annotation) = annotation {
            captions.push((Style::Dim, annotation.to_owned()));
        }
        for (style, caption) in captions {
            for piece in wrap(&caption, self.middle() - 4) {
                self.between("", [None; 2], entry.from, style, &piece);
            }
        }
    }

    /// The wave and what it says, what an RST was for.
    fn explanations(&self, entry: &LadderEntry) -> Vec<(Style, String)> {
        let mut captions = Vec::new();
        if let Some(wave) = entry.wave {
            captions.push((Style::Dim, format!("{}: \"{}\"", wave.title(), wave.says())));
            if let (Some(first), Some(closed)) = (self.record.closed_first, wave.closes()) {
                let who = self.word(if closed { first.who } else { first.who.other() });
                captions.push((Style::Dim, format!("now closed: {who}'s sending direction")));
            }
        }
        if let Some(cause) = entry.cause {
            // The engine knows why it sent an RST; packets leave only a guess.
            let said = self.record.reason().filter(|reason| {
                self.record.engine == Some(entry.from) && *reason != EndReason::Orderly
            });
            let (sender, receiver) = (self.word(entry.from), self.word(entry.from.other()));
            let sentence = match said {
                Some(reason) => reason.sentence().to_owned(),
                None => cause.sentence(&sender, &receiver),
            };
            captions.push((Style::Red, sentence));
        }
        captions
    }

    fn foot(&mut self) {
        self.out.push('\n');
        self.collect();
        for (name, text) in std::mem::take(&mut self.facts) {
            self.draw_fact(name, &text);
        }
    }

    /// The facts of the record, in order.
    fn collect(&mut self) {
        let record = self.record;
        if let Some(first) = record.closed_first_reported() {
            let by = first.by.name();
            let at = self.since(first.at);
            self.fact("closed first", &format!("{}, with {by} at {at}", self.word(first.who)));
        }
        self.fact("why", &record.why(&self.options.names));
        if let Some(report) = &record.report {
            self.report(report);
        }
        if let Some(half) = record.half_closed {
            let sender = self.word(half.sender);
            let lasted = match half.until {
                Some(until) => format!("for {}", span(until.saturating_sub(half.since))),
                None => "to the end".to_owned(),
            };
            let sent = if half.bytes == 0 { "nothing".to_owned() } else { bytes(half.bytes) };
            self.fact("half-closed", &format!("{lasted}; {sender} sent {sent} in that time"));
        }
        for wait in &record.time_wait {
            let (until, since) = (self.since(wait.until), self.since(wait.since));
            let lasts = span(wait.until.saturating_sub(wait.since));
            let who = self.word(wait.who);
            self.fact("TIME_WAIT", &format!("{who}, until {until} ({lasts} from {since})"));
        }
        self.left_behind();
        self.totals();
    }

    /// Who still has a connection when its record ends.
    fn left_behind(&mut self) {
        let record = self.record;
        let left: Vec<String> = Role::BOTH
            .into_iter()
            .zip(record.states)
            .filter(|(_, state)| !matches!(state, State::Closed | State::TimeWait))
            .map(|(who, state)| format!("{} in {state}", self.word(who)))
            .collect();
        if !left.is_empty() {
            self.fact("left open", &left.join(", "));
        }
    }

    fn totals(&mut self) {
        let record = self.record;
        let Strokes { long_right, long_left, .. } = *self.strokes;
        let [up, down] = record.bytes.map(bytes);
        let segments = counted(record.segments.iter().sum(), "segment");
        let retransmitted: u64 = record.retransmissions().iter().sum();
        let retransmitted = if retransmitted == 0 {
            String::new()
        } else {
            format!(", {} retransmitted", count(retransmitted))
        };
        let lasted = span(record.lasted());
        self.fact(
            "carried",
            &format!("{up} {long_right}, {down} {long_left}, {segments}{retransmitted}, {lasted}"),
        );
        if let Some(handshake) = record.handshake {
            self.fact("handshake", &span(handshake));
        }
        for (who, unseen) in Role::BOTH.into_iter().zip(record.unseen) {
            if unseen > 0 {
                let (unseen, who) = (bytes(unseen), self.word(who));
                let text = format!("{unseen} by {who} were acknowledged and never passed here");
                self.fact("unseen", &text);
            }
        }
        for (who, waits) in Role::BOTH.into_iter().zip(record.nagle_waits) {
            if waits.times > 0 {
                let waited = waits.sentence(&self.word(who.other()));
                let who = self.word(who);
                self.fact("stalls", &format!("{who} waited {waited}; TCP_NODELAY there avoids it"));
            }
        }
        if record.unexpected_segments > 0 {
            let segments = counted(record.unexpected_segments.into(), "segment");
            self.fact("unexpected", &format!("{segments} not allowed in the states of that time"));
        }
    }

    fn report(&mut self, report: &EndReport) {
        let ago = span(report.last_call_ago);
        let call = report.last_call.name();
        let whose = self.record.engine.map(|who| format!(" at {}", self.record.addr(who)));
        let whose = whose.unwrap_or_default();
        self.fact("last call", &format!("{call}{whose}, {ago} before the end"));
        if let (Some(side), None) = (report.closed_first, self.record.closed_first) {
            let ours = side == Side::Local;
            let who = if ours { "the engine's end" } else { "the other end" };
            self.fact("closed first", who);
        }
        if report.bytes_unsent > 0 {
            let unsent = bytes(report.bytes_unsent);
            self.fact("lost", &format!("{unsent} were queued and never acknowledged"));
        }
        // At an orderly end the reader may only be a moment behind.
        if report.bytes_unread > 0 && report.reason != EndReason::Orderly {
            let unread = bytes(report.bytes_unread);
            self.fact("unread", &format!("{unread} had been received and were not read"));
        }
    }

    fn fact(&mut self, name: &'static str, text: &str) {
        self.facts.push((name, text.to_owned()));
    }

    fn draw_fact(&mut self, name: &str, text: &str) {
        let mut name = name;
        for piece in wrap(text, self.width - FACT) {
            let mut line = self.line();
            line.to(LEFT).put(Style::Bold, name).to(FACT).put(Style::Plain, &piece);
            line.finish(&mut self.out);
            name = "";
        }
    }
}
