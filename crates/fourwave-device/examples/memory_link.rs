//! A packet over a link in memory, and a device that wraps another one.
//!
//! `cargo run -p fourwave-device --example memory_link`

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use fourwave_device::{Device, memory};
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RxPacket, TxPacket};

/// Counts what is sent, and is a device as the one inside is.
struct Counting<D> {
    inner: D,
    sent: AtomicUsize,
}

impl<D: Device> Device for Counting<D> {
    fn link(&self) -> Link {
        self.inner.link()
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        self.inner.try_recv()
    }

    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        self.inner.try_send(packet)?;
        self.sent.fetch_add(packet.meta.len, Ordering::Relaxed);
        Ok(())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }
}

/// A FIN, as the first of the four waves is.
fn fin() -> TxPacket {
    let flags = Flags::FIN | Flags::ACK;
    let tcp = TcpHeader { src_port: 40_000, dst_port: 80, flags, ..TcpHeader::default() };
    let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let mut packet = TxPacket::default();
    IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 }
        .emit(tcp.emitted_len(), &mut packet.header);
    tcp.emit(&mut packet.header);
    packet.meta.len = packet.header.len();
    packet
}

fn main() -> io::Result<()> {
    let (near, far) = memory::pair(Link::plain(1500), Link::plain(1500), 8);
    let near = Counting { inner: near, sent: AtomicUsize::new(0) };
    near.try_send(&fin())?;
    println!("{} bytes sent", near.sent.load(Ordering::Relaxed));
    println!("{} bytes received", far.try_recv()?.bytes.len());
    // A device never blocks.
    println!("and now: {:?}", far.try_recv().map_err(|error| error.kind()));
    Ok(())
}
