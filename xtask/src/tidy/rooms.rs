//! The walls between the rooms of fourwave-core (ARCHITECTURE.md): who may name whom.

use super::Finding;
use super::paths::{self, Path};
use super::source::Source;

const CORE: &str = "crates/fourwave-core/src/";

/// A room and what it may not name. `crate::` stands before every module of the engine.
struct Wall {
    room: &'static str,
    forbids: &'static [&'static str],
    but: &'static [&'static str],
    why: &'static str,
}

const SAMPLES: &str = "congestion and recovery see samples: of ours they know only SeqNum and time";
const BY_ID: &str = "it knows connections only by id (the state enum apart)";

const WALLS: [Wall; 7] = [
    Wall {
        room: "crate::conn::state",
        forbids: &["crate::conn"],
        but: &["crate::conn::state"],
        why: "the state table imports no other module of conn",
    },
    Wall {
        room: "crate::conn::send",
        forbids: &["crate::conn::recv"],
        but: &[],
        why: "send and recv do not know each other: conn joins them",
    },
    Wall {
        room: "crate::conn::recv",
        forbids: &["crate::conn::send"],
        but: &[],
        why: "send and recv do not know each other: conn joins them",
    },
    Wall {
        room: "crate::congestion",
        forbids: &["crate", "fourwave_wire"],
        but: &["crate::congestion", "crate::time", "fourwave_wire::SeqNum", "fourwave_wire::seq"],
        why: SAMPLES,
    },
    Wall {
        room: "crate::recovery",
        forbids: &["crate", "fourwave_wire"],
        but: &["crate::recovery", "crate::time", "fourwave_wire::SeqNum", "fourwave_wire::seq"],
        why: SAMPLES,
    },
    Wall {
        room: "crate::demux",
        forbids: &["crate::conn"],
        but: &["crate::conn::state"],
        why: BY_ID,
    },
    Wall {
        room: "crate::time_wait",
        forbids: &["crate::conn"],
        but: &["crate::conn::state"],
        why: BY_ID,
    },
];

/// Only the crate's root names the stack: it sees everything, nothing sees it.
const STACK: &str = "crate::stack";

/// Checks all files of the engine; test code may look over the walls.
pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let engine: Vec<(&Source, Vec<String>)> = sources
        .iter()
        .filter_map(|source| Some((source, paths::module_of(source.path.strip_prefix(CORE)?))))
        .collect();
    if engine.is_empty() {
        return;
    }
    let named: Vec<Vec<Path>> =
        engine.iter().map(|(source, module)| paths::paths(source, module)).collect();
    let exports = paths::exports(&named.concat());
    for wall in &WALLS {
        if !engine.iter().any(|(_, module)| within(&module.join("::"), wall.room)) {
            let what =
                format!("there is no room `{}`: move its wall in {} with it", wall.room, file!());
            findings.push(
                Finding::new("rooms", "crates/fourwave-core/src/lib.rs", 1, what).about(wall.room),
            );
        }
    }
    for ((source, module), named) in engine.iter().zip(&named) {
        let from = module.join("::");
        let mut seen: Vec<String> = Vec::new();
        for path in named.iter().filter(|path| !path.test) {
            let to = paths::resolve(&path.to, &exports).join("::");
            let Some(why) = objection(&from, &to) else { continue };
            if seen.iter().any(|seen| within(&to, seen)) {
                continue;
            }
            let what = format!("`{from}` names `{to}`: {why}");
            findings.push(Finding::new("rooms", &source.path, path.line, what).about(&to));
            seen.push(to);
        }
    }
}

/// Why a module may not name a path; none where it may.
fn objection(from: &str, to: &str) -> Option<&'static str> {
    if within(to, STACK) && from != "crate" && !within(from, STACK) {
        return Some("only the stack sees everything, and nothing sees the stack");
    }
    let wall = WALLS.iter().find(|wall| within(from, wall.room))?;
    let allowed = wall.but.iter().any(|but| within(to, but));
    let glob_above =
        to.strip_suffix("::*").is_some_and(|above| wall.forbids.iter().any(|f| within(f, above)));
    let forbidden = wall.forbids.iter().any(|forbidden| within(to, forbidden)) || glob_above;
    (forbidden && !allowed).then_some(wall.why)
}

fn within(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings for an engine that has all the rooms and one file more.
    fn found(file: &str, text: &str) -> Vec<(String, usize)> {
        let rooms = WALLS.iter().map(|wall| wall.room.replace("crate::", "").replace("::", "/"));
        let mut sources: Vec<Source> = rooms
            .map(|room| format!("{CORE}{room}/mod.rs"))
            .filter(|path| *path != format!("{CORE}{file}"))
            .map(|path| Source::parse(&path, "").expect("empty"))
            .collect();
        let lib = "mod conn; mod stack; pub use conn::{recv::Window, state::State};";
        sources.push(Source::parse(&format!("{CORE}lib.rs"), lib).expect("it lexes"));
        sources.push(Source::parse(&format!("{CORE}{file}"), text).expect("it lexes"));
        let mut findings = Vec::new();
        check(&sources, &mut findings);
        findings.into_iter().map(|f| (f.item, f.line)).collect()
    }

    fn at(item: &str, line: usize) -> Vec<(String, usize)> {
        vec![(item.to_owned(), line)]
    }

    #[test]
    fn the_state_table_stands_alone() {
        assert_eq!(
            found("conn/state.rs", "\nuse super::output::Next;"),
            at("crate::conn::output::Next", 2)
        );
        assert_eq!(found("conn/state.rs", "use crate::conn;"), at("crate::conn", 1));
        assert!(
            found("conn/state.rs", "use core::fmt; use self::table::T; use crate::error::Error;")
                .is_empty()
        );
    }

    #[test]
    fn send_and_recv_do_not_meet() {
        assert_eq!(
            found("conn/send/nagle.rs", "use crate::conn::recv::Queue;"),
            at("crate::conn::recv::Queue", 1)
        );
        assert_eq!(
            found("conn/recv/ack.rs", "fn f() { crate::conn::send::g() }"),
            at("crate::conn::send::g", 1)
        );
        assert_eq!(
            found("conn/send/nagle.rs", "use crate::Window;"),
            at("crate::conn::recv::Window", 1)
        );
        assert_eq!(found("conn/send/mod.rs", "use super::*;"), at("crate::conn::*", 1));
        assert!(
            found("conn/send/nagle.rs", "use super::Queue; use crate::conn::state::State;")
                .is_empty()
        );
    }

    #[test]
    fn algorithms_know_numbers_and_time() {
        assert_eq!(
            found("recovery/rack.rs", "use crate::config::Config;"),
            at("crate::config::Config", 1)
        );
        assert_eq!(
            found("congestion/cubic.rs", "use fourwave_wire::tcp;"),
            at("fourwave_wire::tcp", 1)
        );
        let fine = "use super::Sample; use crate::time::Instant; use fourwave_wire::SeqNum; \
                    use alloc::vec::Vec;";
        assert!(found("recovery/rack.rs", fine).is_empty());
    }

    #[test]
    fn demux_and_time_wait_know_ids_and_states() {
        assert_eq!(
            found("demux.rs", "use crate::conn::Connection;"),
            at("crate::conn::Connection", 1)
        );
        assert!(found("time_wait.rs", "use crate::State; use crate::time::Instant;").is_empty());
    }

    #[test]
    fn nothing_sees_the_stack() {
        assert_eq!(found("listener.rs", "use crate::stack::Stack;"), at("crate::stack::Stack", 1));
        assert!(found("stack/poll.rs", "use super::Stack;").is_empty());
    }

    #[test]
    fn tests_may_look_over_walls_and_one_import_is_one_finding() {
        assert!(
            found("demux.rs", "#[cfg(test)] mod t { use crate::conn::Connection; }").is_empty()
        );
        let twice = "use crate::conn::recv;\nfn f() { recv::a(); recv::b() }";
        assert_eq!(found("conn/send/nagle.rs", twice), at("crate::conn::recv", 1));
    }

    #[test]
    fn a_wall_without_its_room_is_reported() {
        let lib = Source::parse(&format!("{CORE}lib.rs"), "").expect("empty");
        let mut findings = Vec::new();
        check(&[lib], &mut findings);
        assert_eq!(findings.len(), WALLS.len());
    }
}
