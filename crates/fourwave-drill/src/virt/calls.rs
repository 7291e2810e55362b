//! Which call is done where.

use super::Virtual;
use super::abi::{self, errno};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, done, done_with, fail, unsupported};
use super::socket::Phase;
use crate::syscall::{Fd, Output, Returned, SysCall};

impl Virtual {
    pub(super) fn attempt(&mut self, job: &mut Job) -> Attempt {
        let call = job.call.clone();
        match call {
            SysCall::Socket { domain, kind, protocol, as_fd } => {
                self.sys_socket(domain, kind, protocol, as_fd)
            }
            SysCall::Bind { fd, addr } => self.sys_bind(fd, addr),
            SysCall::Listen { fd, backlog } => self.sys_listen(fd, backlog),
            SysCall::Accept { fd, flags, as_fd } => self.sys_accept(job, fd, flags, as_fd),
            SysCall::Connect { fd, addr } => self.sys_connect(job, fd, addr),
            SysCall::Read { fd, len, flags, call } => self.sys_read(job, fd, len, flags, call),
            SysCall::Write { fd, parts, flags, to, call } => {
                self.sys_write(job, fd, parts.iter().sum(), flags, to, call)
            }
            SysCall::SendMsg { fd, parts, to, control, flags } => {
                if !control.is_empty() {
                    return unsupported("ancillary messages of sendmsg");
                }
                self.sys_write(job, fd, parts.iter().sum(), flags, to, "sendmsg")
            }
            SysCall::RecvMsg { fd, parts, flags } => {
                self.sys_recvmsg(job, fd, parts.iter().sum(), flags)
            }
            SysCall::BadPointer { fd, call, len, flags } => {
                self.bad_pointer(job, fd, &call, len, flags)
            }
            SysCall::Fcntl { fd, cmd, arg } => self.sys_fcntl(fd, cmd, arg),
            SysCall::Ioctl { fd, request, arg } => self.sys_ioctl(fd, request, arg),
            SysCall::Close { fd } => self.sys_close(job, fd),
            SysCall::Shutdown { fd, how } => self.sys_shutdown(fd, how),
            SysCall::GetOption { fd, level, name, len } => self.get_option(fd, level, name, len),
            SysCall::SetOption { fd, level, name, value, len } => {
                self.set_option(fd, level, name, &value, len)
            }
            SysCall::Poll { fds, timeout } => self.sys_poll(job, &fds, timeout),
            SysCall::EpollCreate { flags: _, as_fd } => {
                let fd = self.place(as_fd, File::Epoll(super::epoll::Epoll::default()))?;
                done(fd.into())
            }
            SysCall::EpollCtl { epoll, op, fd, events, data } => {
                self.sys_epoll_ctl(epoll, op, fd, events, data)
            }
            SysCall::EpollWait { epoll, max, timeout } => {
                self.sys_epoll_wait(job, epoll, max, timeout)
            }
            SysCall::Pipe { fds } => self.sys_pipe(fds),
            SysCall::Open { path, flags, as_fd } => self.sys_open(&path, flags, as_fd),
            SysCall::SendFile { out, input, offset, count } => {
                self.sys_sendfile(job, out, input, offset, count)
            }
            SysCall::Splice { input, out, len, flags: _ } => self.sys_splice(job, input, out, len),
        }
    }

    fn sys_fcntl(&mut self, fd: Fd, cmd: i32, arg: i32) -> Attempt {
        let nonblocking = match self.file(fd)? {
            File::Socket(socket) => &mut socket.nonblocking,
            File::Pipe(pipe) => &mut pipe.nonblocking,
            File::Epoll(_) => return unsupported("fcntl on an epoll descriptor"),
        };
        match cmd {
            abi::F_GETFD => done(0),
            abi::F_SETFD => done(0),
            abi::F_GETFL => {
                let flag = if *nonblocking { abi::O_NONBLOCK } else { 0 };
                done((abi::O_RDWR | flag).into())
            }
            abi::F_SETFL => {
                *nonblocking = arg & abi::O_NONBLOCK != 0;
                done(0)
            }
            _ => unsupported(format!("fcntl command {cmd}")),
        }
    }

    fn sys_ioctl(&mut self, fd: Fd, request: u64, arg: i64) -> Attempt {
        let socket = self.socket(fd)?;
        let phase = socket.phase;
        let info = match phase {
            Phase::Connection(conn) => self.engine.info(conn).ok(),
            _ => None,
        };
        let value = match request {
            abi::FIONBIO => {
                self.socket(fd)?.nonblocking = arg != 0;
                return done(0);
            }
            abi::FIONREAD | abi::SIOCOUTQ | abi::SIOCOUTQNSD
                if matches!(phase, Phase::Listening(_)) =>
            {
                return fail(errno::EINVAL);
            }
            abi::FIONREAD => info.map_or(0, |info| info.rcv_unread as i64),
            abi::SIOCOUTQ => {
                info.map_or(0, |info| info.notsent_bytes as i64 + i64::from(info.unacked))
            }
            abi::SIOCOUTQNSD => info.map_or(0, |info| info.notsent_bytes as i64),
            _ => return unsupported(format!("ioctl request {request:#x}")),
        };
        done_with(0, Output::Int { value, len: 4 })
    }

    /// A buffer that cannot be read or written: EFAULT, once the call would have come to it.
    fn bad_pointer(
        &mut self,
        job: &mut Job,
        fd: Fd,
        call: &str,
        len: usize,
        flags: i32,
    ) -> Attempt {
        let tried = match call {
            "write" | "send" | "sendto"
                if flags & abi::msg::FASTOPEN != 0
                    || matches!(self.socket(fd)?.phase, Phase::Deferred(_)) =>
            {
                return fail(errno::EFAULT);
            }
            "write" | "send" | "sendto" => {
                let ready = self.write_ready(job, fd, flags)?;
                ready.map_or(Ok(Outcome::Wait(None)), |_| fail(errno::EFAULT))
            }
            "read" | "recv" | "recvfrom" => {
                self.sys_read(job, fd, len, flags | abi::msg::PEEK, "read")
            }
            _ => {
                self.file(fd)?;
                return fail(errno::EFAULT);
            }
        };
        match tried? {
            Outcome::Done(Returned { result: Ok(1..), .. }) => fail(errno::EFAULT),
            other => Ok(other),
        }
    }
}
