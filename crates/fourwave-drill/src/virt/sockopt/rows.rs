//! The options that the target has: what setting one does, and what reading it gives.

use std::ops::RangeInclusive;

use super::super::Virtual;
use super::super::abi;
use super::super::options::Options;
use super::super::outcome::{Attempt, Stop};
use super::super::socket::Phase;
use crate::sockopt::{self as option, Sockopt};
use crate::syscall::{Fd, OptionValue, Output};

/// An option as the target has it.
pub(super) struct Row {
    option: Sockopt,
    pub(super) set: Set,
    pub(super) get: Get,
}

/// What setting an option does. A number out of its range is EINVAL.
pub(super) enum Set {
    /// The target cannot set it.
    No,
    /// Nobody can: ENOPROTOOPT.
    Never,
    /// A number that is only given back.
    Keep(RangeInclusive<i64>),
    /// A number that calls of the socket look at.
    Note(RangeInclusive<i64>, fn(&mut Options, i64)),
    /// The same, and the engine is told.
    Tell(RangeInclusive<i64>, fn(&mut Options, i64)),
    /// A number with rules of its own.
    Act(fn(&mut Virtual, Fd, i64) -> Attempt),
    /// A value of its own, with its length in bytes.
    Value(fn(&mut Virtual, Fd, &OptionValue, i64) -> Attempt),
}

/// What reading an option gives.
pub(super) enum Get {
    /// The target cannot tell.
    No,
    /// The number that was kept, or this one.
    Kept(i64),
    /// A number that the socket was told.
    Noted(fn(&Options) -> i64),
    /// A number from elsewhere.
    Ask(fn(&mut Virtual, Fd) -> Result<i64, Stop>),
    /// A value of its own for a buffer of so many bytes.
    Value(fn(&mut Virtual, Fd, usize) -> Result<Output, Stop>),
}

impl Row {
    /// The row of an option. O(rows).
    pub(super) fn find(level: i32, number: i32) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.option.level == level && row.option.number == number)
    }
}

const fn row(option: Sockopt, set: Set, get: Get) -> Row {
    Row { option, set, get }
}

const ANY: RangeInclusive<i64> = i64::MIN..=i64::MAX;
const SWITCH: RangeInclusive<i64> = 0..=1;
/// TCP_KEEPIDLE and TCP_KEEPINTVL, in seconds.
const KEEPALIVE_TIME: RangeInclusive<i64> = 1..=32_767;
/// TCP_KEEPCNT and TCP_SYNCNT.
const PROBES: RangeInclusive<i64> = 1..=127;
/// TCP_LINGER2 at most, in seconds.
const MOST_LINGER2: i64 = 120;
/// Linux's least SO_SNDBUF and SO_RCVBUF.
const LEAST_SEND_BUFFER: i64 = 4608;
const LEAST_RECEIVE_BUFFER: i64 = 2304;
/// `net.core.wmem_max` and `rmem_max` since Linux 6.17.
const MOST_BUFFER: i64 = 4_194_304;
const MTU_DISCOVERY_DEFAULT: i64 = 1;
/// `net.ipv4.ip_default_ttl`.
const DEFAULT_TTL: i64 = 64;

fn send_buffer(options: &mut Options, bytes: i64) {
    options.send_buffer = Some((bytes.clamp(0, MOST_BUFFER) * 2).max(LEAST_SEND_BUFFER));
}

fn receive_buffer(options: &mut Options, bytes: i64) {
    options.receive_buffer = Some((bytes.clamp(0, MOST_BUFFER) * 2).max(LEAST_RECEIVE_BUFFER));
}

static ROWS: &[Row] = &[
    // SOL_SOCKET
    row(
        option::SO_REUSEADDR,
        Set::Note(ANY, |options, value| options.reuse_addr = value != 0),
        Get::Noted(|options| options.reuse_addr.into()),
    ),
    row(
        option::SO_REUSEPORT,
        Set::Note(ANY, |options, value| options.reuse_port = value != 0),
        Get::Noted(|options| options.reuse_port.into()),
    ),
    row(
        option::SO_KEEPALIVE,
        Set::Tell(ANY, |options, value| options.keepalive = value != 0),
        Get::Noted(|options| options.keepalive.into()),
    ),
    row(option::SO_LINGER, Set::Value(Virtual::set_linger), Get::Value(Virtual::linger)),
    row(
        option::SO_RCVTIMEO,
        Set::Value(Virtual::set_receive_timeout),
        Get::Value(Virtual::receive_timeout),
    ),
    row(
        option::SO_SNDTIMEO,
        Set::Value(Virtual::set_send_timeout),
        Get::Value(Virtual::send_timeout),
    ),
    row(
        option::SO_RCVLOWAT,
        Set::Note(ANY, |options, value| {
            options.receive_low = usize::try_from(value).unwrap_or(usize::MAX).max(1);
        }),
        Get::Noted(|options| options.receive_low as i64),
    ),
    row(option::SO_SNDLOWAT, Set::Never, Get::Noted(|_| 1)),
    row(
        option::SO_ZEROCOPY,
        Set::Note(SWITCH, |options, value| options.zerocopy = value != 0),
        Get::Noted(|options| options.zerocopy.into()),
    ),
    row(
        option::SO_TIMESTAMPING,
        Set::Act(Virtual::set_timestamping),
        Get::Noted(|options| options.timestamping.into()),
    ),
    row(option::SO_SNDBUF, Set::Tell(ANY, send_buffer), Get::Ask(Virtual::send_buffer)),
    row(option::SO_SNDBUFFORCE, Set::Tell(ANY, send_buffer), Get::No),
    row(option::SO_RCVBUF, Set::Tell(ANY, receive_buffer), Get::Ask(Virtual::receive_buffer)),
    row(option::SO_RCVBUFFORCE, Set::Tell(ANY, receive_buffer), Get::No),
    row(
        option::SO_ERROR,
        Set::Never,
        Get::Ask(|target, fd| Ok(target.socket(fd)?.take_error().unwrap_or(0).into())),
    ),
    row(option::SO_TYPE, Set::Never, Get::Noted(|_| abi::SOCK_STREAM.into())),
    row(option::SO_PROTOCOL, Set::Never, Get::Noted(|_| abi::IPPROTO_TCP.into())),
    row(option::SO_DOMAIN, Set::Never, Get::Ask(|target, fd| Ok(target.socket(fd)?.family.into()))),
    row(
        option::SO_ACCEPTCONN,
        Set::Never,
        Get::Ask(|target, fd| Ok(matches!(target.socket(fd)?.phase, Phase::Listening(_)).into())),
    ),
    row(option::SO_PRIORITY, Set::Keep(ANY), Get::Kept(0)),
    row(option::SO_MARK, Set::Keep(ANY), Get::Kept(0)),
    row(option::SO_DONTROUTE, Set::Keep(ANY), Get::Kept(0)),
    row(option::SO_BROADCAST, Set::Keep(ANY), Get::Kept(0)),
    row(option::SO_BUSY_POLL, Set::Keep(ANY), Get::Kept(0)),
    // SOL_TCP
    row(
        option::TCP_NODELAY,
        Set::Tell(ANY, |options, value| options.nodelay = value != 0),
        Get::Noted(|options| options.nodelay.into()),
    ),
    row(
        option::TCP_CORK,
        Set::Tell(ANY, |options, value| options.cork = value != 0),
        Get::Noted(|options| options.cork.into()),
    ),
    row(option::TCP_QUICKACK, Set::Act(Virtual::set_quick_ack), Get::No),
    row(
        option::TCP_INQ,
        Set::Tell(SWITCH, |options, value| options.inq = value != 0),
        Get::Noted(|options| options.inq.into()),
    ),
    row(option::TCP_MAXSEG, Set::Act(Virtual::set_maxseg), Get::Ask(Virtual::maxseg)),
    row(
        option::TCP_KEEPIDLE,
        Set::Tell(KEEPALIVE_TIME, |options, value| options.keepidle = Some(value)),
        Get::Ask(|target, fd| {
            let default = target.sysctls.config.tcp_keepalive_time as i64;
            Ok(target.socket(fd)?.options.keepidle.unwrap_or(default))
        }),
    ),
    row(
        option::TCP_KEEPINIT,
        Set::Act(Virtual::set_keepinit),
        Get::Ask(|target, fd| Ok(target.keepinit(fd)?.as_secs() as i64)),
    ),
    row(
        option::TCP_KEEPINTVL,
        Set::Tell(KEEPALIVE_TIME, |options, value| options.keepintvl = Some(value)),
        Get::Ask(|target, fd| {
            let default = target.sysctls.config.tcp_keepalive_intvl as i64;
            Ok(target.socket(fd)?.options.keepintvl.unwrap_or(default))
        }),
    ),
    row(
        option::TCP_KEEPCNT,
        Set::Tell(PROBES, |options, value| options.keepcnt = Some(value)),
        Get::Ask(|target, fd| {
            let default = target.sysctls.config.tcp_keepalive_probes as i64;
            Ok(target.socket(fd)?.options.keepcnt.unwrap_or(default))
        }),
    ),
    row(
        option::TCP_USER_TIMEOUT,
        Set::Tell(0..=i64::MAX, |options, value| options.user_timeout = value),
        Get::Noted(|options| options.user_timeout),
    ),
    row(
        option::TCP_LINGER2,
        Set::Tell(ANY, |options, value| {
            options.linger2 = Some(value.clamp(-1, MOST_LINGER2));
        }),
        // 0 stands for the system's own.
        Get::Ask(|target, fd| {
            let default = target.sysctls.config.tcp_fin_timeout as i64;
            let own = target.socket(fd)?.options.linger2.filter(|seconds| *seconds != 0);
            Ok(own.unwrap_or(default))
        }),
    ),
    row(
        option::TCP_SYNCNT,
        Set::Tell(PROBES, |options, value| options.syncnt = value),
        Get::Ask(|target, fd| {
            let default = target.sysctls.config.tcp_syn_retries as i64;
            Ok(match target.socket(fd)?.options.syncnt {
                0 => default,
                own => own,
            })
        }),
    ),
    row(
        option::TCP_NOTSENT_LOWAT,
        Set::Act(Virtual::set_not_sent_lowat),
        Get::Noted(|options| options.not_sent_lowat.into()),
    ),
    row(option::TCP_DEFER_ACCEPT, Set::Act(Virtual::set_defer_accept), Get::Noted(|_| 0)),
    row(
        option::TCP_CONGESTION,
        Set::Value(Virtual::set_congestion),
        Get::Value(Virtual::congestion),
    ),
    row(
        option::TCP_FASTOPEN,
        Set::Act(Virtual::set_fastopen),
        Get::Noted(|options| options.fastopen as i64),
    ),
    row(
        option::TCP_FASTOPEN_CONNECT,
        Set::Act(Virtual::set_fastopen_connect),
        Get::Noted(|options| options.fastopen_connect.into()),
    ),
    row(
        option::TCP_FASTOPEN_NO_COOKIE,
        Set::Tell(SWITCH, |options, value| options.fastopen_no_cookie = value == 1),
        Get::Noted(|options| options.fastopen_no_cookie.into()),
    ),
    row(
        option::TCP_FASTOPEN_KEY,
        Set::Value(Virtual::set_fastopen_key),
        Get::Value(Virtual::fastopen_key),
    ),
    row(option::TCP_INFO, Set::Never, Get::No),
    // SOL_IP
    row(option::IP_LOCAL_PORT_RANGE, Set::Act(Virtual::set_port_range), Get::No),
    row(
        option::IP_FREEBIND,
        Set::Note(ANY, |options, value| options.freebind = value != 0),
        Get::Noted(|options| options.freebind.into()),
    ),
    row(option::IP_TOS, Set::Keep(0..=255), Get::Kept(0)),
    row(option::IP_TTL, Set::Act(Virtual::set_ttl), Get::Kept(DEFAULT_TTL)),
    row(option::IP_MTU, Set::No, Get::Ask(|target, _| Ok(target.setup.mtu.into()))),
    row(option::IP_MTU_DISCOVER, Set::Keep(0..=5), Get::Kept(MTU_DISCOVERY_DEFAULT)),
    row(option::IP_BIND_ADDRESS_NO_PORT, Set::Keep(ANY), Get::Kept(0)),
    // SOL_IPV6
    row(option::IPV6_V6ONLY, Set::Act(Virtual::set_v6only), Get::Kept(0)),
    row(option::IPV6_MTU_DISCOVER, Set::Keep(ANY), Get::Kept(MTU_DISCOVERY_DEFAULT)),
    row(option::IPV6_TCLASS, Set::Keep(ANY), Get::Kept(0)),
];
