//! Two samples, and the report on them.

use std::io::Write;
use std::time::{Duration, Instant};

use fourwave_doctor::text::TextOptions;
use fourwave_doctor::{Diagnosis, Examiner, fix, json, text};

use super::{FINDINGS, Order};
use crate::print;
use crate::terminal::Screen;

/// How it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    /// Commands only.
    Fix,
}

/// How often the line of progress is written anew.
const TICK: Duration = Duration::from_millis(100);

/// Looks twice, and prints; returns the exit status. `progress`: someone sees how time goes by.
pub(super) fn diagnosis(order: Order, form: Form, progress: bool) -> Result<u8, String> {
    let Order { scope, thresholds, sample, screen } = order;
    let line = |error: fourwave_doctor::GatherError| error.to_string();
    let mut examiner = Examiner::open(scope, thresholds).map_err(line)?;
    // From the first look's start: with very many sockets that look is a part of the time.
    let end = Instant::now() + sample;
    examiner.begin().map_err(line)?;
    wait_until(end, progress);
    let diagnosis = examiner.examine().map_err(line)?;
    print(&report(diagnosis, form, &screen));
    Ok(if diagnosis.findings.is_empty() { 0 } else { FINDINGS })
}

/// A look in words, JSON lines, or commands.
pub(super) fn report(diagnosis: &Diagnosis, form: Form, screen: &Screen) -> String {
    match form {
        Form::Text => {
            let Screen { color, ascii, .. } = *screen;
            let options = TextOptions { width: screen.report(), color, ascii };
            text::report(&diagnosis.sample, &diagnosis.findings, &options)
        }
        Form::Json => json::lines(&diagnosis.sample, &diagnosis.findings),
        Form::Fix => fix::script(&diagnosis.findings),
    }
}

/// Lets the time between the looks go by, which whoever waits at a terminal sees.
fn wait_until(end: Instant, shown: bool) {
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
