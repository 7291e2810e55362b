//! Draws the whole screen: title, states, findings, tables, keys.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use fourwave_core::state::State;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{List, ListItem, ListState, Paragraph, Sparkline};

use super::columns::{Wants, fit, shortened};
use super::style::{color, titled, width};
use super::view::{Over, View};
use super::{detail, tables};
use crate::words::count;
use crate::{Finding, STATES, Severity};

/// From here on there is room for a table of states beside the findings, and for tables below.
const WIDE: u16 = 60;
const HIGH: u16 = 18;

/// Draws all of it, whatever the size.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let last = last_lines(view, frame.area().width.into());
    let [title, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(last.len() as u16),
    ])
    .areas(frame.area());
    frame.render_widget(title_line(view, title.width.into()), title);
    frame.render_widget(Text::from(last), keys);
    match view.over {
        Over::Help => detail::help(frame, body),
        Over::Finding(_) => detail::finding(frame, view, body),
        Over::Nothing if view.statistics.is_none() => {
            let text = if view.failed.is_some() { "" } else { "looking …" };
            frame.render_widget(text, body);
        }
        Over::Nothing if body.width < WIDE || body.height < HIGH => small(frame, view, body),
        Over::Nothing => large(frame, view, body),
    }
}

/// Puts signs of ASCII in the place of others, each as wide as they are.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let sign = match cell.symbol() {
            symbol if symbol.is_ascii() => continue,
            "─" | "·" | "–" | "—" => "-",
            "│" => "|",
            "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" => "+",
            // Of a sparkline, by eighths.
            "▁" | "▂" => ".",
            "▃" | "▄" | "▅" => "=",
            "▆" | "▇" | "█" => "#",
            "→" | "▶" => ">",
            "←" | "◀" => "<",
            "↑" => "^",
            "↓" => "v",
            "…" => ".",
            "µ" => "u",
            "×" => "x",
            _ => "?",
        };
        cell.set_symbol(sign);
    }
}

/// What is less needed goes first where it is narrow.
fn title_line(view: &View, room: usize) -> Line<'static> {
    const GAP: usize = 2;
    let time = view.statistics.as_ref().map_or(String::new(), |statistics| clock(statistics.taken));
    let pace = match view.paused {
        true => " PAUSED ".reversed(),
        false => format!("every {}", pace(view.every)).into(),
    };
    // Of use to few.
    let took = match room {
        100.. => format!("a look takes {} ms", view.took.as_millis()),
        _ => String::new(),
    };
    // Which of them may be shortened, and which go first.
    let parts: [(Span<'_>, Option<usize>, u8); 5] = [
        ("fourwave doctor".bold(), None, 1),
        (view.scope.clone().into(), Some(12), 3),
        (time.into(), None, 2),
        (pace, None, 0),
        (took.dim(), None, 4),
    ];
    let wants = parts.each_ref().map(|(span, least, rank)| {
        let most = span.width();
        Wants { least: least.unwrap_or(most).min(most), most, rank: *rank }
    });
    let mut line = Line::default();
    for ((span, ..), width) in parts.into_iter().zip(fit(&wants, room, GAP)) {
        let Some(width @ 1..) = width else { continue };
        if !line.spans.is_empty() {
            line.push_span(" ".repeat(GAP));
        }
        let style = span.style;
        line.push_span(Span::styled(shortened(&span.content, width), style));
    }
    line
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

/// The keys, as many as fit; or why there is no new look.
fn last_lines(view: &View, room: usize) -> Vec<Line<'static>> {
    if let Some(failed) = &view.failed {
        let lines = detail::wrapped(failed, room, "").into_iter();
        return lines.map(|line| Line::from(line).style(Style::new().fg(Color::Red))).collect();
    }
    let keys: &[&str] = match view.over {
        Over::Nothing => &["q quit", "↑↓ select", "Enter explain", "s sort", "p pause", "? help"],
        Over::Finding(_) => &["q quit", "↑↓ scroll", "Esc back", "p pause"],
        Over::Help => &["q quit", "Esc back"],
    };
    let lines = listed(keys, "  ", room);
    vec![Line::from(lines.into_iter().next().unwrap_or_default()).dim()]
}

/// Items in lines that are never broken inside of one. One that is wider than a line is left out.
fn listed(items: &[impl AsRef<str>], between: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items.iter().map(AsRef::as_ref).filter(|item| width(item) <= room) {
        match lines.last_mut() {
            Some(line) if width(line) + width(between) + width(item) <= room => {
                line.push_str(between);
                line.push_str(item);
            }
            _ => lines.push(item.to_owned()),
        }
    }
    lines
}

/// Too narrow or too low for tables: the states in lines, then the findings.
fn small(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let room = usize::from(area.width);
    let words: Vec<String> = present(view)
        .map(|(at, state, number)| {
            let now = format!("{} {}", state.name(), count(number));
            let both = format!("{now}{}", signed(view.change(at)));
            if width(&both) <= room { both } else { now }
        })
        .collect();
    let mut lines = listed(&words, ", ", room);
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
    let rows = state_rows(view);
    // As wide as the states need, as far as findings can be read beside them.
    let [number, change] = widest(&rows);
    let needed = (STATE + number + change) as u16;
    let least = (area.width / 3).clamp(34, 44);
    let [left, right] = Layout::horizontal([
        Constraint::Length(needed.clamp(least, least.max(area.width.saturating_sub(22)))),
        Constraint::Min(0),
    ])
    .spacing(1)
    .areas(top);
    states(frame, view, rows, left);
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
fn signed((now, before): (u64, u64)) -> String {
    match now.cmp(&before) {
        Ordering::Equal => String::new(),
        Ordering::Greater => format!(" +{}", count(now - before)),
        Ordering::Less => format!(" -{}", count(before - now)),
    }
}

/// The longest name of a state.
const STATE: usize = 12;

/// A state, its place, its count and the change of that.
type StateRow = (usize, State, String, String);

fn state_rows(view: &View) -> Vec<StateRow> {
    present(view)
        .map(|(at, state, number)| (at, state, count(number), signed(view.change(at))))
        .collect()
}

/// The widest count, set off from the name, and the widest change.
fn widest(rows: &[StateRow]) -> [usize; 2] {
    rows.iter().fold([0; 2], |[number, change], (.., now, moved)| {
        [number.max(1 + width(now)), change.max(width(moved))]
    })
}

fn states(frame: &mut Frame<'_>, view: &View, rows: Vec<StateRow>, area: Rect) {
    let total = STATES.into_iter().map(|state| view.count(state)).fold(0, u64::saturating_add);
    let block = titled(&[format!("{} sockets ", count(total))], area.width);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [number, change] = widest(&rows);
    let wants = [
        Wants { least: 10, most: STATE, rank: 0 },
        Wants { least: number, most: number.max(8), rank: 1 },
        Wants { least: change, most: change.max(8), rank: 2 },
        Wants { least: 3, most: area.width.into(), rank: 3 },
    ];
    let widths = fit(&wants, inner.width.into(), 0);
    for ((at, state, number, change), y) in rows.into_iter().zip(inner.y..inner.bottom()) {
        let style = state_style(state);
        let mut x = inner.x;
        let cells = [
            Line::styled(shortened(state.name(), widths[0].unwrap_or(0)), style),
            Line::styled(number, style).right_aligned(),
            Line::from(change).dim(),
        ];
        for (cell, width) in cells.into_iter().zip(&widths) {
            let Some(width) = width else { continue };
            frame.render_widget(cell, Rect { x, y, width: *width as u16, height: 1 });
            x += *width as u16;
        }
        if let Some(past) = widths[3] {
            let counts = view.past(at, past);
            // From the right: what is newest stands still.
            let width = (counts.len().min(past)) as u16;
            let used = Rect { x: x + past as u16 - width, y, width, height: 1 };
            frame.render_widget(Sparkline::default().data(counts).style(style), used);
        }
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
    let block = titled(&[title], area.width);
    if view.findings.is_empty() {
        let limitations: Vec<Line<'_>> = view
            .limitations
            .iter()
            .map(|limitation| format!("not seen: {}: {}", limitation.what, limitation.remedy))
            .flat_map(|line| detail::wrapped(&line, area.width.into(), ""))
            .map(|line| Line::from(line).dim())
            .collect();
        return frame.render_widget(Paragraph::new(limitations).block(block), area);
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

/// The severity also as a sign: not everyone sees colours.
fn item(finding: &Finding, width: usize) -> ListItem<'static> {
    let sign = match finding.severity {
        Severity::Critical => "!! ",
        Severity::Warning => " ! ",
        Severity::Advice => " · ",
    };
    let style = Style::new().fg(color(finding.severity));
    let lines = detail::wrapped(&finding.headline, width, "").into_iter().enumerate();
    let lines: Vec<Line<'_>> = lines
        .map(|(at, line)| {
            let sign = if at == 0 { sign } else { "   " };
            Line::from(vec![Span::styled(sign, style), line.into()])
        })
        .collect();
    ListItem::new(lines)
}
