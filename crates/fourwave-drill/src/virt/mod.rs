//! The engine as a target: Linux's sockets by descriptor over one [`Engine`], in virtual time.
//!
//! | question | file |
//! | --- | --- |
//! | how does time pass, and a blocked call (`job.rs`) go on? | `drive.rs` |
//! | what does a descriptor stand for? | `descriptors.rs`, `file.rs` |
//! | what is kept of each kind of file? | `socket.rs`, `pipe.rs`, `epoll.rs` |
//! | what does a call do? | `calls.rs` leads to `open.rs`, `transfer.rs`, `end.rs`, `splice.rs` |
//! | how do sockets take part in Fast Open? | `fast.rs` |
//! | which socket options are there, and what do they do? | `sockopt/`, kept in `options.rs` |
//! | which shell commands, which sysctls? | `command.rs`, `sysctl.rs` |
//! | what is otherwise when FreeBSD is played? | `freebsd.rs` |
//! | what is ready, and who is told? | `ready.rs`, `watch.rs` |
//!
//! What Linux does is taken from its manual pages and its behaviour; what the engine cannot do is
//! refused by name ([`Refusal::Unsupported`]), never pretended.

mod abi;
mod calls;
mod command;
mod descriptors;
mod drive;
mod end;
mod epoll;
mod errqueue;
mod fast;
mod file;
mod freebsd;
mod info;
mod job;
mod open;
mod options;
mod outcome;
mod pipe;
mod ready;
mod socket;
mod sockopt;
mod splice;
mod sysctl;
mod transfer;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fourwave_core::counters::Counters;
use fourwave_core::{Config, ConnId, Engine, Instant};
use fourwave_wire::{Link, TxPacket};

use crate::syscall::{Fd, Returned, SysCall};
use crate::target::{Facts, Progress, Refusal, Sniffed, Target};
use file::{File, Gone};
use job::Job;
use sysctl::Sysctls;

/// The engine's time when a script starts. Not zero: clocks that count from then on have a past.
const START: Instant = Instant::from_micros(1_000_000_000);

/// What a [`Virtual`] target is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The device's largest IP packet in bytes.
    pub mtu: u16,
    /// Our IPv4 address: what `bind` may name and what `connect` starts from.
    pub local_v4: Ipv4Addr,
    /// Our IPv6 address.
    pub local_v6: Ipv6Addr,
    /// From it the engine draws its sequence numbers; a run is replayed by its seed.
    pub seed: [u8; 32],
    /// Connections are IPv6.
    pub ipv6: bool,
    /// Play FreeBSD: its defaults, settings and numbers (`freebsd.rs`).
    pub freebsd: bool,
    /// Streams are left free (`--loose_segments`): no tail loss probes unless the script asks for
    /// them, as its round trips are not those of a path.
    pub loose: bool,
}

impl Default for Setup {
    /// packetdrill's addresses, 1500 bytes.
    fn default() -> Self {
        Self {
            mtu: 1500,
            local_v4: Ipv4Addr::new(192, 168, 0, 1),
            local_v6: Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1),
            seed: [4; 32],
            ipv6: false,
            freebsd: false,
            loose: false,
        }
    }
}

/// The engine with Linux's sockets on it, in virtual time: see [`Target`].
///
/// Time costs nothing; what it costs to let it go on depends on what happens meanwhile. A script
/// is stopped ([`Refusal::Failed`]) after 1,000,000 deadlines of the engine or past 30 days.
pub struct Virtual {
    setup: Setup,
    engine: Engine,
    /// The engine has met a socket or a packet: from now on its settings are changed in place.
    used: bool,
    sysctls: Sysctls,
    now: Instant,
    /// Deadlines that passed so far.
    steps: u32,
    sent: VecDeque<Sniffed>,
    scratch: TxPacket,
    files: BTreeMap<Fd, File>,
    owners: BTreeMap<ConnId, Fd>,
    gone: Gone,
    job: Option<Job>,
    finished: Option<(Duration, Returned)>,
    /// What Linux makes of the last ICMP error that came.
    icmp_errno: i32,
    /// The counters when `nstat` was last asked.
    counted: Counters,
}

impl Virtual {
    /// A target with Linux's settings as they are before `defaults.sh`.
    pub fn new(setup: Setup) -> Self {
        let mut sysctls = Sysctls::default();
        sysctls.config.tcp_early_retrans = if setup.loose { 0 } else { 3 };
        sysctls.segment = u64::from(setup.mtu) - if setup.ipv6 { 60 } else { 40 };
        if setup.freebsd {
            sysctls.select_freebsd();
        }
        Self {
            setup,
            engine: engine(&setup, sysctls.config.clone()),
            used: false,
            sysctls,
            now: START,
            steps: 0,
            sent: VecDeque::new(),
            scratch: TxPacket::default(),
            files: BTreeMap::new(),
            owners: BTreeMap::new(),
            gone: Gone::default(),
            job: None,
            finished: None,
            icmp_errno: 0,
            counted: Counters::default(),
        }
    }

    /// Whether an address is one of ours.
    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_unspecified()
            || ip.is_loopback()
            || ip == IpAddr::V4(self.setup.local_v4)
            || ip == IpAddr::V6(self.setup.local_v6)
    }

    /// Puts changed settings into force.
    fn configure(&mut self) {
        if self.used {
            self.engine.set_config(self.sysctls.config.clone());
        } else {
            self.engine = engine(&self.setup, self.sysctls.config.clone());
        }
        if std::mem::take(&mut self.sysctls.forgets_cookies) {
            self.engine.forget_cookies();
        }
        if let Some(keys) = self.sysctls.fast_open_keys {
            self.engine.set_fast_open_keys(keys);
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }
}

fn engine(setup: &Setup, config: Config) -> Engine {
    // Batches are made as for a device that cuts them; `drive.rs` does, so that PSH comes as Linux
    // sets it.
    let link = Link { checksum_offload: false, ..Link::offloading(setup.mtu) };
    Engine::new(config, link, setup.seed)
}

impl Target for Virtual {
    fn start(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn now(&mut self) -> Duration {
        self.elapsed()
    }

    fn wait(&mut self, until: Duration) -> Result<Option<Sniffed>, Refusal> {
        self.pass_time(START + until)
    }

    fn inject(&mut self, packet: &[u8]) -> Result<(), Refusal> {
        self.used = true;
        self.receive(packet)
    }

    fn call(&mut self, call: &SysCall) -> Result<Progress, Refusal> {
        if self.job.is_some() {
            return Err(Refusal::Failed("a call is made while another one is blocked".into()));
        }
        self.used = true;
        self.begin(call)
    }

    fn returned(&mut self) -> Result<Option<(Duration, Returned)>, Refusal> {
        Ok(self.finished.take())
    }

    fn info(&mut self, fd: Fd) -> Result<Option<Facts>, Refusal> {
        Ok(self.facts(fd))
    }

    fn command(&mut self, command: &str) -> Result<(), Refusal> {
        self.run_command(command)
    }
}
