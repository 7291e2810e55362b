//! `fourwave doctor`.
//!
//! | question | file |
//! | --- | --- |
//! | times and thresholds as they are typed | `options.rs` |
//! | one look and its report | `once.rs` |
//! | many looks: the table, lines, metrics | `follow.rs` |

mod follow;
mod once;
mod options;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fourwave_doctor::explain::explain;
use fourwave_doctor::{Scope, THRESHOLDS, Thresholds};

use crate::output::Files;
use crate::terminal::{Screen, TextArguments};
use crate::{USAGE_ERROR, print, say};
use once::Form;
use options::{parse_address, parse_pid, parse_time};

/// There is something to be said about the host.
const FINDINGS: u8 = 1;
/// Nothing could be examined; the same as wrong usage.
const NO_LOOK: u8 = USAGE_ERROR;

/// `fourwave doctor`.
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub(crate) struct DoctorArguments {
    /// Time between the two samples that are compared; with --watch between redraws, with
    /// --listen the least time between two samples (100ms to 1h)
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    sample: Duration,

    /// Follow live in a table that redraws; where standard output is no terminal, one report after
    /// the other
    #[arg(long, conflicts_with_all = ["fix", "listen"])]
    watch: bool,

    /// Write JSON lines instead of text
    #[arg(long, conflicts_with_all = ["fix", "listen"])]
    json: bool,

    /// Explain a state, a knob or a finding; without a name they are listed
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = [
        "sample", "watch", "json", "fix", "listen", "pid", "netns", "settings", "config",
    ])]
    explain: Option<Option<String>>,

    /// Print the commands that would change the host; nothing is changed
    #[arg(long, conflicts_with = "listen")]
    fix: bool,

    /// Serve metrics for Prometheus at http://ADDR/metrics until interrupted
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Option<SocketAddr>,

    /// Examine the network namespace of this process (a container)
    #[arg(long, value_name = "PID", conflicts_with = "netns", value_parser = parse_pid)]
    pid: Option<u32>,

    /// Examine this network namespace: a name of `ip netns`, or a path
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,

    /// Set a threshold for findings (see below); repeatable
    #[arg(long = "set", value_name = "THRESHOLD=VALUE")]
    settings: Vec<String>,

    /// Read thresholds from a TOML file (`close_wait = 50`); --set overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const NOTES: &str = "\
Takes two samples of the host's own TCP sockets and reports what is wrong, most severe first: \
evidence, cause, what to change in the program, then on the host, and what does not help. \
Nothing is changed. docs/doctor.md has more.

The exit status is 0 when there is nothing to say, 1 when there are findings, 2 for wrong usage \
and when nothing could be examined. With --watch and --listen it is 0 when they are ended.

Root adds: which program has a socket of another user, and the network namespaces of others \
(--pid, --netns). What could not be examined is listed at the end of the report.";

const EXAMPLES: &str = "\
Examples:
  fourwave doctor
  fourwave doctor --sample 10s --json
  fourwave doctor --watch
  fourwave doctor --set close_wait=50 --set ports=90%
  fourwave doctor --explain TIME_WAIT
  fourwave doctor --fix
  fourwave doctor --pid $(docker inspect -f '{{.State.Pid}}' web)
  fourwave doctor --listen 127.0.0.1:9464";

fn notes() -> String {
    let defaults = Thresholds::default();
    let rows = THRESHOLDS.map(|one| {
        let value = defaults.show(one.name).unwrap_or_default();
        format!("  {:<16} {value:>6}  {}\n", one.name, one.about)
    });
    format!(
        "{NOTES}\n\nThresholds (--set, --config), with their defaults:\n{}\n{EXAMPLES}",
        rows.concat()
    )
}

impl DoctorArguments {
    /// Takes samples and reports; returns the exit status.
    pub(crate) fn perform(self, text: &TextArguments) -> u8 {
        let done = match &self.explain {
            Some(name) => teach(name.as_deref(), &text.stdout()),
            None => self.diagnosis(text),
        };
        done.unwrap_or_else(|line| {
            say(&line);
            NO_LOOK
        })
    }

    fn diagnosis(self, text: &TextArguments) -> Result<u8, String> {
        let mut files = Files::default();
        self.config.iter().for_each(|path| files.reads("--config", path));
        files.check()?;
        let thresholds = self.thresholds()?;
        let screen = text.stdout();
        let order = Order { scope: self.scope(), thresholds, sample: self.sample, screen };
        let form = match (self.json, self.fix) {
            (true, _) => Form::Json,
            (false, true) => Form::Fix,
            (false, false) => Form::Text,
        };
        if let Some(address) = self.listen {
            return follow::serve(order, address);
        }
        if !self.watch {
            return once::diagnosis(order, form, text.stderr().live);
        }
        if form == Form::Text && screen.live {
            return follow::table(order);
        }
        follow::stream(order, form)
    }

    fn thresholds(&self) -> Result<Thresholds, String> {
        let mut thresholds = Thresholds::default();
        if let Some(path) = &self.config {
            options::read_file(&mut thresholds, path)?;
        }
        for setting in &self.settings {
            options::set(&mut thresholds, setting)?;
        }
        Ok(thresholds)
    }

    fn scope(&self) -> Scope {
        match (self.pid, &self.netns) {
            (Some(pid), _) => Scope::Pid(pid),
            (None, Some(name)) => Scope::Netns(name.clone()),
            (None, None) => Scope::Own,
        }
    }
}

/// One state, knob or finding; without a name what there is.
fn teach(name: Option<&str>, screen: &Screen) -> Result<u8, String> {
    let text =
        explain(name.unwrap_or("list"), screen.prose()).map_err(|error| error.to_string())?;
    print(&screen.shown(text));
    Ok(0)
}

/// What is to be examined, and how.
pub(crate) struct Order {
    pub(crate) scope: Scope,
    pub(crate) thresholds: Thresholds,
    /// Time between two samples.
    pub(crate) sample: Duration,
    /// Where it is reported.
    pub(crate) screen: Screen,
}
