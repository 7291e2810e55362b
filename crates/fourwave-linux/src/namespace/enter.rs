//! Into new namespaces: with privileges only network and mounts, without also a user namespace.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, unshare_unsafe};

use super::{EnterError, Forbidden};

/// Who a process without privileges is in its new user namespace, where nobody else exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// The same user and group as outside. What it executes has no privileges there.
    Kept,
    /// Root. What it executes may change the namespace's network.
    Root,
}

/// Leaves the network and mount namespaces (and the user namespace where that is needed). Call it
/// while the process has one thread.
///
/// Root with CAP_SYS_ADMIN and CAP_NET_ADMIN keeps its user namespace: what it executes may then
/// change users as it is used to. Everyone else gets one in which only their own user and group
/// exist, so `setuid` to others does not work there.
///
/// # Errors
/// [`EnterError::Forbidden`] where this system does not let this user make namespaces.
pub fn enter(users: Users) -> Result<(), EnterError> {
    let namespaces = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    if is_privileged() {
        let forbidden = |errno| EnterError::Forbidden(Forbidden::diagnose(errno, false));
        unshare(namespaces).map_err(forbidden)?;
        return detach_mounts().map_err(|errno| EnterError::step(DETACHING, errno));
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let (inner_uid, inner_gid) = match users {
        Users::Kept => (uid, gid),
        Users::Root => (0, 0),
    };
    let forbidden = |errno| EnterError::Forbidden(Forbidden::diagnose(errno, true));
    unshare(namespaces | UnshareFlags::NEWUSER).map_err(forbidden)?;
    // AppArmor on Ubuntu 24.04 lets the call above succeed and refuses what follows.
    let write = |file: &str, text: String| match fs::write(file, text) {
        Err(error) if is_refusal(&error) => Err(forbidden(errno_of(&error))),
        Err(error) => Err(EnterError::step(format!("writing {file}"), errno_of(&error))),
        Ok(()) => Ok(()),
    };
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{inner_uid} {uid} 1"))?;
    write("/proc/self/gid_map", format!("{inner_gid} {gid} 1"))?;
    detach_mounts().map_err(|errno| match errno {
        Errno::PERM | Errno::ACCESS => forbidden(errno),
        errno => EnterError::step(DETACHING, errno),
    })
}

/// Takes the calling thread, and what it starts, to a new network namespace; other threads stay.
///
/// # Errors
/// The kernel's: EPERM without CAP_SYS_ADMIN.
pub fn enter_network() -> io::Result<()> {
    Ok(unshare(UnshareFlags::NEWNET)?)
}

/// Leaves namespaces for new ones. `FILES` is not among the flags it takes.
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    let flags = flags & (UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS);
    // SAFETY: the danger of unshare is a table of descriptors that threads share no more
    // (FILES), and that flag is masked out above.
    unsafe { unshare_unsafe(flags) }
}

const DETACHING: &str = "detaching the mount namespace from the host's";

/// What the program mounts stays in its namespace; what the host mounts later still arrives.
fn detach_mounts() -> rustix::io::Result<()> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
}

fn is_privileged() -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
    geteuid().is_root() && capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(errno_of(error), Errno::PERM | Errno::ACCESS)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
