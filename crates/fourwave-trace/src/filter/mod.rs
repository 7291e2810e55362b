//! The language of `--filter`: which connections are reported.
//!
//! ```text
//! expr  = and { "or" and }        and  = not { "and" not }
//! not   = "not" not | "(" expr ")" | test
//! test  = [ "client" | "server" ] key [ op ] value
//! ```

mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_lens::{AnomalyKind, ConnectionRecord, Role};
use ipnet::IpNet;

pub use parse::FilterError;

/// Which connections are reported. [`parse`](str::parse) reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

/// One question about a connection; `Option<Role>` is the end it is about, `None` either.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Host(Option<Role>, IpNet),
    Port(Option<Role>, RangeInclusive<u16>),
    State(Option<Role>, State),
    End(&'static str),
    ClosedFirst(Role),
    Anomaly(AnomalyKind),
    Quantity(Option<Role>, Quantity, Comparison, f64),
}

/// What can be compared with a number: bytes, counts, or seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Bytes,
    Segments,
    Retransmitted,
    ZeroWindows,
    Lasted,
    Rtt,
    Handshake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    Greater,
}

impl Filter {
    /// Whether the connection of `record` is reported. O(terms).
    pub fn holds(&self, record: &ConnectionRecord) -> bool {
        self.0.holds(record)
    }

    /// Whether it may be reported, as far as its addresses say; they are all that is known before
    /// its end.
    pub fn may_hold(&self, addrs: &[SocketAddr; 2]) -> bool {
        self.0.early(addrs) != Some(false)
    }

    /// Whether the addresses alone decide.
    pub fn is_about_addresses(&self) -> bool {
        self.0.is_about_addresses()
    }
}

impl Node {
    fn holds(&self, record: &ConnectionRecord) -> bool {
        match self {
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(record)),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(record)),
            Self::Not(node) => !node.holds(record),
            Self::Test(test) => test.holds(record),
        }
    }

    /// What the addresses alone say.
    fn early(&self, addrs: &[SocketAddr; 2]) -> Option<bool> {
        let said = |nodes: &[Node], decisive: bool| {
            let said: Vec<_> = nodes.iter().map(|node| node.early(addrs)).collect();
            match () {
                () if said.contains(&Some(decisive)) => Some(decisive),
                () if said.contains(&None) => None,
                () => Some(!decisive),
            }
        };
        match self {
            Self::Any(nodes) => said(nodes, true),
            Self::All(nodes) => said(nodes, false),
            Self::Not(node) => node.early(addrs).map(|holds| !holds),
            Self::Test(test) => test.of_addresses(addrs),
        }
    }

    fn is_about_addresses(&self) -> bool {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().all(Self::is_about_addresses),
            Self::Not(node) => node.is_about_addresses(),
            Self::Test(test) => matches!(test, Test::Host(..) | Test::Port(..)),
        }
    }
}

/// Whether `holds` for the end asked about, or for either.
fn of_ends(who: Option<Role>, holds: impl Fn(Role) -> bool) -> bool {
    match who {
        Some(who) => holds(who),
        None => Role::BOTH.into_iter().any(holds),
    }
}

impl Test {
    fn of_addresses(&self, addrs: &[SocketAddr; 2]) -> Option<bool> {
        match self {
            Self::Host(who, net) => {
                Some(of_ends(*who, |who| net.contains(&plain(addrs[who.index()].ip()))))
            }
            Self::Port(who, ports) => {
                Some(of_ends(*who, |who| ports.contains(&addrs[who.index()].port())))
            }
            _ => None,
        }
    }

    fn holds(&self, record: &ConnectionRecord) -> bool {
        match self {
            Self::Host(..) | Self::Port(..) => self.of_addresses(&record.addrs) == Some(true),
            Self::State(who, state) => of_ends(*who, |who| record.states[who.index()] == *state),
            Self::End(name) => record.how.name() == *name,
            Self::ClosedFirst(who) => record.closed_first.is_some_and(|first| first.who == *who),
            Self::Anomaly(kind) => record.anomalies.iter().any(|anomaly| anomaly.kind == *kind),
            Self::Quantity(who, quantity, comparison, limit) => {
                quantity.of(record, *who).is_some_and(|value| comparison.holds(value, *limit))
            }
        }
    }
}

/// An IPv4 address that is written as an IPv6 one is what it is.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

impl Quantity {
    /// Of one end, or of both together; `None` where it was not measured.
    fn of(self, record: &ConnectionRecord, who: Option<Role>) -> Option<f64> {
        let sum = |pair: [u64; 2]| match who {
            Some(who) => Some(pair[who.index()] as f64),
            None => Some(pair.iter().sum::<u64>() as f64),
        };
        let metrics = record.metrics.as_deref();
        match self {
            Self::Bytes => sum(record.bytes),
            Self::Segments => sum(record.segments),
            Self::Retransmitted => sum(record.retransmissions()),
            Self::ZeroWindows => sum([0, 1].map(|i| metrics.map_or(0, |m| m.ends[i].zero_windows))),
            Self::Lasted => Some(record.lasted().as_secs_f64()),
            Self::Handshake => record.handshake.map(|lasted| lasted.as_secs_f64()),
            Self::Rtt => {
                let mean = |who: Role| metrics?.ends[who.index()].rtt.mean();
                let means: [Option<Duration>; 2] = Role::BOTH.map(mean);
                let longest = match who {
                    Some(who) => means[who.index()],
                    None => means.into_iter().max().flatten(),
                };
                longest.map(|rtt| rtt.as_secs_f64())
            }
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
            Self::AtLeast => value >= limit,
            Self::Greater => value > limit,
        }
    }
}
