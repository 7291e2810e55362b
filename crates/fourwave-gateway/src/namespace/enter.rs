//! Into new namespaces: with privileges only network and mounts, without also a user namespace
//! in which the program keeps its user and group.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};

use super::{Failure, Forbidden};
use crate::sys;

/// Leaves the network and mount namespaces (and the user namespace where that is needed).
///
/// Root with CAP_SYS_ADMIN and CAP_NET_ADMIN keeps its user namespace: the program may then
/// change users as it is used to. Everyone else gets one in which only their own user and group
/// exist, so `setuid` to others does not work there.
pub(super) fn enter() -> Result<(), Failure> {
    let namespaces = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    if is_privileged() {
        let forbidden = |errno| Failure::Namespaces(Forbidden::diagnose(errno, false));
        sys::unshare(namespaces).map_err(forbidden)?;
        return detach_mounts().map_err(|errno| Failure::step(DETACHING, errno));
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let forbidden = |errno| Failure::Namespaces(Forbidden::diagnose(errno, true));
    sys::unshare(namespaces | UnshareFlags::NEWUSER).map_err(forbidden)?;
    // AppArmor on Ubuntu 24.04 lets the call above succeed and refuses what follows.
    let write = |file: &str, text: String| match fs::write(file, text) {
        Err(error) if is_refusal(&error) => Err(forbidden(errno_of(&error))),
        Err(error) => Err(Failure::io(format!("writing {file}"), &error)),
        Ok(()) => Ok(()),
    };
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    detach_mounts().map_err(|errno| match errno {
        Errno::PERM | Errno::ACCESS => forbidden(errno),
        errno => Failure::step(DETACHING, errno),
    })
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
