//! What the list and the search need of every connection.

use std::collections::BTreeSet;
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_lens::{AnomalyKind, ConnectionRecord, Names, Role, units};
use serde::Serialize;

use crate::overview::Overview;

/// One connection, short: arrays are smaller than objects ten thousand times.
#[derive(Debug, Serialize)]
pub(super) struct Entry(
    /// Its number.
    u64,
    /// The block of its details.
    u32,
    /// The client's title.
    String,
    /// The server's title.
    String,
    /// When it was opened, microseconds since the epoch of the capture.
    u64,
    /// How long it lasted, microseconds.
    u64,
    /// How it ended.
    &'static str,
    /// Bit n: an end was in `State::ALL[n]`.
    u16,
    /// Who closed first: `client`, `server` or nothing.
    &'static str,
    /// Bytes by the client and the server.
    [u64; 2],
    /// Segments retransmitted.
    u64,
    /// Its anomalies: indices into the index's kinds.
    BTreeSet<usize>,
    /// How long, for people.
    String,
);

impl Entry {
    pub(super) fn of(record: &ConnectionRecord, block: u32, names: &Names) -> Self {
        let [client, server] = record.addrs.map(|addr| names.title(addr));
        let found = record.anomalies.iter().map(|anomaly| anomaly.kind);
        Self(
            record.conn,
            block,
            client,
            server,
            micros(record.opened),
            micros(record.lasted()),
            record.how.name(),
            states(record),
            record.closed_first.map_or("", |first| Role::name(first.who)),
            record.bytes,
            record.retransmissions().iter().sum(),
            found.filter_map(place).collect(),
            units::span(record.lasted()),
        )
    }
}

/// States that either end was in, as far as rows tell.
fn states(record: &ConnectionRecord) -> u16 {
    let moves = record.entries.iter().flat_map(|row| row.moved).flatten();
    let passed = moves.flat_map(|moved| [moved.from, moved.to]).chain(record.states);
    passed.fold(0, |bits, state| bits | 1 << bit(state))
}

/// The place of a state in [`State::ALL`].
pub(super) fn bit(state: State) -> usize {
    State::ALL.iter().position(|other| *other == state).unwrap_or_default()
}

/// The place of a kind in [`AnomalyKind::ALL`].
pub(super) fn place(kind: AnomalyKind) -> Option<usize> {
    AnomalyKind::ALL.iter().position(|other| *other == kind)
}

/// An anomaly's words.
#[derive(Debug, Serialize)]
struct Kind {
    name: &'static str,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    severity: &'static str,
}

/// What the page's script reads first.
#[derive(Debug, Serialize)]
pub(super) struct Index<'a> {
    /// Microseconds since the epoch, of the first packet.
    begin: u64,
    states: Vec<&'static str>,
    kinds: Vec<Kind>,
    connections: &'a [Entry],
}

impl<'a> Index<'a> {
    pub(super) fn of(overview: &Overview, connections: &'a [Entry]) -> Self {
        let kinds = AnomalyKind::ALL.iter().map(|kind| Kind {
            name: kind.name(),
            title: kind.title(),
            meaning: kind.meaning(),
            remedy: kind.remedy(),
            severity: kind.severity().name(),
        });
        Self {
            begin: overview.span.map_or(0, |(first, _)| micros(first)),
            states: State::ALL.iter().map(|state| state.name()).collect(),
            kinds: kinds.collect(),
            connections,
        }
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
