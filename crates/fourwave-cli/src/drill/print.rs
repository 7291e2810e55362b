//! What is printed of all scripts together.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use fourwave_drill::report::{Verdict, summary_line};

use super::play::Played;
use super::source::Settings;

/// Reasons for skipping that are counted by themselves at the end.
const MOST_REASONS: usize = 20;

/// Prints scripts as they come, and counts.
pub(super) struct Printer<'a> {
    settings: &'a Settings,
    quiet: bool,
    total: usize,
    /// There is someone who wants to see how far it is.
    live: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    differ: usize,
    reasons: BTreeMap<String, usize>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(settings: &'a Settings, quiet: bool, total: usize) -> Self {
        let shown = std::io::stdout().is_terminal();
        // Lines that scroll by are progress enough.
        let live = settings.progress.live && (quiet || !shown) && total > 1;
        Self {
            settings,
            quiet,
            total,
            live,
            passed: 0,
            failed: 0,
            skipped: 0,
            differ: 0,
            reasons: BTreeMap::new(),
        }
    }

    pub(super) fn script(&mut self, played: &Played) {
        match played.verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail => self.failed += 1,
            Verdict::Skip => self.skipped += 1,
        }
        self.differ += usize::from(played.differs);
        if let Some(reason) = &played.skipped {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        }
        if !(self.quiet && played.verdict == Verdict::Pass) {
            self.clear();
            self.print(played.text.clone());
        }
    }

    /// Text or, of scripts, JSON.
    fn print(&self, text: String) {
        let Settings { json, out, screen, .. } = self.settings;
        out.print(&if *json { text } else { screen.shown(text) });
    }

    /// So many scripts have been played.
    pub(super) fn progress(&self, done: usize) {
        if self.live {
            let Self { total, failed, .. } = self;
            let _closed = write!(std::io::stderr(), "\r{done}/{total} scripts, {failed} failed");
        }
    }

    fn clear(&self) {
        if self.live {
            let _closed = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// The end; whether nothing failed.
    pub(super) fn finish(&self) -> bool {
        self.clear();
        let Self { passed, failed, skipped, differ, reasons, settings, .. } = self;
        if settings.json {
            let counts = [*passed, *failed, *skipped];
            settings.out.print(&summary_line(settings.target.name(), counts, *differ, reasons));
            return *failed == 0;
        }
        if *skipped > 1 {
            self.print(self.grouped());
        }
        self.print(format!("{passed} passed, {failed} failed, {skipped} skipped\n"));
        *failed == 0
    }

    /// Why scripts were skipped, the most frequent reason first.
    fn grouped(&self) -> String {
        let mut sorted: Vec<(&String, &usize)> = self.reasons.iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut out = "skipped for:\n".to_owned();
        for (reason, count) in sorted.iter().take(MOST_REASONS) {
            out.push_str(&format!("{count:>6}  {reason}\n"));
        }
        if let Some(more @ 1..) = sorted.len().checked_sub(MOST_REASONS) {
            out.push_str(&format!("        and {more} other reasons\n"));
        }
        out
    }
}
