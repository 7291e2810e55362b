//! Which of the files that a command line names are one and the same.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::Target;

/// Links that one name leads through at most, as in Linux.
const MAX_LINKS: usize = 40;

/// What a command reads and what it writes. Nothing is opened.
///
/// Files are the same when device and inode are, whatever links lead there; files that are not yet
/// there when directory and name are. Terminals and other character devices take any number of
/// writers.
#[derive(Debug, Default)]
pub(crate) struct Files {
    named: Vec<Party>,
    /// Standard input is the program's that `run` starts.
    hands_on_stdin: bool,
}

#[derive(Debug)]
struct Party {
    /// As a person calls it.
    what: String,
    place: Option<Place>,
    writes: bool,
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File {
        device: u64,
        inode: u64,
    },
    /// No file yet: its directory and its name there.
    Absent {
        device: u64,
        inode: u64,
        name: OsString,
    },
    /// An open stream, whatever it is: an option's.
    Stream(Target),
}

impl Files {
    /// `what` is an option or a noun: the line that refuses names it before the path. `-` is
    /// standard input.
    pub(crate) fn reads(&mut self, what: &str, path: &Path) {
        let (what, place) = match path.as_os_str() == "-" {
            true => ("standard input".to_owned(), stream(io::stdin())),
            // One that is not there is the reader's to tell of.
            false => (format!("{what} {}", path.display()), existing(path)),
        };
        self.named.push(Party { what, place, writes: false });
    }

    /// An output of the option `what`.
    pub(crate) fn writes(&mut self, what: &str, target: &Target) {
        let place = match target {
            Target::File(path) if path.exists() => existing(path),
            Target::File(path) => absent(path),
            stream => Some(Place::Stream(stream.clone())),
        };
        self.named.push(Party { what: format!("{what} {target}"), place, writes: true });
    }

    /// Standard output gets what the option `what` makes, and nothing else may go there.
    pub(crate) fn takes_stdout(&mut self, what: &str) {
        let place = Some(Place::Stream(Target::Stdout));
        self.named.push(Party { what: what.to_owned(), place, writes: true });
    }

    /// Standard input is read by a program that is started.
    pub(crate) fn hands_on_stdin(&mut self) {
        self.hands_on_stdin = true;
    }

    /// Before anything is opened: no output is an input, or another output.
    ///
    /// # Errors
    /// A line that names the two.
    pub(crate) fn check(&self) -> Result<(), String> {
        let unnamed = self.unnamed();
        for (at, one) in self.named.iter().enumerate() {
            let others = self.named[..at].iter().chain(&unnamed);
            if let Some(other) = others.into_iter().find(|other| one.spoils(other)) {
                let (one_is, other_is) = (&one.what, &other.what);
                return Err(match one.place {
                    Some(Place::Stream(_)) => {
                        format!("{one_is} and {other_is} go to the same stream: name a file")
                    }
                    _ => format!("{one_is} and {other_is} are the same file: name another"),
                });
            }
        }
        Ok(())
    }

    /// The standard streams. They may be one file among themselves: whoever started us knows.
    fn unnamed(&self) -> Vec<Party> {
        let party = |what: &str, place, writes| Party { what: what.to_owned(), place, writes };
        let mut all = vec![
            party("standard output", stream(io::stdout()), true),
            party("standard error", stream(io::stderr()), true),
        ];
        if self.hands_on_stdin {
            all.push(party("standard input", stream(io::stdin()), false));
        }
        all
    }
}

impl Party {
    /// Whether they are one file, and one of them is written.
    fn spoils(&self, other: &Self) -> bool {
        (self.writes || other.writes) && self.place.is_some() && self.place == other.place
    }
}

/// What an open stream leads to.
fn stream(stream: impl AsFd) -> Option<Place> {
    let status = rustix::fs::fstat(stream).ok()?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice | FileType::Socket => None,
        _ => Some(Place::File { device: status.st_dev, inode: status.st_ino }),
    }
}

/// The file that `path` leads to.
fn existing(path: &Path) -> Option<Place> {
    let file = fs::metadata(path).ok()?;
    let shared = file.file_type().is_char_device() || file.file_type().is_socket();
    (!shared).then(|| Place::File { device: file.dev(), inode: file.ino() })
}

/// The file that would be made.
fn absent(path: &Path) -> Option<Place> {
    let path = resolve(path).ok()?;
    let name = path.file_name()?.to_owned();
    let directory = fs::metadata(path.parent()?).ok()?;
    Some(Place::Absent { device: directory.dev(), inode: directory.ino(), name })
}

/// `path` without links, for a file that need not be there yet: the directory must.
///
/// # Errors
/// The directory is not there, or the path names no file.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
        let name = path.file_name().ok_or_else(no_name)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
        let place = directory.join(name);
        match fs::read_link(&place) {
            // A link to what is not there yet.
            Ok(link) => path = directory.join(link),
            Err(_) => return Ok(place),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}
