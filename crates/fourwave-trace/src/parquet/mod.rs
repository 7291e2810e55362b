//! `--parquet DIR`: a table of connections and one of events, for the engines that people
//! already run. `docs/parquet.md` says what every column means.
//!
//! Both are partitioned by day in the way of Hive: `DIR/flows/day=2026-11-22/part-….parquet`.
//! Rows are written in groups as they come; memory is bounded by the rows of one group for each
//! table. Files get their names when the run is over, and names are never used twice, so that
//! the captures of many hosts go into one directory.

mod column;
mod events;
mod flows;
mod table;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;

use bytes::Bytes;
use fourwave_lens::ConnectionRecord;

use self::column::Column;
use self::table::Table;
use crate::overview::Overview;
use crate::sink::{Numbering, Sink};

/// The longest part of a capture's name that goes into the names of files.
const MAX_STEM: usize = 60;

/// Writes `flows` and `events`; a [`Sink`].
pub struct Tables {
    flow_columns: Vec<Column<flows::Of>>,
    event_columns: Vec<Column<events::Of>>,
    flows: Table,
    events: Table,
    run: Bytes,
    /// Each capture's name, and the names of its parts without number; by its index.
    captures: Vec<(Bytes, String)>,
}

impl Tables {
    /// Tables in `dir`, which is made if it does not exist; what others wrote there stays.
    ///
    /// Without [`Sink::finish`] nothing shows up in `dir`.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let flow_columns = flows::columns();
        let event_columns = events::columns();
        let flow_fields = flow_columns.iter().map(|column| column.field).collect();
        let event_fields = event_columns.iter().map(|column| column.field).collect();
        Ok(Self {
            flows: Table::create(dir, "flows", flow_fields)?,
            events: Table::create(dir, "events", event_fields)?,
            flow_columns,
            event_columns,
            run: format!("{:016x}", random()).into(),
            captures: Vec::new(),
        })
    }

    /// The index of the capture with this running number, and the packet's number there.
    fn locate(&mut self, running: Option<u64>, numbering: &Numbering) -> (usize, Option<u64>) {
        let (index, number) = numbering.locate(running.unwrap_or(1));
        for known in self.captures.len()..=index {
            let name = numbering.names().nth(known).unwrap_or("-");
            let stem = format!("{}-{}", stem(name), String::from_utf8_lossy(&self.run));
            self.captures.push((Bytes::copy_from_slice(name.as_bytes()), stem));
        }
        (index, running.is_some().then_some(number))
    }

    fn events(
        &mut self,
        record: &ConnectionRecord,
        numbering: &Numbering,
        first: usize,
    ) -> io::Result<()> {
        let mut index = 0;
        let mut capture = first;
        let mut result = Ok(());
        events::of(record, numbering, |event| {
            if result.is_err() {
                return;
            }
            let running = event.running();
            let (found, packet) = self.locate(running, numbering);
            if running.is_some() {
                capture = found;
            }
            let (name, stem) = &self.captures[capture];
            let run = &self.run;
            let placed =
                events::Placed { run, capture: name, packet, record, index, event: &event };
            let values = self.event_columns.iter().map(|column| (column.value)(&placed));
            result = self.events.row(stem, event.at, values);
            index += 1;
        });
        result
    }
}

impl Sink for Tables {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        let first = record.entries.iter().map(|row| row.packet).find(|packet| *packet > 0);
        let (capture, first_packet) = self.locate(first, numbering);
        let (name, stem) = &self.captures[capture];
        let flow = flows::Flow { run: &self.run, capture: name, first_packet, record };
        let values = self.flow_columns.iter().map(|column| (column.value)(&flow));
        self.flows.row(stem, record.opened, values)?;
        self.events(record, numbering, capture)
    }

    fn finish(&mut self, _overview: &Overview, _numbering: &Numbering) -> io::Result<()> {
        self.flows.finish()?;
        self.events.finish()
    }
}

/// A number that no other run has. The standard library seeds its hashers from the system's
/// randomness; nothing here needs more.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// A capture's name as a part of a file's: without directories and odd characters.
fn stem(name: &str) -> String {
    let name = Path::new(name).file_name().map_or_else(|| name.into(), |it| it.to_string_lossy());
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let stem: String = name.chars().map(plain).take(MAX_STEM).collect();
    if stem.trim_matches(['.', '-']).is_empty() { "stdin".to_owned() } else { stem }
}
