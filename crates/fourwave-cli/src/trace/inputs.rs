//! Which files, in which order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fourwave_capture::{Packet, ReadError, Reader};

use crate::say;

/// A capture that can be read.
pub(super) struct Input {
    /// As a person calls it.
    pub(super) name: String,
    reader: Reader,
    /// What was read to know its time, of an input that cannot be opened again.
    first: Option<First>,
    /// Bytes of the file; `None` where it is none.
    pub(super) size: Option<u64>,
}

/// A packet that outlives its reader's buffer.
struct First {
    ip: Option<Vec<u8>>,
    packet: Packet<'static>,
}

/// The inputs in the order of their first packets.
pub(super) struct Inputs {
    pub(super) inputs: Vec<Input>,
    /// Some of them could not be opened.
    pub(super) failed: bool,
}

impl Input {
    fn open(path: &Path) -> Result<Self, ReadError> {
        let reader = Reader::open(path)?;
        let size = reader.size();
        Ok(Self { name: path.display().to_string(), reader, first: None, size })
    }

    /// Its end is there already.
    pub(super) fn is_file(&self) -> bool {
        self.size.is_some()
    }

    /// Reads its first packet, which comes again with [`next`](Self::next).
    fn peek(&mut self) -> Option<Duration> {
        let packet = self.reader.next()?;
        let at = packet.at;
        let ip = packet.ip.map(<[u8]>::to_vec);
        self.first = Some(First { ip, packet: Packet { ip: None, ..packet } });
        Some(at)
    }

    /// Gives the next packet to `take`; false at the end.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        if let Some(First { ip, packet }) = self.first.take() {
            return Some(take(&Packet { ip: ip.as_deref(), ..packet }));
        }
        self.reader.next().map(|packet| take(&packet))
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Opens all of them. A file that cannot be opened is told of; when none can be, that is the
/// error. They are put in the order of their first packets, and a person hears of it.
pub(super) fn ordered(paths: &[PathBuf]) -> Result<Inputs, String> {
    if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err("standard input (-) can be read once only".to_owned());
    }
    let mut opened = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        match Input::open(path) {
            Ok(input) => opened.push(input),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let failed = !errors.is_empty();
    if opened.is_empty() {
        let last = errors.pop().unwrap_or_default();
        errors.iter().for_each(|line| say(line));
        return Err(last);
    }
    errors.iter().for_each(|line| say(line));
    if opened.len() == 1 {
        return Ok(Inputs { inputs: opened, failed });
    }
    let mut dated: Vec<(Duration, Input)> = opened
        .into_iter()
        .map(|mut input| (input.peek().unwrap_or(Duration::MAX), input))
        .collect();
    if !dated.is_sorted_by_key(|(at, _)| *at) {
        dated.sort_by_key(|(at, _)| *at);
        let names: Vec<&str> = dated.iter().map(|(_, input)| input.name.as_str()).collect();
        say(&format!("read in the order of their first packets: {}", names.join(", ")));
    }
    Ok(Inputs { inputs: dated.into_iter().map(|(_, input)| input).collect(), failed })
}
