//! Whether a call returned what the script says.

use crate::ast::{Call, Expr, ExprKind};
use crate::run::resolve::{self, Args};
use crate::run::{Error, Options, calls, messages};
use crate::symbols::{errno, errno_name, flag_names};
use crate::syscall::{Output, Received, Returned, SysCall};

/// Result and outputs against the script's.
///
/// # Errors
/// The first thing that differs.
pub(crate) fn check(
    call: &Call,
    sys: &SysCall,
    returned: &Returned,
    options: &Options,
) -> Result<(), Error> {
    result(call, sys, returned, options)?;
    if returned.result.is_err() {
        return Ok(());
    }
    let args = Args { call, options };
    match (sys, &returned.output) {
        (SysCall::GetOption { .. }, output) => socket_option(args, output),
        (SysCall::Ioctl { .. }, Output::Int { value, .. }) => number(args, 2, *value),
        (SysCall::Poll { .. }, Output::Poll(revents)) => poll(args, revents),
        (SysCall::EpollWait { .. }, Output::Epoll(events)) => epoll(args, events),
        (SysCall::RecvMsg { .. }, Output::Message { flags, control }) => {
            message(args, *flags, control)
        }
        (SysCall::Poll { .. } | SysCall::EpollWait { .. } | SysCall::RecvMsg { .. }, _) => {
            Err(Error::Wrong(format!("the target says nothing of what {} wrote", call.name)))
        }
        _ => Ok(()),
    }
}

/// What the script says a call returns.
pub(crate) fn wanted(call: &Call) -> String {
    let value = match call.result.as_ref().map(|result| &result.kind) {
        None | Some(ExprKind::Ellipsis) => "...".to_owned(),
        Some(ExprKind::Int(value)) => value.to_string(),
        Some(ExprKind::Name(name)) => name.clone(),
        Some(_) => "a number".to_owned(),
    };
    let errno = call.errno.as_ref().map_or(String::new(), |name| format!(" {name}"));
    format!("= {value}{errno}")
}

fn result(call: &Call, sys: &SysCall, returned: &Returned, options: &Options) -> Result<(), Error> {
    let wanted_value = match &call.result {
        None => return Ok(()),
        Some(expr) if expr.kind == ExprKind::Ellipsis => return Ok(()),
        Some(expr) => resolve::int(expr, options)?,
    };
    let wanted_errno = call
        .errno
        .as_deref()
        .map(|name| errno(name).ok_or_else(|| Error::Skip(format!("unknown error number {name}"))));
    let wanted_errno = wanted_errno.transpose()?;
    let makes_fd = matches!(
        sys,
        SysCall::Socket { .. }
            | SysCall::Accept { .. }
            | SysCall::EpollCreate { .. }
            | SysCall::Open { .. }
    );
    let (same, actual) = match returned.result {
        // The number of a new descriptor is the script's own.
        Ok(value) if makes_fd => (wanted_value >= 0, format!("= {value}")),
        Ok(value) => (value == wanted_value && wanted_errno.is_none(), format!("= {value}")),
        Err(number) => {
            let same = wanted_value == -1 && wanted_errno.is_none_or(|wanted| wanted == number);
            (same, format!("= -1 {}", errno_name(number)))
        }
    };
    if same {
        return Ok(());
    }
    Err(Error::differs(format!("{} returned something else", call.name), wanted(call), actual))
}

fn differs(args: Args<'_>, what: &str, wanted: String, actual: String) -> Error {
    Error::differs(format!("{} gave another {what}", args.call.name), wanted, actual)
}

/// The number in argument `at`, where the script says one.
fn number(args: Args<'_>, at: usize, actual: i64) -> Result<(), Error> {
    let Some(expr) = args.call.args.get(at) else { return Ok(()) };
    if is_ellipsis(expr) {
        return Ok(());
    }
    let wanted = args.boxed(expr)?;
    if wanted == actual {
        return Ok(());
    }
    Err(differs(args, "value", format!("[{wanted}]"), format!("[{actual}]")))
}

/// `...` or `[...]`.
fn is_ellipsis(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Ellipsis => true,
        ExprKind::List(list) => matches!(list.as_slice(), [one] if is_ellipsis(one)),
        _ => false,
    }
}

fn socket_option(args: Args<'_>, output: &Output) -> Result<(), Error> {
    let expr = args.at(3)?;
    let len = match output {
        _ if is_ellipsis(expr) => return Ok(()),
        Output::Int { value, len } => {
            number(args, 3, *value)?;
            *len
        }
        Output::Linger { on, seconds } => {
            let ExprKind::Struct(fields) = &expr.kind else {
                return Err(args.wrong("this option's value is {onoff=1, linger=5}"));
            };
            let wanted = calls::linger(fields, args)?;
            if wanted != (*on, *seconds) {
                let show = |(on, seconds)| format!("{{onoff={on}, linger={seconds}}}");
                return Err(differs(args, "value", show(wanted), show((*on, *seconds))));
            }
            return Ok(());
        }
        Output::Bytes(bytes) => {
            let ExprKind::Str(wanted) = &expr.kind else {
                return Err(args.wrong("this option's value is \"text\""));
            };
            if text(wanted) != text(bytes) {
                let show = |bytes: &[u8]| format!("\"{}\"", text(bytes).escape_ascii());
                return Err(differs(args, "value", show(wanted), show(bytes)));
            }
            return Ok(());
        }
        _ => return Err(Error::Wrong("the target says nothing of the option's value".into())),
    };
    let wanted = args.at(4)?;
    if is_ellipsis(wanted) || args.boxed(wanted)? == len as i64 {
        return Ok(());
    }
    let wanted = format!("[{}]", args.boxed(wanted)?);
    Err(differs(args, "length", wanted, format!("[{len}]")))
}

/// Text up to its end, as C sees it.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    &bytes[..end]
}

fn poll(args: Args<'_>, revents: &[i16]) -> Result<(), Error> {
    for (at, (fd, _, wanted)) in messages::poll_fds(args)?.into_iter().enumerate() {
        let Some(wanted) = wanted else { continue };
        let actual = revents.get(at).copied().unwrap_or(0);
        if wanted != actual {
            let show =
                |bits: i16| format!("{{fd={fd}, revents={}}}", flag_names("POLL", bits.into()));
            return Err(differs(args, "revents", show(wanted), show(actual)));
        }
    }
    Ok(())
}

fn epoll(args: Args<'_>, actual: &[(u32, u64)]) -> Result<(), Error> {
    let expr = args.at(1)?;
    let wanted = match &expr.kind {
        ExprKind::Ellipsis => return Ok(()),
        ExprKind::List(list) => {
            list.iter().map(|one| messages::epoll_event(args, one)).collect::<Result<_, _>>()?
        }
        // With a result of 0 nothing was written.
        _ if actual.is_empty() => Vec::new(),
        _ => vec![messages::epoll_event(args, expr)?],
    };
    if wanted == actual {
        return Ok(());
    }
    let show = |events: &[(u32, u64)]| {
        let one = |(bits, data): &(u32, u64)| {
            format!("{{events={}, fd={data}}}", flag_names("EPOLL", i64::from(*bits)))
        };
        format!("[{}]", events.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    Err(differs(args, "events", show(&wanted), show(actual)))
}

fn message(args: Args<'_>, flags: i32, control: &[Received]) -> Result<(), Error> {
    let fields = messages::message(args)?;
    if let Some(field) = messages::field(fields, "msg_flags")
        && !is_ellipsis(&field.value)
    {
        let wanted = resolve::int(&field.value, args.options)?;
        if wanted != i64::from(flags) {
            let show = |bits: i64| format!("msg_flags={}", flag_names("MSG_", bits));
            return Err(differs(args, "msg_flags", show(wanted), show(flags.into())));
        }
    }
    let wanted = match messages::field(fields, "msg_control").map(|field| &field.value.kind) {
        None | Some(ExprKind::Ellipsis) => return Ok(()),
        Some(ExprKind::List(list)) => list,
        Some(_) => return Err(args.wrong("msg_control is a list")),
    };
    if wanted.len() != control.len() {
        let (wanted, actual) = (wanted.len(), control.len());
        let show = |count: usize| format!("{count} ancillary messages");
        return Err(differs(args, "msg_control", show(wanted), show(actual)));
    }
    for (wanted, actual) in wanted.iter().zip(control) {
        control_message(args, wanted, actual)?;
    }
    Ok(())
}

/// The names and values of an ancillary message.
fn control_values(received: &Received) -> (i32, i32, Vec<(&'static str, i64)>) {
    match received {
        Received::Int { level, kind, value } => (*level, *kind, vec![("cmsg_data", *value)]),
        Received::Timestamping { level, kind, seconds, nanos } => {
            (*level, *kind, vec![("scm_sec", *seconds), ("scm_nsec", *nanos)])
        }
        Received::Error { level, kind, errno, origin, kind_of, code, info, data } => {
            let values = vec![
                ("ee_errno", i64::from(*errno)),
                ("ee_origin", i64::from(*origin)),
                ("ee_type", i64::from(*kind_of)),
                ("ee_code", i64::from(*code)),
                ("ee_info", i64::from(*info)),
                ("ee_data", i64::from(*data)),
            ];
            (*level, *kind, values)
        }
    }
}

fn control_message(args: Args<'_>, wanted: &Expr, actual: &Received) -> Result<(), Error> {
    let ExprKind::Struct(fields) = &wanted.kind else {
        return Err(args.wrong("an ancillary message is {cmsg_level=…, cmsg_type=…}"));
    };
    let (level, kind, values) = control_values(actual);
    let mut said = Vec::new();
    for field in fields {
        match (field.name.as_deref(), &field.value.kind) {
            (_, ExprKind::Ellipsis) => {}
            (Some("cmsg_data"), ExprKind::Struct(data)) => {
                for part in data {
                    let name = part.name.as_deref().unwrap_or_default();
                    if !is_ellipsis(&part.value) {
                        said.push((name, resolve::int(&part.value, args.options)?));
                    }
                }
            }
            (Some(name), _) => said.push((name, resolve::int(&field.value, args.options)?)),
            (None, _) => return Err(args.wrong("an ancillary message's fields have names")),
        }
    }
    if is_timestamp(&said) && matches!(actual, Received::Timestamping { .. }) {
        timestamp(args, &said, &values)?;
        said.retain(|(name, _)| !name.starts_with("scm_"));
    }
    for (name, wanted) in said {
        let actual = match name {
            "cmsg_level" => Some(i64::from(level)),
            "cmsg_type" => Some(i64::from(kind)),
            _ => values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value),
        };
        if actual != Some(wanted) {
            let actual = actual.map_or("nothing".to_owned(), |actual| actual.to_string());
            let (wanted, actual) = (format!("{name}={wanted}"), format!("{name}={actual}"));
            return Err(differs(args, "msg_control", wanted, actual));
        }
    }
    Ok(())
}

fn is_timestamp(said: &[(&str, i64)]) -> bool {
    said.iter().any(|(name, _)| name.starts_with("scm_"))
}

/// Times are as exact as those of events.
fn timestamp(
    args: Args<'_>,
    said: &[(&str, i64)],
    values: &[(&'static str, i64)],
) -> Result<(), Error> {
    let total = |values: &[(&str, i64)]| {
        let part = |wanted: &str| values.iter().find(|(name, _)| *name == wanted);
        let value = |wanted: &str| part(wanted).map_or(0, |(_, value)| *value);
        i128::from(value("scm_sec")) * 1_000_000_000 + i128::from(value("scm_nsec"))
    };
    let (wanted, actual) = (total(said), total(values));
    if wanted.abs_diff(actual) <= u128::from(args.options.tolerance_usecs) * 1000 {
        return Ok(());
    }
    let show = |nanos: i128| {
        format!("{{scm_sec={},scm_nsec={}}}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    };
    Err(differs(args, "timestamp", show(wanted), show(actual)))
}
