//! `fourwave run` from its options to the program's exit status.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

use fourwave_core::Config;
use fourwave_device::tun::Tun;
use fourwave_fault::FaultSpec;
use fourwave_lens::ladder::LadderOptions;
use fourwave_linux::reason;

use crate::dns;
use crate::gateway::{Finale, Gateway, GatewayOptions};
use crate::guard::Leftovers;
use crate::namespace::{self, Failure, Prepared, Program};
use crate::notice;
use crate::observe::{Drawn, LensOptions};
pub use crate::outputs::OutputTo;
use crate::outputs::Outputs;
use crate::privileges::drop_privileges;
use crate::publish::Published;
pub use crate::supervise::Ended;
use crate::supervise::{Signals, supervise};

/// What to run and how.
#[derive(Debug)]
pub struct RunOptions {
    /// The program and its link.
    pub program: Program,
    /// The engine's knobs.
    pub config: Config,
    /// Ports of the namespace that the host can call.
    pub publish: Vec<Publish>,
    /// Whether the program reaches the host's loopback at the gateway's address.
    pub host_loopback: bool,
    /// Each connection's ladder, drawn when it ends.
    pub ladder: Option<Drawing>,
    /// A line for each thing that happens, as it happens.
    pub follow: Option<Drawing>,
    /// Where JSON lines go.
    pub events: Option<OutputTo>,
    /// Where packets go.
    pub pcap: Option<OutputTo>,
    /// No summary at the end.
    pub quiet: bool,
    /// Every counter of the engine that is not zero, at the end.
    pub counters: bool,
    /// Serve a small web page at the gateway's port 80.
    pub demo: bool,
    /// What goes wrong on purpose.
    pub faults: Vec<FaultSpec>,
    /// Keep the network up until the last process in it has ended by itself.
    pub wait: bool,
}

/// What is drawn for a person.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Where.
    pub to: OutputTo,
    /// How it looks there. What the ends are called is decided here.
    pub look: LadderOptions,
}

/// One `-p`: a port of the host that leads to one of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Address of the host to listen on; none for all, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the namespace.
    pub port: u16,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The namespace or the program.
    #[error("{0}")]
    Program(#[from] Failure),
    /// A port of the host could not be had.
    #[error("cannot publish on {address}: {}", bind_reason(.address, .source))]
    Publish {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An output could not be opened.
    #[error("{to} cannot be written: {}", reason(.source))]
    Output {
        /// Which.
        to: OutputTo,
        /// Why.
        source: io::Error,
    },
    /// Something of our own.
    #[error("{what}: {}", reason(.source))]
    Internal {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl RunError {
    /// The process's exit status: 127 and 126 for commands, 125 for what is ours.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Program(failure) => failure.exit_code(),
            _ => 125,
        }
    }

    /// Whether this system does not allow namespaces or a TUN.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Program(failure) if failure.is_forbidden())
    }

    fn internal(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Internal { what, source }
    }
}

fn bind_reason(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use: choose another".into(),
        io::ErrorKind::AddrNotAvailable => "no interface of this host has the address".into(),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 are for root: choose a higher one".into()
        }
        _ => reason(error),
    }
}

impl Publish {
    fn bind(&self) -> Result<Published, RunError> {
        let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let mut address = SocketAddr::new(self.address.unwrap_or(v6), self.host_port);
        let mut bound = TcpListener::bind(address);
        let no_ipv6 = bound.as_ref().is_err_and(|error| {
            let errno = rustix::io::Errno::from_io_error(error);
            matches!(errno, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
        });
        if self.address.is_none() && no_ipv6 {
            address.set_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            bound = TcpListener::bind(address);
        }
        let listener = bound.map_err(|source| RunError::Publish { address, source })?;
        // Calling listen again only sets the backlog, and std's is short for a load generator.
        rustix::net::listen(&listener, 4096)
            .map_err(|errno| RunError::Publish { address, source: errno.into() })?;
        Ok(Published { listener, port: self.port })
    }
}

/// Runs the program; returns how it ended. `say` gets the lines for the user:
/// what works less well than it should, and at the end what each fault did and the
/// summary.
///
/// Call it while the process has one thread; it stays without most privileges (`privileges`), with
/// its signals blocked, and with `/dev/null` for standard input and output.
///
/// It returns when the program's own process has ended, and nothing else is left in its network:
/// with [`RunOptions::wait`] because that has ended by itself, otherwise because it was ended by
/// SIGTERM and, after two seconds, SIGKILL. The same happens when this process is killed.
///
/// # Errors
/// Nothing was run, and nothing is left behind.
pub fn run(options: &RunOptions, say: &mut dyn FnMut(&str)) -> Result<Ended, RunError> {
    let published = options.publish.iter().map(Publish::bind).collect::<Result<_, _>>()?;
    let mut outputs = Outputs::default();
    let lens = open_outputs(options, &mut outputs)?;
    // The program's resolv.conf hides the host's only from the program, but read it now: later
    // the host's may need privileges that are dropped.
    let resolvers = dns::host_resolvers();
    let (tun, mut prepared) = namespace::prepare(&options.program)?;
    for warning in prepared.warnings.drain(..) {
        say(&warning);
    }
    if options.program.command.is_empty() && !options.quiet {
        say("this shell's TCP is fourwave's now, until `exit`; FOURWAVE_RUN is set in it");
    }
    drop_privileges().map_err(RunError::internal("dropping privileges"))?;
    let gateway = GatewayOptions {
        config: options.config.clone(),
        published,
        host_loopback: options.host_loopback,
        resolvers,
        demo: options.demo,
        lens,
        faults: options.faults.clone(),
        quiet: options.quiet,
        refusals: prepared.refusals.take(),
    };
    let (mtu, wait) = (options.program.mtu, options.wait);
    let relayed = Relayed { tun, mtu, gateway, prepared, outputs, wait };
    let RunResult { ended, left, finale, faults } = runtime()?.block_on(relayed.run())?;
    left.line().iter().for_each(|line| say(line));
    let Finale { summary, counters, population, peak_time_wait, beside, leaks } = finale;
    if options.counters {
        let counted = counters.iter().filter(|(_, value)| *value > 0);
        counted.for_each(|(name, value)| say(&format!("{name} {value}")));
        say(&format!("in TIME_WAIT {}", population.time_wait));
        say(&format!("most in TIME_WAIT {peak_time_wait}"));
    }
    if !options.quiet {
        faults.iter().for_each(|line| say(&format!("--fault {line}")));
        leaks.iter().for_each(|line| say(line));
        say(&beside.complete(&summary));
    }
    Ok(ended)
}

/// Threads of the runtime: the program and its peer want a processor each, and the relay on two of
/// two is slower than on one.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if processors < 4 { 1 } else { 2 }
}

/// Made after the privileges were dropped: threads inherit what is left.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(RunError::internal("starting the runtime"))
}

/// Everything that is ready before the program starts.
struct Relayed {
    tun: OwnedFd,
    mtu: u16,
    gateway: GatewayOptions,
    prepared: Prepared,
    outputs: Outputs,
    wait: bool,
}

/// What a run came to.
struct RunResult {
    ended: Ended,
    left: Leftovers,
    finale: Finale,
    faults: Vec<String>,
}

impl Relayed {
    async fn run(self) -> Result<RunResult, RunError> {
        let (wait, quiet) = (self.wait, self.gateway.quiet);
        let signals = Signals::new().map_err(RunError::internal("reading signals"))?;
        let device = Tun::from_fd(self.tun, self.mtu)
            .map_err(|error| RunError::internal("opening the TUN")(error.into()))?;
        self.outputs.begin().map_err(RunError::internal("emptying an output file"))?;
        let gateway = Gateway::start(device, self.gateway)
            .map_err(RunError::internal("starting the gateway"))?;
        let (program, guard) = match self.prepared.go() {
            Ok(running) => running,
            Err(failure) => {
                gateway.finish(std::future::ready(())).await;
                return Err(failure.into());
            }
        };
        self.outputs.keep();
        release_standard_streams().map_err(RunError::internal("opening /dev/null"))?;
        let ended = supervise(program, &signals)
            .await
            .map_err(RunError::internal("waiting for the program"))?;
        // The network is up until they have ended.
        let left = guard.end(wait, &signals, move |processes| say_waiting(processes, quiet)).await;
        let faults = gateway.faults();
        let finale = gateway.finish(signals.interrupted()).await;
        let faults = faults.map(|faults| faults.report()).unwrap_or_default();
        Ok(RunResult { ended, left, finale, faults })
    }
}

fn say_waiting(processes: usize, quiet: bool) {
    if !quiet {
        let s = if processes == 1 { "" } else { "es" };
        notice::say(&format!(
            "the program has ended; its network stays up for {processes} process{s} that it left \
             behind (SIGTERM or Ctrl-C ends them)"
        ));
    }
}

/// The program has its own copies. Ours would keep a pipe open that it closes.
fn release_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

pub(crate) fn open_outputs(
    options: &RunOptions,
    outputs: &mut Outputs,
) -> Result<LensOptions, RunError> {
    let mut open = |to: &OutputTo| {
        outputs.open(to).map_err(|source| RunError::Output { to: to.clone(), source })
    };
    let mut draw = |drawing: &Drawing| {
        let out: Box<dyn Write + Send> = Box::new(open(&drawing.to)?);
        Ok::<_, RunError>(Drawn { out, look: drawing.look.clone() })
    };
    let ladder = options.ladder.as_ref().map(&mut draw).transpose()?;
    let follow = options.follow.as_ref().map(&mut draw).transpose()?;
    Ok(LensOptions {
        ladder,
        follow,
        events: options.events.as_ref().map(&mut open).transpose()?,
        pcap: options.pcap.as_ref().map(&mut open).transpose()?,
    })
}
