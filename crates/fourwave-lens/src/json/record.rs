//! A whole record as JSON lines: its entries, its anomalies, its metrics and its end.

use std::time::Duration;

use serde::Serialize;

use super::{EntryContext, Out, Pair, end, entry, open, push, sender, t};
use crate::entry::{Exchange, LeftOut};
use crate::event::{Opened, SenderSeen};
use crate::metrics::{EndMetrics, Metrics, Retransmissions, SenderPoint};
use crate::names::Names;
use crate::record::ConnectionRecord;
use crate::words::{Anomaly, Role};

/// Where a packet stands: which file, from 0, and its number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PacketLocation {
    /// The file's index, from 0.
    pub file: usize,
    /// The packet's number in it, from 1.
    pub packet: u64,
}

#[derive(Serialize)]
pub(super) struct ExchangeFields {
    until: f64,
    turns: Pair<u64>,
    segments: Pair<u64>,
    bytes: Pair<u64>,
    retransmitted: u64,
}

impl From<&Exchange> for ExchangeFields {
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
pub(super) struct LeftOutFields {
    until: f64,
    entries: u64,
    segments: u64,
    bytes: Pair<u64>,
}

impl From<&LeftOut> for LeftOutFields {
    fn from(gone: &LeftOut) -> Self {
        let LeftOut { until, entries, segments, bytes } = *gone;
        Self { until: t(until), entries, segments, bytes: Pair::of(bytes) }
    }
}

#[derive(Serialize)]
pub(super) struct AnomalyFields {
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
pub(super) struct MetricsFields {
    conn: u64,
    t: f64,
    opening: Option<f64>,
    client: EndMetricsFields,
    server: EndMetricsFields,
}

#[derive(Serialize)]
struct EndMetricsFields {
    retransmissions: RetransmissionFields,
    rtt: Option<RttFields>,
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
struct RetransmissionFields {
    syn: u64,
    fin: u64,
    fast: u64,
    timeout: u64,
    spurious: u64,
}

#[derive(Serialize)]
struct RttFields {
    samples: u64,
    min: f64,
    mean: f64,
    max: f64,
}

/// Appends the lines of a whole record, each ended by a line feed: `open`, its entries with their
/// states and waves, a `sender` line for each word of an engine, an `anomaly` line for each,
/// `metrics` and `end`. `place` says where the
/// packet with a running number stands. O(entries).
pub fn write_record(
    record: &ConnectionRecord,
    names: &Names,
    place: &dyn Fn(u64) -> PacketLocation,
    out: &mut String,
) {
    let (conn, addrs) = (record.conn, record.addrs);
    let spot = |packet: u64| (packet > 0).then(|| place(packet));
    let opened = Opened { conn, at: record.opened, addrs, opened_by: record.opened_by };
    push(&open(&opened), record.entries.first().and_then(|entry| spot(entry.packet)), out);
    for one in &record.entries {
        let seen = EntryContext { conn, addrs, entry: one, so_far: false, place: spot(one.packet) };
        entry(&seen, names, out);
    }
    for SenderPoint { at, end, sender } in record.metrics.iter().flat_map(|m| &m.senders) {
        let seen = SenderSeen { conn, at: *at, end: *end, sender: *sender };
        push(&sender::line(&seen), None, out);
    }
    for anomaly in &record.anomalies {
        push(&Out::Anomaly(Box::new(anomaly_fields(anomaly, record, names, place))), None, out);
    }
    if let Some(metrics) = &record.metrics {
        push(&Out::Metrics(Box::new(metrics_fields(metrics, record))), None, out);
    }
    push(&Out::End(Box::new(end(record, names))), None, out);
}

fn anomaly_fields(
    anomaly: &Anomaly,
    record: &ConnectionRecord,
    names: &Names,
    place: &dyn Fn(u64) -> PacketLocation,
) -> AnomalyFields {
    let Anomaly { kind, who, at, proof, duration } = anomaly;
    let places: Vec<PacketLocation> = proof.packets().iter().map(|packet| place(*packet)).collect();
    AnomalyFields {
        conn: record.conn,
        t: t(*at),
        name: kind.name(),
        severity: kind.severity().name(),
        end: who.map(Role::name),
        times: proof.times(),
        packets: places.iter().map(|place| place.packet).collect(),
        files: places.iter().map(|place| place.file).collect(),
        duration: duration.map(t),
        text: anomaly.sentence(record, names),
        meaning: kind.meaning(),
        remedy: kind.remedy(),
    }
}

fn metrics_fields(metrics: &Metrics, record: &ConnectionRecord) -> MetricsFields {
    let Metrics { ends: [client, server], opening, points: _, senders: _ } = metrics;
    MetricsFields {
        conn: record.conn,
        t: t(record.ended),
        opening: opening.map(t),
        client: end_metrics_fields(client, record.bytes[0]),
        server: end_metrics_fields(server, record.bytes[1]),
    }
}

fn end_metrics_fields(end: &EndMetrics, bytes: u64) -> EndMetricsFields {
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
    let trips = |mean: Duration| RttFields {
        samples: rtt.samples,
        min: t(rtt.min),
        mean: t(mean),
        max: t(rtt.max),
    };
    EndMetricsFields {
        retransmissions: RetransmissionFields { syn, fin, fast, timeout, spurious },
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
