//! What the table knows and what a key does to it; nothing is drawn here.

use std::collections::VecDeque;
use std::time::Duration;

use fourwave_core::state::State;
use termina::event::{KeyCode, KeyEvent, Modifiers};

use super::sampler::Report;
use crate::statistics::{Destination, Statistics};
use crate::{Finding, GatherError, Limitation, Scope};

/// Samples that a sparkline remembers.
const HISTORY: usize = 120;

/// By what destinations are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Ports taken.
    Used,
    /// The time that is left.
    Time,
    /// TIME_WAIT.
    TimeWait,
    /// Address.
    Address,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Used => Self::Time,
            Self::Time => Self::TimeWait,
            Self::TimeWait => Self::Address,
            Self::Address => Self::Used,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Used => "ports taken",
            Self::Time => "time left",
            Self::TimeWait => "TIME_WAIT",
            Self::Address => "address",
        }
    }
}

/// What is shown over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    /// The finding that is selected, scrolled by so many lines.
    Finding(u16),
    Help,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Turn {
    GoOn,
    Quit,
}

/// Everything that is drawn.
pub(super) struct View {
    /// What is examined, in words.
    pub(super) scope: String,
    pub(super) every: Duration,
    pub(super) statistics: Option<Statistics>,
    pub(super) findings: Vec<Finding>,
    pub(super) limitations: Vec<Limitation>,
    /// How long the last sample took.
    pub(super) took: Duration,
    /// Counts of each of [`crate::STATES`], the newest last.
    history: VecDeque<Vec<u64>>,
    /// Why the last sample failed.
    pub(super) failed: Option<String>,
    selected: usize,
    /// A person has chosen; until then the worst is selected.
    chosen: bool,
    pub(super) order: Order,
    pub(super) paused: bool,
    pub(super) over: Over,
}

impl View {
    pub(super) fn new(scope: &Scope, every: Duration) -> Self {
        let scope = match scope {
            Scope::Own => "this network namespace".to_owned(),
            Scope::Pid(pid) => format!("the namespace of process {pid}"),
            Scope::Netns(name) => format!("namespace {name}"),
        };
        Self {
            scope,
            every,
            statistics: None,
            findings: Vec::new(),
            limitations: Vec::new(),
            took: Duration::ZERO,
            history: VecDeque::new(),
            failed: None,
            selected: 0,
            chosen: false,
            order: Order::Used,
            paused: false,
            over: Over::Nothing,
        }
    }

    /// Takes a sample over; whether there is something new to draw. What is shown stands still
    /// while it is paused.
    pub(super) fn take(&mut self, report: Result<Report, GatherError>) -> bool {
        if self.paused {
            return false;
        }
        match report {
            Err(error) => self.failed = Some(error.to_string()),
            Ok(Report { statistics, findings, limitations, took }) => {
                self.failed = None;
                (self.took, self.limitations) = (took, limitations);
                self.findings(findings);
                self.history.push_back(statistics.states.iter().map(|(_, count)| *count).collect());
                if self.history.len() > HISTORY {
                    self.history.pop_front();
                }
                self.statistics = Some(statistics);
                self.sort();
            }
        }
        true
    }

    /// The selected finding stays selected, wherever it went.
    fn findings(&mut self, findings: Vec<Finding>) {
        let same = |one: &Finding| {
            self.selected().is_some_and(|old| (old.kind, &old.about) == (one.kind, &one.about))
        };
        let place = findings.iter().position(same);
        if place.is_none() && matches!(self.over, Over::Finding(_)) {
            self.over = Over::Nothing;
        }
        let place = if self.chosen { place.unwrap_or(self.selected) } else { 0 };
        self.selected = place.min(findings.len().saturating_sub(1));
        self.findings = findings;
    }

    /// The finding that is selected.
    pub(super) fn selected(&self) -> Option<&Finding> {
        self.findings.get(self.selected)
    }

    /// Its place among the findings.
    pub(super) fn place(&self) -> Option<usize> {
        self.selected().map(|_| self.selected)
    }

    /// A state's count now and in the sample before; twice the same where there was none.
    pub(super) fn change(&self, at: usize) -> (u64, u64) {
        let mut newest = self.history.iter().rev().filter_map(|counts| counts.get(at).copied());
        let now = newest.next().unwrap_or(0);
        (now, newest.next().unwrap_or(now))
    }

    /// The last counts of a state, at most so many, the newest last.
    pub(super) fn past(&self, at: usize, width: usize) -> Vec<u64> {
        let skip = self.history.len().saturating_sub(width);
        self.history.iter().skip(skip).filter_map(|counts| counts.get(at).copied()).collect()
    }

    /// Sockets in a state.
    pub(super) fn count(&self, state: State) -> u64 {
        self.statistics.as_ref().map_or(0, |statistics| statistics.count(state))
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Turn {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(Modifiers::CONTROL) {
            return Turn::Quit;
        }
        match (key.code, self.over) {
            (KeyCode::Char('q'), _) => return Turn::Quit,
            (KeyCode::Char('p' | ' '), _) => self.paused = !self.paused,
            (KeyCode::Char('?' | 'h'), over) => {
                self.over = if over == Over::Help { Over::Nothing } else { Over::Help };
            }
            (KeyCode::Escape, _) | (KeyCode::Enter, Over::Finding(_) | Over::Help) => {
                self.over = Over::Nothing;
            }
            (KeyCode::Enter, Over::Nothing) if self.selected().is_some() => {
                self.chosen = true;
                self.over = Over::Finding(0);
            }
            (KeyCode::Char('s'), _) => {
                self.order = self.order.next();
                self.sort();
            }
            (code, Over::Finding(lines)) => self.over = Over::Finding(scrolled(lines, code)),
            (code, Over::Nothing) => {
                let last = self.findings.len().saturating_sub(1);
                self.chosen = true;
                self.selected = usize::from(scrolled(self.selected as u16, code)).min(last);
            }
            _ => {}
        }
        Turn::GoOn
    }

    /// A finding's text has so many lines more than fit: it scrolls no further.
    pub(super) fn scroll_at_most(&mut self, most: u16) {
        if let Over::Finding(lines) = &mut self.over {
            *lines = (*lines).min(most);
        }
    }

    fn sort(&mut self) {
        let Some(statistics) = &mut self.statistics else { return };
        let rows = &mut statistics.destinations;
        // From the order that the numbers have, so that equals stay in it.
        rows.sort_by(|a, b| (b.used, a.to, a.from).cmp(&(a.used, b.to, b.from)));
        let left = |row: &Destination| row.exhausted_in().unwrap_or(Duration::MAX);
        match self.order {
            Order::Used => {}
            Order::Time => rows.sort_by_key(left),
            Order::TimeWait => rows.sort_by_key(|row| std::cmp::Reverse(row.time_wait)),
            Order::Address => rows.sort_by_key(|row| (row.to, row.from)),
        }
    }
}

/// Where a key moves to from `at`; the end is for the caller to know.
fn scrolled(at: u16, code: KeyCode) -> u16 {
    match code {
        KeyCode::Down | KeyCode::Char('j') => at.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => at.saturating_add(10),
        KeyCode::PageUp => at.saturating_sub(10),
        KeyCode::Home => 0,
        KeyCode::End => u16::MAX,
        _ => at,
    }
}
