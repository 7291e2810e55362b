//! A device with faults in both directions, in tokio's time.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fourwave_wire::{Link, RxPacket, TxPacket};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::{FaultConfig, FaultCounters, Injector};
use fourwave_device::{Device, offload};
use fourwave_wire::segment::segments_of_received;

/// Packets read from the device below in one go.
const BATCH: usize = 64;

/// What happens to the packets of a device, without clock or IO: ordinary packets and time in,
/// packets and deadlines out. A packet of one direction may bring about one of the other.
///
/// `now` is the time since any fixed moment and never goes back.
pub trait Faults: Send {
    /// Takes a packet that the device received.
    fn receive(&mut self, now: Duration, packet: RxPacket);

    /// Takes a packet to be sent, its checksum finished.
    fn send(&mut self, now: Duration, packet: TxPacket);

    /// The next packet to be received at `now`.
    fn poll_received(&mut self, now: Duration) -> Option<RxPacket>;

    /// The next packet to be sent at `now`.
    fn poll_sent(&mut self, now: Duration) -> Option<TxPacket>;

    /// When `poll_received` has its next packet; `None` when it holds none.
    fn next_received(&self) -> Option<Duration>;

    /// When `poll_sent` has its next packet; `None` when it holds none.
    fn next_sent(&self) -> Option<Duration>;
}

/// A link's faults, each direction with its own.
pub struct EachWay {
    incoming: Injector<RxPacket>,
    outgoing: Injector<TxPacket>,
}

impl Faults for EachWay {
    fn receive(&mut self, now: Duration, packet: RxPacket) {
        self.incoming.offer(now, packet);
    }

    fn send(&mut self, now: Duration, packet: TxPacket) {
        self.outgoing.offer(now, packet);
    }

    fn poll_received(&mut self, now: Duration) -> Option<RxPacket> {
        self.incoming.poll(now)
    }

    fn poll_sent(&mut self, now: Duration) -> Option<TxPacket> {
        self.outgoing.poll(now)
    }

    fn next_received(&self) -> Option<Duration> {
        self.incoming.next_due()
    }

    fn next_sent(&self) -> Option<Duration> {
        self.outgoing.next_due()
    }
}

/// A device whose packets meet faults.
///
/// Faults apply to packets as they would be on a wire, so this device has no offloads: super-
/// packets from below are cut before they meet their outcomes. It never refuses a packet for want
/// of space; a link that is too slow drops, as its configuration says.
///
/// Delayed packets move on while some task polls [`poll_readable`](Device::poll_readable).
/// Needs a tokio runtime with time enabled.
pub struct Faulty<D, F = EachWay> {
    inner: D,
    start: Instant,
    link: Link,
    state: Mutex<State<F>>,
}

struct State<F> {
    faults: F,
    incoming: Alarm,
    outgoing: Alarm,
    /// A failure to receive, told once what came before it is delivered.
    not_received: Option<io::Error>,
    /// Super-packets that could not be cut.
    malformed: u64,
    /// A packet that is due and that the device below had no space for.
    stuck: Option<TxPacket>,
    /// The task that polls for readability.
    driver: Option<Waker>,
    /// A failure to send a delayed packet, told to the next sender.
    not_sent: Option<io::Error>,
}

impl<D: Device> Faulty<D> {
    /// Puts faults on `inner`. The two directions draw from different random numbers of `seed`.
    pub fn new(inner: D, incoming: FaultConfig, outgoing: FaultConfig, seed: u64) -> Self {
        let faults = EachWay {
            incoming: Injector::new(incoming, seed),
            outgoing: Injector::new(outgoing, seed ^ u64::MAX),
        };
        Self::with_faults(inner, faults)
    }

    /// What happened to received packets.
    pub fn incoming_counters(&self) -> FaultCounters {
        self.inspect(|faults| faults.incoming.counters())
    }

    /// What happened to sent packets.
    pub fn outgoing_counters(&self) -> FaultCounters {
        self.inspect(|faults| faults.outgoing.counters())
    }
}

impl<D: Device, F: Faults> Faulty<D, F> {
    /// Puts `faults` on `inner`; their time starts now.
    pub fn with_faults(inner: D, faults: F) -> Self {
        let link = Link::plain(inner.link().mtu);
        let state = Mutex::new(State {
            faults,
            incoming: Alarm::default(),
            outgoing: Alarm::default(),
            not_received: None,
            malformed: 0,
            stuck: None,
            driver: None,
            not_sent: None,
        });
        Self { inner, start: Instant::now(), link, state }
    }

    /// The device below.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Looks at the faults. No packet moves meanwhile.
    pub fn inspect<T>(&self, look: impl FnOnce(&F) -> T) -> T {
        look(&self.lock().faults)
    }

    /// Received super-packets that were dropped because they could not be cut.
    pub fn malformed(&self) -> u64 {
        self.lock().malformed
    }

    fn now(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a batch from below. Stops early when there is no more.
    fn fill(&self, state: &mut State<F>) {
        for _ in 0..BATCH {
            if state.not_received.is_some() {
                break;
            }
            match self.inner.try_recv() {
                Ok(packet) => {
                    let now = self.now();
                    match segments_of_received(packet) {
                        Ok(segments) => {
                            segments.into_iter().for_each(|s| state.faults.receive(now, s));
                        }
                        Err(_) => state.malformed += 1,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => state.not_received = Some(error),
            }
        }
        // What was received may have been answered by a fault.
        self.flush(state);
    }

    /// Sends what is due, as far as the device below has space.
    fn flush(&self, state: &mut State<F>) {
        let now = self.now();
        while let Some(packet) = state.stuck.take().or_else(|| state.faults.poll_sent(now)) {
            match self.inner.try_send(&packet) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.stuck = Some(packet);
                    return;
                }
                Err(error) => state.not_sent = Some(error),
            }
        }
    }

    /// Moves delayed packets out, and sees to it that `cx` is woken for the next.
    fn drive_outgoing(&self, state: &mut State<F>, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            self.flush(state);
            if state.stuck.is_some() {
                match self.inner.poll_writable(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(()),
                }
            } else {
                let due = state.faults.next_sent();
                if state.outgoing.poll(due, self.start, cx).is_pending() {
                    return Ok(());
                }
            }
        }
    }
}

impl<D: Device, F: Faults> Device for Faulty<D, F> {
    fn link(&self) -> Link {
        self.link
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        let mut state = self.lock();
        self.fill(&mut state);
        if let Some(packet) = state.faults.poll_received(self.now()) {
            return Ok(packet);
        }
        match state.not_received.take() {
            Some(error) if state.faults.next_received().is_none() => Err(error),
            failed => {
                state.not_received = failed;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Takes every packet; see the type. A failure may be that of an earlier, delayed packet.
    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        let packet = offload::finish(packet)?.unwrap_or_else(|| packet.clone());
        let mut state = self.lock();
        state.faults.send(self.now(), packet);
        self.flush(&mut state);
        let earlier = state.outgoing.is_late_for(state.faults.next_sent())
            || state.incoming.is_late_for(state.faults.next_received());
        let driver = if earlier || state.stuck.is_some() { state.driver.take() } else { None };
        let failed = state.not_sent.take();
        drop(state);
        if let Some(waker) = driver {
            waker.wake();
        }
        failed.map_or(Ok(()), Err)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        state.driver = Some(cx.waker().clone());
        loop {
            self.fill(&mut state);
            self.drive_outgoing(&mut state, cx)?;
            let due = state.faults.next_received();
            let is_due = due.is_some_and(|due| due <= self.now());
            if is_due || (state.not_received.is_some() && due.is_none()) {
                return Poll::Ready(Ok(()));
            }
            if state.not_received.is_none()
                && let Poll::Ready(ready) = self.inner.poll_readable(cx)
            {
                ready?;
                continue;
            }
            if state.incoming.poll(due, self.start, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
