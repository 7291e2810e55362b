//! Descriptors by their numbers, and whose socket a connection is.

use fourwave_core::state::State;
use fourwave_core::{ConnId, ListenerId};

use super::Virtual;
use super::abi::errno;
use super::file::File;
use super::outcome::Stop;
use super::socket::{Phase, Socket};
use crate::syscall::Fd;

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

    /// The state that Linux would show.
    pub(super) fn state_of(&self, phase: Phase) -> State {
        match phase {
            Phase::Closed => State::Closed,
            Phase::Listening(_) => State::Listen,
            Phase::Deferred(_) => State::SynSent,
            Phase::Connection(conn) => {
                self.engine.info(conn).map_or(State::Closed, |info| info.state)
            }
        }
    }
}
