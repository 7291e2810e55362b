//! The link: a thread of its own that reads packets from one TUN, lets the faults have them, and
//! writes what is due into the other, both ways.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fourwave_fault::{FaultConfig, FaultCounters, Injector};
use fourwave_linux::descriptor::read_into;
use fourwave_linux::{calls, vnet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::piece::{Outlet, Piece, cut};

/// Packets or super-packets read from one side before the other has its turn.
const BATCH: usize = 64;
/// The shortest sleep: packets are late by that much at most (and by what the kernel needs to wake
/// the thread), as behind a card that holds its interrupts back.
const SHORTEST_SLEEP: Duration = Duration::from_micros(30);
/// Bytes of a buffer that packets are read into.
const SLAB: usize = 1 << 20;
/// Payload up to which a packet is copied, so that it does not keep a buffer alive.
const SMALL: usize = 256;

/// What the link did, in each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkReport {
    /// First to second, second to first.
    pub(crate) faults: [FaultCounters; 2],
    /// Packets that the receiving kernel did not take.
    pub(crate) refused: u64,
    pub(crate) late: Lateness,
}

/// How much later than due packets went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    packets: u32,
    sum: Duration,
    /// The latest one.
    pub(crate) most: Duration,
}

impl Lateness {
    fn add(&mut self, late: Duration) {
        self.packets = self.packets.saturating_add(1);
        self.sum += late;
        self.most = self.most.max(late);
    }

    fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            sum: self.sum + other.sum,
            most: self.most.max(other.most),
        }
    }

    /// In the mean; zero without packets.
    pub(crate) fn mean(&self) -> Duration {
        self.sum / self.packets.max(1)
    }
}

/// A link that runs until it is told to stop.
pub(crate) struct Link {
    stop: UnixStream,
    thread: JoinHandle<io::Result<LinkReport>>,
}

impl Link {
    /// Starts a link between two TUNs with virtio-net headers. Each direction has the faults of
    /// `faults`, drawn from `seed`.
    pub(crate) fn start(tuns: [OwnedFd; 2], faults: FaultConfig, seed: u64) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let name = std::thread::Builder::new().name("link".into());
        let thread = name.spawn(move || {
            // Without the right to it the link is as exact as the machine is idle.
            let _ = calls::real_time();
            Loop::new(&tuns, faults, seed).run(&stopped)
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops it, whatever is still under way.
    pub(crate) fn stop(self) -> io::Result<LinkReport> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the link's thread panicked"))?
    }
}

/// Buffers that are used again when their packets are gone, in the order in which they were used.
#[derive(Default)]
struct Slabs {
    current: BytesMut,
    used: std::collections::VecDeque<BytesMut>,
}

impl Slabs {
    fn buffer(&mut self) -> &mut BytesMut {
        self.current.clear();
        if !self.current.try_reclaim(vnet::MAX_PACKET) {
            let mut next = self.used.pop_front().unwrap_or_default();
            if !next.try_reclaim(vnet::MAX_PACKET) {
                if next.capacity() > 0 {
                    self.used.push_front(next);
                }
                next = BytesMut::with_capacity(SLAB);
            }
            self.used.push_back(std::mem::replace(&mut self.current, next));
        }
        &mut self.current
    }
}

/// One direction, without clock or descriptors.
pub(crate) struct Direction {
    injector: Injector<Piece>,
    slabs: Slabs,
    late: Lateness,
}

impl Direction {
    pub(crate) fn new(faults: FaultConfig, seed: u64) -> Self {
        Self {
            injector: Injector::new(faults, seed),
            slabs: Slabs::default(),
            late: Lateness::default(),
        }
    }

    /// Reads what waits, up to a batch; whether there may be more.
    fn fill(&mut self, fd: BorrowedFd<'_>, start: Instant) -> io::Result<bool> {
        for _ in 0..BATCH {
            match read_into(fd, self.slabs.buffer()) {
                Ok(_) => self.take(start.elapsed()),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Offers the packet that was read into the buffer.
    fn take(&mut self, now: Duration) {
        let read = &mut self.slabs.current;
        let Some(header) = read.first_chunk::<{ vnet::LEN }>() else { return };
        let header = vnet::VnetHeader::decode(header);
        let packet = if read.len() <= vnet::LEN + SMALL {
            let copy = bytes::Bytes::copy_from_slice(&read[vnet::LEN..]);
            read.clear();
            copy
        } else {
            read.split().freeze().slice(vnet::LEN..)
        };
        cut(&header, &packet, |piece| self.injector.offer(now, piece));
    }

    /// Hands out what is due.
    pub(crate) fn deliver(&mut self, now: Duration, mut to: impl FnMut(Piece)) {
        while let Some(due) = self.injector.next_due().filter(|due| *due <= now) {
            let Some(piece) = self.injector.poll(now) else { break };
            self.late.add(now - due);
            to(piece);
        }
    }
}

/// Both directions in real time.
struct Loop<'a> {
    tuns: [BorrowedFd<'a>; 2],
    directions: [Direction; 2],
    outlets: [Outlet; 2],
    start: Instant,
}

impl<'a> Loop<'a> {
    fn new(tuns: &'a [OwnedFd; 2], faults: FaultConfig, seed: u64) -> Self {
        Self {
            tuns: [tuns[0].as_fd(), tuns[1].as_fd()],
            directions: [Direction::new(faults, seed), Direction::new(faults, !seed)],
            outlets: Default::default(),
            start: Instant::now(),
        }
    }

    fn run(mut self, stopped: &UnixStream) -> io::Result<LinkReport> {
        loop {
            let mut more = false;
            for side in 0..2 {
                more |= self.directions[side].fill(self.tuns[side], self.start)?;
                self.deliver();
            }
            let now = self.start.elapsed();
            let due = self.directions.iter().filter_map(|d| d.injector.next_due()).min();
            let sleep = if more { Some(Duration::ZERO) } else { due.map(|due| nap(due, now)) };
            if sleep == Some(Duration::ZERO) && !more {
                continue;
            }
            let [a, b] = self.tuns;
            let mut watched = [
                PollFd::new(&a, PollFlags::IN),
                PollFd::new(&b, PollFlags::IN),
                PollFd::new(stopped, PollFlags::IN),
            ];
            let timeout = sleep.and_then(|sleep| Timespec::try_from(sleep).ok());
            match poll(&mut watched, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if !watched[2].revents().is_empty() {
                return Ok(self.report());
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.start.elapsed();
        for side in 0..2 {
            let (outlet, fd) = (&mut self.outlets[side], self.tuns[1 - side]);
            self.directions[side].deliver(now, |piece| outlet.put(piece, fd));
            outlet.flush(fd);
        }
    }

    fn report(&self) -> LinkReport {
        LinkReport {
            faults: [0, 1].map(|side| self.directions[side].injector.counters()),
            late: self.directions[0].late.and(self.directions[1].late),
            refused: self.outlets.iter().map(|outlet| outlet.refused).sum(),
        }
    }
}

/// How long to sleep when the next packet is due at `due`; nothing when it is due already.
fn nap(due: Duration, now: Duration) -> Duration {
    match due.saturating_sub(now) {
        Duration::ZERO => Duration::ZERO,
        rest => rest.max(SHORTEST_SLEEP),
    }
}

#[cfg(test)]
mod tests;
