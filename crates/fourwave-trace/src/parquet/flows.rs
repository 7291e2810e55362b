//! The table of connections: a row for each.

use std::time::Duration;

use bytes::Bytes;
use fourwave_lens::{ConnectionRecord, EndMetrics, Ended, Names, Role, Severity, TimeWait};

use super::column::Kind::{Double, Int, Long, Text, Texts, Timestamp};
use super::column::{Column, Kind, Value};

/// What a row is made of.
pub(super) struct Flow<'a> {
    pub(super) run: &'a Bytes,
    pub(super) capture: &'a Bytes,
    /// The number of its first packet in that capture.
    pub(super) first_packet: Option<u64>,
    pub(super) record: &'a ConnectionRecord,
}

pub(super) type Of = fn(&Flow<'_>) -> Value;

/// Two columns: what is so of the client, and of the server.
macro_rules! both {
    ($make:path, $name:literal, $kind:expr, |$flow:pat_param, $who:ident| $value:expr) => {
        [
            $make(concat!("client_", $name), $kind, |$flow: &Flow<'_>| {
                let $who = Role::Client;
                Value::from($value)
            }),
            $make(concat!("server_", $name), $kind, |$flow: &Flow<'_>| {
                let $who = Role::Server;
                Value::from($value)
            }),
        ]
    };
}

/// Two columns of figures that are there only where they were taken.
macro_rules! measured {
    ($name:literal, $kind:expr, |$end:ident| $value:expr) => {
        both!(maybe, $name, $kind, |flow, who| measure(flow, who).map(|$end| $value))
    };
}

const fn always(name: &'static str, kind: Kind, value: Of) -> Column<Of> {
    Column::always(name, kind, value)
}

const fn maybe(name: &'static str, kind: Kind, value: Of) -> Column<Of> {
    Column::maybe(name, kind, value)
}

fn measure<'a>(flow: &Flow<'a>, who: Role) -> Option<&'a EndMetrics> {
    flow.record.metrics.as_ref().map(|all| &all.ends[who.index()])
}

fn time_wait<'a>(flow: &Flow<'a>, who: Role) -> Option<&'a TimeWait> {
    flow.record.time_wait.iter().find(|wait| wait.who == who)
}

fn reset(flow: &Flow<'_>) -> Option<(Role, &'static str)> {
    match flow.record.how {
        Ended::Reset { by, cause } => Some((by, cause.name())),
        _ => None,
    }
}

fn anomalies(flow: &Flow<'_>) -> Value {
    let mut names: Vec<_> = flow.record.anomalies.iter().map(|found| found.kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}

/// All columns, in their order.
pub(super) fn columns() -> Vec<Column<Of>> {
    let mut all = identity();
    all.extend(end());
    all.extend(close());
    all.extend(volume());
    all.extend(retransmitted());
    all.extend(trips());
    all.extend(windows());
    all
}

fn identity() -> Vec<Column<Of>> {
    let mut all = vec![
        always("run", Text, |flow| flow.run.clone().into()),
        always("capture", Text, |flow| flow.capture.clone().into()),
        always("conn", Long, |flow| flow.record.conn.into()),
        maybe("first_packet", Long, |flow| flow.first_packet.into()),
    ];
    all.extend(both!(always, "addr", Text, |flow, who| flow.record.addr(who).ip()));
    all.extend(both!(always, "port", Int, |flow, who| flow.record.addr(who).port()));
    all.extend([
        maybe("opened_by", Text, |flow| flow.record.opened_by.map(Role::name).into()),
        always("opened", Timestamp, |flow| flow.record.opened.into()),
        always("ended", Timestamp, |flow| flow.record.ended.into()),
        always("duration_us", Long, |flow| flow.record.lasted().into()),
    ]);
    all
}

fn end() -> Vec<Column<Of>> {
    let mut all = vec![
        always("how", Text, |flow| flow.record.how.name().into()),
        maybe("reset_by", Text, |flow| reset(flow).map(|(by, _)| by.name()).into()),
        maybe("reset_cause", Text, |flow| reset(flow).map(|(_, cause)| cause).into()),
        always("why", Text, |flow| flow.record.why(&Names::default()).into()),
        always("anomalies", Texts, anomalies),
        maybe("worst", Text, |flow| {
            flow.record
                .anomalies
                .iter()
                .map(|found| found.kind.severity())
                .max()
                .map(Severity::name)
                .into()
        }),
    ];
    all.extend(both!(always, "state", Text, |flow, who| flow.record.states[who.index()].name()));
    all
}

fn close() -> Vec<Column<Of>> {
    let mut all = vec![
        maybe("closed_first", Text, |flow| {
            flow.record.closed_first.map(|first| first.who.name()).into()
        }),
        maybe("closed_first_by", Text, |flow| {
            flow.record.closed_first.map(|first| first.by.name()).into()
        }),
        maybe("closed_first_at", Timestamp, |flow| {
            flow.record.closed_first.map(|first| first.at).into()
        }),
        maybe("half_closed_sender", Text, |flow| {
            flow.record.half_closed.map(|half| half.sender.name()).into()
        }),
        maybe("half_closed_since", Timestamp, |flow| {
            flow.record.half_closed.map(|half| half.since).into()
        }),
        maybe("half_closed_until", Timestamp, |flow| {
            flow.record.half_closed.and_then(|half| half.until).into()
        }),
        maybe("half_closed_bytes", Long, |flow| {
            flow.record.half_closed.map(|half| half.bytes).into()
        }),
    ];
    all.extend(both!(maybe, "time_wait_since", Timestamp, |flow, who| {
        time_wait(flow, who).map(|wait| wait.since)
    }));
    all.extend(both!(maybe, "time_wait_until", Timestamp, |flow, who| {
        time_wait(flow, who).map(|wait| wait.until)
    }));
    all.extend(measured!("fins", Long, |end| end.fins));
    all.extend(measured!("rsts", Long, |end| end.rsts));
    all
}

fn volume() -> Vec<Column<Of>> {
    let mut all = Vec::new();
    all.extend(both!(always, "bytes", Long, |flow, who| flow.record.bytes[who.index()]));
    all.extend(both!(always, "bytes_acked", Long, |flow, who| {
        flow.record.bytes_acked[who.index()]
    }));
    all.extend(both!(always, "bytes_unseen", Long, |flow, who| flow.record.unseen[who.index()]));
    all.extend(measured!("bytes_payload", Long, |end| end.payload));
    all.extend(both!(always, "segments", Long, |flow, who| flow.record.segments[who.index()]));
    all.extend(both!(maybe, "bytes_per_second", Double, |flow, who| {
        measure(flow, who).and_then(|end| end.throughput(flow.record.bytes[who.index()]))
    }));
    all
}

fn retransmitted() -> Vec<Column<Of>> {
    let mut all = Vec::new();
    all.extend(both!(always, "retransmitted", Long, |flow, who| {
        flow.record.retransmitted[who.index()]
    }));
    all.extend(measured!("retransmitted_syn", Long, |end| end.retransmissions.syn));
    all.extend(measured!("retransmitted_fin", Long, |end| end.retransmissions.fin));
    all.extend(measured!("retransmitted_fast", Long, |end| end.retransmissions.fast));
    all.extend(measured!("retransmitted_timeout", Long, |end| end.retransmissions.timeout));
    all.extend(measured!("retransmitted_spurious", Long, |end| end.retransmissions.spurious));
    all.extend(measured!("out_of_order", Long, |end| end.out_of_order));
    all.extend(measured!("dup_acks", Long, |end| end.dup_acks));
    all.extend(measured!("keepalives", Long, |end| end.keepalives));
    all.extend(measured!("window_probes", Long, |end| end.window_probes));
    all
}

/// Spans in microseconds.
fn trips() -> Vec<Column<Of>> {
    let mut all = vec![
        maybe("handshake_us", Long, |flow| flow.record.handshake.into()),
        maybe("opening_us", Long, |flow| {
            flow.record.metrics.as_ref().and_then(|all| all.opening).into()
        }),
    ];
    all.extend(measured!("rtt_samples", Long, |end| end.rtt.samples));
    all.extend(both!(maybe, "rtt_min_us", Long, |flow, who| {
        trip(flow, who, |end| end.rtt.min)
    }));
    all.extend(both!(maybe, "rtt_mean_us", Long, |flow, who| {
        measure(flow, who).and_then(|end| end.rtt.mean())
    }));
    all.extend(both!(maybe, "rtt_max_us", Long, |flow, who| {
        trip(flow, who, |end| end.rtt.max)
    }));
    all
}

fn trip(flow: &Flow<'_>, who: Role, of: fn(&EndMetrics) -> Duration) -> Option<Duration> {
    measure(flow, who).filter(|end| end.rtt.samples > 0).map(of)
}

fn windows() -> Vec<Column<Of>> {
    let mut all = Vec::new();
    all.extend(measured!("zero_windows", Long, |end| end.zero_windows));
    all.extend(measured!("zero_window_us", Long, |end| end.zero_window_time));
    all.extend(measured!("max_in_flight", Long, |end| end.max_in_flight));
    all
}
