//! Each state, each knob and each finding, for who reads its name for the first time.

mod findings;
mod knobs;
mod states;

use std::fmt::Write;

use fourwave_core::Config;
use fourwave_core::config::Unit;
use fourwave_core::state::{Input, State, next};
use fourwave_lens::suggest::did_you_mean;
use thiserror::Error;

use crate::FindingKind;
use crate::words::wrapped;

/// Nothing has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no state, knob or finding {name}: {hint}")]
pub struct UnknownName {
    /// What was asked for.
    pub name: String,
    /// The nearest name, or where all of them are.
    pub hint: String,
}

/// What is known of a name: a state (`CLOSE_WAIT`, `CLOSE-WAIT`, `close_wait`), a knob
/// (`tcp_tw_reuse`, `net.ipv4.tcp_tw_reuse`) or a finding (`close-wait-leak`). `list` gives all
/// names. Text of up to `width` columns, 40 at least, that ends with a line feed.
///
/// # Errors
/// Another name; the error names the nearest one.
pub fn explain(name: &str, width: usize) -> Result<String, UnknownName> {
    let (plain, width) = (plain(name), width.max(40));
    if plain == "list" {
        return Ok(list(width));
    }
    if let Some(state) = State::ALL.into_iter().find(|state| is_state(*state, &plain)) {
        return Ok(state_text(state, width));
    }
    if let Some(kind) = FindingKind::ALL.into_iter().find(|one| self::plain(one.name()) == plain) {
        return Ok(finding_text(kind, width));
    }
    knob_text(&plain, width).ok_or_else(|| {
        let hint = did_you_mean(&plain, names())
            .unwrap_or_else(|| "`fourwave doctor --explain list` has the names".to_owned());
        UnknownName { name: name.to_owned(), hint }
    })
}

/// Every name that [`explain`] knows, states first, then findings, then knobs in alphabetical
/// order.
pub fn names() -> Vec<&'static str> {
    let states = State::ALL.map(State::name);
    let findings = FindingKind::ALL.map(FindingKind::name);
    let mut knobs: Vec<&'static str> = knobs::NOTES.iter().map(|note| note.name).collect();
    knobs.extend(Config::knobs().iter().map(|knob| knob.name));
    knobs.sort_unstable();
    knobs.dedup();
    states.into_iter().chain(findings).chain(knobs).collect()
}

fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase().replace('-', "_");
    let bare = name.strip_prefix("net.").unwrap_or(&name);
    let bare = ["ipv4.", "core."].iter().find_map(|one| bare.strip_prefix(one)).unwrap_or(bare);
    bare.to_owned()
}

fn is_state(state: State, plain: &str) -> bool {
    let ours = state.name().to_lowercase();
    let short = ours.replace("_1", "1").replace("_2", "2");
    let ss = state.ss_name().to_lowercase().replace('-', "_");
    // /proc and netstat shorten it otherwise.
    let other = if state == State::SynReceived { "syn_rcvd" } else { &ours };
    [ours.as_str(), &short, &ss, other].contains(&plain)
}

/// Paragraphs under labels.
struct Text {
    text: String,
    width: usize,
}

impl Text {
    fn new(width: usize) -> Self {
        Self { text: String::new(), width }
    }

    fn paragraph(&mut self, indent: usize, lead: &str, text: &str) {
        let mut lead = format!("{:indent$}{lead}", "");
        let hang = lead.chars().count();
        for line in wrapped(text, self.width.saturating_sub(hang)) {
            let _infallible = writeln!(self.text, "{}", format!("{lead}{line}").trim_end());
            lead = " ".repeat(hang);
        }
    }

    fn labelled(&mut self, label: &str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        let _infallible = writeln!(self.text, "\n{label}");
        for text in texts {
            self.paragraph(2, "- ", text);
        }
    }

    fn see(&mut self, names: &[&str]) {
        if !names.is_empty() {
            self.text.push('\n');
            self.paragraph(0, "see also: ", &names.join(", "));
        }
    }
}

fn list(width: usize) -> String {
    let mut text = Text::new(width);
    let all = names();
    let (states, rest) = all.split_at(State::ALL.len());
    let (findings, knobs) = rest.split_at(FindingKind::ALL.len());
    for (label, names) in [("states: ", states), ("findings: ", findings), ("knobs: ", knobs)] {
        text.paragraph(0, label, &names.join(", "));
    }
    text.text
}

fn state_text(state: State, width: usize) -> String {
    let note = states::note(state);
    let mut text = Text::new(width);
    let head = if state.ss_name() == state.name() {
        state.name().to_owned()
    } else {
        format!("{} (`ss`: {})", state.name(), state.ss_name())
    };
    text.paragraph(0, "", &head);
    text.text.push('\n');
    text.paragraph(0, "", note.what);
    let ways = |from: State, to: State| {
        let leads = |input: &&Input| next(from, **input) == Ok(to);
        let words: Vec<&str> =
            Input::ALL.iter().filter(leads).map(|input| states::input(from, *input)).collect();
        words.join("; or ")
    };
    let others = || State::ALL.into_iter().filter(|other| *other != state);
    let list = |lead: &str, pairs: Vec<(State, String)>| -> Vec<String> {
        let given = pairs.into_iter().filter(|(_, why)| !why.is_empty());
        given.map(|(other, why)| format!("{lead} {other}: {why}")).collect()
    };
    let before = others().map(|other| (other, ways(other, state))).collect();
    let after = others().map(|other| (other, ways(state, other))).collect();
    text.labelled("how a connection gets here", &list("from", before));
    text.labelled("how it gets on", &list("to", after));
    let own = |lines: &[&str]| -> Vec<String> { lines.iter().map(|s| (*s).to_owned()).collect() };
    text.labelled("how long, and what ends it", &own(&[note.ends]));
    text.labelled("many of them", &own(note.many));
    text.see(note.see);
    text.text
}

fn finding_text(kind: FindingKind, width: usize) -> String {
    let note = findings::note(kind);
    let own = |lines: &[&str]| -> Vec<String> { lines.iter().map(|s| (*s).to_owned()).collect() };
    let mut text = Text::new(width);
    text.paragraph(0, "", kind.name());
    text.text.push('\n');
    text.paragraph(0, "", note.what);
    text.labelled("when it is found", &own(note.when));
    text.labelled("how to look by hand", &own(note.by_hand));
    text.labelled("what helps, in this order", &own(note.helps));
    text.labelled("what does not", &own(note.does_not_help));
    text.see(note.see);
    text.text
}

/// A knob that has a note, one of `fourwave`'s own, or both.
fn knob_text(plain: &str, width: usize) -> Option<String> {
    let note = knobs::NOTES.iter().find(|note| note.name.to_lowercase() == *plain);
    let knob = Config::knobs().iter().find(|knob| knob.name == plain);
    let name = note.map(|note| note.name).or(knob.map(|knob| knob.name))?;
    let mut text = Text::new(width);
    let place = match note.map(|note| note.place) {
        Some(place) => format!("{name}: {place}"),
        None => name.to_owned(),
    };
    text.paragraph(0, "", &place);
    text.text.push('\n');
    if let Some(note) = note {
        text.paragraph(0, "", note.what);
        let own = |all: &[&str]| -> Vec<String> { all.iter().map(|s| (*s).to_owned()).collect() };
        text.labelled("limits", &own(note.limits));
    }
    if let Some(knob) = knob {
        let range = match knob.unit {
            Unit::Name(names) => names.join(", "),
            unit => format!("{} to {}{}", knob.min, knob.max, unit.suffix()),
        };
        let default = knob.show(knob.default);
        let own = format!("{} Default {default}, {range}.", knob.about);
        text.labelled("in `fourwave run` and `drill` (-o)", &[own]);
    }
    if let Some(note) = note {
        text.see(note.see);
    }
    Some(text.text)
}

#[cfg(test)]
mod tests;
