//! A wrapper that shows every packet that passes to an observer.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fourwave_wire::{Link, RxChecksum, RxPacket, TxChecksum, TxPacket};

use crate::Device;

/// Which way a packet went, as the user of the device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It came out of the device.
    Received,
    /// The device took it.
    Sent,
}

/// What is known of a seen packet's transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenChecksum {
    /// Of a received packet.
    Received(RxChecksum),
    /// Of a sent packet.
    Sent(TxChecksum),
}

impl SeenChecksum {
    /// Whether the packet's checksum field holds what it would hold on a wire. When false, the
    /// field may hold a part of the sum only, and the packet is not damaged.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Received(RxChecksum::Unverified) | Self::Sent(TxChecksum::Complete))
    }
}

/// A packet that passes. Borrowed: copy what is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    /// Since the Unix epoch. Runs with `elapsed`, so it never goes back.
    pub unix: Duration,
    /// Since the tap's origin, by the monotonic clock.
    pub elapsed: Duration,
    /// The packet from its IP header on: at least all headers of a packet of ours, and the whole
    /// of a received one.
    pub head: &'a [u8],
    /// What follows `head`, in order.
    pub rest: &'a [Bytes],
    /// Payload bytes of each segment of a super-packet; 0 for an ordinary packet.
    pub gso_size: u16,
    /// What is known of the transport checksum.
    pub checksum: SeenChecksum,
}

impl<'a> PacketView<'a> {
    /// A view of a whole ordinary packet, its checksum as on a wire.
    pub fn whole(packet: &'a [u8], unix: Duration, elapsed: Duration) -> Self {
        let checksum = SeenChecksum::Received(RxChecksum::Unverified);
        Self { unix, elapsed, head: packet, rest: &[], gso_size: 0, checksum }
    }

    /// A view of a received packet.
    pub fn received(packet: &'a RxPacket, unix: Duration, elapsed: Duration) -> Self {
        Self {
            unix,
            elapsed,
            head: &packet.bytes,
            rest: &[],
            gso_size: packet.gso_size,
            checksum: SeenChecksum::Received(packet.checksum),
        }
    }

    /// A view of a packet to be sent.
    pub fn sent(packet: &'a TxPacket, unix: Duration, elapsed: Duration) -> Self {
        Self {
            unix,
            elapsed,
            head: &packet.header,
            rest: &packet.payload,
            gso_size: packet.meta.gso_size,
            checksum: SeenChecksum::Sent(packet.meta.checksum),
        }
    }

    /// Bytes of the whole packet. O(chunks).
    pub fn len(&self) -> usize {
        self.head.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether the packet has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the packet's first `max` bytes to `out`.
    pub fn copy_to(&self, out: &mut Vec<u8>, max: usize) {
        let mut left = max;
        for chunk in std::iter::once(self.head).chain(self.rest.iter().map(|chunk| &chunk[..])) {
            let take = chunk.len().min(left);
            out.extend_from_slice(&chunk[..take]);
            left -= take;
        }
    }
}

/// Who is shown packets.
///
/// A pair of observers is an observer; so is anything behind an `Arc` or a `Box`, and
/// [`ObserveFn`] makes one of a closure.
pub trait Observer: Send + Sync {
    /// Called once for each packet, in an order in which it may have happened: what was sent in
    /// answer to a packet comes after it. Runs on the path of every packet, so it should be
    /// quick, and it must not use the tapped device.
    fn packet(&self, direction: Direction, packet: &PacketView<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        (**self).packet(direction, packet);
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        (**self).packet(direction, packet);
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        self.0.packet(direction, packet);
        self.1.packet(direction, packet);
    }
}

impl<O: Observer> Observer for Option<O> {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        if let Some(observer) = self {
            observer.packet(direction, packet);
        }
    }
}

/// A closure as an observer.
pub struct ObserveFn<F>(Mutex<F>);

impl<F: FnMut(Direction, &PacketView<'_>) + Send> ObserveFn<F> {
    /// An observer that calls `f`, once at a time.
    pub fn new(f: F) -> Self {
        Self(Mutex::new(f))
    }
}

impl<F: FnMut(Direction, &PacketView<'_>) + Send> Observer for ObserveFn<F> {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        let mut f = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(direction, packet);
    }
}

/// A device whose packets are shown to an observer: received ones as they come, sent ones when
/// the device below has taken them. What it refused is not shown.
pub struct Tapped<D, O> {
    inner: D,
    observer: O,
    origin: Instant,
    /// The origin since the Unix epoch.
    unix_origin: Duration,
    /// Held from before a packet is sent until it is shown, so that its answer, received on
    /// another thread meanwhile, is shown after it.
    order: Mutex<()>,
}

impl<D: Device, O: Observer> Tapped<D, O> {
    /// A tap on `inner` whose time starts now.
    pub fn new(inner: D, observer: O) -> Self {
        Self::with_origin(inner, observer, Instant::now())
    }

    /// A tap on `inner` that counts [`PacketView::elapsed`] from `origin`: that of an engine's
    /// clock, say, so that both tell the same time.
    pub fn with_origin(inner: D, observer: O, origin: Instant) -> Self {
        // A clock before 1970 is no reason to fail.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_origin = unix.saturating_sub(origin.elapsed());
        Self { inner, observer, origin, unix_origin, order: Mutex::new(()) }
    }

    /// The device below.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Now, since the epoch and since the origin.
    fn now(&self) -> (Duration, Duration) {
        let elapsed = self.origin.elapsed();
        (self.unix_origin + elapsed, elapsed)
    }
}

impl<D: Device, O: Observer> Device for Tapped<D, O> {
    fn link(&self) -> Link {
        self.inner.link()
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        let packet = self.inner.try_recv()?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (unix, elapsed) = self.now();
        self.observer.packet(Direction::Received, &PacketView::received(&packet, unix, elapsed));
        Ok(packet)
    }

    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (unix, elapsed) = self.now();
        self.inner.try_send(packet)?;
        self.observer.packet(Direction::Sent, &PacketView::sent(packet, unix, elapsed));
        Ok(())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }
}
