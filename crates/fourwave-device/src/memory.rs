//! A link in memory: two devices, each receiving what the other sends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fourwave_wire::{GsoKind, Link, RxChecksum, RxPacket, TxChecksum, TxPacket};

use crate::Device;
use fourwave_wire::checksum::complete_checksum;
use fourwave_wire::segment::segments;

/// One end of a link in memory. Dropping it closes the link: the other end receives what is on
/// its way and then fails with `BrokenPipe`.
#[derive(Debug)]
pub struct MemoryDevice {
    link: Link,
    peer: Link,
    capacity: usize,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    packets: VecDeque<RxPacket>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Two ends of a link that holds up to `capacity` packets (at least 1) in each direction.
///
/// A super-packet, or a packet with a partial checksum, passes as it is to an end whose own
/// [`Link`] has that offload. For one that has not, the link cuts it and finishes the checksums,
/// as a network card would; the segments of one super-packet may then exceed `capacity`.
pub fn pair(a: Link, b: Link, capacity: usize) -> (MemoryDevice, MemoryDevice) {
    let (to_a, to_b) = (Arc::<Mutex<Pipe>>::default(), Arc::<Mutex<Pipe>>::default());
    let capacity = capacity.max(1);
    let end = |link, peer, incoming: &Arc<_>, outgoing: &Arc<_>| MemoryDevice {
        link,
        peer,
        capacity,
        incoming: Arc::clone(incoming),
        outgoing: Arc::clone(outgoing),
    };
    (end(a, b, &to_a, &to_b), end(b, a, &to_b, &to_a))
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other end of the link in memory is gone")
}

/// Whether a sender keeps to what its own link can carry.
fn check(link: &Link, packet: &TxPacket) -> Result<(), String> {
    let meta = &packet.meta;
    let len = packet.header.len() + packet.payload_len();
    if meta.len != len {
        return Err(format!("the packet has {len} bytes, its meta says {}", meta.len));
    }
    if meta.checksum != TxChecksum::Complete && !link.checksum_offload {
        return Err("a partial checksum was sent to a link without checksum offload".into());
    }
    let (mtu, gso_max) = (usize::from(link.mtu), link.gso_max as usize);
    if meta.gso_kind == GsoKind::None {
        return if len <= mtu {
            Ok(())
        } else {
            Err(format!("a packet of {len} bytes exceeds the MTU of {mtu}"))
        };
    }
    let segment = usize::from(meta.header_len) + usize::from(meta.gso_size);
    if len > gso_max {
        Err(format!("a super-packet of {len} bytes exceeds the link's {gso_max}"))
    } else if meta.gso_size == 0 || meta.checksum == TxChecksum::Complete {
        Err("a super-packet needs a segment size and a partial checksum".into())
    } else if segment > mtu {
        Err(format!("a super-packet's segments of {segment} bytes exceed the MTU of {mtu}"))
    } else {
        Ok(())
    }
}

/// The packets that a receiver with `link` gets for a sent one.
fn deliver(link: &Link, packet: &TxPacket, out: &mut VecDeque<RxPacket>) -> Result<(), String> {
    let meta = &packet.meta;
    let mut bytes = packet.to_vec();
    let is_super = meta.gso_kind != GsoKind::None;
    if is_super && (link.gso_max as usize) < bytes.len() {
        let cut = segments(&bytes, meta.gso_size).map_err(|error| error.to_string())?;
        let checksum = RxChecksum::Unverified;
        out.extend(cut.map(|s| RxPacket { bytes: Bytes::from(s), gso_size: 0, checksum }));
        return Ok(());
    }
    let partial = meta.checksum != TxChecksum::Complete;
    let checksum = if partial && link.checksum_offload {
        RxChecksum::Trusted
    } else {
        if partial && !complete_checksum(&mut bytes) {
            return Err("a partial checksum on a packet that is neither TCP nor UDP".into());
        }
        RxChecksum::Unverified
    };
    let gso_size = if is_super { meta.gso_size } else { 0 };
    out.push_back(RxPacket { bytes: Bytes::from(bytes), gso_size, checksum });
    Ok(())
}

impl Device for MemoryDevice {
    fn link(&self) -> Link {
        self.link
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        let mut pipe = lock(&self.incoming);
        let Some(packet) = pipe.packets.pop_front() else {
            return Err(if pipe.closed { closed() } else { io::ErrorKind::WouldBlock.into() });
        };
        let writer = if pipe.packets.len() < self.capacity { pipe.writer.take() } else { None };
        drop(pipe);
        if let Some(waker) = writer {
            waker.wake();
        }
        Ok(packet)
    }

    /// Copies the packet into one buffer. Beside `WouldBlock` and `BrokenPipe`, refuses with
    /// `InvalidInput` what exceeds this end's own [`Link`].
    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        check(&self.link, packet).map_err(invalid)?;
        let mut pipe = lock(&self.outgoing);
        if pipe.closed {
            return Err(closed());
        }
        if pipe.packets.len() >= self.capacity {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        deliver(&self.peer, packet, &mut pipe.packets).map_err(invalid)?;
        let reader = pipe.reader.take();
        drop(pipe);
        if let Some(waker) = reader {
            waker.wake();
        }
        Ok(())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.incoming);
        if pipe.closed || !pipe.packets.is_empty() {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.outgoing);
        if pipe.closed || pipe.packets.len() < self.capacity {
            return Poll::Ready(Ok(()));
        }
        pipe.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for MemoryDevice {
    fn drop(&mut self) {
        for pipe in [&self.incoming, &self.outgoing] {
            let mut pipe = lock(pipe);
            pipe.closed = true;
            let wakers = [pipe.reader.take(), pipe.writer.take()];
            drop(pipe);
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}
