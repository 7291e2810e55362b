//! One fault as people order it: what happens, and to which connections.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::config::{BYTES, FaultConfig, FaultConfigError, parse_bytes, parse_duration, with_unit};

/// One end of a link on which a program's packets come out of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The program's: what is received from the device.
    Program,
    /// The other one, wherever the program's connections lead: what is sent to the device.
    Peer,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Program, Self::Peer];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Program => Self::Peer,
            Self::Peer => Self::Program,
        }
    }

    /// 0 for the program, 1 for its peer.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program => "program",
            Self::Peer => "peer",
        })
    }
}

/// A segment of a connection's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Farewell {
    /// Every segment with FIN, those that are sent again included.
    Fin,
    /// The ACK of the second FIN, sent by the end that closed first (after a simultaneous close:
    /// by both), again for each FIN that comes again.
    LastAck,
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fin => "fin",
            Self::LastAck => "last-ack",
        })
    }
}

/// A fault that knows where a connection is in its life.
///
/// `from` is the side that sends; `None` stands for either, each counted alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleFault {
    /// Loses the first `times` such segments of each connection; all with `None`.
    Drop {
        /// Which segments.
        what: Farewell,
        /// Whose.
        from: Option<Side>,
        /// How many.
        times: Option<NonZeroU32>,
    },
    /// Holds such segments back; others overtake them.
    Delay {
        /// Which segments.
        what: Farewell,
        /// Whose.
        from: Option<Side>,
        /// How long; at most an hour.
        by: Duration,
    },
    /// Resets the connection, an RST to either end, once `bytes` of payload were sent: by that
    /// side, or by both together. The segment with the last of them still passes.
    RstAfter {
        /// Whose payload counts.
        from: Option<Side>,
        /// How much of it, what is sent again not counted; 0: as soon as the connection is open.
        bytes: u64,
    },
    /// The peer's windows read 0 for good, once the program has sent `after` bytes of payload;
    /// with 0 from the SYN ACK on.
    ZeroWindow {
        /// Payload of the program.
        after: u64,
    },
}

impl fmt::Display for LifecycleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |from: Option<Side>| from.map(|side| format!(":{side}")).unwrap_or_default();
        match *self {
            Self::Drop { what, from, times } => {
                write!(f, "drop:{what}{}", of(from))?;
                match times {
                    None => f.write_str(":all"),
                    Some(NonZeroU32::MIN) => Ok(()),
                    Some(times) => write!(f, ":{times}"),
                }
            }
            Self::Delay { what, from, by } => write!(f, "delay:{what}{}:{by:?}", of(from)),
            Self::RstAfter { from, bytes } => {
                write!(f, "rst-after{}:{}", of(from), amount(bytes))
            }
            Self::ZeroWindow { after: 0 } => f.write_str("stall:zero-window"),
            Self::ZeroWindow { after } => {
                write!(f, "stall:zero-window:{}", amount(after))
            }
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// To any packet, in either direction on its own.
    Link(FaultConfig),
    /// To a connection at a point of its life.
    Lifecycle(LifecycleFault),
}

/// To which packets it happens: those of which one end has this address and this port. The
/// default is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Target {
    /// The address.
    pub host: Option<IpAddr>,
    /// The port, of TCP or UDP.
    pub port: Option<u16>,
}

impl Target {
    /// Whether packets between these ends are meant; a port of `None` is none of TCP or UDP.
    pub fn matches(&self, ends: [(IpAddr, Option<u16>); 2]) -> bool {
        let is = |(host, port): (IpAddr, Option<u16>)| {
            self.host.is_none_or(|wanted| wanted == host)
                && self.port.is_none_or(|wanted| port == Some(wanted))
        };
        ends.into_iter().any(is)
    }

    /// Whether the connection between these ends is meant.
    pub fn matches_connection(&self, ends: [SocketAddr; 2]) -> bool {
        self.matches(ends.map(|end| (end.ip(), Some(end.port()))))
    }
}

impl fmt::Display for Target {
    /// Empty for all, else with its `@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host, self.port) {
            (None, None) => Ok(()),
            (None, Some(port)) => write!(f, "@:{port}"),
            (Some(IpAddr::V6(host)), None) => write!(f, "@[{host}]"),
            (Some(host), None) => write!(f, "@{host}"),
            (Some(host), Some(port)) => write!(f, "@{}", SocketAddr::new(host, port)),
        }
    }
}

/// A fault and its target.
///
/// Text form: `FAULT` or `FAULT@TARGET`. `TARGET` is `HOST`, `HOST:PORT` or `:PORT`, an IPv6
/// address in brackets. `FAULT` is one of
///
/// - `drop:WHAT[:FROM][:N]`: the first `N` of them in each connection (1; `all` for all)
/// - `delay:WHAT[:FROM]:TIME`: hold them back
/// - `rst-after[:FROM]:BYTES`: reset the connection after that much payload
/// - `stall:zero-window[:BYTES]`: the peer's window stays 0 after that much from the program
/// - items of a [`FaultConfig`], separated by commas: `loss:1%,delay:20ms`; or `none`
///
/// with `WHAT` `fin` or `last-ack`, `FROM` `program` or `peer` (the sender; default: either),
/// `BYTES` a number alone or with `b`, `kb`, `mb`, `gb` (powers of 1000).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultSpec {
    /// What happens.
    pub fault: Fault,
    /// To which packets.
    pub target: Target,
}

impl FaultSpec {
    /// The names of all faults.
    pub const NAMES: [&str; 10] =
        ["drop", "delay", "rst-after", "stall", "loss", "reorder", "dup", "corrupt", "mtu", "rate"];
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Link(config) => config.fmt(f)?,
            Fault::Lifecycle(fault) => fault.fmt(f)?,
        }
        self.target.fmt(f)
    }
}

/// What is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultSpecError {
    /// No such fault.
    #[error("there is no fault {name:?}: {}", FaultSpec::NAMES.join(", "))]
    UnknownFault {
        /// The name.
        name: String,
    },
    /// One of the link's faults.
    #[error(transparent)]
    Link(FaultConfigError),
    /// A fault of the lifecycle that reads otherwise.
    #[error("{item:?}: expected {expected}")]
    BadValue {
        /// The item.
        item: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A fault of the lifecycle among others.
    #[error("{item:?} goes alone: give each of the others its own specification")]
    NotAlone {
        /// The item.
        item: String,
    },
    /// What follows `@`.
    #[error("{target:?} is no target: expected {expected}")]
    BadTarget {
        /// The target.
        target: String,
        /// What it should be.
        expected: &'static str,
    },
}

const DROP: &str =
    "drop:fin or drop:last-ack, then :program or :peer, then how many (1 or more, or all)";
const DELAY: &str =
    "delay:fin or delay:last-ack, then :program or :peer, then a time of up to 3600s, as in 200ms";
const RST_AFTER: &str = "rst-after, then :program or :peer, then bytes, as in 1000 or 64kb";
const STALL: &str = "stall:zero-window, then bytes if not at once, as in 1000 or 64kb";
const TARGET: &str = "HOST, HOST:PORT or :PORT, as in 192.0.2.1:80, [2001:db8::1]:80 or :80";
const BRACKETS: &str = "an IPv6 address in brackets, as in [2001:db8::1] or [2001:db8::1]:80";
const LITERAL: &str = "an IP address, no name, as in 192.0.2.1, [2001:db8::1]:80 or :80";
const PORT: &str = "a port from 1 to 65535";

impl FromStr for FaultSpec {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        let (fault, target) = match text.rsplit_once('@') {
            Some((fault, target)) => (fault, parse_target(target.trim())?),
            None => (text, Target::default()),
        };
        Ok(Self { fault: parse_fault(fault.trim())?, target })
    }
}

fn parse_fault(text: &str) -> Result<Fault, FaultSpecError> {
    if text == "none" {
        return Ok(Fault::Link(FaultConfig::default()));
    }
    for item in text.split(',').map(str::trim) {
        let name = item.split(':').next().unwrap_or_default().trim();
        // `queue` is a setting of `rate`, `burst` one of `loss`.
        if !FaultSpec::NAMES.contains(&name) && !["queue", "burst"].contains(&name) {
            return Err(FaultSpecError::UnknownFault { name: name.to_owned() });
        }
        if let Some(fault) = parse_lifecycle(item) {
            if item != text {
                return Err(FaultSpecError::NotAlone { item: item.to_owned() });
            }
            return fault.map(Fault::Lifecycle);
        }
    }
    text.parse().map(Fault::Link).map_err(FaultSpecError::Link)
}

/// `None` when `item` is no fault of the lifecycle.
fn parse_lifecycle(item: &str) -> Option<Result<LifecycleFault, FaultSpecError>> {
    let parts: Vec<&str> = item.split(':').map(str::trim).collect();
    let (fault, expected) = match parts[..] {
        ["drop", ref rest @ ..] => (parse_drop(rest), DROP),
        // `delay:20ms` is the link's.
        ["delay", ref rest @ ..] if rest.len() > 1 || parse_farewell(rest).is_some() => {
            (parse_delay(rest), DELAY)
        }
        ["rst-after", ref rest @ ..] => (parse_rst_after(rest), RST_AFTER),
        ["stall", ref rest @ ..] => (parse_stall(rest), STALL),
        _ => return None,
    };
    Some(fault.ok_or_else(|| FaultSpecError::BadValue { item: item.to_owned(), expected }))
}

fn parse_farewell<'a>(parts: &'a [&'a str]) -> Option<(Farewell, &'a [&'a str])> {
    match parts {
        ["fin", rest @ ..] => Some((Farewell::Fin, rest)),
        ["last-ack", rest @ ..] => Some((Farewell::LastAck, rest)),
        _ => None,
    }
}

fn parse_from<'a>(parts: &'a [&'a str]) -> (Option<Side>, &'a [&'a str]) {
    match parts {
        ["program", rest @ ..] => (Some(Side::Program), rest),
        ["peer", rest @ ..] => (Some(Side::Peer), rest),
        _ => (None, parts),
    }
}

fn parse_drop(parts: &[&str]) -> Option<LifecycleFault> {
    let (what, rest) = parse_farewell(parts)?;
    let (from, rest) = parse_from(rest);
    let times = match rest {
        [] => Some(NonZeroU32::MIN),
        ["all"] => None,
        [times] => Some(times.parse().ok()?),
        _ => return None,
    };
    Some(LifecycleFault::Drop { what, from, times })
}

fn parse_delay(parts: &[&str]) -> Option<LifecycleFault> {
    let (what, rest) = parse_farewell(parts)?;
    let (from, rest) = parse_from(rest);
    let [by] = rest else { return None };
    Some(LifecycleFault::Delay { what, from, by: parse_duration(by)? })
}

fn parse_rst_after(parts: &[&str]) -> Option<LifecycleFault> {
    let (from, rest) = parse_from(parts);
    let [bytes] = rest else { return None };
    Some(LifecycleFault::RstAfter { from, bytes: parse_amount(bytes)? })
}

fn parse_stall(parts: &[&str]) -> Option<LifecycleFault> {
    let after = match parts {
        ["zero-window"] => 0,
        ["zero-window", after] => parse_amount(after)?,
        _ => return None,
    };
    Some(LifecycleFault::ZeroWindow { after })
}

/// Bytes in the form that people write.
fn amount(bytes: u64) -> String {
    if bytes.is_multiple_of(1000) && bytes > 0 {
        with_unit(bytes, &BYTES)
    } else {
        bytes.to_string()
    }
}

/// Bytes, with a unit or without.
fn parse_amount(text: &str) -> Option<u64> {
    const MAX: u64 = 1_000_000_000_000;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|bytes| *bytes <= MAX);
    }
    parse_bytes(text)
}

fn parse_target(text: &str) -> Result<Target, FaultSpecError> {
    let bad = |expected| FaultSpecError::BadTarget { target: text.to_owned(), expected };
    let port = |port: &str| {
        let port: Option<u16> = port.parse().ok();
        port.filter(|port| *port != 0).ok_or_else(|| bad(PORT))
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| bad(BRACKETS))?;
        let host: std::net::Ipv6Addr = host.parse().map_err(|_| bad(BRACKETS))?;
        let port = match rest.strip_prefix(':') {
            Some(text) => Some(port(text)?),
            None if rest.is_empty() => None,
            None => return Err(bad(BRACKETS)),
        };
        return Ok(Target { host: Some(host.into()), port });
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(bad(BRACKETS));
    }
    match text.split_once(':') {
        None if text.is_empty() => Err(bad(TARGET)),
        None => Ok(Target { host: Some(parse_v4(text).ok_or_else(|| bad(LITERAL))?), port: None }),
        Some(("", text)) => Ok(Target { host: None, port: Some(port(text)?) }),
        Some((host, text)) => {
            let host = parse_v4(host).ok_or_else(|| bad(LITERAL))?;
            Ok(Target { host: Some(host), port: Some(port(text)?) })
        }
    }
}

fn parse_v4(text: &str) -> Option<IpAddr> {
    text.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests;
