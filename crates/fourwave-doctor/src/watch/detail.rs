//! One finding in full, and the help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::style::{color, titled};
use super::view::{Over, View};
use crate::Finding;
use crate::explain::explain;

const HELP: &str = "\
q, Ctrl-C        quit
↑ ↓ PgUp PgDn    select a finding; scroll its text
Enter            the finding in full: evidence, cause, remedy
Esc              back to the table
s                sort destinations: ports taken, time left,
                 TIME_WAIT, address
p, Space         pause: what is shown stands still
?                this help

The last column of the states is their past, the newest at the
right. \"Time left\" is until no port is left for a destination,
if it goes on as between the last two looks.
!! fails now or soon, ! will fail, · advice.";

pub(super) fn help(frame: &mut Frame<'_>, area: Rect) {
    let block = titled(&["keys "], area.width);
    let lines = HELP.lines().flat_map(|line| folded(line, area.width.into()));
    let lines: Vec<Line<'_>> = lines.map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A line of the help; where it is too wide, what a key does is explained under the key.
fn folded(line: &str, width: usize) -> Vec<String> {
    match line.split_once("  ") {
        _ if line.chars().count() <= width => vec![line.to_owned()],
        Some((key, text)) => wrapped(&format!("{key} {}", text.trim_start()), width, ""),
        None => wrapped(line, width, ""),
    }
}

/// Tells the selected finding, from where it is scrolled to.
pub(super) fn finding(frame: &mut Frame<'_>, view: &mut View, area: Rect) {
    let Some(finding) = view.selected() else { return };
    let style = Style::new().fg(color(finding.severity));
    let block = titled(&[format!("{:?} ", finding.severity)], area.width).title_style(style);
    let room = block.inner(area);
    let lines = lines(finding, room.width.into());
    let most = lines.len().saturating_sub(room.height.into());
    view.scroll_at_most(u16::try_from(most).unwrap_or(u16::MAX));
    let Over::Finding(from) = view.over else { return };
    frame.render_widget(Paragraph::new(lines).block(block).scroll((from, 0)), area);
}

fn lines(finding: &Finding, width: usize) -> Vec<Line<'static>> {
    let bold = |line: String| Line::from(line).bold();
    let mut out: Vec<Line<'static>> =
        wrapped(&finding.headline, width, "").into_iter().map(bold).collect();
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push(Line::default());
            out.push(bold(title.to_owned()));
            let lines = lines.iter().flat_map(|line| wrapped(line, width, "  "));
            out.extend(lines.map(Line::from));
        }
    };
    part("seen", finding.evidence.clone());
    part("cause", vec![finding.cause.clone()]);
    part("change in the program", finding.program.clone());
    let host = finding.host.iter().flat_map(|one| [one.line.clone(), format!("  {}", one.effect)]);
    part("change on the host", host.collect());
    part("does not help", finding.does_not_help.clone());
    let more = explain(finding.explained_by(), width.saturating_sub(2)).unwrap_or_default();
    part("more", more.lines().map(str::to_owned).collect());
    out
}

/// Breaks a text at its blanks, each line indented, the ones that follow one step more; inside of
/// a word only where that has no line for itself.
pub(super) fn wrapped(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // What it is indented by itself, its following lines are too.
    let own = text.len() - text.trim_start().len();
    let mut line = format!("{indent}{}", &text[..own]);
    let next = format!("{indent}{}{indent}", &text[..own]);
    let room = width.saturating_sub(next.chars().count()).max(1);
    let mut empty = true;
    for word in text.split_whitespace() {
        let chars: Vec<char> = word.chars().collect();
        for (at, piece) in chars.chunks(room).enumerate() {
            let longer = line.chars().count() + usize::from(!empty) + piece.len();
            if !empty && (at > 0 || longer > width) {
                lines.push(std::mem::replace(&mut line, next.clone()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.extend(piece);
            empty = false;
        }
    }
    lines.push(line);
    lines
}
