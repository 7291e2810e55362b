//! Which of the connections on the same four numbers a SYN belongs to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::watch::Sighting;

/// A client's address and a server's.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Connections by the numbers of their SYNs, as the wire shows them.
#[derive(Debug, Default)]
pub(super) struct Incarnations {
    /// By the ISN of the client.
    by_isn: BTreeMap<(Ends, u32), usize>,
    /// Whose SYN the server answered last.
    answered: BTreeMap<Ends, Option<usize>>,
}

impl Incarnations {
    /// A segment leaves its host; `opened` is the connection that was opened last between its
    /// source and its destination, in this direction.
    pub(super) fn sent(&mut self, seen: &Sighting, opened: Option<usize>) {
        let flags = seen.header.flags;
        if !flags.syn() {
            return;
        }
        if flags.ack() {
            let ends = (seen.dst, seen.src);
            let isn = seen.header.ack.value().wrapping_sub(1);
            let conn = self.by_isn.get(&(ends, isn)).copied();
            self.answered.insert(ends, conn);
        } else if let Some(conn) = opened {
            self.by_isn.insert(((seen.src, seen.dst), seen.header.seq.value()), conn);
        }
    }

    /// The connection that a handshake which is through now belongs to.
    pub(super) fn promoted(&self, ends: Ends) -> Option<usize> {
        self.answered.get(&ends).copied().flatten()
    }
}
