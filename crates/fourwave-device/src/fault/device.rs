//! A device with faults in both directions, in tokio's time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fourwave_wire::{Link, RxPacket, TxPacket};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{FaultConfig, FaultCounters, Injector};
use crate::segment::segments_of_received;
use crate::{Device, offload};

/// Packets read from the device below in one go.
const BATCH: usize = 64;

/// A device whose packets meet faults, each direction with its own.
///
/// Faults befall packets as they would be on a wire, so this device has no offloads: super-
/// packets from below are cut before they meet their fates. It never refuses a packet for want
/// of room; a link that is too slow drops, as its configuration says.
///
/// Delayed packets move on while some task polls [`poll_readable`](Device::poll_readable).
/// Needs a tokio runtime with time enabled.
pub struct Faulty<D> {
    inner: D,
    start: Instant,
    link: Link,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
}

struct Incoming {
    injector: Injector<RxPacket>,
    alarm: Alarm,
    /// A failure of the device below, told once what came before it is delivered.
    failed: Option<io::Error>,
    /// Super-packets that could not be cut.
    malformed: u64,
}

struct Outgoing {
    injector: Injector<TxPacket>,
    alarm: Alarm,
    /// A packet that is due and that the device below had no room for.
    stuck: Option<TxPacket>,
    /// The task that polls for readability.
    driver: Option<Waker>,
    /// A failure to send a delayed packet, told to the next sender.
    failed: Option<io::Error>,
}

impl<D: Device> Faulty<D> {
    /// Puts faults on `inner`. The two directions draw from different random numbers of `seed`.
    pub fn new(inner: D, incoming: FaultConfig, outgoing: FaultConfig, seed: u64) -> Self {
        let link = Link::plain(inner.link().mtu);
        Self {
            inner,
            start: Instant::now(),
            link,
            incoming: Mutex::new(Incoming {
                injector: Injector::new(incoming, seed),
                alarm: Alarm::default(),
                failed: None,
                malformed: 0,
            }),
            outgoing: Mutex::new(Outgoing {
                injector: Injector::new(outgoing, seed ^ u64::MAX),
                alarm: Alarm::default(),
                stuck: None,
                driver: None,
                failed: None,
            }),
        }
    }

    /// The device below.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// What happened to received packets.
    pub fn incoming_counters(&self) -> FaultCounters {
        lock(&self.incoming).injector.counters()
    }

    /// What happened to sent packets.
    pub fn outgoing_counters(&self) -> FaultCounters {
        lock(&self.outgoing).injector.counters()
    }

    /// Received super-packets that were dropped because they could not be cut.
    pub fn malformed(&self) -> u64 {
        lock(&self.incoming).malformed
    }

    fn now(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }

    /// Reads a batch from below. Stops early when there is no more.
    fn fill(&self, incoming: &mut Incoming) {
        for _ in 0..BATCH {
            if incoming.failed.is_some() {
                return;
            }
            match self.inner.try_recv() {
                Ok(packet) => {
                    let now = self.now();
                    match segments_of_received(packet) {
                        Ok(segments) => {
                            segments.into_iter().for_each(|s| incoming.injector.offer(now, s));
                        }
                        Err(_) => incoming.malformed += 1,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => incoming.failed = Some(error),
            }
        }
    }

    /// Sends what is due, as far as the device below has room.
    fn flush(&self, outgoing: &mut Outgoing) {
        let now = self.now();
        while let Some(packet) = outgoing.stuck.take().or_else(|| outgoing.injector.poll(now)) {
            match self.inner.try_send(&packet) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outgoing.stuck = Some(packet);
                    return;
                }
                Err(error) => outgoing.failed = Some(error),
            }
        }
    }

    /// Moves delayed packets out, and sees to it that `cx` is woken for the next.
    fn drive_outgoing(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut outgoing = lock(&self.outgoing);
        outgoing.driver = Some(cx.waker().clone());
        loop {
            self.flush(&mut outgoing);
            if outgoing.stuck.is_some() {
                match self.inner.poll_writable(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(()),
                }
            } else {
                let due = outgoing.injector.next_due();
                if outgoing.alarm.poll(due, self.start, cx).is_pending() {
                    return Ok(());
                }
            }
        }
    }
}

impl<D: Device> Device for Faulty<D> {
    fn link(&self) -> Link {
        self.link
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        let mut incoming = lock(&self.incoming);
        self.fill(&mut incoming);
        if let Some(packet) = incoming.injector.poll(self.now()) {
            return Ok(packet);
        }
        match incoming.failed.take() {
            Some(error) if incoming.injector.is_empty() => Err(error),
            failed => {
                incoming.failed = failed;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Takes every packet; see the type. A failure may be that of an earlier, delayed packet.
    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        let packet = offload::finish(packet)?.unwrap_or_else(|| packet.clone());
        let mut outgoing = lock(&self.outgoing);
        outgoing.injector.offer(self.now(), packet);
        self.flush(&mut outgoing);
        let earlier = outgoing.alarm.is_late_for(outgoing.injector.next_due());
        let driver =
            if earlier || outgoing.stuck.is_some() { outgoing.driver.take() } else { None };
        let failed = outgoing.failed.take();
        drop(outgoing);
        if let Some(waker) = driver {
            waker.wake();
        }
        failed.map_or(Ok(()), Err)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drive_outgoing(cx)?;
        let mut incoming = lock(&self.incoming);
        loop {
            self.fill(&mut incoming);
            let due = incoming.injector.next_due();
            let is_due = due.is_some_and(|due| due <= self.now());
            if is_due || (incoming.failed.is_some() && due.is_none()) {
                return Poll::Ready(Ok(()));
            }
            if incoming.failed.is_none()
                && let Poll::Ready(ready) = self.inner.poll_readable(cx)
            {
                ready?;
                continue;
            }
            if incoming.alarm.poll(due, self.start, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A timer that moves.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What it is set to.
    due: Option<Duration>,
}

impl Alarm {
    /// Pending until `due`, for ever without one.
    fn poll(&mut self, due: Option<Duration>, start: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = due else {
            self.due = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(start + at)));
        if self.due != due {
            self.due = due;
            sleep.as_mut().reset(start + at);
        }
        let polled = sleep.as_mut().poll(cx);
        if polled.is_ready() {
            self.due = None;
        }
        polled
    }

    /// Whether `due` comes before what the timer is set to.
    fn is_late_for(&self, due: Option<Duration>) -> bool {
        match (due, self.due) {
            (Some(due), Some(set)) => due < set,
            (due, None) => due.is_some(),
            (None, _) => false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
