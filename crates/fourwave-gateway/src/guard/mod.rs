//! What the program leaves behind when it ends: processes whose network ends with the gateway.
//!
//! They are found by their network namespace, which is exactly what they lose: daemons and
//! sessions of their own included, and nothing else. (A namespace of process ids would end them
//! too, but the program's ids would be others than the host's: in `ps`, in pid files, to `kill`.)
//!
//! A process of its own, the guard, does it. It may look at processes of a root program, for
//! which the gateway has given up the right, and it outlives a gateway that is killed. It reads
//! nothing but the gateway's orders.

mod members;
mod process;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, STAGE_ARGUMENT};
use crate::failure::Failure;
use crate::supervise::Signals;
pub(crate) use process::serve;

/// What follows [`STAGE_ARGUMENT`] to start the guard.
pub(crate) const GUARD_ARGUMENT: &str = "guard";

/// To the guard. The channel's end is the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Order {
    /// With a descriptor: the namespace.
    Watch,
    /// The program has ended: end what is left, or wait for it first.
    End { wait: bool },
    /// Wait no longer, ask no longer.
    Hurry,
}

/// From the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// It waits for so many processes.
    Waiting(usize),
    /// Nothing is left, or what does not end.
    Over(Leftovers),
}

/// What became of the processes that were left.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Leftovers {
    /// Were told to end, and did.
    ended: usize,
    /// Did not, not even by SIGKILL.
    stuck: usize,
    /// Why it is not known.
    problem: Option<String>,
}

impl Leftovers {
    fn unknown(why: impl ToString) -> Self {
        Self { problem: Some(why.to_string()), ..Self::default() }
    }

    /// Which were ended.
    fn brief(&self) -> String {
        match self.ended {
            1 => "1 process in its network was ended".into(),
            ended => format!("{ended} processes in its network were ended"),
        }
    }

    /// One line for the user; none when nothing was left.
    pub(crate) fn line(&self) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(format!("cannot look for what the program left behind: {problem}"));
        }
        let stuck = match self.stuck {
            0 => String::new(),
            stuck => format!("; {stuck} cannot be ended"),
        };
        match self.ended + self.stuck {
            0 => None,
            1 => Some(format!(
                "the program left 1 process behind: it was ended, as its network is (--wait keeps \
                 it up while it runs){stuck}"
            )),
            all => Some(format!(
                "the program left {all} processes behind: they were ended, as their network is \
                 (--wait keeps it up while they run){stuck}"
            )),
        }
    }
}

/// The guard, as the gateway has it. Dropped, it ends what is in the namespace, and then itself.
#[derive(Debug)]
pub(crate) struct Guard {
    channel: Option<Channel>,
    child: Mutex<Child>,
}

impl Guard {
    /// Starts the guard of `namespace`, with the rights that this process has now.
    pub(crate) fn start(namespace: OwnedFd) -> Result<Self, Failure> {
        let (ours, theirs) = Channel::pair()?;
        let inherit = fcntl_setfd(theirs.as_fd(), FdFlags::empty());
        inherit.map_err(|errno| Failure::step("passing a descriptor", errno))?;
        // Standard error is for the one line that only it can say: that the gateway was killed.
        let child = Command::new("/proc/self/exe")
            .arg0("fourwave")
            .args([STAGE_ARGUMENT, GUARD_ARGUMENT, &theirs.as_raw_fd().to_string()])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Failure::io("starting /proc/self/exe", &error))?;
        let guard = Self { channel: Some(ours), child: Mutex::new(child) };
        guard.order(&Order::Watch, &[namespace.as_fd()])?;
        Ok(guard)
    }

    fn order(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        let channel = self.channel.as_ref().ok_or(Failure::Vanished)?;
        channel.send(order, descriptors)
    }

    /// Ends what the program left in its network, or waits until that has ended by itself;
    /// `waiting` hears for how many. A signal to this process ends the wait, and a second one
    /// those that do not end when asked.
    pub(crate) async fn end(
        self,
        wait: bool,
        signals: &Signals,
        waiting: impl FnOnce(usize) + Send + 'static,
    ) -> Leftovers {
        let guard = Arc::new(self);
        // Before a signal is looked for: one that has come already must not be told first, when
        // the guard has nothing yet to hurry with.
        let ordered = guard.order(&Order::End { wait }, &[]);
        let asking = Arc::clone(&guard);
        let mut asking = tokio::task::spawn_blocking(move || asking.ask(ordered, waiting));
        loop {
            tokio::select! {
                left = &mut asking => {
                    return left.unwrap_or_else(Leftovers::unknown);
                }
                // A guard that is gone shows in the answer.
                () = signals.interrupted() => drop(guard.order(&Order::Hurry, &[])),
            }
        }
    }

    fn ask(&self, ordered: Result<(), Failure>, waiting: impl FnOnce(usize)) -> Leftovers {
        let left = self.answer(ordered, waiting).unwrap_or_else(Leftovers::unknown);
        self.reap();
        left
    }

    fn answer(
        &self,
        ordered: Result<(), Failure>,
        waiting: impl FnOnce(usize),
    ) -> Result<Leftovers, Failure> {
        let mut waiting = Some(waiting);
        ordered?;
        let channel = self.channel.as_ref().ok_or(Failure::Vanished)?;
        loop {
            match channel.receive()? {
                Some((Answer::Over(left), _)) => return Ok(left),
                Some((Answer::Waiting(processes), _)) => {
                    waiting.take().into_iter().for_each(|told| told(processes));
                }
                None => return Ok(Leftovers::unknown("the process that does it was killed")),
            }
        }
    }

    /// Waits for the guard's own end, which follows its last answer or the channel's end.
    fn reap(&self) {
        // It fails only where somebody else has waited for it.
        let _status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.channel = None;
        self.reap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_their_number_and_the_flag() {
        let line = |ended, stuck| Leftovers { ended, stuck, problem: None }.line();
        assert_eq!(line(0, 0), None);
        let one = "the program left 1 process behind: it was ended, as its network is (--wait \
                   keeps it up while it runs)";
        assert_eq!(line(1, 0).as_deref(), Some(one));
        let some = line(2, 1).unwrap();
        assert!(some.starts_with("the program left 3 processes behind: "), "{some}");
        assert!(some.ends_with(" (--wait keeps it up while they run); 1 cannot be ended"));
        let unknown = Leftovers::unknown("why").line();
        assert!(unknown.unwrap().ends_with("left behind: why"));
    }
}
