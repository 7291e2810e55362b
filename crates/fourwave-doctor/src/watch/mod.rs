//! The live table of `fourwave doctor --watch`.
//!
//! | question | file |
//! | --- | --- |
//! | what is known, what a key does | `view.rs` |
//! | where everything is drawn | `draw.rs`, the tables `tables.rs`, one finding `detail.rs` |
//! | looks in the background | `looks.rs` |

mod detail;
mod draw;
mod looks;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{GatherError, Look, Looker, Scope, Thresholds};
use looks::Looks;
use view::{Turn, View};

/// How often keys and signals are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Why the table ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Nothing could be looked at.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The terminal cannot be used, or went away.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
}

/// Draws the table on the terminal that standard output is, a look every `every`, until `q`, an
/// interrupt or a signal. The terminal is as before when it returns, and after a panic.
///
/// # Errors
/// When the scope cannot be looked at (before the terminal is touched), or the terminal cannot
/// be used.
pub fn watch(scope: Scope, thresholds: Thresholds, every: Duration) -> Result<(), WatchError> {
    let mut view = View::new(&scope, every);
    let looks = Looks::start(scope, thresholds, every)?;
    let ended = end_signals()?;
    // Sets a panic hook that restores the terminal too.
    let mut terminal = ratatui::try_init()?;
    let result = follow(&mut terminal, &mut view, &looks, &ended);
    ratatui::try_restore()?;
    result
}

/// Becomes true when the process is told to end.
fn end_signals() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    Ok(ended)
}

fn follow(
    terminal: &mut ratatui::DefaultTerminal,
    view: &mut View,
    looks: &Looks,
    ended: &AtomicBool,
) -> Result<(), WatchError> {
    let mut stale = true;
    while !ended.load(Ordering::Relaxed) {
        loop {
            match looks.reports.try_recv() {
                Ok(report) => stale |= view.take(report),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(looks::ended().into()),
            }
        }
        if stale {
            terminal.draw(|frame| draw::draw(frame, view))?;
            stale = false;
        }
        if !event::poll(TICK)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.is_press() => {
                if view.key(key) == Turn::Quit {
                    return Ok(());
                }
                stale = true;
            }
            Event::Resize(..) => stale = true,
            _ => {}
        }
    }
    Ok(())
}

/// Hands out a look every `every`, the first one once there is something to compare with, until a
/// signal ends it or `each` says that nobody reads any more (`false`). A look that fails goes to
/// `each` too; the next may go well.
///
/// # Errors
/// When the scope cannot be looked at at all.
pub fn stream(
    scope: Scope,
    thresholds: Thresholds,
    every: Duration,
    mut each: impl FnMut(Result<&Look, GatherError>) -> bool,
) -> Result<(), WatchError> {
    let mut looker = Looker::open(scope, thresholds)?;
    let ended = end_signals()?;
    looker.begin()?;
    loop {
        let next = Instant::now() + every;
        while let Some(rest) = next.checked_duration_since(Instant::now()) {
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::sleep(rest.min(TICK));
        }
        if !each(looker.look()) {
            return Ok(());
        }
    }
}
