//! Knobs that do not do what they were set for. What a kernel has by itself is never a finding.

use fourwave_core::state::State;

use super::Ranked;
use super::view::{View, Way};
use crate::words::count;
use crate::{Command, Finding, FindingKind, Severity};

/// Fewer connections say nothing about what a host does.
const FEW_CONNECTIONS: usize = 10;

/// A range with fewer ports than this was narrowed by somebody.
const FEW_PORTS: u32 = 1_024;

/// What one knob's rule has to say.
struct Setting {
    severity: Severity,
    /// `tcp_fin_timeout`: what the finding is about.
    knob: &'static str,
    headline: String,
    evidence: Vec<String>,
    cause: &'static str,
    program: Vec<&'static str>,
    host: Vec<Command>,
    does_not_help: Vec<&'static str>,
}

pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) {
    let rules = [
        recycle,
        fin_timeout,
        max_tw_buckets,
        reuse,
        abort,
        syncookies,
        orphan_retries,
        range,
        services,
    ];
    for setting in rules.iter().filter_map(|rule| rule(view)) {
        let Setting { severity, knob, headline, evidence, cause, program, host, does_not_help } =
            setting;
        let own = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect();
        let finding = Finding {
            kind: FindingKind::Setting,
            severity,
            about: knob.to_owned(),
            headline,
            evidence,
            cause: cause.to_owned(),
            program: own(program),
            host,
            does_not_help: own(does_not_help),
        };
        found.push(Ranked { finding, size: 0 });
    }
}

fn recycle(view: &View<'_>) -> Option<Setting> {
    let value = view.now.knob("ipv4.tcp_tw_recycle").filter(|value| *value != 0)?;
    Some(Setting {
        severity: Severity::Warning,
        knob: "tcp_tw_recycle",
        headline: "tcp_tw_recycle is on: it drops SYNs of clients behind one NAT".to_owned(),
        evidence: vec![format!("net.ipv4.tcp_tw_recycle = {value}")],
        cause: "it asks every new SYN from an address for a newer timestamp than the last; clients \
                that share an address have clocks of their own, so some cannot connect at all. \
                Linux 4.12 removed it",
        program: vec![],
        host: vec![view.sysctl("ipv4.tcp_tw_recycle", "0", "off, as it is by default")],
        does_not_help: vec![
            "tcp_timestamps=0, to go around it: PAWS and tcp_tw_reuse go with them",
        ],
    })
}

fn fin_timeout(view: &View<'_>) -> Option<Setting> {
    let value = view.now.knob("ipv4.tcp_fin_timeout").filter(|value| *value < 60)?;
    let waiting = view.now.sockets.iter().filter(|one| one.state == State::TimeWait).count();
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_fin_timeout",
        headline: format!("tcp_fin_timeout is {value} s: it does not shorten TIME_WAIT"),
        evidence: vec![
            format!("net.ipv4.tcp_fin_timeout = {value}; the default is 60"),
            format!("{} TIME_WAIT, each lasts 60 s all the same", count(waiting as u64)),
        ],
        cause: "it is how long a FIN_WAIT_2 without a program waits for the peer's FIN. TIME_WAIT \
                is a constant of the kernel (60 s)",
        program: vec![
            "against many TIME_WAIT: keep connections, or let the other side close first",
        ],
        host: vec![view.sysctl(
            "ipv4.tcp_fin_timeout",
            "60",
            "the default; peers that answer late get their whole answer through",
        )],
        does_not_help: vec!["an even lower value: peers that are slow to close meet an RST"],
    })
}

/// By itself the kernel gives as many TIME_WAIT as orphans, and 64 for each half-open connection of
/// tcp_max_syn_backlog: all three follow from the size of the same table, that from the memory.
fn max_tw_buckets(view: &View<'_>) -> Option<Setting> {
    const LOW: u64 = 16_384;
    let value = view.now.knob("ipv4.tcp_max_tw_buckets").filter(|value| *value <= LOW)?;
    let by_syn = view.now.knob("ipv4.tcp_max_syn_backlog").filter(|n| *n > 128)?.checked_mul(64)?;
    let by_orphans = Some(view.now.orphans.limit).filter(|limit| *limit > 0).unwrap_or(by_syn);
    let usual = by_syn.min(by_orphans);
    if value.saturating_mul(2) > usual {
        return None;
    }
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_max_tw_buckets",
        headline: format!(
            "tcp_max_tw_buckets is {}: protection is given away, not time gained",
            count(value)
        ),
        evidence: vec![
            format!("net.ipv4.tcp_max_tw_buckets = {value}; this host's size suggests {usual}"),
            format!("{} TIME_WAIT now", count(view.now.time_wait)),
        ],
        cause: "beyond the bound a closed connection is forgotten at once: a lost last ACK then \
                ends the peer in an error, and an old duplicate may reach a new connection on the \
                same numbers. A TIME_WAIT costs 256 bytes",
        program: vec!["fewer TIME_WAIT come from fewer connections: keep them"],
        host: vec![view.sysctl("ipv4.tcp_max_tw_buckets", &usual.to_string(), "as it was")],
        does_not_help: vec![
            "lowering it to free ports: raise ip_local_port_range, or set tcp_tw_reuse=1",
        ],
    })
}

fn reuse(view: &View<'_>) -> Option<Setting> {
    view.now.knob("ipv4.tcp_tw_reuse").filter(|value| *value == 1)?;
    if view.now.knob("ipv4.tcp_timestamps") == Some(0) {
        return Some(Setting {
            severity: Severity::Advice,
            knob: "tcp_tw_reuse",
            headline: "tcp_tw_reuse is 1 and tcp_timestamps 0: it can do nothing".to_owned(),
            evidence: vec![
                "net.ipv4.tcp_tw_reuse = 1".to_owned(),
                "net.ipv4.tcp_timestamps = 0".to_owned(),
            ],
            cause: "a TIME_WAIT is taken over only when timestamps prove the new connection newer",
            program: vec![],
            host: vec![view.sysctl(
                "ipv4.tcp_timestamps",
                "1",
                "timestamps: what tcp_tw_reuse rests on, and PAWS",
            )],
            does_not_help: vec![],
        });
    }
    let (mut incoming, mut outgoing) = (0, 0);
    for socket in view.now.sockets.iter().filter(|one| one.state != State::SynReceived) {
        match view.way(socket) {
            Way::In(_) => incoming += 1,
            // On loopback both ends are here: the other one is the incoming connection.
            Way::Out(to) => outgoing += usize::from(!to.ip().is_loopback()),
        }
    }
    let opens = view.now.counters.get("TcpActiveOpens").copied().unwrap_or(0);
    let taken = view.now.counters.get("TcpPassiveOpens").copied().unwrap_or(0);
    // A host that now and then calls another is no client yet.
    if incoming < FEW_CONNECTIONS || outgoing > 0 || opens > taken / 100 {
        return None;
    }
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_tw_reuse",
        headline: "tcp_tw_reuse is 1 on a host that opens no connections: it does nothing".into(),
        evidence: vec![
            "net.ipv4.tcp_tw_reuse = 1".to_owned(),
            format!("{} incoming connections, no outgoing one", count(incoming as u64)),
            format!("{} opened since the start, {} accepted", count(opens), count(taken)),
        ],
        cause: "it lets an outgoing connection take a TIME_WAIT over. A server's TIME_WAIT needs \
                no port, and a new SYN takes it over without any knob",
        program: vec!["a server's TIME_WAIT are harmless; fewer come from keep-alive"],
        host: vec![view.sysctl("ipv4.tcp_tw_reuse", "2", "the default: on loopback only")],
        does_not_help: vec![],
    })
}

fn abort(view: &View<'_>) -> Option<Setting> {
    view.now.knob("ipv4.tcp_abort_on_overflow").filter(|value| *value == 1)?;
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_abort_on_overflow",
        headline: "tcp_abort_on_overflow is 1: a short burst resets clients".to_owned(),
        evidence: vec!["net.ipv4.tcp_abort_on_overflow = 1; the default is 0".to_owned()],
        cause: "when an accept queue is full, the client gets an RST. With 0 its ACK is dropped, \
                and its retry a moment later finds room",
        program: vec!["accept faster, or a larger backlog in listen()"],
        host: vec![view.sysctl("ipv4.tcp_abort_on_overflow", "0", "clients try again")],
        does_not_help: vec![],
    })
}

fn syncookies(view: &View<'_>) -> Option<Setting> {
    let (headline, cause) = match view.now.knob("ipv4.tcp_syncookies")? {
        0 => (
            "tcp_syncookies is 0: a SYN flood closes the host's services",
            "when a listener's queue of half-open connections is full, SYNs are dropped; with 1 \
             they are answered from a cookie, without a record",
        ),
        2 => (
            "tcp_syncookies is 2: every connection is opened from a cookie",
            "2 is for tests: each SYN gets a cookie, full queue or not, which loses options when \
             the client has no timestamps. 1 does so only when it is needed",
        ),
        _ => return None,
    };
    let value = view.now.knob("ipv4.tcp_syncookies")?;
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_syncookies",
        headline: headline.to_owned(),
        evidence: vec![format!("net.ipv4.tcp_syncookies = {value}; the default is 1")],
        cause,
        program: vec![],
        host: vec![view.sysctl("ipv4.tcp_syncookies", "1", "cookies when a queue is full")],
        does_not_help: vec![],
    })
}

fn orphan_retries(view: &View<'_>) -> Option<Setting> {
    let value = view.now.knob("ipv4.tcp_orphan_retries")?;
    let (headline, cause) = match value {
        // The default, 0, means 8.
        0 | 3..=15 => return None,
        1 | 2 => (
            format!("tcp_orphan_retries is {value}: a loss of a second cuts answers"),
            "after close() what is unsent or unacknowledged is retried only so often: with the \
             shortest timeout, 200 ms, 1 is given up after 0.6 s and 2 after 1.4 s, and the peer \
             misses the end of its answer",
        ),
        _ => (
            format!("tcp_orphan_retries is {value}: closed connections stay for many minutes"),
            "each closed connection whose peer is gone is retried so often, two minutes apart in \
             the end, and counts towards tcp_max_orphans all the while",
        ),
    };
    Some(Setting {
        severity: Severity::Advice,
        knob: "tcp_orphan_retries",
        headline,
        evidence: vec![format!(
            "net.ipv4.tcp_orphan_retries = {value}; the default is 0, which means 8"
        )],
        cause,
        program: vec![],
        host: vec![view.sysctl("ipv4.tcp_orphan_retries", "0", "8 tries: 102 s and more")],
        does_not_help: vec![],
    })
}

fn range(view: &View<'_>) -> Option<Setting> {
    let ports = view.now.ports.len();
    if ports >= FEW_PORTS {
        return None;
    }
    let range = &view.now.ports.range;
    Some(Setting {
        severity: Severity::Advice,
        knob: "ip_local_port_range",
        headline: format!(
            "Only {} ports for outgoing connections ({}..{})",
            count(ports.into()),
            range.start(),
            range.end()
        ),
        evidence: vec![
            format!(
                "{} ports, {} of the range reserved",
                count(ports.into()),
                count(view.now.ports.reserved.into())
            ),
            format!(
                "that is {} connections a second to one destination when this host closes first",
                count(u64::from(ports) / 60)
            ),
        ],
        cause: "the range was narrowed; each destination can be reached from so many ports at \
                once, TIME_WAIT included",
        program: vec![],
        host: vec![view.sysctl("ipv4.ip_local_port_range", "32768 60999", "the default")],
        does_not_help: vec![],
    })
}

/// Only where the range was made larger: within the kernel's own a listener's port was most likely
/// given to it by the kernel.
fn services(view: &View<'_>) -> Option<Setting> {
    let range = &view.now.ports.range;
    let reserved = view.now.sysctls.get("ipv4.ip_local_reserved_ports");
    if reserved.is_none() && view.now.ports.reserved > 0 {
        return None;
    }
    let reserved = reserved.map(String::as_str).unwrap_or_default();
    let mut ports: Vec<u16> = view
        .now
        .listeners
        .iter()
        .map(|one| one.local.port())
        .filter(|port| range.contains(port) && !(32_768..=60_999).contains(port))
        .filter(|port| !is_listed(reserved, *port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return None;
    }
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let value = if reserved.trim().is_empty() {
        list.clone()
    } else {
        format!("{},{list}", reserved.trim())
    };
    Some(Setting {
        severity: Severity::Advice,
        knob: "ip_local_reserved_ports",
        headline: format!(
            "ip_local_port_range ({}..{}) covers ports of services: {list}",
            range.start(),
            range.end()
        ),
        evidence: vec![format!("listening within the range and not reserved: {list}")],
        cause: "while such a service is down, an outgoing connection may get its port, and the \
                service cannot start: \"Address already in use\"",
        program: vec![],
        host: vec![view.sysctl(
            "ipv4.ip_local_reserved_ports",
            &value,
            "these are not given to outgoing connections any more",
        )],
        does_not_help: vec!["a narrower range, when ports are short: reserving costs only these"],
    })
}

/// Whether `8080,9000-9100` has a port.
fn is_listed(list: &str, port: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&port),
            _ => false,
        }
    })
}
