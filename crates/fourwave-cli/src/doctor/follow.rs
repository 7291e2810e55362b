//! Looks that go on: the table, reports one after the other, metrics.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use fourwave_device::reason;
use fourwave_doctor::{GatherError, Look, metrics, watch};

use super::Order;
use super::once::{Form, told};
use crate::say;

/// A table on the terminal, until a person ends it.
pub(super) fn table(order: Order) -> Result<u8, String> {
    let Order { scope, thresholds, sample, .. } = order;
    watch::watch(scope, thresholds, sample).map_err(|error| error.to_string())?;
    Ok(0)
}

/// A report for each interval, for whoever reads them.
pub(super) fn stream(order: Order, form: Form) -> Result<u8, String> {
    let Order { scope, thresholds, sample, screen } = order;
    let mut first = true;
    let mut failed = None;
    let each = |look: Result<&Look, GatherError>| {
        let text = match look {
            Ok(look) => told(look, form, &screen),
            Err(error) => {
                // The next may go well.
                say(&error.to_string());
                return true;
            }
        };
        let between = form == Form::Text && !std::mem::take(&mut first);
        let rule = if between { format!("\n{}\n\n", "─".repeat(72)) } else { String::new() };
        let rule = screen.shown(rule);
        let mut out = std::io::stdout().lock();
        let written = out.write_all((rule + &text).as_bytes()).and_then(|()| out.flush());
        failed = written.err();
        failed.is_none()
    };
    watch::stream(scope, thresholds, sample, each).map_err(|error| error.to_string())?;
    match failed {
        // A reader that has enough is no error.
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("the output cannot be written: {}", reason(&error)))
        }
        _ => Ok(0),
    }
}

/// The endpoint, until it is told to end.
pub(super) fn serve(order: Order, address: SocketAddr) -> Result<u8, String> {
    let Order { scope, thresholds, sample, .. } = order;
    let ready = |address| say(&format!("metrics at http://{address}/metrics"));
    metrics::serve(scope, thresholds, sample, address, ready).map_err(|error| error.to_string())?;
    Ok(0)
}
