//! One connection, with all words and numbers that its drawings need.

use std::time::Duration;

use fourwave_lens::{
    Anomaly, ConnectionRecord, EntryKind, Kind, LOST, LadderEntry, Names, Place, Point, PointKind,
    Role, Sender, SenderPoint, Shown, icmp_words, label, ladder, units,
};
use serde::Serialize;

use super::index::{bit, micros, place};
use super::metrics;
use crate::sink::Numbering;

/// A pause between two rows that is worth a word.
const PAUSE: Duration = Duration::from_millis(500);

/// Times are microseconds since the connection was opened.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    /// The connection's number.
    conn: u64,
    /// Its beginning was not seen.
    middle: bool,
    /// When it was opened, for people.
    at: String,
    titles: [String; 2],
    words: [String; 2],
    /// How it ended: for machines, and in a sentence.
    how: &'static str,
    why: String,
    facts: Vec<(&'static str, String)>,
    /// When it ended.
    end: i64,
    rows: Vec<Line>,
    /// Each end's states: since when, and which.
    tracks: [Vec<(i64, usize)>; 2],
    /// Who is in TIME_WAIT, since when, until when, how long.
    waits: Vec<(usize, i64, i64, String)>,
    half: Option<Half>,
    /// Figures of each end.
    metrics: Vec<metrics::MetricRow>,
    found: Vec<Found>,
    /// For each stream, for each kind of point: times and numbers, each as the difference to the
    /// one before.
    points: Option<[[Vec<i64>; 4]; 2]>,
    /// For each end, what an engine there said of its sender.
    senders: [Vec<SenderWord>; 2],
}

/// When; the congestion window, the slow-start threshold (−1 for none), what was in flight, in
/// bytes; the round-trip time in µs; the state of recovery.
type SenderWord = (i64, u64, i64, u64, u64, &'static str);

/// One line of the ladder.
#[derive(Debug, Default, Serialize)]
struct Line {
    /// When.
    t: i64,
    /// The packet's number.
    #[serde(skip_serializing_if = "String::is_empty")]
    p: String,
    /// Who sent it.
    d: usize,
    /// What to draw: `arrow`, `bulk`, `both`, `arrival`, `icmp`, `note`, `gap`.
    k: &'static str,
    /// Labels; the first that fits counts.
    l: Vec<String>,
    /// Classes for drawing: `rst`, `fin`, `syn`, `retransmitted`, `out-of-order`, `lost`, `closed`;
    /// a run in which some segments are retransmitted or out of order: `mixed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    s: Vec<&'static str>,
    /// What stands below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    c: Vec<String>,
    /// The states that it leads to.
    #[serde(skip_serializing_if = "none")]
    m: [Option<usize>; 2],
    /// Which of the four waves it is.
    #[serde(skip_serializing_if = "<[u8]>::is_empty")]
    w: &'static [u8],
    /// The pause before it.
    #[serde(skip_serializing_if = "String::is_empty")]
    g: String,
}

fn none(moved: &[Option<usize>; 2]) -> bool {
    moved.iter().all(Option::is_none)
}

/// One end had closed, the other not.
#[derive(Debug, Serialize)]
struct Half {
    since: i64,
    until: i64,
    text: String,
}

/// An anomaly.
#[derive(Debug, Serialize)]
struct Found {
    kind: usize,
    at: i64,
    sentence: String,
    packets: Vec<String>,
    times: u64,
}

/// Turns a record's times into those of the page.
struct Clock(Duration);

impl Clock {
    fn of(&self, at: Duration) -> i64 {
        let signed = |d: Duration| i64::try_from(micros(d)).unwrap_or(i64::MAX);
        signed(at).saturating_sub(signed(self.0))
    }
}

impl Detail {
    pub(super) fn of(record: &ConnectionRecord, numbering: &Numbering, names: &Names) -> Self {
        let clock = Clock(record.opened);
        let words = Role::BOTH.map(|who| names.word(who, record.addr(who)));
        let wait = |wait: &fourwave_lens::TimeWait| {
            let span = units::span(wait.until.saturating_sub(wait.since));
            (wait.who.index(), clock.of(wait.since), clock.of(wait.until), span)
        };
        Self {
            conn: record.conn,
            middle: record.opened_by.is_none(),
            at: units::clock(record.opened),
            titles: record.addrs.map(|addr| names.title(addr)),
            how: record.how.name(),
            why: record.why(names),
            facts: ladder::facts(record, names),
            end: clock.of(record.ended),
            rows: lines(record, numbering, names, &clock),
            tracks: Role::BOTH.map(|who| track(record, who, &clock)),
            waits: record.time_wait.iter().map(wait).collect(),
            half: half(record, &words, &clock),
            metrics: metrics::of(record),
            found: record
                .anomalies
                .iter()
                .filter_map(|a| found(a, record, numbering, names))
                .collect(),
            points: record.metrics.as_ref().map(|m| points(&m.points, &clock)),
            senders: Role::BOTH.map(|who| senders(record, who, &clock)),
            words,
        }
    }
}

fn found(
    anomaly: &Anomaly,
    record: &ConnectionRecord,
    numbering: &Numbering,
    names: &Names,
) -> Option<Found> {
    Some(Found {
        kind: place(anomaly.kind)?,
        at: Clock(record.opened).of(anomaly.at),
        sentence: anomaly.sentence(record, names),
        packets: anomaly.proof.packets().iter().map(|&n| numbering.text(n)).collect(),
        times: anomaly.proof.times(),
    })
}

fn half(record: &ConnectionRecord, words: &[String; 2], clock: &Clock) -> Option<Half> {
    let half = record.half_closed?;
    let until = half.until.unwrap_or(record.ended);
    let sender = &words[half.sender.index()];
    let span = units::span(until.saturating_sub(half.since));
    let text = format!("half-closed for {span}: {sender} could still send");
    Some(Half { since: clock.of(half.since), until: clock.of(until), text })
}

/// An end's states: the first one from the beginning, then each change.
fn track(record: &ConnectionRecord, who: Role, clock: &Clock) -> Vec<(i64, usize)> {
    let moves = || {
        record.entries.iter().filter_map(|row| row.moved[who.index()].map(|moved| (row.at, moved)))
    };
    let first = moves().next().map_or(record.states[who.index()], |(_, moved)| moved.from);
    let begin = record.entries.first().map_or(record.opened, |row| row.at);
    let changes = moves().map(|(at, moved)| (clock.of(at), bit(moved.to)));
    std::iter::once((clock.of(begin), bit(first))).chain(changes).collect()
}

fn senders(record: &ConnectionRecord, who: Role, clock: &Clock) -> Vec<SenderWord> {
    let all = record.metrics.iter().flat_map(|metrics| &metrics.senders);
    all.filter(|point| point.end == who)
        .map(|SenderPoint { at, sender, .. }| {
            let Sender { state, cwnd, ssthresh, in_flight, rtt, .. } = *sender;
            let ssthresh = ssthresh.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            (clock.of(*at), cwnd, ssthresh, in_flight, micros(rtt), state)
        })
        .collect()
}

/// For each stream and kind, times and numbers as differences.
fn points(points: &[Point], clock: &Clock) -> [[Vec<i64>; 4]; 2] {
    let mut out: [[Vec<i64>; 4]; 2] = Default::default();
    let mut last = [[(0, 0); 4]; 2];
    for point in points {
        let stream = point.stream.index();
        let kind = match point.kind {
            PointKind::Data => 0,
            PointKind::Retransmitted => 1,
            PointKind::Ack => 2,
            PointKind::Window => 3,
        };
        let now = (clock.of(point.at), i64::try_from(point.seq).unwrap_or(i64::MAX));
        let before = std::mem::replace(&mut last[stream][kind], now);
        out[stream][kind].extend([now.0 - before.0, now.1 - before.1]);
    }
    out
}

fn lines(
    record: &ConnectionRecord,
    numbering: &Numbering,
    names: &Names,
    clock: &Clock,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut before = record.opened;
    for row in &record.entries {
        let mut line = line(row, names, record);
        line.t = clock.of(row.at);
        line.d = row.from.index();
        if row.packet > 0 {
            line.p = numbering.text(row.packet);
        }
        let pause = row.at.saturating_sub(before);
        if pause >= PAUSE {
            line.g = units::span(pause);
        }
        before = before.max(row.until());
        line.m = row.moved.map(|moved| moved.map(|moved| bit(moved.to)));
        line.w = row.wave.map_or(&[], |wave| wave.numbers());
        line.c.extend(ladder::captions(record, names, row));
        line.c.extend(row.annotation.map(str::to_owned));
        lines.push(line);
        lines.extend(last_ack(row, clock));
    }
    lines
}

fn line(row: &LadderEntry, names: &Names, record: &ConnectionRecord) -> Line {
    let mut line = Line::default();
    (line.k, line.l) = match &row.what {
        EntryKind::Segment(shown) => {
            line.s = looks(shown);
            ("arrow", label::segment(shown))
        }
        EntryKind::Run(run) if run.packets > 1 => {
            line.s.extend(match run.retransmitted + run.out_of_order {
                0 => None,
                _ if run.retransmitted == run.segments => Some("retransmitted"),
                _ => Some("mixed"),
            });
            ("bulk", label::run(run, label::UTF8))
        }
        EntryKind::Run(run) => {
            line.s = looks(&run.first);
            ("arrow", label::segment(&run.first))
        }
        EntryKind::Exchange(exchange) => ("both", label::exchange(exchange, label::UTF8)),
        EntryKind::Arrival(flags) => ("arrival", vec![format!("the {flags} arrives")]),
        EntryKind::Icmp(error) => ("icmp", vec![format!("ICMP: {}", icmp_words(*error))]),
        EntryKind::Note(text) => ("note", vec![text.clone()]),
        EntryKind::Warning(warning) => {
            let word = |who: Role| names.word(who, record.addr(who));
            let (who, other) = (word(row.from), word(row.from.other()));
            ("note", vec![warning.sentence(row.at, &who, &other, "")])
        }
        EntryKind::LeftOut(left_out) => ("gap", label::left_out(left_out, label::UTF8)),
        // A new kind of row is shown by nothing but its time until it is drawn here.
        _ => ("note", Vec::new()),
    };
    line.s.extend((row.annotation == Some(LOST)).then_some("lost"));
    line.l.dedup();
    line
}

/// The last ACK that answered a single packet stands on a line of its own.
fn last_ack(row: &LadderEntry, clock: &Clock) -> Option<Line> {
    let EntryKind::Run(run) = &row.what else { return None };
    let (at, ack) = run.last_ack.as_ref().filter(|_| run.packets == 1)?;
    let mut labels = label::segment(ack);
    if run.acks > 1 {
        let last = format!("{}  (the last of {} ACKs)", labels[0], units::count(run.acks));
        labels.insert(0, last);
    }
    labels.dedup();
    let (t, d) = (clock.of(*at), row.from.other().index());
    Some(Line { t, d, k: "arrow", l: labels, s: looks(ack), ..Line::default() })
}

fn looks(shown: &Shown) -> Vec<&'static str> {
    let mut looks = Vec::new();
    looks.extend(shown.flags.rst().then_some("rst"));
    looks.extend((shown.flags.fin() && !shown.flags.rst()).then_some("fin"));
    looks.extend(matches!(shown.kind, Kind::Syn | Kind::SynAck).then_some("syn"));
    looks.extend((shown.kind == Kind::ZeroWindow).then_some("closed"));
    match shown.place {
        Place::Retransmitted => looks.push("retransmitted"),
        Place::OutOfOrder | Place::Ahead | Place::Outside => looks.push("out-of-order"),
        Place::InOrder => {}
    }
    looks
}
