//! TIME_WAIT: many of them, and too many for the kernel.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

use fourwave_core::state::State;

use super::Ranked;
use super::view::{View, Way, listed, ranked};
use crate::snapshot::TIME_WAIT;
use crate::words::{bytes, count, of, rate, share};
use crate::{Command, Finding, FindingKind, Severity, Socket, TimerKind};

/// What Linux keeps for one TIME_WAIT.
const RECORD_BYTES: u64 = 256;

/// `reported`: destinations whose ports are a finding already, which has all that matters of them.
pub(super) fn check(view: &View<'_>, reported: &HashSet<SocketAddr>, found: &mut Vec<Ranked>) {
    let waiting: Vec<&Socket> =
        view.now.sockets.iter().filter(|one| one.state == State::TimeWait).collect();
    overflow(view, found);
    let total = waiting.len() as u64;
    if total < view.thresholds.time_wait_count || total == 0 {
        return;
    }
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for socket in waiting {
        match view.way(socket) {
            Way::Out(to) if reported.contains(&to) => {}
            Way::Out(to) => ours.push((to, socket)),
            Way::In(service) => theirs.push((service, socket)),
        }
    }
    // Each side that reaches the threshold alone, or the larger when only both together do.
    let (outgoing, incoming) = (ours.len() as u64, theirs.len() as u64);
    if outgoing + incoming < view.thresholds.time_wait_count {
        return;
    }
    let enough = |side: u64, other: u64| {
        side >= view.thresholds.time_wait_count
            || (side >= other && other < view.thresholds.time_wait_count)
    };
    if enough(outgoing, incoming) {
        found.push(Ranked { finding: client(view, &Pile::of(view, &ours)), size: outgoing });
    }
    if enough(incoming, outgoing) && incoming > 0 {
        found.push(Ranked { finding: server(view, &Pile::of(view, &theirs)), size: incoming });
    }
}

/// The TIME_WAITs of one side.
struct Pile<K> {
    total: u64,
    by: Vec<(K, u64)>,
    /// Of them, those that began within the sample.
    new: u64,
}

impl<K: Copy + Ord + std::hash::Hash + fmt::Display> Pile<K> {
    fn of(view: &View<'_>, sockets: &[(K, &Socket)]) -> Self {
        let young = |socket: &Socket| match socket.timer {
            Some(timer) if timer.kind == TimerKind::TimeWait => {
                TIME_WAIT.saturating_sub(timer.expires) < view.sample.interval
            }
            _ => false,
        };
        Self {
            total: sockets.len() as u64,
            by: ranked(sockets.iter().map(|(key, _)| *key)),
            new: sockets.iter().filter(|(_, socket)| young(socket)).count() as u64,
        }
    }

    /// The one that most of them belong to.
    fn most(&self) -> Option<K> {
        self.by.first().filter(|(_, number)| number * 2 > self.total).map(|(key, _)| *key)
    }

    fn evidence(&self, view: &View<'_>, whose: &str) -> Vec<String> {
        let mut out = vec![
            format!("{} TIME_WAIT {whose}: {}", count(self.total), listed(&self.by, 5)),
            format!(
                "about {} of kernel memory ({RECORD_BYTES} bytes each)",
                bytes(self.total * RECORD_BYTES)
            ),
        ];
        if let Some(seconds) = view.seconds() {
            out.push(format!(
                "{} new ones; the kernel counts {} that began (TW) and {} that outgoing \
                 connections took over (TWRecycled) {}",
                rate(self.new as f64 / seconds),
                count(view.sample.grown("TcpExtTW")),
                count(view.sample.grown("TcpExtTWRecycled")),
                view.over(),
            ));
        }
        if let Some(limit) = view.now.knob("ipv4.tcp_max_tw_buckets") {
            let used = share(view.now.time_wait, limit);
            out.push(format!("tcp_max_tw_buckets is {}: {used} of it are used", count(limit)));
        }
        out
    }
}

fn client(view: &View<'_>, pile: &Pile<SocketAddr>) -> Finding {
    let (about, place) = match pile.most() {
        Some(to) => (format!("to {to}"), format!("to {to}")),
        None => ("outgoing".to_owned(), of(pile.by.len() as u64, "destination")),
    };
    let place = if about == "outgoing" { format!("to {place}") } else { place };
    let mut host = Vec::new();
    if view.now.knob("ipv4.tcp_tw_reuse") != Some(1) {
        host.push(view.sysctl(
            "ipv4.tcp_tw_reuse",
            "1",
            "a new outgoing connection may take a TIME_WAIT of more than a second over; needs \
             timestamps at both ends",
        ));
    }
    Finding {
        kind: FindingKind::TimeWaitPile,
        severity: Severity::Warning,
        about,
        headline: format!(
            "{} TIME_WAIT of connections {place}: this host opens and closes them",
            count(pile.total)
        ),
        evidence: pile.evidence(view, "of outgoing connections"),
        cause: "who closes first holds TIME_WAIT for 60 s: the programs here open many short \
                connections and close them first. Each keeps a port towards its destination; \
                apart from ports they cost next to nothing"
            .to_owned(),
        program: vec![
            "keep connections and reuse them: keep-alive, a pool".to_owned(),
            "let the server close first: read to the end of its answer before close()".to_owned(),
        ],
        host,
        does_not_help: not(),
    }
}

fn server(view: &View<'_>, pile: &Pile<SocketAddr>) -> Finding {
    let (about, place) = match pile.most() {
        Some(service) => (format!("at {service}"), format!("at {service}")),
        None => ("incoming".to_owned(), format!("at {} services", pile.by.len())),
    };
    let mut not = not();
    not.insert(
        0,
        "tcp_tw_reuse: it is for outgoing connections and does nothing for a server".to_owned(),
    );
    Finding {
        kind: FindingKind::TimeWaitPile,
        severity: Severity::Advice,
        about,
        headline: format!(
            "{} TIME_WAIT {place}: this server closes first; harmless by itself",
            count(pile.total)
        ),
        evidence: pile.evidence(view, "of incoming connections"),
        cause: "the server closes first, so TIME_WAIT is here. It needs no port (all share the \
                service's), and a new SYN from the same client port takes it over at once. It \
                matters only when tcp_max_tw_buckets is reached"
            .to_owned(),
        program: vec![
            "nothing has to change; to have fewer, keep connections open for the next request \
             (keep-alive)"
                .to_owned(),
            "or let the clients close first: answer with a length, and wait for their FIN"
                .to_owned(),
        ],
        host: Vec::new(),
        does_not_help: not,
    }
}

fn overflow(view: &View<'_>, found: &mut Vec<Ranked>) {
    let destroyed = view.sample.grown("TcpExtTCPTimeWaitOverflow");
    let Some(limit) = view.now.knob("ipv4.tcp_max_tw_buckets") else { return };
    let now = view.now.time_wait;
    let near = limit > 0 && now as f64 >= limit as f64 * view.thresholds.time_wait;
    if destroyed == 0 && !near {
        return;
    }
    let headline = if destroyed > 0 {
        format!(
            "TIME_WAIT is at its bound: {} destroyed at once {}",
            of(destroyed, "connection"),
            view.over()
        )
    } else {
        format!("{} TIME_WAIT: {} of tcp_max_tw_buckets", count(now), share(now, limit))
    };
    let mut evidence =
        vec![format!("{} TIME_WAIT now, tcp_max_tw_buckets is {}", count(now), count(limit))];
    if view.seconds().is_some() {
        evidence.push(format!("TCPTimeWaitOverflow grew by {} {}", count(destroyed), view.over()));
    }
    let raised = limit.saturating_mul(2).max(now.saturating_mul(2)).max(65_536);
    let finding = Finding {
        kind: FindingKind::TimeWaitOverflow,
        severity: Severity::Warning,
        about: String::new(),
        headline,
        evidence,
        cause: "more connections are closed first on this host within 60 s than \
                tcp_max_tw_buckets allows to wait. Beyond it Linux drops the state at once: a \
                lost last ACK then makes the peer's close end in RST, and an old duplicate may \
                reach a new connection"
            .to_owned(),
        program: vec![
            "keep connections and reuse them, or let the other side close first".to_owned(),
        ],
        host: raise(view, raised),
        does_not_help: vec![
            "tcp_max_tw_buckets lower: it makes fewer TIME_WAIT by giving their protection up"
                .to_owned(),
            "tcp_fin_timeout: it does not shorten TIME_WAIT".to_owned(),
        ],
    };
    found.push(Ranked { finding, size: destroyed.max(now) });
}

fn raise(view: &View<'_>, to: u64) -> Vec<Command> {
    let effect = format!("room for more; {} if all are used", bytes(to * RECORD_BYTES));
    vec![view.sysctl("ipv4.tcp_max_tw_buckets", &to.to_string(), &effect)]
}

fn not() -> Vec<String> {
    [
        "tcp_fin_timeout: it is the life of an orphaned FIN_WAIT_2; TIME_WAIT is 60 s whatever it \
         says",
        "tcp_tw_recycle: gone since Linux 4.12; it broke clients behind one NAT",
        "tcp_max_tw_buckets lower: it destroys TIME_WAIT, and the protection with it",
    ]
    .map(str::to_owned)
    .into()
}
