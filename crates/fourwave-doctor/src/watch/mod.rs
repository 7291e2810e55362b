//! The live table of `fourwave doctor --watch`.
//!
//! | question | file |
//! | --- | --- |
//! | what is known, what a key does | `view.rs` |
//! | what is drawn | `draw.rs`, the tables `tables.rs`, one finding `detail.rs` |
//! | how wide columns are | `columns.rs` |
//! | colours and boxes | `style.rs` |
//! | keys, and whether someone is there | `input.rs` |
//! | samples in the background | `sampler.rs` |

mod columns;
mod detail;
mod draw;
mod input;
mod sampler;
mod style;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use crate::gather::reason;
use crate::{Diagnosis, Examiner, GatherError, Scope, Thresholds};
use input::{Input, TerminalEvent};
use sampler::{Sampler, ended as sampler_ended};
use view::{Turn, View};

/// How often it is asked whether to end, and new samples are drawn.
const TICK: Duration = Duration::from_millis(100);

/// Why the table ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Nothing could be examined.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {}", reason(.0))]
    Terminal(#[from] io::Error),
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shows {
    /// Colours, which say nothing that is not there without them.
    pub color: bool,
    /// More than ASCII.
    pub unicode: bool,
}

/// Draws the table on the terminal that standard output is, a sample every `every`, until `q`,
/// Ctrl-C, `ended` (asked ten times a second), or the terminal is gone. The terminal is as before
/// when it returns, and after a panic.
///
/// Signals are the caller's: one that ends the process leaves the terminal as the table needs it.
///
/// # Errors
/// When the scope cannot be examined (before the terminal is touched), or the terminal cannot
/// be used. That it went away is none.
pub fn watch(
    scope: Scope,
    thresholds: Thresholds,
    every: Duration,
    shows: Shows,
    ended: impl Fn() -> bool,
) -> Result<(), WatchError> {
    // It has a mind of its own about NO_COLOR.
    ratatui::crossterm::style::force_color_output(shows.color);
    let mut view = View::new(&scope, every);
    let sampler = Sampler::start(scope, thresholds, every)?;
    let mut input = Input::open()?;
    // Sets a panic hook that restores the terminal too.
    let mut terminal = ratatui::try_init().inspect_err(|_| {
        // It may have come half the way.
        let _as_far_as_it_goes = ratatui::try_restore();
    })?;
    let result = follow(&mut terminal, &mut view, &sampler, &mut input, shows, ended);
    let shown = terminal.show_cursor();
    let restored = ratatui::try_restore().and(shown);
    if restored.is_err() {
        // Dropped, it would say so on standard error, which is gone as well.
        std::mem::forget(terminal);
    }
    match result {
        Ok(Left::Asked) if !input.is_gone() => Ok(restored?),
        Err(error) if !input.is_gone() => Err(error),
        _ => Ok(()),
    }
}

/// Why nothing is drawn any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// By a key, or the caller.
    Asked,
    /// Nobody is at the terminal.
    Alone,
}

fn follow(
    terminal: &mut ratatui::DefaultTerminal,
    view: &mut View,
    sampler: &Sampler,
    input: &mut Input,
    shows: Shows,
    ended: impl Fn() -> bool,
) -> Result<Left, WatchError> {
    let mut stale = true;
    while !ended() {
        loop {
            match sampler.reports.try_recv() {
                Ok(report) => stale |= view.take(report),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(sampler_ended().into()),
            }
        }
        if stale {
            terminal.draw(|frame| {
                draw::draw(frame, view);
                if !shows.unicode {
                    draw::to_ascii(frame.buffer_mut());
                }
            })?;
            stale = false;
        }
        match input.wait(TICK)? {
            TerminalEvent::Key(key) if view.key(key) == Turn::Quit => return Ok(Left::Asked),
            TerminalEvent::Key(_) | TerminalEvent::Resized => stale = true,
            TerminalEvent::Nothing => {}
            TerminalEvent::Gone => return Ok(Left::Alone),
        }
    }
    Ok(Left::Asked)
}

/// Hands out a sample every `every`, the first one once there is something to compare with, until
/// `ended` (asked ten times a second) or `each` says that nobody reads any more (`false`). A sample
/// that fails goes to `each` too; the next may go well.
///
/// # Errors
/// When the scope cannot be examined at all.
pub fn stream(
    scope: Scope,
    thresholds: Thresholds,
    every: Duration,
    ended: impl Fn() -> bool,
    mut each: impl FnMut(Result<&Diagnosis, GatherError>) -> bool,
) -> Result<(), WatchError> {
    let mut examiner = Examiner::open(scope, thresholds)?;
    examiner.begin()?;
    loop {
        let next = Instant::now() + every;
        while let Some(rest) = next.checked_duration_since(Instant::now()) {
            if ended() {
                return Ok(());
            }
            std::thread::sleep(rest.min(TICK));
        }
        if !each(examiner.examine()) {
            return Ok(());
        }
    }
}
