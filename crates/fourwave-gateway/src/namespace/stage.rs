//! The child stage: the same executable started again, which turns itself into the program (or
//! is its guard).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::Command;

use fourwave_linux::descriptor::inherited;
use fourwave_linux::namespace::{Users, enter};
use fourwave_linux::refusals::Refusals;
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::handoff::{Message, Request};
use super::{network, resolv};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::guard::{self, GUARD_ARGUMENT};
use crate::notice::say;
use crate::privileges::as_a_user;

/// In the program's environment: that it is inside, and the process id of its gateway.
const INSIDE: &str = "FOURWAVE_RUN";

/// Runs the child stage with the arguments after [`STAGE_ARGUMENT`](super::STAGE_ARGUMENT).
/// Returns only on failure, with the exit status; the parent has the reason then.
pub fn stage(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let first = arguments.next();
    if first.as_deref() == Some(OsStr::new(GUARD_ARGUMENT)) {
        return guard::serve(arguments);
    }
    let number = first.and_then(|n| n.to_str()?.parse().ok());
    let Some(Ok(fd)) = number.map(inherited) else {
        say("this subcommand is internal: `fourwave run` starts it");
        return 2;
    };
    let channel = Channel::from_fd(fd);
    let command: Vec<OsString> = arguments.collect();
    let Err(failure) = become_program(&channel, &command);
    let status = failure.exit_code();
    // Without a parent there is nobody to tell.
    let _unsent = channel.send(&Message::Failed(failure), &[]);
    status
}

/// Everything up to `exec`.
fn become_program(
    channel: &Channel,
    command: &[OsString],
) -> Result<std::convert::Infallible, Failure> {
    let Some((Message::Request(request), _)) = channel.receive()? else {
        return Err(Failure::Vanished);
    };
    enter(Users::Kept)?;
    let namespace = File::open("/proc/self/ns/net")
        .map_err(|error| Failure::io("opening /proc/self/ns/net", &error))?;
    channel.send(&Message::Namespace, &[namespace.as_fd()])?;
    drop(namespace);
    let mut warnings = resolv::replace()?;
    let (tun, more) = network::set_up(request.mtu)?;
    warnings.extend(more);
    die_with_parent(request)?;
    // Without it only advice is missing.
    let refusals = Refusals::listen().ok().map(OwnedFd::from);
    let descriptors = [Some(&tun), refusals.as_ref()].into_iter().flatten();
    let descriptors: Vec<_> = descriptors.map(AsFd::as_fd).collect();
    channel.send(&Message::Ready { warnings }, &descriptors)?;
    drop((tun, refusals));
    // A parent that died before this closed its end; one that dies later sends the signal.
    let Some((Message::Go, _)) = channel.receive()? else {
        return Err(Failure::Vanished);
    };
    let (name, arguments) = command.split_first().ok_or(Failure::Vanished)?;
    as_a_user().map_err(|error| Failure::io("giving up capabilities", &error))?;
    let gateway = parent_id().to_string();
    let error = Command::new(name).args(arguments).env(INSIDE, gateway).exec();
    Err(command_failure(name, &error))
}

fn command_failure(name: &OsStr, error: &io::Error) -> Failure {
    let found = is_there(name);
    let mut errno = error.raw_os_error().unwrap_or(0);
    // A directory of PATH that may not be searched makes execvp say EACCES for what is nowhere. Of
    // a file with its directory EACCES is the truth, whether or not we may look there.
    let sought = !name.as_bytes().contains(&b'/');
    if error.kind() == io::ErrorKind::PermissionDenied && sought && !found {
        errno = Errno::NOENT.raw_os_error();
    }
    let interpreter_missing = error.kind() == io::ErrorKind::NotFound && found;
    Failure::Command { name: name.to_string_lossy().into_owned(), errno, interpreter_missing }
}

/// The program gets a signal when the gateway dies, because nothing carries its packets then.
fn die_with_parent(request: Request) -> Result<(), Failure> {
    let signal = if request.interactive { Signal::HUP } else { Signal::TERM };
    set_parent_process_death_signal(Some(signal))
        .map_err(|errno| Failure::step("PR_SET_PDEATHSIG", errno))
}

/// Whether there is such a file: where the name says, or for a bare name in some directory of
/// `PATH` that may be searched.
fn is_there(name: &OsStr) -> bool {
    if name.as_bytes().contains(&b'/') {
        return Path::new(name).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !name.is_empty() && std::env::split_paths(&path).any(|directory| directory.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_for_where_exec_looked() {
        assert!(is_there(OsStr::new("sh")) && is_there(OsStr::new("/bin/sh")));
        for missing in ["no-such-command", "/bin/no-such-command", "bin/no", ""] {
            assert!(!is_there(OsStr::new(missing)), "{missing}");
        }
    }

    #[test]
    fn what_is_nowhere_is_not_found_whatever_exec_says() {
        let failure = |name: &str, errno: Errno| {
            command_failure(OsStr::new(name), &io::Error::from(errno)).exit_code()
        };
        assert_eq!(failure("no-such-command", Errno::ACCESS), 127);
        assert_eq!(failure("no-such-command", Errno::NOENT), 127);
        assert_eq!(failure("/etc/passwd", Errno::ACCESS), 126);
        assert_eq!(failure("/nonexistent/program", Errno::ACCESS), 126, "a closed directory");
        assert_eq!(failure("/nonexistent/program", Errno::NOENT), 127);
        assert_eq!(failure("/bin/sh", Errno::NOENT), 126, "its interpreter is missing");
    }
}
