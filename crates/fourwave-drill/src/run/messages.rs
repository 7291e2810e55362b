//! Structures in arguments: messages with their parts, ancillary data, poll and epoll.

use crate::ast::{Expr, ExprKind, Field};
use crate::run::Error;
use crate::run::resolve::{self, Args};
use crate::syscall::{Control, Fd, SendTo, SysCall};

/// `sendmsg` and `recvmsg`.
pub(crate) fn resolve(args: Args<'_>) -> Result<SysCall, Error> {
    args.count(3, 3)?;
    let (fd, flags) = (args.i32(0)?, args.i32(2)?);
    let fields = message(args)?;
    let parts_of = field(fields, "msg_iov").map_or(Ok(Vec::new()), |iov| parts(args, &iov.value));
    let parts_of = parts_of?;
    if args.call.name == "recvmsg" {
        return Ok(SysCall::RecvMsg { fd, parts: parts_of, flags });
    }
    let to = match field(fields, "msg_name").map(|field| &field.value.kind) {
        None => None,
        Some(ExprKind::Name(name)) if name == "NULL" => None,
        Some(ExprKind::Name(name)) if name == "AF_UNSPEC" => Some(SendTo::Unspecified),
        Some(ExprKind::Ellipsis) => Some(SendTo::Addr(args.options.connect_addr())),
        Some(_) => return Err(Error::Skip("sendmsg to an address of its own".to_owned())),
    };
    let control = match field(fields, "msg_control").map(|field| &field.value.kind) {
        None | Some(ExprKind::Ellipsis) => Vec::new(),
        Some(ExprKind::List(list)) => {
            list.iter().map(|one| sent_control(args, one)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(args.wrong("msg_control is a list")),
    };
    Ok(SysCall::SendMsg { fd, parts: parts_of, to, control, flags })
}

/// The fields of the message.
pub(crate) fn message<'a>(args: Args<'a>) -> Result<&'a [Field], Error> {
    const KNOWN: [&str; 5] = ["msg_name", "msg_iov", "msg_flags", "msg_control", "msg_controllen"];
    let ExprKind::Struct(fields) = &args.at(1)?.kind else {
        return Err(args.wrong("a message is {msg_name(...)=..., msg_iov(1)=[{...,5}]}"));
    };
    for field in fields {
        match field.name.as_deref() {
            Some(name) if KNOWN.contains(&name) => {}
            Some(name) => return Err(Error::Skip(format!("field {name} of a message"))),
            None => return Err(args.wrong("a message's fields have names")),
        }
    }
    Ok(fields)
}

/// The field of a name.
pub(crate) fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name.as_deref() == Some(name))
}

/// The lengths in `[{..., 10}, {..., 20}]`.
pub(crate) fn parts(args: Args<'_>, expr: &Expr) -> Result<Vec<usize>, Error> {
    let wrong = || args.wrong("the parts of a message are [{...,10}, {...,20}]");
    let ExprKind::List(list) = &expr.kind else { return Err(wrong()) };
    let mut lengths = Vec::with_capacity(list.len());
    for part in list {
        let ExprKind::Struct(fields) = &part.kind else { return Err(wrong()) };
        let len = fields.last().ok_or_else(wrong)?;
        let len = resolve::int(&len.value, args.options)?;
        let fits = usize::try_from(len).ok().filter(|len| *len <= 1 << 30);
        lengths.push(fits.ok_or_else(wrong)?);
    }
    Ok(lengths)
}

fn sent_control(args: Args<'_>, expr: &Expr) -> Result<Control, Error> {
    let wrong = || args.wrong("an ancillary message is {cmsg_level=…, cmsg_type=…, cmsg_data=…}");
    let ExprKind::Struct(fields) = &expr.kind else { return Err(wrong()) };
    let number = |name: &str| {
        let field = field(fields, name).ok_or_else(wrong)?;
        resolve::int(&field.value, args.options)
    };
    let narrow = |name: &str| number(name).and_then(|v| resolve::narrow(v).ok_or_else(wrong));
    let (level, kind) = (narrow("cmsg_level")?, narrow("cmsg_type")?);
    Ok(Control { level, kind, value: number("cmsg_data")? })
}

/// `[{fd=3, events=POLLIN, revents=POLLOUT}]`: none for revents that are not said.
pub(crate) fn poll_fds(args: Args<'_>) -> Result<Vec<(Fd, i16, Option<i16>)>, Error> {
    let wrong = || args.wrong("it takes [{fd=3, events=POLLIN, revents=0}]");
    let ExprKind::List(list) = &args.at(0)?.kind else { return Err(wrong()) };
    let one = |expr: &Expr| {
        let ExprKind::Struct(fields) = &expr.kind else { return Err(wrong()) };
        let number = |name: &str| match field(fields, name).map(|field| &field.value) {
            None => Ok(None),
            Some(value) if value.kind == ExprKind::Ellipsis => Ok(None),
            Some(value) => resolve::int(value, args.options).map(Some),
        };
        let fd = number("fd")?.and_then(|fd| Fd::try_from(fd).ok()).ok_or_else(wrong)?;
        let events = number("events")?.unwrap_or(0) as i16;
        Ok((fd, events, number("revents")?.map(|bits| bits as i16)))
    };
    list.iter().map(one).collect()
}

/// `{events=EPOLLIN, fd=4}`: events and data.
pub(crate) fn epoll_event(args: Args<'_>, expr: &Expr) -> Result<(u32, u64), Error> {
    let wrong = || args.wrong("an event is {events=EPOLLIN, fd=4}");
    let ExprKind::Struct(fields) = &expr.kind else { return Err(wrong()) };
    let (mut events, mut data) = (0, 0);
    for field in fields {
        let value = resolve::int(&field.value, args.options)?;
        match field.name.as_deref() {
            Some("events") => events = value as u32,
            Some("fd" | "ptr" | "u32" | "u64" | "data") => data = value.cast_unsigned(),
            _ => return Err(wrong()),
        }
    }
    Ok((events, data))
}
