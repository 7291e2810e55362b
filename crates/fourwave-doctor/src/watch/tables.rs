//! The tables: destinations, programs with CLOSE_WAIT, listeners.

use std::net::IpAddr;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::columns::Holds::{self, Addresses, Names, Numbers};
use super::columns::{Column, table};
use super::view::View;
use crate::statistics::{CloseWait, Destination, Queue};
use crate::words::{bytes, count, percent, span};

/// A share from which a figure is coloured, and one from which it is red.
const MUCH: f64 = 0.8;
const ALMOST_ALL: f64 = 0.95;

/// Fewer characters of an address or of a name say nothing.
const ADDRESS: Holds = Addresses(12);
const NAME: Holds = Names(6);

pub(super) fn destinations(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(statistics) = &view.statistics else { return };
    let rows = &statistics.destinations;
    let more = more(rows.len(), area);
    let titles = [
        format!("ports and TIME_WAIT by destination{more} — by {} ", view.order.name()),
        format!("ports and TIME_WAIT by destination{more} "),
        format!("destinations{more} "),
    ];
    let mut columns = vec![
        Column::new("destination", ADDRESS, 0),
        Column::new("TIME_WAIT", Numbers(9), 3),
        Column::new("ports", Numbers(8), 1),
        Column::new("of", Numbers(6), 6),
        Column::new("share", Numbers(9), 4),
        Column::new("change", Numbers(9), 5),
        Column::new("time left", Numbers(12), 2),
    ];
    // The address is only of use where there are several.
    let from = rows.iter().map(|row| row.from).collect::<std::collections::HashSet<IpAddr>>();
    let mut from =
        (from.len() > 1 && area.width >= 100).then(|| Column::new("from", Numbers(15), 7));
    for row in rows.iter().take(area.height.into()) {
        if let Some(from) = &mut from {
            from.put(row.from.to_string(), Style::new());
        }
        let (cells, style) = (destination(row), load(row.share()));
        for (at, (column, cell)) in columns.iter_mut().zip(cells).enumerate() {
            // The share and the time left.
            column.put(cell, if matches!(at, 4 | 6) { style } else { Style::new() });
        }
    }
    if let Some(from) = from {
        columns.insert(1, from);
    }
    table(frame, &titles, &columns, area);
}

fn destination(row: &Destination) -> [String; 7] {
    let time = match row.exhausted_in() {
        Some(Duration::ZERO) => "exhausted".to_owned(),
        Some(time) => span(time),
        None => "–".to_owned(),
    };
    [
        row.to.to_string(),
        count(row.time_wait),
        count(row.used),
        count(row.total),
        percent(row.share()),
        per_second(row.per_second),
        time,
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
    let Some(statistics) = &view.statistics else { return };
    let more = more(statistics.close_wait.len(), area);
    let titles = [format!("CLOSE_WAIT by program{more} "), format!("CLOSE_WAIT{more} ")];
    let mut columns = [
        Column::new("program", NAME, 0),
        Column::new("pid", Numbers(7), 2),
        Column::new("sockets", Numbers(7), 1),
        Column::new("unread", Numbers(9), 3),
    ];
    for row in statistics.close_wait.iter().take(area.height.into()) {
        let CloseWait { program, count: number, unread } = row;
        let (name, pid) = match program {
            Some((name, pid)) => (name.clone(), pid.to_string()),
            None => ("not known".to_owned(), "?".to_owned()),
        };
        for (column, cell) in columns.iter_mut().zip([name, pid, count(*number), bytes(*unread)]) {
            column.put(cell, Style::new());
        }
    }
    table(frame, &titles, &columns, area);
}

pub(super) fn listeners(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(statistics) = &view.statistics else { return };
    let titles = [format!("listeners{} ", more(statistics.listeners.len(), area))];
    let mut columns = [
        Column::new("listens at", ADDRESS, 0),
        Column::new("program", NAME, 3),
        Column::new("queue", Numbers(5), 1),
        Column::new("of", Numbers(5), 2),
        Column::new("half-open", Numbers(9), 4),
    ];
    for row in statistics.listeners.iter().take(area.height.into()) {
        let Queue { local, program, queue, backlog, half_open } = row;
        let share = if *backlog == 0 { 0.0 } else { f64::from(*queue) / f64::from(*backlog) };
        let cells = [
            local.to_string(),
            program.clone().unwrap_or_else(|| "not known".to_owned()),
            count((*queue).into()),
            count((*backlog).into()),
            count((*half_open).into()),
        ];
        for (at, (column, cell)) in columns.iter_mut().zip(cells).enumerate() {
            column.put(cell, if at == 2 { load(share) } else { Style::new() });
        }
    }
    table(frame, &titles, &columns, area);
}

/// How many of the rows are seen, where not all are: title and head take two lines.
fn more(rows: usize, area: Rect) -> String {
    let room = usize::from(area.height.saturating_sub(2));
    if rows > room { format!(" ({room} of {})", count(rows as u64)) } else { String::new() }
}
