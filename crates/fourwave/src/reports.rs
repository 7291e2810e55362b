//! What a stack tells to one taker: a queue with a bound that never holds the stack up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// What a stack tells from the moment it was asked: ends of connections, notices, packets that are
/// not TCP's.
///
/// It holds a bounded number of them. One that finds no room is dropped and counted, so that
/// whoever does not read cannot stop the stack or fill the memory.
#[derive(Debug)]
pub struct Reports<T> {
    queue: mpsc::Receiver<T>,
    dropped: Arc<AtomicU64>,
}

impl<T> Reports<T> {
    /// The next one; `None` once the stack has stopped and all were taken. Cancel-safe.
    pub async fn recv(&mut self) -> Option<T> {
        self.queue.recv().await
    }

    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.queue.poll_recv(cx)
    }

    /// The next one, if it is there already.
    pub fn try_recv(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// How many found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The stack's end.
pub(crate) struct Reporter<T> {
    queue: mpsc::Sender<T>,
    dropped: Arc<AtomicU64>,
}

impl<T> Reporter<T> {
    /// Tells it; false when it was dropped and counted, because there is no room or no taker any
    /// more.
    pub(crate) fn tell(&self, what: T) -> bool {
        match self.queue.try_send(what) {
            Ok(()) => true,
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

/// A queue of `bound` into `place`, for a new taker; `None` while there is one. One that is made
/// when the stack has stopped has ended.
pub(crate) fn take<T>(
    place: &mut Option<Reporter<T>>,
    bound: usize,
    stopped: bool,
) -> Option<Reports<T>> {
    if place.as_ref().is_some_and(|taken| !taken.queue.is_closed()) {
        return None;
    }
    let (sender, queue) = mpsc::channel(bound);
    let dropped = Arc::<AtomicU64>::default();
    let reports = Reports { queue, dropped: Arc::clone(&dropped) };
    *place = (!stopped).then_some(Reporter { queue: sender, dropped });
    Some(reports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_the_rest_comes_in_order() {
        let mut place = None;
        let mut reports = take(&mut place, 2, false).unwrap();
        assert!(take(&mut place, 2, false).is_none(), "one taker at a time");
        let reporter = place.as_ref().unwrap();
        assert_eq!([1, 2, 3].map(|n| reporter.tell(n)), [true, true, false]);
        assert_eq!((reports.try_recv(), reports.try_recv()), (Some(1), Some(2)));
        assert_eq!((reports.try_recv(), reports.dropped()), (None, 1));
        drop(reports);
        assert!(!place.as_ref().unwrap().tell(4));
        assert!(take(&mut place, 2, true).unwrap().try_recv().is_none() && place.is_none());
    }
}
