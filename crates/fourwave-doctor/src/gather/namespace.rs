//! Into the network namespace that is asked for.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use fourwave_linux::reason;
use rustix::fs::FsWord;
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::error::GatherError;
use super::limitations::{ALL, ROOT};
use crate::snapshot::Scope;

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// `NSFS_MAGIC`: the file system that namespaces are files of.
const NAMESPACES: FsWord = 0x6e73_6673;

/// The place to look from.
pub(super) enum Place {
    /// The namespace that this thread is in.
    Here,
    /// Another, which a thread enters.
    Inside(OwnedFd),
    /// One that may not be entered, but whose `/proc/PID/net` can be read.
    Beside(PathBuf, String),
}

impl Place {
    pub(super) fn find(scope: &Scope) -> Result<Self, GatherError> {
        match scope {
            Scope::Own => Ok(Self::Here),
            Scope::Pid(pid) => Self::of_process(*pid),
            Scope::Netns(name) => Self::named(name),
        }
    }

    fn of_process(pid: u32) -> Result<Self, GatherError> {
        let path = format!("/proc/{pid}/ns/net");
        let refused = match open_namespace(Path::new(&path)) {
            Ok(None) => return Ok(Self::Here),
            Ok(Some(namespace)) => match inside(&namespace, || ()) {
                Ok(()) => return Ok(Self::Inside(namespace)),
                Err(error) => error,
            },
            Err(error) => error,
        };
        match refused.kind() {
            io::ErrorKind::PermissionDenied => {
                let net = PathBuf::from(format!("/proc/{pid}/net"));
                if fs::exists(&net).is_ok_and(|exists| exists) {
                    return Ok(Self::Beside(net, remedy(Some(pid))));
                }
                Err(GatherError::Gone { pid })
            }
            // ESRCH: it ended between two system calls.
            _ if Errno::from_io_error(&refused) == Some(Errno::SRCH) => {
                Err(GatherError::Gone { pid })
            }
            io::ErrorKind::NotFound => Err(GatherError::Gone { pid }),
            _ => Err(system(path, &refused)),
        }
    }

    fn named(name: &str) -> Result<Self, GatherError> {
        let path = if name.contains('/') { name.into() } else { Path::new(NAMES).join(name) };
        let failure = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                GatherError::NoNamespace { name: name.to_owned(), known: known(name) }
            }
            io::ErrorKind::PermissionDenied => GatherError::Forbidden {
                what: format!("network namespace {name}"),
                reason: reason(&error),
                remedy: remedy(None),
            },
            io::ErrorKind::InvalidInput => {
                GatherError::NotNamespace { path: path.display().to_string() }
            }
            _ => system(path.display().to_string(), &error),
        };
        match open_namespace(&path).map_err(failure)? {
            None => Ok(Self::Here),
            Some(namespace) => {
                inside(&namespace, || ()).map_err(failure)?;
                Ok(Self::Inside(namespace))
            }
        }
    }
}

/// Does something in a namespace, on a thread that lives no longer: a thread's namespace is its
/// own, so the caller's stays what it was.
pub(super) fn inside<T: Send>(
    namespace: &OwnedFd,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let enter_and_work = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        let name = thread::Builder::new().name("netns".into());
        match name.spawn_scoped(scope, enter_and_work)?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Opens a network namespace; `None` where it is the one that we are in.
///
/// # Errors
/// `InvalidInput` where the file is none.
fn open_namespace(path: &Path) -> io::Result<Option<OwnedFd>> {
    // Opening anything may block (a FIFO) or do something (a device): look first.
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = File::open(path)?;
    if rustix::fs::fstatfs(&file)?.f_type != NAMESPACES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (there, here) = (file.metadata()?, fs::metadata("/proc/thread-self/ns/net"));
    let is_here = here.is_ok_and(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()));
    Ok((!is_here).then(|| file.into()))
}

/// Which names there are.
fn known(name: &str) -> String {
    if name.contains('/') {
        return "there is no such file; --pid takes a process instead".into();
    }
    let names = fs::read_dir(NAMES).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    if names.is_empty() {
        return format!("{NAMES} has none; give a path, or --pid with a process in it");
    }
    let more = if names.len() > 10 { ", …" } else { "" };
    names.truncate(10);
    format!("{NAMES} has {}{more}", names.join(", "))
}

/// What lets one in.
fn remedy(pid: Option<u32>) -> String {
    match pid {
        _ if geteuid().is_root() => ALL.into(),
        Some(pid) => format!(
            "{ROOT}, or for a rootless container of yours \
             `nsenter --user --net --preserve-credentials --target {pid} fourwave doctor`"
        ),
        None => ROOT.into(),
    }
}

fn system(what: String, error: &io::Error) -> GatherError {
    GatherError::System { what, reason: reason(error) }
}
