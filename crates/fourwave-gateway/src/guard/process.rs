//! The guard's own process.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use fourwave_linux::descriptor::inherited;
use fourwave_linux::reason;
use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::members::{Member, Namespace};
use super::{Answer, Leftovers, Order};
use crate::channel::Channel;
use crate::notice::say;

/// Processes that end by themselves when the program does get this long.
const SETTLE: Duration = Duration::from_millis(200);
/// What was asked to end by SIGTERM gets this long.
const GRACE: Duration = Duration::from_secs(2);
/// SIGKILL is repeated for what was started meanwhile, this often and with this pause at most.
const KILLS: usize = 50;
const KILL_PAUSE: Duration = Duration::from_millis(100);

/// Runs the guard with the arguments after [`GUARD_ARGUMENT`](super::GUARD_ARGUMENT); returns the
/// exit status.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let number = arguments.next().and_then(|n| n.to_str()?.parse().ok());
    let Some(Ok(fd)) = number.map(inherited) else { return 2 };
    let channel = Channel::from_fd(fd);
    // The terminal's signals, and those to a whole group, are not for it.
    let _leader = setsid();
    let _always = SigSet::all().thread_block();
    if let Err(error) = drop_privileges() {
        say(&format!("the guard cannot drop its privileges: {error}"));
        return 125;
    }
    let mut namespace = None;
    loop {
        match channel.receive() {
            Ok(Some((Order::Watch, descriptors))) => {
                let descriptor = descriptors.into_iter().next();
                namespace = descriptor.and_then(|descriptor| Namespace::of(descriptor).ok());
            }
            Ok(Some((Order::End { wait }, _))) => {
                let left = sweep(namespace.as_ref(), &channel, false, wait);
                // The gateway may have been killed meanwhile.
                let _told = channel.send(&Answer::Over(left), &[]);
                return 0;
            }
            Ok(Some(_)) => {}
            // Its process is gone. In order it ends otherwise, or before the program ran.
            Ok(None) | Err(_) => {
                let left = sweep(namespace.as_ref(), &channel, true, false);
                if left.ended > 0 {
                    say(&format!("the gateway was killed: {}", left.brief()));
                }
                return 0;
            }
        }
    }
}

/// What is needed to look at a root program's processes, and to end them, is kept. Where it is not
/// there to be kept, the kernel asks for no less than what the program has.
fn drop_privileges() -> rustix::io::Result<()> {
    let needed = CapabilitySet::KILL | CapabilitySet::SYS_PTRACE;
    let permitted = capabilities(None)?.permitted;
    if permitted.contains(needed) {
        let inheritable = CapabilitySet::empty();
        set_capabilities(
            None,
            CapabilitySets { effective: needed, permitted: needed, inheritable },
        )?;
    }
    rustix::thread::set_no_new_privs(true)
}

fn sweep(
    namespace: Option<&Namespace>,
    channel: &Channel,
    is_alone: bool,
    wait: bool,
) -> Leftovers {
    let Some(namespace) = namespace else { return Leftovers::default() };
    let mut sweep = Sweep { namespace, channel, is_alone, hurries: 0 };
    sweep.run(wait).unwrap_or_else(|error| Leftovers::unknown(reason(&error)))
}

/// The end of what is in a namespace.
struct Sweep<'a> {
    namespace: &'a Namespace,
    channel: &'a Channel,
    /// The gateway is gone.
    is_alone: bool,
    hurries: u32,
}

impl Sweep<'_> {
    fn run(&mut self, wait: bool) -> io::Result<Leftovers> {
        let members = self.namespace.members()?;
        self.rest(&members, Some(SETTLE))?;
        if wait {
            self.wait()?;
        }
        self.end()
    }

    /// Until all have ended by themselves, or the gateway has had enough.
    fn wait(&mut self) -> io::Result<()> {
        let mut members = self.namespace.members()?;
        if !members.is_empty() {
            // The gateway may have been killed meanwhile.
            let _told = self.channel.send(&Answer::Waiting(members.len()), &[]);
        }
        while !members.is_empty() && self.hurries == 0 && !self.is_alone {
            self.rest(&members, None)?;
            members = self.namespace.members()?;
        }
        Ok(())
    }

    /// Asks, and after a while asks no longer.
    fn end(&mut self) -> io::Result<Leftovers> {
        let mut told = BTreeSet::new();
        let (deadline, hurries) = (Instant::now() + GRACE, self.hurries);
        loop {
            let members = self.namespace.members()?;
            for member in members.iter().filter(|member| told.insert(member.pid)) {
                member.signal(Signal::TERM);
                // One that is stopped could not hear it.
                member.signal(Signal::CONT);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if members.is_empty() || left.is_zero() || self.hurries > hurries {
                break;
            }
            self.rest(&members, Some(left))?;
        }
        for _ in 0..KILLS {
            let members = self.namespace.members()?;
            if members.is_empty() {
                break;
            }
            for member in &members {
                told.insert(member.pid);
                member.signal(Signal::KILL);
            }
            self.rest(&members, Some(KILL_PAUSE))?;
        }
        let stuck = self.namespace.members()?.len();
        Ok(Leftovers { ended: told.len().saturating_sub(stuck), stuck, problem: None })
    }

    /// Until all of them have ended, the time is over, or the gateway says or is something else.
    fn rest(&mut self, members: &[Member], time: Option<Duration>) -> io::Result<()> {
        let deadline = time.map(|time| Instant::now() + time);
        let mut alive: Vec<&Member> = members.iter().collect();
        while !alive.is_empty() {
            let mut polled: Vec<PollFd<'_>> =
                alive.iter().map(|member| PollFd::new(&member.descriptor, PollFlags::IN)).collect();
            if !self.is_alone {
                polled.push(PollFd::new(self.channel, PollFlags::IN));
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has_event: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
            let mut events = has_event.iter();
            alive.retain(|_| events.next() != Some(&true));
            if events.next() == Some(&true) {
                self.hear();
                return Ok(());
            }
        }
        Ok(())
    }

    fn hear(&mut self) {
        match self.channel.receive::<Order>() {
            Ok(Some((Order::Hurry, _))) => self.hurries += 1,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => self.is_alone = true,
        }
    }
}
