//! Packets that a capture of all interfaces has twice: leaving and coming in on loopback, on a
//! bridge and on its port, before and after it was forwarded.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Between two sightings. Loopback takes microseconds, a virtual machine that is preempted more.
const TWICE: Duration = Duration::from_millis(1);
/// Packets that are remembered: a burst that leaves before it comes in.
const REMEMBERED: usize = 64;
/// Bytes that tell packets apart: every header with its numbers, and the checksum.
const TELLING: usize = 128;

#[derive(Debug)]
struct Seen {
    at: Duration,
    hash: u64,
    outgoing: bool,
    interface: u32,
    /// It was seen coming in on loopback too, and not a third time.
    paired: bool,
}

#[derive(Debug)]
/// Remembers the packets of the last moment. Memory is bounded.
pub(crate) struct Twice {
    seen: Vec<Seen>,
    next: usize,
    hasher: RandomState,
}

impl Twice {
    pub(crate) fn new() -> Self {
        Self { seen: Vec::new(), next: 0, hasher: RandomState::new() }
    }

    /// Whether this is a packet's second sighting. On loopback each packet that leaves
    /// answers for one that comes in, so that what really was sent twice stays so.
    pub(crate) fn is_second(
        &mut self,
        at: Duration,
        ip: &[u8],
        outgoing: bool,
        interface: u32,
    ) -> bool {
        let hash = self.hash(ip);
        for one in &mut self.seen {
            if one.hash != hash || at.abs_diff(one.at) > TWICE {
                continue;
            }
            if one.interface == interface && one.outgoing && !outgoing && !one.paired {
                one.paired = true;
                return true;
            }
            // Cooked captures of version 1 do not name the interface.
            if one.interface != interface || (interface == 0 && has_own_id(ip)) {
                return true;
            }
        }
        self.remember(Seen { at, hash, outgoing, interface, paired: false });
        false
    }

    fn remember(&mut self, seen: Seen) {
        if self.seen.len() < REMEMBERED {
            self.seen.push(seen);
        } else {
            self.seen[self.next] = seen;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// Of the beginning without what a router changes.
    fn hash(&self, ip: &[u8]) -> u64 {
        let mut begin = [0; TELLING];
        let len = ip.len().min(TELLING);
        begin[..len].copy_from_slice(&ip[..len]);
        if begin[0] >> 4 == 6 {
            begin[7] = 0;
        } else {
            begin[8] = 0;
            begin[10..12].fill(0);
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&begin);
        hasher.write_usize(ip.len());
        hasher.finish()
    }
}

/// Whether its identification tells it from others that are the same: one that is sent again
/// has another.
fn has_own_id(ip: &[u8]) -> bool {
    ip.first().is_some_and(|first| first >> 4 == 4) && ip.get(4..6).is_some_and(|id| id != [0, 0])
}
