//! Options that have rules of their own, and what the engine is told of all.

use std::time::Duration;

use fourwave_core::congestion::Algorithm;
use fourwave_core::state::State;
use fourwave_core::{SocketOption, SocketOptions};

use super::super::Virtual;
use super::super::abi::{errno, event, stamp};
use super::super::outcome::{Attempt, Stop, done, fail, unsupported};
use super::super::socket::Phase;
use crate::sockopt as option;
use crate::syscall::{Fd, OptionValue, Output};

/// TCP_MAXSEG at least and at most.
const LEAST_MAXSEG: i64 = 88;
const MOST_MAXSEG: i64 = 32_767;

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
fn timeval_bytes(limit: Option<Duration>, len: usize) -> Output {
    let limit = limit.unwrap_or_default();
    let mut bytes = limit.as_secs().to_le_bytes().to_vec();
    bytes.extend(u64::from(limit.subsec_micros()).to_le_bytes());
    bytes.truncate(len);
    Output::Bytes(bytes)
}

/// SOL_SOCKET.
impl Virtual {
    pub(super) fn set_linger(&mut self, fd: Fd, value: &OptionValue, len: i64) -> Attempt {
        let OptionValue::Linger { on, seconds } = *value else { return fail(errno::EINVAL) };
        if len < 8 {
            return fail(errno::EINVAL);
        }
        self.socket(fd)?.options.linger = (on != 0).then_some(seconds.max(0) as u32);
        self.tell_engine(fd)
    }

    pub(super) fn linger(&mut self, fd: Fd, _: usize) -> Result<Output, Stop> {
        let linger = self.socket(fd)?.options.linger;
        let (on, seconds) = (linger.is_some().into(), linger.unwrap_or(0) as i32);
        Ok(Output::Linger { on, seconds })
    }

    pub(super) fn set_receive_timeout(&mut self, fd: Fd, value: &OptionValue, _: i64) -> Attempt {
        self.socket(fd)?.options.receive_timeout = timeval(value)?;
        done(0)
    }

    pub(super) fn receive_timeout(&mut self, fd: Fd, len: usize) -> Result<Output, Stop> {
        Ok(timeval_bytes(self.socket(fd)?.options.receive_timeout, len))
    }

    pub(super) fn set_send_timeout(&mut self, fd: Fd, value: &OptionValue, _: i64) -> Attempt {
        self.socket(fd)?.options.send_timeout = timeval(value)?;
        done(0)
    }

    pub(super) fn send_timeout(&mut self, fd: Fd, len: usize) -> Result<Output, Stop> {
        Ok(timeval_bytes(self.socket(fd)?.options.send_timeout, len))
    }

    pub(super) fn set_timestamping(&mut self, fd: Fd, flags: i64) -> Attempt {
        let flags = flags as u32;
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

    pub(super) fn send_buffer(&mut self, fd: Fd) -> Result<i64, Stop> {
        let default = self.sysctls.config.tcp_wmem_default as i64;
        Ok(self.socket(fd)?.options.send_buffer.unwrap_or(default))
    }

    /// One that nobody set is the system's; FreeBSD rounds that of a connection up to whole
    /// segments.
    pub(super) fn receive_buffer(&mut self, fd: Fd) -> Result<i64, Stop> {
        let socket = self.socket(fd)?;
        if let Some(set) = socket.options.receive_buffer {
            return Ok(set);
        }
        let phase = socket.phase;
        let bytes = self.sysctls.receive_buffer;
        let info = self.engine_info(phase).filter(|info| info.state != State::SynSent);
        let Some(info) = info.filter(|_| self.sysctls.freebsd.is_some()) else {
            return Ok(bytes as i64);
        };
        let stamps = if info.timestamps { 12 } else { 0 };
        Ok(bytes.next_multiple_of(u64::from(info.snd_mss) + stamps) as i64)
    }
}

/// SOL_TCP.
impl Virtual {
    /// `TCP_QUICKACK`: said to the connection, not kept.
    pub(super) fn set_quick_ack(&mut self, fd: Fd, value: i64) -> Attempt {
        if let Phase::Connection(conn) = self.socket(fd)?.phase {
            // It fails for a handle that names nothing, and this one is held.
            let _ = self.engine.set_option(self.now, conn, SocketOption::QuickAck(value != 0));
        }
        done(0)
    }

    pub(super) fn set_maxseg(&mut self, fd: Fd, value: i64) -> Attempt {
        if value != 0 && !(LEAST_MAXSEG..=MOST_MAXSEG).contains(&value) {
            return fail(errno::EINVAL);
        }
        self.socket(fd)?.options.maxseg = value;
        self.tell_engine(fd)
    }

    pub(super) fn maxseg(&mut self, fd: Fd) -> Result<i64, Stop> {
        const UNCONNECTED_MSS: u32 = 536;
        let socket = self.socket(fd)?;
        let (phase, own) = (socket.phase, socket.options.maxseg);
        if own != 0 && !matches!(phase, Phase::Connection(_)) {
            return Ok(own);
        }
        Ok(self.engine_info(phase).map_or(UNCONNECTED_MSS, |info| info.snd_mss).into())
    }

    /// After the limit was moved, Linux tells those who wait without having met it.
    pub(super) fn set_not_sent_lowat(&mut self, fd: Fd, value: i64) -> Attempt {
        self.socket(fd)?.options.not_sent_lowat = value as u32;
        self.tell_engine(fd)?;
        if let Phase::Connection(conn) = self.socket(fd)?.phase
            && self.writable(conn)
        {
            self.wake(fd, event::OUT | event::WRNORM | event::WRBAND);
        }
        done(0)
    }

    /// Off is what the engine does.
    pub(super) fn set_defer_accept(&mut self, fd: Fd, value: i64) -> Attempt {
        match value {
            0 => self.tell_engine(fd),
            _ => unsupported(option::TCP_DEFER_ACCEPT.name),
        }
    }

    pub(super) fn set_congestion(&mut self, fd: Fd, value: &OptionValue, _: i64) -> Attempt {
        let OptionValue::Bytes(bytes) = value else { return fail(errno::EINVAL) };
        let name = String::from_utf8_lossy(bytes);
        let Some(algorithm) = Algorithm::by_name(name.trim_end_matches('\0')) else {
            return fail(errno::ENOENT);
        };
        let socket = self.socket(fd)?;
        socket.options.congestion = Some(algorithm.clone());
        match socket.phase {
            Phase::Connection(conn) => {
                // It fails for a handle that names nothing, and this one is held.
                let _ = self.engine.set_congestion_control(conn, algorithm);
            }
            Phase::Listening(_) => self.tell_listener(fd)?,
            Phase::Closed | Phase::Deferred(_) => {}
        }
        done(0)
    }

    pub(super) fn congestion(&mut self, fd: Fd, _: usize) -> Result<Output, Stop> {
        let phase = self.socket(fd)?.phase;
        let running = self.engine_info(phase).map(|info| info.congestion);
        let own = self.socket(fd)?.options.congestion.as_ref().map(Algorithm::name);
        let default = self.sysctls.config.congestion_control();
        let name = running.or(own).unwrap_or(default.name());
        Ok(Output::Bytes(name.into()))
    }

    pub(super) fn fastopen_key(&mut self, fd: Fd, len: usize) -> Result<Output, Stop> {
        let own = self.socket(fd)?.options.fastopen_keys;
        let Some(keys) = own.or(self.sysctls.fast_open_keys) else {
            return unsupported("TCP_FASTOPEN_KEY before any key was set");
        };
        let mut bytes = keys.primary.to_vec();
        bytes.extend(keys.backup.iter().flatten());
        bytes.truncate(len);
        Ok(Output::Bytes(bytes))
    }
}

/// SOL_IP and SOL_IPV6.
impl Virtual {
    pub(super) fn set_port_range(&mut self, fd: Fd, value: i64) -> Attempt {
        let (low, high) = (value as u32 as u16, (value as u32 >> 16) as u16);
        if low != 0 && high != 0 && low > high {
            return fail(errno::EINVAL);
        }
        self.socket(fd)?.options.ports = (value != 0).then_some((low, high));
        done(0)
    }

    /// -1 is the system's own.
    pub(super) fn set_ttl(&mut self, fd: Fd, value: i64) -> Attempt {
        let kept = &mut self.socket(fd)?.options.kept;
        let place = (option::IP_TTL.level, option::IP_TTL.number);
        match value {
            -1 => kept.remove(&place),
            1..=255 => kept.insert(place, value),
            _ => return fail(errno::EINVAL),
        };
        done(0)
    }

    /// Only before the socket has an address.
    pub(super) fn set_v6only(&mut self, fd: Fd, value: i64) -> Attempt {
        let socket = self.socket(fd)?;
        if socket.local.is_some() {
            return fail(errno::EINVAL);
        }
        let place = (option::IPV6_V6ONLY.level, option::IPV6_V6ONLY.number);
        socket.options.kept.insert(place, value);
        done(0)
    }
}

/// What the engine is told.
impl Virtual {
    /// Brings a living connection's options up to date, or what a listener hands down.
    pub(in super::super) fn tell_engine(&mut self, fd: Fd) -> Attempt {
        let phase = self.socket(fd)?.phase;
        match phase {
            Phase::Connection(conn) => {
                let config = self.sysctls.config.clone();
                for option in self.socket(fd)?.options.told(&config) {
                    // It fails for a handle that names nothing, and this one is held.
                    let _ = self.engine.set_option(self.now, conn, option);
                }
            }
            Phase::Listening(_) => self.tell_listener(fd)?,
            Phase::Closed | Phase::Deferred(_) => {}
        }
        done(0)
    }

    /// What the socket was told, for a connection that there will be.
    pub(in super::super) fn socket_options(&mut self, fd: Fd) -> Result<SocketOptions, Stop> {
        let config = self.sysctls.config.clone();
        Ok(self.socket(fd)?.options.for_engine(&config))
    }
}
