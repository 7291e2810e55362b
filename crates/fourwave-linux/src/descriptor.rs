//! Descriptors: taken over from the parent process, watched by tokio, read into spare capacity.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use bytes::BytesMut;
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes over a descriptor that the parent process left open in this one, and makes it
/// close-on-exec.
///
/// # Errors
/// `EBADF` when nothing is open under that number, and for a descriptor that is close-on-exec:
/// this process opened it, or has taken it over before.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: only asked whether it is open and inherited, and not kept.
    let probe = unsafe { BorrowedFd::borrow_raw(fd) };
    if fcntl_getfd(probe)?.contains(FdFlags::CLOEXEC) {
        return Err(Errno::BADF.into());
    }
    fcntl_setfd(probe, FdFlags::CLOEXEC)?;
    // SAFETY: it is open and came from the parent process, for an exec would have closed it
    // otherwise; it is taken over once, for from now on it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Something that owns one descriptor.
///
/// # Safety
/// `as_raw_fd` returns the same open descriptor, of the same file, for as long as the value lives
/// and is not changed by a mutable reference.
pub unsafe trait OwnsDescriptor: AsRawFd {}

// SAFETY: it is closed by dropping it only.
unsafe impl OwnsDescriptor for OwnedFd {}

// SAFETY: it owns its descriptor and gives it away to nobody.
#[cfg(feature = "signal")]
unsafe impl OwnsDescriptor for nix::sys::signalfd::SignalFd {}

// SAFETY: it owns its descriptor and gives it away only when it is consumed.
#[cfg(feature = "iface")]
unsafe impl OwnsDescriptor for crate::refusals::Refusals {}

/// A descriptor whose readiness the current tokio runtime watches: an `AsyncFd` whose value
/// cannot be exchanged.
#[derive(Debug)]
pub struct Watched<T: OwnsDescriptor>(AsyncFd<T>);

impl<T: OwnsDescriptor> Watched<T> {
    /// Watches `value` for reading and writing.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn new(value: T) -> io::Result<Self> {
        Self::with_interest(value, Interest::READABLE | Interest::WRITABLE)
    }

    /// Watches `value` for `interest`.
    ///
    /// # Errors
    /// The kernel's.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn with_interest(value: T, interest: Interest) -> io::Result<Self> {
        // SAFETY: the value always names the same file: `OwnsDescriptor` says so for as long as
        // it is not changed, and nobody gets a mutable reference to it, or it back.
        Ok(Self(unsafe { AsyncFd::register_with_interest(value, interest) }?))
    }
}

impl<T: OwnsDescriptor> Deref for Watched<T> {
    type Target = AsyncFd<T>;

    fn deref(&self) -> &AsyncFd<T> {
        &self.0
    }
}

/// One `read` that appends to `buffer` as much as its spare capacity takes; returns the number of
/// bytes. Allocates nothing.
///
/// # Errors
/// The kernel's; `buffer` is then as it was.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut BytesMut) -> rustix::io::Result<usize> {
    let before = buffer.len();
    let (written, _) = rustix::io::read(fd, buffer.spare_capacity_mut())?;
    let read = written.len();
    // SAFETY: the first `before` bytes were initialised, and the kernel wrote the `read` bytes
    // that follow them.
    unsafe { buffer.set_len(before + read) };
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::{AsFd, IntoRawFd};
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_a_descriptor_that_an_exec_leaves_open_is_taken_over_and_only_once() {
        assert!(inherited(-1).is_err());
        assert!(inherited(1_000_000).is_err());
        let own = File::open("/dev/null").unwrap();
        assert!(inherited(own.as_raw_fd()).is_err(), "this process opened it");
        fcntl_setfd(&own, FdFlags::empty()).unwrap();
        let owned = inherited(own.into_raw_fd()).unwrap();
        assert!(fcntl_getfd(&owned).unwrap().contains(FdFlags::CLOEXEC));
        assert!(inherited(owned.as_raw_fd()).is_err(), "taken over before");
    }

    #[test]
    fn what_is_read_is_appended_as_far_as_there_is_space() {
        let (mut from, to) = UnixStream::pair().unwrap();
        from.write_all(b"abcdef").unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(b"123");
        let space = buffer.capacity() - 3;
        assert_eq!(read_into(to.as_fd(), &mut buffer), Ok(6));
        assert_eq!(&buffer[..], b"123abcdef");
        from.write_all(&vec![7; 2 * space]).unwrap();
        assert_eq!(read_into(to.as_fd(), &mut buffer), Ok(space - 6));
        assert_eq!(buffer.len(), space + 3);
        assert_eq!(read_into(File::open("/dev/null").unwrap().as_fd(), &mut buffer), Ok(0));
        to.set_nonblocking(true).unwrap();
        let mut empty = BytesMut::with_capacity(4 * space);
        assert_eq!(read_into(to.as_fd(), &mut empty), Ok(space + 6));
        assert_eq!(read_into(to.as_fd(), &mut empty), Err(Errno::AGAIN));
        assert_eq!(empty.len(), space + 6, "an error changes nothing");
    }
}
