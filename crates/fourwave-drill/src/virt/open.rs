//! How sockets come to be, get addresses and connections: socket, bind, listen, accept, connect.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use fourwave_core::error::ConnectError;
use fourwave_core::state::State;
use fourwave_core::{Config, ConnectOptions, ListenOptions};

use super::Virtual;
use super::abi::{self, errno};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, Stop, done, done_with, fail, unsupported};
use super::socket::{Opening, Phase, Shut, Socket, errno_of};
use crate::syscall::{Fd, Output};

/// A mapped IPv4 address as what it means.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// An address as a socket of this family shows it.
fn shown(family: i32, addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if family == abi::AF_INET6 => {
            SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port())
        }
        _ => addr,
    }
}

impl Virtual {
    pub(super) fn sys_socket(
        &mut self,
        domain: i32,
        kind: i32,
        protocol: i32,
        as_fd: Option<Fd>,
    ) -> Attempt {
        if domain != abi::AF_INET && domain != abi::AF_INET6 {
            return unsupported(format!("sockets of address family {domain}"));
        }
        if kind & abi::SOCK_KIND != abi::SOCK_STREAM {
            return unsupported(format!("sockets of type {}", kind & abi::SOCK_KIND));
        }
        match protocol {
            0 | abi::IPPROTO_TCP => {}
            17 => return fail(errno::EPROTONOSUPPORT),
            other => return unsupported(format!("sockets of protocol {other}")),
        }
        let mut socket = Socket::new(domain);
        socket.nonblocking = kind & abi::SOCK_NONBLOCK != 0;
        let fd = self.place(as_fd, File::Socket(Box::new(socket)))?;
        done(fd.into())
    }

    pub(super) fn sys_bind(&mut self, fd: Fd, addr: SocketAddr) -> Attempt {
        let socket = self.socket(fd)?;
        if socket.family == abi::AF_INET && addr.is_ipv6() {
            return fail(errno::EAFNOSUPPORT);
        }
        if socket.family == abi::AF_INET6 && addr.is_ipv4() {
            return fail(errno::EINVAL);
        }
        let addr = canonical(addr);
        let free = socket.options.freebind;
        let taken = socket.phase != Phase::Closed || socket.local.is_some();
        if !free && !self.is_local(addr.ip()) {
            return fail(errno::EADDRNOTAVAIL);
        }
        if taken {
            return fail(errno::EINVAL);
        }
        let addr = self.with_port(fd, addr)?;
        if self.in_use(fd, addr, false) {
            return fail(errno::EADDRINUSE);
        }
        let socket = self.socket(fd)?;
        socket.local = Some(addr);
        socket.bound = true;
        done(0)
    }

    /// Port 0 is any free one.
    fn with_port(&mut self, fd: Fd, addr: SocketAddr) -> Result<SocketAddr, Stop> {
        if addr.port() != 0 {
            return Ok(addr);
        }
        let config = &self.sysctls.config;
        let range = config.ip_local_port_first as u16..=config.ip_local_port_last as u16;
        let mut candidates = range.map(|port| SocketAddr::new(addr.ip(), port));
        let free = candidates.find(|&addr| !self.in_use(fd, addr, true));
        free.ok_or(Stop::Errno(errno::EADDRINUSE))
    }

    /// Whether another socket, or what is left of one, keeps `addr` from being bound. `alone`:
    /// no sharing by `SO_REUSEADDR` either.
    fn in_use(&self, fd: Fd, addr: SocketAddr, alone: bool) -> bool {
        let overlaps = |other: SocketAddr| {
            let (a, b) = (addr.ip(), other.ip());
            addr.port() == other.port() && (a == b || a.is_unspecified() || b.is_unspecified())
        };
        let Some(File::Socket(me)) = self.files.get(&fd) else { return false };
        let reuse = me.options.reuse_addr && !alone;
        let sockets = self.files.iter().any(|(&other_fd, file)| {
            let File::Socket(other) = file else { return false };
            let listens = matches!(other.phase, Phase::Listening(_));
            let shared = reuse && other.options.reuse_addr && !listens
                || me.options.reuse_port && other.options.reuse_port && !alone;
            other_fd != fd && other.local.is_some_and(overlaps) && !shared
        });
        sockets
            || self.gone.addresses().any(|(local, reused)| overlaps(local) && !(reuse && reused))
    }

    pub(super) fn sys_listen(&mut self, fd: Fd, backlog: i32) -> Attempt {
        let socket = self.socket(fd)?;
        match socket.phase {
            Phase::Listening(_) => return done(0),
            Phase::Closed if socket.opening == Opening::Unconnected => {}
            _ => return fail(errno::EINVAL),
        }
        let any = if socket.family == abi::AF_INET { [0; 4].into() } else { [0u16; 8].into() };
        let wanted = socket.local.unwrap_or(SocketAddr::new(any, 0));
        let addr = self.with_port(fd, wanted)?;
        if self.listened_at(fd, addr) {
            return fail(errno::EADDRINUSE);
        }
        let address = (!addr.ip().is_unspecified()).then_some(addr.ip());
        // Linux refuses when more than `backlog` wait; a negative one is a very large one.
        let backlog = usize::try_from(backlog).map_or(usize::MAX, |n| n + 1);
        let mut options = ListenOptions::port(addr.port()).with_backlog(backlog);
        options.address = address;
        (options.socket, options.fast_open) = self.handed_down(fd)?;
        match self.engine.listen(options) {
            Ok(id) => {
                let socket = self.socket(fd)?;
                socket.phase = Phase::Listening(id);
                socket.local = Some(addr);
                socket.shut = Shut::NONE;
                done(0)
            }
            Err(_) => fail(errno::EADDRINUSE),
        }
    }

    /// Whether someone else listens at an address already.
    fn listened_at(&self, fd: Fd, addr: SocketAddr) -> bool {
        self.files.iter().any(|(&other, file)| match file {
            File::Socket(socket) => {
                other != fd
                    && matches!(socket.phase, Phase::Listening(_))
                    && socket.local.is_some_and(|local| {
                        local.port() == addr.port()
                            && (local.ip() == addr.ip()
                                || local.ip().is_unspecified()
                                || addr.ip().is_unspecified())
                    })
            }
            _ => false,
        })
    }

    pub(super) fn sys_accept(
        &mut self,
        job: &Job,
        fd: Fd,
        flags: i32,
        as_fd: Option<Fd>,
    ) -> Attempt {
        if flags & !(abi::SOCK_NONBLOCK | abi::SOCK_CLOEXEC) != 0 {
            return fail(errno::EINVAL);
        }
        let socket = self.socket(fd)?;
        let Phase::Listening(listener) = socket.phase else { return fail(errno::EINVAL) };
        let waits = !socket.nonblocking && !job.expired;
        let limit = socket.options.receive_timeout;
        let Some(accepted) = self.engine.accept(self.now, listener) else {
            return if waits { Ok(Outcome::Wait(limit)) } else { fail(errno::EAGAIN) };
        };
        let parent = self.socket(fd)?;
        let mut child = Socket::new(parent.family);
        child.options = parent.options.clone();
        child.nonblocking = flags & abi::SOCK_NONBLOCK != 0;
        child.local = Some(accepted.local);
        child.phase = Phase::Connection(accepted.conn);
        child.opening = Opening::Connected;
        child.last_state = State::Established;
        let peer = shown(child.family, accepted.remote);
        if let Some(reason) = self.gone.take_end(accepted.conn) {
            child.error = errno_of(reason, State::Established, self.icmp_errno, false);
            child.shut = Shut::BOTH;
        }
        let child_fd = self.place(as_fd, File::Socket(Box::new(child)))?;
        self.owners.insert(accepted.conn, child_fd);
        done_with(child_fd.into(), Output::Peer(peer))
    }

    pub(super) fn sys_connect(
        &mut self,
        job: &mut Job,
        fd: Fd,
        addr: Option<SocketAddr>,
    ) -> Attempt {
        if !job.waited {
            let Some(addr) = addr else {
                self.dissolve(fd)?;
                return done(0);
            };
            job.code = self.start_connect(fd, addr)?;
            if job.code == 0 {
                return done(0);
            }
        }
        self.finish_connect(job, fd)
    }

    /// What `connect` says when it does not wait.
    fn start_connect(&mut self, fd: Fd, addr: SocketAddr) -> Result<i32, Stop> {
        let socket = self.socket(fd)?;
        if socket.family == abi::AF_INET && addr.is_ipv6() {
            return fail(errno::EAFNOSUPPORT);
        }
        if socket.family == abi::AF_INET6 && addr.is_ipv4() {
            return fail(errno::EINVAL);
        }
        match socket.opening {
            Opening::Connecting if matches!(socket.phase, Phase::Deferred(_)) => {
                return fail(errno::EISCONN);
            }
            Opening::Connecting => return Ok(errno::EALREADY),
            Opening::Connected => return fail(errno::EISCONN),
            Opening::Disconnecting => return fail(errno::EINVAL),
            Opening::Unconnected if socket.phase != Phase::Closed => return fail(errno::EISCONN),
            Opening::Unconnected => {}
        }
        let addr = canonical(addr);
        let options = &self.socket(fd)?.options;
        let (fast, no_cookie) = (options.fastopen_connect, options.fastopen_no_cookie);
        if !fast {
            self.open_connection(fd, addr, None)?;
        } else if self.engine.fast_open_ready(self.now, addr.ip(), no_cookie) {
            let socket = self.socket(fd)?;
            socket.phase = Phase::Deferred(addr);
            socket.opening = Opening::Connecting;
            return Ok(0);
        } else {
            self.open_connection(fd, addr, Some(&mut Bytes::new()))?;
        }
        Ok(errno::EINPROGRESS)
    }

    /// Sends a SYN, with what may ride on it off the front of `text` where Fast Open is asked for;
    /// returns how much that is.
    pub(super) fn open_connection(
        &mut self,
        fd: Fd,
        remote: SocketAddr,
        text: Option<&mut Bytes>,
    ) -> Result<usize, Stop> {
        let mut nothing = Bytes::new();
        let ours: IpAddr = match remote.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => self.setup.local_v4.into(),
            IpAddr::V6(_) => self.setup.local_v6.into(),
        };
        let bound = self.socket(fd)?.local;
        let local = match bound {
            Some(addr) if addr.ip().is_unspecified() => SocketAddr::new(ours, addr.port()),
            Some(addr) => addr,
            None => SocketAddr::new(ours, 0),
        };
        let mut how = ConnectOptions::default();
        how.socket = self.socket_options(fd)?;
        how.no_cookie = self.socket(fd)?.options.fastopen_no_cookie;
        how.fast_open = text.is_some();
        how.local_ports = self.socket(fd)?.options.ports.map(|(low, high)| {
            let Config { ip_local_port_first, ip_local_port_last, .. } = self.sysctls.config;
            let or = |port: u16, usual: u64| if port == 0 { usual as u16 } else { port };
            or(low, ip_local_port_first)..=or(high, ip_local_port_last)
        });
        let text = text.unwrap_or(&mut nothing);
        let opened = self.engine.connect_with(self.now, local, remote, how, text);
        let (conn, taken) = opened.map_err(|error| {
            Stop::Errno(match error {
                ConnectError::AddressInUse { .. } | ConnectError::PortsExhausted { .. } => {
                    errno::EADDRNOTAVAIL
                }
                _ => errno::ENETUNREACH,
            })
        })?;
        self.owners.insert(conn, fd);
        if let Ok(info) = self.engine.info(conn) {
            self.socket(fd)?.local = Some(info.local);
        }
        self.limit_attempt(fd, conn)?;
        let socket = self.socket(fd)?;
        socket.phase = Phase::Connection(conn);
        socket.opening = Opening::Connecting;
        socket.last_state = State::SynSent;
        socket.error = 0;
        socket.written += taken as u64;
        Ok(taken)
    }

    fn finish_connect(&mut self, job: &Job, fd: Fd) -> Attempt {
        let socket = self.socket(fd)?;
        let waits = !socket.nonblocking && !job.expired;
        let (phase, limit) = (socket.phase, socket.options.send_timeout);
        match self.state_of(phase) {
            State::SynSent | State::SynReceived if waits => Ok(Outcome::Wait(limit)),
            State::SynSent | State::SynReceived => fail(job.code),
            State::Closed => {
                let error = self.socket(fd)?.take_error().unwrap_or(errno::ECONNABORTED);
                self.dissolve(fd)?;
                fail(error)
            }
            _ => {
                self.socket(fd)?.opening = Opening::Connected;
                done(0)
            }
        }
    }
}
