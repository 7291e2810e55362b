//! Bytes through a socket: read, write and their relatives.

use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::{ConnId, SocketOption, TcpInfo};

use super::Virtual;
use super::abi::{self, errno, msg};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, Stop, done, done_with, fail};
use super::socket::{Opening, Phase, Shut};
use crate::sockopt;
use crate::syscall::{Fd, Output, Received, SendTo};
use crate::target::Refusal;

/// Flags of a send that mean something here, or nothing at all.
const SEND_FLAGS: i32 =
    msg::DONTWAIT | msg::NOSIGNAL | msg::ZEROCOPY | msg::FASTOPEN | msg::MORE | msg::EOR;
/// The same for receiving.
const RECEIVE_FLAGS: i32 = msg::DONTWAIT
    | msg::PEEK
    | msg::TRUNC
    | msg::WAITALL
    | msg::ERRQUEUE
    | msg::NOSIGNAL
    | msg::CMSG_CLOEXEC;

/// A write that sleeps for want of room.
const FULL: i32 = -2;

/// Refuses flags that the engine does not have.
fn check_flags(flags: i32, known: i32, call: &str) -> Result<(), Stop> {
    const NAMES: [(i32, &str); 2] = [(msg::OOB, "MSG_OOB"), (msg::ERRQUEUE, "MSG_ERRQUEUE")];
    let rest = flags & !known;
    if rest == 0 {
        return Ok(());
    }
    let named = NAMES.iter().find(|(flag, _)| rest & flag != 0);
    let what = named.map_or_else(|| format!("flags {rest:#x}"), |(_, name)| (*name).to_owned());
    Err(Refusal::Unsupported(format!("{what} of {call}")).into())
}

impl Virtual {
    pub(super) fn sys_write(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
        to: Option<SendTo>,
        call: &str,
    ) -> Attempt {
        if let File::Pipe(_) = self.file(fd)? {
            return if matches!(call, "write" | "writev") {
                self.pipe_write(job, fd, len)
            } else {
                fail(errno::ENOTSOCK)
            };
        }
        if let File::Epoll(_) = self.file(fd)? {
            return fail(if call == "write" { errno::EINVAL } else { errno::ENOTSOCK });
        }
        check_flags(flags, SEND_FLAGS, call)?;
        let pending = self.socket(fd)?.error;
        let outcome = match self.write_some(job, fd, len, flags, to) {
            Err(Stop::Errno(_)) if job.copied > 0 => {
                // What was taken counts; the error is for the next call.
                self.socket(fd)?.error = pending;
                done(job.copied as i64)
            }
            other => other,
        };
        if let Ok(Outcome::Done(_)) = outcome {
            self.mark_write(fd, job.copied, flags)?;
        }
        outcome
    }

    fn write_some(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
        to: Option<SendTo>,
    ) -> Attempt {
        if self.opens_by_sending(fd, to)? {
            return self.open_by_sending(job, fd, len, to);
        }
        let deferred = matches!(self.socket(fd)?.phase, Phase::Deferred(_));
        if (flags & msg::FASTOPEN != 0 || deferred || job.code > 0)
            && job.code >= 0
            && let Some(outcome) = self.write_fast(job, fd, len, flags, to)?
        {
            return Ok(outcome);
        }
        let ready = self.write_ready(job, fd, flags);
        if job.opening && ready.is_err() {
            // It never opened: what was queued for it does not count.
            job.copied = 0;
        }
        let Some(conn) = ready? else {
            self.queue_early(job, fd, len, flags)?;
            job.opening = true;
            let limit = self.socket(fd)?.options.send_timeout;
            return Ok(Outcome::Wait(limit));
        };
        job.opening = false;
        // A writer that sleeps is woken when a third of the buffer is free.
        if job.code != FULL || self.writable(conn) {
            self.fill(job, fd, conn, len, flags)?;
        }
        if job.copied == len {
            return done(len as i64);
        }
        job.code = FULL;
        let socket = self.socket(fd)?;
        if socket.nonblocking || job.expired || flags & msg::DONTWAIT != 0 {
            return fail(errno::EAGAIN);
        }
        Ok(Outcome::Wait(socket.options.send_timeout))
    }

    /// Hands over as much as there is room for.
    fn fill(
        &mut self,
        job: &mut Job,
        fd: Fd,
        conn: ConnId,
        len: usize,
        flags: i32,
    ) -> Result<(), Stop> {
        self.tell_more(fd, conn, flags)?;
        let mut data = Bytes::from(vec![0; len - job.copied]);
        while !data.is_empty() {
            match self.engine.send(self.now, conn, &mut data) {
                Ok(0) => break,
                Ok(taken) => {
                    job.copied += taken;
                    self.socket(fd)?.written += taken as u64;
                }
                Err(_) => return fail(self.socket(fd)?.take_error().unwrap_or(errno::EPIPE)),
            }
            if !data.is_empty() {
                // A long write is on its way before its end is there.
                self.transmit();
            }
        }
        if flags & msg::EOR != 0 && data.is_empty() {
            let _ = self.engine.set_option(self.now, conn, SocketOption::EndOfRecord);
        }
        Ok(())
    }

    /// Tells the engine of `MSG_MORE`, at every send: the next ACK takes it back.
    fn tell_more(&mut self, fd: Fd, conn: ConnId, flags: i32) -> Result<(), Stop> {
        let more = flags & msg::MORE != 0;
        if std::mem::replace(&mut self.socket(fd)?.more, more) || more {
            // It fails for a handle that names nothing, and this one is held.
            let _ = self.engine.set_option(self.now, conn, SocketOption::More(more));
        }
        Ok(())
    }

    /// A write that waits for its connection to open: Linux knows of it, and lets the handshake's
    /// ACK ride on its text. What one buffer takes is queued now, once.
    pub(super) fn queue_early(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
    ) -> Result<(), Stop> {
        let Phase::Connection(conn) = self.socket(fd)?.phase else { return Ok(()) };
        if job.waited || self.state_of(Phase::Connection(conn)) != State::SynSent {
            return Ok(());
        }
        let mut data = Bytes::from(vec![0; len - job.copied]);
        self.tell_more(fd, conn, flags)?;
        // A connection that refuses has ended: the call finds out when it goes on.
        let taken = self.engine.send(self.now, conn, &mut data).unwrap_or(0);
        job.copied += taken;
        self.socket(fd)?.written += taken as u64;
        Ok(())
    }

    /// Whether poll says that a connection can be written to.
    pub(super) fn writable(&self, conn: ConnId) -> bool {
        self.engine.is_writable(conn).unwrap_or(true)
    }

    /// The connection to write to; none: the call waits until there is one.
    pub(super) fn write_ready(
        &mut self,
        job: &Job,
        fd: Fd,
        flags: i32,
    ) -> Result<Option<ConnId>, Stop> {
        let phase = self.socket(fd)?.phase;
        let state = self.state_of(phase);
        let socket = self.socket(fd)?;
        // A connection that was accepted before its handshake was through (Fast Open) is open.
        let early = state == State::SynReceived && socket.opening == Opening::Connected;
        if !early && !matches!(state, State::Established | State::CloseWait) {
            if let Some(error) = socket.take_error() {
                return fail(error);
            }
            if !matches!(state, State::SynSent | State::SynReceived) {
                return fail(errno::EPIPE);
            }
            let waits = !socket.nonblocking && !job.expired && flags & msg::DONTWAIT == 0;
            return if waits { Ok(None) } else { fail(errno::EAGAIN) };
        }
        if socket.error != 0 || socket.shut.has(Shut::SEND) {
            return fail(socket.take_error().unwrap_or(errno::EPIPE));
        }
        match phase {
            Phase::Connection(conn) => Ok(Some(conn)),
            _ => fail(errno::EPIPE),
        }
    }

    /// What has to be told later about the bytes just written.
    fn mark_write(&mut self, fd: Fd, copied: usize, flags: i32) -> Result<(), Stop> {
        if copied == 0 {
            return Ok(());
        }
        let socket = self.socket(fd)?;
        if flags & msg::ZEROCOPY != 0 && socket.options.zerocopy {
            socket.errors.expect_zerocopy(socket.written);
        }
        socket.errors.expect_stamps(socket.options.timestamping, socket.written);
        Ok(())
    }

    pub(super) fn sys_read(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
        call: &str,
    ) -> Attempt {
        match self.file(fd)? {
            File::Pipe(_) if call == "read" => return self.pipe_read(job, fd, len),
            File::Epoll(_) if call == "read" => return fail(errno::EINVAL),
            File::Socket(_) if call == "read" && len == 0 => return done(0),
            _ => {}
        }
        self.socket(fd)?;
        check_flags(flags, RECEIVE_FLAGS, call)?;
        if flags & msg::ERRQUEUE != 0 {
            return match self.socket(fd)?.errors.take() {
                Some(_) => done(0),
                None => fail(errno::EAGAIN),
            };
        }
        match self.read_some(job, fd, len, flags) {
            Err(Stop::Errno(_)) if job.copied > 0 => done(job.copied as i64),
            other => other,
        }
    }

    fn read_some(&mut self, job: &mut Job, fd: Fd, len: usize, flags: i32) -> Attempt {
        let phase = self.socket(fd)?.phase;
        if matches!(phase, Phase::Listening(_)) {
            return fail(errno::ENOTCONN);
        }
        let target = match flags & msg::WAITALL {
            0 => self.socket(fd)?.options.receive_low.min(len),
            _ => len,
        };
        let waiting = self.take_bytes(job, phase, len, flags & msg::PEEK != 0);
        if job.copied >= target.max(1) || (len == 0 && waiting) {
            return done(job.copied as i64);
        }
        let state = self.state_of(phase);
        let socket = self.socket(fd)?;
        let ended = state == State::Closed || socket.shut.has(Shut::RECEIVE);
        if job.copied > 0 && (socket.error != 0 || ended) {
            return done(job.copied as i64);
        }
        if socket.done {
            return done(0);
        }
        if let Some(error) = socket.take_error() {
            return fail(error);
        }
        if socket.shut.has(Shut::RECEIVE) {
            return done(0);
        }
        if state == State::Closed {
            return fail(errno::ENOTCONN);
        }
        if socket.nonblocking || job.expired || flags & msg::DONTWAIT != 0 {
            return fail(errno::EAGAIN);
        }
        Ok(Outcome::Wait(socket.options.receive_timeout))
    }

    /// Moves what is there, up to `len` in all; whether anything was there.
    fn take_bytes(&mut self, job: &mut Job, phase: Phase, len: usize, peek: bool) -> bool {
        let Phase::Connection(conn) = phase else { return false };
        let unread = self.engine.info(conn).map_or(0, |info| info.rcv_unread as usize);
        if peek {
            job.copied = unread.min(len);
            return unread > 0;
        }
        let mut left = unread.min(len - job.copied);
        while left > 0 {
            // Only a connection without unread bytes refuses.
            let Ok(bytes) = self.engine.receive(self.now, conn, left) else { break };
            if bytes.is_empty() {
                break;
            }
            job.copied += bytes.len();
            left -= bytes.len();
        }
        unread > 0
    }

    pub(super) fn sys_recvmsg(&mut self, job: &mut Job, fd: Fd, len: usize, flags: i32) -> Attempt {
        self.socket(fd)?;
        if flags & msg::ERRQUEUE != 0 {
            let v6 = self.socket(fd)?.family == abi::AF_INET6;
            let Some(told) = self.socket(fd)?.errors.take() else { return fail(errno::EAGAIN) };
            let (flags, control) = told.message(v6);
            return done_with(0, Output::Message { flags, control });
        }
        let returned = match self.sys_read(job, fd, len, flags, "recvmsg")? {
            Outcome::Done(returned) => returned,
            wait @ Outcome::Wait(_) => return Ok(wait),
        };
        let Ok(read) = returned.result else { return Ok(Outcome::Done(returned)) };
        let socket = self.socket(fd)?;
        let (inq, ended, phase) = (socket.options.inq, socket.done, socket.phase);
        let mut control = Vec::new();
        if inq {
            let unread = self.unread(phase);
            // The end of the stream counts as a byte, so that someone comes for it.
            let value = unread + i64::from(ended);
            control.push(Received::Int {
                level: abi::IPPROTO_TCP,
                kind: sockopt::TCP_INQ.number,
                value,
            });
        }
        done_with(read, Output::Message { flags: 0, control })
    }

    fn unread(&self, phase: Phase) -> i64 {
        self.engine_info(phase).map_or(0, |info| info.rcv_unread as i64)
    }

    /// The engine's figures of a connection.
    pub(super) fn engine_info(&self, phase: Phase) -> Option<TcpInfo> {
        match phase {
            Phase::Connection(conn) => self.engine.info_at(self.now, conn).ok(),
            _ => None,
        }
    }
}
