//! The page of scenarios shows what they print.

use fourwave_core::Config;
use fourwave_scenario::{all, find, text};

const INTRO: &str = "\
# How connections end: the scenarios

`fourwave scenario NAME` plays one way in which a connection's life ends on the engine that
`fourwave run` uses, in virtual time and with fixed seeds: two hours of keepalive take a moment, and
each run prints the same. A lens in the middle of the network draws the ladder, and the scenario
checks its outcome: the exit status is 1 when it is not what is expected.

    fourwave scenario                                      list them
    fourwave scenario lost-last-ack                        play one
    fourwave scenario lost-last-ack -o tcp_timewait_len=0  with another setting
    fourwave scenario old-duplicate-fin --html page.html   a page to pass on
    fourwave scenario nat-recycle --json                   for machines
    fourwave scenario --all                                PASS or FAIL for each

What the JSON's fields mean stands in `crates/fourwave-scenario/SCHEMA.md`. Knobs that are set with
`-o` hold for every host; where a scenario compares settings of a knob, its own go over them.

";

const SHOWN: [&str; 5] =
    ["four-waves", "lost-last-ack", "old-duplicate-fin", "nat-recycle", "too-many-time-wait"];

/// `UPDATE_DOCS=1 cargo test -p fourwave-scenario --test docs` writes the page again.
#[test]
fn the_page_of_scenarios_is_what_they_print() {
    let mut page = INTRO.to_owned();
    page.push_str("| scenario | what it shows |\n| --- | --- |\n");
    for scenario in all() {
        page.push_str(&format!("| `{}` | {} |\n", scenario.name, scenario.title));
    }
    page.push_str("\nFive of them, as they print.\n");
    for name in SHOWN {
        let performance = find(name).unwrap().play(&Config::default());
        let printed = text::render(&performance, &text::TextOptions::default());
        page.push_str(&format!(
            "\n## {name}\n\n```console\n$ fourwave scenario {name} --width 100\n{printed}```\n"
        ));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenarios.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/scenarios.md is not what they print: UPDATE_DOCS=1 writes it again"
    );
}
