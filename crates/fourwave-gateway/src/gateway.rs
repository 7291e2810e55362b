//! The gateway: a stack on the namespace's device, and everything that answers there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fourwave::{Config, Counters, Device, Population, StackOptions};
use fourwave_fault::FaultSpec;
use fourwave_lens::summary::Summary;
use fourwave_linux::refusals::Refusals;
use tokio::time::{Instant, sleep};

use crate::addresses::{GATEWAY_V4, GATEWAY_V6};
use crate::dns::Resolvers;
use crate::faults::Faults;
use crate::notice::Notices;
use crate::observe::{LensOptions, Observer};
use crate::publish::{self, Published};
use crate::relay::dial;
use crate::shared::Shared;
use crate::traffic::Beside;
use crate::{demo, loopback, other};

/// What a gateway needs to know.
pub struct GatewayOptions {
    /// The engine's knobs.
    pub config: Config,
    /// Ports of the namespace that the host can call.
    pub published: Vec<Published>,
    /// Whether the host's loopback is reached at the gateway's address.
    pub host_loopback: bool,
    /// Where names are resolved: [`dns::host_resolvers`](crate::dns::host_resolvers).
    pub resolvers: Vec<SocketAddr>,
    /// Serve a small web page at the gateway's port 80.
    pub demo: bool,
    /// What is drawn and written of the connections.
    pub lens: LensOptions,
    /// What goes wrong on purpose between the device and the engine.
    pub faults: Vec<FaultSpec>,
    /// Suspected leaks and advice are not told on stderr.
    pub quiet: bool,
    /// Where the program's calls to its own loopback are heard when nothing answers them.
    pub refusals: Option<Refusals>,
}

/// A running gateway. Dropped without [`finish`](Self::finish), its tasks run on until the
/// runtime ends.
pub struct Gateway {
    shared: Arc<Shared>,
    observer: Observer,
}

/// What a gateway has to tell at its end.
pub struct Finale {
    /// Connections, bytes, how they ended.
    pub summary: Summary,
    /// What the engine counted.
    pub counters: Counters,
    /// What was still alive, TIME_WAITs above all.
    pub population: Population,
    /// Most TIME_WAITs at once.
    pub peak_time_wait: u64,
    /// What went through beside TCP.
    pub beside: Beside,
    /// How many CLOSE_WAIT leaks were suspected, when not each was told as it came.
    pub leaks: Option<String>,
}

/// How long nothing must have moved before what is left is given up, unless it is owed to a host.
const QUIET: Duration = Duration::from_secs(1);
/// The same where faults may have lost something that is retransmitted after longer and longer
/// pauses.
const QUIET_WITH_FAULTS: Duration = Duration::from_secs(3);
/// The longest wait for connections after the program's end.
const FINISH_MAX: Duration = Duration::from_secs(30);

impl Gateway {
    /// Puts a gateway on `device` and spawns its tasks on the current tokio runtime. Raises this
    /// process's soft limit of open files to the hard one.
    ///
    /// # Errors
    /// The device's or a published listener's, or an output's that cannot be written.
    pub fn start(device: impl Device + 'static, options: GatewayOptions) -> io::Result<Self> {
        raise_descriptor_limit();
        let stack_options =
            StackOptions::default().config(options.config).address(GATEWAY_V4).address(GATEWAY_V6);
        let ports = options.published.iter().map(|published| published.port).collect();
        let (stack, observer) = Observer::start(
            device,
            stack_options,
            options.lens,
            ports,
            options.quiet,
            options.faults,
        )?;
        let others = stack.take_other_packets();
        let calls = stack.listen_any()?;
        let shared = Arc::new(Shared::new(
            stack,
            options.host_loopback,
            Resolvers::new(options.resolvers),
            Notices::new(options.quiet),
            observer.annotations(),
        ));
        if options.demo {
            demo::serve(&shared)?;
        }
        shared.spawn(dial::serve(Arc::clone(&shared), calls));
        if let Some(others) = others {
            shared.spawn(other::serve(Arc::clone(&shared), others));
        }
        if let Some(refusals) = options.refusals {
            shared.spawn_to_the_end(|end| loopback::serve(Arc::clone(&shared), refusals, end));
        }
        for published in options.published {
            let (listener, port) = published.listen()?;
            shared.spawn(publish::serve(Arc::clone(&shared), listener, port));
        }
        Ok(Self { shared, observer })
    }

    /// The faults, where there are any. They may be asked after the gateway's end too.
    pub fn faults(&self) -> Option<Faults> {
        self.observer.faults()
    }

    /// The program is gone: waits for what is still on its way, ends everything, completes the
    /// outputs. Connections on which nothing has moved for a second (three with faults) are cut by
    /// RST; so are all that are left after 30 s or as soon as `cut_short` resolves. What the
    /// program had sent is waited for up to the 30 s; where the host has all of it, the FIN
    /// included, there is no RST.
    pub async fn finish(self, cut_short: impl Future<Output = ()>) -> Finale {
        tokio::select! {
            () = self.settle() => {}
            () = cut_short => {}
        }
        let (counters, population) = (self.shared.stack.counters(), self.shared.stack.population());
        // Every relay that is left loses its program's end by this, and resets its host's unless
        // that has got all that it will.
        self.shared.stack.shutdown().await;
        self.shared.end().await;
        let peak_time_wait = self.shared.stack.io_counters().peak_time_wait;
        let leaks = self.observer.leaks();
        Finale {
            summary: self.observer.finish().await,
            counters,
            population,
            peak_time_wait,
            beside: self.shared.traffic.beside(),
            leaks,
        }
    }

    /// Until all connections have ended, or nothing moves any more.
    async fn settle(&self) {
        let start = Instant::now();
        let mut last = self.movement();
        let mut quiet_since = start;
        let mut pause = Duration::from_millis(1);
        while quiet_since.elapsed() < self.patience() && start.elapsed() < FINISH_MAX {
            tokio::select! {
                () = self.shared.stack.drained() => sleep(pause).await,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_millis(50));
            let now = self.movement();
            // A host that is slow to take what the program left for it is worth the wait.
            if now != last || self.shared.traffic.owed() > 0 {
                (last, quiet_since) = (now, Instant::now());
            }
        }
    }

    /// How long nothing must have moved now.
    fn patience(&self) -> Duration {
        let population = self.shared.stack.population();
        let is_idle = self.shared.traffic.relays() == 0 && population.connections == 0;
        match (is_idle, self.faults().is_some()) {
            (false, false) => QUIET,
            (false, true) => QUIET_WITH_FAULTS,
            // Our last ACK may have been lost: what the program's kernel then does is worth seeing.
            (true, true) if population.time_wait > 0 => QUIET,
            (true, _) => Duration::ZERO,
        }
    }

    /// A number that changes with everything that brings a connection further. Probes of closed
    /// windows and of idle connections bring none further.
    fn movement(&self) -> (u64, u64, usize) {
        let counters = self.shared.stack.counters();
        let idle = counters.window_probes + counters.keepalive + counters.retrans_segs;
        let population = self.shared.stack.population();
        (
            self.shared.traffic.moved(),
            counters.out_segs.wrapping_sub(idle),
            population.connections + population.time_wait,
        )
    }
}

/// Each connection of the program needs a descriptor here; the program's own limit is its own.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // It fails only where the hard limit was lowered meanwhile; then the soft one stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests;
