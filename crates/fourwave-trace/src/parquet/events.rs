//! The table of events: a row for each thing that a ladder shows.

use std::time::Duration;

use bytes::Bytes;
use fourwave_lens::{
    Anomaly, ConnectionRecord, EntryKind, Exchange, LadderEntry, LeftOut, Move, Names, Role, Run,
    Shown, icmp_words,
};

use super::column::Kind::{Int, Long, Text, Texts, Timestamp};
use super::column::{Column, Kind, Value};
use crate::sink::Numbering;

/// What a row is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) at: Duration,
    until: Option<Duration>,
    /// The running number of the packet that it begins with.
    packet: Option<u64>,
    event: &'static str,
    from: Option<Role>,
    kind: Option<&'static str>,
    place: Option<&'static str>,
    flags: Option<String>,
    seq: Option<u64>,
    ack: Option<u64>,
    bytes: Option<u64>,
    segments: Option<u64>,
    retransmitted: Option<u64>,
    out_of_order: Option<u64>,
    acks: Option<u64>,
    dup_acks: Option<u64>,
    zero_windows: Option<u64>,
    window: Option<u32>,
    mss: Option<u16>,
    moved: Option<Move>,
    wave: Option<&'static str>,
    cause: Option<&'static str>,
    severity: Option<&'static str>,
    text: Option<String>,
    proof: Vec<String>,
}

/// Where a row stands.
pub(super) struct Placed<'a> {
    pub(super) run: &'a Bytes,
    pub(super) capture: &'a Bytes,
    /// The number of the packet in that capture.
    pub(super) packet: Option<u64>,
    pub(super) record: &'a ConnectionRecord,
    /// From 0, in the order of the ladder.
    pub(super) index: u64,
    pub(super) event: &'a Event,
}

pub(super) type Of = fn(&Placed<'_>) -> Value;

const fn always(name: &'static str, kind: Kind, value: Of) -> Column<Of> {
    Column::always(name, kind, value)
}

const fn maybe(name: &'static str, kind: Kind, value: Of) -> Column<Of> {
    Column::maybe(name, kind, value)
}

/// All columns, in their order.
pub(super) fn columns() -> Vec<Column<Of>> {
    let mut all = identity();
    all.extend(what());
    all.extend(counts());
    all
}

fn identity() -> Vec<Column<Of>> {
    vec![
        always("run", Text, |it| it.run.clone().into()),
        always("capture", Text, |it| it.capture.clone().into()),
        always("conn", Long, |it| it.record.conn.into()),
        always("client_addr", Text, |it| it.record.addrs[0].ip().into()),
        always("client_port", Int, |it| it.record.addrs[0].port().into()),
        always("server_addr", Text, |it| it.record.addrs[1].ip().into()),
        always("server_port", Int, |it| it.record.addrs[1].port().into()),
        always("n", Long, |it| it.index.into()),
        always("t", Timestamp, |it| it.event.at.into()),
        maybe("until", Timestamp, |it| it.event.until.into()),
        maybe("packet", Long, |it| it.packet.into()),
    ]
}

fn what() -> Vec<Column<Of>> {
    vec![
        always("event", Text, |it| it.event.event.into()),
        maybe("side", Text, |it| it.event.from.map(Role::name).into()),
        maybe("kind", Text, |it| it.event.kind.into()),
        maybe("place", Text, |it| it.event.place.into()),
        maybe("flags", Text, |it| it.event.flags.clone().into()),
        maybe("seq", Long, |it| it.event.seq.into()),
        maybe("ack", Long, |it| it.event.ack.into()),
        maybe("len", Long, |it| it.event.bytes.into()),
        maybe("window", Long, |it| it.event.window.into()),
        maybe("mss", Int, |it| it.event.mss.into()),
        maybe("state_from", Text, |it| it.event.moved.map(|moved| moved.from.name()).into()),
        maybe("state_to", Text, |it| it.event.moved.map(|moved| moved.to.name()).into()),
        maybe("wave", Text, |it| it.event.wave.into()),
        maybe("cause", Text, |it| it.event.cause.into()),
        maybe("severity", Text, |it| it.event.severity.into()),
        maybe("text", Text, |it| it.event.text.clone().into()),
        always("proof", Texts, |it| it.event.proof.iter().cloned().collect()),
    ]
}

fn counts() -> Vec<Column<Of>> {
    vec![
        maybe("segments", Long, |it| it.event.segments.into()),
        maybe("retransmitted", Long, |it| it.event.retransmitted.into()),
        maybe("out_of_order", Long, |it| it.event.out_of_order.into()),
        maybe("acks", Long, |it| it.event.acks.into()),
        maybe("dup_acks", Long, |it| it.event.dup_acks.into()),
        maybe("zero_windows", Long, |it| it.event.zero_windows.into()),
    ]
}

impl Event {
    /// The running number of the packet that it begins with.
    pub(super) fn running(&self) -> Option<u64> {
        self.packet
    }

    fn segment(self, shown: &Shown, row: &LadderEntry) -> Self {
        Self {
            event: "segment",
            kind: Some(shown.kind.name()),
            place: Some(shown.place.name()),
            flags: Some(shown.flags.to_string()),
            seq: Some(shown.seq),
            ack: shown.ack,
            bytes: Some(shown.len),
            segments: Some(shown.segments),
            window: Some(shown.window),
            mss: shown.mss,
            cause: row.cause.map(|cause| cause.name()),
            ..self
        }
    }

    fn run(self, run: &Run) -> Self {
        Self {
            event: "data",
            until: Some(run.until),
            kind: Some(run.first.kind.name()),
            seq: Some(run.first.seq),
            ack: run.last_ack.and_then(|(_, shown)| shown.ack),
            bytes: Some(run.bytes),
            segments: Some(run.segments),
            retransmitted: Some(run.retransmitted),
            out_of_order: Some(run.out_of_order),
            acks: Some(run.acks),
            dup_acks: Some(run.dup_acks),
            zero_windows: Some(run.zero_windows),
            ..self
        }
    }

    fn exchange(self, exchange: &Exchange) -> Self {
        Self {
            event: "exchange",
            until: Some(exchange.until),
            from: None,
            bytes: Some(exchange.bytes.iter().sum()),
            segments: Some(exchange.segments.iter().sum()),
            retransmitted: Some(exchange.retransmitted),
            ..self
        }
    }

    fn left_out(self, left_out: &LeftOut) -> Self {
        Self {
            event: "left_out",
            until: Some(left_out.until),
            from: None,
            bytes: Some(left_out.bytes.iter().sum()),
            segments: Some(left_out.segments),
            ..self
        }
    }

    /// What the row tells, without the states and the wave.
    fn of_entry(row: &LadderEntry) -> Self {
        let event = Self {
            at: row.at,
            packet: (row.packet > 0).then_some(row.packet),
            from: Some(row.from),
            text: row.annotation.map(str::to_owned),
            ..Self::default()
        };
        match &row.what {
            EntryKind::Segment(shown) => event.segment(shown, row),
            EntryKind::Run(run) => event.run(run),
            EntryKind::Exchange(exchange) => event.exchange(exchange),
            EntryKind::LeftOut(left_out) => event.left_out(left_out),
            EntryKind::Arrival(flags) => {
                Self { event: "arrival", flags: Some(flags.to_string()), ..event }
            }
            EntryKind::Icmp(error) => {
                Self { event: "icmp", kind: Some(icmp_words(*error)), ..event }
            }
            EntryKind::Note(text) => {
                Self { event: "note", from: None, text: Some(text.clone()), ..event }
            }
            EntryKind::Warning(warning) => {
                let text = warning.sentence(row.at, row.from.name(), row.from.other().name(), "");
                Self { event: warning.name(), text: Some(text), ..event }
            }
            // What the lens learns to tell later has a row too.
            _ => Self { event: "other", ..event },
        }
    }

    fn anomaly(found: &Anomaly, record: &ConnectionRecord, numbering: &Numbering) -> Self {
        let packets = found.proof.packets();
        Self {
            at: found.at,
            until: found.duration.map(|lasted| found.at.saturating_add(lasted)),
            packet: packets.first().copied(),
            event: "anomaly",
            from: found.who,
            kind: Some(found.kind.name()),
            severity: Some(found.kind.severity().name()),
            text: Some(found.sentence(record, &Names::default())),
            segments: Some(found.proof.times()),
            proof: packets.iter().map(|packet| numbering.text(*packet)).collect(),
            ..Self::default()
        }
    }
}

const fn wave_numbers(numbers: &[u8]) -> &'static str {
    match numbers {
        [1] => "1",
        [2] => "2",
        [2, 3] => "2+3",
        [3] => "3",
        _ => "4",
    }
}

/// Every event of a connection, in the order of its ladder, the anomalies at the end.
pub(super) fn of(record: &ConnectionRecord, numbering: &Numbering, mut emit: impl FnMut(Event)) {
    for row in &record.entries {
        let event = Event::of_entry(row);
        let beside = Event { at: event.at, packet: event.packet, ..Event::default() };
        emit(event);
        for who in Role::BOTH {
            if let Some(moved) = row.moved[who.index()] {
                let (from, moved) = (Some(who), Some(moved));
                emit(Event { event: "state", from, moved, ..beside.clone() });
            }
        }
        if let Some(wave) = row.wave {
            let (from, text) = (Some(row.from), Some(wave.says().to_owned()));
            let wave = Some(wave_numbers(wave.numbers()));
            emit(Event { event: "wave", from, wave, text, ..beside });
        }
    }
    for found in &record.anomalies {
        emit(Event::anomaly(found, record, numbering));
    }
}
