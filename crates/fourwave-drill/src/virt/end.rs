//! How connections and sockets end: shutdown, close, and `connect` to nobody.

use std::time::Duration;

use fourwave_core::ConnId;
use fourwave_core::SocketOption;
use fourwave_core::state::State;

use super::Virtual;
use super::abi::{self, errno};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, Stop, done, fail};
use super::socket::{Opening, Phase, Shut};
use crate::syscall::Fd;

impl Virtual {
    pub(super) fn sys_shutdown(&mut self, fd: Fd, how: i32) -> Attempt {
        let way = match how {
            abi::SHUT_RD => Shut::RECEIVE,
            abi::SHUT_WR => Shut::SEND,
            abi::SHUT_RDWR => Shut::BOTH,
            _ => {
                self.socket(fd)?;
                return fail(errno::EINVAL);
            }
        };
        let socket = self.socket(fd)?;
        let phase = socket.phase;
        let state = self.state_of(phase);
        let socket = self.socket(fd)?;
        if socket.opening == Opening::Connecting {
            let open = !matches!(state, State::SynSent | State::SynReceived | State::Closed);
            socket.opening = if open { Opening::Connected } else { Opening::Disconnecting };
        }
        match (state, phase) {
            (State::Listen, _) if !way.has(Shut::RECEIVE) => done(0),
            (State::Listen | State::SynSent, _) => {
                self.dissolve(fd)?;
                done(0)
            }
            (_, Phase::Connection(conn)) => {
                socket.shut |= way;
                if state == State::Closed {
                    self.wake(fd, u32::MAX);
                    return fail(errno::ENOTCONN);
                }
                if way.has(Shut::RECEIVE) {
                    let _ = self.engine.set_option(self.now, conn, SocketOption::NoMoreReads);
                }
                if way.has(Shut::SEND) {
                    // It fails only for connections that have ended, and this one has not.
                    let _ = self.engine.shutdown(self.now, conn);
                }
                self.wake(fd, u32::MAX);
                done(0)
            }
            _ => {
                socket.shut |= way;
                self.wake(fd, u32::MAX);
                fail(errno::ENOTCONN)
            }
        }
    }

    pub(super) fn sys_close(&mut self, job: &mut Job, fd: Fd) -> Attempt {
        let linger = match self.file(fd)? {
            File::Socket(socket) => socket.options.linger.filter(|seconds| *seconds > 0),
            _ => None,
        };
        if let Some(seconds) = linger
            && self.lingers(job, fd)?
        {
            return Ok(Outcome::Wait(Some(Duration::from_secs(seconds.into()))));
        }
        self.forget_in_epolls(fd);
        match self.files.remove(&fd) {
            Some(File::Socket(socket)) => match socket.phase {
                Phase::Closed | Phase::Deferred(_) => {}
                Phase::Listening(listener) => self.engine.unlisten(self.now, listener),
                Phase::Connection(conn) => {
                    self.release(conn, socket.options.reuse_addr, false);
                }
            },
            Some(File::Pipe(pipe)) => self.hang_up(&pipe),
            Some(File::Epoll(_)) | None => {}
        }
        done(0)
    }

    /// A closing socket with SO_LINGER: its FIN is sent, and it waits until the peer has
    /// acknowledged it. Whether it still waits.
    fn lingers(&mut self, job: &mut Job, fd: Fd) -> Result<bool, Stop> {
        let Phase::Connection(conn) = self.socket(fd)?.phase else { return Ok(false) };
        if job.expired {
            return Ok(false);
        }
        let unread = self.engine.info(conn).is_ok_and(|info| info.rcv_unread > 0);
        if !job.waited && !unread {
            // An ended connection has nothing left to shut down.
            let _ = self.engine.shutdown(self.now, conn);
        }
        let state = self.state_of(Phase::Connection(conn));
        let closing = matches!(state, State::FinWait1 | State::Closing | State::LastAck);
        Ok(!unread && closing)
    }

    /// The engine's handle goes back, in order or by `abort`.
    fn release(&mut self, conn: ConnId, reuse: bool, abort: bool) {
        self.owners.remove(&conn);
        let Ok(info) = self.engine.info(conn) else { return };
        if info.state != State::Closed {
            self.gone.orphan(conn, info.local, reuse);
        }
        // The only error is a handle that names nothing, and this one was just asked.
        let _ = match abort {
            true => self.engine.abort(self.now, conn),
            false => self.engine.close(self.now, conn),
        };
    }

    /// What `connect` to AF_UNSPEC does: whatever the socket was, it is nothing now.
    pub(super) fn dissolve(&mut self, fd: Fd) -> Result<(), Stop> {
        let phase = self.socket(fd)?.phase;
        let state = self.state_of(phase);
        match phase {
            Phase::Closed | Phase::Deferred(_) => {}
            Phase::Listening(listener) => self.engine.unlisten(self.now, listener),
            Phase::Connection(conn) => {
                let reuse = self.socket(fd)?.options.reuse_addr;
                self.release(conn, reuse, true);
            }
        }
        let reset = !matches!(state, State::Closed | State::Listen);
        let socket = self.socket(fd)?;
        socket.phase = Phase::Closed;
        socket.opening = Opening::Unconnected;
        socket.shut = Shut::NONE;
        socket.done = false;
        socket.last_state = State::Closed;
        socket.written = 0;
        if reset {
            socket.error = errno::ECONNRESET;
        }
        if !socket.bound {
            socket.local = None;
        }
        self.wake(fd, u32::MAX);
        Ok(())
    }
}
