//! Where the program writes: standard output, standard error, and the files of a command line.
//!
//! | question | file |
//! | --- | --- |
//! | is an output the same file as an input or another output? | `files.rs` |
//! | a file that appears when it is whole | `whole.rs` |

mod files;
#[cfg(test)]
mod tests;
mod whole;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

pub(crate) use fourwave_gateway::notice::{in_ascii, say};
use fourwave_linux::reason;

use crate::USAGE_ERROR;
use crate::terminal::{Screen, TextArguments};
pub(crate) use files::Files;
pub(crate) use whole::Output;

/// Where an option's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output: `-`, `/dev/stdout`.
    Stdout,
    /// Standard error: `/dev/stderr`.
    Stderr,
    /// A file, a pipe with a name, a device.
    File(PathBuf),
}

impl Target {
    /// Reads an option's value.
    fn parse(text: OsString) -> Result<Self, &'static str> {
        match text.to_str() {
            Some("") => Err("a file is expected, or - for standard output"),
            // Opened by these names, a file that a shell opened would be cut to nothing.
            Some("-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Ok(Self::Stdout),
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => Ok(Self::Stderr),
            _ => Ok(Self::File(text.into())),
        }
    }

    /// A line about what `error` is about: an output that cannot be written.
    pub(crate) fn unwritable(&self, error: &io::Error) -> String {
        let why = reason(error);
        match self {
            Self::Stdout => format!("the output cannot be written: {why}"),
            target => format!("{target} cannot be written: {why}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::Stderr => f.write_str("/dev/stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The value of an option that names an output.
pub(crate) fn target() -> impl TypedValueParser<Value = Target> {
    OsStringValueParser::new().try_map(Target::parse)
}

/// Where the text goes that a person reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Stdout,
    /// Standard output is an option's.
    Stderr,
}

impl Text {
    /// Out of the way of what goes to `targets`.
    pub(crate) fn beside<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Self {
        let taken = targets.into_iter().any(|target| *target == Target::Stdout);
        if taken { Self::Stderr } else { Self::Stdout }
    }

    /// How it looks there.
    pub(crate) fn screen(self, text: &TextArguments) -> Screen {
        match self {
            Self::Stdout => text.stdout(),
            Self::Stderr => text.stderr(),
        }
    }

    /// A reader that stops early is no error; what cannot be written for another reason ends it
    /// all.
    pub(crate) fn print(self, text: &str) {
        let written = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
        };
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                say(&format!("the output cannot be written: {}", reason(&error)));
                std::process::exit(USAGE_ERROR.into());
            }
            _ => {}
        }
    }
}

/// Text on standard output.
pub(crate) fn print(text: &str) {
    Text::Stdout.print(text);
}
