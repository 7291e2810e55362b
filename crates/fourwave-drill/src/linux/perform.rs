//! One call, made for real.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};

use fourwave_linux::calls::{self, Destination, PointerCall};
use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};

use super::table::{Clock, Outcome, Table, congest};
use super::{message, option};
use crate::syscall::{Fd, Output, Returned, SendTo, SysCall};

/// Whether a call can wait for something; `close` can with SO_LINGER.
pub(super) fn may_block(call: &SysCall) -> bool {
    !matches!(
        call,
        SysCall::Socket { .. }
            | SysCall::Bind { .. }
            | SysCall::Listen { .. }
            | SysCall::Fcntl { .. }
            | SysCall::Ioctl { .. }
            | SysCall::Shutdown { .. }
            | SysCall::GetOption { .. }
            | SysCall::SetOption { .. }
            | SysCall::EpollCreate { .. }
            | SysCall::EpollCtl { .. }
            | SysCall::Pipe { .. }
            | SysCall::Open { .. }
            | SysCall::Poll { timeout: 0, .. }
            | SysCall::EpollWait { timeout: 0, .. }
    )
}

/// Makes the call and waits for as long as it takes.
pub(super) fn perform(table: &Table, call: &SysCall, clock: Clock) -> Returned {
    match attempt(table, call, clock) {
        Ok((value, output)) => Returned { result: Ok(value), output },
        Err(error) => {
            // What Rust refuses before the kernel sees it has no number; the kernel would say this.
            Returned::error(error.raw_os_error().unwrap_or(libc::EINVAL))
        }
    }
}

fn attempt(table: &Table, call: &SysCall, clock: Clock) -> Outcome {
    match call {
        SysCall::Read { fd, len, flags, call } => read(table, *fd, *len, *flags, call),
        SysCall::Write { fd, parts, flags, to, call } => {
            write(table, *fd, parts, *flags, *to, call)
        }
        SysCall::SendMsg { fd, parts, to, control, flags } => {
            let live = table.live(*fd)?;
            message::send(&live, parts, to.map(destination), control, *flags)
        }
        SysCall::RecvMsg { fd, parts, flags } => {
            message::receive(&*table.live(*fd)?, parts, *flags, clock)
        }
        SysCall::BadPointer { fd, call, len, flags } => {
            let call = match call.as_str() {
                "read" | "readv" => PointerCall::Read,
                "write" | "writev" => PointerCall::Write,
                name if name.starts_with("recv") => PointerCall::Receive,
                _ => PointerCall::Send,
            };
            value(calls::bad_pointer(table.live(*fd)?.as_fd(), call, *len, *flags))
        }
        SysCall::GetOption { fd, level, name, len } => {
            option::get(&*table.live(*fd)?, *level, *name, *len)
        }
        SysCall::SetOption { fd, level, name, value, len } => {
            option::set(&*table.live(*fd)?, *level, *name, value, *len)
        }
        SysCall::Poll { fds, timeout } => poll(table, fds, *timeout),
        SysCall::EpollCreate { .. } | SysCall::EpollCtl { .. } | SysCall::EpollWait { .. } => {
            epoll(table, call)
        }
        SysCall::Pipe { .. }
        | SysCall::Open { .. }
        | SysCall::SendFile { .. }
        | SysCall::Splice { .. } => file(table, call),
        SysCall::Fcntl { fd, cmd, arg } => fcntl(&*table.live(*fd)?, *cmd, *arg),
        SysCall::Ioctl { fd, request, arg } => ioctl(&*table.live(*fd)?, *request, *arg),
        _ => socket(table, call),
    }
}

/// The calls that open, name and end sockets.
fn socket(table: &Table, call: &SysCall) -> Outcome {
    match *call {
        SysCall::Socket { domain, kind, protocol, as_fd } => {
            let family = u16::try_from(domain).map_err(|_| Errno::AFNOSUPPORT)?;
            let number = u32::try_from(protocol).map_err(|_| Errno::INVAL)?;
            let new = rustix::net::socket(
                AddressFamily::from_raw(family),
                SocketType::from_raw(kind.cast_unsigned()),
                NonZeroU32::new(number).map(Protocol::from_raw),
            )?;
            let ordinary = domain == libc::AF_INET || domain == libc::AF_INET6;
            let stream = kind & 0xf == libc::SOCK_STREAM;
            let tcp = ordinary && stream && [0, libc::IPPROTO_TCP].contains(&protocol);
            if let Some(name) = table.congestion().filter(|_| tcp) {
                congest(&new, &name)?;
            }
            Ok((table.name(new, as_fd), Output::None))
        }
        SysCall::Bind { fd, addr } => nothing(rustix::net::bind(&*table.live(fd)?, &addr)),
        SysCall::Listen { fd, backlog } => nothing(rustix::net::listen(&*table.live(fd)?, backlog)),
        SysCall::Accept { fd, flags, as_fd } => {
            let flags = SocketFlags::from_bits_retain(flags.cast_unsigned());
            let (new, peer) = rustix::net::acceptfrom_with(&*table.live(fd)?, flags)?;
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            Ok((table.name(new, as_fd), peer.map_or(Output::None, Output::Peer)))
        }
        SysCall::Connect { fd, addr: Some(addr) } => {
            nothing(rustix::net::connect(&*table.live(fd)?, &addr))
        }
        SysCall::Connect { fd, addr: None } => {
            nothing(rustix::net::connect_unspec(&*table.live(fd)?))
        }
        SysCall::Close { fd } => {
            table.close(fd)?;
            Ok((0, Output::None))
        }
        SysCall::Shutdown { fd, how } => {
            calls::shutdown(table.live(fd)?.as_fd(), how)?;
            Ok((0, Output::None))
        }
        _ => Err(Errno::NOSYS.into()),
    }
}

fn read(table: &Table, fd: Fd, len: usize, flags: i32, call: &str) -> Outcome {
    let live = table.live(fd)?;
    let mut buffer = vec![0; len];
    let count = if call.starts_with("read") {
        rustix::io::read(&*live, &mut buffer[..])?
    } else {
        let flags = RecvFlags::from_bits_retain(flags.cast_unsigned());
        // The second is the packet's whole length with MSG_TRUNC, which is what the call returns.
        rustix::net::recv(&*live, &mut buffer[..], flags)?.1
    };
    Ok((count as i64, Output::None))
}

fn write(
    table: &Table,
    fd: Fd,
    parts: &[usize],
    flags: i32,
    to: Option<SendTo>,
    call: &str,
) -> Outcome {
    let live = table.live(fd)?;
    if call == "writev" {
        let slices: Vec<_> = parts.iter().map(|len| IoSlice::new(message::zeros(*len))).collect();
        return value(Ok(rustix::io::writev(&*live, &slices)?));
    }
    let data = message::zeros(parts.iter().sum());
    value(match call {
        "write" => Ok(rustix::io::write(&*live, data)?),
        _ => calls::send(live.as_fd(), data, to.map(destination), flags),
    })
}

const fn destination(to: SendTo) -> Destination {
    match to {
        SendTo::Addr(addr) => Destination::Addr(addr),
        SendTo::Unspecified => Destination::Unspecified,
    }
}

fn fcntl(fd: &OwnedFd, cmd: i32, arg: i32) -> Outcome {
    let bits = arg.cast_unsigned();
    match cmd {
        libc::F_GETFL => Ok((i64::from(rustix::fs::fcntl_getfl(fd)?.bits()), Output::None)),
        libc::F_SETFL => nothing(rustix::fs::fcntl_setfl(fd, OFlags::from_bits_retain(bits))),
        libc::F_GETFD => Ok((i64::from(rustix::io::fcntl_getfd(fd)?.bits()), Output::None)),
        libc::F_SETFD => nothing(rustix::io::fcntl_setfd(fd, FdFlags::from_bits_retain(bits))),
        _ => Err(Errno::INVAL.into()),
    }
}

fn ioctl(fd: &OwnedFd, request: u64, arg: i64) -> Outcome {
    if request == libc::FIONBIO {
        return nothing(rustix::io::ioctl_fionbio(fd, arg != 0));
    }
    match calls::number(fd.as_fd(), request) {
        Ok(number) => Ok((0, Output::Int { value: number.into(), len: 4 })),
        Err(error)
            if error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none() =>
        {
            Err(Errno::NOTTY.into())
        }
        Err(error) => Err(error),
    }
}

fn poll(table: &Table, fds: &[(Fd, i16)], timeout: i32) -> Outcome {
    let live: Vec<_> = fds.iter().map(|&(fd, _)| table.get(fd)).collect();
    let events = |event: i16| PollFlags::from_bits_retain(event.cast_unsigned());
    let mut open: Vec<_> = live
        .iter()
        .zip(fds)
        .filter_map(|(live, &(_, event))| Some(PollFd::new(live.as_deref()?, events(event))))
        .collect();
    // A descriptor that is not open is ready at once, and says POLLNVAL; a negative one is ignored.
    let invalid = |(fd, _): &(Fd, i16), live: &Option<_>| *fd >= 0 && live.is_none();
    let any_invalid = fds.iter().zip(&live).any(|(fd, live)| invalid(fd, live));
    let timeout = if any_invalid { 0 } else { timeout };
    rustix::event::poll(&mut open, milliseconds(timeout).as_ref())?;
    let mut answers = open.iter().map(|fd| fd.revents().bits().cast_signed());
    let revents: Vec<i16> = fds
        .iter()
        .zip(&live)
        .map(|(fd, live)| match live {
            Some(_) => answers.next().unwrap_or(0),
            None if invalid(fd, live) => libc::POLLNVAL,
            None => 0,
        })
        .collect();
    let ready = revents.iter().filter(|revents| **revents != 0).count();
    Ok((ready as i64, Output::Poll(revents)))
}

/// None is for ever, as for the kernel.
fn milliseconds(timeout: i32) -> Option<Timespec> {
    (timeout >= 0).then(|| Timespec {
        tv_sec: i64::from(timeout / 1000),
        tv_nsec: i64::from(timeout % 1000 * 1_000_000),
    })
}

fn epoll(table: &Table, call: &SysCall) -> Outcome {
    match *call {
        SysCall::EpollCreate { flags, as_fd } => {
            let flags = epoll::CreateFlags::from_bits_retain(flags.cast_unsigned());
            Ok((table.name(epoll::create(flags)?, as_fd), Output::None))
        }
        SysCall::EpollCtl { epoll, op, fd, events, data } => {
            let (epoll, fd) = (table.live(epoll)?, table.live(fd)?);
            let flags = epoll::EventFlags::from_bits_retain(events);
            let data = epoll::EventData::new_u64(data);
            nothing(match op {
                libc::EPOLL_CTL_ADD => epoll::add(&*epoll, &*fd, data, flags),
                libc::EPOLL_CTL_MOD => epoll::modify(&*epoll, &*fd, data, flags),
                libc::EPOLL_CTL_DEL => epoll::delete(&*epoll, &*fd),
                _ => Err(Errno::INVAL),
            })
        }
        SysCall::EpollWait { epoll, max, timeout } => {
            let epoll = table.live(epoll)?;
            let none = epoll::Event {
                flags: epoll::EventFlags::empty(),
                data: epoll::EventData::new_u64(0),
            };
            let mut events = vec![none; max];
            let count = epoll::wait(&*epoll, &mut events[..], milliseconds(timeout).as_ref())?;
            let found = events[..count]
                .iter()
                .map(|&epoll::Event { flags, data, .. }| (flags.bits(), data.u64()));
            Ok((count as i64, Output::Epoll(found.collect())))
        }
        _ => Err(Errno::NOSYS.into()),
    }
}

fn file(table: &Table, call: &SysCall) -> Outcome {
    match call {
        SysCall::Pipe { fds } => {
            let (read, write) = rustix::pipe::pipe()?;
            table.name(read, fds.map(|fds| fds.0));
            table.name(write, fds.map(|fds| fds.1));
            Ok((0, Output::None))
        }
        SysCall::Open { path, flags, as_fd } => {
            let flags = OFlags::from_bits_retain(flags.cast_unsigned());
            let new = rustix::fs::open(path.as_str(), flags, Mode::from_bits_retain(0o644))?;
            Ok((table.name(new, *as_fd), Output::None))
        }
        SysCall::SendFile { out, input, offset, count } => {
            let (out, input) = (table.live(*out)?, table.live(*input)?);
            let mut from = offset.map(i64::cast_unsigned);
            value(Ok(rustix::fs::sendfile(&*out, &*input, from.as_mut(), *count)?))
        }
        SysCall::Splice { input, out, len, flags } => {
            let (input, out) = (table.live(*input)?, table.live(*out)?);
            let flags = rustix::pipe::SpliceFlags::from_bits_retain(*flags);
            value(Ok(rustix::pipe::splice(&*input, None, &*out, None, *len, flags)?))
        }
        _ => Err(Errno::NOSYS.into()),
    }
}

fn nothing(result: rustix::io::Result<()>) -> Outcome {
    result?;
    Ok((0, Output::None))
}

fn value(result: io::Result<usize>) -> Outcome {
    Ok((result? as i64, Output::None))
}
