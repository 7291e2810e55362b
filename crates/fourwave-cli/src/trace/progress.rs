//! How far it is, on a terminal.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::inputs::Input;
use crate::terminal::Screen;

/// A bar by bytes of the files, with the rate; nothing where nobody looks.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Bytes of the files before the current one.
    before: Cell<u64>,
}

/// What is reported in so many columns: what is wider than the terminal would lose the end of a
/// figure.
const KNOWN: [(usize, &str); 4] = [
    (100, "{bar:40} {percent}% of {total_bytes}  {bytes_per_sec}  {eta} left"),
    (64, "{wide_bar} {percent}% of {total_bytes}  {bytes_per_sec}  {eta} left"),
    (24, "{percent}% of {total_bytes}"),
    (0, "{percent}%"),
];
const UNKNOWN: [(usize, &str); 3] =
    [(40, "{spinner} {bytes}  {bytes_per_sec}"), (20, "{spinner} {bytes}"), (0, "{spinner}")];

/// What is reported where the end is known or not, in so many columns.
fn template(known: bool, room: usize) -> &'static str {
    let all = if known { &KNOWN[..] } else { &UNKNOWN };
    all.iter().find(|(least, _)| room >= *least).map_or("", |(_, template)| template)
}

impl Bar {
    /// `screen` is standard error's; `talks`: something else is written meanwhile.
    pub(super) fn new(inputs: &[Input], screen: &Screen, talks: bool) -> Self {
        let watched = screen.live && !(talks && std::io::stdout().is_terminal());
        let sizes: Option<u64> = inputs.iter().map(|input| input.size).sum();
        let bar = match (watched, sizes) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(bytes)) => ProgressBar::new(bytes),
            (true, None) => ProgressBar::new_spinner(),
        };
        if let Ok(style) = ProgressStyle::with_template(template(sizes.is_some(), screen.room())) {
            bar.set_style(style);
        }
        Self { bar, before: Cell::new(0) }
    }

    /// So far in the current file.
    pub(super) fn at(&self, position: u64) {
        self.bar.set_position(self.before.get() + position);
    }

    /// The current file is done.
    pub(super) fn done(&self, size: Option<u64>) {
        self.before.set(self.before.get() + size.unwrap_or(0));
    }

    /// Something is said on standard error.
    pub(super) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_figures_fit() {
        let longest = [
            ("{bar:40}", "#".repeat(40)),
            // What the others leave.
            ("{wide_bar}", "#".into()),
            ("{percent}", "100".into()),
            ("{total_bytes}", "1,023.99 GiB".into()),
            ("{bytes}", "1,023.99 GiB".into()),
            ("{bytes_per_sec}", "1,023.99 MiB/s".into()),
            ("{eta}", "23h".into()),
            ("{spinner}", "-".into()),
        ];
        for known in [true, false] {
            for room in 4..200 {
                let line =
                    longest.iter().fold(template(known, room).to_owned(), |line, (name, text)| {
                        line.replace(name, text)
                    });
                assert!(!line.contains('{') && line.len() <= room, "{room}: {line}");
            }
        }
    }
}
