//! A script's call with its arguments resolved.

use fourwave_lens::suggest;

use crate::ast::{Call, ExprKind, Field};
use crate::run::resolve::{self, Args};
use crate::run::{Error, Options, messages};
use crate::syscall::{Fd, OptionValue, SendTo, SysCall};

/// Every call that is known.
const NAMES: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "close",
    "connect",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "getsockopt",
    "ioctl",
    "listen",
    "open",
    "pipe",
    "poll",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "send",
    "sendfile",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "splice",
    "write",
    "writev",
];

/// What the target is to do.
///
/// # Errors
/// An unknown call, name or structure (the script is skipped); arguments that make no sense.
pub(crate) fn resolve(call: &Call, options: &Options) -> Result<SysCall, Error> {
    let args = Args { call, options };
    match call.name.as_str() {
        "socket" | "bind" | "listen" | "accept" | "accept4" | "connect" | "close" | "shutdown" => {
            sockets(args)
        }
        "read" | "readv" | "recv" | "recvfrom" => reading(args),
        "write" | "writev" | "send" | "sendto" => writing(args),
        "sendmsg" | "recvmsg" => messages::resolve(args),
        "fcntl" | "ioctl" | "getsockopt" | "setsockopt" => settings(args),
        "poll" | "epoll_create" | "epoll_create1" | "epoll_ctl" | "epoll_wait" => waiting(args),
        "pipe" | "open" | "sendfile" | "splice" => files(args),
        unknown => {
            let hint = suggest::nearest(unknown, NAMES.iter().copied());
            let hint = hint.map_or(String::new(), |near| format!(" (near {near})"));
            Err(Error::Skip(format!("unknown call {unknown}{hint}")))
        }
    }
}

/// The descriptor that the script gives to what the call makes.
fn as_fd(args: Args<'_>) -> Result<Option<Fd>, Error> {
    let Some(result) = &args.call.result else { return Ok(None) };
    if result.kind == ExprKind::Ellipsis {
        return Ok(None);
    }
    let value = resolve::int(result, args.options)?;
    Ok(Fd::try_from(value).ok().filter(|fd| *fd >= 0))
}

fn sockets(args: Args<'_>) -> Result<SysCall, Error> {
    let options = args.options;
    Ok(match args.call.name.as_str() {
        "socket" => {
            args.count(3, 3)?;
            let domain = if args.is_ellipsis(0) { options.domain() } else { args.i32(0)? };
            let (kind, protocol) = (args.i32(1)?, args.i32(2)?);
            SysCall::Socket { domain, kind, protocol, as_fd: as_fd(args)? }
        }
        "bind" => {
            args.count(3, 3)?;
            let addr = args.address(1, options.bind_addr())?;
            let addr = addr.ok_or_else(|| Error::Skip("bind to AF_UNSPEC".to_owned()))?;
            SysCall::Bind { fd: args.i32(0)?, addr }
        }
        "listen" => {
            args.count(2, 2)?;
            SysCall::Listen { fd: args.i32(0)?, backlog: args.i32(1)? }
        }
        "connect" => {
            args.count(3, 3)?;
            let addr = args.address(1, options.connect_addr())?;
            SysCall::Connect { fd: args.i32(0)?, addr }
        }
        "close" => {
            args.count(1, 1)?;
            SysCall::Close { fd: args.i32(0)? }
        }
        "shutdown" => {
            args.count(2, 2)?;
            SysCall::Shutdown { fd: args.i32(0)?, how: args.i32(1)? }
        }
        "accept4" => {
            args.count(4, 4)?;
            SysCall::Accept { fd: args.i32(0)?, flags: args.i32(3)?, as_fd: as_fd(args)? }
        }
        _ => {
            args.count(3, 3)?;
            SysCall::Accept { fd: args.i32(0)?, flags: 0, as_fd: as_fd(args)? }
        }
    })
}

fn reading(args: Args<'_>) -> Result<SysCall, Error> {
    let (call, least, most) = match args.call.name.as_str() {
        "read" => ("read", 3, 3),
        "readv" => ("readv", 3, 3),
        "recv" => ("recv", 4, 4),
        _ => ("recvfrom", 4, 6),
    };
    args.count(least, most)?;
    let fd = args.i32(0)?;
    if call == "readv" {
        let len = messages::parts(args, args.at(1)?)?.iter().sum();
        return Ok(SysCall::Read { fd, len, flags: 0, call });
    }
    let len = args.size(2)?;
    let flags = if most > 3 { args.i32(3)? } else { 0 };
    if args.is_null(1) && len > 0 {
        return Ok(SysCall::BadPointer { fd, call: call.to_owned(), len, flags });
    }
    Ok(SysCall::Read { fd, len, flags, call })
}

fn writing(args: Args<'_>) -> Result<SysCall, Error> {
    let (call, least, most) = match args.call.name.as_str() {
        "write" => ("write", 3, 3),
        "writev" => ("writev", 3, 3),
        "send" => ("send", 4, 4),
        _ => ("sendto", 6, 6),
    };
    args.count(least, most)?;
    let fd = args.i32(0)?;
    if call == "writev" {
        let parts = messages::parts(args, args.at(1)?)?;
        return Ok(SysCall::Write { fd, parts, flags: 0, to: None, call });
    }
    let len = args.size(2)?;
    let flags = if most > 3 { args.i32(3)? } else { 0 };
    if args.is_null(1) && len > 0 {
        return Ok(SysCall::BadPointer { fd, call: call.to_owned(), len, flags });
    }
    let to = match call {
        "sendto" if args.is_null(4) => None,
        "sendto" => {
            let addr = args.address(4, args.options.connect_addr())?;
            Some(addr.map_or(SendTo::Unspecified, SendTo::Addr))
        }
        _ => None,
    };
    Ok(SysCall::Write { fd, parts: vec![len], flags, to, call })
}

fn settings(args: Args<'_>) -> Result<SysCall, Error> {
    let fd = args.i32(0)?;
    Ok(match args.call.name.as_str() {
        "fcntl" => {
            args.count(2, 3)?;
            let arg = if args.call.args.len() > 2 { args.i32(2)? } else { 0 };
            SysCall::Fcntl { fd, cmd: args.i32(1)?, arg }
        }
        "ioctl" => {
            args.count(2, 3)?;
            let request = args.int(1)?.cast_unsigned();
            let arg = match args.call.args.get(2) {
                Some(expr) if expr.kind != ExprKind::Ellipsis => args.boxed(expr)?,
                _ => 0,
            };
            SysCall::Ioctl { fd, request, arg }
        }
        "getsockopt" => {
            args.count(5, 5)?;
            let (level, name) = (args.i32(1)?, args.i32(2)?);
            let len = usize::try_from(args.boxed(args.at(4)?)?)
                .ok()
                .filter(|len| *len <= 1 << 16)
                .ok_or_else(|| args.wrong("the length is 0 to 65536"))?;
            SysCall::GetOption { fd, level, name, len }
        }
        _ => {
            args.count(5, 5)?;
            let (level, name) = (args.i32(1)?, args.i32(2)?);
            SysCall::SetOption { fd, level, name, value: option_value(args)?, len: args.int(4)? }
        }
    })
}

fn option_value(args: Args<'_>) -> Result<OptionValue, Error> {
    let expr = args.at(3)?;
    Ok(match &expr.kind {
        ExprKind::Name(name) if name == "NULL" => OptionValue::Null,
        ExprKind::Str(bytes) => OptionValue::Bytes(bytes.clone()),
        ExprKind::Struct(fields) => {
            let (on, seconds) = linger(fields, args)?;
            OptionValue::Linger { on, seconds }
        }
        ExprKind::List(_) => OptionValue::Int(args.boxed(expr)?),
        _ => OptionValue::Int(resolve::int(expr, args.options)?),
    })
}

/// `{onoff=1, linger=5}`, or without the names.
pub(crate) fn linger(fields: &[Field], args: Args<'_>) -> Result<(i32, i32), Error> {
    let mut values = [0, 0];
    for (at, field) in fields.iter().enumerate() {
        let place = match field.name.as_deref() {
            Some("onoff" | "l_onoff") => 0,
            Some("linger" | "l_linger") => 1,
            None if at < 2 => at,
            Some(name) => return Err(Error::Skip(format!("field {name} of a socket option"))),
            None => return Err(Error::Skip("a socket option of many fields".to_owned())),
        };
        let value = resolve::int(&field.value, args.options)?;
        values[place] = resolve::narrow(value).ok_or_else(|| args.wrong("a number too large"))?;
    }
    Ok((values[0], values[1]))
}

fn waiting(args: Args<'_>) -> Result<SysCall, Error> {
    Ok(match args.call.name.as_str() {
        "poll" => {
            args.count(3, 3)?;
            let fds = messages::poll_fds(args)?;
            let fds = fds.into_iter().map(|(fd, events, _)| (fd, events)).collect();
            SysCall::Poll { fds, timeout: args.i32(2)? }
        }
        "epoll_create" => {
            args.count(1, 1)?;
            if args.int(0)? <= 0 {
                return Err(Error::Skip("epoll_create with a size that is not positive".into()));
            }
            SysCall::EpollCreate { flags: 0, as_fd: as_fd(args)? }
        }
        "epoll_create1" => {
            args.count(1, 1)?;
            SysCall::EpollCreate { flags: args.i32(0)?, as_fd: as_fd(args)? }
        }
        "epoll_ctl" => {
            args.count(3, 4)?;
            let (events, data) = match args.call.args.get(3) {
                Some(expr) if !args.is_null(3) => messages::epoll_event(args, expr)?,
                _ => (0, 0),
            };
            let (epoll, op, fd) = (args.i32(0)?, args.i32(1)?, args.i32(2)?);
            SysCall::EpollCtl { epoll, op, fd, events, data }
        }
        _ => {
            args.count(4, 4)?;
            SysCall::EpollWait { epoll: args.i32(0)?, max: args.size(2)?, timeout: args.i32(3)? }
        }
    })
}

fn files(args: Args<'_>) -> Result<SysCall, Error> {
    Ok(match args.call.name.as_str() {
        "pipe" => {
            args.count(1, 1)?;
            let fds = match &args.at(0)?.kind {
                ExprKind::List(list) if list.len() == 2 => {
                    let one = |at: usize| resolve::int(&list[at], args.options);
                    match (Fd::try_from(one(0)?), Fd::try_from(one(1)?)) {
                        (Ok(read), Ok(write)) => Some((read, write)),
                        _ => return Err(args.wrong("two descriptors are wanted")),
                    }
                }
                ExprKind::Ellipsis => None,
                _ => return Err(args.wrong("it takes [read end, write end]")),
            };
            SysCall::Pipe { fds }
        }
        "open" => {
            args.count(2, 3)?;
            let ExprKind::Str(path) = &args.at(0)?.kind else {
                return Err(args.wrong("a path in quotes is wanted"));
            };
            let path = String::from_utf8_lossy(path).into_owned();
            SysCall::Open { path, flags: args.i32(1)?, as_fd: as_fd(args)? }
        }
        "sendfile" => {
            args.count(4, 4)?;
            let offset = match &args.at(2)?.kind {
                ExprKind::List(_) => Some(args.boxed(args.at(2)?)?),
                _ if args.is_null(2) || args.is_ellipsis(2) => None,
                _ => return Err(args.wrong("the offset is [n] or NULL")),
            };
            let count = args.size(3)?;
            SysCall::SendFile { out: args.i32(0)?, input: args.i32(1)?, offset, count }
        }
        _ => {
            args.count(6, 6)?;
            if !args.is_null(1) || !args.is_null(3) {
                return Err(Error::Skip("splice with offsets".to_owned()));
            }
            let flags = args.i32(5)?.cast_unsigned();
            SysCall::Splice { input: args.i32(0)?, out: args.i32(2)?, len: args.size(4)?, flags }
        }
    })
}
