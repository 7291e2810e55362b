//! The one task that reads the device, keeps the engine's deadlines and sends what waited.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, Waker};

use fourwave_core::Instant;
use fourwave_device::Device;
use fourwave_wire::RxPacket;
use tokio::time::Sleep;

use crate::inner::Inner;
use crate::shared::Shared;

/// A batch ends at whichever comes first.
const BATCH_PACKETS: usize = 64;
const BATCH_BYTES: usize = 1 << 20;
/// A device that says "readable" and then has nothing, this often in a row, yields its turn.
const SPURIOUS: usize = 4;
/// How long a stopping stack waits for a device that takes no packet.
const STOP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

enum Step {
    /// There is more to do: let the other tasks have their turn first.
    Again,
    Done,
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    device: Arc<dyn Device>,
    batch: Vec<RxPacket>,
    wakers: Vec<Waker>,
    sleep: Pin<Box<Sleep>>,
    stop_by: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, device: Arc<dyn Device>) -> Self {
        Self {
            shared,
            device,
            batch: Vec::with_capacity(BATCH_PACKETS),
            wakers: Vec::new(),
            sleep: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
            stop_by: None,
        }
    }

    /// Drives the stack until it is shut down, the device fails or nobody holds it any more.
    pub(crate) async fn run(mut self) {
        loop {
            match std::future::poll_fn(|cx| self.step(cx)).await {
                Ok(Step::Again) => tokio::task::yield_now().await,
                Ok(Step::Done) => return,
                Err(error) => {
                    let failure = (error.kind(), error.to_string());
                    self.shared.lock().failure = Some(failure);
                    return;
                }
            }
        }
    }

    /// One turn. Pending only with everything registered that can make the next one useful.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        let full = match self.fill_batch(cx) {
            Ok(full) => full,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let shared = Arc::clone(&self.shared);
        let mut inner = shared.lock();
        crate::inner::wait(&mut inner.driver, cx);
        let now = shared.now();
        for packet in self.batch.drain(..) {
            inner.handle_packet(now, packet);
        }
        if inner.engine.poll_timeout().is_some_and(|due| due <= now) {
            inner.engine.handle_timeout(now);
        }
        inner.drain_events(now);
        let (mut inner, sent) = self.send(cx, &shared, inner, now);
        let again = match sent {
            // Whoever sends now wakes us when something is left.
            Poll::Ready(Ok(())) => full || (inner.unsent && !inner.sending),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => full,
        };
        let done = self.is_done(&inner, now);
        let fired = !done && self.arm(cx, &mut inner);
        std::mem::swap(&mut self.wakers, &mut inner.to_wake);
        drop(inner);
        self.wakers.drain(..).for_each(Waker::wake);
        match (done, again || fired) {
            (true, _) => Poll::Ready(Ok(Step::Done)),
            (false, true) => Poll::Ready(Ok(Step::Again)),
            (false, false) => Poll::Pending,
        }
    }

    /// Reads until the device is empty (and will wake us) or the batch is full (true).
    fn fill_batch(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut bytes = 0;
        let mut spurious = 0;
        while self.batch.len() < BATCH_PACKETS && bytes < BATCH_BYTES && spurious < SPURIOUS {
            match self.device.try_recv() {
                Ok(packet) => {
                    bytes += packet.bytes.len();
                    self.batch.push(packet);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.device.poll_readable(cx) {
                        Poll::Pending => return Ok(false),
                        Poll::Ready(ready) => ready?,
                    }
                    spurious += 1;
                }
                // What came before the failure still counts; the next turn meets it again.
                Err(_) if !self.batch.is_empty() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Flushes; pending when the device has no room (and will wake us).
    fn send<'a>(
        &self,
        cx: &mut Context<'_>,
        shared: &'a Shared,
        mut inner: MutexGuard<'a, Inner>,
        now: Instant,
    ) -> (MutexGuard<'a, Inner>, Poll<io::Result<()>>) {
        for _ in 0..SPURIOUS {
            inner = shared.flush(inner, now);
            if !inner.tx_blocked || inner.sending {
                return (inner, Poll::Ready(Ok(())));
            }
            match self.device.poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                other => return (inner, other),
            }
        }
        // Blocked and yet "writable" all the time: try again after the others.
        (inner, Poll::Ready(Ok(())))
    }

    fn is_done(&mut self, inner: &Inner, now: Instant) -> bool {
        if inner.stopping {
            let stop_by = *self.stop_by.get_or_insert(now + STOP_PATIENCE);
            return !inner.unsent || now >= stop_by;
        }
        !self.shared.is_held() && inner.is_drained()
    }

    /// Sets the timer to the engine's next deadline. True when it has fired already.
    ///
    /// A deadline that moved away leaves the timer alone: waking once for nothing is cheaper
    /// than moving the timer with each segment.
    fn arm(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> bool {
        let due = match (inner.engine.poll_timeout(), self.stop_by) {
            (Some(due), Some(stop)) => Some(due.min(stop)),
            (due, stop) => due.or(stop),
        };
        if let Some(due) = due
            && inner.armed.is_none_or(|armed| due < armed)
        {
            inner.armed = Some(due);
            self.sleep.as_mut().reset(self.shared.on_the_clock(due));
        }
        if inner.armed.is_none() || self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        inner.armed = None;
        true
    }
}

impl Drop for Driver {
    /// However the task ended (its runtime may be gone): sockets must not wait for it.
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        let now = self.shared.now();
        inner.stop(now);
        let wakers = std::mem::take(&mut inner.to_wake);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }
}
