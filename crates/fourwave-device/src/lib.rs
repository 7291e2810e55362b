//! Where packets come from and go to.
//!
//! A [`Device`] is one queue of IP packets in both directions, with the offloads of
//! `fourwave-wire`'s [`Link`]. Devices compose: a wrapper is a device too, and costs nothing
//! when it is absent.
//!
//! Begin with [`memory::pair`], a link between two ends in one process, or with [`tun`], which
//! makes the kernel the other end; [`tap`] shows what passes a device.
#![forbid(unsafe_code)]

pub mod memory;
pub mod offload;
pub mod tap;
pub mod tun;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use fourwave_wire::{Link, RxPacket, TxPacket};

/// One queue of IP packets in both directions. Never blocks.
///
/// One task reads and any task may send; the readiness of each direction wakes the task that
/// polled it last.
pub trait Device: Send + Sync {
    /// What this device can carry. The same for as long as the device lives.
    fn link(&self) -> Link;

    /// The next packet.
    ///
    /// # Errors
    /// `WouldBlock` when there is none now; `poll_readable` then wakes. Anything else is the
    /// device's own failure.
    fn try_recv(&self) -> io::Result<RxPacket>;

    /// Sends one packet, or a super-packet within [`Link::gso_max`].
    ///
    /// # Errors
    /// `WouldBlock` when there is no space: nothing was sent, and `poll_writable` will wake.
    /// Anything else concerns this packet or the device; the packet is gone.
    fn try_send(&self, packet: &TxPacket) -> io::Result<()>;

    /// Ready when `try_recv` may have a packet. A wake-up may be spurious.
    ///
    /// # Errors
    /// The device's own failure.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when `try_send` may have space. A wake-up may be spurious.
    ///
    /// # Errors
    /// The device's own failure.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

macro_rules! device_by_pointer {
    ($(#[$why:meta])* $($pointer:tt)*) => {
        $(#[$why])*
        impl<D: Device + ?Sized> Device for $($pointer)*<D> {
            fn link(&self) -> Link {
                (**self).link()
            }
            fn try_recv(&self) -> io::Result<RxPacket> {
                (**self).try_recv()
            }
            fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
                (**self).try_send(packet)
            }
            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_readable(cx)
            }
            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_writable(cx)
            }
        }
    };
}

device_by_pointer!(Box);
device_by_pointer!(Arc);
