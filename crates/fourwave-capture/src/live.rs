//! An interface as packets, while they pass.

use std::io;
use std::time::Duration;

use fourwave_linux::iface::{Iface, IfaceError};
use fourwave_linux::reason;

use crate::comments::Comments;
use crate::link;
use crate::packet::{Packet, Tally};
use crate::twice::Twice;

/// Bytes kept of each frame: all headers, and what an ICMP error quotes.
const KEPT: usize = 1024;
const ETHERNET: u32 = 1;
const RAW: u32 = 101;
/// Frames between two counts of what was dropped.
const OFTEN: u64 = 4096;

/// Why there is nothing to see, or no longer: one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The interface cannot be listened to.
    #[error(transparent)]
    Open(#[from] IfaceError),
    /// It is no longer there.
    #[error("the interface {name} went down; what was seen until then is reported")]
    Down {
        /// Its name.
        name: String,
    },
    /// Something else.
    #[error("capturing on {name} failed: {}", reason(.source))]
    Failed {
        /// The interface.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Captures TCP and ICMP on an interface: headers only ([`Packet::wire_len`] tells the length),
/// in both directions, with the segment size of super-packets. Needs CAP_NET_RAW.
#[derive(Debug)]
pub struct Live {
    iface: Iface,
    name: String,
    buffer: Box<[u8]>,
    tally: Tally,
    twice: Twice,
}

impl Live {
    /// Listens to this interface, or to all of this network namespace (`any`).
    ///
    /// # Errors
    /// There is no such interface (the message lists those that exist), or the right is missing.
    pub fn open(name: &str) -> Result<Self, LiveError> {
        let iface = Iface::open(name)?;
        let tally = Tally { dropped: Some(0), ..Tally::default() };
        let buffer = vec![0; KEPT].into();
        Ok(Self { iface, name: name.to_owned(), buffer, tally, twice: Twice::new() })
    }

    /// The next packet, waited for so long at most. None may come early: after a signal.
    ///
    /// # Errors
    /// The interface went down, or the system fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Packet<'_>>, LiveError> {
        let mut received = self.iface.recv(&mut self.buffer);
        if is(&received, io::ErrorKind::WouldBlock) {
            self.count_drops()?;
            match self.iface.wait(timeout) {
                Ok(true) => received = self.iface.recv(&mut self.buffer),
                Ok(false) => return Ok(None),
                Err(source) => return Err(self.failed(source)),
            }
        }
        let received = match received {
            Ok(received) => received,
            // The packet whose segments the kernel cannot describe (a tunnel's) is gone.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.tally.frames += 1;
                self.tally.other += 1;
                return Ok(None);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(self.failed(source)),
        };
        self.tally.frames += 1;
        self.tally.bytes += received.wire_len as u64;
        if self.tally.frames.is_multiple_of(OFTEN) {
            self.count_drops()?;
        }
        let mut packet = Packet {
            number: self.tally.frames,
            at: received.at,
            ip: None,
            wire_len: received.wire_len,
            outgoing: Some(received.outgoing),
            gso_size: received.gso_size,
            comments: Comments::default(),
        };
        let link = if received.ethernet { ETHERNET } else { RAW };
        let frame = &self.buffer[..received.len];
        let Some(framed) = link::packet(link, frame) else {
            self.tally.other += 1;
            return Ok(Some(packet));
        };
        let start = framed.ip.start;
        let ip = &frame[framed.ip];
        packet.wire_len = link::wire_len(ip, received.wire_len - start);
        if self.twice.is_second(packet.at, ip, received.outgoing, received.interface) {
            self.tally.twice += 1;
            return Ok(Some(packet));
        }
        packet.ip = Some(ip);
        Ok(Some(packet))
    }

    /// What was seen so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn count_drops(&mut self) -> Result<(), LiveError> {
        let more = self.iface.dropped().map_err(|source| self.failed(source))?;
        self.tally.dropped = Some(self.tally.dropped.unwrap_or(0) + more);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> LiveError {
        let name = self.name.clone();
        match source.kind() {
            io::ErrorKind::NetworkDown => LiveError::Down { name },
            _ => LiveError::Failed { name, source },
        }
    }
}

fn is<T>(result: &io::Result<T>, kind: io::ErrorKind) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}
