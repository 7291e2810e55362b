//! A file that has its name when it is whole, so that a full disk leaves the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::Target;
use super::files::resolve;

/// An output under way. Dropped before [`finish`](Self::finish), a file is as before.
///
/// Pipes, devices and open streams are written directly; so is a file in a directory in which none
/// may be made.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    /// What is not written directly.
    beside: Option<Beside>,
}

/// A file that takes the place of another.
#[derive(Debug)]
struct Beside {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Output {
    /// Fails where writing to the file itself would: a missing directory, a directory of that
    /// name, no permission. Opening a pipe waits for its reader.
    ///
    /// # Errors
    /// A line that names the output and says why.
    pub(crate) fn create(target: &Target) -> Result<Self, String> {
        let opened = match target {
            Target::Stdout => io::stdout().as_fd().try_clone_to_owned().map(direct),
            Target::Stderr => io::stderr().as_fd().try_clone_to_owned().map(direct),
            Target::File(path) => open(path),
        };
        let (file, beside) = opened.map_err(|error| target.unwritable(&error))?;
        Ok(Self { file, beside })
    }

    /// All of an output at once. A reader that stops early is no error.
    ///
    /// # Errors
    /// A line that names the output and says why; a file is as before then.
    pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<(), String> {
        let mut output = Self::create(target)?;
        let written = match output.write_all(bytes) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => output.finish(),
        };
        written.map_err(|error| target.unwritable(&error))
    }

    /// A further handle, for a writer that keeps its own.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Everything is written: the file gets its name, replacing what had it.
    ///
    /// # Errors
    /// What the system says; the file is as before then.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Self { file, beside } = self;
        drop(file);
        beside.map_or(Ok(()), Beside::finish)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn direct(file: impl Into<File>) -> (File, Option<Beside>) {
    (file.into(), None)
}

fn open(path: &Path) -> io::Result<(File, Option<Beside>)> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(Errno::ISDIR.into());
    }
    let target = resolve(path)?;
    // Not what it holds: whether it may be written, and what it is.
    let old = match OpenOptions::new().write(true).open(&target) {
        Ok(file) if !file.metadata()?.is_file() => return Ok(direct(file)),
        Ok(file) => Some(file),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (Beside::create(&target, old.as_ref()), old) {
        (Ok(beside), _) => Ok((beside.temporary.as_file().try_clone()?, Some(beside))),
        // A file that one may write, in a directory that one may not.
        (Err(error), Some(file)) if is_forbidden(&error) => {
            file.set_len(0)?;
            Ok(direct(file))
        }
        (Err(error), _) => Err(error),
    }
}

/// Whether a directory refused what concerns its files, not the file.
fn is_forbidden(error: &io::Error) -> bool {
    // Busy: a file that is mounted alone, as into a container.
    let kinds =
        [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::ResourceBusy];
    kinds.contains(&error.kind())
}

impl Beside {
    /// An empty file beside `target`, with the permissions of `old`.
    fn create(target: &Path, old: Option<&File>) -> io::Result<Self> {
        let directory = target.parent().unwrap_or(Path::new("/"));
        // As any new file: what others may do with it is for the umask to say.
        let make = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let mut builder = tempfile::Builder::new();
        let temporary = builder.prefix(".fourwave-").suffix(".part").make_in(directory, make)?;
        if let Some(old) = old {
            let old = old.metadata()?;
            let made = temporary.as_file().metadata()?;
            if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
                // Only root may give files away.
                let _kept = fchown(temporary.as_file(), Some(old.uid()), Some(old.gid()));
            }
            temporary.as_file().set_permissions(old.permissions())?;
        }
        Ok(Self { temporary, target: target.to_owned() })
    }

    fn finish(self) -> io::Result<()> {
        let Self { temporary, target } = self;
        // Some file systems say only now that they are full.
        temporary.as_file().sync_all()?;
        let Err(refused) = temporary.persist(&target) else { return Ok(()) };
        if !is_forbidden(&refused.error) {
            return Err(refused.error);
        }
        // It may be written and not replaced.
        let mut whole = File::open(refused.file.path())?;
        let mut file = OpenOptions::new().write(true).truncate(true).open(&target)?;
        io::copy(&mut whole, &mut file).map(drop)
    }
}
