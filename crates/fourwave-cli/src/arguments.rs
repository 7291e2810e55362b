//! The command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use fourwave_gateway::FaultSpec;
use fourwave_gateway::namespace::Program;
use fourwave_gateway::run::{Drawing, OutputTo, Publish, RunOptions};

use crate::demo;
use crate::doctor::DoctorArguments;
use crate::drill::DrillArguments;
use crate::fault::parse_fault;
use crate::knobs;
use crate::number::whole;
use crate::output::{Files, Target, target};
use crate::publish::parse_publish;
use crate::scenario::ScenarioArguments;
use crate::terminal::TextArguments;
use crate::trace::TraceArguments;

/// A userspace TCP that shows each connection's life, from SYN to TIME_WAIT
#[derive(Debug, Parser)]
#[command(name = "fourwave", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) text: TextArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program in a network namespace of its own, every connection through our TCP
    #[command(after_help = RUN_NOTES)]
    Run(Box<RunArguments>),
    /// List the engine's knobs: name, default, range, meaning
    Knobs,
    /// Show on the real engine, in virtual time, how connections end
    Scenario(ScenarioArguments),
    /// Explain the TCP connections of a capture, or of an interface live
    Trace(Box<TraceArguments>),
    /// Examine this host's TCP sockets: what is wrong, why, and what to change
    Doctor(Box<DoctorArguments>),
    /// Play packetdrill scripts on the engine in virtual time, or on Linux; make them of captures
    Drill(Box<DrillArguments>),
    /// Print the version
    Version,
}

const RUN_NOTES: &str = "\
Inside, the program is 10.4.0.100 and fd04::100, the gateway 10.4.0.1 and fd04::1; it \
may listen on every port.

The exit status is the program's own; 128+N when signal N killed it; 127 when there is no \
such command, 126 when it cannot be executed, 125 when fourwave itself fails, 2 for wrong \
usage.

--ladder, --events and --pcap grow while the program runs, for `tail -f`; a file is emptied when \
the program starts. - is standard output, which is the program's too.

Needs /dev/net/tun, and user namespaces or root. Once the program runs, fourwave itself keeps \
no capability but CAP_KILL and can gain none; the program keeps its own. (Root's has a second \
process that opens no socket; it keeps CAP_SYS_PTRACE too, to find what the program leaves \
behind.) It separates networks; it is no sandbox for hostile programs: files and processes are \
the host's.

Faults (--fault); FROM is the sender, program or peer, and either where it is left out:
  drop:fin[:FROM][:N]         lose the first N FINs of each connection (1; all)
  drop:last-ack[:FROM][:N]    lose the ACK of the second FIN
  delay:fin[:FROM]:200ms      hold FINs back; delay:last-ack alike
  rst-after[:FROM]:BYTES      an RST to both ends after that much payload (64kb, 1mb)
  stall:zero-window[:BYTES]   the peer's window stays 0, at once or after that much
  loss:1% burst:8 delay:20ms±5ms reorder:1% dup:1% corrupt:0.1% rate:10mbit
  mtu:1400b                   each way, to packets; several with commas between
TARGET is HOST, HOST:PORT or :PORT of either end; an IPv6 address stands in brackets.

Examples:
  fourwave run --ladder -- curl http://example.org/
  fourwave run -p 8080:80 -- nginx -g 'daemon off;'
  fourwave run -o tcp_timewait_len=1 --pcap out.pcapng -- ./client
  fourwave run --ladder --fault drop:last-ack@:80 -- curl http://example.org/";

/// `fourwave run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Publish a port of the program on the host (IPv6 addresses in brackets); repeatable
    #[arg(short, long, value_name = "[ADDR:]HOST:PORT", value_parser = parse_publish)]
    publish: Vec<Publish>,

    /// Let the program reach the host's loopback at 10.4.0.1 and fd04::1
    #[arg(long)]
    host_loopback: bool,

    /// MTU of the program's link, 1280 to 65520 bytes
    #[arg(long, value_name = "BYTES", default_value_t = 65520,
          value_parser = whole::<u16>(1280..=65520))]
    mtu: u16,

    /// Set a knob of the engine (see `fourwave knobs`); repeatable
    #[arg(short, long = "option", value_name = "KNOB=VALUE")]
    options: Vec<String>,

    /// Inject a fault into all connections, or into those to TARGET (see below); repeatable
    #[arg(long = "fault", value_name = "SPEC[@TARGET]", value_parser = parse_fault)]
    faults: Vec<FaultSpec>,

    /// Read knobs from a TOML file (`tcp_fin_timeout = 5`); -o overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Draw each connection when it ends, on standard error or into FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true,
          value_parser = target())]
    ladder: Option<Option<Target>>,

    /// Draw connections live, on standard error: a line for each thing that happens
    #[arg(long)]
    follow: bool,

    /// Write events as JSON lines
    #[arg(long, value_name = "FILE", value_parser = target())]
    events: Option<Target>,

    /// Write the packets as pcapng
    #[arg(long, value_name = "FILE", value_parser = target())]
    pcap: Option<Target>,

    /// Keep the network up until every process in it has ended, not only the program
    #[arg(long)]
    wait: bool,

    /// No summary line at the end
    #[arg(short, long)]
    quiet: bool,

    /// Print the engine's counters at the end, under Linux's names, those that are not zero
    #[arg(long)]
    counters: bool,

    /// Run a small client against a small web server inside, and draw the ladder on standard output
    #[arg(long, conflicts_with_all = ["command", "publish"])]
    demo: bool,

    /// The command and its arguments; without any, your shell
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl RunArguments {
    /// The options of the run, or a line about what is wrong with them.
    pub(crate) fn into_options(self, text: &TextArguments) -> Result<RunOptions, String> {
        let mut config = fourwave_core::Config::default();
        if let Some(path) = &self.config {
            knobs::read_file(&mut config, path)?;
        }
        for setting in &self.options {
            knobs::set(&mut config, setting)?;
        }
        self.files().check()?;
        let ladder = match self.ladder {
            Some(target) => Some(target.unwrap_or(Target::Stderr)),
            None => self.demo.then_some(Target::Stdout),
        };
        let follow = self.follow.then_some(Target::Stderr);
        let command = if self.demo { demo::command() } else { self.command };
        Ok(RunOptions {
            program: Program { command, mtu: self.mtu },
            config,
            publish: self.publish,
            host_loopback: self.host_loopback,
            ladder: ladder.map(|to| drawing(to, text)),
            follow: follow.map(|to| drawing(to, text)),
            events: self.events.map(OutputTo::from),
            pcap: self.pcap.map(OutputTo::from),
            quiet: self.quiet,
            counters: self.counters,
            demo: self.demo,
            faults: self.faults,
            wait: self.wait,
        })
    }

    /// What is read and written, the program itself included.
    fn files(&self) -> Files {
        let mut files = Files::default();
        files.hands_on_stdin();
        self.config.iter().for_each(|path| files.reads("--config", path));
        if let Some(path) = self.command.first().and_then(|name| program_file(name)) {
            files.reads("the program", &path);
        }
        self.ladder.iter().flatten().for_each(|target| files.writes("--ladder", target));
        self.events.iter().for_each(|target| files.writes("--events", target));
        self.pcap.iter().for_each(|target| files.writes("--pcap", target));
        files
    }
}

impl From<Target> for OutputTo {
    fn from(target: Target) -> Self {
        match target {
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => Self::File(path),
        }
    }
}

fn drawing(to: Target, text: &TextArguments) -> Drawing {
    let screen = match to {
        Target::Stdout => text.stdout(),
        Target::Stderr => text.stderr(),
        Target::File(_) => text.file(),
    };
    Drawing { to: to.into(), look: screen.ladder() }
}

/// The file that a command's name stands for, where `exec` looks for it.
fn program_file(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(line: &[&str]) -> Result<RunOptions, String> {
        let line = ["fourwave", "run"].iter().chain(line);
        match Arguments::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Run(run) => run.into_options(&TextArguments::default()),
            _ => Err("no run".into()),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_is_its_own() {
        let options = run(&["-q", "--", "curl", "-p", "1", "--mtu", "x"]).unwrap();
        assert_eq!(options.program.command, ["curl", "-p", "1", "--mtu", "x"]);
        assert!(options.quiet && options.publish.is_empty());
        let options = run(&["curl", "-v", "--", "x"]).unwrap();
        assert_eq!(options.program.command, ["curl", "-v", "--", "x"]);
        assert!(run(&[]).unwrap().program.command.is_empty());
    }

    fn places(line: &[&str]) -> [Option<OutputTo>; 2] {
        let options = run(line).unwrap();
        [options.ladder, options.follow].map(|drawing| drawing.map(|drawing| drawing.to))
    }

    #[test]
    fn a_ladder_goes_to_stderr_or_into_a_file_and_never_eats_the_command() {
        let (stdout, stderr) = (Some(OutputTo::Stdout), Some(OutputTo::Stderr));
        let file = Some(OutputTo::File("l.txt".into()));
        assert_eq!(places(&["true"]), [None, None]);
        assert_eq!(places(&["--ladder", "true"]), [stderr.clone(), None]);
        assert_eq!(run(&["--ladder", "true"]).unwrap().program.command, ["true"]);
        assert_eq!(places(&["--ladder=l.txt", "true"]), [file.clone(), None]);
        assert_eq!(places(&["--ladder=-", "true"]), [stdout.clone(), None]);
        assert!(run(&["--ladder=", "true"]).is_err());
        // Each does what it says.
        assert_eq!(places(&["--follow", "true"]), [None, stderr.clone()]);
        assert_eq!(places(&["--follow", "--ladder", "true"]), [stderr.clone(), stderr.clone()]);
        assert_eq!(places(&["--follow", "--ladder=l.txt", "true"]), [file, stderr.clone()]);
        assert_eq!(places(&["--demo"]), [stdout.clone(), None]);
        assert_eq!(places(&["--demo", "--follow"]), [stdout, stderr.clone()]);
        assert_eq!(places(&["--demo", "--ladder"]), [stderr, None]);
    }

    #[test]
    fn the_mtu_has_a_range() {
        assert_eq!(run(&["true"]).unwrap().program.mtu, 65520);
        assert_eq!(run(&["--mtu", "1280", "true"]).unwrap().program.mtu, 1280);
        for bad in ["1279", "65521", "-1", "x"] {
            assert!(run(&["--mtu", bad, "true"]).is_err(), "{bad}");
        }
    }
}
