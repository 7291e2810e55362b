//! Who has a socket: the descriptors of all processes.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Dir, Mode, OFlags, open, openat, readlinkat_raw};
use rustix::io::Errno;
use rustix::path::DecInt;

use crate::snapshot::Owner;

/// Who has which of the sockets asked for.
#[derive(Clone, Default)]
pub(super) struct SocketOwners {
    pub(super) of: HashMap<u64, Vec<Owner>>,
    /// Processes whose descriptors this user may not see.
    pub(super) hidden: usize,
}

/// How long an answer serves for sockets that were asked for then already. Of two samples with the
/// sampling time between, only the first has to search then, if no socket is new.
const FRESH: Duration = Duration::from_secs(10);

/// What the last search found.
#[derive(Default)]
pub(super) struct Known {
    last: Option<(Instant, HashSet<u64>, SocketOwners)>,
}

impl Known {
    /// [`owners`], or what it said less than 10 s ago, if that was about all of these. A socket
    /// that one program has handed to another since is still told as the first one's.
    ///
    /// # Errors
    /// Those of [`owners`].
    pub(super) fn owners(&mut self, proc: &str, wanted: HashSet<u64>) -> io::Result<SocketOwners> {
        let now = Instant::now();
        if let Some((when, asked, known)) = &self.last
            && now.duration_since(*when) < FRESH
            && wanted.is_subset(asked)
        {
            let mut known = known.clone();
            known.of.retain(|inode, _| wanted.contains(inode));
            return Ok(known);
        }
        let found = owners(proc, &wanted)?;
        self.last = Some((now, wanted, found.clone()));
        Ok(found)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How many descriptors a thread takes at a time.
const CHUNK: usize = 1024;

/// Threads that look, at most: it is the kernel's work, on a host that has other things to do.
const THREADS: usize = 4;

/// Goes through every descriptor of every process of `proc` (`/proc`). O(descriptors), some 4 µs
/// of one core each. A process that goes meanwhile is passed over.
///
/// # Errors
/// There is no such directory.
fn owners(proc: &str, wanted: &HashSet<u64>) -> io::Result<SocketOwners> {
    let mut owners = SocketOwners::default();
    if wanted.is_empty() {
        return Ok(owners);
    }
    let root = open(proc, DIRECTORY, Mode::empty())?;
    let mut pids: Vec<u32> = Vec::new();
    for entry in Dir::read_from(&root)? {
        pids.extend(number(entry?.file_name()));
    }
    let root = root.as_fd();
    let mut chunks = Vec::new();
    for listed in in_parallel(&pids, |&pid| list(root, pid)) {
        match listed {
            Ok(of_process) => chunks.extend(of_process),
            Err(Errno::ACCESS | Errno::PERM) => owners.hidden += 1,
            // It has ended.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (mut names, mut hidden) = (HashMap::new(), HashSet::new());
    let looked = in_parallel(&chunks, |chunk| look(root, chunk, wanted));
    for (chunk, looked) in chunks.iter().zip(looked) {
        let pid = chunk.pid;
        for (inode, fd) in looked.found {
            let program = names.entry(pid).or_insert_with(|| name(root, pid)).clone();
            owners.of.entry(inode).or_default().push(Owner { pid, program, fd });
        }
        hidden.extend(looked.is_hidden.then_some(pid));
    }
    owners.hidden += hidden.len();
    Ok(owners)
}

/// Some descriptors of a process.
struct Chunk {
    pid: u32,
    fds: Vec<u32>,
}

/// The descriptors of a process, not yet examined.
fn list(root: BorrowedFd<'_>, pid: u32) -> rustix::io::Result<Vec<Chunk>> {
    let links = openat(root, format!("{pid}/fd"), DIRECTORY, Mode::empty())?;
    let mut fds = Vec::new();
    for entry in Dir::read_from(&links)? {
        fds.extend(number(entry?.file_name()));
    }
    Ok(fds.chunks(CHUNK).map(|fds| Chunk { pid, fds: fds.to_vec() }).collect())
}

/// What is behind some descriptors of a process.
#[derive(Default)]
struct Scanned {
    /// The sockets sought: inode and descriptor.
    found: Vec<(u64, i32)>,
    /// They may be counted, but not examined: so it is for a root who lacks a capability that
    /// the process has.
    is_hidden: bool,
}

/// Which of the sockets are among these descriptors.
fn look(root: BorrowedFd<'_>, chunk: &Chunk, wanted: &HashSet<u64>) -> Scanned {
    let mut looked = Scanned::default();
    // Where it cannot be opened any more the process has ended.
    let Ok(links) = openat(root, format!("{}/fd", chunk.pid), DIRECTORY, Mode::empty()) else {
        return looked;
    };
    for &fd in &chunk.fds {
        match socket(&links, fd) {
            Ok(Some(inode)) if wanted.contains(&inode) => {
                looked.found.push((inode, fd.cast_signed()));
            }
            // All of a process's are, or none.
            Err(Errno::ACCESS | Errno::PERM) => {
                looked.is_hidden = true;
                return looked;
            }
            // Another, or closed meanwhile.
            Ok(_) | Err(_) => {}
        }
    }
    looked
}

/// Does the same with each item, on several threads if there are cores for them; the results in
/// the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let take = || {
            let at = next.fetch_add(1, Ordering::Relaxed);
            Some((at, work(items.get(at)?)))
        };
        iter::from_fn(take).collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut results = thread::scope(|scope| {
        // A thread that the system has no room for is done without.
        let helpers: Vec<_> = (1..threads.min(items.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut results = run();
        for helper in helpers {
            match helper.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|&(at, _)| at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The inode, if the descriptor is a socket (`socket:[12345]`).
fn socket(links: &OwnedFd, fd: u32) -> rustix::io::Result<Option<u64>> {
    let mut buffer = [0_u8; 40];
    let len = readlinkat_raw(links, DecInt::new(fd), &mut buffer[..])?;
    let inner = buffer[..len].strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]"));
    Ok(inner.and_then(|inner| std::str::from_utf8(inner).ok()?.parse().ok()))
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn results_are_in_the_items_order() {
        let items: Vec<u64> = (0..5000).collect();
        let doubled = in_parallel(&items, |item| item * 2);
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(in_parallel(&[], |item: &u8| *item).is_empty());
    }

    #[test]
    fn what_was_not_asked_for_is_sought_anew() {
        let listeners = [0; 2].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let inodes = listeners.each_ref().map(|listener| {
            let links = open("/proc/self/fd", DIRECTORY, Mode::empty()).unwrap();
            socket(&links, fd(listener)).unwrap().expect("a socket")
        });
        let fds = |owners: &SocketOwners, inode| {
            owners.of[&inode].iter().map(|o| o.fd).collect::<Vec<_>>()
        };
        let mut known = Known::default();
        let first = known.owners("/proc", [inodes[0]].into()).unwrap();
        assert_eq!(fds(&first, inodes[0]), [listeners[0].as_raw_fd()]);
        let both = known.owners("/proc", inodes.into()).unwrap();
        assert_eq!(fds(&both, inodes[1]), [listeners[1].as_raw_fd()]);
        // Known: nothing is examined.
        let again = known.owners("/nowhere", [inodes[1]].into()).unwrap();
        assert_eq!(again.of.len(), 1);
        assert_eq!(fds(&again, inodes[1]), [listeners[1].as_raw_fd()]);
        assert!(known.owners("/nowhere", [u64::MAX].into()).is_err());
    }

    fn fd(listener: &std::net::TcpListener) -> u32 {
        listener.as_raw_fd().cast_unsigned()
    }
}
