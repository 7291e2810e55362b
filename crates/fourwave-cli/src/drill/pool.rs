//! Many scripts at once, reported in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use fourwave_linux::reason;

use super::play::{Played, play};
use super::print::Printer;
use super::source::Settings;

type Answer = (usize, Result<Played, String>);

/// Plays `files` in up to `jobs` threads and prints each as soon as those before it are printed.
///
/// # Errors
/// The first that no script could be played for, or threads that cannot be had.
pub(super) fn play_all(
    files: &[PathBuf],
    settings: &Settings,
    jobs: usize,
    printer: &mut Printer<'_>,
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let (answers, answered) = channel::<Answer>();
    thread::scope(|scope| {
        for at in 0..jobs.min(files.len()) {
            let (next, answers) = (&next, answers.clone());
            let thread = thread::Builder::new().name(format!("script {at}"));
            let started = thread.spawn_scoped(scope, move || some(files, settings, next, &answers));
            if let Err(error) = started
                && at == 0
            {
                return Err(format!("cannot start a thread: {}", reason(&error)));
            }
        }
        drop(answers);
        let mut waiting = BTreeMap::new();
        let mut reported = 0;
        for (at, played) in answered {
            let played = played.inspect_err(|_| next.store(files.len(), Ordering::Relaxed))?;
            waiting.insert(at, played);
            while let Some(played) = waiting.remove(&reported) {
                reported += 1;
                printer.script(&played);
            }
            printer.progress(reported + waiting.len());
        }
        Ok(())
    })
}

/// Plays one after the other until none is left.
fn some(files: &[PathBuf], settings: &Settings, next: &AtomicUsize, answers: &Sender<Answer>) {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = files.get(at) else { return };
        if answers.send((at, play(path, settings))).is_err() {
            return;
        }
    }
}
