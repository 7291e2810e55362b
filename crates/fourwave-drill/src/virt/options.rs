//! Socket options: what each socket was told, and what of it the engine has to know.

use std::time::Duration;

use fourwave_core::congestion::Algorithm;
use fourwave_core::state::State;
use fourwave_core::{ConnId, FastOpenKeys, SocketOption, SocketOptions};

use super::Virtual;
use super::abi::{self, errno, event, ip, ipv6, so, stamp, tcp};
use super::calls::{Attempt, Stop, done, done_with, fail, unsupported};
use super::socket::Phase;
use crate::symbols;
use crate::syscall::{Fd, OptionValue, Output};

/// Linux's least SO_SNDBUF and SO_RCVBUF.
const LEAST_SEND_BUFFER: i64 = 4608;
const LEAST_RECEIVE_BUFFER: i64 = 2304;
/// `net.core.wmem_max` and `rmem_max` since Linux 6.17.
const MOST_BUFFER: i64 = 4_194_304;
/// TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT at most.
const MOST_KEEPALIVE: i64 = 32_767;
const MOST_PROBES: i64 = 127;
/// TCP_MAXSEG at least and at most.
const LEAST_MAXSEG: i64 = 88;
const MOST_MAXSEG: i64 = 32_767;
/// TCP_LINGER2 at most, in seconds.
const MOST_LINGER2: i64 = 120;
const MTU_DISCOVERY_DEFAULT: i64 = 1;
/// `net.ipv4.ip_default_ttl`.
const DEFAULT_TTL: i64 = 64;

/// What a socket was told. Figures that Linux only keeps and gives back are in `kept`.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
    pub(super) freebind: bool,
    /// SO_LINGER in seconds, when it is on.
    pub(super) linger: Option<u32>,
    pub(super) receive_low: usize,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    pub(super) zerocopy: bool,
    pub(super) timestamping: u32,
    pub(super) inq: bool,
    /// TCP_FASTOPEN: the queue's length.
    pub(super) fastopen: usize,
    pub(super) fastopen_keys: Option<FastOpenKeys>,
    pub(super) fastopen_connect: bool,
    pub(super) fastopen_no_cookie: bool,
    keepalive: bool,
    keepidle: Option<i64>,
    keepintvl: Option<i64>,
    keepcnt: Option<i64>,
    nodelay: bool,
    user_timeout: i64,
    linger2: Option<i64>,
    /// Doubled, as Linux keeps them.
    pub(super) send_buffer: Option<i64>,
    receive_buffer: Option<i64>,
    pub(super) not_sent_lowat: u32,
    cork: bool,
    congestion: Algorithm,
    syncnt: i64,
    pub(super) maxseg: i64,
    /// Lowest and highest port for `connect`, where the socket has a range of its own.
    pub(super) ports: Option<(u16, u16)>,
    /// (level, name) → value, for options without a meaning here.
    kept: std::collections::BTreeMap<(i32, i32), i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reuse_addr: false,
            reuse_port: false,
            freebind: false,
            linger: None,
            receive_low: 1,
            receive_timeout: None,
            send_timeout: None,
            zerocopy: false,
            timestamping: 0,
            inq: false,
            fastopen: 0,
            fastopen_keys: None,
            fastopen_connect: false,
            fastopen_no_cookie: false,
            keepalive: false,
            keepidle: None,
            keepintvl: None,
            keepcnt: None,
            nodelay: false,
            user_timeout: 0,
            linger2: None,
            send_buffer: None,
            receive_buffer: None,
            not_sent_lowat: 0,
            cork: false,
            congestion: Algorithm::default(),
            syncnt: 0,
            maxseg: 0,
            ports: None,
            kept: std::collections::BTreeMap::new(),
        }
    }
}

impl Options {
    /// Bytes of text that a receive buffer set by SO_RCVBUF has room for: Linux counts half of it
    /// as overhead.
    pub(super) fn receive_space(&self) -> Option<u64> {
        self.receive_buffer.map(|doubled| doubled as u64 / 2)
    }
}

/// An option's name for messages.
fn name_of(level: i32, name: i32) -> String {
    symbols::option_name(level.into(), name.into())
        .map_or_else(|| format!("socket option {name} of level {level}"), str::to_owned)
}

fn flag(on: bool) -> i64 {
    on.into()
}

/// Seconds of a timeval; 0 is no limit.
fn timeval(value: &OptionValue) -> Result<Option<Duration>, Stop> {
    let OptionValue::Bytes(bytes) = value else { return fail(errno::EINVAL) };
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(i64::from_le_bytes);
    let (Some(seconds), Some(micros)) = (word(0), word(8)) else { return fail(errno::EINVAL) };
    if !(0..1_000_000).contains(&micros) {
        return fail(errno::EDOM);
    }
    let time = Duration::new(u64::try_from(seconds).unwrap_or(0), micros as u32 * 1000);
    Ok((!time.is_zero()).then_some(time))
}

/// The timeval of a limit, cut to `len` bytes.
fn timeval_bytes(limit: Option<Duration>, len: usize) -> Vec<u8> {
    let limit = limit.unwrap_or_default();
    let mut bytes = limit.as_secs().to_le_bytes().to_vec();
    bytes.extend(u64::from(limit.subsec_micros()).to_le_bytes());
    bytes.truncate(len);
    bytes
}

impl Virtual {
    pub(super) fn set_option(
        &mut self,
        fd: Fd,
        level: i32,
        name: i32,
        value: &OptionValue,
        len: i64,
    ) -> Attempt {
        self.socket(fd)?;
        if *value == OptionValue::Null && len > 0 {
            return fail(errno::EFAULT);
        }
        match (level, name) {
            (abi::SOL_SOCKET, so::LINGER) => return self.set_linger(fd, value, len),
            (abi::SOL_SOCKET, so::RCVTIMEO) => {
                self.socket(fd)?.options.receive_timeout = timeval(value)?;
                return done(0);
            }
            (abi::SOL_SOCKET, so::SNDTIMEO) => {
                self.socket(fd)?.options.send_timeout = timeval(value)?;
                return done(0);
            }
            (abi::IPPROTO_TCP, tcp::FASTOPEN_KEY) => {
                let bytes = match value {
                    OptionValue::Bytes(bytes) => bytes.get(..len.max(0) as usize),
                    _ => None,
                };
                let bytes = OptionValue::Bytes(bytes.unwrap_or_default().to_vec());
                return self.set_fastopen_key(fd, &bytes);
            }
            (abi::IPPROTO_TCP, tcp::CONGESTION) => return self.set_congestion(fd, value),
            _ => {}
        }
        let OptionValue::Int(number) = *value else {
            return unsupported(format!("{} with such a value", name_of(level, name)));
        };
        // Level IP takes bytes where the others want a whole int.
        let least = if level == abi::IPPROTO_IP { 1 } else { 4 };
        if len < least {
            return fail(errno::EINVAL);
        }
        match level {
            abi::SOL_SOCKET => self.set_socket_option(fd, name, number),
            abi::IPPROTO_TCP => self.set_tcp_option(fd, name, number),
            abi::IPPROTO_IP => self.set_ip_option(fd, name, number),
            abi::IPPROTO_IPV6 => self.set_ipv6_option(fd, name, number),
            _ => unsupported(name_of(level, name)),
        }
    }

    fn set_linger(&mut self, fd: Fd, value: &OptionValue, len: i64) -> Attempt {
        let OptionValue::Linger { on, seconds } = *value else { return fail(errno::EINVAL) };
        if len < 8 {
            return fail(errno::EINVAL);
        }
        self.socket(fd)?.options.linger = (on != 0).then_some(seconds.max(0) as u32);
        self.tell_engine(fd)
    }

    fn set_congestion(&mut self, fd: Fd, value: &OptionValue) -> Attempt {
        let OptionValue::Bytes(bytes) = value else { return fail(errno::EINVAL) };
        let name = String::from_utf8_lossy(bytes);
        let Some(algorithm) = Algorithm::by_name(name.trim_end_matches('\0')) else {
            return fail(errno::ENOENT);
        };
        let socket = self.socket(fd)?;
        socket.options.congestion = algorithm.clone();
        match socket.phase {
            Phase::Connection(conn) => {
                // It fails for a handle that names nothing, and this one is held.
                let _ = self.stack.set_congestion_control(conn, algorithm);
            }
            Phase::Listening(_) => self.tell_listener(fd)?,
            Phase::Closed | Phase::Deferred(_) => {}
        }
        done(0)
    }

    fn set_socket_option(&mut self, fd: Fd, name: i32, value: i64) -> Attempt {
        let options = &mut self.socket(fd)?.options;
        let on = value != 0;
        match name {
            so::REUSEADDR => options.reuse_addr = on,
            so::REUSEPORT => options.reuse_port = on,
            so::KEEPALIVE => {
                options.keepalive = on;
                return self.tell_engine(fd);
            }
            so::RCVLOWAT => {
                options.receive_low = usize::try_from(value).unwrap_or(usize::MAX).max(1)
            }
            so::ZEROCOPY if !(0..=1).contains(&value) => return fail(errno::EINVAL),
            so::ZEROCOPY => options.zerocopy = on,
            so::TIMESTAMPING => return self.set_timestamping(fd, value as u32),
            so::SNDBUF | so::SNDBUFFORCE => {
                let value = value.clamp(0, MOST_BUFFER);
                options.send_buffer = Some((value * 2).max(LEAST_SEND_BUFFER));
                return self.tell_engine(fd);
            }
            so::RCVBUF | so::RCVBUFFORCE => {
                let value = value.clamp(0, MOST_BUFFER);
                options.receive_buffer = Some((value * 2).max(LEAST_RECEIVE_BUFFER));
                return self.tell_engine(fd);
            }
            so::TYPE | so::ERROR | so::ACCEPTCONN | so::PROTOCOL | so::DOMAIN | so::SNDLOWAT => {
                return fail(errno::ENOPROTOOPT);
            }
            so::PRIORITY | so::MARK | so::DONTROUTE | so::BROADCAST | so::BUSY_POLL => {
                options.kept.insert((abi::SOL_SOCKET, name), value);
            }
            _ => return unsupported(name_of(abi::SOL_SOCKET, name)),
        }
        done(0)
    }

    fn set_timestamping(&mut self, fd: Fd, flags: u32) -> Attempt {
        let socket = self.socket(fd)?;
        let fresh = flags & stamp::OPT_ID != 0 && socket.options.timestamping & stamp::OPT_ID == 0;
        if fresh {
            if !matches!(socket.phase, Phase::Connection(_)) {
                return fail(errno::EINVAL);
            }
            let all = flags & stamp::OPT_ID_TCP != 0;
            let written = all.then_some(socket.written);
            socket.errors.count_keys(written);
        }
        socket.options.timestamping = flags;
        done(0)
    }

    fn set_tcp_option(&mut self, fd: Fd, name: i32, value: i64) -> Attempt {
        let options = &mut self.socket(fd)?.options;
        match name {
            tcp::NODELAY => options.nodelay = value != 0,
            tcp::INQ if !(0..=1).contains(&value) => return fail(errno::EINVAL),
            tcp::INQ => options.inq = value != 0,
            tcp::KEEPIDLE | tcp::KEEPINTVL if !(1..=MOST_KEEPALIVE).contains(&value) => {
                return fail(errno::EINVAL);
            }
            tcp::KEEPIDLE => options.keepidle = Some(value),
            tcp::KEEPINTVL => options.keepintvl = Some(value),
            tcp::KEEPCNT if !(1..=MOST_PROBES).contains(&value) => return fail(errno::EINVAL),
            tcp::KEEPCNT => options.keepcnt = Some(value),
            tcp::USER_TIMEOUT if value < 0 => return fail(errno::EINVAL),
            tcp::USER_TIMEOUT => options.user_timeout = value,
            tcp::LINGER2 => options.linger2 = Some(value.clamp(-1, MOST_LINGER2)),
            tcp::FASTOPEN => return self.set_fastopen(fd, value),
            tcp::FASTOPEN_CONNECT => return self.set_fastopen_connect(fd, value),
            tcp::FASTOPEN_NO_COOKIE if !(0..=1).contains(&value) => return fail(errno::EINVAL),
            tcp::FASTOPEN_NO_COOKIE => options.fastopen_no_cookie = value == 1,
            tcp::INFO => return fail(errno::ENOPROTOOPT),
            tcp::CORK => options.cork = value != 0,
            tcp::NOTSENT_LOWAT => {
                options.not_sent_lowat = value as u32;
                self.tell_engine(fd)?;
                return self.wake_if_writable(fd);
            }
            tcp::SYNCNT if !(1..=MOST_PROBES).contains(&value) => return fail(errno::EINVAL),
            tcp::SYNCNT => options.syncnt = value,
            tcp::MAXSEG if value != 0 && !(LEAST_MAXSEG..=MOST_MAXSEG).contains(&value) => {
                return fail(errno::EINVAL);
            }
            tcp::MAXSEG => options.maxseg = value,
            tcp::QUICKACK => return self.quick_ack(fd, value != 0),
            // Off is what the engine does.
            tcp::DEFER_ACCEPT if value == 0 => {}
            _ => return unsupported(name_of(abi::IPPROTO_TCP, name)),
        }
        self.tell_engine(fd)
    }

    fn set_ip_option(&mut self, fd: Fd, name: i32, value: i64) -> Attempt {
        let options = &mut self.socket(fd)?.options;
        match name {
            ip::LOCAL_PORT_RANGE => {
                let (low, high) = (value as u32 as u16, (value as u32 >> 16) as u16);
                if low != 0 && high != 0 && low > high {
                    return fail(errno::EINVAL);
                }
                options.ports = (value != 0).then_some((low, high));
            }
            ip::FREEBIND => options.freebind = value != 0,
            ip::TOS if !(0..=255).contains(&value) => return fail(errno::EINVAL),
            ip::MTU_DISCOVER if !(0..=5).contains(&value) => return fail(errno::EINVAL),
            ip::TTL if value != -1 && !(1..=255).contains(&value) => return fail(errno::EINVAL),
            ip::TTL if value == -1 => {
                options.kept.remove(&(abi::IPPROTO_IP, name));
            }
            ip::TOS | ip::TTL | ip::MTU_DISCOVER | ip::BIND_ADDRESS_NO_PORT => {
                options.kept.insert((abi::IPPROTO_IP, name), value);
            }
            _ => return unsupported(name_of(abi::IPPROTO_IP, name)),
        }
        done(0)
    }

    fn set_ipv6_option(&mut self, fd: Fd, name: i32, value: i64) -> Attempt {
        let socket = self.socket(fd)?;
        if socket.family != abi::AF_INET6 {
            return fail(errno::ENOPROTOOPT);
        }
        match name {
            ipv6::V6ONLY if socket.local.is_some() => return fail(errno::EINVAL),
            ipv6::V6ONLY | ipv6::MTU_DISCOVER | ipv6::TCLASS => {
                socket.options.kept.insert((abi::IPPROTO_IPV6, name), value);
            }
            _ => return unsupported(name_of(abi::IPPROTO_IPV6, name)),
        }
        done(0)
    }

    /// Brings a living connection's options up to date, or what a listener hands down.
    fn tell_engine(&mut self, fd: Fd) -> Attempt {
        match self.socket(fd)?.phase {
            Phase::Connection(conn) => self.apply_options(fd, conn)?,
            Phase::Listening(_) => self.tell_listener(fd)?,
            Phase::Closed | Phase::Deferred(_) => {}
        }
        done(0)
    }

    /// After a limit was moved, Linux tells those who wait without having met it.
    fn wake_if_writable(&mut self, fd: Fd) -> Attempt {
        if let Phase::Connection(conn) = self.socket(fd)?.phase
            && self.writable(conn)
        {
            self.wake(fd, event::OUT | event::WRNORM | event::WRBAND);
        }
        done(0)
    }

    /// `TCP_QUICKACK`: said to the connection, not kept.
    fn quick_ack(&mut self, fd: Fd, on: bool) -> Attempt {
        if let Phase::Connection(conn) = self.socket(fd)?.phase {
            // It fails for a handle that names nothing, and this one is held.
            let _ = self.stack.set_option(self.now, conn, SocketOption::QuickAck(on));
        }
        done(0)
    }

    /// Tells a connection all that its socket was told.
    fn apply_options(&mut self, fd: Fd, conn: ConnId) -> Result<(), Stop> {
        for option in self.engine_options(fd)? {
            // It fails for a handle that names nothing, and this one is held.
            let _ = self.stack.set_option(self.now, conn, option);
        }
        Ok(())
    }

    /// The same for a connection that there will be.
    pub(super) fn socket_options(&mut self, fd: Fd) -> Result<SocketOptions, Stop> {
        let options = self.engine_options(fd)?;
        let congestion = self.socket(fd)?.options.congestion.clone();
        let options = options.into_iter().fold(SocketOptions::default(), SocketOptions::with);
        Ok(options.with_congestion(congestion))
    }

    /// What a socket was told, as the engine's options.
    fn engine_options(&mut self, fd: Fd) -> Result<Vec<SocketOption>, Stop> {
        let config = &self.sysctls.config;
        let (idle, interval) = (config.tcp_keepalive_time, config.tcp_keepalive_intvl);
        let (probes, fin_timeout) = (config.tcp_keepalive_probes, config.tcp_fin_timeout);
        let options = &self.socket(fd)?.options;
        let seconds = |value: Option<i64>, default: u64| {
            Duration::from_secs(value.map_or(default, |value| value as u64))
        };
        let keepalive = match options.keepalive {
            false => SocketOption::KeepAlive(false),
            true => SocketOption::KeepAliveTimes {
                idle: seconds(options.keepidle, idle),
                interval: seconds(options.keepintvl, interval),
                probes: options.keepcnt.unwrap_or(probes as i64) as u8,
            },
        };
        let mut told = vec![
            SocketOption::NoDelay(options.nodelay),
            SocketOption::LingerZero(options.linger == Some(0)),
            SocketOption::UserTimeout(Duration::from_millis(options.user_timeout as u64)),
            keepalive,
            SocketOption::Cork(options.cork),
            SocketOption::SynCount(options.syncnt as u8),
            SocketOption::MaxSeg(options.maxseg as u16),
            SocketOption::SendBuffer(options.send_buffer.unwrap_or(0) as u32),
            SocketOption::NotSentLowat(options.not_sent_lowat),
        ];
        if let Some(space) = options.receive_space() {
            told.push(SocketOption::ReceiveBuffer(space as u32));
        }
        match options.linger2 {
            None => {}
            Some(0) => told.push(SocketOption::Linger2(Duration::from_secs(fin_timeout))),
            Some(n) => told.push(SocketOption::Linger2(Duration::from_secs(n.max(0) as u64))),
        }
        Ok(told)
    }

    pub(super) fn get_option(&mut self, fd: Fd, level: i32, name: i32, len: usize) -> Attempt {
        let phase = self.socket(fd)?.phase;
        let value = match level {
            abi::SOL_SOCKET => {
                if matches!(name, so::RCVTIMEO | so::SNDTIMEO) {
                    let options = &self.socket(fd)?.options;
                    let receives = name == so::RCVTIMEO;
                    let time =
                        if receives { options.receive_timeout } else { options.send_timeout };
                    return done_with(0, Output::Bytes(timeval_bytes(time, len)));
                }
                if name == so::LINGER {
                    let linger = self.socket(fd)?.options.linger;
                    let (on, seconds) = (linger.is_some().into(), linger.unwrap_or(0) as i32);
                    return done_with(0, Output::Linger { on, seconds });
                }
                self.get_socket_option(fd, name, phase)?
            }
            abi::IPPROTO_TCP if name == tcp::CONGESTION => {
                let running = self.engine_info(phase).map(|info| info.congestion);
                let name = running.unwrap_or(self.socket(fd)?.options.congestion.name());
                return done_with(0, Output::Bytes(name.into()));
            }
            abi::IPPROTO_TCP if name == tcp::FASTOPEN_KEY => {
                let own = self.socket(fd)?.options.fastopen_keys;
                let Some(keys) = own.or(self.sysctls.fast_open_keys) else {
                    return unsupported("TCP_FASTOPEN_KEY before any key was set");
                };
                let mut bytes = keys.primary.to_vec();
                bytes.extend(keys.backup.iter().flatten());
                bytes.truncate(len);
                return done_with(0, Output::Bytes(bytes));
            }
            abi::IPPROTO_TCP => self.get_tcp_option(fd, name, phase)?,
            _ => {
                let default = match (level, name) {
                    (abi::IPPROTO_IP, ip::FREEBIND) => flag(self.socket(fd)?.options.freebind),
                    (abi::IPPROTO_IP, ip::MTU) => self.setup.mtu.into(),
                    (abi::IPPROTO_IP, ip::MTU_DISCOVER)
                    | (abi::IPPROTO_IPV6, ipv6::MTU_DISCOVER) => MTU_DISCOVERY_DEFAULT,
                    (abi::IPPROTO_IP, ip::TTL) => DEFAULT_TTL,
                    (abi::IPPROTO_IP, ip::TOS | ip::BIND_ADDRESS_NO_PORT) => 0,
                    (abi::IPPROTO_IPV6, ipv6::V6ONLY | ipv6::TCLASS) => 0,
                    _ => return unsupported(name_of(level, name)),
                };
                self.kept(fd, level, name, default)?
            }
        };
        done_with(0, Output::Int { value, len: len.min(4) })
    }

    fn kept(&mut self, fd: Fd, level: i32, name: i32, default: i64) -> Result<i64, Stop> {
        Ok(self.socket(fd)?.options.kept.get(&(level, name)).copied().unwrap_or(default))
    }

    fn get_socket_option(&mut self, fd: Fd, name: i32, phase: Phase) -> Result<i64, Stop> {
        let send = self.sysctls.config.tcp_wmem_default;
        let receive = self.sysctls.receive_buffer;
        let socket = self.socket(fd)?;
        let options = &socket.options;
        Ok(match name {
            so::ERROR => i64::from(socket.take_error().unwrap_or(0)),
            so::TYPE => abi::SOCK_STREAM.into(),
            so::PROTOCOL => abi::IPPROTO_TCP.into(),
            so::DOMAIN => socket.family.into(),
            so::ACCEPTCONN => flag(matches!(phase, Phase::Listening(_))),
            so::REUSEADDR => flag(options.reuse_addr),
            so::REUSEPORT => flag(options.reuse_port),
            so::KEEPALIVE => flag(options.keepalive),
            so::ZEROCOPY => flag(options.zerocopy),
            so::RCVLOWAT => options.receive_low as i64,
            so::SNDLOWAT => 1,
            so::TIMESTAMPING => options.timestamping.into(),
            so::SNDBUF => options.send_buffer.unwrap_or(send as i64),
            so::RCVBUF => match options.receive_buffer {
                Some(set) => set,
                None => self.rounded_buffer(receive, phase),
            },
            so::PRIORITY | so::MARK | so::DONTROUTE | so::BROADCAST | so::BUSY_POLL => {
                return self.kept(fd, abi::SOL_SOCKET, name, 0);
            }
            _ => return unsupported(name_of(abi::SOL_SOCKET, name)),
        })
    }

    /// A receive buffer that nobody set; FreeBSD rounds that of a connection up to whole segments.
    fn rounded_buffer(&self, bytes: u64, phase: Phase) -> i64 {
        let info = self.engine_info(phase).filter(|info| info.state != State::SynSent);
        let Some(info) = info.filter(|_| self.sysctls.freebsd) else { return bytes as i64 };
        let stamps = if info.timestamps { 12 } else { 0 };
        bytes.next_multiple_of(u64::from(info.snd_mss) + stamps) as i64
    }

    fn get_tcp_option(&mut self, fd: Fd, name: i32, phase: Phase) -> Result<i64, Stop> {
        const UNCONNECTED_MSS: u32 = 536;
        let mss = self.engine_info(phase).map_or(UNCONNECTED_MSS, |info| info.snd_mss);
        let config = self.sysctls.config.clone();
        let options = &self.socket(fd)?.options;
        Ok(match name {
            tcp::NODELAY => flag(options.nodelay),
            tcp::INQ => flag(options.inq),
            tcp::MAXSEG if options.maxseg != 0 && !matches!(phase, Phase::Connection(_)) => {
                options.maxseg
            }
            tcp::MAXSEG => mss.into(),
            tcp::KEEPIDLE => options.keepidle.unwrap_or(config.tcp_keepalive_time as i64),
            tcp::KEEPINTVL => options.keepintvl.unwrap_or(config.tcp_keepalive_intvl as i64),
            tcp::KEEPCNT => options.keepcnt.unwrap_or(config.tcp_keepalive_probes as i64),
            tcp::USER_TIMEOUT => options.user_timeout,
            // 0 stands for the system's own.
            tcp::LINGER2 => match options.linger2 {
                None | Some(0) => config.tcp_fin_timeout as i64,
                Some(seconds) => seconds,
            },
            tcp::SYNCNT if options.syncnt != 0 => options.syncnt,
            tcp::SYNCNT => config.tcp_syn_retries as i64,
            tcp::CORK => flag(options.cork),
            tcp::NOTSENT_LOWAT => options.not_sent_lowat.into(),
            tcp::DEFER_ACCEPT => 0,
            tcp::FASTOPEN => options.fastopen as i64,
            tcp::FASTOPEN_CONNECT => flag(options.fastopen_connect),
            tcp::FASTOPEN_NO_COOKIE => flag(options.fastopen_no_cookie),
            _ => return unsupported(name_of(abi::IPPROTO_TCP, name)),
        })
    }
}
