//! A capture's connection as a script that replays one side of it.
//!
//! | question | where |
//! | --- | --- |
//! | which packets are in a capture? | `read.rs`, by `fourwave-capture` |
//! | which connections? | `Capture`, by the lens |
//! | whose side is ours? | `side.rs` |
//! | which packets did the captured stack never get or send? | `lost.rs` |
//! | what has its application called? | `infer.rs` |
//! | the script | `write.rs` with `writer.rs`, its lines in `line.rs`, packets in `packet.rs` |
//! | streams that are left free | `stream.rs` |
//! | where the engine does what matters in another way | `fit.rs` |

mod fit;
mod infer;
mod line;
mod lost;
mod packet;
mod read;
mod side;
mod stream;
mod write;
mod writer;

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fourwave_lens::{ConnectionRecord, Names, Role};

pub use fit::Fitted;
use packet::Seg;
pub use side::Reason;

/// Why there is no script: one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("{}: {why}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// It is no capture.
    #[error("{what}")]
    NoCapture {
        /// What it is, or lacks.
        what: String,
    },
    /// It has no TCP connection.
    #[error("no TCP segment in it ({packets} packets of other kinds)")]
    NoTcp {
        /// Packets in the file.
        packets: u64,
    },
    /// The number names none.
    #[error("there is no connection {asked}: it has 1 to {last}")]
    NoSuchConnection {
        /// The number.
        asked: u64,
        /// The last.
        last: u64,
    },
    /// The capture began too late.
    #[error(
        "connection {number}: its beginning (a SYN) is not in the capture, and no script can \
             do without"
    )]
    NoBeginning {
        /// The connection.
        number: u64,
    },
    /// The address that should be ours has no part in it.
    #[error("connection {number}: {local} is neither {} nor {}", ends[0], ends[1])]
    NotAnEnd {
        /// The connection.
        number: u64,
        /// The address.
        local: IpAddr,
        /// Those that have.
        ends: [SocketAddr; 2],
    },
    /// Nothing was sent by the side that should be ours.
    #[error(
        "connection {number}: {local} sends nothing in it, so there is nothing to expect \
             (--local takes the other side)"
    )]
    Silent {
        /// The connection.
        number: u64,
        /// The side.
        local: SocketAddr,
    },
}

/// A capture file in memory, sorted by connections.
#[derive(Debug)]
pub struct Capture {
    connections: Vec<Connection>,
    /// Packets in the file.
    pub packets: u64,
    /// Why reading stopped before the file's end, if it did; what came before counts.
    pub damaged: Option<String>,
}

/// One connection of a capture.
#[derive(Debug)]
pub struct Connection {
    /// Counted from 1.
    pub number: u64,
    /// Who opened it; where that was not seen, the higher port.
    pub client: SocketAddr,
    /// The other end.
    pub server: SocketAddr,
    segs: Vec<Seg>,
    story: Option<ConnectionRecord>,
}

impl Capture {
    /// Reads a pcap or pcapng file, plain or in gzip or zstd. Headers of all packets are kept in
    /// memory.
    ///
    /// # Errors
    /// It is no such file, or there is no TCP in it.
    pub fn read(input: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        read::capture(input)
    }

    /// The connections, in the order in which they begin.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The connection with this number.
    ///
    /// # Errors
    /// There is none.
    pub fn connection(&self, number: u64) -> Result<&Connection, CaptureError> {
        self.connections.iter().find(|conn| conn.number == number).ok_or_else(|| {
            let last = self.connections.last().map_or(0, |conn| conn.number);
            CaptureError::NoSuchConnection { asked: number, last }
        })
    }
}

impl Connection {
    /// Segments in the capture.
    pub fn segments(&self) -> usize {
        self.segs.len()
    }

    /// Time between its first segment and its last.
    pub fn lasted(&self) -> Duration {
        match (self.segs.first(), self.segs.last()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => Duration::ZERO,
        }
    }

    /// How it ended, in one sentence.
    pub fn ending(&self) -> String {
        let ending = self.story.as_ref().map(|story| story.why(&Names::default()));
        ending.unwrap_or_else(|| "the capture does not tell how it ended".to_owned())
    }

    /// The script that replays the side of `local`, or the one that seems to be where the capture
    /// was made; `name` is the file's, for the comment at its top. It is played on the engine; one
    /// that is more than a short exchange leaves its streams free (`--loose_segments`) and is
    /// fitted: a run for each place, 200 at most.
    ///
    /// # Errors
    /// The connection cannot be replayed: its beginning is missing, or that side says nothing.
    pub fn script(&self, local: Option<IpAddr>, name: &str) -> Result<Fitted, CaptureError> {
        let (ours, reason) = side::choose(self, local)?;
        let number = self.number;
        if !self.segs.iter().any(|seg| seg.from == Role::Client && seg.is_syn()) {
            return Err(CaptureError::NoBeginning { number });
        }
        if !self.segs.iter().any(|seg| seg.from == ours) {
            return Err(CaptureError::Silent { number, local: self.addr(ours) });
        }
        let script = |loose| write::script(self, ours, reason, name, loose);
        let strict = (!stream::is_loose(self)).then(|| fit::as_it_is(&script(false))).flatten();
        Ok(strict.unwrap_or_else(|| fit::fit(script(true))))
    }

    fn addr(&self, role: Role) -> SocketAddr {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }
}
