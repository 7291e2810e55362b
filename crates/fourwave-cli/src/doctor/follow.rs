//! Repeated samples: the table, reports one after the other, metrics.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use fourwave_doctor::{Diagnosis, GatherError, metrics, watch};
use fourwave_linux::reason;

use super::Order;
use super::once::{Form, report};
use crate::{say, stop};

/// A table on the terminal, until a person ends it, or is gone.
pub(super) fn table(order: Order) -> Result<u8, String> {
    let Order { scope, thresholds, sample, screen } = order;
    let shows = watch::Shows { color: screen.color, unicode: !screen.ascii };
    let asked = stop::on_signal()?;
    let ended = || asked.load(Ordering::Relaxed);
    watch::watch(scope, thresholds, sample, shows, ended).map_err(|error| error.to_string())?;
    Ok(0)
}

/// A report for each interval, for whoever reads them.
pub(super) fn stream(order: Order, form: Form) -> Result<u8, String> {
    let Order { scope, thresholds, sample, screen } = order;
    let asked = stop::on_signal()?;
    let ended = || asked.load(Ordering::Relaxed) || stop::is_gone(io::stdout());
    let mut first = true;
    let mut failed = None;
    let each = |diagnosis: Result<&Diagnosis, GatherError>| {
        let text = match diagnosis {
            Ok(diagnosis) => report(diagnosis, form, &screen),
            Err(error) => {
                // The next may go well.
                say(&error.to_string());
                return true;
            }
        };
        let between = form == Form::Text && !std::mem::take(&mut first);
        let rule = if between { format!("\n{}\n\n", "─".repeat(72)) } else { String::new() };
        let rule = screen.shown(rule);
        let mut out = io::stdout().lock();
        let written = out.write_all((rule + &text).as_bytes()).and_then(|()| out.flush());
        failed = written.err();
        failed.is_none()
    };
    watch::stream(scope, thresholds, sample, ended, each).map_err(|error| error.to_string())?;
    match failed {
        // A reader that has enough, or hung up, is no error.
        Some(error) if error.kind() != ErrorKind::BrokenPipe && !stop::is_gone(io::stdout()) => {
            Err(format!("the output cannot be written: {}", reason(&error)))
        }
        _ => Ok(0),
    }
}

/// The endpoint, until it is asked to end.
pub(super) fn serve(order: Order, address: SocketAddr) -> Result<u8, String> {
    let Order { scope, thresholds, sample, .. } = order;
    let ready = |address| say(&format!("metrics at http://{address}/metrics"));
    metrics::serve(scope, thresholds, sample, address, ready).map_err(|error| error.to_string())?;
    Ok(0)
}
