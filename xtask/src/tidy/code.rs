//! Rules on code: banned calls in the engine, `unsafe` in its places, sizes of functions, reasons
//! of ignored tests.

use super::Finding;
use super::source::Source;

/// Longest function, from `fn` to its closing brace.
pub(super) const FUNCTION_LINES: usize = 70;

/// Where the banned calls are banned.
const ENGINE: [&str; 2] = ["crates/fourwave-wire/src/", "crates/fourwave-core/src/"];

/// The crate in which `unsafe` may stand; the roots of all others forbid it.
const UNSAFE: &str = "crates/fourwave-linux/";
const FORBID: [&str; 8] = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];

const NO_CLOCK: &str = "the engine reads no clock: `now` is an argument";
const NO_DICE: &str = "the engine's only randomness is the seed it is given";
const NO_OUTPUT: &str = "the engine prints nothing: it has events and counters";
const NO_PANIC: &str =
    "no input may panic: return an error, or restructure so that it cannot be absent";

/// Token sequences the engine may not contain outside tests.
const BANNED: [(&[&str], &str); 18] = [
    (&["std", "::"], "the engine is no_std: use core or alloc"),
    (&["extern", "crate", "std"], "the engine is no_std: use core or alloc"),
    (&["Instant", "::", "now"], NO_CLOCK),
    (&["SystemTime"], NO_CLOCK),
    (&["thread", "::"], "the engine owns no thread"),
    (&["rand", "::"], NO_DICE),
    (&["thread_rng"], NO_DICE),
    (&["getrandom"], NO_DICE),
    (&["print", "!"], NO_OUTPUT),
    (&["println", "!"], NO_OUTPUT),
    (&["eprint", "!"], NO_OUTPUT),
    (&["eprintln", "!"], NO_OUTPUT),
    (&["dbg", "!"], NO_OUTPUT),
    (&[".", "unwrap", "("], NO_PANIC),
    (&[".", "expect", "("], NO_PANIC),
    (&["panic", "!"], NO_PANIC),
    (&["todo", "!"], "finish it"),
    (&["unimplemented", "!"], "finish it"),
];

/// What a file of a crate's `tests` may not contain: it hangs where what it waits for does.
const HANGS: [(&[&str], &str); 2] = [
    (&[".", "output", "("], "it may wait for ever: `bounded` of fourwave-testkit has a limit"),
    (&[".", "wait_with_output", "("], "it may wait for ever: `rest` of fourwave-testkit"),
];

/// Everything this module checks, for one file.
pub(super) fn check(source: &Source, findings: &mut Vec<Finding>) {
    banned_calls(source, findings);
    unbounded_waits(source, findings);
    unsafe_in_its_place(source, findings);
    ignored_tests(source, findings);
    function_lines(source, findings);
}

fn banned_calls(source: &Source, findings: &mut Vec<Finding>) {
    if !ENGINE.iter().any(|dir| source.path.starts_with(dir)) {
        return;
    }
    for (texts, why) in BANNED {
        let call = texts.concat();
        for token in source.find(texts).filter(|token| !token.test) {
            let what = format!("`{call}`: {why}");
            findings.push(Finding::new("banned-call", &source.path, token.line, what).about(&call));
        }
    }
}

fn unbounded_waits(source: &Source, findings: &mut Vec<Finding>) {
    let in_tests = source.path.starts_with("crates/") && source.path.contains("/tests/");
    for (texts, why) in HANGS.into_iter().filter(|_| in_tests) {
        let call = texts.concat();
        for token in source.find(texts) {
            let what = format!("`{call}`: {why}");
            findings.push(Finding::new("unbounded", &source.path, token.line, what).about(&call));
        }
    }
}

fn unsafe_in_its_place(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with(UNSAFE) {
        return;
    }
    for token in source.find(&["unsafe"]) {
        let what = "`unsafe` lives in fourwave-linux".to_owned();
        findings.push(Finding::new("unsafe", &source.path, token.line, what));
    }
    if is_root(&source.path) && source.find(&FORBID).next().is_none() {
        let what = "every crate but fourwave-linux says `#![forbid(unsafe_code)]`".to_owned();
        findings.push(Finding::new("unsafe", &source.path, 1, what));
    }
}

/// Whether it is the root file of a crate: its library or its program.
fn is_root(path: &str) -> bool {
    let home = path.strip_suffix("/src/lib.rs").or_else(|| path.strip_suffix("/src/main.rs"));
    home.is_some_and(|home| home == "xtask" || home.starts_with("crates/"))
}

fn ignored_tests(source: &Source, findings: &mut Vec<Finding>) {
    for token in source.find(&["#", "[", "ignore", "]"]) {
        let what = "say why in `#[ignore = \"…\"]`".to_owned();
        findings.push(Finding::new("ignore", &source.path, token.line, what));
    }
}

fn function_lines(source: &Source, findings: &mut Vec<Finding>) {
    let starts = (0..source.tokens.len()).filter(|at| source.matches(*at, &["fn"]));
    for start in starts {
        let Some(end) = body_end(source, start) else { continue };
        let lines = source.tokens[end].line - source.tokens[start].line + 1;
        if lines > FUNCTION_LINES {
            let name = &source.tokens[start + 1].text;
            let what =
                format!("`{name}` has {lines} lines, the limit is {FUNCTION_LINES}: split it");
            let line = source.tokens[start].line;
            findings.push(
                Finding::new("function-lines", &source.path, line, what).about(name).sized(lines),
            );
        }
    }
}

/// The closing brace of the function whose `fn` is at `start`; none for a declaration or a type.
fn body_end(source: &Source, start: usize) -> Option<usize> {
    let mut at = start + 1;
    while let Some(token) = source.tokens.get(at) {
        match token.text.as_str() {
            "{" if at > start + 1 => return Some(token.partner),
            ";" | ")" | "]" | "}" | "=" => return None,
            "(" if at == start + 1 => return None,
            "(" | "[" => at = token.partner + 1,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> Vec<Finding> {
        let source = Source::parse(path, text).expect("it lexes");
        let mut findings = Vec::new();
        check(&source, &mut findings);
        findings
    }

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check_text(path, text).iter().map(|f| (f.rule, f.line)).collect()
    }

    const CORE: &str = "crates/fourwave-core/src/stack.rs";

    #[test]
    fn the_engine_has_no_clock_no_std_and_no_panic() {
        let text = "use std::time::Instant;\nfn f() {\n  Instant::now();\n  a.unwrap();\n\
                    assert!(b.expect(\"x\"));\n}";
        let mut found = rules(CORE, text);
        found.sort_unstable_by_key(|found| found.1);
        assert_eq!(
            found,
            [("banned-call", 1), ("banned-call", 3), ("banned-call", 4), ("banned-call", 5)]
        );
        assert!(rules("crates/fourwave/src/a.rs", text).is_empty(), "only the engine");
    }

    #[test]
    fn comments_strings_tests_and_relatives_are_not_calls() {
        let text = "//! Never std::time.\nfn f() { a.unwrap_or(1); b(\"std::time\"); }\n\
                    #[cfg(test)] mod tests { extern crate std; fn g() { a.unwrap() } }";
        assert!(rules(CORE, text).is_empty());
    }

    #[test]
    fn tests_wait_with_a_limit() {
        let text = "fn f() {\n a.output();\n a.wait_with_output();\n \
                    a.output; a.bounded(); b(\".output()\") }";
        let found = [("unbounded", 2), ("unbounded", 3)];
        assert_eq!(rules("crates/fourwave-cli/tests/real/x.rs", text), found);
        assert!(rules("crates/fourwave-cli/src/x.rs", text).is_empty());
    }

    #[test]
    fn unsafe_stands_only_in_its_places() {
        let text = "fn f() {\n  unsafe { g() }\n}";
        assert_eq!(rules("crates/fourwave-cli/src/knobs.rs", text), [("unsafe", 2)]);
        assert_eq!(rules("crates/fourwave-device/src/tun/slab.rs", text), [("unsafe", 2)]);
        assert_eq!(rules("crates/fourwave-device/tests/tun.rs", text), [("unsafe", 2)]);
        assert!(rules("crates/fourwave-linux/src/tun.rs", text).is_empty());
        assert!(rules(CORE, "#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn every_other_crate_forbids_it_at_its_root() {
        for root in ["crates/fourwave/src/lib.rs", "crates/a/src/main.rs", "xtask/src/main.rs"] {
            assert_eq!(rules(root, "mod a;\nmod b;"), [("unsafe", 1)], "{root}");
            assert!(rules(root, "//! A.\n#![forbid(unsafe_code)]\nmod a;").is_empty(), "{root}");
        }
        assert!(rules("crates/fourwave-linux/src/lib.rs", "").is_empty());
        assert!(rules("crates/fourwave-cli/src/doctor/main/lib.rs", "").is_empty());
    }

    #[test]
    fn an_ignored_test_has_a_reason() {
        assert_eq!(rules(CORE, "#[test]\n#[ignore]\nfn a() {}"), [("ignore", 2)]);
        assert!(rules(CORE, "#[test]\n#[ignore = \"needs two hosts\"]\nfn a() {}").is_empty());
    }

    #[test]
    fn a_function_is_counted_from_fn_to_its_brace() {
        let body = |lines: usize| {
            format!(
                "impl A {{\n/// Doc.\nfn long(\n{}) -> [u8; 2] {{\n}}\n}}",
                "\n".repeat(lines - 3)
            )
        };
        assert!(rules(CORE, &body(FUNCTION_LINES)).is_empty());
        let found = check_text(CORE, &body(FUNCTION_LINES + 1));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].item.as_str(), found[0].line, found[0].size), ("long", 3, Some(71)));
    }

    #[test]
    fn declarations_and_function_types_have_no_body() {
        let gap = "\n".repeat(80);
        let text = format!(
            "trait T {{ fn a(&self); }} type F = fn(u8) -> u8;{gap}struct S {{ f: fn(u8), g: u8 }}"
        );
        assert!(rules(CORE, &text).is_empty());
    }
}
