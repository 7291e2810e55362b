//! Colours of severities, titled boxes and the width of texts.

use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders};

use crate::Severity;

/// The colour of a severity.
pub(super) fn color(severity: Severity) -> Color {
    match severity {
        Severity::Critical => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Advice => Color::Cyan,
    }
}

/// A box with a line above it, which carries the first of the titles that fits.
pub(super) fn titled(titles: &[impl AsRef<str>], room: u16) -> Block<'static> {
    let block = Block::new().borders(Borders::TOP).border_style(Style::new().dim());
    match titles.iter().map(AsRef::as_ref).find(|title| width(title) <= room.into()) {
        Some(title) => block.title(title.to_owned().bold()),
        None => block,
    }
}

/// Columns of the terminal.
pub(super) fn width(text: &str) -> usize {
    Line::from(text).width()
}
