//! The only unsafe code of this crate: calls whose contracts Rust cannot see.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use fourwave_device::refusals::Refusals;
use nix::sys::signalfd::SignalFd;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use tokio::io::unix::AsyncFd;

/// Takes over a descriptor that the parent process left open in this one, and makes it
/// close-on-exec. Call it once for each number.
///
/// # Errors
/// `EBADF` when nothing is open under that number.
pub(crate) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: only asked whether it is open, and not kept.
    let probe = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl_getfd(probe)?;
    fcntl_setfd(probe, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and this process was started with it for this one owner: nothing has
    // opened a descriptor of that number since.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers a signal descriptor with the current runtime.
///
/// # Errors
/// The runtime's.
pub(crate) fn watch(fd: SignalFd) -> io::Result<AsyncFd<SignalFd>> {
    // SAFETY: a SignalFd owns its descriptor, gives it away to nobody, and the AsyncFd is never
    // asked for a mutable reference by which it could be exchanged.
    unsafe { AsyncFd::register(fd) }.map_err(Into::into)
}

/// Registers the socket that hears refusals with the current runtime.
///
/// # Errors
/// The runtime's.
pub(crate) fn watch_refusals(refusals: Refusals) -> io::Result<AsyncFd<Refusals>> {
    // SAFETY: it owns its descriptor, gives it away only when it is consumed, and the AsyncFd is
    // never asked for a mutable reference by which it could be exchanged.
    unsafe { AsyncFd::register(refusals) }.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        assert!(inherited(-1).is_err());
        assert!(inherited(1_000_000).is_err());
        let file = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let owned = inherited(file).unwrap();
        assert!(fcntl_getfd(&owned).unwrap().contains(FdFlags::CLOEXEC));
    }
}
