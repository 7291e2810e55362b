//! How far it is, on a terminal.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::inputs::Input;

/// A bar by bytes of the files, with the rate; nothing where nobody looks.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Bytes of the files before the current one.
    before: Cell<u64>,
}

const KNOWN: &str = "{bar:40} {percent}% of {total_bytes}  {bytes_per_sec}  {eta} left";
const UNKNOWN: &str = "{spinner} {bytes}  {bytes_per_sec}";

impl Bar {
    /// `live`: standard error can be written over; `talks`: something else is written meanwhile.
    pub(super) fn new(inputs: &[Input], live: bool, talks: bool) -> Self {
        let watched = live && !(talks && std::io::stdout().is_terminal());
        let sizes: Option<u64> = inputs.iter().map(|input| input.size).sum();
        let bar = match (watched, sizes) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(bytes)) => ProgressBar::new(bytes),
            (true, None) => ProgressBar::new_spinner(),
        };
        let style = ProgressStyle::with_template(if sizes.is_some() { KNOWN } else { UNKNOWN });
        if let Ok(style) = style {
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
