//! A whole story as JSON lines: its rows, what is odd about it, its figures and its end.

use std::time::Duration;

use serde::Serialize;

use super::{Out, Pair, Seen, end, open, push, row, t};
use crate::anomaly::Anomaly;
use crate::event::Opened;
use crate::metrics::{EndMetrics, Metrics, Retransmissions};
use crate::names::Names;
use crate::row::{Exchange, LeftOut, Role};
use crate::story::Story;

/// Where a packet stands: which file, from 0, and its number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's index, from 0.
    pub file: usize,
    /// The packet's number in it, from 1.
    pub packet: u64,
}

#[derive(Serialize)]
pub(super) struct Exchanged {
    until: f64,
    turns: Pair<u64>,
    segments: Pair<u64>,
    bytes: Pair<u64>,
    retransmitted: u64,
}

impl From<&Exchange> for Exchanged {
    fn from(exchange: &Exchange) -> Self {
        let Exchange { until, turns, segments, bytes, retransmitted } = *exchange;
        Self {
            until: t(until),
            turns: Pair::of(turns),
            segments: Pair::of(segments),
            bytes: Pair::of(bytes),
            retransmitted,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Gone {
    until: f64,
    entries: u64,
    segments: u64,
    bytes: Pair<u64>,
}

impl From<&LeftOut> for Gone {
    fn from(gone: &LeftOut) -> Self {
        let LeftOut { until, rows: entries, segments, bytes } = *gone;
        Self { until: t(until), entries, segments, bytes: Pair::of(bytes) }
    }
}

#[derive(Serialize)]
pub(super) struct Odd {
    conn: u64,
    t: f64,
    name: &'static str,
    severity: &'static str,
    end: Option<&'static str>,
    times: u64,
    packets: Vec<u64>,
    files: Vec<usize>,
    duration: Option<f64>,
    text: String,
    meaning: &'static str,
    remedy: &'static str,
}

#[derive(Serialize)]
pub(super) struct Figures {
    conn: u64,
    t: f64,
    opening: Option<f64>,
    client: OfEnd,
    server: OfEnd,
}

#[derive(Serialize)]
struct OfEnd {
    retransmissions: Kinds,
    rtt: Option<Trips>,
    zero_windows: u64,
    zero_window_time: f64,
    out_of_order: u64,
    dup_acks: u64,
    keepalives: u64,
    window_probes: u64,
    data_since: Option<f64>,
    data_until: Option<f64>,
    throughput: Option<f64>,
    payload: u64,
    max_in_flight: u64,
    fins: u64,
    rsts: u64,
}

#[derive(Serialize)]
struct Kinds {
    syn: u64,
    fin: u64,
    fast: u64,
    timeout: u64,
    spurious: u64,
}

#[derive(Serialize)]
struct Trips {
    samples: u64,
    min: f64,
    mean: f64,
    max: f64,
}

/// Appends the lines of a whole story, each ended by a line feed: `open`, its rows with their
/// states and waves, an `anomaly` line for each, `metrics` and `end`. `place` says where the
/// packet with a running number stands. O(rows).
pub fn write_story(story: &Story, names: &Names, place: &dyn Fn(u64) -> Place, out: &mut String) {
    let (conn, addrs) = (story.conn, story.addrs);
    let spot = |packet: u64| (packet > 0).then(|| place(packet));
    let opened = Opened { conn, at: story.opened, addrs, opened_by: story.opened_by };
    push(&open(&opened), story.rows.first().and_then(|row| spot(row.packet)), out);
    for one in &story.rows {
        let seen = Seen { conn, addrs, row: one, so_far: false, place: spot(one.packet) };
        row(&seen, names, out);
    }
    for anomaly in &story.anomalies {
        push(&Out::Anomaly(Box::new(odd(anomaly, story, names, place))), None, out);
    }
    if let Some(metrics) = &story.metrics {
        push(&Out::Metrics(Box::new(figures(metrics, story))), None, out);
    }
    push(&Out::End(Box::new(end(story, names))), None, out);
}

fn odd(anomaly: &Anomaly, story: &Story, names: &Names, place: &dyn Fn(u64) -> Place) -> Odd {
    let Anomaly { kind, who, at, proof, duration } = anomaly;
    let places: Vec<Place> = proof.packets().iter().map(|packet| place(*packet)).collect();
    Odd {
        conn: story.conn,
        t: t(*at),
        name: kind.name(),
        severity: kind.severity().name(),
        end: who.map(Role::name),
        times: proof.times(),
        packets: places.iter().map(|place| place.packet).collect(),
        files: places.iter().map(|place| place.file).collect(),
        duration: duration.map(t),
        text: anomaly.sentence(story, names),
        meaning: kind.meaning(),
        remedy: kind.remedy(),
    }
}

fn figures(metrics: &Metrics, story: &Story) -> Figures {
    let Metrics { ends: [client, server], opening, points: _ } = metrics;
    Figures {
        conn: story.conn,
        t: t(story.ended),
        opening: opening.map(t),
        client: of_end(client, story.bytes[0]),
        server: of_end(server, story.bytes[1]),
    }
}

fn of_end(end: &EndMetrics, bytes: u64) -> OfEnd {
    let EndMetrics {
        retransmissions: Retransmissions { syn, fin, fast, timeout, spurious },
        rtt,
        zero_windows,
        zero_window_time,
        out_of_order,
        dup_acks,
        keepalives,
        window_probes,
        data,
        payload,
        max_in_flight,
        fins,
        rsts,
    } = *end;
    let trips = |mean: Duration| Trips {
        samples: rtt.samples,
        min: t(rtt.min),
        mean: t(mean),
        max: t(rtt.max),
    };
    OfEnd {
        retransmissions: Kinds { syn, fin, fast, timeout, spurious },
        rtt: rtt.mean().map(trips),
        zero_windows,
        zero_window_time: t(zero_window_time),
        out_of_order,
        dup_acks,
        keepalives,
        window_probes,
        data_since: data.map(|(first, _)| t(first)),
        data_until: data.map(|(_, last)| t(last)),
        // Whole bytes in a second are exact enough, and the same on every machine.
        throughput: end.throughput(bytes).map(f64::round),
        payload,
        max_in_flight,
        fins,
        rsts,
    }
}
