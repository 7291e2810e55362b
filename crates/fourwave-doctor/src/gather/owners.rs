//! Who has a socket: the descriptors of all processes.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, open, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::snapshot::Owner;

/// Who has which of the sockets asked for.
#[derive(Default)]
pub(super) struct Owners {
    pub(super) of: HashMap<u64, Vec<Owner>>,
    /// Processes whose descriptors this user may not see.
    pub(super) hidden: usize,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Looks through every descriptor of every process of `proc` (`/proc`). O(descriptors), some 2 µs
/// each. A process that goes meanwhile is passed over.
///
/// # Errors
/// There is no such directory.
pub(super) fn owners(proc: &str, wanted: &HashSet<u64>) -> io::Result<Owners> {
    let mut owners = Owners::default();
    if wanted.is_empty() {
        return Ok(owners);
    }
    let root = open(proc, DIRECTORY, Mode::empty())?;
    for entry in Dir::read_from(&root)? {
        let entry = entry?;
        if let Some(pid) = number(entry.file_name()) {
            match descriptors(root.as_fd(), pid, wanted, &mut owners.of) {
                Ok(()) => {}
                Err(Errno::ACCESS | Errno::PERM) => owners.hidden += 1,
                // It has ended.
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(owners)
}

/// Adds what one process has.
fn descriptors(
    root: BorrowedFd<'_>,
    pid: u32,
    wanted: &HashSet<u64>,
    into: &mut HashMap<u64, Vec<Owner>>,
) -> rustix::io::Result<()> {
    let links = openat(root, format!("{pid}/fd"), DIRECTORY, Mode::empty())?;
    let mut program = None;
    for entry in Dir::read_from(&links)? {
        let entry = entry?;
        let Some(fd) = number(entry.file_name()) else { continue };
        let Some(inode) = socket(&links, entry.file_name()).filter(|i| wanted.contains(i)) else {
            continue;
        };
        let program = program.get_or_insert_with(|| name(root, pid)).clone();
        let owner = Owner { pid, program, fd: fd.cast_signed() };
        into.entry(inode).or_default().push(owner);
    }
    Ok(())
}

/// The inode, if the descriptor is a socket (`socket:[12345]`). One that has been closed is none.
fn socket(links: &OwnedFd, name: &CStr) -> Option<u64> {
    let mut buffer = [0_u8; 40];
    let len = readlinkat_raw(links, name, &mut buffer[..]).ok()?;
    let inner = buffer[..len].strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok()?.parse().ok()
}

/// `comm`: what the kernel calls the program, 15 bytes at most. Control characters are shown as
/// `?`: a program gives itself any name, and this one is printed to terminals.
fn name(root: BorrowedFd<'_>, pid: u32) -> String {
    let read = || {
        let file = openat(root, format!("{pid}/comm"), OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0; 64];
        let len = rustix::io::read(file, &mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).trim_end_matches('\n').to_owned())
    };
    let name: String = read().unwrap_or_default();
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}
