//! The tables: destinations, programs with CLOSE_WAIT, listeners.

use std::net::IpAddr;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Row, Table};

use super::draw::titled;
use super::view::View;
use crate::figures::{CloseWait, Destination, Queue};
use crate::words::{bytes, count, percent, span};

/// A share from which a figure is coloured, and one from which it is red.
const MUCH: f64 = 0.8;
const ALMOST_ALL: f64 = 0.95;

pub(super) fn destinations(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(figures) = &view.figures else { return };
    let rows = &figures.destinations;
    let title = format!(
        "ports and TIME_WAIT by destination{} — by {} ",
        more(rows.len(), area),
        view.order.name()
    );
    // The address is only of use where there are several.
    let from = rows.iter().map(|row| row.from).collect::<std::collections::HashSet<IpAddr>>();
    let named = from.len() > 1 && area.width >= 100;
    let mut widths = vec![Constraint::Min(21)];
    widths.extend(named.then_some(Constraint::Length(16)));
    widths.extend([9, 8, 6, 9, 9, 12].map(Constraint::Length));
    let mut heads = vec![left("destination")];
    heads.extend(named.then(|| left("from")));
    heads.extend(["TIME_WAIT", "ports", "of", "share", "change", "time left"].map(right));
    let rows = rows.iter().take(area.height.into()).map(|row| {
        let mut cells = vec![left(row.to.to_string())];
        cells.extend(named.then(|| left(row.from.to_string())));
        cells.extend(destination(row));
        Row::new(cells)
    });
    let table = Table::new(rows, widths).header(Row::new(heads).dim()).block(titled(title));
    frame.render_widget(table, area);
}

fn destination(row: &Destination) -> [Cell<'static>; 6] {
    let time = match row.exhausted_in() {
        Some(Duration::ZERO) => "exhausted".to_owned(),
        Some(time) => span(time),
        None => "–".to_owned(),
    };
    let style = load(row.share());
    [
        right(count(row.time_wait)),
        right(count(row.used)),
        right(count(row.total)),
        right(percent(row.share())).style(style),
        right(per_second(row.per_second)),
        right(time).style(style),
    ]
}

/// ` +12.5/s`.
fn per_second(rate: f64) -> String {
    if rate == 0.0 { "–".to_owned() } else { format!("{rate:+.1}/s") }
}

fn load(share: f64) -> Style {
    match share {
        share if share >= ALMOST_ALL => Style::new().fg(Color::Red),
        share if share >= MUCH => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

pub(super) fn close_wait(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(figures) = &view.figures else { return };
    let title = format!("CLOSE_WAIT by program{} ", more(figures.close_wait.len(), area));
    let heads = vec![left("program"), right("pid"), right("sockets"), right("unread")];
    let rows = figures.close_wait.iter().take(area.height.into()).map(|row| {
        let CloseWait { program, count: number, unread } = row;
        let (name, pid) = match program {
            Some((name, pid)) => (name.clone(), pid.to_string()),
            None => ("not known".to_owned(), "?".to_owned()),
        };
        Row::new([left(name), right(pid), right(count(*number)), right(bytes(*unread))])
    });
    let widths =
        [Constraint::Min(9), Constraint::Length(7), Constraint::Length(7), Constraint::Length(9)];
    let table = Table::new(rows, widths).header(Row::new(heads).dim()).block(titled(title));
    frame.render_widget(table, area);
}

pub(super) fn listeners(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(figures) = &view.figures else { return };
    let title = format!("listeners{} ", more(figures.listeners.len(), area));
    let heads =
        vec![left("listens at"), left("program"), right("queue"), right("of"), right("half-open")];
    let rows = figures.listeners.iter().take(area.height.into()).map(|row| {
        let Queue { local, program, queue, backlog, half_open } = row;
        let share = if *backlog == 0 { 0.0 } else { f64::from(*queue) / f64::from(*backlog) };
        Row::new([
            left(local.to_string()),
            left(program.clone().unwrap_or_else(|| "not known".to_owned())),
            right(count((*queue).into())).style(load(share)),
            right(count((*backlog).into())),
            right(count((*half_open).into())),
        ])
    });
    let widths = [
        Constraint::Min(15),
        Constraint::Length(if area.width < 60 { 8 } else { 16 }),
        Constraint::Length(5),
        Constraint::Length(5),
        Constraint::Length(9),
    ];
    let table = Table::new(rows, widths).header(Row::new(heads).dim()).block(titled(title));
    frame.render_widget(table, area);
}

/// How many of the rows are seen, where not all are: title and head take two lines.
fn more(rows: usize, area: Rect) -> String {
    let room = usize::from(area.height.saturating_sub(2));
    if rows > room { format!(" ({room} of {})", count(rows as u64)) } else { String::new() }
}

fn left<'a>(text: impl Into<Text<'a>>) -> Cell<'a> {
    Cell::new(text.into())
}

fn right<'a>(text: impl Into<Text<'a>>) -> Cell<'a> {
    Cell::new(text.into().alignment(Alignment::Right))
}
