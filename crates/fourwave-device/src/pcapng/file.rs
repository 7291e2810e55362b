//! A file that appears under its name when it is whole, or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Tells apart the temporary names of one process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A new file, under a temporary name beside its own until [`finish`](Self::finish). Dropped
/// before that, it is removed. A pipe or a device that already has the name is written directly.
pub(super) struct AtomicFile {
    file: File,
    /// `None` once the file has its name, and for what is written directly.
    temporary: Option<Temporary>,
}

struct Temporary {
    /// Keeps working when the process's directory or root changes.
    directory: OwnedFd,
    name: OsString,
    target: OsString,
}

impl AtomicFile {
    /// Fails where writing to `path` itself would: a missing directory, a directory under the
    /// name, no permission, a file that is read-only.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        // Through symlinks, so that it is their target that is replaced.
        let existing = std::fs::canonicalize(path).ok();
        let path = existing.as_deref().unwrap_or(path);
        let (directory, target) = open_directory(path)?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&directory, &target, flags, Mode::empty()) {
            Ok(fd) => {
                let mode = rustix::fs::fstat(&fd)?.st_mode;
                if FileType::from_raw_mode(mode) != FileType::RegularFile {
                    return Ok(Self { file: File::from(fd), temporary: None });
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = OsString::from(format!(".fourwave-{}-{serial}.part", std::process::id()));
        let flags = flags | OFlags::CREATE | OFlags::EXCL;
        let fd = rustix::fs::openat(&directory, &name, flags, Mode::from_raw_mode(0o666))?;
        let temporary = Some(Temporary { directory, name, target });
        Ok(Self { file: File::from(fd), temporary })
    }

    /// Gives the file its name, replacing what had it. When that fails the file is removed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(Temporary { directory, name, target }) = &self.temporary {
            rustix::fs::renameat(directory, name, directory, target)?;
            self.temporary = None;
        }
        Ok(())
    }
}

fn open_directory(path: &Path) -> io::Result<(OwnedFd, OsString)> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let target = path.file_name().ok_or_else(no_name)?.to_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = parent.unwrap_or_else(|| Path::new("."));
    Ok((rustix::fs::openat(CWD, parent, flags, Mode::empty())?, target))
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(Temporary { directory, name, .. }) = &self.temporary {
            // Nobody is left to be told that a temporary file stays.
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        }
    }
}
