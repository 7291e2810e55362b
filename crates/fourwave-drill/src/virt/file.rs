//! What descriptors stand for, and what outlives them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fourwave_core::{ConnId, EndReason, EndReport, Instant};

use super::epoll::Epoll;
use super::pipe::Pipe;
use super::socket::Socket;

/// What a descriptor stands for.
pub(super) enum File {
    /// A TCP socket; by far the largest.
    Socket(Box<Socket>),
    /// An epoll instance.
    Epoll(Epoll),
    /// One end of a pipe, or a scratch file.
    Pipe(Pipe),
}

/// Connections whose descriptor was closed, and ends that nobody has been told of.
#[derive(Default)]
pub(super) struct Gone {
    /// Closed by the application, finishing by themselves: their address, and whether it was
    /// bound with `SO_REUSEADDR`.
    orphans: BTreeMap<ConnId, (SocketAddr, bool)>,
    /// Addresses in TIME_WAIT, until when.
    time_wait: Vec<(SocketAddr, bool, Instant)>,
    /// Ended before anyone accepted them.
    unaccepted: BTreeMap<ConnId, EndReason>,
}

impl Gone {
    pub(super) fn orphan(&mut self, conn: ConnId, local: SocketAddr, reuse: bool) {
        self.orphans.insert(conn, (local, reuse));
    }

    /// A connection ended. `owned`: where a descriptor holds it, its `SO_REUSEADDR`.
    pub(super) fn left(&mut self, conn: ConnId, report: &EndReport, owned: Option<bool>) {
        let orphaned = self.orphans.remove(&conn).map(|(_, reuse)| reuse);
        let reuse = owned.or(orphaned).unwrap_or_else(|| {
            self.unaccepted.insert(conn, report.reason);
            false
        });
        if let Some(until) = report.time_wait_until {
            self.time_wait.push((report.local, reuse, until));
        }
    }

    /// How a connection ended that is only now accepted.
    pub(super) fn take_end(&mut self, conn: ConnId) -> Option<EndReason> {
        self.unaccepted.remove(&conn)
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.time_wait.retain(|(_, _, until)| *until > now);
    }

    /// No TIME_WAIT is left.
    pub(super) fn forget_time_waits(&mut self) {
        self.time_wait.clear();
    }

    /// Addresses still in use, and whether each allows another bind with `SO_REUSEADDR`.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        let waiting = self.time_wait.iter().map(|&(local, reuse, _)| (local, reuse));
        self.orphans.values().copied().chain(waiting)
    }
}
