//! Made hosts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::state::State;

use crate::{
    Counters, Finding, FindingKind, Listener, Owner, Sample, Scope, Snapshot, Socket, TcpInfo,
    Timer, TimerKind,
};

/// What a stock kernel has on a host of 8 GiB.
const STOCK: [(&str, &str); 15] = [
    ("core.somaxconn", "4096"),
    ("ipv4.ip_local_port_range", "32768\t60999"),
    ("ipv4.ip_local_reserved_ports", ""),
    ("ipv4.tcp_abort_on_overflow", "0"),
    ("ipv4.tcp_fin_timeout", "60"),
    ("ipv4.tcp_keepalive_time", "7200"),
    ("ipv4.tcp_max_orphans", "32768"),
    ("ipv4.tcp_max_syn_backlog", "512"),
    ("ipv4.tcp_max_tw_buckets", "32768"),
    ("ipv4.tcp_orphan_retries", "0"),
    ("ipv4.tcp_rfc1337", "0"),
    ("ipv4.tcp_syncookies", "1"),
    ("ipv4.tcp_timestamps", "1"),
    ("ipv4.tcp_tw_reuse", "2"),
    ("ipv4.tcp_tw_reuse_delay", "1000"),
];

pub(super) struct Host {
    pub(super) now: Snapshot,
    /// Sockets that were there before; all of `now`'s when `None`.
    pub(super) earlier: Option<Vec<Socket>>,
    grown: BTreeMap<String, u64>,
    inode: u64,
}

impl Host {
    pub(super) fn new() -> Self {
        let mut now = Snapshot::empty(Scope::Own);
        for (name, value) in STOCK {
            now.sysctls.insert(name.to_owned(), value.to_owned());
        }
        now.orphans.limit = 32_768;
        Self { now, earlier: None, grown: BTreeMap::new(), inode: 1_000 }
    }

    pub(super) fn knob(&mut self, name: &str, value: &str) {
        self.now.sysctls.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn counter(&mut self, name: &str, before: u64, grown: u64) {
        self.now.counters.insert(name.to_owned(), before + grown);
        self.grown.insert(name.to_owned(), grown);
    }

    pub(super) fn listener(&mut self, at: &str, queue: u32, backlog: u32) {
        self.inode += 1;
        self.now.listeners.push(Listener {
            local: at.parse().unwrap(),
            queue,
            backlog,
            half_open: 0,
            inode: self.inode,
            uid: 0,
        });
    }

    /// A client of one of our services; `number` makes its address.
    pub(super) fn client(&mut self, at: &str, number: u32, state: State) -> Made<'_> {
        let remote = format!("172.16.{}.{}:{}", number / 250 % 250, number % 250 + 1, 40_000);
        self.socket(at, &remote, state)
    }

    /// A connection that we opened.
    pub(super) fn calls(&mut self, from: &str, port: u16, to: &str, state: State) -> Made<'_> {
        let from = if from.contains(':') { format!("[{from}]") } else { from.to_owned() };
        self.socket(&format!("{from}:{port}"), to, state)
    }

    pub(super) fn socket(&mut self, local: &str, remote: &str, state: State) -> Made<'_> {
        let waits = state == State::TimeWait;
        let closed = matches!(
            state,
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck | State::TimeWait
        );
        self.inode += 1;
        self.now.sockets.push(Socket {
            state,
            local: local.parse::<SocketAddr>().unwrap(),
            remote: remote.parse::<SocketAddr>().unwrap(),
            unread: 0,
            unread_end: false,
            unacked: 0,
            inode: if closed || state == State::SynReceived { 0 } else { self.inode },
            uid: 1000,
            timer: None,
            info: (!waits).then(Box::default),
        });
        Made(self)
    }

    /// One snapshot.
    pub(super) fn once(&self) -> Sample {
        self.sample(Duration::ZERO)
    }

    /// Two, of which the earlier has all that is not younger.
    pub(super) fn over(&self, time: Duration) -> Sample {
        self.sample(time)
    }

    fn sample(&self, interval: Duration) -> Sample {
        let mut after = self.now.clone();
        after.time_wait =
            after.sockets.iter().filter(|one| one.state == State::TimeWait).count() as u64;
        after.orphans.now = after
            .orphans
            .now
            .max(after.sockets.iter().filter(|one| one.is_orphan()).count() as u64);
        let mut before = after.clone();
        if let Some(earlier) = &self.earlier {
            before.sockets.clone_from(earlier);
        }
        let less = |(name, now): (&String, &u64)| {
            (name.clone(), now - self.grown.get(name).copied().unwrap_or(0))
        };
        before.counters = after.counters.iter().map(less).collect::<Counters>();
        Sample { before, after, interval }
    }
}

/// The socket made last, to be given more.
pub(super) struct Made<'a>(&'a mut Host);

impl Made<'_> {
    fn last(&mut self) -> &mut Socket {
        self.0.now.sockets.last_mut().unwrap()
    }

    /// TIME_WAIT for so many seconds more.
    pub(super) fn waits(mut self, seconds: u64) -> Self {
        let expires = Duration::from_secs(seconds);
        self.last().timer = Some(Timer { kind: TimerKind::TimeWait, expires, retransmits: 0 });
        self
    }

    /// Sent again so often.
    pub(super) fn again(mut self, times: u8) -> Self {
        let expires = Duration::from_secs(1);
        self.last().timer =
            Some(Timer { kind: TimerKind::Retransmit, expires, retransmits: times });
        self.last().unacked = 1;
        self
    }

    /// Nothing heard for so many seconds.
    pub(super) fn aged(mut self, seconds: u64) -> Self {
        let heard = Duration::from_secs(seconds);
        self.last().info =
            Some(Box::new(TcpInfo { last_ack_received: heard, ..TcpInfo::default() }));
        self
    }

    pub(super) fn unread(mut self, bytes: u32) -> Self {
        self.last().unread = bytes;
        self.last().unread_end = true;
        self
    }

    pub(super) fn inode(mut self, inode: u64) -> Self {
        self.last().inode = inode;
        self
    }

    pub(super) fn owned(mut self, pid: u32, program: &str, fd: i32) -> Self {
        let inode = self.last().inode;
        let owner = Owner { pid, program: program.to_owned(), fd };
        self.0.now.owners.entry(inode).or_default().push(owner);
        self
    }
}

pub(super) fn kinds(found: &[Finding]) -> Vec<FindingKind> {
    found.iter().map(|one| one.kind).collect()
}
