//! FreeBSD as the persona of the engine: its defaults, its settings as tcp(4) describes them, and
//! what its calls say where Linux's say something else.

use std::time::Duration;

use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::{ConnId, EndReason, SocketOption};
use fourwave_wire::ip::{IpHeader, protocol};

use super::Virtual;
use super::abi::errno;
use super::job::Job;
use super::open::canonical;
use super::outcome::{Attempt, Stop, done, fail};
use super::socket::{Opening, Phase};
use super::sysctl::Sysctls;
use crate::syscall::{Fd, SendTo};

/// Sysctls that are knobs of the engine, and how many of their units make one of ours: a value
/// that is no whole number of those is refused.
const KNOBS: &[(&str, &str, u64)] = &[
    ("net.inet.tcp.sack.enable", "tcp_sack", 1),
    // The same numbers, but for 4.
    ("net.inet.tcp.ecn.enable", "tcp_ecn", 1),
    ("net.inet.tcp.msl", "tcp_timewait_len", 500),
    ("net.inet.tcp.maxtcptw", "tcp_max_tw_buckets", 1),
    ("net.inet.tcp.keepidle", "tcp_keepalive_time", 1000),
    ("net.inet.tcp.initcwnd_segments", "tcp_init_cwnd", 1),
    ("net.inet.tcp.syncache.rexmtlimit", "tcp_synack_retries", 1),
    ("net.inet.tcp.rexmit_min", "tcp_rto_min_ms", 1),
    ("net.inet.tcp.fastopen.path_disable_time", "tcp_fastopen_path_disable_sec", 1),
    ("net.inet.tcp.insecure_rst", "tcp_insecure_rst", 1),
    ("net.inet.tcp.insecure_syn", "tcp_insecure_syn", 1),
    ("net.inet.tcp.drop_synfin", "tcp_drop_synfin", 1),
    ("net.inet.tcp.icmp_may_rst", "tcp_icmp_may_rst", 1),
];

/// Sysctls with the value that the engine behaves by.
const FIXED: &[(&str, &str)] = &[
    ("net.inet.tcp.syncookies_only", "0"),
    ("net.inet.tcp.blackhole", "0"),
    ("net.inet.tcp.rexmit_drop_options", "0"),
    ("net.inet.tcp.rexmit_initial", "1000"),
    ("net.inet.tcp.rexmit_slop", "200"),
    ("net.inet.tcp.path_mtu_discovery", "1"),
    ("net.inet.tcp.rfc3042", "1"),
    ("net.inet.tcp.rfc3390", "1"),
    ("net.inet.tcp.nolocaltimewait", "0"),
    ("net.inet.tcp.pmtud_blackhole_detection", "0"),
    ("net.inet.tcp.functions_default", "freebsd"),
    ("net.inet.tcp.fastopen.psk_enable", "0"),
    ("net.inet.tcp.fastopen.acceptany", "0"),
];

/// Sysctls that change nothing that a script sees: what is logged, cached and cut, and what is done
/// when there is no room for half-open connections.
const NEUTRAL: &[&str] = &[
    "net.inet.tcp.hostcache.purgenow",
    "net.inet.tcp.log_in_vain",
    "net.inet.tcp.tso",
    "net.inet.tcp.isn_reseed_interval",
    "net.inet.tcp.syncookies",
];

/// Bits of `tcp_fastopen`: outgoing connections may, and listeners that ask for it.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;

/// What several settings come to together, and those that are no knobs of the engine.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// keepinit in seconds: how long an attempt to connect is made, unless TCP_KEEPINIT says.
    pub(super) keepinit: u64,
    /// delayed_ack.
    delays: bool,
    /// delacktime in milliseconds.
    delacktime: u64,
    /// fast_finwait2_recycle.
    fast_finwait2: bool,
    /// finwait2_timeout in seconds.
    finwait2_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keepinit: 75,
            delays: true,
            delacktime: 40,
            fast_finwait2: false,
            finwait2_timeout: 60,
        }
    }
}

/// Whether a sysctl is one of FreeBSD's.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("net.inet.") || name.starts_with("kern.ipc.")
}

impl Sysctls {
    /// FreeBSD's defaults, as far as its sysctls do not say otherwise.
    pub(super) fn select_freebsd(&mut self) {
        self.freebsd = Some(Settings::default());
        (self.config.tcp_wmem_default, self.receive_buffer) = (32_768, 65_536);
        self.config.tcp_rmem_default = self.whole_segments(self.receive_buffer);
        self.config.tcp_rmem_max = 2_097_152;
        let _ = self.config.set("tcp_syn_option_order", "freebsd");
        // keepinit ends an attempt to connect; twelve retransmissions end all else.
        self.config.tcp_syn_retries = 12;
        self.config.tcp_synack_retries = 3;
        self.config.tcp_retries2 = 12;
        self.config.tcp_rto_max_ms = 64_000;
        self.config.tcp_keepalive_probes = 8;
        // It feeds AccECN back by the flags alone.
        self.config.tcp_ecn_option = 0;
        // RSTs end no TIME_WAIT (RFC 1337).
        self.config.tcp_rfc1337 = 1;
        self.config.tcp_tw_syn_drop = 1;
        self.config.tcp_drop_synfin = 0;
        self.config.tcp_icmp_may_rst = 2;
        self.config.tcp_rcv_wnd_beyond = 1;
        self.config.tcp_fastopen_path_disable_sec = 900;
        self.combine();
    }

    /// A receive buffer is rounded up to whole segments once their size is known.
    fn whole_segments(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.segment)
    }

    /// Sets one of FreeBSD's; an error where the engine has no such setting, or not this value.
    pub(super) fn set_freebsd(&mut self, name: &str, value: &str) -> Result<(), ()> {
        if self.freebsd.is_none() {
            self.select_freebsd();
        }
        if FIXED.contains(&(name, value)) || NEUTRAL.contains(&name) {
            return Ok(());
        }
        // A SYN that asks for ECN is retransmitted without.
        if name == "net.inet.tcp.ecn.maxretries" && (value == "0" || self.config.tcp_ecn != 1) {
            return Ok(());
        }
        if name == "net.inet.tcp.cc.algorithm" {
            let ours = if value == "newreno" { "reno" } else { value };
            return self.config.set("tcp_congestion_control", ours).map_err(|_| ());
        }
        let number: u64 = value.parse().map_err(|_| ())?;
        if let Some((_, knob, unit)) = KNOBS.iter().find(|(theirs, ..)| *theirs == name) {
            let number = match (*knob, number) {
                ("tcp_drop_synfin" | "tcp_icmp_may_rst", 1) => 2,
                // AccECN where a peer asks, and nothing asked for.
                ("tcp_ecn", 4) => 5,
                (_, number) => whole(number, *unit)?,
            };
            return self.knob(knob, number);
        }
        self.set_special(name, number)?;
        self.combine();
        Ok(())
    }

    /// Settings that are more than a knob.
    fn set_special(&mut self, name: &str, number: u64) -> Result<(), ()> {
        let Some(settings) = &mut self.freebsd else { return Err(()) };
        match (name.trim_start_matches("net.inet.tcp."), number) {
            ("keepinit", _) => settings.keepinit = whole(number, 1000)?,
            ("delayed_ack", 0 | 1) => settings.delays = number == 1,
            ("delacktime", 1..=500) => settings.delacktime = number,
            ("fast_finwait2_recycle", 0 | 1) => settings.fast_finwait2 = number == 1,
            ("finwait2_timeout", _) => settings.finwait2_timeout = whole(number, 1000)?,
            ("keepintvl", _) => self.knob("tcp_keepalive_intvl", whole(number, 1000)?)?,
            ("keepcnt", _) => self.knob("tcp_keepalive_probes", number)?,
            ("recvspace", _) => {
                self.knob("tcp_rmem_default", self.whole_segments(number))?;
                self.receive_buffer = number;
            }
            ("sendspace", _) => self.knob("tcp_wmem_default", number)?,
            ("rfc1323", 0 | 1) => {
                self.knob("tcp_timestamps", number)?;
                self.knob("tcp_window_scaling", number)?;
            }
            ("fastopen.client_enable", 0 | 1) => self.fast_open(CLIENT, number == 1)?,
            ("fastopen.server_enable", 0 | 1) => self.fast_open(SERVER, number == 1)?,
            // No window is larger than 2³⁰ bytes.
            ("kern.ipc.maxsockbuf", _) => self.knob("tcp_rmem_max", number.min(1 << 30))?,
            _ => return Err(()),
        }
        Ok(())
    }

    /// One of the switches of Fast Open; the client's, turned off, forgets all cookies.
    fn fast_open(&mut self, bit: u64, on: bool) -> Result<(), ()> {
        self.forgets_cookies |= bit == CLIENT && !on;
        let bits = self.config.tcp_fastopen & !bit;
        self.knob("tcp_fastopen", if on { bits | bit } else { bits })
    }

    /// What settings come to together.
    fn combine(&mut self) {
        let Some(settings) = &self.freebsd else { return };
        self.config.tcp_quick_acks = 0;
        self.config.tcp_delack_ms = if settings.delays { settings.delacktime } else { 0 };
        // Without fast_finwait2_recycle, as long as a silent peer is probed for.
        let probed = self.config.tcp_keepalive_intvl * self.config.tcp_keepalive_probes;
        let fin_timeout = if settings.fast_finwait2 { settings.finwait2_timeout } else { probed };
        self.config.tcp_fin_timeout = fin_timeout.min(3600);
    }
}

impl Virtual {
    /// TCP_KEEPINIT.
    pub(super) fn set_keepinit(&mut self, fd: Fd, seconds: i64) -> Attempt {
        if self.sysctls.freebsd.is_none() {
            return fail(errno::ENOPROTOOPT);
        }
        if seconds < 1 {
            return fail(errno::EINVAL);
        }
        self.socket(fd)?.options.keepinit = Some(seconds);
        done(0)
    }

    /// How long an attempt to connect is made; zero where only retransmissions are counted.
    pub(super) fn keepinit(&mut self, fd: Fd) -> Result<Duration, Stop> {
        let Some(settings) = &self.sysctls.freebsd else { return Ok(Duration::ZERO) };
        let default = settings.keepinit;
        let own = self.socket(fd)?.options.keepinit.map(|seconds| seconds as u64);
        Ok(Duration::from_secs(own.unwrap_or(default)))
    }

    /// Limits the attempt that begins; the engine takes the limit for TCP_USER_TIMEOUT's, whose
    /// own is back once the connection is open.
    pub(super) fn limit_attempt(&mut self, fd: Fd, conn: ConnId) -> Result<(), Stop> {
        let limit = self.keepinit(fd)?;
        if !limit.is_zero() {
            // It fails for a handle that names nothing, and this one is new.
            let _ = self.engine.set_option(self.now, conn, SocketOption::UserTimeout(limit));
        }
        Ok(())
    }
}

/// Fast Open.
impl Virtual {
    /// Whether a send opens the connection: TCP_FASTOPEN is set and it names an address.
    pub(super) fn opens_by_sending(&mut self, fd: Fd, to: Option<SendTo>) -> Result<bool, Stop> {
        let named = matches!(to, Some(SendTo::Addr(_))) && self.sysctls.freebsd.is_some();
        let socket = self.socket(fd)?;
        let unused = socket.phase == Phase::Closed && socket.opening == Opening::Unconnected;
        Ok(named && unused && socket.options.fastopen > 0)
    }

    /// A send that opens the connection. It does not wait: what does not ride on the SYN is queued.
    pub(super) fn open_by_sending(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        to: Option<SendTo>,
    ) -> Attempt {
        let Some(SendTo::Addr(remote)) = to else { return fail(errno::ENOTCONN) };
        let mut text = Bytes::from(vec![0; len]);
        let fast = self.fast_open_allowed().then_some(&mut text);
        job.copied = self.open_connection(fd, canonical(remote), fast)?;
        self.queue_early(job, fd, len, 0)?;
        done(job.copied as i64)
    }
}

/// `number` in units of `unit`, if it is a whole number of them.
fn whole(number: u64, unit: u64) -> Result<u64, ()> {
    if number.is_multiple_of(unit) { Ok(number / unit) } else { Err(()) }
}

/// Its names of the states and their numbers (netinet/tcp_fsm.h).
pub(super) const STATES: &[(&str, State)] = &[
    ("CLOSED", State::Closed),
    ("LISTEN", State::Listen),
    ("SYN_SENT", State::SynSent),
    ("SYN_RCVD", State::SynReceived),
    ("ESTABLISHED", State::Established),
    ("CLOSE_WAIT", State::CloseWait),
    ("FIN_WAIT_1", State::FinWait1),
    ("CLOSING", State::Closing),
    ("LAST_ACK", State::LastAck),
    ("FIN_WAIT_2", State::FinWait2),
    ("TIME_WAIT", State::TimeWait),
];

/// `tcpi_state`.
pub(super) fn number(state: State) -> i64 {
    STATES.iter().position(|(_, known)| *known == state).unwrap_or(0) as i64
}

/// What an end in state `last` leaves for SO_ERROR, where it is not what Linux says.
pub(super) fn errno_of(reason: EndReason, last: State) -> Option<i32> {
    (reason == EndReason::ResetByPeer && last == State::CloseWait).then_some(errno::ECONNRESET)
}

/// What it makes of an ICMP error that ends an attempt to connect; none for other packets.
pub(super) fn icmp_errno(packet: &[u8]) -> Option<i32> {
    let ip = IpHeader::parse(packet).ok()?;
    let message = packet.get(ip.payload.clone())?;
    Some(match (ip.protocol, *message.first()?, *message.get(1)?) {
        (protocol::ICMP, 3, 2 | 3 | 9 | 10 | 13) => errno::ECONNREFUSED,
        (protocol::ICMPV6, 1, 1 | 4) | (protocol::ICMPV6, 4, 1) => errno::ECONNREFUSED,
        (protocol::ICMP, 3, 4) | (protocol::ICMPV6, 2, _) => errno::EMSGSIZE,
        (protocol::ICMP, 3 | 11, _) | (protocol::ICMPV6, 1 | 3, _) => errno::EHOSTUNREACH,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Refusal;

    fn set(sysctls: &mut Sysctls, name: &str, value: &str) {
        sysctls.set(&format!("net.inet.tcp.{name}"), value).unwrap();
    }

    #[test]
    fn times_are_ours_or_refused_by_name() {
        let mut sysctls = Sysctls::default();
        set(&mut sysctls, "msl", "1000");
        assert_eq!(sysctls.config.tcp_timewait_len, 2);
        let refused = sysctls.set("net.inet.tcp.msl", "50").unwrap_err();
        assert_eq!(refused, Refusal::Unsupported("sysctl net.inet.tcp.msl=50".into()));
        set(&mut sysctls, "keepinit", "5000");
        assert_eq!(sysctls.freebsd.unwrap().keepinit, 5);
    }

    #[test]
    fn acc_ecn_has_other_numbers() {
        let mut sysctls = Sysctls::default();
        for (theirs, ours) in [("2", 2), ("3", 3), ("4", 5)] {
            set(&mut sysctls, "ecn.enable", theirs);
            assert_eq!((sysctls.config.tcp_ecn, sysctls.config.tcp_ecn_option), (ours, 0));
        }
    }

    #[test]
    fn fin_wait_2_ends_fast_or_after_as_long_as_probes_take() {
        let mut sysctls = Sysctls::default();
        set(&mut sysctls, "finwait2_timeout", "5000");
        assert_eq!(sysctls.config.tcp_fin_timeout, 8 * 75);
        set(&mut sysctls, "keepintvl", "10000");
        assert_eq!(sysctls.config.tcp_fin_timeout, 80);
        set(&mut sysctls, "fast_finwait2_recycle", "1");
        assert_eq!(sysctls.config.tcp_fin_timeout, 5);
    }

    #[test]
    fn acks_are_delayed_from_the_first_segment_on_or_never() {
        let mut sysctls = Sysctls::default();
        set(&mut sysctls, "delacktime", "100");
        assert_eq!((sysctls.config.tcp_quick_acks, sysctls.config.tcp_delack_ms), (0, 100));
        set(&mut sysctls, "delayed_ack", "0");
        assert_eq!(sysctls.config.tcp_delack_ms, 0);
        set(&mut sysctls, "delayed_ack", "1");
        assert_eq!(sysctls.config.tcp_delack_ms, 100);
    }

    #[test]
    fn states_have_the_numbers_of_tcp_fsm_h() {
        let named = ["CLOSED", "SYN_RCVD", "CLOSE_WAIT", "CLOSING", "FIN_WAIT_2", "TIME_WAIT"];
        let numbers = named.map(|name| {
            let (_, state) = STATES.iter().find(|(known, _)| *known == name).unwrap();
            number(*state)
        });
        assert_eq!(numbers, [0, 3, 5, 7, 9, 10]);
    }
}
