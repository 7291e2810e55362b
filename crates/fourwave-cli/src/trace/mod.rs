//! `fourwave trace`.
//!
//! | question | file |
//! | --- | --- |
//! | which files, in which order? | `inputs.rs` |
//! | from a file to its end | `read.rs` |
//! | an interface, live | `live.rs` |
//! | where does it go? | `outputs.rs` |
//! | a pipe, until it ends or someone stops it | `stdin.rs` |
//! | how far is it? | `progress.rs` |

mod inputs;
mod live;
mod outputs;
mod progress;
mod read;
mod stdin;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use fourwave_lens::units::counted;
use fourwave_trace::{Analysis, FileRead, Filter, Options, Overview};

use crate::number::whole;
use crate::output::{Files, Target, target};
use crate::terminal::TextArguments;
use crate::{USAGE_ERROR, say, stop};
use outputs::Outputs;

/// Something could not be read, and something was.
const PARTLY: u8 = 1;

/// `fourwave trace`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct TraceArguments {
    /// Captures: pcap or pcapng, also in gzip or zstd; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "iface", conflicts_with = "iface")]
    files: Vec<PathBuf>,

    /// Watch an interface (any: all of them) until Ctrl-C instead; needs CAP_NET_RAW
    #[arg(long, value_name = "INTERFACE")]
    iface: Option<String>,

    /// Stop watching after so long: 10s, 5min
    #[arg(long, value_name = "TIME", requires = "iface", value_parser = duration)]
    duration: Option<Duration>,

    /// Only connections for which EXPR holds (see below)
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,

    /// Connection N in detail, with its ladder; repeatable
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX))]
    conn: Vec<u64>,

    /// The ladder of every connection, as they end
    #[arg(long, conflicts_with_all = ["list", "follow", "json"])]
    ladders: bool,

    /// A line for each connection, as they end
    #[arg(long, conflicts_with_all = ["follow", "json"])]
    list: bool,

    /// A line for each thing that happens, as it happens
    #[arg(long, conflicts_with_all = ["json"])]
    follow: bool,

    /// JSON lines instead of text, as connections end
    #[arg(long)]
    json: bool,

    /// Write a page to share: all connections, searchable, with their ladders and plots
    #[arg(long, value_name = "FILE", value_parser = target())]
    html: Option<Target>,

    /// Write tables of flows and events that DuckDB, Spark and ClickHouse read
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,
}

const NOTES: &str = "\
Up to three connections are drawn; of more, an overview is shown, and what to type next. Several \
files are read in the order of their first packets, as parts of one capture. Numbers of packets \
are those that Wireshark shows. docs/trace.md has the rest.

Filters (--filter): tests with and, or, not and brackets between them.
  host 10.0.0.1      host 10.0.0.0/8     port 80            port 8000-8999
  state CLOSE_WAIT   of either end, at its end
  end NAME           orderly reset refused unreachable unanswered half-open replaced silent open
  closed-first client|server
  anomaly NAME       fin-never-acknowledged, retransmissions … (the overview names them)
  bytes > 1MB   segments > 5k   retransmitted > 0   zero-windows > 0
  lasted > 1s   rtt > 100ms     handshake > 1s
With `client` or `server` before it, a test is about that end: client 10.0.0.1, server port 80, \
server state CLOSE_WAIT, client bytes > 1MB.

The exit status is 0 when everything was read, 1 when something could not be read and something \
was (a file cut off, one of several no capture), 2 when nothing was or there is no TCP in it, for \
wrong usage and for output that cannot be written.

--html - is standard output; the text goes to standard error then. Page and tables have their \
names, and a page takes the place of an older one, when they are whole.

Examples:
  fourwave trace capture.pcapng
  fourwave trace capture.pcapng --conn 7
  fourwave trace *.pcap.gz --list --filter 'server port 443 and not end orderly'
  tcpdump -w - tcp | fourwave trace -
  fourwave trace capture.pcapng --json | jq 'select(.event == \"anomaly\")'";

impl TraceArguments {
    /// Reports what was asked for; returns the exit status.
    pub(crate) fn perform(self, text: &TextArguments) -> u8 {
        match self.trace(text) {
            Ok(status) => status,
            Err(line) => {
                say(&line);
                USAGE_ERROR
            }
        }
    }

    fn options(&self) -> Result<Options, String> {
        let filter = self.filter.as_deref().map(str::parse::<Filter>).transpose();
        let filter = filter.map_err(|error| format!("--filter: {error}"))?;
        let undecided = filter.as_ref().is_some_and(|filter| !filter.is_about_addresses());
        if self.follow && undecided {
            return Err("--follow reports connections before their end is known: with it \
                        --filter takes host and port only"
                .to_owned());
        }
        let conns: BTreeSet<u64> = self.conn.iter().copied().collect();
        Ok(Options { filter, conns, follow: self.follow, prompt: self.iface.is_some() })
    }

    fn trace(&self, text: &TextArguments) -> Result<u8, String> {
        let options = self.options()?;
        self.named()?.check()?;
        let stop = stop::on_signal()?;
        let (analysis, partly) = match &self.iface {
            Some(name) => self.watch(name, options, text, &stop)?,
            None => self.read(options, text, &stop)?,
        };
        let last = analysis.connections();
        let overview = analysis.finish().map_err(|error| error.to_string())?;
        for pair in overview.files.windows(2) {
            overlap(&pair[0], &pair[1]);
        }
        if self.iface.is_none() {
            self.check(&overview, last)?;
        }
        Ok(if partly { PARTLY } else { 0 })
    }

    /// What is read and written.
    fn named(&self) -> Result<Files, String> {
        let mut named = Files::default();
        self.files.iter().for_each(|path| named.reads("the capture", path));
        if self.json {
            named.takes_stdout("--json");
        }
        self.html.iter().for_each(|target| named.writes("--html", target));
        match &self.parquet {
            Some(path) if path.as_os_str() == "-" => {
                Err("--parquet makes a directory of files, which is not for standard output".into())
            }
            _ => Ok(named),
        }
    }

    /// Reads the files; whether a part of them could not be read.
    fn read(
        &self,
        options: Options,
        text: &TextArguments,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Analysis, bool), String> {
        let inputs::Inputs { inputs, failed } = inputs::ordered(&self.files, stop)?;
        let at_once = inputs.iter().all(inputs::Input::is_file);
        let Outputs { outputs, stdout } = outputs::open(self, text, !at_once)?;
        let mut analysis = Analysis::new(options, outputs);
        let mut partly = failed;
        let bar = progress::Bar::new(&inputs, &text.stderr(), self.tells_while_it_reads());
        for input in inputs {
            partly |= !read::file(input, &mut analysis, stop, &stdout, &bar)?;
        }
        bar.clear();
        Ok((analysis, partly))
    }

    /// Watches an interface; whether that failed at some time.
    fn watch(
        &self,
        name: &str,
        options: Options,
        text: &TextArguments,
        stop: &AtomicBool,
    ) -> Result<(Analysis, bool), String> {
        let live = fourwave_capture::Live::open(name).map_err(|error| error.to_string())?;
        let Outputs { outputs, stdout } = outputs::open(self, text, true)?;
        let mut analysis = Analysis::new(options, outputs);
        let whole = live::watch(live, name, self.duration, &mut analysis, stop, &stdout)?;
        Ok((analysis, !whole))
    }

    /// What is wrong with a capture that was read, or with what was asked about it.
    fn check(&self, overview: &Overview, last: u64) -> Result<(), String> {
        if last == 0 {
            let packets = overview.files.iter().map(|file| file.tally.frames).sum();
            let mut line = format!("no TCP connection in {}", counted(packets, "packet"));
            if let unreadable @ 1.. = overview.ignored.unreadable {
                let unreadable = counted(unreadable, "packet");
                line.push_str(&format!(": {unreadable} cut too short, malformed or fragments"));
            }
            return Err(format!("{}: {line}", self.files[0].display()));
        }
        match self.conn.iter().find(|conn| **conn > last) {
            Some(conn) => Err(format!("there is no connection {conn}: it has 1 to {last}")),
            None => Ok(()),
        }
    }

    /// Lines come on standard output before the end.
    fn tells_while_it_reads(&self) -> bool {
        self.ladders || self.list || self.follow || self.json || !self.conn.is_empty()
    }
}

/// Says so when the second file begins before the first one ends: they are no parts of one capture.
fn overlap(first: &FileRead, second: &FileRead) {
    if let (Some((_, ended)), Some((begun, _))) = (first.span, second.span)
        && begun < ended
    {
        say(&format!(
            "{} and {} overlap in time and were read one after the other: where they show the \
             same connections, `mergecap` makes one capture of them first",
            first.name, second.name
        ));
    }
}

/// A time with its unit: `10s`, `500ms`, `5min`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 5] =
        [("ms", 1e-3), ("min", 60.0), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let wanted = "a time like 10s, 500ms or 5min is expected";
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = unit.ok_or(wanted)?;
    let number: f64 = number.trim().parse().map_err(|_| wanted)?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| wanted.to_owned())
}
