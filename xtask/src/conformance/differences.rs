//! `conformance/DIFFERENCES.md`: which scripts fail on Linux, and the comparison with what does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::shell;

/// The collection, below the workspace's root.
const COLLECTION: &str = "conformance";

/// A row of the table.
struct Difference {
    /// Scripts below [`COLLECTION`], `{a,b}` for alternatives.
    pattern: String,
    linux: String,
    ours: String,
}

/// The table's rows.
fn rows(root: &Path) -> Result<Vec<Difference>, String> {
    let file = root.join(COLLECTION).join("DIFFERENCES.md");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let rows = text.lines().filter_map(|line| {
        let (pattern, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (linux, ours) = rest.trim_end_matches([' ', '|']).split_once(" | ")?;
        let [pattern, linux, ours] = [pattern, linux, ours].map(str::to_owned);
        Some(Difference { pattern, linux, ours })
    });
    Ok(rows.collect())
}

/// `a{b,c}d` → `abd`, `acd`.
fn expanded(pattern: &str) -> Vec<String> {
    let Some((head, (choice, tail))) =
        pattern.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
    else {
        return vec![pattern.to_owned()];
    };
    let tails = expanded(tail);
    let each = choice.split(',').flat_map(|word| tails.iter().map(move |tail| (word, tail)));
    each.map(|(word, tail)| format!("{head}{word}{tail}")).collect()
}

/// The scripts that the table names.
///
/// # Errors
/// A row that names a script that is not there, or one twice, or says too little.
pub(super) fn named(root: &Path) -> Result<BTreeSet<String>, String> {
    let mut named = BTreeSet::new();
    for row in rows(root)? {
        if row.linux.trim().is_empty() || row.ours.trim().is_empty() {
            return Err(format!("DIFFERENCES.md: `{}` needs a reason", row.pattern));
        }
        for script in expanded(&row.pattern) {
            if !root.join(COLLECTION).join(&script).is_file() {
                return Err(format!("DIFFERENCES.md: there is no {script}"));
            }
            if !named.insert(script.clone()) {
                return Err(format!("DIFFERENCES.md: {script} stands there twice"));
            }
        }
    }
    Ok(named)
}

/// Plays the collection on the running kernel: what fails must be what the table names.
pub(crate) fn linux(root: &Path) -> Result<(), String> {
    let named = named(root)?;
    let mut command = shell::cargo(root);
    // Busy machines are late; what is told apart here differs by more.
    let tolerance = "--tolerance_usecs=100000";
    command.args(["run", "-q", "-p", "fourwave-cli", "--", "drill", "--target", "linux", "--json"]);
    command.args(["--jobs", "4", tolerance, COLLECTION]).stderr(Stdio::inherit());
    let shown = shell::show(&command);
    println!("$ {shown}");
    let output = command.output().map_err(|e| format!("cannot start `{shown}`: {e}"))?;
    let mut failed = BTreeSet::new();
    let mut passed = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).map_err(|e| format!("`{shown}` wrote `{line}`: {e}"))?;
        let Some(file) = line["file"].as_str() else { continue };
        let file = file.strip_prefix("conformance/").unwrap_or(file).to_owned();
        match line["verdict"].as_str() {
            Some("pass") => passed += 1,
            // They begin with settings of FreeBSD's, which no Linux has.
            Some("skip") if file.starts_with("freebsd/") => {}
            Some("fail") => {
                failed.insert(file);
            }
            other => return Err(format!("{file} was not played: {other:?}, {}", line["reason"])),
        }
    }
    if passed == 0 {
        return Err(format!("`{shown}` passed no script"));
    }
    let new = failed.difference(&named).map(|file| format!("{file} fails, and has no row"));
    let old = named.difference(&failed).map(|file| format!("{file} has a row, and passes"));
    let wrong: Vec<String> = new.chain(old).collect();
    if wrong.is_empty() {
        println!(
            "conformance: Linux passes {passed}, differs in {} as the table says",
            named.len()
        );
        return Ok(());
    }
    Err(wrong.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(expanded("a/{b,c}/{d,e}f"), ["a/b/df", "a/b/ef", "a/c/df", "a/c/ef"]);
        assert_eq!(expanded("a"), ["a"]);
    }

    #[test]
    fn the_table_names_scripts_that_are_there_each_with_a_reason() {
        let root = shell::workspace_root();
        let named = named(&root).unwrap();
        assert!(named.len() > 40, "{named:?}");
        let text = fs::read_to_string(root.join("conformance/DIFFERENCES.md")).unwrap();
        let lines = text.lines().filter(|line| line.contains(".pkt")).count();
        assert_eq!(rows(&root).unwrap().len(), lines, "a row that cannot be read");
    }
}
