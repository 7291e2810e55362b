//! The states in trace's ladders are those that `ss` shows on both hosts at the same time.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::{Lab, can, say};
use crate::told::{Told, connections};

/// Captured at both hosts, as a loss on the way is seen from one side only.
const HELD: &str = r#"
drop() { nft add rule ip lab forward "$@" drop; }
drop ip saddr $C tcp dport '{ 9002, 9004 }' tcp flags == ack
drop ip saddr $S tcp sport 9003 tcp flags '& (syn) == 0'
drop ip saddr $C tcp dport 9007
drop ip saddr $C tcp dport 9008 tcp flags '& (fin) == fin'
tap client.pcap c --immediate-mode
tap server.pcap s --immediate-mode
s python3 hold.py serve &
listening 9008
c python3 hold.py sample client.ss &
A=$!
s python3 hold.py sample server.ss &
B=$!
c python3 hold.py visit $S
wait $A $B
untap
"#;

/// A change and what `ss` shows of it are not the same instant, in seconds.
const MARGIN: f64 = 0.04;

/// One look at a host's sockets.
struct Look {
    before: f64,
    after: f64,
    states: Value,
}

fn looks(text: &str) -> Vec<Look> {
    let parsed = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let time = |value: &Value| value.as_f64().unwrap();
    parsed
        .map(|mut value| Look {
            before: time(&value["before"]),
            after: time(&value["after"]),
            states: value["states"].take(),
        })
        .collect()
}

/// RFC 9293's name for what `ss` says; a socket that is not there is closed.
fn name(said: Option<&str>) -> &str {
    match said {
        None => "CLOSED",
        Some("ESTAB") => "ESTABLISHED",
        Some("SYN-SENT") => "SYN_SENT",
        Some("SYN-RECV") => "SYN_RECEIVED",
        Some("FIN-WAIT-1") => "FIN_WAIT_1",
        Some("FIN-WAIT-2") => "FIN_WAIT_2",
        Some("TIME-WAIT") => "TIME_WAIT",
        Some("CLOSE-WAIT") => "CLOSE_WAIT",
        Some("LAST-ACK") => "LAST_ACK",
        Some("CLOSING") => "CLOSING",
        Some(other) => panic!("ss says {other}"),
    }
}

/// An end's state over time: each change's time, and what it was from then on. What trace put
/// right counts from then on.
fn course(told: &Told, end: &str) -> Vec<(f64, String)> {
    let of_end = told.states.iter().filter(|state| state["end"] == end);
    of_end
        .map(|state| (state["t"].as_f64().unwrap(), state["to"].as_str().unwrap().to_owned()))
        .collect()
}

/// The state during a look; `None` when it was just changing, or before the first.
fn during<'a>(course: &'a [(f64, String)], look: &Look) -> Option<&'a str> {
    let (from, to) = (look.before - MARGIN, look.after + MARGIN);
    if course.iter().any(|(at, _)| (from..=to).contains(at)) {
        return None;
    }
    course.iter().rev().find(|(at, _)| *at < from).map(|(_, state)| state.as_str())
}

/// Where a capture at `host` cannot know an end's state: the segment that it saw was lost later,
/// or it never saw one that was lost before. By port.
fn knows(host: &str, port: &str, end: &str) -> bool {
    match port {
        // Of these the loss lies between the host that captures and the other one.
        "9002" | "9004" => host == "server" || end == "client",
        "9003" => host == "client" || end == "server",
        "9007" => host == "client",
        "9008" => host == "client" && end == "client",
        _ => true,
    }
}

#[test]
fn states_are_those_of_ss_on_both_hosts() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::run(HELD, &[]);
    let looks = ["client", "server"].map(|host| looks(&lab.read(&format!("{host}.ss"))));
    let mut compared = BTreeMap::<(&str, String), u32>::new();
    let mut wrong = Vec::new();
    for host in ["client", "server"] {
        for told in connections(&lab.path(&format!("{host}.pcap"))).0 {
            let ends = told.ends();
            let port = ends[1].rsplit(':').next().unwrap();
            for (index, end) in ["client", "server"].into_iter().enumerate() {
                let course = course(&told, end);
                let key = format!("{} {}", ends[index], ends[1 - index]);
                for look in &looks[index] {
                    let Some(state) = during(&course, look).filter(|_| knows(host, port, end))
                    else {
                        continue;
                    };
                    let said = name(look.states[&key].as_str());
                    if state == said {
                        *compared.entry((end, state.to_owned())).or_default() += 1;
                    } else {
                        let at = look.before;
                        wrong.push(format!(
                            "{host}.pcap port {port} {at}: {end} {state}, ss {said}"
                        ));
                    }
                }
            }
        }
    }
    say(&format!("states compared with ss: {compared:?}"));
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    let held = [
        ("client", "SYN_SENT"),
        ("client", "ESTABLISHED"),
        ("client", "FIN_WAIT_1"),
        ("client", "FIN_WAIT_2"),
        ("client", "CLOSING"),
        ("client", "CLOSE_WAIT"),
        ("client", "TIME_WAIT"),
        ("client", "CLOSED"),
        ("server", "SYN_RECEIVED"),
        ("server", "ESTABLISHED"),
        ("server", "FIN_WAIT_2"),
        ("server", "CLOSE_WAIT"),
        ("server", "LAST_ACK"),
        ("server", "TIME_WAIT"),
        ("server", "CLOSED"),
    ];
    for (end, state) in held {
        assert!(compared.contains_key(&(end, state.to_owned())), "no {end} in {state}");
    }
}
