//! What descriptors stand for, and what outlives them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fourwave_core::{ConnId, EndReason, EndReport, Instant, ListenerId};

use super::Virtual;
use super::abi::errno;
use super::epoll::Epoll;
use super::outcome::Stop;
use super::pipe::Pipe;
use super::socket::{Phase, Socket};
use crate::syscall::Fd;

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

impl Virtual {
    /// The descriptor that a call is to return: the script's name, or the lowest free one. A name
    /// that is in use goes to the new file; the old one stays open without a name.
    pub(super) fn place(&mut self, name: Option<Fd>, file: File) -> Result<Fd, Stop> {
        let fd = match name {
            Some(fd) if self.files.contains_key(&fd) => {
                self.unname(fd);
                fd
            }
            Some(fd) => fd,
            None => (3..).find(|fd| !self.files.contains_key(fd)).unwrap_or(3),
        };
        self.files.insert(fd, file);
        Ok(fd)
    }

    fn unname(&mut self, fd: Fd) {
        let lowest = self.files.keys().next().map_or(0, |&fd| fd.min(0));
        let Some(file) = self.files.remove(&fd) else { return };
        let anonymous = lowest - 1;
        if let File::Socket(socket) = &file
            && let Phase::Connection(conn) = socket.phase
        {
            self.owners.insert(conn, anonymous);
        }
        self.forget_in_epolls(fd);
        self.files.insert(anonymous, file);
    }

    pub(super) fn file(&mut self, fd: Fd) -> Result<&mut File, Stop> {
        self.files.get_mut(&fd).ok_or(Stop::Errno(errno::EBADF))
    }

    pub(super) fn socket(&mut self, fd: Fd) -> Result<&mut Socket, Stop> {
        match self.file(fd)? {
            File::Socket(socket) => Ok(socket),
            _ => Err(Stop::Errno(errno::ENOTSOCK)),
        }
    }

    /// The socket of a connection.
    pub(super) fn owner(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let fd = *self.owners.get(&conn)?;
        self.socket(fd).ok()
    }

    pub(super) fn listener_fd(&self, listener: ListenerId) -> Option<Fd> {
        let listens = |file: &File| match file {
            File::Socket(socket) => socket.phase == Phase::Listening(listener),
            _ => false,
        };
        self.files.iter().find(|(_, file)| listens(file)).map(|(fd, _)| *fd)
    }
}
