//! Records and the overview as JSON lines. What every field means stands in the lens's
//! `SCHEMA.md`.

use std::io::{self, Write};
use std::time::Duration;

use fourwave_capture::Tally;
use fourwave_lens::json::{PacketLocation, write_record};
use fourwave_lens::{ConnectionRecord, Names};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::overview::{FileRead, Lifetimes, Overview, Service, Suspect};
use crate::sink::{Numbering, Sink};

/// Writes JSON lines: `file`, records as they end, `summary`.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    names: Names,
    /// Files that have their line.
    files: usize,
    lines: String,
}

impl<W: Write> Json<W> {
    /// Lines that go to `out`, one write for each record.
    pub fn new(out: W, names: Names) -> Self {
        Self { out, names, files: 0, lines: String::new() }
    }

    fn files(&mut self, numbering: &Numbering) {
        for (file, name) in numbering.names().enumerate().skip(self.files) {
            push(&Line::File { file, name }, &mut self.lines);
        }
        self.files = numbering.names().len();
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.lines.as_bytes());
        self.lines.clear();
        written
    }
}

impl<W: Write> Sink for Json<W> {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        self.files(numbering);
        let place = |running: u64| {
            let (file, packet) = numbering.locate(running);
            PacketLocation { file, packet }
        };
        write_record(record, &self.names, &place, &mut self.lines);
        self.flush()
    }

    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()> {
        self.files(numbering);
        push(&Line::Summary(Box::new(summary(overview, numbering))), &mut self.lines);
        self.flush()?;
        self.out.flush()
    }
}

/// Seconds with microseconds, as in the lens's lines.
fn t(at: Duration) -> f64 {
    at.as_micros() as f64 / 1e6
}

fn push(line: &Line<'_>, out: &mut String) {
    // Numbers, strings and lists only, and every key a string: it cannot fail.
    match serde_json::to_string(line) {
        Ok(text) => out.push_str(&text),
        Err(error) => unreachable!("a line of plain values: {error}"),
    }
    out.push('\n');
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    File { file: usize, name: &'a str },
    Summary(Box<Summary<'a>>),
}

#[derive(Serialize)]
struct Pair {
    client: u64,
    server: u64,
}

impl From<[u64; 2]> for Pair {
    fn from([client, server]: [u64; 2]) -> Self {
        Self { client, server }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    files: Vec<File<'a>>,
    first: Option<f64>,
    last: Option<f64>,
    connections: u64,
    filtered_out: u64,
    bytes: Pair,
    segments: u64,
    retransmitted: u64,
    ends: Map<String, Value>,
    anomalies: Map<String, Value>,
    lifetimes: Lasted,
    services: Vec<OfService>,
    suspects: Vec<OfSuspect<'a>>,
    ignored: Left,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    packets: u64,
    bytes: u64,
    first: Option<f64>,
    last: Option<f64>,
    damaged: Option<&'a str>,
    dropped: Option<u64>,
    truncated: u64,
    other: u64,
    duplicates: u64,
    unknown_links: Vec<Unknown>,
}

#[derive(Serialize)]
struct Unknown {
    link: u32,
    packets: u64,
}

#[derive(Serialize)]
struct Lasted {
    connections: u64,
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct OfService {
    port: u16,
    connections: u64,
    unopened: u64,
    closed_first: Pair,
    reset: Pair,
    time_wait: Pair,
    bytes: Pair,
}

#[derive(Serialize)]
struct OfSuspect<'a> {
    conn: u64,
    client: String,
    server: String,
    name: &'static str,
    severity: &'static str,
    text: &'a str,
    packets: Vec<u64>,
    files: Vec<usize>,
}

#[derive(Serialize)]
struct Left {
    other: u64,
    unreadable: u64,
    stray: u64,
    late: u64,
}

fn summary<'a>(overview: &'a Overview, numbering: &Numbering) -> Summary<'a> {
    let Overview { connections, filtered_out, segments, retransmitted, ignored, .. } = *overview;
    let [min, p50, p90, p99, max] = overview.lifetimes.quantiles.map(t);
    let Lifetimes { connections: lasted, quantiles: _ } = overview.lifetimes;
    let ends = overview.ends.iter().map(|(name, n)| ((*name).to_owned(), (*n).into()));
    let anomalies = overview.anomalies.iter();
    Summary {
        files: overview.files.iter().map(file).collect(),
        first: overview.span.map(|(first, _)| t(first)),
        last: overview.span.map(|(_, last)| t(last)),
        connections,
        filtered_out,
        bytes: overview.bytes.into(),
        segments,
        retransmitted,
        ends: ends.collect(),
        anomalies: anomalies.map(|(kind, n)| (kind.name().to_owned(), (*n).into())).collect(),
        lifetimes: Lasted { connections: lasted, min, p50, p90, p99, max },
        services: overview.services.iter().map(service).collect(),
        suspects: overview.suspects.iter().map(|one| suspect(one, numbering)).collect(),
        ignored: Left {
            other: ignored.other,
            unreadable: ignored.unreadable,
            stray: ignored.stray,
            late: ignored.late,
        },
    }
}

fn file(read: &FileRead) -> File<'_> {
    let FileRead { name, tally, span, damaged } = read;
    let Tally { frames, bytes, other, cut, ref unknown_links, dropped, twice } = *tally;
    let unknown = unknown_links.iter().map(|(link, n)| Unknown { link: *link, packets: *n });
    File {
        name,
        packets: frames,
        bytes,
        first: span.map(|(first, _)| t(first)),
        last: span.map(|(_, last)| t(last)),
        damaged: damaged.as_deref(),
        dropped,
        truncated: cut,
        other,
        duplicates: twice,
        unknown_links: unknown.collect(),
    }
}

fn service(service: &Service) -> OfService {
    let Service { port, connections, unopened, closed_first, reset, time_wait, bytes } = *service;
    OfService {
        port,
        connections,
        unopened,
        closed_first: closed_first.into(),
        reset: reset.into(),
        time_wait: time_wait.into(),
        bytes: bytes.into(),
    }
}

fn suspect<'a>(suspect: &'a Suspect, numbering: &Numbering) -> OfSuspect<'a> {
    let Suspect { conn, addrs: [client, server], kind, severity, text, packets } = suspect;
    let places: Vec<(usize, u64)> =
        packets.iter().map(|packet| numbering.locate(*packet)).collect();
    OfSuspect {
        conn: *conn,
        client: client.to_string(),
        server: server.to_string(),
        name: kind.name(),
        severity: severity.name(),
        text,
        packets: places.iter().map(|(_, packet)| *packet).collect(),
        files: places.iter().map(|(file, _)| *file).collect(),
    }
}
