//! What every call needs: the script's descriptors and clock, and the form of an answer.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fourwave_linux::calls;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::syscall::{Fd, Output};

/// What a call gave: its value and what it wrote.
pub(super) type Outcome = io::Result<(i64, Output)>;

/// When the script began, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) start: Instant,
    pub(super) wall: SystemTime,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now() }
    }

    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }
}

/// The script's descriptors and the live ones behind them.
#[derive(Debug, Default)]
pub(super) struct Table {
    live: Mutex<BTreeMap<Fd, Arc<OwnedFd>>>,
    /// What lost its name to a newer one: open still, as a script that never closed it expects.
    unnamed: Mutex<Vec<Arc<OwnedFd>>>,
    /// The congestion control of new TCP sockets where it is not the namespace's default.
    congestion: Mutex<Option<String>>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fd, Arc<OwnedFd>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live descriptor behind a name.
    pub(super) fn get(&self, fd: Fd) -> Option<Arc<OwnedFd>> {
        self.lock().get(&fd).cloned()
    }

    /// The live descriptor behind a name; EBADF as the kernel says it for one that is not open.
    pub(super) fn live(&self, fd: Fd) -> io::Result<Arc<OwnedFd>> {
        self.get(fd).ok_or_else(|| Errno::BADF.into())
    }

    /// Closes what is behind a name.
    pub(super) fn close(&self, fd: Fd) -> io::Result<()> {
        let live = self.lock().remove(&fd).ok_or(Errno::BADF)?;
        drop(live);
        Ok(())
    }

    /// Gives new TCP sockets this congestion control; none is the namespace's default.
    ///
    /// # Errors
    /// A socket may not have it.
    pub(super) fn set_congestion(&self, name: Option<String>) -> io::Result<()> {
        if let Some(name) = &name {
            let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
            congest(&rustix::net::socket(family, kind, None)?, name)?;
        }
        *self.congestion.lock().unwrap_or_else(PoisonError::into_inner) = name;
        Ok(())
    }

    pub(super) fn congestion(&self) -> Option<String> {
        self.congestion.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives a new descriptor its name. Without one (the script expected an error) it is closed.
    pub(super) fn name(&self, new: OwnedFd, name: Option<Fd>) -> i64 {
        match name {
            Some(fd) => {
                let former = self.lock().insert(fd, Arc::new(new));
                let mut unnamed = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
                unnamed.extend(former);
                i64::from(fd)
            }
            None => i64::from(new.as_raw_fd()),
        }
    }
}

/// Gives a TCP socket this congestion control.
pub(super) fn congest(socket: &OwnedFd, name: &str) -> io::Result<()> {
    let len = i32::try_from(name.len()).map_err(|_| Errno::INVAL)?;
    let name = Some(name.as_bytes());
    calls::set_option(socket.as_fd(), libc::SOL_TCP, libc::TCP_CONGESTION, name, len)
}
