//! `fourwave drill --from CAPTURE`.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;
use fourwave_drill::capture::{Capture, Fitted};
use fourwave_lens::units::{counted, seconds};

use super::walk::line;
use crate::number::whole;
use crate::output::{Files, Output, Target, target};
use crate::terminal::TextArguments;
use crate::{USAGE_ERROR, print, say};

/// Capture to script.
#[derive(Debug, Args)]
#[command(next_help_heading = "Capture to script")]
pub(crate) struct FromArguments {
    /// Write a script that replays one side of a connection of a pcap or pcapng file; - is
    /// standard input
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = ["json", "ladder", "target", "jobs"])]
    from: Option<PathBuf>,

    /// Which connection; without it they are listed if there are several
    #[arg(long, value_name = "N", requires = "from", value_parser = whole::<u64>(1..=u64::MAX))]
    conn: Option<u64>,

    /// Whose side the stack under test plays; by default that where the capture was made
    #[arg(long, value_name = "IP", requires = "from")]
    local: Option<IpAddr>,

    /// Write the script into a file
    #[arg(short, long, value_name = "FILE", requires = "from", value_parser = target())]
    output: Option<Target>,
}

impl FromArguments {
    pub(super) fn is_asked(&self) -> bool {
        self.from.is_some()
    }

    /// What was given and means nothing without a capture: clap asks for one of the two ways only.
    pub(super) fn in_vain(&self) -> Option<&'static str> {
        let given = [
            (self.conn.is_some(), "--conn"),
            (self.local.is_some(), "--local"),
            (self.output.is_some(), "--output"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }

    pub(super) fn perform(&self, text: &TextArguments) -> u8 {
        match self.from.as_deref().map(|path| self.write(path, text)) {
            Some(Err(line)) => {
                say(&line);
                USAGE_ERROR
            }
            Some(Ok(())) | None => 0,
        }
    }

    fn write(&self, path: &Path, text: &TextArguments) -> Result<(), String> {
        self.files(path).check()?;
        let shown = path.display();
        let file = open(path).map_err(|error| line(path, &error))?;
        let capture = Capture::read(file).map_err(|error| format!("{shown}: {error}"))?;
        if let Some(why) = &capture.damaged {
            let read = counted(capture.packets, "packet");
            say(&format!("{shown}: only its first {read} can be read: {why}"));
        }
        let conn = match (self.conn, capture.connections()) {
            (Some(number), _) => {
                capture.connection(number).map_err(|error| format!("{shown}: {error}"))?
            }
            (None, [only]) => only,
            (None, _) if self.output.is_some() => {
                return Err(format!(
                    "{shown}: it has several connections; --conn N takes one, and without -o they \
                     are listed"
                ));
            }
            (None, _) => {
                print(&text.stdout().shown(list(&capture)));
                return Ok(());
            }
        };
        let name = match path.as_os_str() == "-" {
            true => "standard input".into(),
            false => path.file_name().unwrap_or_default().to_string_lossy(),
        };
        let script = conn.script(self.local, &name).map_err(|error| format!("{shown}: {error}"))?;
        let Fitted { text: script, failure, .. } = script;
        let target = self.output.as_ref().unwrap_or(&Target::Stdout);
        Output::write(target, script.as_bytes())?;
        if let Some((line, why)) = failure {
            let out = match target {
                Target::Stdout => "the script".to_owned(),
                target => target.to_string(),
            };
            say(&format!("{out}:{line}: the engine differs: {why}"));
        }
        Ok(())
    }

    fn files(&self, capture: &Path) -> Files {
        let mut files = Files::default();
        files.reads("the capture", capture);
        self.output.iter().for_each(|target| files.writes("--output", target));
        files
    }
}

/// A directory can be opened, and not read.
fn open(path: &Path) -> io::Result<File> {
    if path.as_os_str() == "-" {
        return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    }
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(rustix::io::Errno::ISDIR.into()),
        false => Ok(file),
    }
}

/// A line for each connection.
fn list(capture: &Capture) -> String {
    let mut out = String::new();
    for conn in capture.connections() {
        let segments = counted(conn.segments() as u64, "segment");
        out.push_str(&format!(
            "{:>4}  {} to {}: {segments} in {}; {}\n",
            conn.number,
            conn.client,
            conn.server,
            seconds(conn.lasted()),
            conn.ending(),
        ));
    }
    out.push_str("--conn N takes one of them\n");
    out
}
