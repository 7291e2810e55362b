//! Sysctls: which are knobs of the engine, which say what it does anyway, and the profile that
//! Linux's own scripts begin with.

use std::collections::BTreeMap;

use super::freebsd;
use crate::profile;
use fourwave_core::{Config, FastOpenKeys};

use crate::target::Refusal;

/// What Linux counts of a send buffer beside each chunk of text.
const OVERHEAD: u64 = 1280;

/// Bytes in which Linux counts `tcp_mem`.
const PAGE: u64 = 4096;

/// The settings that commands of a script may change.
#[derive(Clone, Debug)]
pub(super) struct Sysctls {
    /// The engine's.
    pub(super) config: Config,
    /// `tcp_rmem`'s default: what SO_RCVBUF gives before anyone sets it.
    pub(super) receive_buffer: u64,
    /// FreeBSD's, once its defaults were chosen: as persona, or by a sysctl of its.
    pub(super) freebsd: Option<freebsd::Settings>,
    /// Bytes of a full segment without options.
    pub(super) segment: u64,
    /// The cookies of Fast Open are to be forgotten.
    pub(super) forgets_cookies: bool,
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
            freebsd: None,
            segment: 1460,
            forgets_cookies: false,
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

    /// Sets one.
    ///
    /// # Errors
    /// The engine has no such setting, or not with this value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let (name, value) = (name.trim().replace('/', "."), value.trim());
        let refuse = || Refusal::Unsupported(format!("sysctl {name}={value}"));
        if freebsd::is_ours(&name) {
            return self.set_freebsd(&name, value).map_err(|()| refuse());
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
            ("net.ipv4.tcp_mem", &[low, pressure, high]) => {
                let bytes = [low, pressure, high].map(|pages| pages.saturating_mul(PAGE));
                return self.memory(bytes).map_err(|()| refuse());
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
        let knob = name.rsplit('.').next().unwrap_or(&name);
        let set = match numbers.as_slice() {
            &[one] => self.knob(knob, one),
            _ => self.config.set(knob, value).map_err(|_| ()),
        };
        let known = || {
            let pair = (name.as_str(), value);
            NEUTRAL.contains(&pair.0) || FIXED.contains(&pair) || profile::LINUX.contains(&pair)
        };
        set.or_else(|()| if known() { Ok(()) } else { Err(refuse()) })
    }

    /// The three knobs of the budget, in whatever order keeps theirs.
    fn memory(&mut self, [low, pressure, high]: [u64; 3]) -> Result<(), ()> {
        let most = [low, pressure, high].into_iter().max().unwrap_or(high);
        let all = Config { tcp_mem_low: low, tcp_mem_pressure: most, ..self.config.clone() };
        let mut config = Config { tcp_mem_high: most, ..all };
        for (name, bytes) in
            [("tcp_mem_low", low), ("tcp_mem_pressure", pressure), ("tcp_mem_high", high)]
        {
            config.set(name, &bytes.to_string()).map_err(|_| ())?;
        }
        self.config = config;
        Ok(())
    }

    pub(super) fn knob(&mut self, name: &str, value: u64) -> Result<(), ()> {
        self.config.set(name, &value.to_string()).map_err(|_| ())
    }
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
        sysctls.set("net.ipv4.tcp_mem", "16 32 48").unwrap();
        assert_eq!((sysctls.config.tcp_mem_low, sysctls.config.tcp_mem_high), (65_536, 196_608));
        assert!(sysctls.set("net.ipv4.tcp_mem", "48 32 16").is_err());
        assert_eq!(sysctls.config.tcp_mem_pressure, 131_072);
        let refused = sysctls.set("net.ipv4.tcp_recovery", "2").unwrap_err();
        assert_eq!(refused, Refusal::Unsupported("sysctl net.ipv4.tcp_recovery=2".into()));
        let refused = sysctls.set("net.ipv4.tcp_timestamps", "9").unwrap_err();
        assert_eq!(refused, Refusal::Unsupported("sysctl net.ipv4.tcp_timestamps=9".into()));
    }
}
