//! The search: depth first, each world once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::action::Action;
use crate::judge::Broken;
use crate::print::Prints;
use crate::setup::Setup;
use crate::world::World;

/// How large a search was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Different worlds.
    pub states: u64,
    /// Steps between them.
    pub steps: u64,
    /// Worlds in which nothing can happen any more.
    pub ends: u64,
    /// The longest way.
    pub depth: usize,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, ends, depth } = self;
        write!(f, "{states} states, {steps} steps, {ends} ends, longest way {depth}")
    }
}

/// A broken rule and the way to it.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The rule.
    pub broken: Broken,
    /// From the beginning.
    pub way: Vec<Action>,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How large it was.
    pub stats: Stats,
    /// The first violation, if any; the search stops there.
    pub violation: Option<Violation>,
    /// Whether everything was seen; not so at a violation or the limit of states.
    pub complete: bool,
}

/// A world on the way, and what is to be tried from it.
struct Open {
    world: World,
    print: u64,
    actions: std::vec::IntoIter<Action>,
    /// The action that led to the child being explored.
    taken: Option<Action>,
    moved: bool,
}

impl Open {
    fn new(world: World, print: u64) -> Self {
        let actions = world.actions().into_iter();
        Self { world, print, actions, taken: None, moved: false }
    }
}

/// Takes one step; a panic of the engine is a broken rule.
pub(crate) fn step(world: &World, action: Action) -> Result<Option<World>, Broken> {
    catch_unwind(AssertUnwindSafe(|| world.step(action))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(Broken::Panic(text.unwrap_or_default()))
    })
}

/// Explores everything within `setup`, up to `max_states` worlds. `progress` is called every
/// 2^16 worlds.
pub fn explore(setup: &Setup, max_states: u64, mut progress: impl FnMut(&Stats)) -> Outcome {
    let root = World::new(setup);
    let print = root.fingerprint();
    // Whether a world is on the way to where the search is now.
    let mut seen: Prints<bool> = Prints::default();
    seen.insert(print, true);
    let mut way = vec![Open::new(root, print)];
    let mut stats = Stats { states: 1, depth: 1, ..Stats::default() };
    while let Some(top) = way.last_mut() {
        let Some(action) = top.actions.next() else {
            let judged = if top.moved { Ok(()) } else { top.world.judge_the_end() };
            stats.ends += u64::from(!top.moved);
            if let Err(broken) = judged {
                return found(stats, broken, &way, None);
            }
            seen.insert(top.print, false);
            way.pop();
            continue;
        };
        let next = match step(&top.world, action) {
            Ok(Some(next)) => next,
            Ok(None) => continue,
            Err(broken) => return found(stats, broken, &way, Some(action)),
        };
        stats.steps += 1;
        top.moved |= !action.is_fault();
        top.taken = Some(action);
        let print = next.fingerprint();
        match seen.get(&print) {
            Some(true) => return found(stats, Broken::Livelock, &way, None),
            Some(false) => continue,
            None => {}
        }
        if stats.states >= max_states {
            return Outcome { stats, violation: None, complete: false };
        }
        seen.insert(print, true);
        stats.states += 1;
        way.push(Open::new(next, print));
        stats.depth = stats.depth.max(way.len());
        if stats.states.is_multiple_of(1 << 16) {
            progress(&stats);
        }
    }
    Outcome { stats, violation: None, complete: true }
}

fn found(stats: Stats, broken: Broken, way: &[Open], last: Option<Action>) -> Outcome {
    let mut actions: Vec<Action> = way.iter().filter_map(|open| open.taken).collect();
    if let Some(last) = last {
        actions.truncate(way.len() - 1);
        actions.push(last);
    } else if broken != Broken::Livelock {
        actions.truncate(way.len() - 1);
    }
    Outcome { stats, violation: Some(Violation { broken, way: actions }), complete: false }
}
