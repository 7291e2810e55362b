//! The packets of one device as pcapng (draft-ietf-opsawg-pcapng), for Wireshark.
//!
//! The blocks are written by `pcap-file`, the Rust crate that knows comments, direction flags
//! and timestamp resolutions; the delay queue is ours. What it is written to is the caller's.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fourwave_device::tap::{Direction, Observer, PacketView};
use fourwave_linux::reason;
use fourwave_wire::checksum::complete_checksum;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

/// How many newer packets a comment may come after.
pub const COMMENT_WINDOW: usize = 256;
/// Bytes of packets that wait for comments. With super-packets of 64 KiB this, and not the
/// window, is the bound.
const WAITING_BYTES: usize = 8 << 20;
/// Bytes that go to the kernel at a time.
const BUFFER: usize = 256 * 1024;
/// An option's length has 16 bits; a comment of more than a page helps nobody.
const MAX_COMMENT: usize = 4096;
/// Buffers kept for later packets.
const SPARE_BUFFERS: usize = 8;

/// `epb_flags`, bits 0 and 1.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// What goes into a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcapngOptions {
    /// The interface's name.
    pub interface: String,
    /// Bytes kept of each packet; 0: all.
    pub snap_len: u32,
    /// Whether checksums that are left to offload are finished in the file, so that Wireshark
    /// finds them right.
    pub finish_checksums: bool,
}

impl Default for PcapngOptions {
    fn default() -> Self {
        Self { interface: "fourwave".to_owned(), snap_len: 0, finish_checksums: true }
    }
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// Its first bytes cannot be written.
    #[error("cannot write a capture to {name}: {}", reason(.source))]
    Create {
        /// What it goes to.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed; the capture is given up.
    #[error("the capture {name} is given up: {}", reason(.source))]
    Write {
        /// What it went to.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl PcapngError {
    /// Whether a pipe's reader has gone, which may be its right.
    pub fn is_closed(&self) -> bool {
        let (Self::Create { source, .. } | Self::Write { source, .. }) = self;
        source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A packet's number in a capture, counted from 1 as Wireshark does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(u64);

impl PacketId {
    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A packet that waits for its comments.
struct Waiting {
    unix: Duration,
    direction: Direction,
    original_len: u32,
    data: Vec<u8>,
    comments: Vec<String>,
}

/// Writes a capture, which is whole after [`finish`](Self::finish).
///
/// Behind a tap it is a [`PcapngObserver`].
pub struct PcapngWriter {
    blocks: PcapNgWriter<BufWriter<Box<dyn Write + Send>>>,
    name: String,
    options: PcapngOptions,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The number of the first packet in `waiting`.
    first_waiting: u64,
    spare: Vec<Vec<u8>>,
    /// The first failure: nothing is written after it.
    failed: Option<(io::ErrorKind, String)>,
}

impl PcapngWriter {
    /// Starts a capture into a stream, called `name` in errors.
    ///
    /// # Errors
    /// [`PcapngError::Create`] with what the stream said to its first bytes.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        name: &str,
        options: PcapngOptions,
    ) -> Result<Self, PcapngError> {
        Self::start(stream, name, options)
            .map_err(|source| PcapngError::Create { name: name.to_owned(), source })
    }

    fn start(
        output: Box<dyn Write + Send>,
        name: &str,
        options: PcapngOptions,
    ) -> io::Result<Self> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(concat!(
                "fourwave ",
                env!("CARGO_PKG_VERSION")
            )))],
            ..Default::default()
        };
        let output = BufWriter::with_capacity(BUFFER, output);
        let mut blocks = PcapNgWriter::with_section_header(output, section).map_err(into_io)?;
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: options.snap_len,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(&options.interface)),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        };
        blocks.write_pcapng_block(interface).map_err(into_io)?;
        Ok(Self {
            blocks,
            name: name.to_owned(),
            options,
            waiting: VecDeque::with_capacity(COMMENT_WINDOW + 1),
            waiting_bytes: 0,
            first_waiting: 1,
            spare: Vec::new(),
            failed: None,
        })
    }

    /// Adds a packet. Copies it; writes when enough has gathered.
    ///
    /// # Errors
    /// [`PcapngError::Write`], now and for every call after: the capture is given up.
    pub fn push(
        &mut self,
        direction: Direction,
        packet: &PacketView<'_>,
    ) -> Result<PacketId, PcapngError> {
        self.check()?;
        let mut data = self.spare.pop().unwrap_or_default();
        let snap_len = match self.options.snap_len {
            0 => usize::MAX,
            len => len as usize,
        };
        if self.options.finish_checksums && !packet.checksum.is_finished() {
            packet.copy_to(&mut data, usize::MAX);
            // What it leaves as it is has no checksum that Wireshark would look at.
            complete_checksum(&mut data);
            data.truncate(snap_len);
        } else {
            packet.copy_to(&mut data, snap_len);
        }
        let id = PacketId(self.first_waiting + self.waiting.len() as u64);
        self.waiting_bytes += data.len();
        self.waiting.push_back(Waiting {
            unix: packet.unix,
            direction,
            original_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
            data,
            comments: Vec::new(),
        });
        while self.waiting.len() > COMMENT_WINDOW || self.waiting_bytes > WAITING_BYTES {
            self.write_one()?;
        }
        Ok(id)
    }

    /// Adds a comment to a packet that is not yet written: one of the last [`COMMENT_WINDOW`]
    /// (fewer when they are large). A packet may have several. Returns false when it is too
    /// late, or when the capture is given up.
    pub fn comment(&mut self, packet: PacketId, text: &str) -> bool {
        let place = packet.0.checked_sub(self.first_waiting);
        let waiting = place.and_then(|i| self.waiting.get_mut(usize::try_from(i).ok()?));
        let Some(waiting) = waiting.filter(|_| self.failed.is_none()) else { return false };
        waiting.comments.push(text[..text.floor_char_boundary(MAX_COMMENT)].to_owned());
        true
    }

    /// Writes out what waits for comments, for a reader that looks on. Those packets can have
    /// no comment any more.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        self.check()?;
        while !self.waiting.is_empty() {
            self.write_one()?;
        }
        let flushed = self.blocks.get_mut().flush();
        flushed.map_err(|error| self.fail(error))
    }

    /// Writes what waits. Returns the number of packets.
    ///
    /// # Errors
    /// The first failure of all.
    pub fn finish(mut self) -> Result<u64, PcapngError> {
        self.flush()?;
        Ok(self.first_waiting - 1)
    }

    fn write_one(&mut self) -> Result<(), PcapngError> {
        let Some(packet) = self.waiting.pop_front() else { return Ok(()) };
        self.first_waiting += 1;
        self.waiting_bytes -= packet.data.len();
        let direction = match packet.direction {
            Direction::Received => INBOUND,
            Direction::Sent => OUTBOUND,
        };
        let flags = std::iter::once(EnhancedPacketOption::Flags(direction));
        let comments = packet.comments.iter().map(|text| {
            EnhancedPacketOption::Common(CommonOption::Comment(Cow::Borrowed(text.as_str())))
        });
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: packet.unix,
            original_len: packet.original_len,
            data: Cow::Borrowed(&packet.data),
            options: flags.chain(comments).collect(),
        };
        let written = self.blocks.write_pcapng_block(block).map_err(into_io);
        if self.spare.len() < SPARE_BUFFERS {
            let mut data = packet.data;
            data.clear();
            self.spare.push(data);
        }
        written.map(drop).map_err(|error| self.fail(error))
    }

    fn check(&self) -> Result<(), PcapngError> {
        match &self.failed {
            None => Ok(()),
            Some((kind, text)) => {
                let source = io::Error::new(*kind, text.clone());
                Err(PcapngError::Write { name: self.name.clone(), source })
            }
        }
    }

    fn fail(&mut self, source: io::Error) -> PcapngError {
        self.failed = Some((source.kind(), source.to_string()));
        self.waiting.clear();
        PcapngError::Write { name: self.name.clone(), source }
    }
}

/// A writer as an [`Observer`]: it keeps its first failure for [`finish`](PcapngWriter::finish).
pub struct PcapngObserver(Mutex<PcapngWriter>);

impl PcapngObserver {
    /// Puts the writer behind a lock.
    pub fn new(writer: PcapngWriter) -> Self {
        Self(Mutex::new(writer))
    }

    /// The writer again.
    pub fn into_inner(self) -> PcapngWriter {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for PcapngObserver {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The writer keeps its first failure, and `finish` tells it.
        let _ = writer.push(direction, packet);
    }
}

fn into_io(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        // A packet that the format cannot hold (a time beyond 2554): ours to prevent.
        error => io::Error::other(error),
    }
}
