//! What a scenario shows, part by part.

use std::time::Duration;

use bytes::Bytes;
use fourwave_lens::{ConnectionRecord, Event, Names};

/// One thing that a performance shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Part {
    /// What a lens saw: ladders.
    Watched {
        /// What distinguishes it from the scenario's other parts; empty when it is the only one.
        title: String,
        /// Everything the lens told, in order.
        events: Vec<Event>,
        /// What the ends are called.
        names: Names,
        /// Connections whose ladder is drawn, by number; all when empty.
        drawn: Vec<u64>,
        /// The packets that the lens saw, from their IP headers on, each with the time since the
        /// part began.
        packets: Vec<(Duration, Bytes)>,
    },
    /// A table.
    Table {
        /// What the columns are.
        heads: Vec<&'static str>,
        /// The rows, each as wide as `heads`.
        rows: Vec<Vec<String>>,
    },
}

impl Part {
    /// The records whose ladders are drawn, in the order in which the connections were opened.
    pub fn records(&self) -> Vec<&ConnectionRecord> {
        let Self::Watched { events, drawn, .. } = self else { return Vec::new() };
        let mut records: Vec<&ConnectionRecord> = events
            .iter()
            .filter_map(|event| match event {
                Event::Ended(record) => Some(&**record),
                _ => None,
            })
            .filter(|record| drawn.is_empty() || drawn.contains(&record.conn))
            .collect();
        records.sort_by_key(|record| record.conn);
        records
    }
}
