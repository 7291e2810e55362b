//! The search: depth first, each world once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::action::Action;
use crate::broken::Broken;
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
pub struct Exploration {
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
pub fn explore(setup: &Setup, max_states: u64, mut progress: impl FnMut(&Stats)) -> Exploration {
    let mut search = Search { seen: Prints::default(), stats: Stats::default(), max_states };
    for root in World::roots(setup) {
        let violation = search.run(root, &mut progress);
        let full = search.stats.states >= max_states;
        if violation.is_some() || full {
            return Exploration { stats: search.stats, violation, complete: false };
        }
    }
    Exploration { stats: search.stats, violation: None, complete: true }
}

struct Search {
    /// Every world seen, and whether it is on the way to where the search is now.
    seen: Prints<bool>,
    stats: Stats,
    max_states: u64,
}

impl Search {
    fn enter(&mut self, world: World, print: u64, way: &mut Vec<Open>) {
        self.seen.insert(print, true);
        self.stats.states += 1;
        way.push(Open::new(world, print));
        self.stats.depth = self.stats.depth.max(way.len());
    }

    /// Explores what follows from `root`, until all is seen, a rule broken or the limit reached.
    fn run(&mut self, root: World, progress: &mut impl FnMut(&Stats)) -> Option<Violation> {
        let mut way = Vec::new();
        let print = root.fingerprint();
        self.enter(root, print, &mut way);
        while let Some(top) = way.last_mut() {
            let Some(action) = top.actions.next() else {
                if !top.moved {
                    self.stats.ends += 1;
                    if let Err(broken) = top.world.judge_the_end() {
                        top.taken = None;
                        return Some(violation(broken, &way));
                    }
                }
                self.seen.insert(top.print, false);
                way.pop();
                continue;
            };
            let next = match step(&top.world, action) {
                Ok(None) => continue,
                Ok(Some(next)) => next,
                Err(broken) => {
                    top.taken = Some(action);
                    return Some(violation(broken, &way));
                }
            };
            self.stats.steps += 1;
            top.moved |= !action.is_fault();
            top.taken = Some(action);
            let print = next.fingerprint();
            match self.seen.get(&print) {
                Some(true) => return Some(violation(Broken::Livelock, &way)),
                Some(false) => continue,
                None if self.stats.states >= self.max_states => return None,
                None => self.enter(next, print, &mut way),
            }
            if self.stats.states.is_multiple_of(1 << 16) {
                progress(&self.stats);
            }
        }
        None
    }
}

fn violation(broken: Broken, way: &[Open]) -> Violation {
    Violation { broken, way: way.iter().filter_map(|open| open.taken).collect() }
}
