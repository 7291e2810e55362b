//! The values of a call's arguments.

use std::net::{IpAddr, SocketAddr};

use crate::ast::{Call, Expr, ExprKind, Field};
use crate::run::{Error, Options};
use crate::symbols;

/// How often a name may stand for another one.
const DEPTH: u32 = 8;

/// The arguments of one call.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    pub(crate) call: &'a Call,
    pub(crate) options: &'a Options,
}

impl<'a> Args<'a> {
    pub(crate) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::Wrong(format!("{}: {what}", self.call.name))
    }

    /// # Errors
    /// Fewer or more than the call takes.
    pub(crate) fn count(&self, least: usize, most: usize) -> Result<(), Error> {
        let given = self.call.args.len();
        if (least..=most).contains(&given) {
            return Ok(());
        }
        let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(self.wrong(format!("it takes {wanted} arguments, not {given}")))
    }

    pub(crate) fn at(&self, at: usize) -> Result<&'a Expr, Error> {
        let missing = || self.wrong(format!("argument {} is missing", at + 1));
        self.call.args.get(at).ok_or_else(missing)
    }

    pub(crate) fn is_ellipsis(&self, at: usize) -> bool {
        self.call.args.get(at).is_none_or(|expr| expr.kind == ExprKind::Ellipsis)
    }

    /// `NULL`, however it is written.
    pub(crate) fn is_null(&self, at: usize) -> bool {
        match self.call.args.get(at).map(|expr| &expr.kind) {
            Some(ExprKind::Name(name)) => name == "NULL",
            Some(ExprKind::Int(0)) => true,
            _ => false,
        }
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64, Error> {
        int(self.at(at)?, self.options)
    }

    pub(crate) fn i32(&self, at: usize) -> Result<i32, Error> {
        let value = self.int(at)?;
        narrow(value).ok_or_else(|| self.wrong(format!("{value} is no 32-bit number")))
    }

    pub(crate) fn size(&self, at: usize) -> Result<usize, Error> {
        /// More than any call of a script needs, and no more than is good for memory.
        const MOST: usize = 1 << 30;
        let value = self.int(at)?;
        let fits = usize::try_from(value).ok().filter(|size| *size <= MOST);
        fits.ok_or_else(|| self.wrong(format!("a length is 0 to {MOST}, not {value}")))
    }

    /// `[5]`.
    pub(crate) fn boxed(&self, expr: &Expr) -> Result<i64, Error> {
        match &expr.kind {
            ExprKind::List(list) => match list.as_slice() {
                [one] => int(one, self.options),
                _ => Err(self.wrong("a list of one number is wanted")),
            },
            _ => int(expr, self.options),
        }
    }

    /// An address, `default` for `...`; none for AF_UNSPEC.
    pub(crate) fn address(
        &self,
        at: usize,
        default: SocketAddr,
    ) -> Result<Option<SocketAddr>, Error> {
        let Some(expr) = self.call.args.get(at) else { return Ok(Some(default)) };
        match &expr.kind {
            ExprKind::Ellipsis => Ok(Some(default)),
            ExprKind::Struct(fields) => address_of(fields, default, self.options),
            _ if int(expr, self.options)? == i64::from(libc::AF_UNSPEC) => Ok(None),
            _ => Err(self.wrong("an address is `...`, AF_UNSPEC or {sa_family=…}")),
        }
    }
}

/// A number that may have been written with its sign or without.
pub(crate) fn narrow(value: i64) -> Option<i32> {
    i32::try_from(value).ok().or_else(|| u32::try_from(value).ok().map(u32::cast_signed))
}

/// `{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("192.168.0.1")}`.
fn address_of(
    fields: &[Field],
    default: SocketAddr,
    options: &Options,
) -> Result<Option<SocketAddr>, Error> {
    let mut addr = default;
    for field in fields {
        let ellipsis = field.value.kind == ExprKind::Ellipsis;
        match field.name.as_deref() {
            Some("sa_family" | "sin_family" | "sin6_family")
                if !ellipsis && int(&field.value, options)? == i64::from(libc::AF_UNSPEC) =>
            {
                return Ok(None);
            }
            Some("sin_port" | "sin6_port") if !ellipsis => {
                addr.set_port(port(&field.value, options)?);
            }
            Some("sin_addr" | "sin6_addr") if !ellipsis => {
                addr.set_ip(options.for_sockets(ip(&field.value, options)?));
            }
            _ => {}
        }
    }
    Ok(Some(addr))
}

fn port(expr: &Expr, options: &Options) -> Result<u16, Error> {
    // `htons(8080)` is the port 8080, whatever the bytes.
    let value = match &expr.kind {
        ExprKind::Apply(name, args) if name == "htons" => match args.as_slice() {
            [one] => int(one, options)?,
            _ => return Err(Error::Wrong("htons takes one number".to_owned())),
        },
        _ => int(expr, options)?,
    };
    u16::try_from(value).map_err(|_| Error::Wrong(format!("{value} is no port")))
}

fn ip(expr: &Expr, options: &Options) -> Result<IpAddr, Error> {
    let text = match &expr.kind {
        ExprKind::Apply(name, args) if name == "inet_addr" || name == "inet_pton" => {
            match args.last().map(|last| &last.kind) {
                Some(ExprKind::Str(text)) => String::from_utf8_lossy(text).into_owned(),
                _ => return Err(Error::Wrong(format!("{name} takes an address in quotes"))),
            }
        }
        ExprKind::Str(text) => String::from_utf8_lossy(text).into_owned(),
        _ => {
            let value = int(expr, options)?;
            let bits = u32::try_from(value)
                .map_err(|_| Error::Wrong(format!("{value} is no IPv4 address")))?;
            return Ok(std::net::Ipv4Addr::from(bits).into());
        }
    };
    text.parse().map_err(|_| Error::Wrong(format!("{text:?} is no IP address")))
}

/// The number that an expression means.
///
/// # Errors
/// A name that is not known (the script is skipped), or no number.
pub(crate) fn int(expr: &Expr, options: &Options) -> Result<i64, Error> {
    value(expr, options, DEPTH).and_then(|value| {
        i64::try_from(value).map_err(|_| Error::Wrong(format!("{value} is too large")))
    })
}

fn value(expr: &Expr, options: &Options, depth: u32) -> Result<i128, Error> {
    match &expr.kind {
        ExprKind::Int(value) => Ok(*value),
        ExprKind::Name(name) => named(name, expr, options, depth),
        ExprKind::Binary(op, left, right) => {
            let (left, right) = (value(left, options, depth)?, value(right, options, depth)?);
            binary(op, left, right)
        }
        ExprKind::Not(inner) => Ok(!value(inner, options, depth)?),
        ExprKind::Apply(name, args) => match (name.as_str(), args.as_slice()) {
            ("htons" | "ntohs", [one]) => {
                Ok(i128::from((value(one, options, depth)? as u16).swap_bytes()))
            }
            ("htonl" | "ntohl", [one]) => {
                Ok(i128::from((value(one, options, depth)? as u32).swap_bytes()))
            }
            _ => Err(Error::Skip(format!("{name}() in an argument"))),
        },
        ExprKind::List(list) if list.len() == 1 => value(&list[0], options, depth),
        ExprKind::Ellipsis
        | ExprKind::Str(_)
        | ExprKind::StrPrefix(_)
        | ExprKind::List(_)
        | ExprKind::Struct(_) => Err(Error::Wrong("a number is wanted here".to_owned())),
    }
}

fn named(name: &str, expr: &Expr, options: &Options, depth: u32) -> Result<i128, Error> {
    if let Some(defined) = options.defined(name, expr.span) {
        return match depth.checked_sub(1) {
            Some(depth) if defined.kind != ExprKind::Name(name.to_owned()) => {
                value(&defined, options, depth)
            }
            _ => Err(Error::Wrong(format!("{name} is defined by itself"))),
        };
    }
    symbols::constant(name).map(i128::from).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let hint = symbols::nearest(name).map_or(String::new(), |near| format!(" (near {near})"));
    Error::Skip(format!("unknown name {name}{hint}"))
}

fn binary(op: &str, left: i128, right: i128) -> Result<i128, Error> {
    let shift = || u32::try_from(right).ok().filter(|by| *by < 64);
    let result = match op {
        "|" => Some(left | right),
        "&" => Some(left & right),
        "^" => Some(left ^ right),
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        "<<" => shift().and_then(|by| left.checked_mul(1 << by)),
        ">>" => shift().map(|by| left >> by),
        _ => None,
    };
    result.ok_or_else(|| Error::Wrong(format!("{left} {op} {right} has no value")))
}
