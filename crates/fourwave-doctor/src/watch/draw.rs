//! Where everything is drawn.

use std::time::{Duration, SystemTime};

use fourwave_core::state::State;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, List, ListItem, ListState, Paragraph, Sparkline};

use super::view::{Over, View};
use super::{detail, tables};
use crate::words::count;
use crate::{Finding, Harm, STATES};

/// From here on there is room for a table of states beside the findings, and for tables below.
const WIDE: u16 = 60;
const HIGH: u16 = 18;

/// Draws all of it, whatever the size.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let [title, body, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(title_line(view, title.width), title);
    frame.render_widget(keys_line(view), keys);
    match view.over {
        Over::Help => detail::help(frame, body),
        Over::Finding(_) => detail::finding(frame, view, body),
        Over::Nothing if view.figures.is_none() => {
            let text = if view.failed.is_some() { "" } else { "looking …" };
            frame.render_widget(text, body);
        }
        Over::Nothing if body.width < WIDE || body.height < HIGH => small(frame, view, body),
        Over::Nothing => large(frame, view, body),
    }
}

/// The colour of a harm.
pub(super) fn color(harm: Harm) -> Color {
    match harm {
        Harm::Critical => Color::Red,
        Harm::Warning => Color::Yellow,
        Harm::Advice => Color::Cyan,
    }
}

fn title_line(view: &View, width: u16) -> Line<'static> {
    let time = view.figures.as_ref().map_or(String::new(), |figures| clock(figures.taken));
    let name = "fourwave doctor".bold();
    let rest = match view.paused {
        true => " PAUSED ".reversed(),
        false => format!("every {}", pace(view.every)).into(),
    };
    // What is less needed goes first where it is narrow.
    if width < 60 {
        return Line::from(vec![name, "  ".into(), time.into(), "  ".into(), rest]);
    }
    let scope = format!("  {}  ", view.scope);
    let mut parts = vec![name, scope.into(), time.into(), "  ".into(), rest];
    if width >= 100 {
        parts.push(format!("  a look takes {} ms", view.took.as_millis()).dim());
    }
    Line::from(parts)
}

/// `1s`, `2.5s`, `500ms`.
fn pace(every: Duration) -> String {
    format!("{every:?}")
}

/// The time of day, which is enough for a table that lives.
fn clock(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn keys_line(view: &View) -> Line<'static> {
    if let Some(failed) = &view.failed {
        return Line::from(failed.clone()).style(Style::new().fg(Color::Red));
    }
    let keys = match view.over {
        Over::Nothing => "q quit  ↑↓ select  Enter explain  s sort  p pause  ? help",
        Over::Finding(_) => "q quit  ↑↓ scroll  Esc back  p pause",
        Over::Help => "q quit  Esc back",
    };
    Line::from(keys).dim()
}

/// Too narrow or too low for tables: the states in lines, then the findings.
fn small(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let words: Vec<String> = present(view)
        .map(|(at, state, number)| format!("{} {number}{}", state.name(), signed(view.change(at))))
        .collect();
    let mut lines = detail::wrapped(&words.join(", "), area.width.into(), "");
    lines.truncate(3);
    let [states, list] =
        Layout::vertical([Constraint::Length(lines.len() as u16), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(lines.join("\n")), states);
    findings(frame, view, list);
}

fn large(frame: &mut Frame<'_>, view: &View, area: Rect) {
    // Six states are in use on most hosts; more where there is room.
    let top = (present(view).count().max(2 * view.findings.len()) as u16 + 1)
        .clamp(6, (area.height / 3).max(6));
    let bottom = (area.height - top) * 2 / 5;
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(top), Constraint::Min(0), Constraint::Length(bottom)])
            .areas(area);
    let [left, right] = Layout::horizontal([
        Constraint::Length((area.width / 3).clamp(34, 44)),
        Constraint::Min(0),
    ])
    .spacing(1)
    .areas(top);
    states(frame, view, left);
    findings(frame, view, right);
    tables::destinations(frame, view, middle);
    let [left, right] =
        Layout::horizontal([Constraint::Length(area.width * 42 / 100), Constraint::Min(0)])
            .spacing(1)
            .areas(bottom);
    tables::close_wait(frame, view, left);
    tables::listeners(frame, view, right);
}

/// The states that have sockets now or had a moment ago: place, state, count.
fn present(view: &View) -> impl Iterator<Item = (usize, State, u64)> + '_ {
    STATES.into_iter().enumerate().filter_map(|(at, state)| {
        let number = view.count(state);
        let lived = view.past(at, usize::MAX).iter().any(|count| *count > 0);
        (number > 0 || lived).then_some((at, state, number))
    })
}

/// ` +3`, ` -3`, nothing for no change.
fn signed(change: i64) -> String {
    match change {
        0 => String::new(),
        1.. => format!(" +{}", count(change.unsigned_abs())),
        _ => format!(" -{}", count(change.unsigned_abs())),
    }
}

/// A box with a line above it, which carries the title.
pub(super) fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(Style::new().dim()).title(title.bold())
}

fn states(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let total: u64 = STATES.into_iter().map(|state| view.count(state)).sum();
    let block = titled(format!("{} sockets ", count(total)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    for ((at, state, number), y) in present(view).zip(inner.y..inner.bottom()) {
        let row = Rect { y, height: 1, ..inner };
        let [name, now, change, past] = Layout::horizontal([
            Constraint::Length(12),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Min(0),
        ])
        .areas(row);
        let style = state_style(state);
        frame.render_widget(Span::styled(state.name(), style), name);
        frame.render_widget(Line::from(count(number)).right_aligned().style(style), now);
        frame.render_widget(Line::from(signed(view.change(at))).dim(), change);
        let counts = view.past(at, past.width.into());
        // From the right: what is newest stands still.
        let used = Rect {
            x: past.right() - (counts.len() as u16).min(past.width),
            width: (counts.len() as u16).min(past.width),
            ..past
        };
        frame.render_widget(Sparkline::default().data(counts).style(style), used);
    }
}

/// The states that this program is about stand out.
fn state_style(state: State) -> Style {
    match state {
        State::TimeWait => Style::new().fg(Color::Magenta),
        State::CloseWait => Style::new().fg(Color::Yellow),
        State::FinWait2 | State::LastAck => Style::new().fg(Color::Blue),
        _ => Style::new(),
    }
}

fn findings(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let title = match view.findings.len() {
        0 => "nothing to say ".to_owned(),
        1 => "1 finding ".to_owned(),
        more => format!("{more} findings "),
    };
    let block = titled(title);
    if view.findings.is_empty() {
        let lacks: Vec<Line<'_>> = view
            .lacks
            .iter()
            .map(|lack| format!("not seen: {}: {}", lack.what, lack.remedy))
            .flat_map(|line| detail::wrapped(&line, area.width.into(), ""))
            .map(|line| Line::from(line).dim())
            .collect();
        return frame.render_widget(Paragraph::new(lacks).block(block), area);
    }
    let width = usize::from(area.width.saturating_sub(2 + 3));
    let items: Vec<ListItem<'_>> =
        view.findings.iter().map(|finding| item(finding, width)).collect();
    let list = List::new(items)
        .block(block)
        .highlight_symbol("▶ ")
        .highlight_style(Style::new().add_modifier(Modifier::BOLD));
    let mut state = ListState::default().with_selected(view.place());
    frame.render_stateful_widget(list, area, &mut state);
}

/// The harm also in a sign: not everyone sees colours.
fn item(finding: &Finding, width: usize) -> ListItem<'static> {
    let sign = match finding.harm {
        Harm::Critical => "!! ",
        Harm::Warning => " ! ",
        Harm::Advice => " · ",
    };
    let style = Style::new().fg(color(finding.harm));
    let lines = detail::wrapped(&finding.headline, width, "").into_iter().enumerate();
    let lines: Vec<Line<'_>> = lines
        .map(|(at, line)| {
            let sign = if at == 0 { sign } else { "   " };
            Line::from(vec![Span::styled(sign, style), line.into()])
        })
        .collect();
    ListItem::new(lines)
}
