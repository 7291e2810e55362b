//! An interface, until someone stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fourwave_capture::Live;
use fourwave_trace::Analysis;

use super::outputs::Closed;
use crate::say;

/// How long nothing may happen before time is seen to pass.
const PATIENCE: Duration = Duration::from_millis(100);

/// Captures on `live`, the interface `name`, until `stop` is set or `duration` is over; false when
/// it failed before.
pub(super) fn watch(
    mut live: Live,
    name: &str,
    duration: Option<Duration>,
    analysis: &mut Analysis,
    stop: &AtomicBool,
    stdout: &Closed,
) -> Result<bool, String> {
    let until = duration.map(|duration| Instant::now() + duration);
    let over = |now: Instant| until.is_some_and(|until| now >= until);
    analysis.begin(name);
    let mut damaged = None;
    let mut ticked = Instant::now();
    while !stop.load(Ordering::Relaxed) && !stdout.is_closed() && !over(Instant::now()) {
        match live.next(PATIENCE) {
            Ok(Some(packet)) => analysis.packet(&packet).map_err(|error| error.to_string())?,
            Ok(None) => {}
            Err(error) => {
                say(&error.to_string());
                damaged = Some(error.to_string());
                break;
            }
        }
        if ticked.elapsed() >= PATIENCE {
            stdout.look();
            ticked = Instant::now();
            // The clock that packets are stamped by.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // A packet that waits in the kernel's buffer is older than now.
            let now = now.saturating_sub(PATIENCE * 2);
            analysis.tick(now).map_err(|error| error.to_string())?;
        }
    }
    let whole = damaged.is_none();
    analysis.end(name, live.tally().clone(), damaged);
    Ok(whole)
}
