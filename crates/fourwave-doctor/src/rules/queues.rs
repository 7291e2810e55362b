//! Listeners' queues: connections to be accepted, and half-open ones.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::Ranked;
use super::view::View;
use crate::words::{count, of, share};
use crate::{Finding, FindingKind, Listener, Severity};

/// Fewer half-open ones are a normal moment of any listener, however short its queue.
const FEW_HALF_OPEN: u32 = 16;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) {
    accept(view, found);
    syn(view, found);
}

/// Nearly full, and not for a moment only: in both samples, or while something was dropped.
fn is_near(view: &View<'_>, listener: &Listener, overflows: u64) -> bool {
    let near = |one: &Listener| {
        one.queue > 0
            && is_known(one)
            && f64::from(one.queue) >= f64::from(one.backlog) * view.thresholds.accept_queue
    };
    let lasted = || match view.sample.before.listeners.iter().find(|b| b.inode == listener.inode) {
        Some(earlier) if view.seconds().is_some() => near(earlier),
        _ => true,
    };
    near(listener) && (overflows > 0 || lasted())
}

/// Without sock_diag it is not known how many may wait.
fn is_known(listener: &Listener) -> bool {
    listener.backlog > 0
}

/// Linux takes one more than the backlog.
fn is_full(listener: &Listener) -> bool {
    is_known(listener) && listener.queue > listener.backlog
}

fn accept(view: &View<'_>, found: &mut Vec<Ranked>) {
    let overflows = view.sample.grown("TcpExtListenOverflows");
    let mut near: Vec<&Listener> =
        view.now.listeners.iter().filter(|one| is_near(view, one, overflows)).collect();
    // Several sockets on one address (SO_REUSEPORT): the fullest speaks for them.
    near.sort_by(|a, b| (a.local, b.queue).cmp(&(b.local, a.queue)));
    near.dedup_by_key(|one| one.local);
    for listener in &near {
        let size = u64::from(listener.queue);
        found.push(Ranked { finding: full(view, listener, overflows), size });
    }
    if near.is_empty() && overflows > 0 {
        // It came and went between the two samples; the fullest one is the likeliest.
        let fullest = view
            .now
            .listeners
            .iter()
            .chain(&view.sample.before.listeners)
            .filter(|one| one.queue > 0)
            .max_by(|a, b| fullness(a).total_cmp(&fullness(b)));
        let finding = match fullest {
            Some(listener) => full(view, listener, overflows),
            None => burst(view, overflows),
        };
        found.push(Ranked { finding, size: overflows });
    }
}

fn fullness(listener: &Listener) -> f64 {
    f64::from(listener.queue) / f64::from(listener.backlog.max(1))
}

fn full(view: &View<'_>, listener: &Listener, overflows: u64) -> Finding {
    let at = listener.local;
    let who = view.program(listener.inode).map(|who| format!("of {who} ")).unwrap_or_default();
    let (queue, backlog) = (listener.queue.into(), listener.backlog.into());
    let state = if is_full(listener) {
        "full"
    } else if overflows > 0 {
        "overflowing"
    } else {
        "nearly full"
    };
    let critical = is_full(listener) || overflows > 0;
    let somaxconn = view.now.knob("core.somaxconn");
    let (of_how_many, may) = if is_known(listener) {
        let may = format!("{} may ({})", count(backlog), share(queue, backlog));
        (format!(" of {}", count(backlog)), may)
    } else {
        (String::new(), "how many may is not known, or 0".to_owned())
    };
    let mut evidence = vec![format!("{} connections wait for accept(), {may}", count(queue))];
    evidence.extend(drops(view, overflows));
    let limit = match somaxconn {
        Some(most) if most <= backlog => {
            format!(
                "the limit is somaxconn ({}): listen() asked for that much or more",
                count(most)
            )
        }
        Some(most) => {
            format!("the limit is what listen() asked for; somaxconn allows {}", count(most))
        }
        None => "the limit is the smaller of listen()'s backlog and somaxconn".to_owned(),
    };
    evidence.push(limit);
    let mut host = Vec::new();
    if let Some(most) = somaxconn.filter(|most| *most <= backlog) {
        host.push(view.sysctl(
            "core.somaxconn",
            &most.saturating_mul(4).clamp(4096, 65_535).to_string(),
            "a longer queue for programs that ask for it, once they call listen() again",
        ));
    }
    Finding {
        kind: FindingKind::AcceptQueueFull,
        severity: if critical { Severity::Critical } else { Severity::Warning },
        about: at.to_string(),
        headline: format!(
            "The accept queue {who}at {at} is {state}: {}{of_how_many}",
            count(queue),
        ),
        evidence,
        cause: cause().to_owned(),
        program: advice(),
        host,
        does_not_help: not(),
    }
}

/// Drops without a listener that shows them.
fn burst(view: &View<'_>, overflows: u64) -> Finding {
    let mut evidence = drops(view, overflows);
    evidence.push("no queue is near its limit at the moment: bursts".to_owned());
    Finding {
        kind: FindingKind::AcceptQueueFull,
        severity: Severity::Critical,
        about: String::new(),
        headline: format!(
            "{} for which an accept queue had no room {}",
            of(overflows, "connection"),
            view.over()
        ),
        evidence,
        cause: cause().to_owned(),
        program: advice(),
        host: Vec::new(),
        does_not_help: not(),
    }
}

fn drops(view: &View<'_>, overflows: u64) -> Vec<String> {
    if view.seconds().is_none() {
        return Vec::new();
    }
    let dropped = view.sample.grown("TcpExtListenDrops");
    vec![format!(
        "ListenOverflows grew by {}, ListenDrops by {} {} (all listeners together)",
        count(overflows),
        count(dropped),
        view.over()
    )]
}

fn cause() -> &'static str {
    "connections arrive faster than the program calls accept(): it is busy, blocked or has too few \
     workers; or bursts are longer than its queue. When it is full the kernel drops SYNs and last \
     ACKs, so clients wait a second and more, or believe to be connected and are not"
}

fn advice() -> Vec<String> {
    vec![
        "accept faster: a thread or task that does nothing else, more workers, nothing slow \
         between two accept() calls"
            .to_owned(),
        "ask for a longer queue: listen(fd, 4096), or the server's own setting (nginx `backlog=`, \
         and so on); it takes effect with the next listen()"
            .to_owned(),
    ]
}

fn not() -> Vec<String> {
    vec![
        "a longer queue when the program is too slow all the time: clients then only wait longer"
            .to_owned(),
        "tcp_abort_on_overflow: an RST instead of a retry that would have succeeded".to_owned(),
        "tcp_max_syn_backlog: it is for half-open connections".to_owned(),
    ]
}

/// How many half-open connections may be at an address, where that is known: since Linux 4.4 its
/// listener's backlog; without cookies new peers get no more than three quarters of
/// tcp_max_syn_backlog besides. Several sockets on one address (SO_REUSEPORT) may have that many
/// each, and theirs are counted at the first.
fn half_open_limits(view: &View<'_>) -> HashMap<SocketAddr, u64> {
    let syncookies = view.now.knob("ipv4.tcp_syncookies");
    let most = match (syncookies, view.now.knob("ipv4.tcp_max_syn_backlog")) {
        (Some(0), Some(most)) => most - most / 4,
        _ => u64::MAX,
    };
    let mut limits: HashMap<SocketAddr, u64> = HashMap::new();
    for one in view.now.listeners.iter().filter(|one| is_known(one)) {
        let limit = limits.entry(one.local).or_default();
        *limit = limit.saturating_add(u64::from(one.backlog).min(most));
    }
    limits
}

fn syn(view: &View<'_>, found: &mut Vec<Ranked>) {
    // With tcp_syncookies=2 every SYN gets one.
    let always = view.now.knob("ipv4.tcp_syncookies") == Some(2);
    let cookies = if always { 0 } else { view.sample.grown("TcpExtSyncookiesSent") };
    let dropped = view.sample.grown("TcpExtTCPReqQFullDrop");
    let limits = half_open_limits(view);
    let fullest = view
        .now
        .listeners
        .iter()
        .filter_map(|one| Some((one, *limits.get(&one.local)?)))
        .max_by_key(|(one, limit)| u64::from(one.half_open) * 1000 / (*limit).max(1));
    let near = fullest.filter(|(one, limit)| {
        one.half_open >= FEW_HALF_OPEN
            && f64::from(one.half_open) >= *limit as f64 * view.thresholds.syn_backlog
    });
    if near.is_none() && cookies == 0 && dropped == 0 {
        return;
    }
    let size = fullest.map_or(0, |(one, _)| one.half_open.into());
    let shown = near.or(fullest.filter(|(one, _)| one.half_open > 0));
    let finding = half_open(view, shown, cookies, dropped);
    found.push(Ranked { finding, size: size.max(cookies + dropped) });
}

fn half_open(
    view: &View<'_>,
    listener: Option<(&Listener, u64)>,
    cookies: u64,
    dropped: u64,
) -> Finding {
    let mut evidence = Vec::new();
    let (about, headline) = match listener {
        Some((one, limit)) => {
            evidence.push(format!(
                "{} half-open connections (SYN_RECV) at {}, {} may be",
                count(one.half_open.into()),
                one.local,
                count(limit)
            ));
            let text = format!("{} half-open connections at {}", one.half_open, one.local);
            (one.local.to_string(), text)
        }
        None => (String::new(), "Half-open connections overflowed a listener's queue".to_owned()),
    };
    if view.seconds().is_some() {
        evidence.push(format!(
            "SyncookiesSent grew by {}, TCPReqQFullDrop by {} {}",
            count(cookies),
            count(dropped),
            view.over()
        ));
    }
    let off = view.now.knob("ipv4.tcp_syncookies") == Some(0);
    let mut host = Vec::new();
    if off {
        host.push(view.sysctl(
            "ipv4.tcp_syncookies",
            "1",
            "beyond the limit SYNs are answered from a cookie, without a record",
        ));
        let most = view.now.knob("ipv4.tcp_max_syn_backlog").unwrap_or(1024).saturating_mul(4);
        host.push(view.sysctl(
            "ipv4.tcp_max_syn_backlog",
            &most.to_string(),
            "more half-open ones; it counts only while cookies are off",
        ));
    }
    Finding {
        kind: FindingKind::SynBacklog,
        severity: if dropped > 0 || off { Severity::Critical } else { Severity::Warning },
        about,
        headline,
        evidence,
        cause: "SYNs arrive and the ACK that completes the handshake does not: a SYN flood with \
                false senders, answers that get lost on the way back, or a burst of distant \
                clients longer than the queue"
            .to_owned(),
        program: vec![
            "a longer queue for bursts: the backlog of listen() bounds half-open ones too \
             (Linux 4.4 and later)"
                .to_owned(),
        ],
        host,
        does_not_help: vec![
            "tcp_synack_retries lower than 2 or so: clients on bad paths need the retries"
                .to_owned(),
            "tcp_max_syn_backlog alone: with syncookies on, the listener's backlog is the limit"
                .to_owned(),
        ],
    }
}
