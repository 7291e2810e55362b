//! One finding in full, and the help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Wrap};

use super::draw::{color, titled};
use super::view::{Over, View};
use crate::Finding;

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
    frame.render_widget(Paragraph::new(HELP).block(titled("keys ".into())), area);
}

/// Tells the selected finding, from where it is scrolled to.
pub(super) fn finding(frame: &mut Frame<'_>, view: &mut View, area: Rect) {
    let Some(finding) = view.selected() else { return };
    let style = Style::new().fg(color(finding.harm));
    let block = titled(format!("{:?} ", finding.harm)).title_style(style);
    let text = Paragraph::new(lines(finding)).wrap(Wrap { trim: false });
    let room = block.inner(area);
    let most = text.line_count(room.width).saturating_sub(room.height.into());
    let text = text.block(block);
    // The paragraph keeps nothing of the view: where it stands may be set right now.
    let text = {
        view.scroll_at_most(u16::try_from(most).unwrap_or(u16::MAX));
        let Over::Finding(from) = view.over else { return };
        text.scroll((from, 0))
    };
    frame.render_widget(text, area);
}

fn lines(finding: &Finding) -> Vec<Line<'static>> {
    let mut out = vec![Line::from(finding.headline.clone()).bold()];
    let mut part = |title: &'static str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push(Line::default());
            out.push(Line::from(title).bold());
            out.extend(lines.into_iter().map(|line| Line::from(format!("  {line}"))));
        }
    };
    part("seen", finding.evidence.clone());
    part("cause", vec![finding.cause.clone()]);
    part("change in the program", finding.program.clone());
    let host = finding.host.iter().map(|one| format!("{}   ({})", one.line, one.effect));
    part("change on the host", host.collect());
    part("does not help", finding.not.clone());
    out
}
