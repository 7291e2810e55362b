//! Rules on text, whatever the language: line width, file length, no path of somebody's machine.

use super::Finding;

/// Widest line, in characters.
pub(super) const WIDTH: usize = 100;
/// Longest Rust file.
pub(super) const FILE_LINES: usize = 600;

/// First directories of paths that exist on one machine and not on the next.
const PRIVATE_ROOTS: [&str; 6] = ["home", "root", "Users", "work", "workspace", "builds"];

/// Width and length of one Rust file.
pub(super) fn check_rust(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        let width = line.chars().count();
        if width > WIDTH {
            let what = format!("{width} characters, the limit is {WIDTH}");
            findings.push(Finding::new("width", path, at + 1, what).sized(width));
        }
    }
    let lines = text.lines().count();
    if lines > FILE_LINES {
        let what = format!("{lines} lines, the limit is {FILE_LINES}: split it by subject");
        findings.push(Finding::new("file-lines", path, lines, what).sized(lines));
    }
}

/// What every text file is held to.
pub(super) fn check_any(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        if let Some(found) = private_path(line) {
            let what =
                format!("`{found}` is a path of one machine: use a relative or temporary one");
            findings.push(Finding::new("machine-path", path, at + 1, what).about(found));
        }
    }
}

/// The first absolute path in a line that begins in one of the private roots.
fn private_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(start, _)| {
        let before = line[..start].chars().next_back();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || "/._-~*<>{}$)]".contains(c));
        let rest = &line[start + 1..];
        let root = PRIVATE_ROOTS.iter().find(|root| {
            rest.strip_prefix(**root).and_then(|rest| rest.strip_prefix('/')).is_some()
        })?;
        begins.then(|| &line[start..start + root.len() + 2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_counts_characters_not_bytes() {
        let mut findings = Vec::new();
        check_rust("a.rs", &"é".repeat(WIDTH), &mut findings);
        assert!(findings.is_empty());
        check_rust("a.rs", &format!("\n{}", "x".repeat(WIDTH + 1)), &mut findings);
        assert_eq!((findings[0].rule, findings[0].line), ("width", 2));
    }

    #[test]
    fn a_file_has_at_most_its_lines() {
        let mut findings = Vec::new();
        check_rust("a.rs", &"x\n".repeat(FILE_LINES), &mut findings);
        assert!(findings.is_empty());
        check_rust("a.rs", &"x\n".repeat(FILE_LINES + 1), &mut findings);
        assert_eq!((findings[0].rule, findings[0].size), ("file-lines", Some(FILE_LINES + 1)));
    }

    #[test]
    fn private_paths_are_found_and_others_are_not() {
        let path = |root: &str| format!("cp x \"/{root}/ada/x\"");
        assert_eq!(private_path(&path("home")), Some(["/home", "/"].concat().as_str()));
        assert!(PRIVATE_ROOTS.iter().all(|root| private_path(&path(root)).is_some()));
        for fine in
            ["/proc/self/ns", "https://example.org/home/x", "src/work/x", "~/work/x", "/homes/x"]
        {
            assert_eq!(private_path(fine), None, "{fine}");
        }
    }
}
