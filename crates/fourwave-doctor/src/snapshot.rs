//! A host's TCP as it is at one moment.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use fourwave_core::state::State;

/// How long Linux keeps TIME_WAIT: a constant of the kernel that no knob changes.
pub(crate) const TIME_WAIT: Duration = Duration::from_secs(60);

/// What is examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The network namespace that we run in.
    Own,
    /// The namespace of a process: a container.
    Pid(u32),
    /// A namespace by name (`ip netns`) or path.
    Netns(String),
}

/// One TCP socket, as sock_diag tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its state; SYN_RCVD includes half-open requests. Never LISTEN: see [`Listener`].
    pub state: State,
    /// This host's address and port.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
    /// Bytes received that the program has not read. Linux counts an unread FIN as one more (the
    /// `Recv-Q` of `ss`); here it is distinguished: `unread_end`.
    pub unread: u32,
    /// The other end has closed, and the program has not read as far as that: it does not know
    /// yet. False in CLOSE_WAIT: it has read the end of the stream, and has not closed.
    pub unread_end: bool,
    /// Bytes that the program wrote and the other end has not acknowledged, a FIN counted as one.
    pub unacked: u32,
    /// Its inode; 0 where no program has it: not any more (TIME_WAIT, orphans), or not yet
    /// (half-open, or ESTABLISHED or CLOSE_WAIT in a listener's queue, not yet accepted).
    pub inode: u64,
    /// The user whose it is.
    pub uid: u32,
    /// The timer that runs, if any.
    pub timer: Option<Timer>,
    /// More, where the kernel has it: not in TIME_WAIT, nor of half-open requests.
    pub info: Option<Box<TcpInfo>>,
}

impl Socket {
    /// No program has it any more, and it has not ended.
    pub fn is_orphan(&self) -> bool {
        self.inode == 0
            && matches!(
                self.state,
                State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck
            )
    }
}

/// A timer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Which.
    pub kind: TimerKind,
    /// Until it fires.
    pub expires: Duration,
    /// Retransmissions or probes so far without an answer.
    pub retransmits: u8,
}

/// The kinds of timers that sock_diag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// Retransmission.
    Retransmit,
    /// Keepalive, or FIN_WAIT_2's end.
    Keepalive,
    /// The end of TIME_WAIT, or of an orphan's FIN_WAIT_2.
    TimeWait,
    /// Window probes.
    Persist,
    /// One that this program does not know.
    Other(u8),
}

/// The part of Linux's `tcp_info` that is of use here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Since data was last sent.
    pub last_data_sent: Duration,
    /// Since data last came.
    pub last_data_received: Duration,
    /// Since anything last came: in CLOSE_WAIT the FIN is at least this old.
    pub last_ack_received: Duration,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Retransmissions in its life.
    pub retransmits: u32,
    /// Bytes the other end acknowledged.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub local: SocketAddr,
    /// Connections that wait for accept().
    pub queue: u32,
    /// How many may wait: the smaller of listen()'s backlog and `somaxconn`; Linux lets one more.
    /// 0 where it is not known (without sock_diag, which is a [`Limitation`]).
    pub backlog: u32,
    /// Half-open connections (SYN_RECV) to its address. Where several listen on one address
    /// (SO_REUSEPORT), the kernel does not tell whose: they are counted at the first.
    pub half_open: u32,
    /// Its inode.
    pub inode: u64,
    /// The user whose it is.
    pub uid: u32,
}

/// Who has a socket open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its name (`comm`).
    pub program: String,
    /// The descriptor.
    pub fd: i32,
}

/// The ports from which Linux takes one for an outgoing connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// `ip_local_port_range`.
    pub range: RangeInclusive<u16>,
    /// `ip_local_reserved_ports` within the range.
    pub reserved: u32,
}

impl PortRange {
    /// How many there are.
    pub fn len(&self) -> u32 {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        (last + 1).saturating_sub(first).saturating_sub(self.reserved)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sockets without a program, as the kernel counts them for the whole host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// How many (`/proc/net/sockstat`).
    pub now: u64,
    /// `tcp_max_orphans`; 0 where it is not known, which a container without the host's knobs is.
    pub limit: u64,
}

/// Counters by the kernel's names (`/proc/net/snmp` and `/proc/net/netstat`): `TcpExtTWKilled`,
/// `TcpRetransSegs`.
pub type Counters = BTreeMap<String, u64>;

/// Something that could not be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limitation {
    /// What: `the programs of 12 sockets`.
    pub what: String,
    /// What would help: `run it as root`.
    pub remedy: String,
}

/// A host's TCP at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was examined.
    pub scope: Scope,
    /// When, by the host's clock.
    pub taken: SystemTime,
    /// Every TCP socket but those that listen.
    pub sockets: Vec<Socket>,
    /// Those that listen.
    pub listeners: Vec<Listener>,
    /// Who has which inode, for the inodes that a finding may be about: listeners, CLOSE_WAIT,
    /// and those with unread data.
    pub owners: HashMap<u64, Vec<Owner>>,
    /// Ports for outgoing connections.
    pub ports: PortRange,
    /// Sockets without a program.
    pub orphans: Orphans,
    /// TIME_WAIT by the kernel's own count (`/proc/net/sockstat`).
    pub time_wait: u64,
    /// The knobs of `net.ipv4` and `net.core` that matter, by name without `net.`:
    /// `ipv4.tcp_tw_reuse` → `2`. Absent where the kernel has none.
    pub sysctls: BTreeMap<String, String>,
    /// The kernel's counters.
    pub counters: Counters,
    /// What could not be examined.
    pub limitations: Vec<Limitation>,
}

impl Snapshot {
    /// Of a host without a socket or a counter, taken at the beginning of time, with Linux's
    /// usual ports: to start from.
    pub fn empty(scope: Scope) -> Self {
        Self {
            scope,
            taken: SystemTime::UNIX_EPOCH,
            sockets: Vec::new(),
            listeners: Vec::new(),
            owners: HashMap::new(),
            ports: PortRange { range: 32768..=60999, reserved: 0 },
            orphans: Orphans::default(),
            time_wait: 0,
            sysctls: BTreeMap::new(),
            counters: Counters::new(),
            limitations: Vec::new(),
        }
    }

    /// A knob as a number (`ipv4.tcp_fin_timeout`); `None` where it is absent or is none.
    pub fn knob(&self, name: &str) -> Option<u64> {
        self.sysctls.get(name)?.trim().parse().ok()
    }
}

/// Two snapshots and the time between them.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The earlier one.
    pub before: Snapshot,
    /// The later one.
    pub after: Snapshot,
    /// The time between, by a clock that does not jump. Zero when there is only one.
    pub interval: Duration,
}

impl Sample {
    /// How much a counter has grown; 0 for one that the kernel does not have.
    pub fn grown(&self, counter: &str) -> u64 {
        let at = |counters: &Counters| counters.get(counter).copied().unwrap_or(0);
        at(&self.after.counters).saturating_sub(at(&self.before.counters))
    }
}
