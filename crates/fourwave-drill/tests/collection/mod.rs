//! The scripts of a directory.

use std::fs;
use std::path::{Path, PathBuf};

/// Every `.pkt` file below `directory`, sorted; or `directory` itself, if it is a file.
pub(crate) fn scripts(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search(directory, &mut found);
    found.sort();
    found
}

fn search(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a directory that can be read") {
        let path = entry.expect("an entry that can be read").path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "pkt") {
            search(&path, found);
        }
    }
}
