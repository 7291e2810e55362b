//! Sysctls: which are knobs of the engine, which say what it does anyway, and the profile that
//! Linux's own scripts begin with.

use std::collections::BTreeMap;

use crate::profile;
use fourwave_core::{Config, FastOpenKeys};

use crate::target::Refusal;

/// What Linux counts of a send buffer beside each chunk of text.
const OVERHEAD: u64 = 1280;

/// The settings that commands of a script may change.
#[derive(Clone, Debug)]
pub(super) struct Sysctls {
    /// The engine's.
    pub(super) config: Config,
    /// `tcp_rmem`'s default: what SO_RCVBUF gives before anyone sets it.
    pub(super) receive_buffer: u64,
    /// A sysctl of FreeBSD's was met, and FreeBSD's defaults chosen.
    pub(super) freebsd: bool,
    /// `tcp_fastopen_key`.
    pub(super) fast_open_keys: Option<FastOpenKeys>,
    /// Files that the script made, with their lengths.
    pub(super) scratch: BTreeMap<String, usize>,
}

impl Default for Sysctls {
    /// The profile, but for Fast Open, which is only a client's then.
    fn default() -> Self {
        let mut sysctls = Self {
            config: Config { tcp_wmem_overhead: OVERHEAD, ..Config::default() },
            receive_buffer: 131_072,
            freebsd: false,
            fast_open_keys: None,
            scratch: BTreeMap::new(),
        };
        sysctls.select_profile("1");
        sysctls
    }
}

/// Sysctls that change nothing that the engine does, whatever their value: how Linux cuts and
/// paces what goes to the device.
const NEUTRAL: &[&str] = &[
    "net.ipv4.tcp_min_tso_segs",
    "net.ipv4.tcp_tso_win_divisor",
    "net.ipv4.tcp_pacing_ss_ratio",
    "net.ipv4.tcp_pacing_ca_ratio",
    "net.ipv4.tcp_fack",
    "net.ipv4.tcp_no_metrics_save",
    "net.mptcp.enabled",
];

/// Sysctls with the value that the engine behaves by.
const FIXED: &[(&str, &str)] = &[
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.tcp_recovery", "1"),
    ("net.ipv4.tcp_ecn_fallback", "1"),
    ("net.ipv4.tcp_shrink_window", "0"),
    ("net.ipv4.ip_no_pmtu_disc", "0"),
    // FreeBSD's, as far as they say what happens anyway.
    ("net.inet.tcp.hostcache.purgenow", "1"),
    ("net.inet.tcp.syncookies_only", "0"),
    ("net.inet.tcp.syncookies", "1"),
    ("net.inet.tcp.blackhole", "0"),
    ("net.inet.tcp.insecure_syn", "0"),
    ("net.inet.tcp.insecure_rst", "0"),
    ("net.inet.tcp.rexmit_drop_options", "0"),
    ("net.inet.tcp.rexmit_initial", "1000"),
    ("net.inet.tcp.rexmit_slop", "200"),
    ("net.inet.tcp.log_in_vain", "0"),
    ("net.inet.tcp.path_mtu_discovery", "1"),
];

/// FreeBSD's names of knobs, and how many of their units make one of ours.
const FREEBSD: &[(&str, &str, u64)] = &[
    ("net.inet.tcp.sack.enable", "tcp_sack", 1),
    // The same numbers, but for those of AccECN.
    ("net.inet.tcp.ecn.enable", "tcp_ecn", 1),
    ("kern.ipc.maxsockbuf", "tcp_rmem_max", 1),
    ("net.inet.tcp.finwait2_timeout", "tcp_fin_timeout", 1000),
    ("net.inet.tcp.msl", "tcp_timewait_len", 500),
    ("net.inet.tcp.keepidle", "tcp_keepalive_time", 1000),
    ("net.inet.tcp.keepintvl", "tcp_keepalive_intvl", 1000),
    ("net.inet.tcp.keepcnt", "tcp_keepalive_probes", 1),
    ("net.inet.tcp.initcwnd_segments", "tcp_init_cwnd", 1),
    ("net.inet.tcp.syncache.rexmtlimit", "tcp_synack_retries", 1),
    ("net.inet.tcp.rexmit_min", "tcp_rto_min_ms", 1),
    ("net.inet.tcp.delacktime", "tcp_delack_ms", 1),
];

impl Sysctls {
    /// Linux's profile. The spellings of it differ in `tcp_fastopen`.
    pub(super) fn select_profile(&mut self, fastopen: &str) {
        for (name, value) in profile::LINUX {
            // What the engine does not have yet is what no script can have relied on.
            let _ = self.set(name, value);
        }
        let _ = self.set("net.ipv4.tcp_fastopen", fastopen);
    }

    /// FreeBSD's buffers, as far as its sysctls do not say otherwise.
    pub(super) fn select_freebsd(&mut self) {
        self.freebsd = true;
        (self.config.tcp_wmem_default, self.receive_buffer) = (32_768, 65_536);
        self.config.tcp_rmem_default = whole_segments(self.receive_buffer);
        self.config.tcp_rmem_max = 2_097_152;
        let _ = self.config.set("tcp_syn_option_order", "freebsd");
    }

    /// Sets one.
    ///
    /// # Errors
    /// The engine has no such setting, or not with this value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let (name, value) = (name.trim().replace('/', "."), value.trim());
        let refuse = || Refusal::Unsupported(format!("sysctl {name}={value}"));
        if (name.starts_with("net.inet.") || name.starts_with("kern.ipc.")) && !self.freebsd {
            self.select_freebsd();
        }
        let numbers: Vec<u64> = value.split_whitespace().filter_map(number).collect();
        match (name.as_str(), numbers.as_slice()) {
            ("net.ipv4.tcp_rmem", &[_, default, max]) => {
                self.receive_buffer = default;
                // The engine counts text; Linux takes half of the buffer for overhead.
                return self
                    .knob("tcp_rmem_default", default / 2)
                    .and_then(|()| self.knob("tcp_rmem_max", max))
                    .map_err(|()| refuse());
            }
            ("net.ipv4.tcp_wmem", &[_, default, max]) => {
                return self
                    .knob("tcp_wmem_default", default)
                    .and_then(|()| self.knob("tcp_wmem_max", max))
                    .map_err(|()| refuse());
            }
            ("net.ipv4.tcp_congestion_control", _) => {
                let set = self.config.set("tcp_congestion_control", value);
                return set.map_err(|_| refuse());
            }
            ("net.inet.tcp.recvspace", &[bytes]) => {
                self.receive_buffer = bytes;
                return self.knob("tcp_rmem_default", whole_segments(bytes)).map_err(|()| refuse());
            }
            ("net.inet.tcp.sendspace", &[bytes]) => {
                return self.knob("tcp_wmem_default", bytes).map_err(|()| refuse());
            }
            ("net.inet.tcp.rfc1323", &[on]) => {
                return self
                    .knob("tcp_timestamps", on)
                    .and_then(|()| self.knob("tcp_window_scaling", on))
                    .map_err(|()| refuse());
            }
            // Bits above say whose setting counts, and here there is only one.
            ("net.ipv4.tcp_fastopen", &[bits]) => {
                return self.knob("tcp_fastopen", bits & 0x7ff).map_err(|()| refuse());
            }
            ("net.ipv4.tcp_fastopen_key", _) => {
                self.fast_open_keys = Some(keys(value).ok_or_else(refuse)?);
                return Ok(());
            }
            _ => {}
        }
        let freebsd = FREEBSD.iter().find(|(theirs, ..)| *theirs == name);
        let (knob, unit) = match freebsd {
            Some((_, ours, unit)) => (*ours, *unit),
            None => (name.rsplit('.').next().unwrap_or(&name), 1),
        };
        let set = match numbers.as_slice() {
            &[one] => self.knob(knob, one / unit),
            _ => self.config.set(knob, value).map_err(|_| ()),
        };
        let known = || {
            let pair = (name.as_str(), value);
            NEUTRAL.contains(&pair.0) || FIXED.contains(&pair) || profile::LINUX.contains(&pair)
        };
        set.or_else(|()| if known() { Ok(()) } else { Err(refuse()) })
    }

    fn knob(&mut self, name: &str, value: u64) -> Result<(), ()> {
        self.config.set(name, &value.to_string()).map_err(|_| ())
    }
}

/// FreeBSD rounds a buffer up to whole segments once it knows their size: enough for segments with
/// timestamps and without on a link of 1500 bytes.
fn whole_segments(bytes: u64) -> u64 {
    const PLAIN: u64 = 1460;
    const STAMPED: u64 = 1448;
    bytes.div_ceil(STAMPED) * PLAIN
}

/// `a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4`, and perhaps a second one behind a comma.
fn keys(text: &str) -> Option<FastOpenKeys> {
    let one = |text: &str| {
        let words: Option<Vec<u32>> =
            text.split('-').map(|word| u32::from_str_radix(word, 16).ok()).collect();
        let words: [u32; 4] = words?.try_into().ok()?;
        let mut key = [0; 16];
        key.chunks_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        Some(key)
    };
    match text.split_once(',') {
        Some((primary, backup)) => {
            Some(FastOpenKeys { primary: one(primary)?, backup: Some(one(backup)?) })
        }
        None => Some(FastOpenKeys { primary: one(text)?, backup: None }),
    }
}

/// A number as a shell writes it: decimal, hexadecimal.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_has_linux_s_windows() {
        let mut sysctls = Sysctls::default();
        sysctls.select_profile("0x70403");
        assert_eq!(sysctls.config.tcp_rmem_default, 270_000);
        assert_eq!(sysctls.config.tcp_rmem_max, 15_728_640);
        assert_eq!((sysctls.config.tcp_syn_retries, sysctls.config.tcp_wmem_default), (5, 262_144));
    }

    #[test]
    fn what_the_engine_lacks_is_refused_by_name() {
        let mut sysctls = Sysctls::default();
        sysctls.set("net.ipv4.tcp_min_tso_segs", "9").unwrap();
        sysctls.set("net/ipv4/tcp_timestamps", "0").unwrap();
        assert_eq!(sysctls.config.tcp_timestamps, 0);
        sysctls.set("net.inet.tcp.msl", "1000").unwrap();
        assert_eq!(sysctls.config.tcp_timewait_len, 2);
        let refused = sysctls.set("net.ipv4.tcp_recovery", "2").unwrap_err();
        assert_eq!(refused, Refusal::Unsupported("sysctl net.ipv4.tcp_recovery=2".into()));
        let refused = sysctls.set("net.ipv4.tcp_timestamps", "9").unwrap_err();
        assert_eq!(refused, Refusal::Unsupported("sysctl net.ipv4.tcp_timestamps=9".into()));
    }
}
