//! One stream from one end of the link to the other, timed from `connect` to the last byte read.

mod engine;
mod kernel;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fourwave_fault::FaultConfig;

use crate::link::{Link, LinkReport};
use crate::site::{self, End, Settings, Stack, address};

const PORT: u16 = 5001;
/// What is written at a time.
static CHUNK: [u8; 256 * 1024] = [0; 256 * 1024];
/// How often who waits for the other end looks.
const TICK: Duration = Duration::from_millis(1);
/// How much longer than the limit an end may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to send, and over which link.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Sender and receiver.
    pub(crate) stacks: [Stack; 2],
    /// Bytes to send; `None`: as many as get through until the limit.
    pub(crate) bytes: Option<u64>,
    /// From `connect` on.
    pub(crate) limit: Duration,
    /// Of each direction.
    pub(crate) faults: FaultConfig,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// From `connect` to the last byte read, or the limit.
    pub(crate) time: Duration,
    /// Bytes that the receiver read by then.
    pub(crate) received: u64,
    /// Whether that is all.
    pub(crate) complete: bool,
    pub(crate) sent: Sent,
    pub(crate) link: LinkReport,
}

impl Outcome {
    /// Bits per second.
    pub(crate) fn goodput(&self) -> f64 {
        self.received as f64 * 8.0 / self.time.as_secs_f64()
    }

    /// Of the bytes that the sender sent, those that it sent again.
    pub(crate) fn retransmitted(&self) -> f64 {
        self.sent.again as f64 / (self.sent.bytes.max(1)) as f64
    }
}

/// The sender's own figures, as in TCP_INFO.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// Payload bytes, retransmissions included.
    pub(crate) bytes: u64,
    /// Payload bytes retransmitted.
    pub(crate) again: u64,
    /// Congestion window at the end, in bytes.
    pub(crate) cwnd: u64,
    /// Slow-start threshold at the end, in bytes; `None` before the first loss.
    pub(crate) ssthresh: Option<u64>,
    /// Smoothed round-trip time at the end.
    pub(crate) rtt: Duration,
}

/// What the receiver saw.
struct Received {
    bytes: u64,
    at: Instant,
}

/// What both ends know of a transfer.
struct Shared {
    from: SocketAddr,
    to: SocketAddr,
    bytes: u64,
    limit: Duration,
    settings: Settings,
    begun: OnceLock<Instant>,
    over: AtomicBool,
}

impl Shared {
    /// Starts the clock; when it is over.
    fn begin(&self) -> Instant {
        *self.begun.get_or_init(Instant::now) + self.limit
    }

    /// When it is over, as far as is known.
    fn deadline(&self) -> Instant {
        self.begun.get().copied().unwrap_or_else(Instant::now) + self.limit
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }
}

/// What is still to be written, chunk by chunk.
struct Supply(u64);

impl Supply {
    fn next(&mut self, taken: usize) -> Option<Bytes> {
        self.0 -= taken as u64;
        let len = self.0.min(CHUNK.len() as u64) as usize;
        (len > 0).then(|| Bytes::from_static(&CHUNK[..len]))
    }
}

/// Carries out a plan on a site of its own.
///
/// # Errors
/// There is no such site (TUN and namespaces need root), no such algorithm, or an end failed.
pub(crate) fn run(plan: &Plan) -> io::Result<Outcome> {
    let ([sender, receiver], tuns) = site::build(plan.stacks, &plan.settings)?;
    let link = Link::start(tuns, plan.faults, plan.seed)?;
    let at = |side: usize, port| SocketAddr::new(address(side, plan.stacks[side]), port);
    let shared = Arc::new(Shared {
        from: at(0, 0),
        to: at(1, PORT),
        bytes: plan.bytes.unwrap_or(u64::MAX),
        limit: plan.limit,
        settings: plan.settings.clone(),
        begun: OnceLock::new(),
        over: AtomicBool::new(false),
    });
    let received = start_receiver(receiver, &shared)?;
    let sent = start_sender(sender, &shared)?;
    let patience = plan.limit + PATIENCE;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "an end did not come to its end");
    let received = received.recv_timeout(patience).map_err(late);
    shared.finish();
    let sent = sent.recv_timeout(PATIENCE).map_err(late);
    let link = link.stop()?;
    let (sent, received) = (sent??, received??);
    let complete = received.bytes >= shared.bytes;
    let begun = shared.begun.get().copied().unwrap_or(received.at);
    let time = if complete { received.at.duration_since(begun) } else { plan.limit };
    Ok(Outcome { time, received: received.bytes, complete, sent, link })
}

type Result<T> = mpsc::Receiver<io::Result<T>>;

fn tun(engine: Option<OwnedFd>) -> io::Result<OwnedFd> {
    engine.ok_or_else(|| io::Error::other("the engine has no TUN"))
}

/// Returns when it listens.
fn start_receiver(end: End, shared: &Arc<Shared>) -> io::Result<Result<Received>> {
    let (ready, listens) = mpsc::channel();
    let own = Arc::clone(shared);
    let received = end.namespace.start(move || {
        let received = match end.stack {
            Stack::Linux => kernel::receive(&own, &ready),
            Stack::Fourwave => engine::receive(&own, tun(end.engine)?, &ready),
        };
        own.finish();
        received
    })?;
    // Where it failed, its result says how.
    let _ = listens.recv_timeout(PATIENCE);
    Ok(received)
}

fn start_sender(end: End, shared: &Arc<Shared>) -> io::Result<Result<Sent>> {
    let own = Arc::clone(shared);
    end.namespace.start(move || match end.stack {
        Stack::Linux => kernel::send(&own),
        Stack::Fourwave => engine::send(&own, tun(end.engine)?),
    })
}
