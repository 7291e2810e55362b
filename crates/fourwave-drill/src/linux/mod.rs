//! The running Linux kernel as a target: a script's calls made for real, in real time, in a
//! network namespace with a TUN.
//!
//! One process plays one script: [`enter`] leaves the process in a namespace of its own, as root
//! or as anybody whom the system lets have a user namespace. What the script's shell commands leave
//! running stays in the process's group; [`group`] ends it.

mod command;
mod error;
mod facts;
mod gro;
pub mod group;
mod message;
mod network;
mod option;
mod perform;
mod profile;
mod sniff;
mod table;
mod worker;

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fourwave_linux::calls;
use fourwave_linux::namespace;
use rustix::io::Errno;

pub use error::Error;

use crate::run;
use crate::syscall::{Fd, Returned, SysCall};
use crate::target::{Facts, Progress, Refusal, Sniffed, Target};
use sniff::Sniffer;
use table::{Clock, Table};
use worker::Worker;

/// The interface, by the name that scripts know.
const INTERFACE: &str = "tun0";

/// What the namespace is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Addresses of the stack under test, with the lengths of their prefixes in bits. Everything
    /// else is reached through the TUN.
    pub addresses: Vec<(IpAddr, u8)>,
    /// MTU of the TUN in bytes, 68 to 65535.
    pub mtu: u16,
    /// Payload bytes of a segment: an injected packet with more of them counts as several that
    /// the network card has joined. None: each counts as one.
    pub mss: Option<u16>,
    /// Where the script's shell commands run; none: where this process is.
    pub directory: Option<PathBuf>,
    /// How long a shell command may take.
    pub command_limit: Duration,
}

impl Options {
    /// One address, an MTU of 1500, ten seconds for a command.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self {
            addresses: vec![(address, prefix)],
            mtu: 1500,
            mss: None,
            directory: None,
            command_limit: Duration::from_secs(10),
        }
    }
}

impl From<&run::Options> for Options {
    /// What a script's own options ask for.
    fn from(options: &run::Options) -> Self {
        let (mtu, mss) = (options.link_mtu(), options.mss);
        Self { mtu, mss, ..Self::new(options.local(), options.prefix()) }
    }
}

/// Linux under test. Dropping it takes the interface away; a call that has not returned by then
/// goes with the process.
#[derive(Debug)]
pub struct Linux {
    tun: Arc<OwnedFd>,
    sniffer: Sniffer,
    table: Arc<Table>,
    worker: Worker,
    clock: Clock,
    options: Options,
    warnings: Vec<String>,
}

/// Leaves this process in a new network namespace with a TUN, ready for one script. Call it while
/// the process has one thread, and once.
///
/// # Errors
/// One line that says what is missing and what helps.
pub fn enter(options: Options) -> Result<Linux, Error> {
    namespace::enter(namespace::Users::Root)?;
    let (tun, warnings) = network::set_up(&options)?;
    let tun = Arc::new(tun);
    // Best effort: without it, times are only less exact on a busy machine.
    let _ordinary = calls::real_time();
    let sniffer = Sniffer::start(Arc::clone(&tun)).map_err(|e| Error::io("a thread", &e))?;
    let table = Arc::new(Table::default());
    let clock = Clock::now();
    let worker = Worker::start(Arc::clone(&table)).map_err(|e| Error::io("a thread", &e))?;
    Ok(Linux { tun, sniffer, table, worker, clock, options, warnings })
}

impl Linux {
    /// What could not be set up as a script may expect it: a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Target for Linux {
    fn start(&mut self) -> Result<(), Refusal> {
        self.sniffer.forget();
        self.clock = Clock::now();
        Ok(())
    }

    fn now(&mut self) -> Duration {
        self.clock.start.elapsed()
    }

    fn wait(&mut self, until: Duration) -> Result<Option<Sniffed>, Refusal> {
        let found = self.sniffer.next(self.clock.start + until).map_err(Refusal::Failed)?;
        Ok(found.map(|(at, packet)| Sniffed { at: self.clock.since(at), packet }))
    }

    fn inject(&mut self, packet: &[u8]) -> Result<(), Refusal> {
        let header = gro::header(packet, self.options.mss);
        let parts = [IoSlice::new(&header), IoSlice::new(packet)];
        match rustix::io::retry_on_intr(|| rustix::io::writev(&*self.tun, &parts)) {
            Ok(_) => Ok(()),
            Err(Errno::INVAL) => Err(Refusal::Failed(format!(
                "the kernel's TUN refused a packet of {} bytes as malformed",
                packet.len()
            ))),
            Err(errno) => Err(Refusal::Failed(format!("writing to {INTERFACE}: {errno}"))),
        }
    }

    fn call(&mut self, call: &SysCall) -> Result<Progress, Refusal> {
        if !perform::may_block(call) {
            return Ok(Progress::Returned(perform::perform(&self.table, call, self.clock)));
        }
        self.worker.call(call.clone(), self.clock)
    }

    fn returned(&mut self) -> Result<Option<(Duration, Returned)>, Refusal> {
        let returned = self.worker.returned()?;
        Ok(returned.map(|(at, returned)| (self.clock.since(at), returned)))
    }

    fn info(&mut self, fd: Fd) -> Result<Option<Facts>, Refusal> {
        Ok(self.table.get(fd).and_then(|live| facts::read(&live)))
    }

    fn command(&mut self, command: &str) -> Result<(), Refusal> {
        command::run(command, &self.options, &self.table, &mut self.warnings)
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_file(command::history());
    }
}
