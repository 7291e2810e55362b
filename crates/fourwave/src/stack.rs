//! A stack on a device: what sockets are opened from.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use fourwave_core::counters::Counters;
use fourwave_core::{Config, EndReport, Engine, Instant, ListenOptions, Population};
use fourwave_device::Device;
use fourwave_wire::{Link, RxPacket, TxPacket};

use crate::driver::Driver;
use crate::incoming::IncomingListener;
use crate::inner::{Inner, IoCounters, ListenerState, wait_with_others};
use crate::notice::Notice;
use crate::reports::{self, Reports};
use crate::sender_report::SenderReport;
use crate::shared::{Ref, Shared};

/// Packets that are not TCP and wait for their taker; beyond, they are dropped and counted.
const OTHER_PACKETS: usize = 1024;
/// Reports of senders that wait: some 4 MB where nobody reads.
const WAITING_SENDERS: usize = 8192;
/// Ends, or notices, that wait for their taker: some 10 MB where nobody reads.
const WAITING_REPORTS: usize = 65_536;

/// How a stack is set up.
///
/// ```
/// let options = fourwave::StackOptions::default().address([10, 4, 0, 100]);
/// assert_eq!(options.addresses.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StackOptions {
    /// The engine's knobs.
    pub config: Config,
    /// Where sequence numbers, ports and hashes are drawn from. `None`: from the operating
    /// system, which is what a stack needs that strangers can reach.
    pub seed: Option<[u8; 32]>,
    /// Our own addresses: [`Stack::connect`] calls from the first one of the right family.
    /// Listeners and [`Stack::connect_from`] may use any other address too.
    pub addresses: Vec<IpAddr>,
}

impl StackOptions {
    /// Adds one of our own [`addresses`](Self::addresses).
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets the engine's knobs.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Sets [`seed`](Self::seed): the same seed, packets and times give the same run.
    #[must_use]
    pub fn seed(self, seed: [u8; 32]) -> Self {
        Self { seed: Some(seed), ..self }
    }
}

/// A TCP of your own on a packet device. A cheap handle: clones are the same stack.
///
/// The stack runs for as long as a handle, a listener or a socket of it is held, and then until
/// the sockets that were dropped have closed their connections in order. After that, or after
/// [`shutdown`](Self::shutdown), the device is dropped.
#[derive(Clone)]
pub struct Stack {
    pub(crate) shared: Ref,
    addresses: Arc<[IpAddr]>,
}

impl Stack {
    /// Puts a stack on `device` and spawns its driver task on the current tokio runtime, whose
    /// timer must be enabled.
    ///
    /// # Errors
    /// No runtime is current, or the operating system has no randomness to give.
    pub fn spawn(device: impl Device + 'static, options: StackOptions) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| io::Error::other(format!("a stack needs a tokio runtime: {e}")))?;
        let seed = match options.seed {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed)
                    .map_err(|e| io::Error::other(format!("no random seed for the stack: {e}")))?;
                seed
            }
        };
        let device: Arc<dyn Device> = Arc::new(device);
        let link = device.link();
        let engine = Engine::new(options.config, link, seed);
        let shared = Shared::new(Inner::new(engine, Arc::clone(&device)), link);
        let stack =
            Self { shared: Ref::new(Arc::clone(&shared)), addresses: options.addresses.into() };
        runtime.spawn(Driver::new(shared, device).run());
        Ok(stack)
    }

    /// Listens on every address and port that no other listener has, as a gateway does. No SYN
    /// is answered until the caller has decided what its sender shall see.
    ///
    /// # Errors
    /// `AddrInUse` when there is such a listener already.
    pub fn listen_any(&self) -> io::Result<IncomingListener> {
        let id = self.shared.call(|inner, _| {
            if inner.stopping {
                return Err(inner.stopped());
            }
            let backlog = usize::try_from(inner.engine.config().somaxconn).unwrap_or(usize::MAX);
            let listen = ListenOptions::any().deferring().with_backlog(backlog);
            let id = inner
                .engine
                .listen(listen)
                .map_err(|e| io::Error::new(io::ErrorKind::AddrInUse, e))?;
            let state = ListenerState { deferred: true, ..ListenerState::default() };
            inner.listeners.insert(id, state);
            Ok(id)
        })?;
        Ok(IncomingListener::new(self.shared.clone(), id))
    }

    /// The first of our addresses that is of `remote`'s family.
    pub(crate) fn address_for(&self, remote: SocketAddr) -> io::Result<IpAddr> {
        let local = self.addresses.iter().find(|ip| ip.is_ipv6() == remote.is_ipv6());
        local.copied().ok_or_else(|| {
            let family = if remote.is_ipv6() { "IPv6" } else { "IPv4" };
            let text = format!(
                "cannot connect to {remote}: the stack has no {family} address; add one to \
                 StackOptions::addresses or bind the socket"
            );
            io::Error::new(io::ErrorKind::AddrNotAvailable, text)
        })
    }

    /// The packets from now on that are not TCP's: UDP, ICMP and so on. There is one taker at a
    /// time: `None` while another one is alive. At most 1024 wait; what finds no room is dropped
    /// and counted.
    pub fn take_other_packets(&self) -> Option<Reports<RxPacket>> {
        let inner = &mut *self.shared.lock();
        reports::take(&mut inner.others, OTHER_PACKETS, inner.stopping)
    }

    /// Sends a finished IP packet as it is. `Ok(false)`: the device has no room and the packet
    /// was dropped, as a router drops it.
    ///
    /// # Errors
    /// The device's, or the stack was shut down.
    #[expect(clippy::needless_pass_by_value, reason = "a device may keep the chunks later")]
    pub fn send_packet(&self, packet: TxPacket) -> io::Result<bool> {
        self.shared.lock().send_packet(&packet)
    }

    /// The report of every connection's end from now on. There is one taker at a time: `None`
    /// while another one is alive. At most 65,536 wait; what finds no room is dropped and counted.
    pub fn take_ends(&self) -> Option<Reports<EndReport>> {
        let inner = &mut *self.shared.lock();
        reports::take(&mut inner.ends, WAITING_REPORTS, inner.stopping)
    }

    /// What the engine notices about open connections from now on: a suspected CLOSE_WAIT leak, a
    /// peer that answers no more. There is one taker at a time: `None` while another one is alive.
    /// At most 65,536 wait; what finds no room is dropped and counted. Connections whose handle was
    /// dropped are not reported.
    pub fn take_notices(&self) -> Option<Reports<Notice>> {
        let inner = &mut *self.shared.lock();
        reports::take(&mut inner.notices, WAITING_REPORTS, inner.stopping)
    }

    /// What the senders of open connections do from now on: a report each time that one's state of
    /// recovery or slow-start threshold changes, its congestion window by an eighth or its
    /// round-trip time by a quarter. There is one taker at a time: `None` while another one is
    /// alive. At most 8,192 wait; what finds no room is dropped and counted. Costs a look at
    /// TCP_INFO for each step of a connection.
    pub fn take_senders(&self) -> Option<Reports<SenderReport>> {
        let inner = &mut *self.shared.lock();
        let taken = reports::take(&mut inner.senders.reporter, WAITING_SENDERS, inner.stopping);
        inner.engine.watch_senders(true);
        taken
    }

    /// The engine's counters.
    pub fn counters(&self) -> Counters {
        *self.shared.lock().engine.counters()
    }

    /// The driver's counters.
    pub fn io_counters(&self) -> IoCounters {
        self.shared.lock().io
    }

    /// What is alive now.
    pub fn population(&self) -> Population {
        self.shared.lock().engine.population()
    }

    /// What the device can carry.
    pub fn link(&self) -> Link {
        self.shared.link
    }

    /// Waits until no connection is left but those in TIME_WAIT, or the stack has stopped.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            let mut inner = self.shared.lock();
            if inner.device.is_none() || inner.is_drained() {
                return Poll::Ready(());
            }
            wait_with_others(&mut inner.drain_waiters, cx);
            Poll::Pending
        })
        .await;
    }

    /// Now in this stack's time, in which the times of reports are given.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// A time of this stack as the wall clock showed it (by the wall clock of when the stack was
    /// spawned: later adjustments of that clock are not seen).
    pub fn system_time(&self, at: Instant) -> SystemTime {
        self.shared.started + Duration::from_micros(at.as_micros())
    }

    /// Resets every connection, those included whose socket was dropped, sends what the device
    /// takes within a second, and drops the device. Sockets still yield what was received, then
    /// [`EndReason::Shutdown`](crate::EndReason); listeners report an error.
    pub async fn shutdown(&self) {
        self.shared.call(|inner, now| {
            if !inner.stopping {
                inner.stopping = true;
                inner.abort_all(now);
            }
            if let Some(driver) = &inner.driver {
                driver.wake_by_ref();
            }
        });
        poll_fn(|cx: &mut Context<'_>| {
            let mut inner = self.shared.lock();
            if inner.device.is_none() {
                return Poll::Ready(());
            }
            wait_with_others(&mut inner.stop_waiters, cx);
            Poll::Pending
        })
        .await;
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("population", &self.population()).finish_non_exhaustive()
    }
}
