//! Calls on pipes and scratch files, and those that move bytes between them and sockets.

use fourwave_core::state::State;

use super::Virtual;
use super::abi::{self, errno, event};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, Stop, done, fail, unsupported};
use super::pipe::{CAPACITY, End, Pipe};
use super::socket::Phase;
use crate::syscall::Fd;

impl Virtual {
    fn pipe(&mut self, fd: Fd) -> Result<&mut Pipe, Stop> {
        match self.file(fd)? {
            File::Pipe(pipe) => Ok(pipe),
            _ => fail(errno::EINVAL),
        }
    }

    pub(super) fn sys_pipe(&mut self, fds: Option<(Fd, Fd)>) -> Attempt {
        let new = |end| File::Pipe(Pipe { end, peer: None, bytes: 0, nonblocking: false });
        let reader = self.place(fds.map(|(reader, _)| reader), new(End::Reader))?;
        let writer = self.place(fds.map(|(_, writer)| writer), new(End::Writer))?;
        self.pipe(reader)?.peer = Some(writer);
        self.pipe(writer)?.peer = Some(reader);
        done(0)
    }

    pub(super) fn sys_open(&mut self, path: &str, flags: i32, as_fd: Option<Fd>) -> Attempt {
        if flags & abi::O_ACCMODE != abi::O_RDONLY {
            return unsupported(format!("open of {path:?} for writing"));
        }
        let bytes = match path {
            "/dev/zero" => usize::MAX,
            _ => match self.sysctls.scratch.get(path) {
                Some(&bytes) => bytes,
                None => {
                    return unsupported(format!("open of {path:?}: the script did not make it"));
                }
            },
        };
        let file = Pipe { end: End::Zeros, peer: None, bytes, nonblocking: false };
        let fd = self.place(as_fd, File::Pipe(file))?;
        done(fd.into())
    }

    pub(super) fn pipe_write(&mut self, job: &mut Job, fd: Fd, len: usize) -> Attempt {
        let (end, peer, nonblocking) = {
            let pipe = self.pipe(fd)?;
            (pipe.end, pipe.peer, pipe.nonblocking)
        };
        if end != End::Writer {
            return fail(errno::EBADF);
        }
        let Some(peer) = peer else { return fail(errno::EPIPE) };
        let reader = self.pipe(peer)?;
        let taken = (CAPACITY - reader.bytes).min(len - job.copied);
        reader.bytes += taken;
        job.copied += taken;
        if taken > 0 {
            self.wake(peer, event::IN | event::RDNORM);
        }
        match job.copied {
            n if n == len || (n > 0 && nonblocking) => done(n as i64),
            0 if nonblocking => fail(errno::EAGAIN),
            _ => Ok(Outcome::Wait(None)),
        }
    }

    pub(super) fn pipe_read(&mut self, _job: &mut Job, fd: Fd, len: usize) -> Attempt {
        let pipe = self.pipe(fd)?;
        if pipe.end == End::Writer {
            return fail(errno::EBADF);
        }
        let taken = pipe.bytes.min(len);
        if taken > 0 || pipe.peer.is_none() || len == 0 {
            pipe.bytes -= taken;
            return done(taken as i64);
        }
        if pipe.nonblocking { fail(errno::EAGAIN) } else { Ok(Outcome::Wait(None)) }
    }

    pub(super) fn hang_up(&mut self, pipe: &Pipe) {
        if let Some(peer) = pipe.peer
            && let Ok(other) = self.pipe(peer)
        {
            other.peer = None;
            self.wake(peer, u32::MAX);
        }
    }

    pub(super) fn pipe_events(&self, pipe: &Pipe) -> u32 {
        let peer = pipe.peer.and_then(|fd| match self.files.get(&fd) {
            Some(File::Pipe(peer)) => Some(peer),
            _ => None,
        });
        match pipe.end {
            End::Zeros => event::IN | event::RDNORM | event::OUT | event::WRNORM,
            End::Reader => {
                let data = if pipe.bytes > 0 { event::IN | event::RDNORM } else { 0 };
                data | if peer.is_none() { event::HUP } else { 0 }
            }
            End::Writer => match peer {
                Some(reader) if reader.bytes < CAPACITY => event::OUT | event::WRNORM,
                Some(_) => 0,
                None => event::OUT | event::WRNORM | event::ERR,
            },
        }
    }

    pub(super) fn sys_sendfile(
        &mut self,
        job: &mut Job,
        out: Fd,
        input: Fd,
        offset: Option<i64>,
        count: usize,
    ) -> Attempt {
        let offset = usize::try_from(offset.unwrap_or(0)).unwrap_or(0);
        let file = self.pipe(input)?;
        if !file.is_file() {
            return fail(errno::EINVAL);
        }
        let there = file.bytes.saturating_sub(offset).min(count);
        self.sys_write(job, out, there, 0, None, "sendfile")
    }

    pub(super) fn sys_splice(&mut self, job: &mut Job, input: Fd, out: Fd, len: usize) -> Attempt {
        match (self.file(input)?, len) {
            (_, 0) => done(0),
            (File::Socket(_), _) => self.splice_in(job, input, out, len),
            (File::Pipe(_), _) => {
                let there = self.pipe(input)?.bytes.min(len);
                let outcome = self.sys_write(job, out, there, 0, None, "splice")?;
                if let Outcome::Done(returned) = &outcome
                    && let Ok(moved) = returned.result
                {
                    let pipe = self.pipe(input)?;
                    pipe.bytes = pipe.bytes.saturating_sub(moved as usize);
                }
                Ok(outcome)
            }
            _ => fail(errno::EINVAL),
        }
    }

    /// From a socket into a pipe.
    fn splice_in(&mut self, job: &mut Job, input: Fd, out: Fd, len: usize) -> Attempt {
        let Some(reader) = self.pipe(out)?.peer else { return fail(errno::EPIPE) };
        let room = CAPACITY - self.pipe(reader)?.bytes;
        let phase = self.socket(input)?.phase;
        if matches!(phase, Phase::Listening(_)) || self.state_of(phase) == State::Listen {
            return fail(errno::ENOTCONN);
        }
        let outcome = self.sys_read(job, input, len.min(room), 0, "splice")?;
        if let Outcome::Done(returned) = &outcome
            && let Ok(moved) = returned.result
        {
            self.pipe(reader)?.bytes += moved as usize;
            self.wake(reader, event::IN | event::RDNORM);
        }
        Ok(outcome)
    }
}
