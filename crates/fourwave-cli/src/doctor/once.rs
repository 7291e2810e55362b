//! Two looks and what they come to.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use fourwave_doctor::text::TextOptions;
use fourwave_doctor::{Look, Looker, fix, json, text};
use fourwave_gateway::terminal::columns;

use super::{FINDINGS, Order, color};
use crate::print;

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    /// Commands only.
    Fix,
}

/// How often the line of progress is written anew.
const TICK: Duration = Duration::from_millis(100);

/// Looks twice, and prints; returns the exit status.
pub(super) fn look(order: Order, form: Form) -> Result<u8, String> {
    let Order { scope, thresholds, sample } = order;
    let line = |error: fourwave_doctor::GatherError| error.to_string();
    let mut looker = Looker::open(scope, thresholds).map_err(line)?;
    // From the first look's start: with very many sockets that look is a part of the time.
    let end = Instant::now() + sample;
    looker.begin().map_err(line)?;
    wait_until(end);
    let look = looker.look().map_err(line)?;
    print(&told(look, form));
    Ok(if look.findings.is_empty() { 0 } else { FINDINGS })
}

/// A look in words, JSON lines, or commands.
pub(super) fn told(look: &Look, form: Form) -> String {
    match form {
        Form::Text => {
            let options = TextOptions { color: color(), width: width(), ..TextOptions::default() };
            text::report(&look.sample, &look.findings, &options)
        }
        Form::Json => json::lines(&look.sample, &look.findings),
        Form::Fix => fix::script(&look.findings),
    }
}

/// The terminal's columns, as far as they make reading easier.
fn width() -> usize {
    let most = TextOptions::default().width;
    columns(std::io::stdout()).map_or(most, |columns| most.min(columns))
}

/// Lets the time between the looks go by, which whoever waits at a terminal sees.
fn wait_until(end: Instant) {
    let shown = std::io::stderr().is_terminal();
    let mut out = std::io::stderr();
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        if shown {
            let _closed = write!(out, "\rlooking for {:.1} s \x1b[K", rest.as_secs_f64());
        }
        std::thread::sleep(if shown { rest.min(TICK) } else { rest });
    }
    if shown {
        let _closed = write!(out, "\r\x1b[K");
    }
}
