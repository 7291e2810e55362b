//! System calls with their arguments resolved: what the runner asks of a target, and the answer.
//!
//! Descriptors are the script's. Constants (families, levels, option names, flags, events, errno)
//! are Linux's numbers for x86-64.

use std::net::SocketAddr;

/// A descriptor as the script names it.
pub type Fd = i32;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields bear the names of the calls' own parameters")]
pub enum SysCall {
    /// `socket(domain, type, protocol)`; `as_fd` is the name that the script gives to the result,
    /// none where it expects an error.
    Socket { domain: i32, kind: i32, protocol: i32, as_fd: Option<Fd> },
    /// `bind`.
    Bind { fd: Fd, addr: SocketAddr },
    /// `listen`.
    Listen { fd: Fd, backlog: i32 },
    /// `accept`, and `accept4` with its flags.
    Accept { fd: Fd, flags: i32, as_fd: Option<Fd> },
    /// `connect`; none is AF_UNSPEC, which dissolves the connection.
    Connect { fd: Fd, addr: Option<SocketAddr> },
    /// `read`, `recv`, `recvfrom`: up to `len` bytes. `call` is the name, for messages.
    Read { fd: Fd, len: usize, flags: i32, call: &'static str },
    /// `write`, `send`, `sendto`, `writev` (the lengths of its parts).
    Write { fd: Fd, parts: Vec<usize>, flags: i32, to: Option<SendTo>, call: &'static str },
    /// `sendmsg`.
    SendMsg { fd: Fd, parts: Vec<usize>, to: Option<SendTo>, control: Vec<Control>, flags: i32 },
    /// `recvmsg` into parts of these lengths.
    RecvMsg { fd: Fd, parts: Vec<usize>, flags: i32 },
    /// A call with a pointer that leads nowhere: EFAULT.
    BadPointer { fd: Fd, call: String, len: usize, flags: i32 },
    /// `fcntl(fd, cmd, arg)`.
    Fcntl { fd: Fd, cmd: i32, arg: i32 },
    /// `ioctl(fd, request, value)` for those that take or give a number.
    Ioctl { fd: Fd, request: u64, arg: i64 },
    /// `close`.
    Close { fd: Fd },
    /// `shutdown`.
    Shutdown { fd: Fd, how: i32 },
    /// `getsockopt` into a buffer of `len` bytes.
    GetOption { fd: Fd, level: i32, name: i32, len: usize },
    /// `setsockopt`.
    SetOption { fd: Fd, level: i32, name: i32, value: OptionValue, len: i64 },
    /// `poll`: (fd, events) each, timeout in milliseconds.
    Poll { fds: Vec<(Fd, i16)>, timeout: i32 },
    /// `epoll_create(size)` and `epoll_create1(flags)`.
    EpollCreate { flags: i32, as_fd: Option<Fd> },
    /// `epoll_ctl`.
    EpollCtl { epoll: Fd, op: i32, fd: Fd, events: u32, data: u64 },
    /// `epoll_wait`.
    EpollWait { epoll: Fd, max: usize, timeout: i32 },
    /// `pipe`: the names of both ends.
    Pipe { fds: Option<(Fd, Fd)> },
    /// `open` of a scratch file.
    Open { path: String, flags: i32, as_fd: Option<Fd> },
    /// `sendfile`.
    SendFile { out: Fd, input: Fd, offset: Option<i64>, count: usize },
    /// `splice`.
    Splice { input: Fd, out: Fd, len: usize, flags: u32 },
}

/// Where `sendto` and `sendmsg` send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTo {
    /// An address.
    Addr(SocketAddr),
    /// A name of family AF_UNSPEC.
    Unspecified,
}

/// A value for `setsockopt`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields bear the names of the calls' own parameters")]
pub enum OptionValue {
    /// `[5]`.
    Int(i64),
    /// `{onoff=1, linger=5}`, seconds.
    Linger { on: i32, seconds: i32 },
    /// `"cubic"`.
    Bytes(Vec<u8>),
    /// `NULL`.
    Null,
}

/// An ancillary message to send, as level, type and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// `SOL_SOCKET` …
    pub level: i32,
    /// `SO_TIMESTAMPING` …
    pub kind: i32,
    /// The value.
    pub value: i64,
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The result; the error's number where there was one.
    pub result: Result<i64, i32>,
    /// What it wrote to its arguments.
    pub output: Output,
}

impl Returned {
    /// Success with nothing written.
    pub fn ok(value: i64) -> Self {
        Self { result: Ok(value), output: Output::None }
    }

    /// An error of this number.
    pub fn error(errno: i32) -> Self {
        Self { result: Err(errno), output: Output::None }
    }
}

/// What a call wrote to its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields bear the names of the calls' own parameters")]
pub enum Output {
    /// Nothing.
    None,
    /// A number (`getsockopt`, `ioctl`), with the length written.
    Int { value: i64, len: usize },
    /// `SO_LINGER`.
    Linger { on: i32, seconds: i32 },
    /// Bytes (`TCP_CONGESTION`, `TCP_FASTOPEN_KEY`).
    Bytes(Vec<u8>),
    /// `poll`: `revents` in the order of the arguments.
    Poll(Vec<i16>),
    /// `epoll_wait`: (events, data) each.
    Epoll(Vec<(u32, u64)>),
    /// `recvmsg`: `msg_flags` and the ancillary messages.
    Message { flags: i32, control: Vec<Received> },
    /// `accept`: who called.
    Peer(SocketAddr),
}

/// An ancillary message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields bear the names of the calls' own parameters")]
pub enum Received {
    /// Any other, as a number (`TCP_CM_INQ`).
    Int { level: i32, kind: i32, value: i64 },
    /// `SCM_TIMESTAMPING`: since the script began.
    Timestamping { level: i32, kind: i32, seconds: i64, nanos: i64 },
    /// `IP_RECVERR`, `IPV6_RECVERR`: `struct sock_extended_err`.
    Error {
        level: i32,
        kind: i32,
        errno: u32,
        origin: u8,
        kind_of: u8,
        code: u8,
        info: u32,
        data: u32,
    },
}
