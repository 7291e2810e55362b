//! A capture file as packets.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::comments::Comments;
use crate::error::{Problem, ReadError};
use crate::file_type::file_type;
use crate::frame::{Frame, Stop};
use crate::link;
use crate::packet::{Packet, Tally};
use crate::pcap::{self, Pcap};
use crate::pcapng::{self, Pcapng};
use crate::twice::Twice;
use crate::unpack::{Counted, Counter, Input, unpack};
use crate::window::Window;

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Reads a capture from its beginning to its end, in bounded memory: the longest record (16 MiB at
/// most), and what its compression needs (zstd: up to 128 MiB).
///
/// ```
/// use fourwave_capture::Reader;
///
/// let magic_and_version = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
/// let snap_len_and_link = [0, 0, 4, 0, 1, 0, 0, 0];
/// let file = [magic_and_version, [0; 8], snap_len_and_link].concat();
/// let mut reader = Reader::new(std::io::Cursor::new(file))?;
/// while let Some(packet) = reader.next() {
///     println!("{} {:?} {:?}", packet.number, packet.at, packet.ip);
/// }
/// assert_eq!(reader.tally().frames, 0);
/// assert_eq!(reader.damaged(), None);
/// # Ok::<(), fourwave_capture::ReadError>(())
/// ```
pub struct Reader {
    window: Window,
    format: Format,
    taken: Counter,
    size: Option<u64>,
    packed: bool,
    tally: Tally,
    twice: Twice,
    damaged: Option<String>,
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tally, size, damaged, .. } = self;
        f.debug_struct("Reader")
            .field("tally", tally)
            .field("size", size)
            .field("damaged", damaged)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a pcap or pcapng file, plain or in gzip or zstd; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        if path.as_os_str() == "-" {
            return Self::named("standard input", io::stdin());
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let opened = opened.map_err(Problem::from).and_then(|(meta, file)| match meta.is_dir() {
            true => Err(Problem::Directory),
            false => Ok((meta.is_file().then_some(meta.len()), file)),
        });
        let started = opened.and_then(|(size, file)| Self::start(Box::new(file), size));
        started.map_err(|problem| problem.named(path.display().to_string()))
    }

    /// Reads what is no file.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn new(input: impl Read + Send + 'static) -> Result<Self, ReadError> {
        Self::named("the input", input)
    }

    /// Reads what is no file, with a name for errors.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn named(name: &str, input: impl Read + Send + 'static) -> Result<Self, ReadError> {
        Self::start(Box::new(input), None).map_err(|problem| problem.named(name))
    }

    fn start(input: Input, size: Option<u64>) -> Result<Self, Problem> {
        let (counted, taken) = Counted::new(input);
        let unpacked = unpack(Box::new(counted))?;
        let head = &unpacked.head;
        if head.is_empty() && unpacked.layers.is_empty() {
            return Err(Problem::Empty);
        }
        let magic = head.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let is_pcap = pcap::MAGIC.iter().any(|one| [*one, one.swap_bytes()].contains(&magic));
        let is_pcapng = magic == u32::from_be_bytes(pcapng::MAGIC);
        if !is_pcap && !is_pcapng {
            return Err(Problem::NotACapture { file_type: file_type(head, &unpacked.layers) });
        }
        let mut window = Window::new(unpacked.input);
        let format = match is_pcap {
            true => Pcap::new(&mut window).map(Format::Pcap),
            false => Pcapng::new(&mut window).map(Format::Pcapng),
        };
        let format = format.map_err(|stop| match stop {
            Stop::Cut => Problem::Header {
                why: format!("it ends there, after {} bytes", window.bytes().len()),
            },
            Stop::Damaged(why) => Problem::Header { why },
            Stop::Io(error) => error.into(),
        })?;
        Ok(Self {
            window,
            format,
            taken,
            size,
            packed: !unpacked.layers.is_empty(),
            tally: Tally::default(),
            twice: Twice::new(),
            damaged: None,
            ended: false,
        })
    }

    /// The next packet; none at the end, or where the file is damaged
    /// ([`damaged`](Self::damaged)).
    #[expect(clippy::should_implement_trait, reason = "it lends, which an iterator cannot")]
    pub fn next(&mut self) -> Option<Packet<'_>> {
        if self.ended {
            return None;
        }
        let next = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.window),
        };
        match next {
            Ok(Some(frame)) => Some(self.packet(frame)),
            Ok(None) => {
                self.end();
                None
            }
            Err(stop) => {
                self.damaged = Some(self.explain(stop));
                self.end();
                None
            }
        }
    }

    /// What was read so far. What the capturing system dropped is often said at the end only.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Why reading stopped before the end, if it did: one line that says after which packet and at
    /// which byte. The packets before were delivered.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// Bytes read of the file, in its compression if it has one: compare with
    /// [`size`](Self::size).
    pub fn position(&self) -> u64 {
        self.taken.get()
    }

    /// Bytes of the file; none for a pipe.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    fn packet(&mut self, frame: Frame) -> Packet<'_> {
        let Self { window, tally, twice, format, .. } = self;
        tally.frames += 1;
        tally.bytes = window.passed();
        let Frame { link, at, data, original, outgoing, comments } = frame;
        let kept = data.len();
        let original = (original as usize).max(kept);
        tally.cut += u64::from(kept < original);
        let number = tally.frames;
        let bytes = window.taken(data);
        let comments = match format {
            Format::Pcapng(pcapng) => pcapng.comments(window.taken(comments)),
            Format::Pcap(_) => Comments::default(),
        };
        let mut packet =
            Packet { number, at, ip: None, wire_len: original, outgoing, gso_size: 0, comments };
        let Some(framed) = link.and_then(|link| link::packet(link, bytes)) else {
            match link {
                Some(link) if !link::is_known(link) => count(&mut tally.unknown_links, link),
                _ => tally.other += 1,
            }
            return packet;
        };
        let start = framed.ip.start;
        let ip = &bytes[framed.ip];
        packet.outgoing = outgoing.or(framed.outgoing);
        packet.wire_len = link::wire_len(ip, original - start);
        if let Some(interface) = framed.cooked
            && twice.is_second(at, ip, packet.outgoing == Some(true), interface)
        {
            tally.twice += 1;
            return packet;
        }
        packet.ip = Some(ip);
        packet
    }

    fn end(&mut self) {
        self.ended = true;
        self.tally.bytes = self.window.passed();
        if let Format::Pcapng(pcapng) = &self.format {
            self.tally.dropped = pcapng.dropped();
        }
    }

    fn explain(&self, stop: Stop) -> String {
        let after = self.tally.frames;
        let at = self.window.passed();
        let of = if self.packed { " of what it unpacks to" } else { "" };
        let place = format!("after packet {after}, at byte {at}{of}");
        match stop {
            Stop::Cut => format!("it breaks off {place}, within a record"),
            Stop::Damaged(why) => format!("it is damaged {place}: {why}"),
            Stop::Io(error) => format!("reading failed {place}: {}", crate::frame::words(&error)),
        }
    }
}

/// Links are few: a list is faster than a map.
fn count(links: &mut Vec<(u32, u64)>, link: u32) {
    match links.iter_mut().find(|(known, _)| *known == link) {
        Some((_, count)) => *count += 1,
        None => links.push((link, 1)),
    }
}
