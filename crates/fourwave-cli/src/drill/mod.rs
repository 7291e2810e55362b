//! `fourwave drill`.
//!
//! | question | file |
//! | --- | --- |
//! | which scripts? | `walk.rs` |
//! | packetdrill's own options | `options.rs` |
//! | a script as it is read, what holds for all | `source.rs` |
//! | one script against a target | `play.rs`; the process for Linux: `worker.rs` |
//! | many at once, in order | `pool.rs` |
//! | what is printed | `print.rs` |
//! | capture → script | `from.rs` |

mod from;
mod options;
mod play;
mod pool;
mod print;
mod source;
mod walk;
mod worker;

use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::{Args, ValueEnum};
use fourwave_drill::run::Options;
use fourwave_lens::units::counted;

use crate::number::whole;
use crate::output::{self, Files, Text, target};
use crate::terminal::TextArguments;
use crate::{USAGE_ERROR, say};
use from::FromArguments;
use options::ScriptOptions;
use print::Printer;
use source::Settings;
pub(crate) use worker::{WORKER, work};

/// A script failed.
const FAILED: u8 = 1;

/// `fourwave drill`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct DrillArguments {
    /// Scripts, and directories that are searched for .pkt files
    #[arg(value_name = "FILE|DIR", required_unless_present = "from", conflicts_with = "from")]
    paths: Vec<PathBuf>,

    /// What the scripts are played against; linux and both need user namespaces or root
    #[arg(long, value_enum, default_value_t = Target::Virtual)]
    target: Target,

    /// Draw the packets up to the failure (and of a single script all)
    #[arg(long)]
    ladder: bool,

    /// Write JSON lines instead of text
    #[arg(long, conflicts_with = "ladder")]
    json: bool,

    /// Write the packets of a single script as pcapng, for Wireshark and `fourwave trace`
    #[arg(long, value_name = "FILE", conflicts_with = "from", value_parser = target())]
    pcap: Option<output::Target>,

    /// Print no lines for scripts that pass
    #[arg(short, long)]
    quiet: bool,

    /// Play so many scripts at once (1 to 1024; as many as there are cores, one where Linux plays)
    #[arg(short, long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    jobs: Option<u16>,

    /// Packets left unread at a script's end fail it
    #[arg(long)]
    strict: bool,

    /// Define a name for the scripts; repeatable
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE")]
    defines: Vec<String>,

    /// Which packetdrill's rules apply: auto decides for each script
    #[arg(long, value_name = "auto|linux|nplab")]
    dialect: Option<String>,

    /// Whom the engine plays: auto is FreeBSD for scripts of its dialect, Linux for all others
    #[arg(long, value_name = "auto|linux|freebsd")]
    persona: Option<String>,

    #[command(flatten)]
    script: ScriptOptions,

    #[command(flatten)]
    from: FromArguments,
}

/// What scripts are played against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The engine, in virtual time
    Virtual,
    /// The running kernel, in real time
    Linux,
    /// One after the other; where they differ the script fails
    Both,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Linux => "linux",
            Self::Both => "both",
        }
    }
}

const NOTES: &str = "\
Plays packetdrill scripts against the engine in virtual time, or against Linux. A script that \
needs what is not there is skipped, never passed. docs/drill.md has the rest.

The exit status is 0 when nothing failed, 1 when a script failed or is none, 2 for wrong usage, \
files and directories that are not there, a target that cannot be had, and output that cannot \
be written.

FILE may be - for standard output; what is said of scripts goes to standard error then. A file \
has its name, or takes the place of one that has it, when it is whole.

Examples:
  fourwave drill tests/
  fourwave drill --ladder fin-wait-2.pkt
  fourwave drill --target both --tolerance_usecs=10000 tests/
  fourwave drill --from capture.pcapng
  fourwave drill --from capture.pcapng --conn 3 --local 10.4.0.1 -o close.pkt";

impl DrillArguments {
    /// Plays what was asked for; returns the exit status.
    pub(crate) fn perform(self, text: &TextArguments) -> u8 {
        if self.from.is_asked() {
            return self.from.perform(text);
        }
        self.play(text).unwrap_or_else(|line| {
            say(&line);
            USAGE_ERROR
        })
    }

    fn play(self, text: &TextArguments) -> Result<u8, String> {
        if let Some(name) = self.from.in_vain() {
            return Err(format!("{name} goes with --from CAPTURE"));
        }
        let options = self.options()?;
        let files = walk::scripts(&self.paths)?;
        if self.pcap.is_some() && (files.len() > 1 || self.target == Target::Both) {
            let what = counted(files.len() as u64, "script");
            let target = self.target.name();
            return Err(format!("--pcap takes one script on one target, not {what} on {target}"));
        }
        self.files(&files).check()?;
        let out = Text::beside(&self.pcap);
        let settings = Settings {
            options,
            given: self.given(),
            target: self.target,
            ladder: self.ladder,
            always_ladder: self.ladder && files.len() == 1,
            json: self.json,
            out,
            screen: out.screen(text),
            progress: text.stderr(),
            pcap: self.pcap,
        };
        let cores = available_parallelism().map_or(1, usize::from);
        let jobs = match (self.jobs, self.target) {
            (Some(jobs), _) => usize::from(jobs),
            (None, Target::Virtual) => cores,
            // Real time is kept best by one at a time.
            (None, Target::Linux | Target::Both) => 1,
        };
        let mut printer = Printer::new(&settings, self.quiet, files.len());
        pool::play_all(&files, &settings, jobs, &mut printer)?;
        Ok(if printer.finish() { 0 } else { FAILED })
    }

    fn files(&self, scripts: &[PathBuf]) -> Files {
        let mut files = Files::default();
        scripts.iter().for_each(|path| files.reads("the script", path));
        if self.json {
            files.takes_stdout("--json");
        }
        self.pcap.iter().for_each(|target| files.writes("--pcap", target));
        files
    }

    fn options(&self) -> Result<Options, String> {
        let mut options = Options::default();
        for (name, value) in self.given() {
            options.set(&name, value.as_deref()).map_err(|error| error.to_string())?;
        }
        Ok(options)
    }

    /// Every option for scripts that the command line gives, by packetdrill's names.
    fn given(&self) -> Vec<(String, Option<String>)> {
        let mut all = self.script.given.clone();
        all.extend(self.defines.iter().map(|one| ("define".to_owned(), Some(one.clone()))));
        all.extend(self.dialect.iter().map(|one| ("dialect".to_owned(), Some(one.clone()))));
        all.extend(self.persona.iter().map(|one| ("persona".to_owned(), Some(one.clone()))));
        all.extend(self.strict.then(|| ("strict".to_owned(), None)));
        all
    }
}
