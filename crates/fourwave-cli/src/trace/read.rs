//! From the first packet of an input to its last.

use std::sync::atomic::{AtomicBool, Ordering};

use fourwave_trace::Analysis;

use super::inputs::Input;
use super::outputs::Closed;
use super::progress::Bar;
use crate::say;

/// Packets between two looks at how far it is.
const BATCH: u32 = 4096;

/// Reads all of `input`; false when something in it could not be read, or someone stopped it.
pub(super) fn file(
    input: Input,
    analysis: &mut Analysis,
    stop: &AtomicBool,
    stdout: &Closed,
    bar: &Bar,
) -> Result<bool, String> {
    // A pipe ends by itself: whoever writes into it gets the signal too.
    let stoppable = input.is_file();
    let mut input = match input.begin() {
        Ok(input) => input,
        Err(error) => {
            bar.aside(|| say(&error.to_string()));
            return Ok(false);
        }
    };
    analysis.begin(&input.name);
    let mut stopped = false;
    'whole: loop {
        bar.at(input.reader().position());
        for _ in 0..BATCH {
            match input.next(|packet| analysis.packet(packet)) {
                Some(given) => given.map_err(|error| error.to_string())?,
                None => break 'whole,
            }
            if !stoppable && stdout.is_closed() {
                break 'whole;
            }
        }
        stopped = stoppable && stop.load(Ordering::Relaxed);
        if stopped || stdout.is_closed() {
            break;
        }
    }
    bar.done(input.size);
    let reader = input.reader();
    let mut problems: Vec<String> = reader.damaged().map(str::to_owned).into_iter().collect();
    if stopped {
        problems.push("stopped; what was read so far is reported".to_owned());
    }
    let damaged = problems.first().cloned();
    let tally = reader.tally().clone();
    for (link, n) in &tally.unknown_links {
        let name = fourwave_capture::link_name(*link);
        let packets = fourwave_lens::units::counted(*n, "packet");
        problems.push(format!("{packets} of link type {link} ({name}) cannot be read"));
    }
    for problem in &problems {
        bar.aside(|| say(&format!("{}: {problem}", input.name)));
    }
    analysis.end(&input.name, tally, damaged);
    Ok(problems.is_empty())
}
