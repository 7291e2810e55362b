//! Events and records as JSON lines for machines. `SCHEMA.md` says what every field means.

mod record;
mod sender;

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::{EndReport, Side};
use serde::Serialize;

use crate::entry::{EntryKind, LadderEntry, Run, Shown};
use crate::event::{EntrySeen, Event, Opened};
use crate::nagle::NagleWaits;
use crate::names::Names;
use crate::record::{ConnectionRecord, HalfClosed, TimeWait};
use crate::warning::Warning;
use crate::words::{Ended, Role, icmp_words};

pub use record::{PacketLocation, write_record};

/// Seconds with microseconds.
fn t(at: Duration) -> f64 {
    at.as_micros() as f64 / 1e6
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Out<'a> {
    Open {
        conn: u64,
        t: f64,
        client: SocketAddr,
        server: SocketAddr,
        opened_by: Option<&'static str>,
    },
    Segment {
        conn: u64,
        t: f64,
        from: &'static str,
        #[serde(flatten)]
        segment: SegmentFields,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        annotation: Option<&'static str>,
    },
    Data {
        conn: u64,
        t: f64,
        #[serde(flatten)]
        data: Data,
    },
    State {
        conn: u64,
        t: f64,
        end: &'static str,
        from: &'static str,
        to: &'static str,
    },
    Wave {
        conn: u64,
        t: f64,
        from: &'static str,
        waves: &'static [u8],
        says: &'static str,
    },
    Arrival {
        conn: u64,
        t: f64,
        from: &'static str,
        flags: String,
    },
    Icmp {
        conn: u64,
        t: f64,
        about: &'static str,
        error: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        annotation: Option<&'static str>,
    },
    Note {
        conn: u64,
        t: f64,
        text: &'a str,
    },
    CloseWait {
        conn: u64,
        t: f64,
        client: SocketAddr,
        server: SocketAddr,
        end: &'static str,
        age: f64,
        last_call: &'static str,
        last_call_ago: f64,
        text: String,
    },
    Unanswered {
        conn: u64,
        t: f64,
        client: SocketAddr,
        server: SocketAddr,
        end: &'static str,
        retransmissions: u32,
        icmp: Option<&'static str>,
        text: String,
    },
    Sender {
        conn: u64,
        t: f64,
        end: &'static str,
        #[serde(flatten)]
        sender: sender::SenderFields,
    },
    Exchange {
        conn: u64,
        t: f64,
        #[serde(flatten)]
        exchange: record::ExchangeFields,
    },
    #[serde(rename = "left_out")]
    Entries {
        conn: u64,
        t: f64,
        #[serde(flatten)]
        left_out: record::LeftOutFields,
    },
    Anomaly(Box<record::AnomalyFields>),
    Metrics(Box<record::MetricsFields>),
    End(Box<End>),
}

/// A line, and where the packet stands that it is about, where that is known.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    out: &'a Out<'a>,
    #[serde(flatten)]
    place: Option<PacketLocation>,
}

#[derive(Serialize)]
struct SegmentFields {
    kind: &'static str,
    place: &'static str,
    flags: String,
    seq: u64,
    ack: Option<u64>,
    len: u64,
    segments: u64,
    window: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mss: Option<u16>,
}

#[derive(Serialize)]
struct Data {
    until: f64,
    from: &'static str,
    kind: &'static str,
    so_far: bool,
    segments: u64,
    bytes: u64,
    first_seq: u64,
    end_seq: u64,
    retransmitted: u64,
    out_of_order: u64,
    acks: u64,
    dup_acks: u64,
    zero_windows: u64,
}

#[derive(Serialize)]
struct Pair<T> {
    client: T,
    server: T,
}

impl<T: Copy> Pair<T> {
    fn of(pair: [T; 2]) -> Self {
        Self { client: pair[0], server: pair[1] }
    }
}

#[derive(Serialize)]
struct First {
    end: &'static str,
    by: &'static str,
    t: f64,
}

#[derive(Serialize)]
struct Half {
    sender: &'static str,
    since: f64,
    until: Option<f64>,
    bytes: u64,
}

#[derive(Serialize)]
struct Wait {
    end: &'static str,
    since: f64,
    until: f64,
}

#[derive(Clone, Copy, Serialize)]
struct Waits {
    times: u64,
    total: f64,
    longest: f64,
}

#[derive(Serialize)]
struct Report {
    end: Option<&'static str>,
    reason: &'static str,
    sentence: &'static str,
    closed_first: Option<&'static str>,
    last_call: &'static str,
    last_call_ago: f64,
    opened: f64,
    ended: f64,
    time_wait_until: Option<f64>,
    bytes_acked: u64,
    bytes_received: u64,
    bytes_unsent: u64,
    bytes_unread: u64,
    fin_retransmissions: u32,
    retransmissions: u32,
}

#[derive(Serialize)]
struct End {
    conn: u64,
    t: f64,
    client: SocketAddr,
    server: SocketAddr,
    opened_by: Option<&'static str>,
    opened: f64,
    ended: f64,
    how: &'static str,
    reset_by: Option<&'static str>,
    reset_cause: Option<&'static str>,
    why: String,
    states: Pair<&'static str>,
    closed_first: Option<First>,
    half_closed: Option<Half>,
    time_wait: Vec<Wait>,
    handshake: Option<f64>,
    bytes: Pair<u64>,
    bytes_acked: Pair<u64>,
    segments: Pair<u64>,
    retransmitted: Pair<u64>,
    fin_retransmissions: Pair<u32>,
    unseen: Pair<u64>,
    nagle_waits: Pair<Waits>,
    unexpected_segments: u32,
    report: Option<Report>,
}

/// Appends the lines that `event` is worth, each ended by a line feed. An entry of the ladder is
/// one line for what was seen, one for each state that it moved, and one for its wave.
pub fn write(event: &Event, names: &Names, out: &mut String) {
    match event {
        Event::Opened(opened) => push(&open(opened), None, out),
        Event::Entry(seen) => entry(&EntryContext::of(seen), names, out),
        Event::Sender(seen) => push(&sender::line(seen), None, out),
        Event::Ended(record) => push(&Out::End(Box::new(end(record, names))), None, out),
    }
}

/// An entry and what it belongs to.
struct EntryContext<'a> {
    conn: u64,
    addrs: [SocketAddr; 2],
    entry: &'a LadderEntry,
    so_far: bool,
    place: Option<PacketLocation>,
}

impl<'a> EntryContext<'a> {
    fn of(seen: &'a EntrySeen) -> Self {
        let EntrySeen { conn, opened: _, addrs, entry, so_far } = seen;
        Self { conn: *conn, addrs: *addrs, entry, so_far: *so_far, place: None }
    }
}

fn push(line: &Out<'_>, place: Option<PacketLocation>, out: &mut String) {
    // Numbers, strings and lists only, and every key a string: it cannot fail.
    match serde_json::to_string(&Line { out: line, place }) {
        Ok(text) => out.push_str(&text),
        Err(error) => unreachable!("a line of plain values: {error}"),
    }
    out.push('\n');
}

fn open(opened: &Opened) -> Out<'static> {
    let [client, server] = opened.addrs;
    Out::Open {
        conn: opened.conn,
        t: t(opened.at),
        client,
        server,
        opened_by: opened.opened_by.map(Role::name),
    }
}

fn warning(seen: &EntryContext<'_>, what: Warning, names: &Names) -> Out<'static> {
    let (conn, at, who) = (seen.conn, seen.entry.at, seen.entry.from);
    let word = |who: Role| names.word(who, seen.addrs[who.index()]);
    let text = what.sentence(at, &word(who), &word(who.other()), "");
    let [client, server] = seen.addrs;
    let (t_at, end) = (t(at), who.name());
    let ago = |then: Duration| t(at.saturating_sub(then));
    match what {
        Warning::CloseWait { since, last_call, last_call_at } => Out::CloseWait {
            conn,
            t: t_at,
            client,
            server,
            end,
            age: ago(since),
            last_call: last_call.name(),
            last_call_ago: ago(last_call_at),
            text,
        },
        Warning::Unanswered { retransmissions, icmp_error } => Out::Unanswered {
            conn,
            t: t_at,
            client,
            server,
            end,
            retransmissions,
            icmp: icmp_error.map(icmp_words),
            text,
        },
    }
}

fn entry(seen: &EntryContext<'_>, names: &Names, out: &mut String) {
    let (conn, entry) = (seen.conn, seen.entry);
    let at = t(entry.at);
    let from = entry.from.name();
    let line = match &entry.what {
        EntryKind::Segment(shown) => segment(conn, entry, shown),
        EntryKind::Run(run) => Out::Data { conn, t: at, data: data(entry, run, seen.so_far) },
        EntryKind::Arrival(flags) => Out::Arrival { conn, t: at, from, flags: flags.to_string() },
        EntryKind::Icmp(error) => {
            let (error, annotation) = (icmp_words(*error), entry.annotation);
            Out::Icmp { conn, t: at, about: from, error, annotation }
        }
        EntryKind::Note(text) => Out::Note { conn, t: at, text },
        EntryKind::Warning(what) => warning(seen, *what, names),
        EntryKind::Exchange(exchange) => Out::Exchange { conn, t: at, exchange: exchange.into() },
        EntryKind::LeftOut(gone) => Out::Entries { conn, t: at, left_out: gone.into() },
    };
    push(&line, seen.place, out);
    for who in Role::BOTH {
        if let Some(moved) = entry.moved[who.index()] {
            let (from, to) = (moved.from.name(), moved.to.name());
            push(&Out::State { conn, t: at, end: who.name(), from, to }, seen.place, out);
        }
    }
    if let Some(wave) = entry.wave {
        let (waves, says) = (wave.numbers(), wave.says());
        push(&Out::Wave { conn, t: at, from, waves, says }, seen.place, out);
    }
}

fn segment(conn: u64, entry: &LadderEntry, shown: &Shown) -> Out<'static> {
    Out::Segment {
        conn,
        t: t(entry.at),
        from: entry.from.name(),
        segment: SegmentFields {
            kind: shown.kind.name(),
            place: shown.place.name(),
            flags: shown.flags.to_string(),
            seq: shown.seq,
            ack: shown.ack,
            len: shown.len,
            segments: shown.segments,
            window: shown.window,
            mss: shown.mss,
        },
        cause: entry.cause.map(|cause| cause.name()),
        annotation: entry.annotation,
    }
}

fn data(entry: &LadderEntry, run: &Run, so_far: bool) -> Data {
    Data {
        until: t(run.until),
        from: entry.from.name(),
        kind: run.first.kind.name(),
        so_far,
        segments: run.segments,
        bytes: run.bytes,
        first_seq: run.first.seq,
        end_seq: run.end_seq,
        retransmitted: run.retransmitted,
        out_of_order: run.out_of_order,
        acks: run.acks,
        dup_acks: run.dup_acks,
        zero_windows: run.zero_windows,
    }
}

fn end(record: &ConnectionRecord, names: &Names) -> End {
    let [client, server] = record.addrs;
    let reset = match record.how {
        Ended::Reset { by, cause } => Some((by.name(), cause.name())),
        _ => None,
    };
    End {
        conn: record.conn,
        t: t(record.ended),
        client,
        server,
        opened_by: record.opened_by.map(Role::name),
        opened: t(record.opened),
        ended: t(record.ended),
        how: record.how.name(),
        reset_by: reset.map(|(by, _)| by),
        reset_cause: reset.map(|(_, cause)| cause),
        why: record.why(names),
        states: Pair::of(record.states.map(|state| state.name())),
        closed_first: record.closed_first.map(|first| First {
            end: first.who.name(),
            by: first.by.name(),
            t: t(first.at),
        }),
        half_closed: record.half_closed.as_ref().map(half),
        time_wait: record.time_wait.iter().map(wait).collect(),
        handshake: record.handshake.map(t),
        bytes: Pair::of(record.bytes),
        bytes_acked: Pair::of(record.bytes_acked),
        segments: Pair::of(record.segments),
        retransmitted: Pair::of(record.retransmitted),
        fin_retransmissions: Pair::of(record.fin_retransmissions),
        unseen: Pair::of(record.unseen),
        nagle_waits: Pair::of(record.nagle_waits.map(waits)),
        unexpected_segments: record.unexpected_segments,
        report: record.report.as_ref().map(|said| report(said, record.engine)),
    }
}

fn half(half: &HalfClosed) -> Half {
    Half {
        sender: half.sender.name(),
        since: t(half.since),
        until: half.until.map(t),
        bytes: half.bytes,
    }
}

fn waits(waits: NagleWaits) -> Waits {
    let NagleWaits { times, total, longest } = waits;
    Waits { times, total: t(total), longest: t(longest) }
}

fn wait(wait: &TimeWait) -> Wait {
    Wait { end: wait.who.name(), since: t(wait.since), until: t(wait.until) }
}

fn report(report: &EndReport, engine: Option<Role>) -> Report {
    let at = |micros: u64| t(Duration::from_micros(micros));
    let side = |side: Side| match side {
        Side::Local => engine.map(Role::name),
        Side::Remote => engine.map(|role| role.other().name()),
    };
    Report {
        end: engine.map(Role::name),
        reason: report.reason.name(),
        sentence: report.reason.sentence(),
        closed_first: report.closed_first.and_then(side),
        last_call: report.last_call.name(),
        last_call_ago: t(report.last_call_ago),
        opened: at(report.opened.as_micros()),
        ended: at(report.ended.as_micros()),
        time_wait_until: report.time_wait_until.map(|until| at(until.as_micros())),
        bytes_acked: report.bytes_acked,
        bytes_received: report.bytes_received,
        bytes_unsent: report.bytes_unsent,
        bytes_unread: report.bytes_unread,
        fin_retransmissions: report.fin_retransmits,
        retransmissions: report.retransmits,
    }
}
