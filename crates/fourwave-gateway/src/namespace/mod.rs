//! The program's namespaces, and the process that makes them.
//!
//! The parent starts its own executable again as the *child stage* ([`stage`]), which makes the
//! namespaces, sets them up, sends the TUN descriptor back and becomes the program. Until then
//! the two talk over a socket pair (`handoff`); every failure crosses it as a value
//! ([`Failure`]).

mod handoff;
mod network;
mod resolv;
mod stage;

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

pub use fourwave_linux::namespace::Forbidden;
use fourwave_linux::refusals::Refusals;
use handoff::{Message, Request};
pub use stage::stage;

pub use crate::channel::STAGE_ARGUMENT;
pub use crate::failure::Failure;

use crate::channel::Channel;
use crate::guard::Guard;
use crate::supervise::block_signals;

/// What to run, and on what link.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command and its arguments; empty for the user's shell.
    pub command: Vec<OsString>,
    /// MTU of the link, 1280 to 65520 bytes.
    pub mtu: u16,
}

/// The program's process, its namespace ready, waiting for the word.
///
/// Dropped before that, it ends without having run the program.
#[derive(Debug)]
pub struct Prepared {
    child: Option<Child>,
    channel: Option<Channel>,
    guard: Option<Guard>,
    /// What works less well than it should, a line each.
    pub warnings: Vec<String>,
    /// Where calls to the program's own loopback are heard when nothing answers them; none where
    /// the system does not allow it.
    pub refusals: Option<Refusals>,
}

/// Starts the child stage and waits until the namespace is ready.
///
/// Call it while this process has one thread: the descriptors that must not leak to other
/// children are open for a moment, and signals are blocked in this thread for good. Returns the
/// TUN's descriptor and the process.
///
/// # Errors
/// The step that failed; nothing is left behind then.
pub fn prepare(program: &Program) -> Result<(OwnedFd, Prepared), Failure> {
    let (ours, theirs) = Channel::pair()?;
    let interactive = program.command.is_empty();
    let child = spawn(program, &theirs)?;
    drop(theirs);
    let mut prepared = Prepared {
        child: Some(child),
        channel: Some(ours),
        guard: None,
        warnings: Vec::new(),
        refusals: None,
    };
    let request = Request { mtu: program.mtu, interactive };
    // From here on Ctrl-C is the child's, and its end tells us. (The child has the caller's mask.)
    block_signals().map_err(|error| Failure::io("blocking signals", &error))?;
    let channel = prepared.channel.as_ref().ok_or(Failure::Vanished)?;
    // A child that is dead already shows in the answer.
    let _sent = channel.send(&Message::Request(request), &[]);
    loop {
        let Some((message, descriptors)) = channel.receive()? else {
            return Err(prepared.vanished());
        };
        let mut descriptors = descriptors.into_iter();
        match (message, descriptors.next()) {
            (Message::Namespace, Some(namespace)) => {
                prepared.guard = Some(Guard::start(namespace)?);
            }
            (Message::Ready { warnings }, Some(tun)) => {
                prepared.warnings = warnings;
                prepared.refusals = descriptors.next().map(Refusals::from);
                return Ok((tun, prepared));
            }
            (Message::Failed(failure), _) => return Err(failure),
            _ => return Err(prepared.vanished()),
        }
    }
}

impl Prepared {
    /// Lets the program start. Returns its process id when it runs, and the guard of its network.
    ///
    /// # Errors
    /// The command could not be executed.
    pub(crate) fn go(mut self) -> Result<(Pid, Guard), Failure> {
        let channel = self.channel.take().ok_or(Failure::Vanished)?;
        channel.send(&Message::Go, &[])?;
        // The other end closes on exec: nothing more to read means that the program runs.
        match channel.receive::<Message>()? {
            None => {}
            Some((Message::Failed(failure), _)) => return Err(failure),
            Some(_) => return Err(Failure::Vanished),
        }
        let guard = self.guard.take().ok_or(Failure::Vanished)?;
        let child = self.child.take().ok_or(Failure::Vanished)?;
        let program = Pid::from_raw(child.id().cast_signed()).ok_or(Failure::Vanished)?;
        Ok((program, guard))
    }
}

impl Prepared {
    /// The child is gone without a word: a signal may have ended it.
    fn vanished(mut self) -> Failure {
        self.channel = None;
        let status = self.child.take().and_then(|mut child| child.wait().ok());
        match status.and_then(|status| status.signal()) {
            Some(signal) => Failure::Killed { signal },
            None => Failure::Vanished,
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Without a "go", the closed channel ends the child.
        self.channel = None;
        if let Some(mut child) = self.child.take() {
            let _status = child.wait();
        }
    }
}

fn spawn(program: &Program, channel: &Channel) -> Result<Child, Failure> {
    let fd = channel.as_raw_fd();
    fcntl_setfd(channel, FdFlags::empty()).map_err(|e| Failure::step("passing a descriptor", e))?;
    let shell = [user_shell()];
    let command = if program.command.is_empty() { &shell } else { &program.command[..] };
    Command::new("/proc/self/exe")
        .arg0("fourwave")
        .arg(STAGE_ARGUMENT)
        .arg(fd.to_string())
        .args(command)
        .spawn()
        .map_err(|error| Failure::io("starting /proc/self/exe", &error))
}

fn user_shell() -> OsString {
    std::env::var_os("SHELL")
        .filter(|shell| !shell.is_empty())
        .unwrap_or_else(|| OsStr::new("/bin/sh").to_owned())
}
