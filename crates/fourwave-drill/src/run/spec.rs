//! What a packet of the script says, whichever way it goes.

use crate::ast::{Body, Cookie, Packet, TcpSpec};
use crate::run::raw::{Envelope, flag};
use crate::run::{Error, Options};

/// Whether a packet is one that can be made and judged.
///
/// # Errors
/// What it wants besides.
pub(crate) fn supported(packet: &Packet) -> Result<(), Error> {
    match (&packet.outer, &packet.fuzz, &packet.body) {
        (Some(outer), ..) => Err(Error::Skip(format!("headers outside the packet's own: {outer}"))),
        (_, Some(fuzz), _) => Err(Error::Skip(format!("a mangled packet: {fuzz}"))),
        (_, _, Body::Other(what)) => {
            Err(Error::Skip(format!("a packet of another protocol: {what}")))
        }
        _ => Ok(()),
    }
}

/// The bits of the header, the ACE value among them.
pub(crate) fn flags_of(tcp: &TcpSpec) -> u16 {
    match tcp.flags.ace {
        Some(ace) => tcp.flags.bits & !flag::ACE | u16::from(ace & 7) << flag::ACE_SHIFT,
        None => tcp.flags.bits,
    }
}

/// A cookie with its name resolved.
pub(crate) fn resolved(cookie: &Cookie, options: &Options) -> Result<Cookie, Error> {
    let Cookie::Name(name) = cookie else { return Ok(cookie.clone()) };
    let Some(value) = options.define(name) else {
        return Err(Error::Skip(format!("{name} is not defined (-D {name}=<hex digits>)")));
    };
    let digit = |pair: &[u8]| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = value.as_bytes().chunks(2).map(digit).collect();
    match bytes {
        Some(bytes) if value.len() % 2 == 0 => Ok(Cookie::Bytes(bytes)),
        _ => Err(Error::Wrong(format!("{name} is {value:?}, which are no hexadecimal bytes"))),
    }
}

/// Whether `len` bytes and `header` bytes of transport fit into an IP packet.
pub(crate) fn fits(ip: Envelope, header: usize, len: u32) -> Result<(), Error> {
    let header = header + if ip.src.is_ipv6() { 40 } else { 20 };
    if header + len as usize <= usize::from(u16::MAX) {
        return Ok(());
    }
    Err(Error::Wrong(format!("{len} bytes do not fit into an IP packet")))
}
