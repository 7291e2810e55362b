//! While the program runs: signals go to it, and its end is noticed.

use std::fs;
use std::io;

use fourwave_linux::descriptor::Watched;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, getpgid, getpgrp, kill_process, kill_process_group, waitid,
};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned this status.
    Exited(u8),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The exit status a shell would report: the program's own, or 128 plus the signal's number.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// Ends this process as the program ended, as far as that shows: where Ctrl-C killed it, this
    /// dies of the same signal, or a shell would take the exit status for a program that has
    /// handled Ctrl-C, and go on with its script. Otherwise returns the exit status.
    pub fn leave(self) -> u8 {
        if self == Self::Killed(Signal::SIGINT as i32) {
            let interrupt: SigSet = [Signal::SIGINT].into_iter().collect();
            // Nothing handles it, so only a mask could keep it from working; the status is
            // right then, too.
            let _alive = interrupt.thread_unblock();
            let _alive = nix::sys::signal::raise(Signal::SIGINT);
        }
        self.exit_code()
    }
}

/// The signals that are not left to their default action, read one by one.
#[derive(Debug)]
pub(crate) struct Signals(Watched<SignalFd>);

/// Signals that are read. The terminal's stop signals keep their default: Ctrl-Z stops us with
/// the program, and the shell's `fg` continues both.
const READ: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
];

/// Blocks the signals in this thread and those started from now on. Call it before there are
/// others, and after the program's process exists.
pub(crate) fn block_signals() -> io::Result<()> {
    let mut set: SigSet = READ.into_iter().collect();
    // We write one line to the terminal when the program's shell still owns it.
    set.add(Signal::SIGTTOU);
    Ok(set.thread_block()?)
}

impl Signals {
    /// Needs a tokio runtime, and [`block_signals`] before.
    pub(crate) fn new() -> io::Result<Self> {
        let set: SigSet = READ.into_iter().collect();
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Watched::new(fd).map(Self)
    }

    async fn next(&self) -> io::Result<Received> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Some(info) = self.0.get_ref().read_signal()? {
                return Ok(Received {
                    signal: i32::try_from(info.ssi_signo)
                        .ok()
                        .and_then(|number| Signal::try_from(number).ok()),
                    // Positive codes are the kernel's own: the terminal's Ctrl-C.
                    sender: (info.ssi_code <= 0).then_some(info.ssi_pid),
                });
            }
            ready.clear_ready();
        }
    }

    /// Resolves when the user or another process wants us to end now.
    pub(crate) async fn interrupted(&self) {
        loop {
            match self.next().await {
                Ok(Received { signal: Some(Signal::SIGCHLD), .. }) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

struct Received {
    signal: Option<Signal>,
    /// The process that sent it; none for the kernel.
    sender: Option<u32>,
}

/// Waits for the program's end; until then passes signals on to it.
///
/// # Errors
/// The program cannot be waited for.
pub(crate) async fn supervise(program: Pid, signals: &Signals) -> io::Result<Ended> {
    loop {
        if let Some(ended) = poll(program)? {
            return Ok(ended);
        }
        let received = signals.next().await?;
        let Some(signal) = received.signal else { continue };
        match (signal, received.sender) {
            (Signal::SIGCHLD, _) => {}
            // The terminal sends these to the whole foreground group, the program included.
            (Signal::SIGINT | Signal::SIGQUIT, None) => {}
            // `kill 0` inside reaches us too; the program has it already.
            (_, Some(sender)) if is_inside(sender, program) => {}
            (signal, _) => forward(program, signal),
        }
    }
}

/// Takes note of the program's changes of state so far.
fn poll(program: Pid) -> io::Result<Option<Ended>> {
    let changes = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    loop {
        let status = match waitid(WaitId::Pid(program), changes) {
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(None) => return Ok(None),
            Ok(Some(status)) => status,
        };
        if let Some(code) = status.exit_status() {
            // Only the low byte ever reaches a parent.
            return Ok(Some(Ended::Exited(code.to_le_bytes()[0])));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Some(Ended::Killed(signal)));
        }
        if status.stopped() {
            stop_with(program);
        }
    }
}

/// A program in a process group of its own (a shell with job control) has stopped itself: our
/// own parent sees only us, so stop too, and continue the program when we are continued.
///
/// One in our group was stopped by what stopped us, or is somebody else's business.
fn stop_with(program: Pid) {
    let Ok(group) = getpgid(Some(program)) else { return };
    if group == getpgrp() {
        return;
    }
    if nix::sys::signal::raise(Signal::SIGSTOP).is_ok() {
        // Continued. The terminal is ours if we are in the foreground: give it to the program.
        let terminal = io::stderr();
        if rustix::termios::tcgetpgrp(&terminal).is_ok_and(|owner| owner == getpgrp()) {
            let _not_a_terminal = rustix::termios::tcsetpgrp(&terminal, group);
        }
        // It may have been killed meanwhile; waitid will tell.
        let _gone = kill_process_group(group, rustix::process::Signal::CONT);
    }
}

fn forward(program: Pid, signal: Signal) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        // It may be gone by now; SIGCHLD is on its way then.
        let _gone = kill_process(program, signal);
    }
}

/// Whether a process is the program or descends from it. (Its network namespace would say so
/// better, but to look at that needs the privileges that are dropped.)
fn is_inside(sender: u32, program: Pid) -> bool {
    let program = program.as_raw_nonzero().get().cast_unsigned();
    std::iter::successors(Some(sender), |pid| parent(*pid)).any(|pid| pid == program)
}

/// The parent of a process that still exists.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow it.
    let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent != 0).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(Ended::Exited(7).exit_code(), 7);
        assert_eq!(Ended::Killed(9).exit_code(), 137);
        assert_eq!(Ended::Killed(64).exit_code(), 192);
    }

    #[test]
    fn descent_is_followed_up_to_the_program_only() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ours = rustix::process::getpid();
        let theirs = Pid::from_child(&child);
        assert!(is_inside(child.id(), ours) && is_inside(child.id(), theirs));
        assert!(!is_inside(std::process::id(), theirs));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!is_inside(child.id(), ours), "gone");
    }
}
