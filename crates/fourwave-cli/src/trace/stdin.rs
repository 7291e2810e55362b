//! Standard input that ends when someone asks for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a writer that got the signal as well may take to end the pipe itself.
const GRACE: Duration = Duration::from_secs(1);
/// How often one looks whether to stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A pipe: it ends when its writer closes it, or a while after `stop` is set.
pub(super) struct Stdin {
    file: File,
    stop: Arc<AtomicBool>,
    stopped: Option<Instant>,
}

impl Stdin {
    /// Standard input where it is no regular file, which has an end of its own.
    ///
    /// # Errors
    /// It is closed.
    pub(super) fn pipe(stop: &Arc<AtomicBool>) -> io::Result<Option<Self>> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let regular = file.metadata()?.is_file();
        Ok((!regular).then(|| Self { file, stop: Arc::clone(stop), stopped: None }))
    }

    fn is_over(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
            && self.stopped.get_or_insert_with(Instant::now).elapsed() >= GRACE
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_over() {
                return Ok(0);
            }
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut ready, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.file.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
