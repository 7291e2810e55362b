//! What a scenario's script writes: the parts that are shown, the outcome, the metrics.

use std::fmt::Display;

use fourwave_core::counters::Counters;
use fourwave_core::{Config, ConnId, EndReport, Population};
use fourwave_net::Host;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::middle::clock;
use crate::part::Part;
use crate::world::World;

/// What a script has played.
pub(crate) struct Played {
    pub(crate) parts: Vec<Part>,
    pub(crate) outcome: Vec<String>,
    pub(crate) metrics: Map<String, Value>,
}

/// A performance in the making.
pub(crate) struct Script {
    config: Config,
    parts: Vec<Part>,
    outcome: Vec<String>,
    metrics: Map<String, Value>,
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
        self.hosts[host].engine.population()
    }

    /// What a host's engine counted.
    pub(crate) fn counters(&self, host: usize) -> Counters {
        *self.hosts[host].engine.counters()
    }
}

impl Script {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), parts: Vec::new(), outcome: Vec::new(), metrics: Map::new() }
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
    pub(crate) fn metric(&mut self, name: &str, value: impl Into<Value>) {
        self.metrics.insert(name.to_owned(), value.into());
    }

    /// Ends the script: what it played.
    pub(crate) fn end(self) -> Played {
        let Self { config: _, parts, outcome, metrics } = self;
        Played { parts, outcome, metrics }
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
