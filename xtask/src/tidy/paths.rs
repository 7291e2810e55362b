//! Which modules a file names: every path in it, made absolute.
//!
//! `super::recv::Window` comes out as `fourwave_core conn recv Window`, another crate's as it is;
//! nested `use` lists, renames and imported module names are resolved. Paths of other crates than
//! ours are left out.

use std::collections::HashMap;
use std::ops::Range;

use super::source::Source;

/// A path that a file names, and where.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) to: Vec<String>,
    pub(super) line: usize,
    pub(super) test: bool,
    /// The name a `use` gives it in its module.
    alias: Option<String>,
    /// The module whose `use` it is, where that is `pub`.
    exported_by: Option<Vec<String>>,
}

/// The module that a file below `crates/` is: `fourwave_core`, `conn`, `send`.
pub(super) fn module_of(path: &str) -> Option<Vec<String>> {
    let (package, inside) = path.strip_prefix("crates/")?.split_once("/src/")?;
    let parts = inside.trim_end_matches(".rs").split('/');
    let parts = parts.filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned);
    Some(std::iter::once(package.replace('-', "_")).chain(parts).collect())
}

/// Every path in `source` that leads into one of our crates.
pub(super) fn paths(source: &Source, module: &[String]) -> Vec<Path> {
    let mut walk = Walk { source, known: HashMap::new(), found: Vec::new(), uses: Vec::new() };
    walk.children(module);
    walk.uses_and_absolutes(module);
    walk.through_imports();
    walk.found
}

/// What `pub use` makes of names: the name's full path → the path it stands for.
pub(super) fn exports(paths: &[Path]) -> HashMap<Vec<String>, Vec<String>> {
    let named = paths.iter().filter_map(|path| {
        let mut name = path.exported_by.clone()?;
        name.push(path.alias.clone()?);
        (name != path.to).then(|| (name, path.to.clone()))
    });
    named.collect()
}

/// Follows re-exports from a path to where the thing is defined.
pub(super) fn resolve(to: &[String], exports: &HashMap<Vec<String>, Vec<String>>) -> Vec<String> {
    let mut path = to.to_vec();
    for _ in 0..8 {
        let hit =
            (1..=path.len()).rev().find_map(|n| exports.get(&path[..n]).map(|target| (n, target)));
        let Some((n, target)) = hit else { break };
        path = target.iter().chain(&path[n..]).cloned().collect();
    }
    path
}

struct Walk<'a> {
    source: &'a Source,
    /// Names that stand for a path: the file's own modules and what `use` imports.
    known: HashMap<String, Vec<String>>,
    found: Vec<Path>,
    /// The tokens of `use` statements.
    uses: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn text(&self, at: usize) -> &str {
        self.source.tokens.get(at).map_or("", |token| &token.text)
    }

    fn children(&mut self, module: &[String]) {
        for at in 0..self.source.tokens.len() {
            if self.text(at) == "mod" && matches!(self.text(at + 2), ";" | "{") {
                let name = self.text(at + 1).to_owned();
                let child = module.iter().cloned().chain([name.clone()]).collect();
                self.known.insert(name, child);
            }
        }
    }

    /// All `use` trees, and each path that begins with `crate`, `self`, `super` or a crate of ours.
    fn uses_and_absolutes(&mut self, file: &[String]) {
        let mut inside: Vec<(usize, String)> = Vec::new();
        let mut at = 0;
        while at < self.source.tokens.len() {
            inside.retain(|(end, _)| at < *end);
            let module: Vec<String> =
                file.iter().cloned().chain(inside.iter().map(|(_, m)| m.clone())).collect();
            if self.text(at) == "mod" && self.text(at + 2) == "{" {
                inside.push((self.source.tokens[at + 2].partner, self.text(at + 1).to_owned()));
                at += 3;
            } else if self.text(at) == "use" {
                let first = self.found.len();
                let public = at > 0 && self.is_public(at - 1);
                let start = at;
                at = self.tree(at + 1, &[], &module);
                self.uses.push(start..at);
                for path in &mut self.found[first..] {
                    path.exported_by = public.then(|| module.clone());
                    if let Some(name) = path.alias.clone().filter(|name| name != "*") {
                        self.known.insert(name, path.to.clone());
                    }
                }
                self.found.retain(|path| is_ours(&path.to));
            } else if self.begins_path(at) && self.heads_absolute(at) {
                at = self.tree(at, &[], &module);
            } else {
                at += 1;
            }
        }
    }

    /// Paths such as `recv::Window` behind a `use crate::conn::recv`.
    fn through_imports(&mut self) {
        let mut more = Vec::new();
        for at in 0..self.source.tokens.len() {
            let Some(base) = self.known.get(self.text(at)).filter(|base| is_ours(base)) else {
                continue;
            };
            if self.begins_path(at) && !self.heads_absolute(at) && !self.in_use(at) {
                let token = &self.source.tokens[at];
                let to = base.iter().cloned().chain([self.text(at + 2).to_owned()]).collect();
                more.push(Path {
                    to,
                    line: token.line,
                    test: token.test,
                    alias: None,
                    exported_by: None,
                });
            }
        }
        self.found.extend(more);
    }

    fn in_use(&self, at: usize) -> bool {
        let next = self.uses.partition_point(|range| range.end <= at);
        self.uses.get(next).is_some_and(|range| range.contains(&at))
    }

    fn is_public(&self, before: usize) -> bool {
        let token = &self.source.tokens[before];
        let opens = || (0..before).find(|at| self.source.tokens[*at].partner == before);
        token.text == "pub"
            || token.text == ")" && opens().is_some_and(|at| at > 0 && self.text(at - 1) == "pub")
    }

    fn begins_path(&self, at: usize) -> bool {
        self.text(at + 1) == "::" && (at == 0 || !matches!(self.text(at - 1), "::" | "."))
    }

    fn heads_absolute(&self, at: usize) -> bool {
        matches!(self.text(at), "crate" | "self" | "super") || self.text(at).starts_with("fourwave")
    }

    /// Reads one path or `use` tree from `at` on, below `base`; gives the token after it.
    fn tree(&mut self, mut at: usize, base: &[String], module: &[String]) -> usize {
        let mut path = base.to_vec();
        if self.text(at) == "::" {
            at += 1;
        }
        loop {
            match self.text(at) {
                "{" => {
                    let end = self.source.tokens[at].partner;
                    at += 1;
                    while at < end {
                        at = if self.text(at) == "," {
                            at + 1
                        } else {
                            self.tree(at, &path, module)
                        };
                    }
                    return end + 1;
                }
                "crate" => path = module[..1].to_vec(),
                "self" if path.is_empty() => path = module.to_vec(),
                "self" => {}
                "super" => {
                    if path.is_empty() {
                        path = module.to_vec();
                    }
                    path.pop();
                }
                name if path.is_empty() => {
                    path = self.known.get(name).cloned().unwrap_or_else(|| vec![name.to_owned()]);
                }
                name => path.push(name.to_owned()),
            }
            if self.text(at + 1) != "::" {
                break;
            }
            at += 2;
            // A turbofish ends what names modules.
            if self.text(at) == "<" {
                break;
            }
        }
        let token = &self.source.tokens[at.min(self.source.tokens.len() - 1)];
        let (line, test) = (token.line, token.test);
        let renamed = self.text(at + 1) == "as";
        let alias = if renamed { Some(self.text(at + 2).to_owned()) } else { path.last().cloned() };
        self.found.push(Path { to: path, line, test, alias, exported_by: None });
        at + if renamed { 3 } else { 1 }
    }
}

fn is_ours(path: &[String]) -> bool {
    path.first().is_some_and(|head| head.starts_with("fourwave"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "crates/fourwave-core/src/";

    fn read(file: &str, text: &str) -> Vec<Path> {
        let source = Source::parse(&format!("{CORE}{file}"), text).expect("it lexes");
        paths(&source, &module_of(&source.path).expect("a crate's file"))
    }

    /// What `text` names, our own crate written `crate`.
    fn named(file: &str, text: &str) -> Vec<String> {
        let join = |path: Path| path.to.join("::").replace("fourwave_core", "crate");
        read(file, text).into_iter().map(join).collect()
    }

    #[test]
    fn a_file_is_its_module() {
        let module = |file: &str| module_of(&format!("{CORE}{file}")).map(|m| m.join("::"));
        assert_eq!(module("lib.rs").as_deref(), Some("fourwave_core"));
        assert_eq!(module("conn/mod.rs").as_deref(), Some("fourwave_core::conn"));
        assert_eq!(
            module("conn/send/queue.rs").as_deref(),
            Some("fourwave_core::conn::send::queue")
        );
        assert_eq!(module_of("crates/fourwave-core/tests/a.rs"), None);
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            named("conn/send/mod.rs", "use super::{recv::{self, Window as W}, state::*};"),
            ["crate::conn::recv", "crate::conn::recv::Window", "crate::conn::state::*"]
        );
        assert_eq!(
            named("x.rs", "use fourwave_wire::{SeqNum, tcp};"),
            ["fourwave_wire::SeqNum", "fourwave_wire::tcp"]
        );
        assert!(named("x.rs", "use alloc::vec::Vec; use core::fmt;").is_empty());
    }

    #[test]
    fn paths_in_code_and_macros_count() {
        let text =
            "fn f(a: crate::time::Instant) { assert!(super::b::<u8>() == self.c); self::d() }";
        assert_eq!(named("x.rs", text), ["crate::time::Instant", "crate::b", "crate::x::d"]);
    }

    #[test]
    fn imported_module_names_lead_on() {
        let text = "use crate::conn; use crate::conn::recv as other; \
                    fn f() { conn::recv::a(); other::b() }";
        let found = named("x.rs", text);
        assert!(found.contains(&"crate::conn::recv".to_owned()));
        assert!(found.contains(&"crate::conn::recv::b".to_owned()));
    }

    #[test]
    fn super_counts_from_an_inline_module_too() {
        let text = "mod inner { use super::a; } use super::b;";
        assert_eq!(named("conn/x.rs", text), ["crate::conn::x::a", "crate::conn::b"]);
    }

    #[test]
    fn reexports_are_followed_home() {
        let text =
            "mod conn; pub use conn::State; pub(crate) use conn::recv::Window as W; use conn::Own;";
        let exports = exports(&read("lib.rs", text));
        let home = |path: &str| {
            let path = path.replace("crate", "fourwave_core");
            let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
            resolve(&parts, &exports).join("::").replace("fourwave_core", "crate")
        };
        assert_eq!(home("crate::State::Closed"), "crate::conn::State::Closed");
        assert_eq!(home("crate::W"), "crate::conn::recv::Window");
        assert_eq!(home("crate::Own"), "crate::Own", "a private use is nobody else's name");
    }
}
