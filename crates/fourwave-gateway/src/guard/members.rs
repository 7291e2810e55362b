//! The processes of a network namespace.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// A network namespace. While this value lives, no other gets its identity.
#[derive(Debug)]
pub(super) struct Namespace {
    identity: (u64, u64),
    _held: fs::File,
}

/// A process in it. A process id may get another owner, its descriptor never does.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pid: i32,
    pub(super) descriptor: OwnedFd,
}

impl Member {
    /// It may have ended meanwhile, which is what is wanted.
    pub(super) fn signal(&self, signal: Signal) {
        let _ended = pidfd_send_signal(&self.descriptor, signal);
    }
}

impl Namespace {
    /// # Errors
    /// The kernel's.
    pub(super) fn of(descriptor: OwnedFd) -> io::Result<Self> {
        let held = fs::File::from(descriptor);
        let metadata = held.metadata()?;
        Ok(Self { identity: (metadata.dev(), metadata.ino()), _held: held })
    }

    /// Every process in it but this one. Those that have ended and were not waited for are in no
    /// namespace any more. O(processes of the host).
    ///
    /// # Errors
    /// There is no /proc, or the kernel has no descriptors of processes (5.3).
    pub(super) fn members(&self) -> io::Result<Vec<Member>> {
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = number.and_then(Pid::from_raw) else { continue };
            if pid == getpid() || !self.has(pid) {
                continue;
            }
            match pidfd_open(pid, PidfdFlags::empty()) {
                // Asked again: it is the owner of the descriptor that is there.
                Ok(descriptor) if self.has(pid) => {
                    members.push(Member { pid: pid.as_raw_nonzero().get(), descriptor });
                }
                Ok(_) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(members)
    }

    /// Whether a process is there. One that may not be looked at belongs to somebody else.
    fn has(&self, pid: Pid) -> bool {
        let path = format!("/proc/{}/ns/net", pid.as_raw_nonzero());
        let found = fs::metadata(Path::new(&path));
        found.is_ok_and(|link| (link.dev(), link.ino()) == self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_a_member_until_it_ends() {
        let ours = fs::File::open("/proc/self/ns/net").unwrap();
        let namespace = Namespace::of(ours.into()).unwrap();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let is_there = || namespace.members().unwrap().iter().any(|member| member.pid == pid);
        assert!(is_there());
        let members = namespace.members().unwrap();
        assert!(members.iter().all(|member| member.pid != getpid().as_raw_nonzero().get()));
        drop(child.stdin.take());
        while child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert!(!is_there());
    }
}
