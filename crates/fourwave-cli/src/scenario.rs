//! `fourwave scenario`.

use clap::Args;
use fourwave_core::Config;
use fourwave_device::tap::Direction;
use fourwave_lens::suggest::did_you_mean;
use fourwave_scenario::{Performance, Scenario, all, find, html, json, text};

use crate::output::{Files, Output, Target, Text, target};
use crate::terminal::{Screen, TextArguments};
use crate::{USAGE_ERROR, knobs, pcap, print, say};

/// An expectation was not met.
const FAILED: u8 = 1;
/// An output could not be written; the same as wrong usage.
const UNWRITTEN: u8 = USAGE_ERROR;

/// `fourwave scenario`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct ScenarioArguments {
    /// Which one; without a name they are listed
    #[arg(conflicts_with = "all")]
    name: Option<String>,

    /// Play every one and print PASS or FAIL for each
    #[arg(long, conflicts_with_all = ["json", "html"])]
    all: bool,

    /// Set a knob of the engines (see `fourwave knobs`); repeatable
    #[arg(short, long = "option", value_name = "KNOB=VALUE")]
    options: Vec<String>,

    /// Write JSON lines instead of text
    #[arg(long, requires = "name")]
    json: bool,

    /// Write a page with the ladders, beside what is printed
    #[arg(long, value_name = "FILE", requires = "name", value_parser = target())]
    html: Option<Target>,

    /// Write the packets as pcapng, for Wireshark and `fourwave trace`; lost ones too
    #[arg(long, value_name = "FILE", requires = "name", value_parser = target())]
    pcap: Option<Target>,
}

const NOTES: &str = "\
A scenario plays on the engine that `fourwave run` uses, with virtual time and fixed seeds, and \
checks its outcome. The exit status is 1 when that is not what is expected (a knob set with -o \
may well be the cause), 2 for wrong usage and for output that cannot be written.

FILE may be - for standard output; the text goes to standard error then. A file has its name, or \
takes the place of one that has it, when it is whole.

Examples:
  fourwave scenario four-waves
  fourwave scenario lost-last-ack -o tcp_timewait_len=0
  fourwave scenario too-many-time-wait --html remedies.html";

impl ScenarioArguments {
    /// Plays what was asked for; returns the exit status.
    pub(crate) fn perform(self, text: &TextArguments) -> u8 {
        let mut config = Config::default();
        for setting in &self.options {
            if let Err(line) = knobs::set(&mut config, setting) {
                say(&line);
                return USAGE_ERROR;
            }
        }
        if self.all {
            return perform_all(&config);
        }
        let Some(name) = self.name.as_deref() else {
            let screen = text.stdout();
            print(&screen.shown(text::list(screen.prose())));
            return 0;
        };
        let Some(scenario) = find(name) else {
            say(&unknown(name));
            return USAGE_ERROR;
        };
        for warning in config.warnings() {
            say(warning);
        }
        if let Err(line) = self.files().check() {
            say(&line);
            return USAGE_ERROR;
        }
        let performance = scenario.play(&config);
        let out = Text::beside(self.html.iter().chain(&self.pcap));
        if self.json {
            out.print(&json::render(&performance));
        } else {
            out.print(&text::render(&performance, &text_options(&out.screen(text))));
        }
        let unwritten = self.write(&performance).inspect_err(|line| say(line)).is_err();
        let failed = tell_failure(&performance);
        match (unwritten, failed) {
            (true, _) => UNWRITTEN,
            (false, true) => FAILED,
            (false, false) => 0,
        }
    }

    fn files(&self) -> Files {
        let mut files = Files::default();
        if self.json {
            files.takes_stdout("--json");
        }
        self.html.iter().for_each(|target| files.writes("--html", target));
        self.pcap.iter().for_each(|target| files.writes("--pcap", target));
        files
    }

    /// The page and the capture: each although the other cannot be written.
    fn write(&self, performance: &Performance) -> Result<(), String> {
        let page = self
            .html
            .as_ref()
            .map_or(Ok(()), |target| Output::write(target, html::render(performance).as_bytes()));
        let capture = self.pcap.as_ref().map_or(Ok(()), |target| {
            let packets = performance.packets();
            if packets.is_empty() {
                say(&format!("{} draws no packets: {target} has none", performance.scenario.name));
            }
            let packets = packets.into_iter();
            let packets = packets.map(|(at, packet)| (at, Direction::Received, packet));
            pcap::write(target, performance.scenario.name, packets)
        });
        match (page, capture) {
            (Err(page), Err(capture)) => Err(format!("{page}; {capture}")),
            (page, capture) => page.and(capture),
        }
    }
}

fn text_options(screen: &Screen) -> text::TextOptions {
    text::TextOptions { width: screen.prose(), ascii: screen.ascii, color: screen.color }
}

fn tell_failure(performance: &Performance) -> bool {
    if let Some(failure) = &performance.failure {
        say(&format!("{}: {failure}", performance.scenario.name));
    }
    performance.failure.is_some()
}

fn perform_all(config: &Config) -> u8 {
    let mut status = 0;
    for scenario in all() {
        let Scenario { name, .. } = scenario;
        match scenario.play(config).failure {
            None => print(&format!("PASS {name}\n")),
            Some(failure) => {
                print(&format!("FAIL {name}: {failure}\n"));
                status = FAILED;
            }
        }
    }
    status
}

fn unknown(name: &str) -> String {
    match did_you_mean(name, all().iter().map(|scenario| scenario.name)) {
        Some(question) => format!("there is no scenario {name}: {question}"),
        None => format!("there is no scenario {name}: `fourwave scenario` lists them"),
    }
}
