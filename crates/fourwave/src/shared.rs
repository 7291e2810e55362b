//! One stack, shared by its handles and its driver.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use fourwave_core::Instant;
use fourwave_wire::Link;

use crate::inner::Inner;

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    epoch: tokio::time::Instant,
    pub(crate) started: SystemTime,
    pub(crate) link: Link,
    /// [`Inner::far_end_asked`].
    pub(crate) far_end_asked: Arc<AtomicU64>,
    handles: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(inner: Inner, link: Link) -> Arc<Self> {
        Arc::new(Self {
            far_end_asked: Arc::clone(&inner.far_end_asked),
            inner: Mutex::new(inner),
            epoch: tokio::time::Instant::now(),
            started: SystemTime::now(),
            link,
            handles: AtomicUsize::new(0),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in the engine is a bug; the other connections may still be served.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stack's time: microseconds since it was spawned, by tokio's clock.
    pub(crate) fn now(&self) -> Instant {
        let micros = self.epoch.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// `at` on tokio's clock.
    pub(crate) fn on_the_clock(&self, at: Instant) -> tokio::time::Instant {
        // Deadlines beyond a year are the same to a timer.
        const YEAR: u64 = 365 * 86_400 * 1_000_000;
        self.epoch + std::time::Duration::from_micros(at.as_micros().min(YEAR))
    }

    /// Calls into the engine, then handles its events and sends what came of it.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let mut inner = self.lock();
        // Read under the lock, so that time does not run backwards for the engine.
        let now = self.now();
        let result = call(&mut inner, now);
        inner.drain_events(now);
        inner = self.settle(inner, now);
        let wakers = std::mem::take(&mut inner.to_wake);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Whether any stack, listener or socket is left.
    pub(crate) fn is_held(&self) -> bool {
        self.handles.load(Ordering::Acquire) > 0
    }
}

/// What keeps a stack running: held by every stack handle, listener and socket.
pub(crate) struct Ref(Arc<Shared>);

impl Ref {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Clone for Ref {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl std::ops::Deref for Ref {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(driver) = &self.0.lock().driver
        {
            driver.wake_by_ref();
        }
    }
}
