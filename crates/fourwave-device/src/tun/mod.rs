//! Linux TUN with segmentation and checksum offload (`Documentation/networking/tuntap.rst`).
//!
//! Making the interface ([`open`]) needs no runtime and may happen in another process;
//! [`Tun::from_fd`] makes a device of the descriptor.

mod open;
mod slab;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use fourwave_linux::descriptor::{Watched, read_into};
use fourwave_linux::vnet::{self, VnetHeader};
use fourwave_wire::{GsoKind, Link, RxPacket, TxPacket};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::Interest;

pub use open::{PATH, TunError, TunOptions, open};

use crate::{Device, offload};
use slab::Slabs;

/// Slices that one writev takes without an allocation; most packets have one chunk or two.
const FEW_SLICES: usize = 16;
/// Slices that one writev may take (Linux: UIO_MAXIOV is 1024).
const MAX_SLICES: usize = 1024;
/// The smallest MTU that IPv4 allows (RFC 791).
const MIN_MTU: u16 = 68;

/// One queue of a TUN interface.
///
/// Received payload is a slice of the buffer that the kernel wrote into; small packets are
/// copied out so that they do not keep a large buffer alive.
pub struct Tun {
    fd: Watched<OwnedFd>,
    /// The same file, watched for errors only: a deleted interface raises EPOLLERR alone, which
    /// tokio does not count as readable.
    gone: Watched<OwnedFd>,
    name: String,
    link: Link,
    vnet_header: bool,
    udp_gso: bool,
    slabs: Mutex<Slabs>,
}

impl Tun {
    /// A device of a descriptor from [`open`], of this process or received from another. The
    /// descriptor is made non-blocking, and every offload that the kernel has is switched on.
    ///
    /// `mtu` must be the interface's; it is not changed. Needs a tokio runtime with IO enabled.
    ///
    /// # Errors
    /// A descriptor that is no TUN, one without `IFF_NO_PI`, or no runtime to register with.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn from_fd(fd: OwnedFd, mtu: u16) -> Result<Self, TunError> {
        if mtu < MIN_MTU {
            return Err(TunError::InvalidMtu { mtu });
        }
        let attached = open::negotiate(fd.as_fd())?;
        set_nonblocking(fd.as_fd())
            .map_err(|errno| TunError::Other { action: "fcntl", source: errno.into() })?;
        let failed = |source| TunError::Other { action: "epoll_ctl", source };
        let duplicate = fd.try_clone().map_err(failed)?;
        let fd = Watched::new(fd).map_err(failed)?;
        let gone = Watched::with_interest(duplicate, Interest::ERROR).map_err(failed)?;
        let link = if attached.vnet_header { Link::offloading(mtu) } else { Link::plain(mtu) };
        Ok(Self {
            fd,
            gone,
            name: attached.name,
            link,
            vnet_header: attached.vnet_header,
            udp_gso: attached.udp_gso,
            slabs: Mutex::new(Slabs::new()),
        })
    }

    /// The interface's name when the device was made.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether UDP super-packets may be sent and will be received (Linux 6.2 and later).
    pub fn udp_gso(&self) -> bool {
        self.udp_gso
    }

    fn read(&self, fd: BorrowedFd<'_>) -> io::Result<RxPacket> {
        let mut slabs = self.slabs.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = slabs.buffer();
        read_into(fd, buffer).map_err(|e| self.failed(e))?;
        let vnet = match buffer.first_chunk() {
            Some(header) if self.vnet_header => VnetHeader::decode(header),
            _ => VnetHeader::default(),
        };
        let skip = if self.vnet_header { vnet::LEN } else { 0 };
        let bytes = slabs.take(skip);
        Ok(RxPacket { bytes, gso_size: vnet.rx_gso_size(), checksum: vnet.rx_checksum() })
    }

    fn write(&self, fd: BorrowedFd<'_>, vnet: &[u8], packet: &TxPacket) -> io::Result<()> {
        let chunks = 2 + packet.payload.len();
        let parts = [vnet, packet.header.as_slice()];
        let slices = parts.into_iter().chain(packet.payload.iter().map(|chunk| &chunk[..]));
        let slices = slices.map(IoSlice::new);
        let result = if chunks <= FEW_SLICES {
            let mut few = [IoSlice::new(&[]); FEW_SLICES];
            few.iter_mut().zip(slices).for_each(|(place, slice)| *place = slice);
            rustix::io::writev(fd, &few[..chunks])
        } else if chunks <= MAX_SLICES {
            rustix::io::writev(fd, &slices.collect::<Vec<_>>())
        } else {
            let whole = packet.to_vec();
            rustix::io::writev(fd, &[IoSlice::new(vnet), IoSlice::new(&whole)])
        };
        // A TUN takes a packet whole or not at all, so the count says nothing.
        result.map(drop).map_err(|errno| self.failed(errno))
    }

    /// What an errno of read or write means for a TUN.
    fn failed(&self, errno: Errno) -> io::Error {
        let name = &self.name;
        let (kind, what) = match errno {
            Errno::AGAIN => return io::ErrorKind::WouldBlock.into(),
            Errno::INTR => return io::ErrorKind::Interrupted.into(),
            Errno::IO => (io::ErrorKind::NetworkDown, format!("interface {name} is down")),
            Errno::BADFD => (io::ErrorKind::NotConnected, format!("interface {name} is gone")),
            Errno::NOBUFS | Errno::NOMEM => (
                io::ErrorKind::OutOfMemory,
                format!("the kernel has no memory for a packet on {name}"),
            ),
            Errno::INVAL => (
                io::ErrorKind::InvalidInput,
                format!("the kernel refused a packet on {name} as malformed"),
            ),
            errno => return io::Error::from(errno),
        };
        io::Error::new(kind, what)
    }
}

impl Device for Tun {
    fn link(&self) -> Link {
        self.link
    }

    fn try_recv(&self) -> io::Result<RxPacket> {
        self.fd.try_io(Interest::READABLE, |fd| retry(|| self.read(fd.as_fd())))
    }

    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        if packet.meta.gso_kind == GsoKind::Udp && !self.udp_gso {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("UDP super-packets on {} need Linux 6.2 or later", self.name),
            ));
        }
        if self.vnet_header {
            let vnet = VnetHeader::for_packet(packet)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
                .encode();
            return self
                .fd
                .try_io(Interest::WRITABLE, |fd| retry(|| self.write(fd.as_fd(), &vnet, packet)));
        }
        let finished = offload::finish(packet)?;
        let packet = finished.as_ref().unwrap_or(packet);
        self.fd.try_io(Interest::WRITABLE, |fd| retry(|| self.write(fd.as_fd(), &[], packet)))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(gone) = self.gone.poll_write_ready(cx) {
            gone?.retain_ready();
            return Poll::Ready(Err(self.failed(Errno::BADFD)));
        }
        // The guard is dropped with the readiness kept: only a WouldBlock clears it.
        ready!(self.fd.poll_read_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.fd.poll_write_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("link", &self.link)
            .field("udp_gso", &self.udp_gso)
            .finish_non_exhaustive()
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)
}

/// Repeats what a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
