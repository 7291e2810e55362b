//! The knobs: one typed struct, one table that names, bounds and explains each.

use crate::sender::congestion::Algorithm;
use core::fmt;

use fourwave_wire::options::OptionOrder;

use crate::time::Duration;

/// What a knob's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0 is off, other values as the knob's text says.
    Switch,
    /// A plain count.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// A port number.
    Port,
    /// One of these names; the number is its place.
    Name(&'static [&'static str]),
}

impl Unit {
    /// What stands behind a number in a message; empty for plain counts.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Bytes => " bytes",
            Self::Seconds => " s",
            Self::Milliseconds => " ms",
            Self::Switch | Self::Count | Self::Port | Self::Name(_) => "",
        }
    }
}

/// One knob, as [`Config::knobs`] lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// Linux's sysctl name where it has one (without the path before the last dot).
    pub name: &'static str,
    /// What the number counts.
    pub unit: Unit,
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
    /// The value without any setting.
    pub default: u64,
    /// One sentence.
    pub about: &'static str,
}

impl Knob {
    fn parse(&'static self, value: &str) -> Result<u64, KnobError> {
        if let Unit::Name(names) = self.unit {
            let place = names.iter().position(|name| *name == value);
            return place.map(|n| n as u64).ok_or(KnobError::NotAName(self));
        }
        value.parse().map_err(|_| KnobError::NotANumber(self))
    }

    /// `value` as a person writes it.
    pub fn show(&self, value: u64) -> alloc::string::String {
        match self.unit {
            Unit::Name(names) => names.get(value as usize).copied().unwrap_or("?").into(),
            _ => alloc::format!("{value}"),
        }
    }
}

/// Why a setting was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnobError {
    /// No knob has this name.
    Unknown,
    /// The value is not a whole number.
    NotANumber(&'static Knob),
    /// The value is none of the knob's names.
    NotAName(&'static Knob),
    /// The value lies outside the knob's range.
    OutOfRange(&'static Knob),
    /// The lower end of a range of ports would lie above its upper end.
    EmptyPortRange,
    /// `tcp_mem_low`, `tcp_mem_pressure` and `tcp_mem_high` would not be in this order.
    MemoryOrder,
}

impl fmt::Display for KnobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such knob"),
            Self::NotANumber(k) | Self::OutOfRange(k) => {
                let suffix = k.unit.suffix();
                write!(f, "{} takes a whole number from {} to {}{suffix}", k.name, k.min, k.max)
            }
            Self::NotAName(k) => {
                write!(f, "{} is one of", k.name)?;
                let Unit::Name(names) = k.unit else { return Ok(()) };
                names.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::MemoryOrder => f.write_str(
                "tcp_mem_low must not be greater than tcp_mem_pressure, nor that than \
                 tcp_mem_high: set them in an order that keeps it so",
            ),
            Self::EmptyPortRange => f.write_str(
                "ip_local_port_first must not be greater than ip_local_port_last: set them in an \
                 order that keeps it so",
            ),
        }
    }
}

impl core::error::Error for KnobError {}

/// The names of [`TwOverflow`], in its order.
const TW_OVERFLOW: &[&str] = &["oldest", "refuse-new", "shorten"];

/// The names of [`OptionOrder`], in its order.
const OPTION_ORDERS: &[&str] = &["linux", "freebsd"];

/// The names of the congestion controls, in the order of [`Algorithm::of`].
const ALGORITHMS: &[&str] = &["reno", "cubic", "bbr"];

/// What happens at `tcp_max_tw_buckets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TwOverflow {
    /// The oldest record goes.
    Oldest,
    /// The new one is destroyed at once.
    RefuseNew,
    /// What remains of every record's time is halved; the oldest goes when that was not enough.
    Shorten,
}

impl From<u64> for TwOverflow {
    fn from(knob: u64) -> Self {
        match knob {
            1 => Self::RefuseNew,
            2 => Self::Shorten,
            _ => Self::Oldest,
        }
    }
}

macro_rules! knobs {
    ($($name:ident: $unit:expr, $min:literal..=$max:literal, $default:literal,
        $about:literal;)*) => {
        /// The engine's settings. Fields are named and counted as [`Config::knobs`] says.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $(#[doc = $about] pub $name: u64,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// All knobs in alphabetical order.
        static KNOBS: &[Knob] = &[
            $(Knob {
                name: stringify!($name),
                unit: $unit,
                min: $min,
                max: $max,
                default: $default,
                about: $about,
            },)*
        ];

        impl Config {
            fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

knobs! {
    ip_local_port_first: Unit::Port, 1..=65535, 32768,
        "First port of the range for outgoing connections (ip_local_port_range).";
    ip_local_port_last: Unit::Port, 1..=65535, 60999,
        "Last port of the range for outgoing connections (ip_local_port_range).";
    somaxconn: Unit::Count, 1..=65535, 4096,
        "Longest queue of connections that wait for accept.";
    tcp_abe: Unit::Switch, 0..=1, 0,
        "1: a mark (ECN) leaves 0.8 of the window with reno and 0.85 with cubic, where a loss \
         leaves 0.5 and 0.7 (ABE, RFC 8511, experimental).";
    tcp_abort_on_overflow: Unit::Switch, 0..=1, 0,
        "1: answer with RST when the accept queue is full; 0: drop and let the peer try again.";
    tcp_base_mss: Unit::Bytes, 48..=65495, 1024,
        "Segment size at which a search for the path's MTU begins, and to which a black hole takes \
         a connection back (tcp_mtu_probing).";
    tcp_challenge_ack_limit: Unit::Count, 1..=1000000, 1000,
        "Challenge ACKs for each second, over all connections (RFC 5961 §7).";
    tcp_close_wait_limit: Unit::Seconds, 0..=86400, 300,
        "Age at which a CLOSE_WAIT is reported as a suspected leak; 0 reports none.";
    tcp_congestion_control: Unit::Name(ALGORITHMS), 0..=2, 1,
        "Congestion control of a new connection: reno (RFC 5681), cubic (RFC 9438) or bbr \
         (draft-ietf-ccwg-bbr-06, with pacing); a socket's TCP_CONGESTION goes before it.";
    tcp_delack_ms: Unit::Milliseconds, 0..=500, 40,
        "How long an ACK may wait for data to ride on (RFC 9293 §3.8.6.3: at most 500 ms); 0: no \
         ACK waits.";
    tcp_drop_synfin: Unit::Count, 0..=2, 1,
        "A segment with SYN and FIN: 0: a listener takes its SYN and leaves its FIN; 1: a \
         listener drops it; 2: it is dropped in every state (FreeBSD's drop_synfin).";
    tcp_dsack: Unit::Switch, 0..=1, 1,
        "Duplicate segments are named to the peer in SACK blocks (RFC 2883).";
    tcp_early_retrans: Unit::Count, 0..=4, 3,
        "3 or 4: a tail loss probe goes out before a retransmission timeout would (RFC 8985); 0: \
         none does.";
    tcp_ecn: Unit::Switch, 0..=5, 2,
        "Explicit congestion notification: 0 never; 1: asked for and agreed to (RFC 3168); 2: \
         agreed to when a peer asks; 3 to 5: AccECN (RFC 9768) agreed to too, and asked for with \
         3; RFC 3168's asked for with 4; nothing with 5.";
    tcp_ecn_option: Unit::Switch, 0..=2, 2,
        "The option of AccECN: 0 never; 1: where something changed; 2: on every ACK that has more \
         to tell.";
    tcp_ecn_option_beacon: Unit::Count, 0..=63, 3,
        "How often in a round trip AccECN's option goes out at least; 0 for no such bound.";
    tcp_fastopen: Unit::Count, 0..=2047, 1,
        "Fast Open (RFC 7413), a sum: 1 outgoing, 2 incoming where the listener asks for it, 4 \
         outgoing without a cookie, 512 incoming without a cookie, 1024 for every listener.";
    tcp_fastopen_blackhole_timeout_sec: Unit::Seconds, 0..=86400, 0,
        "Pause of Fast Open after it was found to be blocked on the way; 0 never pauses.";
    tcp_fastopen_path_disable_sec: Unit::Seconds, 0..=86400, 0,
        "Pause of Fast Open to a host that gave no cookie when asked, or neither took the text on \
         a SYN nor gave a new one (RFC 7413 §4.1.3.1); 0: as Linux, the experimental option next.";
    tcp_fin_timeout: Unit::Seconds, 0..=3600, 60,
        "Life of a FIN_WAIT_2 whose application is gone; it is not TIME_WAIT's.";
    tcp_half_closed_time: Unit::Seconds, 0..=32767, 32,
        "Silence after which a relay asks a program that has closed its direction whether it is \
         still there; 0 never asks. Twice the default is a little over Linux's tcp_fin_timeout.";
    tcp_icmp_may_rst: Unit::Count, 0..=2, 1,
        "ICMP errors that end a connection that opens (RFC 5461; one that is open ends by none): 0 \
         none; 1 all; 2 those that say that nobody will answer there: no such port or protocol, \
         prohibited, time to live exceeded.";
    tcp_init_cwnd: Unit::Count, 1..=10000, 10,
        "Initial congestion window in segments (RFC 6928); in Linux a route's, initcwnd.";
    tcp_insecure_rst: Unit::Switch, 0..=1, 0,
        "1: an RST anywhere in the window ends the connection, as before RFC 5961.";
    tcp_insecure_syn: Unit::Switch, 0..=1, 0,
        "1: a SYN in the window of an open connection ends it by RST, as before RFC 5961.";
    tcp_invalid_ratelimit: Unit::Milliseconds, 0..=60000, 500,
        "Least time between two ACKs of one connection that answer unacceptable segments.";
    tcp_keepalive_intvl: Unit::Seconds, 1..=32767, 75,
        "Time between keepalive probes.";
    tcp_keepalive_probes: Unit::Count, 1..=127, 9,
        "Unanswered keepalive probes that end a connection.";
    tcp_keepalive_time: Unit::Seconds, 1..=32767, 7200,
        "Idle time before the first keepalive probe.";
    tcp_max_orphans: Unit::Count, 0..=1048576, 65536,
        "Most connections that their application has closed and that are not finished.";
    tcp_max_syn_backlog: Unit::Count, 1..=1048576, 4096,
        "Most half-open connections of a listener.";
    tcp_max_tw_buckets: Unit::Count, 0..=16777216, 262144,
        "Most connections in TIME_WAIT; beyond, tw_overflow decides.";
    tcp_mem_high: Unit::Bytes, 65536..=1099511627776, 805306368,
        "Bytes that the buffers of all connections hold (tcp_mem, which counts pages of 4096): \
         beyond, each takes no more than its minimum.";
    tcp_mem_low: Unit::Bytes, 65536..=1099511627776, 402653184,
        "Bytes of all buffers below which the pressure of tcp_mem_pressure is over.";
    tcp_mem_pressure: Unit::Bytes, 65536..=1099511627776, 536870912,
        "Bytes of all buffers beyond which none grows by itself, windows are small and what is \
         out of order is dropped first.";
    tcp_min_snd_mss: Unit::Bytes, 48..=65495, 48,
        "Smallest segment size, TCP options included, whatever a peer, a router or a black hole \
         asks for.";
    tcp_min_tso_segs: Unit::Count, 1..=65535, 2,
        "Segments of a super-segment on a slow path; on a fast one it is as large as it can be.";
    tcp_mtu_probe_floor: Unit::Bytes, 48..=65495, 48,
        "Smallest segment size that is tried against a black hole (tcp_mtu_probing).";
    tcp_mtu_probing: Unit::Count, 0..=2, 0,
        "Search for the path's MTU by larger segments (RFC 4821): 0 never; 1: once timeouts tell \
         of a black hole; 2: always, from tcp_base_mss on.";
    tcp_notsent_lowat: Unit::Bytes, 1..=4294967295, 4294967295,
        "Unsent bytes of a connection at which a write finds no room.";
    tcp_orphan_retries: Unit::Count, 0..=15, 8,
        "Retransmissions on a connection whose application is gone.";
    tcp_probe_interval: Unit::Seconds, 1..=4294967, 600,
        "Rest between two searches for the path's MTU (tcp_mtu_probing).";
    tcp_probe_threshold: Unit::Bytes, 0..=65535, 8,
        "A search for the path's MTU ends where it is known to so many bytes (tcp_mtu_probing).";
    tcp_quick_acks: Unit::Count, 0..=255, 16,
        "Segments at the start of a connection whose ACKs do not wait; 0: ACKs are delayed from \
         the first segment on.";
    tcp_rcv_wnd_beyond: Unit::Switch, 0..=1, 0,
        "1: where the buffer is larger than the window field can tell, RCV.WND is its room (RFC \
         7323 §2.3 keeps it in 32 bits), and what lies beyond the told edge is taken; 0: RCV.WND \
         is what was told.";
    tcp_retries1: Unit::Count, 1..=15, 3,
        "Retransmissions in a row after which the application is told (RFC 9293 §3.8.3, R1).";
    tcp_retries2: Unit::Count, 1..=15, 15,
        "Retransmissions of data before a connection is given up.";
    tcp_rfc1337: Unit::Switch, 0..=1, 0,
        "1: an RST does not end TIME_WAIT (RFC 1337).";
    tcp_rmem_default: Unit::Bytes, 1024..=1073741824, 131072,
        "First size of a receive buffer.";
    tcp_rmem_max: Unit::Bytes, 1024..=1073741824, 6291456,
        "Size up to which a receive buffer grows by itself.";
    tcp_rmem_min: Unit::Bytes, 1024..=1073741824, 4096,
        "Bytes that a connection may receive and leave unread beyond tcp_mem_high.";
    tcp_rto_max_ms: Unit::Milliseconds, 1000..=120000, 120000,
        "Longest retransmission timeout.";
    tcp_rto_min_ms: Unit::Milliseconds, 1..=120000, 200,
        "Shortest retransmission timeout.";
    tcp_sack: Unit::Switch, 0..=1, 1,
        "Selective acknowledgements (RFC 2018), both ways: losses are found by them and by time \
         (RACK-TLP, RFC 8985), and repaired at the pace of RFC 9937.";
    tcp_slow_start_after_idle: Unit::Switch, 0..=1, 1,
        "1: a pause of a retransmission timeout takes the congestion window back to its first \
         size (RFC 5681 §4.1).";
    tcp_syn_option_order: Unit::Name(OPTION_ORDERS), 0..=1, 0,
        "Order of a SYN's options, by which stacks are told apart: linux (mss, sackOK, TS, nop, \
         wscale) or freebsd (mss, nop, wscale, sackOK, TS).";
    tcp_syn_retries: Unit::Count, 1..=127, 7,
        "Retransmissions of a SYN: 7 take 247 s (RFC 9293 §3.8.3 asks for 3 minutes at least).";
    tcp_synack_retries: Unit::Count, 0..=127, 5,
        "Retransmissions of a SYN ACK.";
    tcp_timestamps: Unit::Switch, 0..=1, 1,
        "Timestamps (RFC 7323): PAWS, and round-trip times of retransmitted data.";
    tcp_timewait_len: Unit::Seconds, 0..=3600, 60,
        "Length of TIME_WAIT, 2MSL; 0 gives both its protections up.";
    tcp_tw_recycle: Unit::Switch, 0..=1, 0,
        "1: TIME_WAIT lasts 3.5 RTOs where timestamps are in use, and a SYN from the same host \
         needs a newer one; breaks clients behind one NAT, removed from Linux in 4.12.";
    tcp_tw_reuse: Unit::Switch, 0..=2, 2,
        "1: an outgoing connection may take a TIME_WAIT's four numbers over, with timestamps \
         (RFC 6191); 2: on loopback only; 0: never. Does nothing for a server.";
    tcp_tw_reuse_delay: Unit::Milliseconds, 1..=60000, 1000,
        "Least age of a TIME_WAIT that tcp_tw_reuse takes over.";
    tcp_tw_syn_drop: Unit::Switch, 0..=1, 0,
        "1: a SYN that may not take a TIME_WAIT over is dropped in silence (RFC 6191 §2); 0: it is \
         answered by the last ACK (RFC 9293 §3.10.7.4).";
    tcp_window_scaling: Unit::Switch, 0..=1, 1,
        "Window scaling (RFC 7323); without it no window is larger than 65535 bytes.";
    tcp_wmem_default: Unit::Bytes, 1024..=1073741824, 262144,
        "First size of a send buffer, so that the first window is never short of data; it grows \
         with the congestion window.";
    tcp_wmem_max: Unit::Bytes, 4096..=1073741824, 4194304,
        "Most bytes of a connection that wait to be sent or acknowledged.";
    tcp_wmem_min: Unit::Bytes, 1024..=1073741824, 4096,
        "Bytes that a connection may have to send beyond tcp_mem_high, so that it moves.";
    tcp_wmem_overhead: Unit::Bytes, 0..=65536, 0,
        "0: a send buffer counts text, and a write takes what there is room for; else a write \
         takes chunks of half the peer's window as Linux does, and so much is counted beside \
         each of them (1280 for Linux).";
    tw_overflow: Unit::Name(TW_OVERFLOW), 0..=2, 0,
        "At tcp_max_tw_buckets: drop the oldest, destroy the new one at once (as Linux does), or \
         halve the remaining times. What is dropped protects no more.";
}

impl Config {
    /// Every knob, in alphabetical order.
    pub fn knobs() -> &'static [Knob] {
        KNOBS
    }

    /// Sets the knob `name` to `value`, a whole number in the knob's unit.
    ///
    /// # Errors
    /// An unknown name, a value that is no whole number or outside the range; nothing is changed
    /// then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), KnobError> {
        let knob = KNOBS.iter().find(|k| k.name == name).ok_or(KnobError::Unknown)?;
        let number = knob.parse(value.trim())?;
        if number < knob.min || number > knob.max {
            return Err(KnobError::OutOfRange(knob));
        }
        let mut changed = self.clone();
        *changed.field(name).ok_or(KnobError::Unknown)? = number;
        if changed.tcp_mem_low > changed.tcp_mem_pressure
            || changed.tcp_mem_pressure > changed.tcp_mem_high
        {
            return Err(KnobError::MemoryOrder);
        }
        if changed.ip_local_port_first > changed.ip_local_port_last {
            return Err(KnobError::EmptyPortRange);
        }
        *self = changed;
        Ok(())
    }

    /// A sentence about each setting that is allowed and takes a protection away.
    pub fn warnings(&self) -> impl Iterator<Item = &'static str> {
        [
            (
                self.tcp_timewait_len == 0,
                "tcp_timewait_len=0: no TIME_WAIT, so a lost last ACK ends in RST and an old \
                 duplicate may reach a new connection",
            ),
            (
                self.tcp_tw_recycle == 1,
                "tcp_tw_recycle=1: SYNs of clients behind one NAT are dropped when their \
                 timestamps disagree (removed from Linux in 4.12)",
            ),
            (
                self.tcp_insecure_rst == 1,
                "tcp_insecure_rst=1: who guesses a number in the window can end a connection \
                 (RFC 5961 §3)",
            ),
            (
                self.tcp_insecure_syn == 1,
                "tcp_insecure_syn=1: who guesses a number in the window can end a connection \
                 (RFC 5961 §4)",
            ),
        ]
        .into_iter()
        .filter_map(|(dangerous, sentence)| dangerous.then_some(sentence))
    }

    /// `tcp_congestion_control`: what a new connection runs unless its socket says otherwise.
    pub fn congestion_control(&self) -> Algorithm {
        Algorithm::of(self.tcp_congestion_control)
    }

    pub(crate) const fn option_order(&self) -> OptionOrder {
        match self.tcp_syn_option_order {
            1 => OptionOrder::FreeBsd,
            _ => OptionOrder::Linux,
        }
    }

    pub(crate) const fn time_wait_len(&self) -> Duration {
        Duration::from_secs(self.tcp_timewait_len)
    }

    pub(crate) const fn rto_min(&self) -> Duration {
        Duration::from_millis(self.tcp_rto_min_ms)
    }

    pub(crate) const fn rto_max(&self) -> Duration {
        Duration::from_millis(self.tcp_rto_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_in_range() {
        assert!(KNOBS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for knob in KNOBS {
            assert!((knob.min..=knob.max).contains(&knob.default), "{}", knob.name);
            let mut config = Config::default();
            config.set(knob.name, &knob.show(knob.default)).unwrap();
            assert_eq!(config, Config::default());
        }
    }

    #[test]
    fn a_bad_setting_is_refused_by_name_and_changes_nothing() {
        let mut config = Config::default();
        assert_eq!(config.set("tcp_fin_timeot", "1"), Err(KnobError::Unknown));
        let error = config.set("tcp_fin_timeout", "3601").unwrap_err();
        assert_eq!(error.to_string(), "tcp_fin_timeout takes a whole number from 0 to 3600 s");
        assert!(config.set("tcp_fin_timeout", "1m").is_err());
        assert_eq!(config.set("ip_local_port_first", "61000"), Err(KnobError::EmptyPortRange));
        assert_eq!(config, Config::default());
        config.set("tcp_timewait_len", "0").unwrap();
        assert_eq!(config.warnings().count(), 1);
        let error = config.set("tw_overflow", "newest").unwrap_err();
        assert_eq!(error.to_string(), "tw_overflow is one of oldest refuse-new shorten");
        config.set("tw_overflow", "shorten").unwrap();
        assert_eq!(config.tw_overflow, 2);
    }
}
