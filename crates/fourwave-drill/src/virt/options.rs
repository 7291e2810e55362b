//! What a socket was told by its options, and what of it the engine has to know.

use std::collections::BTreeMap;
use std::time::Duration;

use fourwave_core::congestion::Algorithm;
use fourwave_core::{Config, FastOpenKeys, SocketOption, SocketOptions};

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
    pub(super) keepalive: bool,
    pub(super) keepidle: Option<i64>,
    pub(super) keepintvl: Option<i64>,
    /// FreeBSD's TCP_KEEPINIT in seconds.
    pub(super) keepinit: Option<i64>,
    pub(super) keepcnt: Option<i64>,
    pub(super) nodelay: bool,
    pub(super) user_timeout: i64,
    pub(super) linger2: Option<i64>,
    /// Doubled, as Linux keeps them.
    pub(super) send_buffer: Option<i64>,
    pub(super) receive_buffer: Option<i64>,
    pub(super) not_sent_lowat: u32,
    pub(super) cork: bool,
    pub(super) congestion: Option<Algorithm>,
    pub(super) syncnt: i64,
    pub(super) maxseg: i64,
    /// Lowest and highest port for `connect`, where the socket has a range of its own.
    pub(super) ports: Option<(u16, u16)>,
    /// (level, number) → value, for options without a meaning here.
    pub(super) kept: BTreeMap<(i32, i32), i64>,
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
            keepinit: None,
            keepcnt: None,
            nodelay: false,
            user_timeout: 0,
            linger2: None,
            send_buffer: None,
            receive_buffer: None,
            not_sent_lowat: 0,
            cork: false,
            congestion: None,
            syncnt: 0,
            maxseg: 0,
            ports: None,
            kept: BTreeMap::new(),
        }
    }
}

impl Options {
    /// Bytes of text that a receive buffer set by SO_RCVBUF has room for: Linux counts half of it
    /// as overhead.
    pub(super) fn receive_space(&self) -> Option<u64> {
        self.receive_buffer.map(|doubled| doubled as u64 / 2)
    }

    /// The engine's options of a connection that there will be.
    pub(super) fn for_engine(&self, config: &Config) -> SocketOptions {
        let told = self.told(config).into_iter();
        let options = told.fold(SocketOptions::default(), SocketOptions::with);
        match &self.congestion {
            Some(algorithm) => options.with_congestion(algorithm.clone()),
            None => options,
        }
    }

    /// What the socket was told, as the engine's options; the system's own are those of `config`.
    pub(super) fn told(&self, config: &Config) -> Vec<SocketOption> {
        let (idle, interval) = (config.tcp_keepalive_time, config.tcp_keepalive_intvl);
        let (probes, fin_timeout) = (config.tcp_keepalive_probes, config.tcp_fin_timeout);
        let seconds = |value: Option<i64>, default: u64| {
            Duration::from_secs(value.map_or(default, |value| value as u64))
        };
        let keepalive = match self.keepalive {
            false => SocketOption::KeepAlive(false),
            true => SocketOption::KeepAliveTimes {
                idle: seconds(self.keepidle, idle),
                interval: seconds(self.keepintvl, interval),
                probes: self.keepcnt.unwrap_or(probes as i64) as u8,
            },
        };
        let mut told = vec![
            SocketOption::NoDelay(self.nodelay),
            SocketOption::LingerZero(self.linger == Some(0)),
            SocketOption::UserTimeout(Duration::from_millis(self.user_timeout as u64)),
            keepalive,
            SocketOption::Cork(self.cork),
            SocketOption::SynCount(self.syncnt as u8),
            SocketOption::MaxSeg(self.maxseg as u16),
            SocketOption::SendBuffer(self.send_buffer.unwrap_or(0) as u32),
            SocketOption::NotSentLowat(self.not_sent_lowat),
        ];
        if let Some(space) = self.receive_space() {
            told.push(SocketOption::ReceiveBuffer(space as u32));
        }
        match self.linger2 {
            None => {}
            Some(0) => told.push(SocketOption::Linger2(Duration::from_secs(fin_timeout))),
            Some(n) => told.push(SocketOption::Linger2(Duration::from_secs(n.max(0) as u64))),
        }
        told
    }
}
