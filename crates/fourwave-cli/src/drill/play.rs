//! One script against one target or both.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fourwave_device::tap;
use fourwave_drill::ast;
use fourwave_drill::report::{self, Cut, Difference, JsonVerdict, TextOptions, Verdict};
use fourwave_drill::run::{self, Failure, Outcome, Report};
use fourwave_drill::virt::{Setup, Virtual};

use super::source::{Settings, Source, Unreadable, broken, read};
use super::{Target, worker};
use crate::pcap;

/// What became of a script.
pub(super) struct Played {
    pub(super) verdict: Verdict,
    /// Why it was skipped.
    pub(super) skipped: Option<String>,
    /// The two targets differ.
    pub(super) differs: bool,
    /// What is printed of it, JSON or text.
    pub(super) text: String,
}

/// Plays the script in `path`.
///
/// # Errors
/// A line about what no script can be played without: the target is not to be had.
pub(super) fn play(path: &Path, settings: &Settings) -> Result<Played, String> {
    let file = path.display().to_string();
    let source = match read(path, &settings.options) {
        Ok(source) => source,
        Err(unreadable) => return Ok(refused(&file, &unreadable, settings)),
    };
    let mut sheet = Sheet { file: &file, source: &source, settings, text: String::new() };
    match settings.target {
        Target::Virtual => {
            let report = in_virtual_time(&source);
            capture(&report, settings)?;
            Ok(sheet.one("virtual", &report))
        }
        Target::Linux => {
            let report = worker::run(path, &source, settings)?;
            capture(&report, settings)?;
            Ok(sheet.one("linux", &report))
        }
        Target::Both => {
            let theirs = worker::run(path, &source, settings)?;
            let ours = in_virtual_time(&source);
            Ok(sheet.both(&ours, &theirs))
        }
    }
}

/// Writes the packets of a run where that was asked for.
fn capture(report: &Report, settings: &Settings) -> Result<(), String> {
    let Some(target) = &settings.pcap else { return Ok(()) };
    let packets = report.packets.iter().map(|passing| {
        let direction = match passing.direction {
            ast::Direction::In => tap::Direction::Received,
            ast::Direction::Out => tap::Direction::Sent,
        };
        (passing.at, direction, &passing.packet[..])
    });
    pcap::write(target, "drill", packets)
}

fn refused(file: &str, unreadable: &Unreadable, settings: &Settings) -> Played {
    let Unreadable { line, below, span, source } = unreadable;
    let text = if settings.json {
        let verdict = JsonVerdict::Unreadable { message: line, span: *span };
        report::script_line(file, source, settings.target.name(), verdict)
    } else {
        // `file:line:column: …`, as editors like it.
        let place = span.map_or(String::new(), |span| format!(":{}:{}", span.line, span.column));
        format!("FAIL {file}{place}: {line}\n{below}")
    };
    Played { verdict: Verdict::Fail, skipped: None, differs: false, text }
}

/// Plays a script against the engine. An engine that panics fails the script and no other.
fn in_virtual_time(source: &Source) -> Report {
    let Source { script, options, .. } = source;
    let play = || run::run(script, options, &mut Virtual::new(Setup::from(options)));
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let message = format!("the engine panicked: {}", text.unwrap_or_default());
        broken(message)
    })
}

/// What is printed of one script.
struct Sheet<'a> {
    file: &'a str,
    source: &'a Source,
    settings: &'a Settings,
    text: String,
}

impl Sheet<'_> {
    fn one(&mut self, target: &str, report: &Report) -> Played {
        let verdict = Verdict::from(&report.outcome);
        let skipped = match &report.outcome {
            Outcome::Skipped(why) => Some(why.clone()),
            _ => None,
        };
        if self.settings.json {
            self.json(target, report);
        } else {
            let head = self.head(report);
            self.text.push_str(&format!("{} {head}\n", verdict.word()));
            self.details(report);
        }
        Played { verdict, skipped, differs: false, text: std::mem::take(&mut self.text) }
    }

    /// `file`, and after a colon what became of it.
    fn head(&self, report: &Report) -> String {
        match &report.outcome {
            Outcome::Passed => self.file.to_owned(),
            Outcome::Skipped(why) => format!("{}: {why}", self.file),
            Outcome::Failed(failure) if failure.event.is_none() || failure.span.line == 0 => {
                format!("{}: {}", self.file, failure.message)
            }
            Outcome::Failed(failure) => {
                format!("{}:{}: {}", self.file, failure.span.line, failure.message)
            }
        }
    }

    fn json(&mut self, target: &str, report: &Report) {
        let verdict = JsonVerdict::Played(report);
        self.text.push_str(&report::script_line(self.file, &self.source.text, target, verdict));
    }

    /// Everything below the line of a script.
    fn details(&mut self, report: &Report) {
        let options = TextOptions { color: self.settings.screen.color };
        for warning in &report.warnings {
            let Failure { span, message, .. } = warning;
            self.text.push_str(&format!("  warning: line {}: {message}\n", span.line));
            let shown = report::failure(self.file, &self.source.text, warning, &options);
            self.text.push_str(&shown);
        }
        let mut cut = Cut::Nowhere;
        if let Outcome::Failed(failure) = &report.outcome {
            let shown = report::failure(self.file, &self.source.text, failure, &options);
            self.text.push_str(&shown);
            cut = Cut::At(failure.at);
        }
        let failed = matches!(report.outcome, Outcome::Failed(_));
        if self.settings.ladder && failed || self.settings.always_ladder {
            let local = self.source.options.local();
            let drawn = report::ladder(report, local, cut, &self.settings.screen.ladder());
            self.text.push_str(&drawn);
        }
    }

    fn both(&mut self, ours: &Report, theirs: &Report) -> Played {
        let difference = report::difference(&self.source.script, ours, theirs);
        let (a, b) = (Verdict::from(&ours.outcome), Verdict::from(&theirs.outcome));
        let verdict = match (a, b) {
            _ if difference.is_some() => Verdict::Fail,
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Skip, _) | (_, Verdict::Skip) => Verdict::Skip,
            (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
        };
        let skipped = match (&ours.outcome, &theirs.outcome) {
            _ if verdict != Verdict::Skip => None,
            (Outcome::Skipped(why), _) => Some(format!("virtual: {why}")),
            (_, Outcome::Skipped(why)) => Some(format!("linux: {why}")),
            _ => None,
        };
        if self.settings.json {
            self.json("virtual", ours);
            self.json("linux", theirs);
            if let Some(difference) = &difference {
                let line = report::difference_line(self.file, &self.source.text, difference);
                self.text.push_str(&line);
            }
        } else {
            self.both_in_words(verdict, skipped.as_deref(), difference.as_ref(), [ours, theirs]);
        }
        let differs = difference.is_some();
        Played { verdict, skipped, differs, text: std::mem::take(&mut self.text) }
    }

    fn both_in_words(
        &mut self,
        verdict: Verdict,
        skipped: Option<&str>,
        difference: Option<&Difference>,
        reports: [&Report; 2],
    ) {
        let word = verdict.word();
        match (difference, skipped) {
            (Some(Difference { span, ours, theirs }), _) => {
                let line = span.map_or(String::new(), |span| format!(":{}", span.line));
                let head = format!("{word} {}{line}: the targets differ\n", self.file);
                self.text.push_str(&head);
                self.text.push_str(&format!("    virtual   {ours}\n    linux     {theirs}\n"));
            }
            (None, Some(why)) => self.text.push_str(&format!("{word} {}: {why}\n", self.file)),
            (None, None) if verdict == Verdict::Pass => {
                self.text.push_str(&format!("{word} {}\n", self.file));
            }
            (None, None) => {
                self.text.push_str(&format!("{word} {}: on each target alike\n", self.file));
            }
        }
        for (name, report) in ["virtual", "linux"].into_iter().zip(reports) {
            if matches!(report.outcome, Outcome::Failed(_)) || self.settings.always_ladder {
                let head = self.head(report);
                self.text.push_str(&format!("  {name}: {head}\n"));
                self.details(report);
            }
        }
    }
}
