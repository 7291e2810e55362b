//! The pages show what the program prints today.
//!
//! A comment before a block names the command that prints it, for a shell in an empty directory
//! with `fourwave` in its path, the repository's `conformance` and this directory as `shown`:
//!
//! | comment | the block is |
//! | --- | --- |
//! | `<!-- shows: fourwave scenario four-waves -->` | all that it prints, to the letter |
//! | `<!-- shows, times aside: … -->` | the same, but for times, ports, process ids, and widths |
//! | `<!-- shows, needs python3: … -->` | not checked where this program, or `namespaces`, is not |
//! | `<!-- shown, not run again: COMMAND, DATE -->` | what it was then |
//!
//! `UPDATE_DOCS=1 cargo test -p fourwave-cli --test shown` writes what is printed into the pages.
//! docs/trace.md and docs/scenarios.md have tests of their own.

#[path = "../common/mod.rs"]
mod common;
mod page;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bounded, Scratch, has, is_root, permitted};
use page::{Page, Shown};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a command prints, both streams, in a directory that has what commands name.
fn printed(command: &str, dir: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_fourwave")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), fourwave_testkit::path());
    let unshare = if is_root() { "unshare -n" } else { "unshare -Urn" };
    let output = Command::new("sh")
        .args(["-c", &format!("({command}) 2>&1")])
        .current_dir(dir)
        .env("PATH", path)
        .env("UNSHARE", unshare)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .bounded();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether all is there that a block needs; if not, a line says so.
fn can_run(needs: &[String]) -> bool {
    needs.iter().all(|need| match need.as_str() {
        "namespaces" => permitted(),
        program => has(&[program]),
    })
}

/// Plays all blocks of a page; what differs, in words, and the page as it should be.
fn play(name: &str, page: &mut Page, dir: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for block in &mut page.blocks {
        let Some(Shown { command, needs, aside }) = block.shown.clone() else { continue };
        if !can_run(&needs) {
            continue;
        }
        let mut lines = printed(&command, dir).lines().map(str::to_owned).collect::<Vec<_>>();
        if block.lines.first().is_some_and(|line| line.starts_with("$ ")) {
            lines.insert(0, format!("$ {command}"));
        }
        if !page::same(&block.lines, &lines, aside) {
            wrong.push(format!(
                "{name}:{} is not what `{command}` prints:\n{}",
                block.first + 1,
                page::difference(&block.lines, &lines, aside)
            ));
            block.lines = lines;
        }
    }
    wrong
}

#[test]
fn the_pages_show_what_is_printed() {
    let scratch = Scratch::new("shown");
    let root = repository();
    symlink(root.join("conformance").canonicalize().unwrap(), scratch.path().join("conformance"))
        .unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shown");
    symlink(own, scratch.path().join("shown")).unwrap();
    let mut wrong = Vec::new();
    for name in ["README.md", "docs/drill.md", "docs/faults.md"] {
        let path = root.join(name);
        let text = fs::read_to_string(&path).unwrap();
        let mut page = Page::parse(&text).unwrap_or_else(|line| panic!("{name}: {line}"));
        assert!(page.blocks.iter().any(|block| block.shown.is_some()), "{name} shows nothing");
        let found = play(name, &mut page, scratch.path());
        if std::env::var_os("UPDATE_DOCS").is_some() && !found.is_empty() {
            fs::write(&path, page.to_string()).unwrap();
        } else {
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_DOCS=1 writes it anew", wrong.join("\n"));
}

/// An output without a comment would be checked by nobody.
#[test]
fn the_readme_shows_nothing_else() {
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    let page = Page::parse(&text).unwrap();
    let words = ["cargo ", "fourwave ", "let "];
    let is_input =
        |line: &String| line.is_empty() || words.iter().any(|word| line.starts_with(word));
    let unmarked = page.blocks.iter().filter(|block| !block.is_marked);
    let lines = unmarked.flat_map(|block| block.lines.iter().map(move |line| (block.first, line)));
    let outputs: Vec<_> = lines.filter(|(_, line)| !is_input(line)).collect();
    assert!(
        outputs.is_empty(),
        "no comment says what prints these (line of the block): {outputs:?}"
    );
}
