//! A seed again, with a lens on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fourwave_lens::ladder::{self, LadderOptions};

use crate::failure::Failure;
use crate::plan::{Overrides, Plan};
use crate::world::{RunSummary, Trace, World};

/// Calls `f`; a panic becomes a failure.
///
/// # Errors
/// What `f` returns, or its panic.
pub fn caught<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let what = format!("panic: {}", text.unwrap_or_default());
        Err(Failure { at: Duration::ZERO, conn: None, what })
    })
}

/// What a replay shows.
#[derive(Debug)]
pub struct Replay {
    /// How it ended.
    pub result: Result<RunSummary, Failure>,
    /// Ladders: the failing connection's, or all of them.
    pub ladders: Vec<String>,
}

/// Runs the world of `seed` under a lens that keeps `rows` rows of each connection's beginning
/// and end; `trace` hears of every packet.
pub fn replay(
    seed: u64,
    overrides: &Overrides,
    rows: usize,
    options: &LadderOptions,
    trace: Option<Trace>,
) -> Replay {
    let mut world = World::new(Plan::new(seed, overrides));
    world.observe(rows);
    if let Some(trace) = trace {
        world.trace(trace);
    }
    let result = caught(|| world.run());
    let conn = result.as_ref().err().and_then(|failure| failure.conn);
    let wanted = conn.and_then(|conn| world.addresses(conn));
    let mut ladders = Vec::new();
    if let Some(mut lens) = world.lens() {
        while let Some(story) = lens.poll_record() {
            let is_it = |(a, b)| story.addrs == [a, b] || story.addrs == [b, a];
            if wanted.is_none_or(is_it) {
                ladders.push(ladder::render(&story, options));
            }
        }
    }
    Replay { result: result.map(|()| world.outcome()), ladders }
}
