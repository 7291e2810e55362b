//! A sample, examined the way the rules do: whose side opened, what can be commanded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use fourwave_core::state::State;

use crate::{Command, Sample, Scope, Snapshot, Socket, Thresholds};

/// Which end of a connection this host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Way {
    /// The other end connected to this service of ours.
    In(SocketAddr),
    /// We connected to this destination.
    Out(SocketAddr),
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::In(at) => write!(f, "at {at}"),
            Self::Out(to) => write!(f, "to {to}"),
        }
    }
}

pub(super) struct View<'a> {
    pub(super) sample: &'a Sample,
    pub(super) now: &'a Snapshot,
    pub(super) thresholds: &'a Thresholds,
    services: HashMap<u16, Vec<SocketAddr>>,
}

impl<'a> View<'a> {
    pub(super) fn of(sample: &'a Sample, thresholds: &'a Thresholds) -> Self {
        let mut services: HashMap<u16, Vec<SocketAddr>> = HashMap::new();
        for listener in sample.after.listeners.iter().chain(&sample.before.listeners) {
            let at = services.entry(listener.local.port()).or_default();
            if !at.contains(&listener.local) {
                at.push(listener.local);
            }
        }
        Self { sample, now: &sample.after, thresholds, services }
    }

    /// The sample's time in seconds; `None` without one.
    pub(super) fn seconds(&self) -> Option<f64> {
        let seconds = self.sample.interval.as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }

    /// ` over 2 s`, for numbers of the sample.
    pub(super) fn over(&self) -> String {
        format!("in {}", crate::words::span(self.sample.interval))
    }

    /// Which end we are. Without a listener, the end whose port is an ephemeral one has opened.
    pub(super) fn way(&self, socket: &Socket) -> Way {
        let local = canonical(socket.local);
        if let Some(services) = self.services.get(&local.port()) {
            let serves = |one: &&SocketAddr| one.ip().is_unspecified() || canonical(**one) == local;
            if let Some(service) = services.iter().find(serves) {
                return Way::In(*service);
            }
        }
        let ephemeral = |port: u16| self.now.ports.range.contains(&port);
        if !ephemeral(local.port()) && ephemeral(socket.remote.port()) {
            return Way::In(local);
        }
        Way::Out(canonical(socket.remote))
    }

    /// Whether a listener has this port, on whatever address.
    pub(super) fn listens(&self, port: u16) -> bool {
        self.services.contains_key(&port)
    }

    /// Ports on which something listens.
    pub(super) fn listening_ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.services.keys().copied()
    }

    /// A command that sets a knob (`ipv4.tcp_tw_reuse`) where it was examined.
    pub(super) fn sysctl(&self, name: &str, value: &str, effect: &str) -> Command {
        let value = if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() };
        let line = format!("sysctl -w net.{name}={value}");
        // One for the whole host: other namespaces than the first have no such file.
        if name == "ipv4.tcp_max_orphans" {
            return Command { line, effect: effect.to_owned() };
        }
        self.command(&line, effect)
    }

    /// A command that is run where it was examined.
    pub(super) fn command(&self, line: &str, effect: &str) -> Command {
        let line = match &self.now.scope {
            Scope::Own => line.to_owned(),
            Scope::Pid(pid) => format!("nsenter -t {pid} -n {line}"),
            Scope::Netns(path) if path.contains('/') => format!("nsenter --net={path} {line}"),
            Scope::Netns(name) => format!("ip netns exec {name} {line}"),
        };
        Command { line, effect: effect.to_owned() }
    }

    /// `python3 (pid 812)`; `None` where it may not be known.
    pub(super) fn program(&self, inode: u64) -> Option<String> {
        let owner = self.now.owners.get(&inode)?.iter().min()?;
        Some(format!("{} (pid {})", owner.program, owner.pid))
    }
}

/// An IPv4 address in IPv6's clothes as what it is.
pub(super) fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

/// Who the other end is: the destination when we opened; the host when it did, whose ports are
/// all different.
pub(super) fn peer(view: &View<'_>, socket: &Socket) -> Peer {
    match view.way(socket) {
        Way::Out(to) => Peer::Service(to),
        Way::In(_) => Peer::Host(canonical(socket.remote).ip()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Peer {
    Service(SocketAddr),
    Host(IpAddr),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(at) => at.fmt(f),
            Self::Host(ip) => ip.fmt(f),
        }
    }
}

/// How often each key comes, the most frequent first.
pub(super) fn ranked<K: Hash + Eq + Ord + Copy>(keys: impl Iterator<Item = K>) -> Vec<(K, u64)> {
    let mut counts: HashMap<K, u64> = HashMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut ranked: Vec<(K, u64)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    ranked
}

/// How many are in each state, the most frequent first.
pub(super) fn states(sockets: &[&Socket]) -> Vec<(State, u64)> {
    let place = |state| State::ALL.iter().position(|one| *one == state).unwrap_or(0);
    let ranked = ranked(sockets.iter().map(|one| place(one.state)));
    ranked.into_iter().map(|(place, number)| (State::ALL[place], number)).collect()
}

/// The first of a ranking in a line: `10.0.0.5:80 (812), 10.0.0.6:80 (3), and 2 more`.
pub(super) fn listed<K: std::fmt::Display>(ranked: &[(K, u64)], most: usize) -> String {
    let mut parts: Vec<String> = ranked
        .iter()
        .take(most)
        .map(|(key, number)| format!("{key} ({})", crate::words::count(*number)))
        .collect();
    if ranked.len() > most {
        parts.push(format!("and {} more", crate::words::count((ranked.len() - most) as u64)));
    }
    parts.join(", ")
}
