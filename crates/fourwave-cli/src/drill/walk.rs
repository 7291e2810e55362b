//! Which files are scripts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fourwave_linux::reason;

/// Deepest directory below one that was named.
const DEPTH: usize = 64;

/// The scripts that the arguments name: files as they are, directories searched for `.pkt` files,
/// in the order of their names.
///
/// # Errors
/// A line about the first argument that is not there, cannot be read or has no script in it.
pub(super) fn scripts(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(|error| line(path, &error))?;
        if !kind.is_dir() {
            all.push(path.clone());
            continue;
        }
        let before = all.len();
        search(path, DEPTH, &mut all)?;
        if all.len() == before {
            return Err(format!("{}: there is no .pkt file in it", path.display()));
        }
    }
    Ok(all)
}

fn search(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("{}: more than {DEPTH} directories deep", directory.display()));
    }
    let wrong = |error: io::Error| line(directory, &error);
    let entries = fs::read_dir(directory).map_err(wrong)?;
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(wrong)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Of links only those to files are followed: others may lead in a circle.
        let kind = entry.file_type().map_err(wrong)?;
        if kind.is_dir() {
            search(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|end| end == "pkt") && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// What is wrong with a path, in the system's words without its number.
pub(super) fn line(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), reason(error))
}
