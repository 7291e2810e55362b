//! The thread that makes the calls which may block.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use fourwave_linux::calls;

use super::perform::perform;
use super::table::{Clock, Table};
use crate::syscall::{Returned, SysCall};
use crate::target::{Progress, Refusal};

/// A call that neither returns nor sleeps is given up on after this long.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<(SysCall, Clock)>,
    answers: Receiver<(Instant, Returned)>,
    /// `/proc/self/task/N/stat` of the thread.
    stat: String,
    /// Whether the thread is in a call now.
    inside: Arc<AtomicBool>,
    pending: bool,
}

impl Worker {
    pub(super) fn start(table: Arc<Table>) -> io::Result<Self> {
        let (jobs, todo) = channel::<(SysCall, Clock)>();
        let (done, answers) = channel();
        let (named, name) = channel();
        let inside = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&inside);
        thread::Builder::new().name("calls".into()).spawn(move || {
            let _ordinary = calls::real_time();
            if named.send(rustix::thread::gettid()).is_err() {
                return;
            }
            while let Ok((call, clock)) = todo.recv() {
                flag.store(true, Ordering::SeqCst);
                let returned = perform(&table, &call, clock);
                let at = Instant::now();
                flag.store(false, Ordering::SeqCst);
                if done.send((at, returned)).is_err() {
                    return;
                }
            }
        })?;
        let id = name.recv().map_err(io::Error::other)?.as_raw_nonzero();
        let stat = format!("/proc/self/task/{id}/stat");
        Ok(Self { jobs, answers, stat, inside, pending: false })
    }

    /// Starts a call, and waits until it has returned or sleeps in the kernel.
    pub(super) fn call(&mut self, call: SysCall, clock: Clock) -> Result<Progress, Refusal> {
        if self.pending {
            return Err(Refusal::Failed("the call before this one has not returned".into()));
        }
        self.jobs.send((call, clock)).map_err(|_| gone())?;
        self.pending = true;
        let began = Instant::now();
        loop {
            if let Some((_, returned)) = self.returned()? {
                return Ok(Progress::Returned(returned));
            }
            let asleep = self.inside.load(Ordering::SeqCst) && self.sleeps();
            if asleep || began.elapsed() > LIMIT {
                // It may have returned between the two looks.
                let last = self.returned()?;
                return Ok(last.map_or(Progress::Blocked, |(_, done)| Progress::Returned(done)));
            }
            thread::yield_now();
        }
    }

    pub(super) fn returned(&mut self) -> Result<Option<(Instant, Returned)>, Refusal> {
        match self.answers.try_recv() {
            Ok(answer) => {
                self.pending = false;
                Ok(Some(answer))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    /// Whether the thread waits for something that may never come (state S).
    fn sleeps(&self) -> bool {
        fs::read_to_string(&self.stat)
            .ok()
            .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('S')))
            .unwrap_or(false)
    }
}

fn gone() -> Refusal {
    Refusal::Failed("the thread that makes calls has ended".into())
}
