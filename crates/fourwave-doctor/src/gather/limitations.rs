//! The sentences about what could not be examined.

use crate::snapshot::{Limitation, PortRange};
use crate::words::of;

pub(super) const ROOT: &str = "run it as root";
/// For a root who is not all-powerful.
pub(super) const ALL: &str =
    "run it on the host with all capabilities: this root may not look there";

fn limitation(what: String, remedy: &str) -> Limitation {
    Limitation { what, remedy: remedy.into() }
}

/// Files of `/proc/net` that could not be read.
pub(super) fn tables(unread: &[String]) -> Option<Limitation> {
    let what = || format!("the kernel's counters: {}", unread.join(", "));
    (!unread.is_empty()).then(|| limitation(what(), "mount /proc, or run it outside the sandbox"))
}

/// No sock_diag.
pub(super) fn diag(why: &str) -> Limitation {
    let what = format!(
        "listeners' backlogs, ages and round-trip times: sock_diag is not available ({why}), \
         so /proc/net/tcp was read"
    );
    limitation(what, "run it on the host (`modprobe tcp_diag`), or allow AF_NETLINK in the sandbox")
}

/// A namespace that may be read but not entered.
pub(super) fn outside(remedy: &str, assumed: &PortRange) -> Limitation {
    let (first, last) = (assumed.range.start(), assumed.range.end());
    let what = format!(
        "listeners' backlogs, ages, round-trip times and knobs: the namespace may not be entered, \
         only /proc/PID/net was read, and ports {first} to {last} are assumed"
    );
    limitation(what, remedy)
}

/// A list that changed faster than it could be read.
pub(super) fn torn() -> Limitation {
    let what = "a few sockets, missing or listed twice: they changed while the kernel listed them";
    limitation(what.into(), "run it again")
}

/// Knobs that could not be read, though there are such.
pub(super) fn knobs(refused: usize) -> Option<Limitation> {
    let what = || format!("{} of /proc/sys/net", of(refused as u64, "knob"));
    (refused > 0).then(|| limitation(what(), ROOT))
}

/// No port range.
pub(super) fn ports(assumed: &PortRange) -> Limitation {
    let (first, last) = (assumed.range.start(), assumed.range.end());
    let what = format!("ip_local_port_range: {first} to {last} is assumed");
    limitation(what, "run it inside the namespace, with /proc/sys readable")
}

/// Sockets whose programs were not found, with so many processes closed to this user.
pub(super) fn owners(sockets: usize, hidden: usize, is_root: bool) -> Option<Limitation> {
    let what = || format!("the programs of {}", of(sockets as u64, "socket"));
    let remedy = match (hidden, is_root) {
        (0, _) => "run it where their processes are seen: on the host, not in a container",
        (_, false) => ROOT,
        (_, true) => ALL,
    };
    (sockets > 0).then(|| limitation(what(), remedy))
}

/// No list of processes.
pub(super) fn processes(sockets: usize, why: &str) -> Option<Limitation> {
    let what = || format!("the programs of {}: /proc: {why}", of(sockets as u64, "socket"));
    (sockets > 0).then(|| limitation(what(), "mount /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lacks_where_nothing_is_hidden() {
        assert_eq!(
            (owners(0, 7, false), knobs(0), tables(&[]), processes(0, "")),
            (None, None, None, None)
        );
    }

    #[test]
    fn root_is_the_remedy_only_where_it_helps() {
        let remedy = |hidden, is_root| owners(12, hidden, is_root).expect("a limitation").remedy;
        assert_eq!(remedy(3, false), ROOT);
        assert!(remedy(3, true).contains("all capabilities"));
        assert!(remedy(0, false).contains("on the host"));
        assert_eq!(owners(1, 0, false).expect("a limitation").what, "the programs of 1 socket");
        assert_eq!(owners(12, 3, true).expect("a limitation").what, "the programs of 12 sockets");
    }
}
