//! The kernel's counters and knobs: `/proc/net` and `/proc/sys/net`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::snapshot::{Counters, PortRange};

/// The knobs that findings and explanations speak of, below `/proc/sys/net/`.
pub(super) const KNOBS: [&str; 35] = [
    "core.netdev_max_backlog",
    "core.rmem_max",
    "core.somaxconn",
    "core.wmem_max",
    "ipv4.ip_local_port_range",
    "ipv4.ip_local_reserved_ports",
    "ipv4.ip_unprivileged_port_start",
    "ipv4.tcp_abort_on_overflow",
    "ipv4.tcp_challenge_ack_limit",
    "ipv4.tcp_fastopen",
    "ipv4.tcp_fin_timeout",
    "ipv4.tcp_keepalive_intvl",
    "ipv4.tcp_keepalive_probes",
    "ipv4.tcp_keepalive_time",
    "ipv4.tcp_max_orphans",
    "ipv4.tcp_max_syn_backlog",
    "ipv4.tcp_max_tw_buckets",
    "ipv4.tcp_mem",
    "ipv4.tcp_migrate_req",
    "ipv4.tcp_orphan_retries",
    "ipv4.tcp_retries1",
    "ipv4.tcp_retries2",
    "ipv4.tcp_rfc1337",
    "ipv4.tcp_rmem",
    "ipv4.tcp_sack",
    "ipv4.tcp_syn_linear_timeouts",
    "ipv4.tcp_syn_retries",
    "ipv4.tcp_synack_retries",
    "ipv4.tcp_syncookies",
    "ipv4.tcp_timestamps",
    "ipv4.tcp_tw_recycle",
    "ipv4.tcp_tw_reuse",
    "ipv4.tcp_tw_reuse_delay",
    "ipv4.tcp_window_scaling",
    "ipv4.tcp_wmem",
];

/// Reads knobs below `root` (`/proc/sys/net`), as the calling thread's network namespace has them.
/// Those that this kernel lacks are left out. The second: how many could not be read.
pub(super) fn knobs(root: &Path, names: &[&str]) -> (BTreeMap<String, String>, usize) {
    let mut refused = 0;
    let mut knobs = BTreeMap::new();
    for name in names {
        match std::fs::read(root.join(name.replacen('.', "/", 1))) {
            Ok(value) => {
                let value = String::from_utf8_lossy(&value).trim().to_owned();
                knobs.insert((*name).to_owned(), value);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => refused += 1,
        }
    }
    (knobs, refused)
}

/// Counters of a file like `/proc/net/snmp`: a line of names, then one of values, both with the
/// same prefix. The key is prefix and name (`TcpExtTWKilled`); negative values are left out.
pub(super) fn counters(text: &str, into: &mut Counters) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((prefix, names)), Some((other, values))) =
            (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        if prefix != other {
            continue;
        }
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            if let Ok(value) = value.parse() {
                into.insert(format!("{prefix}{name}"), value);
            }
        }
    }
}

/// A value of `/proc/net/sockstat`: `TCP: inuse 5 orphan 0 tw 12 alloc 7 mem 3`.
pub(super) fn sockstat(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'))?;
    let mut words = line.split_ascii_whitespace();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        if key == name {
            return value.parse().ok();
        }
    }
    None
}

/// The ports for outgoing connections, of `ip_local_port_range` and `ip_local_reserved_ports`
/// (`8080,9000-9100`).
pub(super) fn ports(range: &str, reserved: &str) -> Option<PortRange> {
    let (first, last) = range.trim().split_once(|c: char| c.is_ascii_whitespace())?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.trim().parse().ok()?);
    let mut count = 0;
    for part in reserved.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<u16>(), to.trim().parse::<u16>()) else {
            continue;
        };
        let (from, to) = (u32::from(from.max(first)), u32::from(to.min(last)));
        count += (to + 1).saturating_sub(from);
    }
    Some(PortRange { range: first..=last, reserved: count })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_of_lines_are_counters() {
        let mut all = Counters::new();
        counters(
            "Ip: Forwarding\nIp: 1\nTcp: MaxConn RetransSegs\nTcp: -1 17\n\
             TcpExt: TW TWKilled\nTcpExt: 4 18446744073709551615\n",
            &mut all,
        );
        let expected = [
            ("IpForwarding", 1),
            ("TcpExtTW", 4),
            ("TcpExtTWKilled", u64::MAX),
            ("TcpRetransSegs", 17),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn sockstat_by_name() {
        let text = "sockets: used 18\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 321\nTCP6: inuse 9\n";
        assert_eq!(sockstat(text, "TCP", "tw"), Some(3));
        assert_eq!(sockstat(text, "TCP", "orphan"), Some(2));
        assert_eq!(sockstat(text, "TCP6", "inuse"), Some(9));
        assert_eq!(sockstat(text, "UDP", "inuse"), None);
    }

    #[test]
    fn reserved_ports_count_within_the_range() {
        let ports = ports("32768\t60999\n", "8080,32760-32769,40000,60000-65535\n").unwrap();
        assert_eq!((ports.range.clone(), ports.reserved), (32768..=60999, 2 + 1 + 1000));
        assert_eq!(ports.len(), 28232 - 1003);
        assert_eq!(super::ports("1024 65535", "").unwrap().len(), 64512);
        assert_eq!(super::ports("", ""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ \n:,a-c0-9é-]{0,120}") {
            counters(&text, &mut Counters::new());
            let _ = sockstat(&text, "a", "b");
            let _ = ports(&text, &text).map(|ports| ports.len());
            let _ = ports("1 65535", &text).map(|ports| ports.len());
        }
    }
}
