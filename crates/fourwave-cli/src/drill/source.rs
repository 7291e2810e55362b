//! A script as it is read, and what holds for all of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fourwave_drill::ast::{Script, Span};
use fourwave_drill::lang;
use fourwave_drill::run::{Failure, Options, Outcome, Report};

use super::{Target, walk};
use crate::output::{self, Text};
use crate::terminal::Screen;

/// The largest script.
const MOST_BYTES: u64 = 16 << 20;

/// What holds for every script.
pub(super) struct Settings {
    pub(super) options: Options,
    /// What the command line gave, for workers.
    pub(super) given: Vec<(String, Option<String>)>,
    pub(super) target: Target,
    pub(super) ladder: bool,
    /// Also of a script that passes.
    pub(super) always_ladder: bool,
    pub(super) json: bool,
    /// Where the packets go.
    pub(super) pcap: Option<output::Target>,
    /// Where the text goes.
    pub(super) out: Text,
    /// How it looks there.
    pub(super) screen: Screen,
    /// Standard error.
    pub(super) progress: Screen,
}

/// A script that was read.
pub(super) struct Source {
    pub(super) text: String,
    pub(super) script: Script,
    pub(super) options: Options,
}

/// Why a file is no script.
pub(super) struct Unreadable {
    /// One line, without the file's name.
    pub(super) line: String,
    /// What stands below it, each line with a line feed.
    pub(super) below: String,
    pub(super) span: Option<Span>,
    pub(super) source: String,
}

/// Reads a script and its options.
pub(super) fn read(path: &Path, options: &Options) -> Result<Source, Unreadable> {
    let plain =
        |line: String| Unreadable { line, below: String::new(), span: None, source: String::new() };
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        let line = walk::line(path, &error);
        plain(line[file.len()..].trim_start_matches(": ").to_owned())
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(plain(format!("no script: more than {} MiB", MOST_BYTES >> 20)));
    }
    if let Some(at) = bytes.iter().position(|&byte| no_text(byte)) {
        return Err(plain(format!("no script: byte {at} ({:#04x}) is in no text", bytes[at])));
    }
    // What is not UTF-8 does no harm in a comment, and is a syntax error elsewhere.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let defined = |name: &str| options.define(name).is_some();
    let script = match lang::parse_with(&text, &defined) {
        Ok(script) => script,
        Err(error) => {
            let shown = error.in_file(&file).to_string();
            let below: String = shown.lines().skip(1).map(|line| format!("  {line}\n")).collect();
            let line = format!("expected {}, found {}", error.expected, error.found);
            let span = Some(error.span);
            return Err(Unreadable { line, below, span, source: text });
        }
    };
    match options.for_script(&script) {
        Ok(options) => Ok(Source { text, script, options }),
        Err(error) => {
            let line = error.to_string();
            Err(Unreadable { line, below: String::new(), span: error.span, source: text })
        }
    }
}

fn no_text(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// The report of a run that did not come to an end.
pub(super) fn broken(message: String) -> Report {
    let failure = Failure {
        event: None,
        span: Span::default(),
        at: std::time::Duration::ZERO,
        message,
        expected: None,
        actual: None,
    };
    let outcome = Outcome::Failed(Box::new(failure));
    Report { outcome, packets: Vec::new(), events: Vec::new(), warnings: Vec::new() }
}
