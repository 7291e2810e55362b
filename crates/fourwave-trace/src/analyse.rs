//! Packets in, records out to the sinks.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use fourwave_capture::{Packet, Tally};
use fourwave_lens::{ConnectionRecord, Event, Lens, LensOptions, comment};
use fourwave_linux::reason;

use crate::aggregator::{Aggregator, widen};
use crate::filter::Filter;
use crate::overview::{FileRead, Overview};
use crate::sink::{Numbering, Sink};

/// A connection is forgotten when nothing was seen of it for this long: longer than keepalive's
/// default of two hours and its probes.
const IDLE: Duration = Duration::from_secs(8100);

/// A connection of a capture is reported when its TIME_WAIT would be over, so that what comes late
/// is part of its record; of more than so many the oldest is reported at once, 100 MB or so of
/// them.
const SETTLE: Duration = Duration::from_secs(60);
const MOST_SETTLING: usize = 16_384;

/// What an analysis is about.
#[derive(Debug, Default)]
pub struct Options {
    /// Only connections for which this holds.
    pub filter: Option<Filter>,
    /// Only connections with these numbers; all where it is empty.
    pub conns: BTreeSet<u64>,
    /// Sinks hear of connections while they go on, too.
    pub follow: bool,
    /// Somebody watches what is captured now: a connection is reported a second after its end, and
    /// what comes later is not part of its record.
    pub prompt: bool,
}

/// What could not be written, and why.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be written: {}", reason(.source))]
pub struct OutputError {
    /// The output's name.
    pub name: String,
    /// Why.
    pub source: io::Error,
}

/// A sink and what a person calls it: `page.html`.
pub struct Output {
    /// Its name.
    pub name: String,
    /// Where records go.
    pub sink: Box<dyn Sink>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An analysis under way. Give it files one after another: [`begin`](Self::begin), every
/// [`packet`](Self::packet), [`end`](Self::end); then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Analysis {
    lens: Lens,
    options: Options,
    outputs: Vec<Output>,
    /// The first output that could not be written, while others can.
    failed: Option<OutputError>,
    numbering: Numbering,
    aggregator: Aggregator,
    /// Connections so far: the highest number.
    last_conn: u64,
    last_at: Duration,
    /// Of the file that is being read.
    file_span: Option<(Duration, Duration)>,
}

impl Analysis {
    /// One that has seen nothing; what it finds goes to `outputs`.
    pub fn new(options: Options, outputs: Vec<Output>) -> Self {
        let lens = LensOptions {
            metrics: true,
            idle: Some(IDLE),
            live: options.follow,
            ..LensOptions::default()
        };
        let lens = if options.prompt {
            lens
        } else {
            LensOptions { settle: SETTLE, most_settling: MOST_SETTLING, ..lens }
        };
        Self {
            lens: Lens::new(lens),
            options,
            outputs,
            failed: None,
            numbering: Numbering::default(),
            aggregator: Aggregator::new(),
            last_conn: 0,
            last_at: Duration::ZERO,
            file_span: None,
        }
    }

    /// A further file, or an interface.
    pub fn begin(&mut self, name: &str) {
        self.numbering.begin(name, self.lens.packets());
    }

    /// The next packet of the file. O(1), but for records that end with it.
    ///
    /// # Errors
    /// No output can be written any more.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), OutputError> {
        widen(&mut self.file_span, packet.at);
        self.last_at = self.last_at.max(packet.at);
        match packet.ip {
            Some(ip) => {
                let seen = self.lens.observe(packet.at, ip, packet.wire_len, packet.gso_size);
                if let Some(seen) = seen {
                    self.last_conn = self.last_conn.max(seen.conn);
                }
                for (ends, sender) in packet.comments.iter().filter_map(comment::as_sender) {
                    self.lens.sender(packet.at, ends, sender);
                }
            }
            None => self.lens.skip_packet(),
        }
        self.drain()
    }

    /// Time passes without a packet.
    ///
    /// # Errors
    /// No output can be written any more.
    pub fn tick(&mut self, now: Duration) -> Result<(), OutputError> {
        self.last_at = self.last_at.max(now);
        self.lens.tick(now);
        self.drain()
    }

    /// The file is at its end: what was in it, and why reading stopped before its end, if so.
    pub fn end(&mut self, name: &str, tally: Tally, damaged: Option<String>) {
        let (name, span) = (name.to_owned(), self.file_span.take());
        self.aggregator.file(FileRead { name, tally, span, damaged });
    }

    /// The highest number of a connection so far.
    pub fn connections(&self) -> u64 {
        self.last_conn
    }

    /// The watching stops: what is still open is reported as it is, and the overview.
    ///
    /// # Errors
    /// An output cannot be written, or could not be; the others are complete.
    pub fn finish(mut self) -> Result<Overview, OutputError> {
        self.lens.finish(self.last_at);
        self.drain()?;
        self.aggregator.overview.ignored = self.lens.ignored();
        let overview = self.aggregator.finish();
        for Output { name, mut sink } in self.outputs {
            if let Err(source) = sink.finish(&overview, &self.numbering) {
                self.failed.get_or_insert(OutputError { name, source });
            }
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(overview),
        }
    }

    fn drain(&mut self) -> Result<(), OutputError> {
        while let Some(event) = self.lens.poll_event() {
            let wanted = match &event {
                Event::Ended(record) => self.wants(record),
                Event::Opened(opened) => self.may_want(opened.conn, &opened.addrs),
                Event::Entry(seen) => self.may_want(seen.conn, &seen.addrs),
                _ => false,
            };
            if let Event::Ended(record) = &event {
                match wanted {
                    true => self.aggregator.add(record),
                    false => self.aggregator.overview.filtered_out += 1,
                }
            }
            if wanted {
                self.write(&event)?;
            }
        }
        Ok(())
    }

    fn wants(&self, record: &ConnectionRecord) -> bool {
        let Options { filter, conns, .. } = &self.options;
        (conns.is_empty() || conns.contains(&record.conn))
            && filter.as_ref().is_none_or(|filter| filter.holds(record))
    }

    /// Whether a connection that goes on may be one of those wanted.
    fn may_want(&self, conn: u64, addrs: &[std::net::SocketAddr; 2]) -> bool {
        let Options { filter, conns, .. } = &self.options;
        (conns.is_empty() || conns.contains(&conn))
            && filter.as_ref().is_none_or(|filter| filter.may_hold(addrs))
    }

    /// An output that fails is given up; the error is the caller's when it was the last one.
    fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        let (follow, numbering, failed) = (self.options.follow, &self.numbering, &mut self.failed);
        self.outputs.retain_mut(|Output { name, sink }| {
            let mut written = Ok(());
            if follow {
                written = sink.event(event, numbering);
            }
            if let (Event::Ended(record), Ok(())) = (event, &written) {
                written = sink.record(record, numbering);
            }
            if let Err(source) = written {
                failed.get_or_insert(OutputError { name: name.clone(), source });
                return false;
            }
            true
        });
        match self.failed.take_if(|_| self.outputs.is_empty()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
