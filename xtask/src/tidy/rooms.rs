//! The walls between rooms (ARCHITECTURE.md): which module may name which.

use super::Finding;
use super::paths::{self, Path};
use super::source::Source;

const CORE: &str = "fourwave_core";

/// A room and what it may not name.
struct Wall {
    room: &'static str,
    forbids: &'static [&'static str],
    but: &'static [&'static str],
    why: &'static str,
}

const NUMBERS: &str = "the sender knows sequence numbers, time and itself";
const SAMPLES: &str = "congestion and recovery do not know each other: sender joins them";
const BY_ID: &str = "it knows connections only by id";

const WALLS: [Wall; 9] = [
    Wall {
        room: "fourwave_core::state",
        forbids: &["fourwave_core"],
        but: &["fourwave_core::state"],
        why: "the state table imports nothing",
    },
    Wall {
        room: "fourwave_core::conn::send",
        forbids: &["fourwave_core::conn::recv"],
        but: &[],
        why: "send and recv do not know each other: conn joins them",
    },
    Wall {
        room: "fourwave_core::conn::recv",
        forbids: &["fourwave_core::conn::send"],
        but: &[],
        why: "send and recv do not know each other: conn joins them",
    },
    Wall {
        room: "fourwave_core::sender",
        forbids: &["fourwave_core", "fourwave_wire"],
        but: &[
            "fourwave_core::sender",
            "fourwave_core::time",
            "fourwave_wire::SeqNum",
            "fourwave_wire::seq",
        ],
        why: NUMBERS,
    },
    Wall {
        room: "fourwave_core::sender::congestion",
        forbids: &["fourwave_core::sender"],
        but: &["fourwave_core::sender::congestion"],
        why: SAMPLES,
    },
    Wall {
        room: "fourwave_core::sender::recovery",
        forbids: &["fourwave_core::sender"],
        but: &[
            "fourwave_core::sender::recovery",
            "fourwave_core::sender::sent",
            "fourwave_core::sender::rate",
        ],
        why: SAMPLES,
    },
    Wall { room: "fourwave_core::demux", forbids: &["fourwave_core::conn"], but: &[], why: BY_ID },
    Wall {
        room: "fourwave_core::time_wait",
        forbids: &["fourwave_core::conn"],
        but: &[],
        why: BY_ID,
    },
    Wall {
        room: "fourwave_lens",
        forbids: &["fourwave_core"],
        but: &["fourwave_core::state", "fourwave_core::end"],
        why: "the lens looks from outside: of the engine it knows the state table and the reasons",
    },
];

/// In the engine only the crate's root names the engine: it sees everything, nothing sees it.
const ENGINE: &str = "fourwave_core::engine";

/// Checks all crates' sources; test code may look over the walls.
pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let modules: Vec<(&Source, Vec<String>)> = sources
        .iter()
        .filter_map(|source| Some((source, paths::module_of(&source.path)?)))
        .collect();
    let named: Vec<Vec<Path>> =
        modules.iter().map(|(source, module)| paths::paths(source, module)).collect();
    let exports = paths::exports(&named.concat());
    for wall in &WALLS {
        let crate_name = wall.room.split("::").next().unwrap_or_default();
        let mut homes = modules.iter().filter(|(_, module)| module[0] == crate_name).peekable();
        let Some((first, _)) = homes.peek() else { continue };
        let home = first.path.split("/src/").next().unwrap_or_default().to_owned() + "/src/lib.rs";
        if !homes.any(|(_, module)| within(&module.join("::"), wall.room)) {
            let what =
                format!("there is no room `{}`: move its wall in {} with it", wall.room, file!());
            findings.push(Finding::new("rooms", &home, 1, what).about(wall.room));
        }
    }
    for ((source, module), named) in modules.iter().zip(&named) {
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
    if within(to, ENGINE) && within(from, CORE) && from != CORE && !within(from, ENGINE) {
        return Some("only the engine sees everything, and nothing sees the engine");
    }
    // A room within a room stands behind both walls.
    let mut walls = WALLS.iter().filter(|wall| within(from, wall.room));
    walls.find(|wall| is_forbidden(wall, to)).map(|wall| wall.why)
}

fn is_forbidden(wall: &Wall, to: &str) -> bool {
    let glob_above =
        to.strip_suffix("::*").is_some_and(|above| wall.forbids.iter().any(|f| within(f, above)));
    let named = wall.forbids.iter().any(|forbidden| within(to, forbidden));
    (named || glob_above) && !wall.but.iter().any(|but| within(to, but))
}

fn within(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRC: &str = "crates/fourwave-core/src/";

    /// Findings for an engine that has all the rooms and one file more.
    fn found(file: &str, text: &str) -> Vec<(String, usize)> {
        let rooms = WALLS.iter().filter_map(|wall| wall.room.strip_prefix("fourwave_core::"));
        let mut sources: Vec<Source> = rooms
            .map(|room| format!("{SRC}{}/mod.rs", room.replace("::", "/")))
            .filter(|path| *path != format!("{SRC}{file}"))
            .map(|path| Source::parse(&path, "").expect("empty"))
            .collect();
        let lib =
            "mod conn; mod engine; mod state; pub use conn::recv::Window; pub use state::State;";
        sources.push(Source::parse(&format!("{SRC}lib.rs"), lib).expect("it lexes"));
        sources.push(Source::parse(&format!("{SRC}{file}"), text).expect("it lexes"));
        let mut findings = Vec::new();
        check(&sources, &mut findings);
        let short = |item: String| item.replace("fourwave_core::", "crate::");
        findings.into_iter().map(|f| (short(f.item), f.line)).collect()
    }

    fn at(item: &str, line: usize) -> Vec<(String, usize)> {
        vec![(item.to_owned(), line)]
    }

    #[test]
    fn the_state_table_stands_alone() {
        assert_eq!(found("state.rs", "\nuse super::conn::Next;"), at("crate::conn::Next", 2));
        assert_eq!(found("state.rs", "use crate::time;"), at("crate::time", 1));
        assert!(found("state.rs", "use core::fmt; use self::table::T;").is_empty());
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
            found("conn/send/nagle.rs", "use super::Queue; use crate::state::State;").is_empty()
        );
    }

    #[test]
    fn the_sender_knows_numbers_and_time() {
        let config = "use crate::config::Config;";
        assert_eq!(found("sender/rtt.rs", config), at("crate::config::Config", 1));
        assert_eq!(found("sender/recovery/rack.rs", config), at("crate::config::Config", 1));
        let wire = "use fourwave_wire::tcp;";
        assert_eq!(found("sender/congestion/cubic.rs", wire), at("fourwave_wire::tcp", 1));
        let other = "use crate::sender::recovery::CaState;";
        let it = at("crate::sender::recovery::CaState", 1);
        assert_eq!(found("sender/congestion/cubic.rs", other), it);
        let fine = "use super::Sample; use crate::time::Instant; use fourwave_wire::SeqNum; \
                    use alloc::vec::Vec;";
        assert!(found("sender/recovery/rack.rs", fine).is_empty());
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
    fn nothing_sees_the_engine() {
        assert_eq!(
            found("listener.rs", "use crate::engine::Engine;"),
            at("crate::engine::Engine", 1)
        );
        assert!(found("engine/poll.rs", "use super::Engine;").is_empty());
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
    fn the_lens_knows_the_state_table_and_the_reasons() {
        let core = "mod end; mod engine; pub mod state; pub use end::EndReason; \
                    pub use engine::Engine;";
        let lens = "use fourwave_core::{EndReason, state::State};
use fourwave_core::Engine;";
        let sources = [
            Source::parse("crates/fourwave-core/src/lib.rs", core).expect("it lexes"),
            Source::parse("crates/fourwave-lens/src/lib.rs", lens).expect("it lexes"),
        ];
        let mut findings = Vec::new();
        check(&sources, &mut findings);
        let items: Vec<_> = findings.iter().filter(|f| f.file.contains("lens")).collect();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].item.as_str(), items[0].line), ("fourwave_core::engine::Engine", 2));
    }

    #[test]
    fn a_wall_without_its_room_is_reported() {
        let lib = Source::parse(&format!("{SRC}lib.rs"), "").expect("empty");
        let mut findings = Vec::new();
        check(&[lib], &mut findings);
        assert_eq!(findings.len(), WALLS.len() - 1, "all rooms of the engine, none of the lens");
    }
}
