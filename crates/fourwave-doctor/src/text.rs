//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use fourwave_core::state::State;
use fourwave_lens::paint::to_ascii;

use crate::words::{count, of, share, span, wrapped};
use crate::{Finding, Sample, Scope, Severity, Statistics};

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns; text is wrapped to them, at least 40. Commands are not.
    pub width: usize,
    /// Colours by ANSI escapes.
    pub color: bool,
    /// Nothing but ASCII.
    pub ascii: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { width: 100, color: false, ascii: false }
    }
}

/// The whole report: the host in numbers, the findings, what could not be examined. Ends with a
/// line feed.
pub fn report(sample: &Sample, findings: &[Finding], options: &TextOptions) -> String {
    let mut page = Page::new(options);
    header(&mut page, sample);
    page.feed();
    if findings.is_empty() {
        healthy(&mut page, sample);
    } else {
        summary(&mut page, findings);
        for (number, finding) in findings.iter().enumerate() {
            page.feed();
            one(&mut page, number + 1, finding);
        }
    }
    if !sample.after.limitations.is_empty() {
        page.feed();
        page.line(Paint::Dim, "not examined", "");
        for limitation in &sample.after.limitations {
            page.item(&format!("{}: {}", limitation.what, limitation.remedy));
        }
    }
    page.text
}

/// One finding as in the report, with its number before it; for a table that shows one.
pub fn finding(number: usize, finding: &Finding, options: &TextOptions) -> String {
    let mut page = Page::new(options);
    one(&mut page, number, finding);
    page.text
}

#[derive(Clone, Copy)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Cyan,
    Green,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Yellow => "1;33",
            Self::Cyan => "1;36",
            Self::Green => "1;32",
        }
    }
}

struct Page {
    text: String,
    width: usize,
    color: bool,
    ascii: bool,
}

impl Page {
    fn new(options: &TextOptions) -> Self {
        let TextOptions { width, color, ascii } = *options;
        Self { text: String::new(), width: width.max(40), color, ascii }
    }

    fn feed(&mut self) {
        self.text.push('\n');
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color && !paint.code().is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", paint.code())
        } else {
            text.to_owned()
        }
    }

    /// What goes out: control characters of a program's name never do.
    fn clean(&self, text: &str) -> String {
        let text = text.replace(char::is_control, "?");
        if self.ascii { to_ascii(&text) } else { text }
    }

    /// `label   text`, wrapped under the text.
    fn line(&mut self, paint: Paint, label: &str, text: &str) {
        const INDENT: usize = 16;
        let text = self.clean(text);
        let mut lines = wrapped(&text, self.width.saturating_sub(INDENT)).into_iter();
        let first = lines.next().unwrap_or_default();
        let label = self.paint(paint, &format!("{label:<INDENT$}"));
        let _infallible = writeln!(self.text, "{}", format!("{label}{first}").trim_end());
        for line in lines {
            let _infallible = writeln!(self.text, "{:INDENT$}{line}", "");
        }
    }

    /// `    - text`, wrapped under the text.
    fn item(&mut self, text: &str) {
        let text = self.clean(text);
        let mut lead = "    - ";
        for line in wrapped(&text, self.width.saturating_sub(lead.len())) {
            let _infallible = writeln!(self.text, "{lead}{line}");
            lead = "      ";
        }
    }
}

fn header(page: &mut Page, sample: &Sample) {
    let statistics = Statistics::of(sample);
    let now = &sample.after;
    let place = match &now.scope {
        Scope::Own => "this network namespace".to_owned(),
        Scope::Pid(pid) => format!("the network namespace of pid {pid}"),
        Scope::Netns(name) => format!("the network namespace {name}"),
    };
    let watched = if sample.interval.is_zero() {
        "at one moment".to_owned()
    } else {
        format!("watched for {}", span(sample.interval))
    };
    page.line(Paint::Bold, "examined", &format!("{place}, {watched}"));
    page.line(Paint::Bold, "sockets", &sockets(&statistics));
    page.line(Paint::Bold, "ports", &ports(sample, &statistics));
    let orphans = match now.orphans.limit {
        0 => format!("{} on the whole host", count(now.orphans.now)),
        limit => format!(
            "{} on the whole host, of {} (tcp_max_orphans)",
            count(now.orphans.now),
            count(limit)
        ),
    };
    page.line(Paint::Bold, "orphans", &orphans);
    page.line(Paint::Bold, "listeners", &listeners(&statistics));
}

fn sockets(statistics: &Statistics) -> String {
    let parts: Vec<String> = statistics
        .states
        .iter()
        .filter(|(state, number)| *state != State::Listen && *number > 0)
        .map(|(state, number)| format!("{} {}", count(*number), state.name()))
        .collect();
    if parts.is_empty() { "none but listeners".to_owned() } else { parts.join(", ") }
}

fn ports(sample: &Sample, statistics: &Statistics) -> String {
    let range = &sample.after.ports.range;
    let all = u64::from(sample.after.ports.len());
    let range = format!("{}..{}: {} for each destination", range.start(), range.end(), count(all));
    match statistics.destinations.first() {
        Some(most) => {
            format!(
                "{range}; most in use: {} ({}) to {}",
                count(most.used),
                share(most.used, all),
                most.to
            )
        }
        None => format!("{range}; none in use"),
    }
}

fn listeners(statistics: &Statistics) -> String {
    let number = of(statistics.listeners.len() as u64, "listener");
    let number = number.trim_end_matches(" listener").trim_end_matches(" listeners");
    match statistics.listeners.iter().find(|one| one.queue > 0) {
        Some(most) => format!(
            "{number}; longest queue: {} of {} at {}",
            count(most.queue.into()),
            count(most.backlog.into()),
            most.local
        ),
        None => format!("{number}; nothing waits for accept()"),
    }
}

fn healthy(page: &mut Page, sample: &Sample) {
    let now = &sample.after;
    let listeners = of(now.listeners.len() as u64, "listener");
    let text = format!(
        "nothing found in {} and {listeners}: no destination is short of ports, no program leaks, \
         no queue is full",
        of(now.sockets.len() as u64, "socket"),
    );
    page.line(Paint::Green, "healthy", &text);
}

fn summary(page: &mut Page, findings: &[Finding]) {
    let mut harms: BTreeMap<Severity, u64> = BTreeMap::new();
    for finding in findings {
        *harms.entry(finding.severity).or_default() += 1;
    }
    let parts: Vec<String> = harms
        .iter()
        .rev()
        .map(|(severity, number)| format!("{number} {}", severity.name()))
        .collect();
    page.line(
        Paint::Bold,
        "found",
        &format!("{}: {}", of(findings.len() as u64, "finding"), parts.join(", ")),
    );
}

fn one(page: &mut Page, number: usize, finding: &Finding) {
    let paint = match finding.severity {
        Severity::Critical => Paint::Red,
        Severity::Warning => Paint::Yellow,
        Severity::Advice => Paint::Cyan,
    };
    let label = format!("{number}. {}", finding.severity.name());
    page.line(paint, &label, &finding.headline);
    for text in &finding.evidence {
        page.item(text);
    }
    page.line(Paint::Bold, "  cause", &finding.cause);
    list(page, "  in the program", &finding.program);
    if !finding.host.is_empty() {
        page.line(Paint::Bold, "  on the host", "");
        for command in &finding.host {
            let line = page.clean(&command.line);
            let line = page.paint(Paint::Plain, &line);
            let _infallible = writeln!(page.text, "    $ {line}");
            let effect = page.clean(&command.effect);
            for line in wrapped(&effect, page.width.saturating_sub(6)) {
                let line = page.paint(Paint::Dim, &line);
                let _infallible = writeln!(page.text, "      {line}");
            }
        }
    }
    list(page, "  does not help", &finding.does_not_help);
    let explain = format!("fourwave doctor --explain {}", finding.explained_by());
    page.line(Paint::Dim, "  more", &explain);
}

fn list(page: &mut Page, label: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _infallible = writeln!(page.text, "{}", page.paint(Paint::Bold, label));
    for item in items {
        page.item(item);
    }
}

#[cfg(test)]
mod tests;
