//! What a run tells about itself: ladder, events, capture, summary; and that they agree.

use serde_json::Value;

use crate::process::{Outcome, finish};
use crate::world::{HOST4, User, World, each_user, find, skipped};

/// A run that was watched in every way.
pub(crate) struct Watched {
    pub(crate) outcome: Outcome,
    pub(crate) ladder: String,
    pub(crate) events: Vec<Value>,
    capture: String,
}

/// A program that writes in pieces waits for the delayed ACKs of whoever it calls; the answer, in
/// pieces too, waits for nothing on its way to the program.
#[test]
fn small_writes_that_wait_for_delayed_acks_are_told() {
    each_user(&[], |world| {
        let server = world.script("peer.py", &["serve", "61240", "answer:40", "read:end"]);
        let script = world.path("peer.py");
        let program = ["python3", &script, "call", HOST4, "61240", "ask:40"];
        let run = watched(world, &[], &program);
        assert_eq!(run.outcome.stdout.trim_end(), "done", "{:?}", run.outcome);
        server.line();
        // Not every one: this machine's own pauses are in between.
        let waits = &run.end()["nagle_waits"];
        assert!(waits["client"]["times"].as_u64().unwrap() > 5, "{waits}");
        assert_eq!(waits["server"]["times"], 0, "{waits}");
        run.assert_told(&["waited for the delayed ACK", "stalls the program waited for the"]);
        let trace = finish(world.trace(&[&run.capture, "--json"])).well();
        let told = "the client's small segments waited for the server's delayed ACKs";
        assert!(trace.stdout.contains("nagle-delayed-ack"), "{}", trace.stdout);
        assert!(trace.stdout.contains(told), "{}", trace.stdout);
    });
}

/// Runs a program with everything written that can be.
pub(crate) fn watched(world: &World, options: &[&str], program: &[&str]) -> Watched {
    let names = ["ladder", "events", "pcap"].map(|name| world.path(name));
    let ladder = format!("--ladder={}", names[0]);
    let all = [&[&ladder, "--events", &names[1], "--pcap", &names[2]], options].concat();
    let outcome = finish(world.fourwave(&all, program));
    let [ladder, events, capture] = names;
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let events = read(&events);
    assert!(events.is_empty() || events.ends_with('\n'), "a line is cut short");
    Watched {
        outcome,
        ladder: read(&ladder),
        events: events.lines().map(|line| serde_json::from_str(line).expect(line)).collect(),
        capture,
    }
}

impl Watched {
    /// The events that tell an end.
    pub(crate) fn ends(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == "end").collect()
    }

    /// The one connection's end.
    #[track_caller]
    pub(crate) fn end(&self) -> &Value {
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{}", self.ladder);
        ends[0]
    }

    /// The ladder in one line for each sentence: without the drawing, spaces single.
    pub(crate) fn told(&self) -> String {
        let drawn = |c: char| !"│├┤─═▶◀✗…".contains(c);
        let text: String = self.ladder.chars().map(|c| if drawn(c) { c } else { ' ' }).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    pub(crate) fn assert_told(&self, phrases: &[&str]) {
        let told = self.told();
        for phrase in phrases {
            assert!(told.contains(phrase), "no {phrase:?} in\n{}", self.ladder);
        }
    }

    /// Wireshark reads the capture without a complaint, and finds the reason of each connection's
    /// end on the packet that ended it.
    #[track_caller]
    pub(crate) fn assert_captured(&self, world: &World) {
        if world.user == User::Nobody {
            // Nothing in a capture depends on who ran it, and Wireshark takes its time.
            return;
        }
        if find("tshark").is_none() {
            return skipped("tshark is missing: the capture is not read");
        }
        let mut command = world.host("tshark");
        let fields = ["tcp.stream", "frame.comment", "_ws.malformed", "tcp.checksum.status"];
        command.args(["-n", "-r", &self.capture, "-o", "tcp.check_checksum:FALSE", "-Tfields"]);
        command.args(["-E", "separator=|"]).args(fields.iter().flat_map(|field| ["-e", field]));
        let output = finish(command).well();
        let rows: Vec<Vec<&str>> =
            output.stdout.lines().map(|line| line.split('|').collect()).collect();
        assert!(!rows.is_empty(), "{output:?}");
        for row in &rows {
            assert_eq!((row.len(), row[2]), (fields.len(), ""), "{row:?}");
        }
        for end in self.ends() {
            // No packet ended it: it ended for lack of one.
            if end["how"] == "unanswered" {
                assert!(rows.iter().all(|row| row[1].is_empty()), "{rows:?}");
                continue;
            }
            let number = end["conn"].as_u64().unwrap();
            let comment = format!("fourwave: end of connection {number}: ");
            let at = rows.iter().rposition(|row| row[1].starts_with(&comment));
            let at = at.unwrap_or_else(|| panic!("no comment on {number}: {output:?}"));
            // What had been under way may come behind an RST.
            if end["how"] == "reset" {
                continue;
            }
            let stream = rows[at][0];
            // A tail loss probe may cross the last ACK, and is answered.
            let later = rows[at + 1..].iter().filter(|row| row[0] == stream).count();
            assert!(later <= 2, "the last of stream {stream}: {rows:#?}\n{}", self.ladder);
        }
    }
}
