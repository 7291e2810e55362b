//! How a scenario went.

use std::time::Duration;

use fourwave_core::Config;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::part::Part;
use crate::scenarios::Scenario;
use crate::script::{Played, Script};

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
    pub metrics: Map<String, Value>,
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

impl Scenario {
    /// Plays it with the caller's knobs at every host; where a scenario compares settings of a
    /// knob, its own go over them. Costs milliseconds, and seconds for a load of connections.
    pub fn play(&'static self, config: &Config) -> Performance {
        let mut script = Script::new(config);
        let result = (self.script)(&mut script);
        let Played { parts, outcome, metrics } = script.end();
        Performance { scenario: self, parts, outcome, metrics, failure: result.err() }
    }
}
