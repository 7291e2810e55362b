//! One captured packet, whether it came from pcap or pcapng.

use std::io;
use std::ops::Range;
use std::time::Duration;

use fourwave_linux::reason;

/// One frame in the window.
pub(crate) struct Frame {
    /// Its link type; none where the file does not say.
    pub(crate) link: Option<u32>,
    pub(crate) at: Duration,
    /// The place of what was kept.
    pub(crate) data: Range<usize>,
    /// Bytes on the wire.
    pub(crate) original: u32,
    pub(crate) outgoing: Option<bool>,
    /// The place of its options, where there is a comment among them; else empty.
    pub(crate) comments: Range<usize>,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The input ends within a record.
    Cut,
    /// A record cannot be.
    Damaged(String),
    /// Reading or unpacking failed.
    Io(io::Error),
}

impl Stop {
    pub(crate) fn damaged(error: impl std::error::Error + 'static) -> Self {
        Self::Damaged(words(&error))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        // What was packed is cut.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Cut } else { Self::Io(error) }
    }
}

/// An error and what it comes from, in one line.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let text = match error.downcast_ref::<io::Error>() {
        Some(error) => reason(error),
        None => error.to_string(),
    };
    match error.source() {
        Some(source) => format!("{text}: {}", words(source)),
        None => text,
    }
}
