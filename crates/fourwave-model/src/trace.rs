//! From a way to something a person can read: replayed, shortened, drawn.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::mem::discriminant;
use std::time::Duration;

use fourwave_lens::{Lens, LensOptions, ladder};

use crate::action::{Action, End};
use crate::broken::Broken;
use crate::explore::{Violation, step};
use crate::setup::Setup;
use crate::world::{Taped, World, address};

/// Steps after which a continuation counts as endless.
const ENDLESS: usize = 10_000;

/// A way that was gone again, with what was seen on it.
pub struct Replay {
    setup: Setup,
    /// The world in which it ended.
    world: World,
    seen: HashSet<u64>,
    /// The steps that were possible.
    pub way: Vec<Action>,
    /// The rule that was broken, if any.
    pub broken: Option<Broken>,
}

impl Replay {
    /// Goes a way from the beginning and on to an end without faults. Steps that are not possible
    /// are left out.
    pub fn new(setup: &Setup, way: &[Action]) -> Self {
        let faults = End::BOTH.map(|end| {
            let on_the_way = way.iter().filter(|action| action.fault() == Some(end)).count();
            u8::try_from(on_the_way).unwrap_or(u8::MAX)
        });
        let mut world = World::new(setup, faults);
        world.tape = Some(Vec::new());
        // The first SYN went out before the tape ran.
        if let Some(syn) = world.lanes[End::Server.index()].queue.front() {
            let syn = Taped::Packet(world.now, syn.packet.bytes.clone());
            world.tape = Some(vec![syn]);
        }
        let mut replay = Self {
            setup: setup.clone(),
            world,
            seen: HashSet::new(),
            way: Vec::new(),
            broken: None,
        };
        replay.seen.insert(replay.world.fingerprint());
        for &action in way {
            if replay.broken.is_some() {
                return replay;
            }
            replay.take(action);
        }
        replay.run_on();
        replay
    }

    /// Takes a step when that is possible.
    fn take(&mut self, action: Action) -> bool {
        match step(&self.world, action) {
            Ok(Some(next)) => {
                if !self.seen.insert(next.fingerprint()) {
                    self.broken = Some(Broken::Livelock);
                }
                self.world = next;
            }
            Ok(None) => return false,
            Err(broken) => self.broken = Some(broken),
        }
        self.way.push(action);
        true
    }

    fn run_on(&mut self) {
        for _ in 0..ENDLESS {
            if self.broken.is_some() {
                return;
            }
            let actions = self.world.actions();
            if !actions.into_iter().any(|action| !action.is_fault() && self.take(action)) {
                self.broken = self.world.judge_the_end().err();
                return;
            }
        }
        self.broken = Some(Broken::Livelock);
    }

    /// The violation on as few steps as leaving single ones out can reach.
    pub fn shortest(setup: &Setup, violation: &Violation) -> Self {
        let kind = discriminant(&violation.broken);
        let same = |replay: &Self| replay.broken.as_ref().is_some_and(|b| discriminant(b) == kind);
        let mut best = Self::new(setup, &violation.way);
        if !same(&best) {
            return best;
        }
        let mut size = best.way.len() / 2;
        while size > 0 {
            let mut start = 0;
            let mut better = false;
            while start < best.way.len() {
                let mut way = best.way.clone();
                way.drain(start..(start + size).min(way.len()));
                let replay = Self::new(setup, &way);
                if same(&replay) && replay.way.len() < best.way.len() {
                    best = replay;
                    better = true;
                } else {
                    start += size;
                }
            }
            if !better {
                size /= 2;
            }
        }
        best
    }

    /// The command that shows this way again.
    pub fn command(&self) -> String {
        let way: Vec<String> = self.way.iter().map(Action::to_string).collect();
        format!("cargo run -p fourwave-model -- {} --replay '{}'", self.setup, way.join(" "))
    }

    /// The broken rule, the steps, the ladder and the command.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match &self.broken {
            Some(broken) => _ = writeln!(text, "broken: {broken}\n"),
            None => text.push_str("no rule is broken on this way\n\n"),
        }
        for (n, action) in self.way.iter().enumerate() {
            _ = writeln!(text, "{:>4}  {action}", n + 1);
        }
        _ = write!(text, "\n{}\nagain: {}\n", self.ladder(), self.command());
        text
    }

    /// What a watcher between the two ends saw.
    pub fn ladder(&self) -> String {
        let mut lens = Lens::new(LensOptions::default());
        let ends = (address(End::Client), address(End::Server));
        let span = |at: fourwave_core::Instant| Duration::from_micros(at.as_micros());
        for taped in self.world.tape.iter().flatten() {
            match taped {
                Taped::Packet(at, bytes) => _ = lens.observe(span(*at), bytes, bytes.len(), 0),
                Taped::Note(at, text) => _ = lens.note(span(*at), ends, text),
                Taped::End(report) => _ = lens.end(report),
            }
        }
        lens.finish(span(self.world.now));
        let mut text = String::new();
        while let Some(story) = lens.poll_record() {
            text.push_str(&ladder::render(&story, &ladder::LadderOptions::default()));
            text.push('\n');
        }
        text
    }
}
