//! The inputs of `trace`, in the order of their first packets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fourwave_capture::{Comments, Packet, ReadError, Reader};
use fourwave_linux::reason;

use super::stdin::Stdin;
use crate::say;

/// Names in a message.
const SHOWN: usize = 8;

/// A capture that can be read.
pub(super) struct Input {
    /// As a person calls it.
    pub(super) name: String,
    /// Bytes of the file; `None` where it is none.
    pub(super) size: Option<u64>,
    path: PathBuf,
    /// `None`: it is opened again when its turn comes. A thousand files are more than a process
    /// may have open.
    reader: Option<Reader>,
    /// What was read to know its time, of an input that cannot be opened again.
    first: Option<First>,
}

/// An input whose turn has come.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) size: Option<u64>,
    reader: Reader,
    first: Option<First>,
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
    fn open(path: &Path, stop: &Arc<AtomicBool>) -> Result<Self, String> {
        let pipe = match path.as_os_str() == "-" {
            true => Stdin::pipe(stop).map_err(|error| format!("-: {}", reason(&error)))?,
            false => None,
        };
        let reader = match pipe {
            Some(pipe) => Reader::named("-", pipe),
            None => Reader::open(path),
        };
        let reader = reader.map_err(|error| error.to_string())?;
        let size = reader.size();
        let (name, path) = (path.display().to_string(), path.to_owned());
        Ok(Self { name, size, path, reader: Some(reader), first: None })
    }

    /// Its end is there already.
    pub(super) fn is_file(&self) -> bool {
        self.size.is_some()
    }

    /// When its first packet was captured. It is read again when the input's turn comes.
    fn peek(&mut self) -> Option<Duration> {
        let opens_again = self.is_file() && self.path.as_os_str() != "-";
        let reader = self.reader.as_mut()?;
        let packet = reader.next();
        let at = packet.as_ref().map(|packet| packet.at);
        if opens_again {
            self.reader = None;
        } else if let Some(packet) = packet {
            let ip = packet.ip.map(<[u8]>::to_vec);
            self.first = Some(First {
                ip,
                packet: Packet { ip: None, comments: Comments::default(), ..packet },
            });
        }
        at
    }

    /// Its turn has come.
    pub(super) fn begin(self) -> Result<Opened, ReadError> {
        let Self { name, size, path, reader, first } = self;
        let reader = match reader {
            Some(reader) => reader,
            None => Reader::open(&path)?,
        };
        Ok(Opened { name, size, reader, first })
    }
}

impl Opened {
    /// Gives the next packet to `take`; `None` at the end.
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

/// Opens all of them. A file that cannot be opened is reported; when none can be, that is the
/// error. Once `stop` is set, a pipe is at its end soon. They are put in the order of their first
/// packets, and a person hears of it.
pub(super) fn ordered(paths: &[PathBuf], stop: &Arc<AtomicBool>) -> Result<Inputs, String> {
    if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err("standard input (-) can be read once only".to_owned());
    }
    let mut dated: Vec<(Duration, Input)> = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        match Input::open(path, stop) {
            // An only one is read as it is.
            Ok(input) if paths.len() == 1 => dated.push((Duration::ZERO, input)),
            Ok(mut input) => dated.push((input.peek().unwrap_or(Duration::MAX), input)),
            Err(error) => errors.push(error),
        }
    }
    let failed = !errors.is_empty();
    if dated.is_empty() {
        let last = errors.pop().unwrap_or_default();
        errors.iter().for_each(|line| say(line));
        return Err(last);
    }
    errors.iter().for_each(|line| say(line));
    if !dated.is_sorted_by_key(|(at, _)| *at) {
        dated.sort_by_key(|(at, _)| *at);
        let names = dated.iter().map(|(_, input)| input.name.as_str());
        let shown: Vec<&str> = names.take(SHOWN).collect();
        let more = if dated.len() > SHOWN { " …" } else { "" };
        say(&format!("read in the order of their first packets: {}{more}", shown.join(", ")));
    }
    Ok(Inputs { inputs: dated.into_iter().map(|(_, input)| input).collect(), failed })
}
