//! Why a capture cannot be read at all.

use std::io;

use fourwave_linux::reason;

/// A capture that cannot be read: one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct ReadError {
    /// The file, or what stands for it.
    pub name: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an input: one line, without its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is none.
    #[error("no such file")]
    NotFound,
    /// It may not be read.
    #[error("permission denied: its owner, or root, can read it")]
    Forbidden,
    /// It is a directory.
    #[error("is a directory; name the capture files in it")]
    Directory,
    /// Reading failed.
    #[error("cannot be read: {}", reason(.0))]
    Io(#[source] io::Error),
    /// It has not a single byte.
    #[error("is empty: no capture, not even the header of one")]
    Empty,
    /// It is something else.
    #[error("not a capture (pcap or pcapng, also in gzip or zstd): {file_type}")]
    NotACapture {
        /// What its first bytes look like.
        file_type: String,
    },
    /// It is compressed and cannot be unpacked.
    #[error("damaged: its {layer} cannot be unpacked: {why}")]
    Packed {
        /// The compression.
        layer: &'static str,
        /// What is wrong.
        why: String,
    },
    /// It begins as a capture and goes on as none.
    #[error("damaged in its header: {why}")]
    Header {
        /// What is wrong there.
        why: String,
    },
}

impl Problem {
    pub(crate) fn named(self, name: impl Into<String>) -> ReadError {
        ReadError { name: name.into(), problem: self }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(error),
        }
    }
}
