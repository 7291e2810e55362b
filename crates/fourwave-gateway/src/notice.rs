//! What the user must know while the program runs: one line on stderr for each thing, once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use fourwave_lens::paint::to_ascii;

/// Whether standard error takes nothing but ASCII: it is one for the whole process.
static ASCII: AtomicBool = AtomicBool::new(false);

/// From now on lines for the user are in ASCII, or not.
pub fn in_ascii(ascii: bool) {
    ASCII.store(ascii, Ordering::Relaxed);
}

/// A line for the user, who may have closed standard error.
pub fn say(line: &str) {
    let line: Cow<'_, str> = match ASCII.load(Ordering::Relaxed) {
        true => to_ascii(line).into(),
        false => line.into(),
    };
    let _closed = writeln!(std::io::stderr().lock(), "fourwave: {line}");
}

/// Remembers what was said.
#[derive(Debug)]
pub(crate) struct Notices {
    said: Mutex<HashSet<&'static str>>,
    /// Advice is kept back.
    quiet: bool,
}

impl Notices {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { said: Mutex::default(), quiet }
    }

    /// As [`once`](Self::once) for what is only good to know: not with `--quiet`.
    pub(crate) fn hint(&self, about: &'static str, line: impl FnOnce() -> String) {
        if !self.quiet {
            self.once(about, line);
        }
    }

    /// Prints `line` unless something was said about `about` before.
    pub(crate) fn once(&self, about: &'static str, line: impl FnOnce() -> String) {
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(about) {
            say(&line());
        }
    }

    /// Says it when `error` means that no file descriptors are left.
    pub(crate) fn descriptors(&self, error: &std::io::Error) {
        use rustix::io::Errno;
        if let Some(Errno::MFILE | Errno::NFILE) = Errno::from_io_error(error) {
            self.once("descriptors", || {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
                let limit = limit.map_or_else(|| "no limit".to_owned(), |l| l.to_string());
                format!(
                    "out of file descriptors ({limit}): connections are refused until some end; \
                     raise the hard limit with ulimit -Hn"
                )
            });
        }
    }
}
