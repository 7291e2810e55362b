//! A story as a ladder: time, both ends' states, and between two lifelines every segment.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_core::{EndReason, EndReport, Side};

use crate::label;
use crate::label::Signs;
use crate::lost::LOST;
use crate::names::Names;
use crate::paint::{Line, Style, wrap};
use crate::row::{Move, Role, Row, Run, Shown, What};
use crate::story::{Story, icmp_words};
use crate::units::{bytes, clock, count, counted, seconds, span};

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
    /// The number of the packet that began a row, as `#12` at the end of its line.
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

/// Draws `story`, with a line feed at the end. O(rows).
pub fn render(story: &Story, options: &LadderOptions) -> String {
    let mut ladder = Ladder::new(story, options);
    ladder.head();
    for row in &story.rows {
        ladder.row(row);
    }
    ladder.foot();
    if options.ascii { to_ascii(&ladder.out) } else { ladder.out }
}

/// What stands below a ladder: names of facts and their texts, in order. O(rows).
pub fn facts(story: &Story, names: &Names) -> Vec<(&'static str, String)> {
    let options = LadderOptions { names: names.clone(), ..LadderOptions::default() };
    let mut ladder = Ladder::new(story, &options);
    ladder.collect();
    ladder.facts
}

/// What stands below the arrow of `row`, its remark not among it.
pub fn captions(story: &Story, names: &Names, row: &Row) -> Vec<String> {
    let options = LadderOptions { names: names.clone(), ..LadderOptions::default() };
    let told = Ladder::new(story, &options).told(row);
    told.into_iter().map(|(_, text)| text).collect()
}

/// What is left of UTF-8 in texts that are shared with other renderers, or given by the caller.
fn to_ascii(text: &str) -> String {
    text.replace('µ', "u").replace(|c: char| !c.is_ascii(), "?")
}

struct Ladder<'a> {
    story: &'a Story,
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
    fn new(story: &'a Story, options: &'a LadderOptions) -> Self {
        Self {
            story,
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
        self.options.names.word(who, self.story.addr(who))
    }

    /// Time since the connection was opened.
    fn since(&self, at: Duration) -> String {
        seconds(at.saturating_sub(self.story.opened))
    }

    fn head(&mut self) {
        let rule = self.strokes.line.to_string();
        let middle = if self.story.opened_by.is_some() { "" } else { ", seen in mid-stream" };
        let title = format!("connection {}{middle}", self.story.conn);
        let when = clock(self.story.opened);
        let used = 3 + 1 + title.len() + 1 + 1 + when.len() + 1 + 3;
        let mut line = self.line();
        line.put(Style::Dim, &rule.repeat(3));
        line.put(Style::Bold, &format!(" {title} "));
        line.put(Style::Dim, &rule.repeat(self.width.saturating_sub(used)));
        line.put(Style::Dim, &format!(" {when} {}", rule.repeat(3)));
        line.finish(&mut self.out);
        let [left, right] = self.story.addrs.map(|addr| self.options.names.title(addr));
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

    fn row(&mut self, row: &Row) {
        self.number = Some(row.packet).filter(|number| self.options.packets && *number > 0);
        match &row.what {
            What::Segment(shown) => {
                let style = if shown.flags.rst() {
                    Style::Red
                } else if shown.flags.fin() {
                    Style::Yellow
                } else {
                    Style::Plain
                };
                let mut arrow = self.arrow_of(row.from, self.strokes.line, style);
                arrow.lost = row.annotation == Some(LOST);
                let (labels, said) = self
                    .with_remark(label::segment_in(self.options.notation, shown), row.annotation);
                self.arrow(row.at, &row.moved, &arrow, labels);
                if said {
                    return self.captions(row, None);
                }
            }
            What::Run(run) => self.run(row, run),
            What::Exchange(exchange) => {
                let labels = label::exchange(exchange, self.signs);
                self.both_ways(row, labels);
            }
            What::Arrival(flags) => {
                let arrow = self.arrow_of(row.from, self.strokes.late, Style::Dim);
                let label = format!("the {flags} arrives");
                self.arrow(row.at, &row.moved, &arrow, vec![label]);
            }
            What::Icmp(error) => {
                let mut arrow = self.arrow_of(row.from.other(), self.strokes.line, Style::Red);
                arrow.tail = self.strokes.lost;
                let label = format!("ICMP: {}", icmp_words(*error));
                self.arrow(row.at, &row.moved, &arrow, vec![label]);
            }
            What::Note(text) => self.note(row, text),
            What::Trouble(trouble) => {
                let (who, other) = (self.word(row.from), self.word(row.from.other()));
                self.note(row, &trouble.sentence(row.at, &who, &other, ""));
            }
            What::LeftOut(left_out) => {
                let labels = label::left_out(left_out, self.signs);
                self.gap(row, labels);
            }
        }
        self.captions(row, row.annotation);
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

    fn run(&mut self, row: &Row, run: &Run) {
        if run.packets > 1 {
            let arrow = self.arrow_of(row.from, self.strokes.bulk, Style::Plain);
            self.arrow(row.at, &row.moved, &arrow, label::run(run, self.signs));
            return;
        }
        let arrow = self.arrow_of(row.from, self.strokes.line, Style::Plain);
        self.arrow(
            row.at,
            &row.moved,
            &arrow,
            label::segment_in(self.options.notation, &run.first),
        );
        if let Some((at, ack)) = &run.last_ack {
            let mut labels = label::segment_in(self.options.notation, ack);
            if run.acks > 1 {
                labels.insert(0, format!("{}  (the last of {} ACKs)", labels[0], count(run.acks)));
            }
            let arrow = self.arrow_of(row.from.other(), self.strokes.line, Style::Plain);
            self.arrow(*at, &[None; 2], &arrow, labels);
        }
    }

    fn both_ways(&mut self, row: &Row, labels: Vec<String>) {
        let middle = self.middle();
        let label = label::fitting(labels, middle - 8);
        let strokes = middle - label.chars().count() - 4;
        let bulk = self.strokes.bulk.to_string();
        let Strokes { life, to_right, to_left, .. } = *self.strokes;
        let mut line = self.cells(&self.since(row.at), None);
        line.put(Style::Dim, life).put(Style::Dim, to_left);
        line.put(Style::Dim, &bulk.repeat(strokes / 2));
        line.put(Style::Plain, &format!(" {label} "));
        line.put(Style::Dim, &bulk.repeat(strokes - strokes / 2));
        line.put(Style::Dim, to_right).put(Style::Dim, life);
        self.close_cells(line, None);
    }

    fn gap(&mut self, row: &Row, labels: Vec<String>) {
        let middle = self.middle();
        let label = label::fitting(labels, middle - 2);
        let pad = middle - label.chars().count();
        let mut line = self.cells(&self.since(row.at), None);
        line.put(Style::Dim, self.strokes.gap).to(LIFELINE + 1 + pad / 2);
        line.put(Style::Dim, &label).to(LIFELINE + 1 + middle);
        line.put(Style::Dim, self.strokes.gap);
        self.close_cells(line, None);
    }

    fn note(&mut self, row: &Row, text: &str) {
        let mut moved = row.moved;
        let mut time = self.since(row.at);
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
    fn captions(&mut self, row: &Row, annotation: Option<&'static str>) {
        let mut captions = self.told(row);
        if let Some(annotation) = annotation {
            captions.push((Style::Dim, annotation.to_owned()));
        }
        for (style, caption) in captions {
            for piece in wrap(&caption, self.middle() - 4) {
                self.between("", [None; 2], row.from, style, &piece);
            }
        }
    }

    /// The wave and what it says, what an RST was for.
    fn told(&self, row: &Row) -> Vec<(Style, String)> {
        let mut captions = Vec::new();
        if let Some(wave) = row.wave {
            captions.push((Style::Dim, format!("{}: \"{}\"", wave.title(), wave.says())));
            if let (Some(first), Some(closed)) = (self.story.closed_first, wave.closes()) {
                let who = self.word(if closed { first.who } else { first.who.other() });
                captions.push((Style::Dim, format!("now closed: {who}'s sending direction")));
            }
        }
        if let Some(cause) = row.cause {
            // The engine knows why it sent an RST; packets leave only a guess.
            let said = self.story.reason().filter(|reason| {
                self.story.engine == Some(row.from) && *reason != EndReason::Orderly
            });
            let (sender, receiver) = (self.word(row.from), self.word(row.from.other()));
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

    /// The facts of the story, in order.
    fn collect(&mut self) {
        let story = self.story;
        if let Some(first) = story.closed_first_told() {
            let by = first.by.name();
            let at = self.since(first.at);
            self.fact("closed first", &format!("{}, with {by} at {at}", self.word(first.who)));
        }
        self.fact("why", &story.why(&self.options.names));
        if let Some(report) = &story.report {
            self.report(report);
        }
        if let Some(half) = story.half_closed {
            let sender = self.word(half.sender);
            let lasted = match half.until {
                Some(until) => format!("for {}", span(until.saturating_sub(half.since))),
                None => "to the end".to_owned(),
            };
            let sent = if half.bytes == 0 { "nothing".to_owned() } else { bytes(half.bytes) };
            self.fact("half-closed", &format!("{lasted}; {sender} sent {sent} in that time"));
        }
        for wait in &story.time_wait {
            let (until, since) = (self.since(wait.until), self.since(wait.since));
            let lasts = span(wait.until.saturating_sub(wait.since));
            let who = self.word(wait.who);
            self.fact("TIME_WAIT", &format!("{who}, until {until} ({lasts} from {since})"));
        }
        self.left_behind();
        self.totals();
    }

    /// Who still has a connection when its story ends.
    fn left_behind(&mut self) {
        let story = self.story;
        let left: Vec<String> = Role::BOTH
            .into_iter()
            .zip(story.states)
            .filter(|(_, state)| !matches!(state, State::Closed | State::TimeWait))
            .map(|(who, state)| format!("{} in {state}", self.word(who)))
            .collect();
        if !left.is_empty() {
            self.fact("left open", &left.join(", "));
        }
    }

    fn totals(&mut self) {
        let story = self.story;
        let Strokes { long_right, long_left, .. } = *self.strokes;
        let [up, down] = story.bytes.map(bytes);
        let segments = counted(story.segments.iter().sum(), "segment");
        let retransmitted: u64 = story.retransmissions().iter().sum();
        let retransmitted = if retransmitted == 0 {
            String::new()
        } else {
            format!(", {} sent again", count(retransmitted))
        };
        let lasted = span(story.lasted());
        self.fact(
            "carried",
            &format!("{up} {long_right}, {down} {long_left}, {segments}{retransmitted}, {lasted}"),
        );
        if let Some(handshake) = story.handshake {
            self.fact("handshake", &span(handshake));
        }
        for (who, unseen) in Role::BOTH.into_iter().zip(story.unseen) {
            if unseen > 0 {
                let (unseen, who) = (bytes(unseen), self.word(who));
                let text = format!("{unseen} by {who} were acknowledged and never passed here");
                self.fact("unseen", &text);
            }
        }
        for (who, waits) in Role::BOTH.into_iter().zip(story.nagle_waits) {
            if waits.times > 0 {
                let waited = waits.sentence(&self.word(who.other()));
                let who = self.word(who);
                self.fact("stalls", &format!("{who} waited {waited}; TCP_NODELAY there avoids it"));
            }
        }
        if story.unexpected_segments > 0 {
            let odd = counted(story.unexpected_segments.into(), "segment");
            self.fact("anomalies", &format!("{odd} made no sense in the states of that time"));
        }
    }

    fn report(&mut self, report: &EndReport) {
        let ago = span(report.last_call_ago);
        let call = report.last_call.name();
        let whose = self.story.engine.map(|who| format!(" at {}", self.story.addr(who)));
        let whose = whose.unwrap_or_default();
        self.fact("last call", &format!("{call}{whose}, {ago} before the end"));
        if let (Some(side), None) = (report.closed_first, self.story.closed_first) {
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
