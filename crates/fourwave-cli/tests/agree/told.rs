//! What `fourwave trace --json` tells about a capture, and whether tshark says the same.

use std::process::Command;

use fourwave_testkit::Bounded;
use serde_json::Value;

use crate::lab::text;
use crate::tshark::{self, Figures, Stream};

/// A connection as trace tells it: its lines by event.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) end: Value,
    pub(crate) metrics: Value,
    pub(crate) states: Vec<Value>,
}

/// Every connection, by number, and how many packets came after their connection's record was
/// reported.
pub(crate) fn connections(capture: &str) -> (Vec<Told>, u64) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_fourwave")).args(["trace", "--json", capture]).bounded();
    assert!(output.status.success(), "{}", text(&output));
    let mut all: Vec<Told> = Vec::new();
    let (mut states, mut metrics, mut late) = (Vec::new(), Value::Null, None);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let value: Value = serde_json::from_str(line).expect(line);
        match value["event"].as_str().unwrap() {
            "state" => states.push(value),
            "metrics" => metrics = value,
            "end" => {
                let (states, metrics) = (std::mem::take(&mut states), metrics.take());
                let conn = &value["conn"];
                assert!(states.iter().chain([&metrics]).all(|told| told["conn"] == *conn));
                all.push(Told { end: value, metrics, states });
            }
            "summary" => late = value["ignored"]["late"].as_u64(),
            _ => {}
        }
    }
    all.sort_by_key(|told| told.end["conn"].as_u64());
    (all, late.expect("a summary at the end"))
}

impl Told {
    /// Address and port of the client and the server.
    pub(crate) fn ends(&self) -> [String; 2] {
        ["client", "server"].map(|end| self.end[end].as_str().unwrap().to_owned())
    }

    /// The figures of the client (0) or server (1).
    fn figures(&self, end: usize) -> Figures {
        let end = ["client", "server"][end];
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{self:?}"));
        let measured = &self.metrics[end];
        Figures {
            segments: number(&self.end["segments"][end]),
            payload: number(&measured["payload"]),
            bytes: number(&self.end["bytes"][end]),
            retransmitted: number(&self.end["retransmitted"][end]),
            fins: number(&measured["fins"]),
            rsts: number(&measured["rsts"]),
        }
    }
}

/// Sums of what was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Agreed {
    pub(crate) connections: u64,
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    pub(crate) retransmitted: u64,
    pub(crate) fins: u64,
    pub(crate) rsts: u64,
    /// Frames for which the two have another name; see `tshark`.
    pub(crate) unproven: u64,
    pub(crate) renamed: u64,
    /// Frames after a record's end.
    pub(crate) late: u64,
}

/// A client that does not get the RST sends its SYN again and is refused again. To tshark the same
/// SYN is the same connection; to trace a refused one is over with its RST, and this is the next.
/// So with a client that gave up, whose RST the server does not get, and the server's SYN ACK.
/// Puts such together, with the number of segments that tshark calls retransmissions.
fn joined(told: Vec<Told>, streams: &[Stream]) -> (Vec<Vec<Told>>, Vec<u64>) {
    let mut all: Vec<Vec<Told>> = Vec::new();
    for told in told {
        let ends = told.ends();
        let same = |stream: &&Stream| {
            ends == stream.ends || [&ends[1], &ends[0]] == [&stream.ends[0], &stream.ends[1]]
        };
        let mine = |group: &&mut Vec<Told>| group[0].ends() == ends;
        let known = all.iter().filter(|group| group[0].ends() == ends).count();
        match all.iter_mut().rfind(mine) {
            Some(group) if known == streams.iter().filter(same).count() => {
                let how: Vec<_> = group.iter().map(|told| &told.end["how"]).collect();
                let over = |told: &Told| {
                    let cause = &told.end["reset_cause"];
                    cause == "refused" || cause == "closed-while-opening"
                };
                assert!(group.iter().all(over), "{ends:?}: {how:?}, and one more");
                group.push(told);
            }
            _ => all.push(vec![told]),
        }
    }
    let again = all.iter().map(|group| group.len() as u64 - 1).collect();
    (all, again)
}

fn sum(group: &[Told], end: usize) -> Figures {
    let mut sum = Figures::default();
    for told in group {
        let figures = told.figures(end);
        sum.segments += figures.segments;
        sum.payload += figures.payload;
        sum.bytes += figures.bytes;
        sum.retransmitted += figures.retransmitted;
        sum.fins += figures.fins;
        sum.rsts += figures.rsts;
    }
    sum
}

/// Asserts that trace and tshark tell the same connections with the same figures, in the order in
/// which they began.
///
/// Trace reports a connection when its TIME_WAIT would be over (memory is bounded by the
/// connections that are alive) and only counts what comes later still, such as a FIN that is
/// sent again and again. tshark keeps all to the end of the file. So its frames count
/// up to the record's last one, and those behind it must be as many as trace calls late.
#[track_caller]
pub(crate) fn agree(capture: &str) -> Agreed {
    compare(capture).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The same; where they differ, how.
pub(crate) fn compare(capture: &str) -> Result<Agreed, String> {
    let streams = tshark::streams(capture);
    // Some scripts are about calls that send nothing, which is an error of trace's.
    if streams.is_empty() {
        return Ok(Agreed::default());
    }
    let (told, late) = connections(capture);
    let (groups, again) = joined(told, &streams);
    if groups.len() != streams.len() {
        let (ours, theirs) = (groups.len(), streams.len());
        return Err(format!("{capture}: {ours} connections, tshark {theirs}"));
    }
    let mut sums = Agreed { connections: groups.len() as u64, ..Agreed::default() };
    let mut wrong = Vec::new();
    for ((group, stream), again) in groups.iter().zip(&streams).zip(again) {
        let last = group.iter().map(|told| told.end["ended"].as_f64().unwrap()).fold(0.0, f64::max);
        // JSON has whole microseconds, captures may have less, and a date in seconds as a float is
        // a quarter of a microsecond coarse.
        let counted = stream.count(last + 1.5e-6);
        let ends = group[0].ends();
        // tshark's first end is whoever is seen first; trace's is the client.
        let turned = usize::from(ends[0] != stream.ends[0]);
        for end in 0..2 {
            let (mut ours, theirs) = (sum(group, end), &counted.figures[end ^ turned]);
            ours.retransmitted +=
                if end == usize::from(group[0].end["how"] == "reset") { again } else { 0 };
            if ends[end] != stream.ends[end ^ turned] || ours != *theirs {
                let conn = &group[0].end["conn"];
                wrong.push(format!(
                    "connection {conn} of {}, {}:\n  trace  {ours:?}\n  tshark {theirs:?}",
                    ends[0], ends[end]
                ));
            }
            sums.segments += ours.segments;
            sums.bytes += ours.bytes;
            sums.retransmitted += ours.retransmitted;
            sums.fins += ours.fins;
            sums.rsts += ours.rsts;
        }
        sums.unproven += counted.unproven;
        sums.renamed += counted.renamed;
        sums.late += counted.late;
    }
    if sums.late != late {
        wrong.push(format!("{late} packets after a story's end, tshark {}", sums.late));
    }
    if wrong.is_empty() { Ok(sums) } else { Err(format!("{capture}:\n{}", wrong.join("\n"))) }
}
