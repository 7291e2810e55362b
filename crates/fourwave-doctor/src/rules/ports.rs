//! Ephemeral ports towards one destination.
//!
//! connect() gives one local port to many destinations, so ports run out for each pair of a local
//! address and a destination (address and port) on its own. A port that anybody bound with bind()
//! is out for all of them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwave_core::state::State;

use super::Ranked;
use super::view::{View, Way, canonical, listed, ranked, states};
use crate::snapshot::TIME_WAIT;
use crate::words::{count, of, percent, rate, span};
use crate::{Finding, FindingKind, Severity, Socket, TimerKind};

/// How far ahead it is looked.
const HORIZON: u64 = 3600;

/// From which part of the threshold on a rate is believed: a burst of a second is no trend.
const BELIEVED: f64 = 0.5;

type Pair = (IpAddr, SocketAddr);

/// Returns the destinations that it has found something about.
pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) -> HashSet<SocketAddr> {
    let blocked = view.listening_ports().filter(|port| view.now.ports.range.contains(port));
    let available = u64::from(view.now.ports.len()).saturating_sub(blocked.count() as u64);
    let least = (available as f64 * view.thresholds.ports * BELIEVED) as u64;
    let counted = ranked(view.now.sockets.iter().filter_map(|one| pair(view, one)));
    let mut groups: HashMap<Pair, Group<'_>> = counted
        .into_iter()
        .take_while(|(_, number)| *number >= least.max(1))
        .map(|(pair, _)| (pair, Group::default()))
        .collect();
    for socket in &view.now.sockets {
        if let Some(group) = pair(view, socket).and_then(|pair| groups.get_mut(&pair)) {
            group.now.push(socket);
        }
    }
    for socket in view.sample.before.sockets.iter().filter(|one| one.state != State::TimeWait) {
        if let Some(group) = pair(view, socket).and_then(|pair| groups.get_mut(&pair)) {
            group.lived += 1;
        }
    }
    let mut reported = HashSet::new();
    for (pair, group) in groups {
        let used = Used::of(view, pair, &group, available);
        if let Some(severity) = used.severity(view) {
            found.push(Ranked { finding: used.finding(view, severity), size: used.taken() });
            reported.insert(pair.1);
        }
    }
    reported
}

/// The sockets of one pair.
#[derive(Default)]
struct Group<'a> {
    now: Vec<&'a Socket>,
    /// Those of the earlier snapshot that were not in TIME_WAIT.
    lived: u64,
}

/// What a socket takes a port for; `None` when its port is no ephemeral one that we chose.
fn pair(view: &View<'_>, socket: &Socket) -> Option<Pair> {
    let port = socket.local.port();
    if !view.now.ports.range.contains(&port) || view.listens(port) {
        return None;
    }
    match view.way(socket) {
        Way::Out(to) => Some((canonical(socket.local).ip(), to)),
        Way::In(_) => None,
    }
}

/// The ports in use towards one destination.
struct Used {
    pair: Pair,
    available: u64,
    /// By state, the most frequent first; every socket.
    states: Vec<(State, u64)>,
    /// In use by anything but TIME_WAIT.
    live: u64,
    /// Growth of `live` a second.
    live_growth: f64,
    /// When the TIME_WAITs that cannot be taken over free their ports, in order.
    frees: Vec<Duration>,
    /// TIME_WAITs that a new connection may take over.
    reusable: u64,
    /// New TIME_WAITs a second.
    closes: f64,
    /// How long a new TIME_WAIT keeps its port.
    holds: Duration,
}

impl Used {
    fn of(view: &View<'_>, pair: Pair, group: &Group<'_>, available: u64) -> Self {
        let now = &group.now;
        let waiting = |one: &&&Socket| one.state == State::TimeWait;
        let live = now.iter().filter(|one| !waiting(one)).count() as u64;
        let left = |one: &Socket| match one.timer {
            Some(timer) if timer.kind == TimerKind::TimeWait => timer.expires.min(TIME_WAIT),
            _ => TIME_WAIT / 2,
        };
        let reuse_after = reuse_after(view, pair);
        let holds = reuse_after.unwrap_or(TIME_WAIT);
        let mut frees: Vec<Duration> = now
            .iter()
            .filter(waiting)
            .map(|one| left(one).saturating_sub(TIME_WAIT - holds))
            .filter(|left| reuse_after.is_none() || !left.is_zero())
            .collect();
        frees.sort();
        let (mut live_growth, mut closes) = (0.0, 0.0);
        if let Some(seconds) = view.seconds() {
            live_growth = (live as f64 - group.lived as f64) / seconds;
            let young = |one: &&&Socket| TIME_WAIT - left(one) < view.sample.interval;
            closes = now.iter().filter(waiting).filter(young).count() as f64 / seconds;
        }
        let waiting = now.len() as u64 - live;
        Self {
            pair,
            available,
            states: states(now),
            live,
            live_growth,
            reusable: waiting - frees.len() as u64,
            frees,
            closes,
            holds,
        }
    }

    fn taken(&self) -> u64 {
        self.live + self.frees.len() as u64
    }

    fn free(&self) -> u64 {
        self.available.saturating_sub(self.taken())
    }

    fn waiting(&self) -> u64 {
        self.reusable + self.frees.len() as u64
    }

    fn share(&self) -> f64 {
        if self.available == 0 { 1.0 } else { self.taken() as f64 / self.available as f64 }
    }

    /// None is left, or so few that what expires is taken at once.
    fn is_exhausted(&self) -> bool {
        self.free() <= self.available / 100
    }

    /// When no port is left if it goes on so; `None` when it levels off before.
    fn exhausted_in(&self) -> Option<Duration> {
        let growth = self.live_growth.max(0.0);
        (0..=HORIZON).map(Duration::from_secs).find(|at| {
            let expired = self.frees.partition_point(|left| left <= at);
            let waiting = (self.frees.len() - expired) as f64;
            let new = self.closes * at.min(&self.holds).as_secs_f64();
            let live = self.live as f64 + growth * at.as_secs_f64();
            live + waiting + new >= self.available as f64
        })
    }

    fn severity(&self, view: &View<'_>) -> Option<Severity> {
        let share = self.share();
        let soon = self.exhausted_in().is_some_and(|time| time <= view.thresholds.ports_time);
        if share >= view.thresholds.ports * BELIEVED && (self.is_exhausted() || soon) {
            return Some(Severity::Critical);
        }
        (share >= view.thresholds.ports).then_some(Severity::Warning)
    }

    fn finding(&self, view: &View<'_>, severity: Severity) -> Finding {
        let (from, to) = self.pair;
        let headline = if self.is_exhausted() && self.free() > 0 {
            format!(
                "Only {} left for connections to {to}: connect() fails in bursts (EADDRNOTAVAIL)",
                of(self.free(), "port"),
            )
        } else if self.is_exhausted() {
            format!("No port is left for connections to {to}: connect() fails (EADDRNOTAVAIL)")
        } else {
            match self.exhausted_in().filter(|_| severity == Severity::Critical) {
                Some(time) => {
                    format!("Ports for connections to {to} run out in about {}", span(time))
                }
                None => format!(
                    "{} of the ports for connections to {to} are in use",
                    percent(self.share())
                ),
            }
        };
        Finding {
            kind: FindingKind::PortsExhausted,
            severity,
            about: format!("{to} from {from}"),
            headline,
            evidence: self.evidence(view),
            cause: self.cause(),
            program: self.program(),
            host: self.host(view),
            does_not_help: not(),
        }
    }

    fn evidence(&self, view: &View<'_>) -> Vec<String> {
        let (from, to) = self.pair;
        let range = &view.now.ports.range;
        let mut out = vec![
            format!(
                "{} of {} ports ({}..{}) are in use from {from} to {to}: {}",
                count(self.taken()),
                count(self.available),
                range.start(),
                range.end(),
                percent(self.share()),
            ),
            listed(&self.states, 5),
        ];
        if self.reusable > 0 {
            out.push(format!(
                "{} of the TIME_WAIT may be taken over (tcp_tw_reuse) and do not count",
                count(self.reusable)
            ));
        }
        if view.seconds().is_some() {
            let ahead = match self.exhausted_in() {
                Some(time) if time.is_zero() => "none is left".to_owned(),
                Some(time) => format!("at this rate the last is gone in {}", span(time)),
                None => "at this rate it levels off before the last is gone".to_owned(),
            };
            let open = match self.live_growth {
                growth if growth.abs() < 0.05 => "as many open as before".to_owned(),
                growth if growth < 0.0 => format!("{} fewer open", rate(-growth)),
                growth => format!("{} more open", rate(growth)),
            };
            out.push(format!("{} closed into TIME_WAIT, {open}: {ahead}", rate(self.closes)));
        }
        if self.share() > 0.5 && !self.is_exhausted() {
            out.push(
                "the half of the ports that connect() tries first is used up: each call searches \
                 them all in vain, and becomes slow"
                    .to_owned(),
            );
        }
        out
    }

    fn cause(&self) -> String {
        let to = self.pair.1;
        if self.waiting() * 2 >= self.waiting() + self.live {
            return format!(
                "this host opens many short connections to {to} and closes first, so each leaves \
                 a TIME_WAIT here that keeps its port for 60 s: {} ports are {} connections a \
                 second",
                count(self.available),
                count(self.available / TIME_WAIT.as_secs()),
            );
        }
        match self.states.first() {
            Some((State::CloseWait, _)) => format!(
                "{to} has closed these connections and the program here has not: each keeps its \
                 port until it does"
            ),
            Some((State::SynSent, _)) => format!(
                "{to} does not answer: each attempt keeps its port until it is given up \
                 (tcp_syn_retries)"
            ),
            _ => format!(
                "so many connections to {to} are open at once: a pool without a limit, or \
                 connections that are never closed"
            ),
        }
    }

    fn program(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.waiting() >= self.live {
            out.push("keep connections and reuse them: keep-alive, a pool".to_owned());
            out.push(
                "let the server close first: TIME_WAIT is then there, where it needs no port"
                    .to_owned(),
            );
        } else {
            out.push("bound the pool, and close what is not needed any more".to_owned());
        }
        out.push(
            "spread over more destinations (addresses or ports of the server) or more source \
             addresses: the ports count for each pair"
                .to_owned(),
        );
        out.push(
            "a program that binds its source address before connect() uses a port up for all \
             destinations: set IP_BIND_ADDRESS_NO_PORT"
                .to_owned(),
        );
        out
    }

    fn host(&self, view: &View<'_>) -> Vec<crate::Command> {
        let mut out = Vec::new();
        if view.now.ports.len() < 50_000 {
            out.push(view.sysctl(
                "ipv4.ip_local_port_range",
                "10240 65535",
                &format!(
                    "55,296 ports for each destination instead of {}; list ports of services in \
                     that range in ip_local_reserved_ports first",
                    count(view.now.ports.len().into())
                ),
            ));
        }
        let no_timestamps = view.now.knob("ipv4.tcp_timestamps") == Some(0);
        if self.frees.len() as u64 * 2 >= self.taken() && reuse_after(view, self.pair).is_none() {
            if no_timestamps {
                out.push(view.sysctl(
                    "ipv4.tcp_timestamps",
                    "1",
                    "tcp_tw_reuse rests on timestamps, which are off",
                ));
            }
            out.push(view.sysctl(
                "ipv4.tcp_tw_reuse",
                "1",
                "a new connection may take a TIME_WAIT of more than a second over; outgoing \
                 ones only, and only where both ends use timestamps",
            ));
        }
        out
    }
}

fn not() -> Vec<String> {
    [
        "tcp_fin_timeout: it is the life of an orphaned FIN_WAIT_2; TIME_WAIT is 60 s whatever it \
         says",
        "tcp_tw_recycle: gone since Linux 4.12; it broke clients behind one NAT",
        "tcp_max_tw_buckets lower: TIME_WAIT beyond it is destroyed, and its protection with it",
        "SO_LINGER 0: it ends with RST, and throws away what was not delivered",
    ]
    .map(str::to_owned)
    .into()
}

/// From which age on Linux lets a new connection to this destination take a TIME_WAIT over
/// (`tcp_twsk_unique`); `None` where it does not.
fn reuse_after(view: &View<'_>, (from, to): Pair) -> Option<Duration> {
    let loopback = from.is_loopback() || to.ip().is_loopback();
    let allowed = match view.now.knob("ipv4.tcp_tw_reuse") {
        Some(1) => true,
        Some(2) => loopback,
        _ => false,
    };
    let timestamps = view.now.knob("ipv4.tcp_timestamps") != Some(0);
    let delay = view.now.knob("ipv4.tcp_tw_reuse_delay").unwrap_or(1000);
    (allowed && timestamps).then(|| Duration::from_millis(delay).min(TIME_WAIT))
}
