//! The child stage: the same executable started again, which turns itself into the program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::handoff::{Channel, Message, Request};
use super::{Failure, enter, network, resolv};
use crate::sys;

/// Runs the child stage with the arguments after [`STAGE_ARGUMENT`](super::STAGE_ARGUMENT).
/// Returns only on failure, with the exit status; the parent has the reason then.
pub fn stage(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let number = arguments.next().and_then(|n| n.to_str()?.parse().ok());
    let Some(Ok(fd)) = number.map(sys::inherited) else {
        eprintln!("fourwave: this subcommand is internal: `fourwave run` starts it");
        return 2;
    };
    let channel = Channel::from_fd(fd);
    let command: Vec<OsString> = arguments.collect();
    let Err(failure) = become_program(&channel, &command);
    let status = failure.exit_code();
    // Without a parent there is nobody to tell.
    let _unsent = channel.send(&Message::Failed(failure), None);
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
    enter::enter()?;
    let mut warnings = resolv::replace()?;
    let (tun, more) = network::set_up(request.mtu)?;
    warnings.extend(more);
    die_with_parent(request)?;
    channel.send(&Message::Ready { warnings }, Some(std::os::fd::AsFd::as_fd(&tun)))?;
    drop(tun);
    // A parent that died before this closed its end; one that dies later sends the signal.
    let Some((Message::Go, _)) = channel.receive()? else {
        return Err(Failure::Vanished);
    };
    let (name, arguments) = command.split_first().ok_or(Failure::Vanished)?;
    let error = Command::new(name).args(arguments).exec();
    Err(Failure::Command {
        name: name.to_string_lossy().into_owned(),
        errno: error.raw_os_error().unwrap_or(0),
        interpreter_missing: error.kind() == std::io::ErrorKind::NotFound && exists(name),
    })
}

/// The program gets a signal when the gateway dies, because nothing carries its packets then.
fn die_with_parent(request: Request) -> Result<(), Failure> {
    let signal = if request.interactive { Signal::HUP } else { Signal::TERM };
    set_parent_process_death_signal(Some(signal))
        .map_err(|errno| Failure::step("PR_SET_PDEATHSIG", errno))
}

/// Whether a command that gave ENOENT is there all the same. Only for one with a path: a search
/// through `PATH` goes on after such a file.
fn exists(name: &OsString) -> bool {
    let path = Path::new(name);
    path.components().count() > 1 && path.symlink_metadata().is_ok() && path.exists()
}
