//! What a scenario's script writes: the parts that are shown, the outcome, the figures.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use fourwave_core::counters::Counters;
use fourwave_core::{Config, ConnId, EndReport, Population};
use fourwave_lens::{Event, Names, Story};
use fourwave_net::Host;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::middle::clock;
use crate::scenarios::Scenario;
use crate::world::World;

/// One thing that a performance shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Part {
    /// What a lens saw: ladders.
    Watched {
        /// What distinguishes it from the scenario's other parts; empty when it is the only one.
        title: String,
        /// Everything the lens told, in order.
        events: Vec<Event>,
        /// What the ends are called.
        names: Names,
        /// Connections whose ladder is drawn, by number; all when empty.
        drawn: Vec<u64>,
        /// The packets that the lens saw, from their IP headers on, each with the time since the
        /// part began.
        packets: Vec<(Duration, Bytes)>,
    },
    /// A table.
    Table {
        /// What the columns are.
        heads: Vec<&'static str>,
        /// The rows, each as wide as `heads`.
        rows: Vec<Vec<String>>,
    },
}

impl Part {
    /// The stories whose ladders are drawn, in the order in which the connections were opened.
    pub fn stories(&self) -> Vec<&Story> {
        let Self::Watched { events, drawn, .. } = self else { return Vec::new() };
        let mut stories: Vec<&Story> = events
            .iter()
            .filter_map(|event| match event {
                Event::Ended(story) => Some(&**story),
                _ => None,
            })
            .filter(|story| drawn.is_empty() || drawn.contains(&story.conn))
            .collect();
        stories.sort_by_key(|story| story.conn);
        stories
    }
}

/// How a scenario went.
#[derive(Clone, Debug)]
pub struct Performance {
    /// Which one it was.
    pub scenario: &'static Scenario,
    /// What was seen, in the order in which it is shown.
    pub parts: Vec<Part>,
    /// What came out, a sentence each.
    pub outcome: Vec<String>,
    /// The numbers in it, by name.
    pub figures: Map<String, Value>,
    /// The first expectation that was not met.
    pub failure: Option<Failure>,
}

impl Performance {
    /// Every packet that a lens saw, with its time since the beginning. Parts that are played
    /// one after the other with clocks of their own stand an hour apart, in which no TIME_WAIT
    /// of the one before is left.
    pub fn packets(&self) -> Vec<(Duration, &[u8])> {
        const PAUSE: Duration = Duration::from_secs(3600);
        let mut all = Vec::new();
        let mut begin = Duration::ZERO;
        for part in &self.parts {
            let Part::Watched { packets, .. } = part else { continue };
            all.extend(packets.iter().map(|(at, packet)| (begin + *at, &packet[..])));
            begin = all.last().map_or(begin, |(at, _)| *at + PAUSE);
        }
        all
    }
}

/// A performance in the making.
pub(crate) struct Script {
    config: Config,
    parts: Vec<Part>,
    outcome: Vec<String>,
    figures: Map<String, Value>,
}

/// What stays of a world that was shown.
pub(crate) struct Seen {
    hosts: Vec<Host>,
}

impl Seen {
    /// How a connection of a host ended.
    pub(crate) fn report(&self, host: usize, conn: ConnId) -> Result<&EndReport, Failure> {
        self.hosts[host]
            .report(conn)
            .ok_or_else(|| Failure::new("the connection", "ended", "it is alive".to_owned()))
    }

    /// What was alive on a host at the end.
    pub(crate) fn population(&self, host: usize) -> Population {
        self.hosts[host].stack.population()
    }

    /// What a host's engine counted.
    pub(crate) fn counters(&self, host: usize) -> Counters {
        *self.hosts[host].stack.counters()
    }
}

impl Script {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), parts: Vec::new(), outcome: Vec::new(), figures: Map::new() }
    }

    /// The knobs that the caller set.
    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// The caller's knobs, and the scenario's own over them.
    pub(crate) fn config_with(&self, settings: &[(&str, &str)]) -> Result<Config, Failure> {
        let mut config = self.config();
        for (name, value) in settings {
            config
                .set(name, value)
                .map_err(|error| Failure::new(name, value, error.to_string()))?;
        }
        Ok(config)
    }

    /// A client and a server with the caller's knobs.
    pub(crate) fn world(&self) -> World {
        World::new(self.config(), self.config())
    }

    /// Draws every ladder of a world that has come to its end.
    pub(crate) fn show(&mut self, title: &str, world: World) -> Seen {
        self.show_some(title, world, Vec::new())
    }

    /// Draws the ladders of `drawn`, connections by number.
    pub(crate) fn show_some(&mut self, title: &str, mut world: World, drawn: Vec<u64>) -> Seen {
        world.flush();
        let at = clock(world.now);
        let mut events = Vec::new();
        if let Some(mut lens) = world.filter.lens.take() {
            lens.finish(at);
            events.extend(std::iter::from_fn(|| lens.poll_event()));
            let (title, names) = (title.to_owned(), world.names.clone());
            let packets = std::mem::take(&mut world.filter.passed);
            self.parts.push(Part::Watched { title, events, names, drawn, packets });
        }
        Seen { hosts: std::mem::take(&mut world.ends) }
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, heads: Vec<&'static str>, rows: Vec<Vec<String>>) {
        self.parts.push(Part::Table { heads, rows });
    }

    /// Adds a sentence to the outcome.
    pub(crate) fn outcome(&mut self, sentence: impl Into<String>) {
        self.outcome.push(sentence.into());
    }

    /// Adds a number to the outcome, for machines.
    pub(crate) fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Ends the script: what it played, and whether it came out as it must.
    pub(crate) fn end(
        self,
        scenario: &'static Scenario,
        result: Result<(), Failure>,
    ) -> Performance {
        let Self { config: _, parts, outcome, figures } = self;
        Performance { scenario, parts, outcome, figures, failure: result.err() }
    }
}

/// Holds what came out against what must.
pub(crate) fn expect<T: PartialEq + Display>(
    what: &str,
    expected: T,
    actual: T,
) -> Result<(), Failure> {
    if expected == actual {
        return Ok(());
    }
    Err(Failure::new(what, &expected.to_string(), actual.to_string()))
}

/// As [`expect`], for what only has a debug form or is a condition: `expected` in words.
pub(crate) fn ensure(
    holds: bool,
    what: &str,
    expected: &str,
    actual: impl Display,
) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(what, expected, actual.to_string())) }
}
