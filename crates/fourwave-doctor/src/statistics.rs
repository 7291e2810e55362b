//! A sample in numbers: the rows of the live table and of the metrics.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use fourwave_core::state::State;

use crate::snapshot::TIME_WAIT;
use crate::{Orphans, Sample, Snapshot};

/// A sample in numbers. Each list has its largest rows first.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// When, by the host's clock.
    pub taken: SystemTime,
    /// The time since the sample before; zero in the first.
    pub interval: Duration,
    /// How many sockets are in each state of [`State::ALL`] that a socket can be in.
    pub states: Vec<(State, u64)>,
    /// By destination, those to which this host opens connections.
    pub destinations: Vec<Destination>,
    /// Ephemeral ports for each destination.
    pub ports: u64,
    /// CLOSE_WAIT by program.
    pub close_wait: Vec<CloseWait>,
    /// The listeners.
    pub listeners: Vec<Queue>,
    /// Sockets without a program.
    pub orphans: Orphans,
}

/// Connections from one of this host's addresses to one address and port.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// This host's address.
    pub from: IpAddr,
    /// Where to.
    pub to: SocketAddr,
    /// Ephemeral ports that are taken, TIME_WAIT included.
    pub used: u64,
    /// Ephemeral ports in all.
    pub total: u64,
    /// Of `used`, those in TIME_WAIT.
    pub time_wait: u64,
    /// Growth of `used`, ports a second; negative when it shrinks.
    pub per_second: f64,
    /// It grows, but as many TIME_WAIT will end as come before the last port is gone.
    pub levels_off: bool,
}

impl Destination {
    /// Until no port is left, if it goes on; `None` when it does not grow, or levels off before.
    /// Zero when none is left.
    pub fn exhausted_in(&self) -> Option<Duration> {
        let free = self.total.saturating_sub(self.used);
        if free == 0 {
            return Some(Duration::ZERO);
        }
        let grows = self.per_second > 0.0 && !self.levels_off;
        let seconds = grows.then(|| free as f64 / self.per_second)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The share of the ports that is taken, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.used as f64 / self.total as f64 }
    }
}

/// One program's sockets in CLOSE_WAIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseWait {
    /// Its name and number; `None` where it may not be known.
    pub program: Option<(String, u32)>,
    /// How many.
    pub count: u64,
    /// Bytes that came and were not read.
    pub unread: u64,
}

/// A listener's queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Where it listens.
    pub local: SocketAddr,
    /// Whose it is, where that is known.
    pub program: Option<String>,
    /// Connections that wait for accept().
    pub queue: u32,
    /// How many may.
    pub backlog: u32,
    /// Half-open ones.
    pub half_open: u32,
}

/// States that a socket of the kernel can be in, LISTEN included.
pub const STATES: [State; 10] = [
    State::Listen,
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

impl Statistics {
    /// Counts. Cost: O(sockets), a few passes.
    pub fn of(sample: &Sample) -> Self {
        let Snapshot { sockets, listeners, orphans, taken, .. } = &sample.after;
        let mut states: Vec<(State, u64)> = STATES.map(|state| (state, 0)).into();
        states[0].1 = listeners.len() as u64;
        for socket in sockets {
            if let Some((_, count)) = states.iter_mut().find(|(state, _)| *state == socket.state) {
                *count += 1;
            }
        }
        Self {
            taken: *taken,
            interval: sample.interval,
            states,
            destinations: destinations(sample),
            ports: sample.after.ports.len().into(),
            close_wait: close_wait(&sample.after),
            listeners: queues(&sample.after),
            orphans: *orphans,
        }
    }

    /// Sockets in a state.
    pub fn count(&self, state: State) -> u64 {
        self.states.iter().find(|(one, _)| *one == state).map_or(0, |(_, count)| *count)
    }
}

/// Ports in use and those of them in TIME_WAIT.
#[derive(Default)]
struct Use {
    ports: HashSet<u16>,
    time_wait: u64,
    /// Of those, the ones that came within the sample.
    new: u64,
}

impl Use {
    /// In use by anything but TIME_WAIT.
    fn live(&self) -> u64 {
        (self.ports.len() as u64).saturating_sub(self.time_wait)
    }
}

type Uses = HashMap<(IpAddr, SocketAddr), Use>;

/// A connection is this host's own when its port is an ephemeral one that nobody listens on.
fn uses(snapshot: &Snapshot, interval: Duration) -> Uses {
    let listening: HashSet<u16> = snapshot.listeners.iter().map(|l| l.local.port()).collect();
    let mut uses = Uses::new();
    for socket in &snapshot.sockets {
        let port = socket.local.port();
        if snapshot.ports.range.contains(&port) && !listening.contains(&port) {
            let one = uses.entry((socket.local.ip(), socket.remote)).or_default();
            one.ports.insert(port);
            if socket.state == State::TimeWait {
                let left = socket.timer.map_or(TIME_WAIT, |timer| timer.expires);
                one.time_wait += 1;
                one.new += u64::from(TIME_WAIT.saturating_sub(left) < interval);
            }
        }
    }
    uses
}

fn destinations(sample: &Sample) -> Vec<Destination> {
    let total = u64::from(sample.after.ports.len());
    let interval = sample.interval;
    let earlier = if interval.is_zero() { Uses::new() } else { uses(&sample.before, interval) };
    let none = Use::default();
    let mut rows: Vec<Destination> = uses(&sample.after, interval)
        .into_iter()
        .map(|((from, to), now)| {
            let was = earlier.get(&(from, to)).unwrap_or(&none);
            let (used, seconds) = (now.ports.len() as u64, interval.as_secs_f64());
            let a_second = |number: f64| if seconds > 0.0 { number / seconds } else { 0.0 };
            let per_second = a_second(used as f64 - was.ports.len() as f64);
            // In the end there are as many TIME_WAIT as come in the time that one lasts.
            let in_the_end = now.live() as f64 + a_second(now.new as f64) * TIME_WAIT.as_secs_f64();
            let levels_off = now.live() <= was.live() && in_the_end < total as f64;
            Destination {
                from,
                to,
                used,
                total,
                time_wait: now.time_wait,
                per_second,
                levels_off: levels_off && per_second > 0.0,
            }
        })
        .collect();
    rows.sort_by_key(|row| (Reverse(row.used), row.to, row.from));
    rows
}

fn close_wait(snapshot: &Snapshot) -> Vec<CloseWait> {
    let mut by_program: HashMap<Option<(String, u32)>, (u64, u64)> = HashMap::new();
    for socket in snapshot.sockets.iter().filter(|socket| socket.state == State::CloseWait) {
        let owner = snapshot.owners.get(&socket.inode).and_then(|owners| owners.first());
        let sum = by_program.entry(owner.map(|one| (one.program.clone(), one.pid))).or_default();
        sum.0 += 1;
        sum.1 += u64::from(socket.unread);
    }
    let mut rows: Vec<CloseWait> = by_program
        .into_iter()
        .map(|(program, (count, unread))| CloseWait { program, count, unread })
        .collect();
    rows.sort_by(|a, b| (b.count, &a.program).cmp(&(a.count, &b.program)));
    rows
}

fn queues(snapshot: &Snapshot) -> Vec<Queue> {
    let mut rows: Vec<Queue> = snapshot
        .listeners
        .iter()
        .map(|one| Queue {
            local: one.local,
            program: snapshot
                .owners
                .get(&one.inode)
                .and_then(|owners| owners.first())
                .map(|owner| owner.program.clone()),
            queue: one.queue,
            backlog: one.backlog,
            half_open: one.half_open,
        })
        .collect();
    rows.sort_by_key(|row| (Reverse(row.queue), Reverse(row.half_open), row.local));
    rows
}

#[cfg(test)]
pub(crate) mod tests;
