//! `cargo xtask conformance`: the matrix of states × segments × positions in the window, as
//! packetdrill scripts under `conformance/matrix`.
//!
//! | table | where |
//! | --- | --- |
//! | synchronized states | [`rows`], played by [`states`] |
//! | CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED | [`opening`] |
//!
//! What Linux does otherwise is in `conformance/DIFFERENCES.md`, which [`differences`] reads.

mod differences;
mod opening;
mod rows;
mod sheet;
mod states;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(crate) use differences::linux;
use rows::{Cell, ROWS, ZERO_WINDOW};
use sheet::Sheet;
use states::{COLUMNS, Connection, State};

/// Where the scripts are, below the workspace's root.
const DIRECTORY: &str = "conformance/matrix";

/// Scripts by their paths below [`DIRECTORY`].
type Scripts = BTreeMap<String, String>;

/// Writes the scripts, and removes those that the tables no longer have.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let directory = root.join(DIRECTORY);
    let (wanted, found) = (scripts(), committed(root)?);
    for (path, text) in &wanted {
        if found.get(path) == Some(text) {
            continue;
        }
        let file = directory.join(path);
        let parent = file.parent().unwrap_or(&directory);
        fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    for path in found.keys().filter(|path| !wanted.contains_key(*path)) {
        let file = directory.join(path);
        fs::remove_file(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    println!("conformance: {} scripts in {DIRECTORY}", wanted.len());
    Ok(())
}

/// Whether the scripts are those of the tables; the error names those that are not.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let (wanted, found) = (scripts(), committed(root)?);
    let missing = wanted.keys().filter(|path| !found.contains_key(*path));
    let missing = missing.map(|path| format!("{DIRECTORY}/{path} is missing"));
    let others = found.iter().filter_map(|(path, text)| match wanted.get(path) {
        None => Some(format!("{DIRECTORY}/{path} is in no table")),
        Some(wanted) if wanted != text => Some(format!("{DIRECTORY}/{path} was changed")),
        Some(_) => None,
    });
    let wrong: Vec<String> = missing.chain(others).collect();
    if wrong.is_empty() {
        println!("conformance: {} scripts as the tables say", wanted.len());
        return Ok(());
    }
    Err(format!("{}\nto make them anew: cargo xtask conformance", wrong.join("\n")))
}

/// What the tables make.
fn scripts() -> Scripts {
    let mut scripts = Scripts::new();
    for row in ROWS {
        for (state, cell) in COLUMNS.into_iter().zip(row.cells) {
            if cell == Cell::N {
                continue;
            }
            let outcome = states::outcome(state, row, cell);
            let header =
                [format!("{}: {}: {outcome}.", state.name(), row.what), row.section.to_owned()];
            let sheet = Sheet::new(&header, row.old_clock);
            let text = Connection::reach(state, sheet).play(row, cell);
            scripts.insert(format!("{}/{}.pkt", state.directory(), row.stem), text);
        }
    }
    for row in ZERO_WINDOW {
        let (state, cell) = (State::Established, row.cells[0]);
        let outcome = states::outcome(state, row, cell);
        let what = format!("ESTABLISHED, the window is zero: {}: {outcome}.", row.what);
        let sheet = Sheet::new(&[what, row.section.to_owned()], false);
        let text = Connection::full(sheet).play(row, cell);
        scripts.insert(format!("zero-window/{}.pkt", row.stem), text);
    }
    for case in opening::cases() {
        let (name, directory) = case.place.names();
        let outcome = opening::outcome(&case);
        let header = [format!("{name}: {}: {outcome}.", case.what), case.section.to_owned()];
        let text = case.play(Sheet::new(&header, case.old_clock));
        scripts.insert(format!("{directory}/{}.pkt", case.stem), text);
    }
    scripts
}

/// The scripts that are there.
fn committed(root: &Path) -> Result<Scripts, String> {
    let mut scripts = Scripts::new();
    let base = root.join(DIRECTORY);
    let mut todo = vec![base.clone()];
    while let Some(directory) = todo.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(|e| format!("{}: {e}", directory.display()))?,
        };
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", directory.display()))?.path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let name = path.strip_prefix(&base).unwrap_or(&path).to_string_lossy();
            scripts.insert(name.replace('\\', "/"), text);
        }
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_those_of_the_tables() {
        assert_eq!(check(&crate::shell::workspace_root()), Ok(()));
    }

    #[test]
    fn no_two_cases_share_a_name() {
        let rows = ROWS.iter().flat_map(|row| row.cells).filter(|cell| *cell != Cell::N).count();
        assert_eq!(scripts().len(), rows + ZERO_WINDOW.len() + opening::cases().len());
    }

    #[test]
    fn every_script_ends_with_a_packet_of_the_stack_or_a_check() {
        for (path, text) in scripts() {
            let last = text.lines().last().unwrap_or_default();
            assert!(!last.contains(" < "), "{path} ends with `{last}`, which shows nothing");
        }
    }
}
