//! Pages that are drawn from the code say what the code does.

use fourwave_core::state;

/// `UPDATE_DOCS=1 cargo test -p fourwave-core --test docs` writes the page anew.
#[test]
fn the_page_of_states_is_the_table() {
    let page = format!(
        "# The states of a connection\n\nDrawn from the one table by which the engine and the lens \
         move (`fourwave-core/src/state.rs`,\nRFC 9293 §3.3.2). A pair that is not here is an \
         error of the caller.\n\n```mermaid\n{}```\n",
        state::diagram()
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/states.md is not the table: UPDATE_DOCS=1 writes it anew");
}

/// Every table row of the requirements' page: its id, and the cells that name code and tests.
fn requirements(page: &str) -> Vec<(String, String, String, String)> {
    let rows = page.lines().filter(|line| line.starts_with("| MUST-") || is_other_row(line));
    let cells = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, code, tests, status] = cells[..] else { panic!("five cells: {row}") };
        (id.to_owned(), code.to_owned(), tests.to_owned(), status.to_owned())
    };
    rows.map(cells).collect()
}

fn is_other_row(line: &str) -> bool {
    ["| SHLD-", "| MAY-", "| REC-", "| §"].iter().any(|start| line.starts_with(start))
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn source(path: &str) -> Option<String> {
    let core = env!("CARGO_MANIFEST_DIR");
    let full = if path.starts_with("fourwave") {
        format!("{core}/../{path}")
    } else if path.starts_with("conformance/") {
        format!("{core}/../../{path}")
    } else if path.starts_with("tests/") {
        format!("{core}/{path}")
    } else {
        format!("{core}/src/{path}")
    };
    std::fs::read_to_string(full).ok()
}

/// Whether an attribute makes the function a test.
fn is_test_function(text: &str, name: &str) -> bool {
    let mut marked = false;
    text.lines().map(str::trim).any(|line| {
        let function = line.split_once("fn ").map(|(_, rest)| rest);
        let is_it = function.and_then(|rest| rest.strip_prefix(name));
        let found = marked && is_it.is_some_and(|rest| rest.starts_with('('));
        marked = line.starts_with("#[") && line.contains("test") || marked && function.is_none();
        found
    })
}

/// Each name in a cell is a function of the file before it. Returns the last file, to which a
/// cell may go back by "the same".
fn check_names(id: &str, cell: &str, mut file: Option<String>, is_test: bool) -> Option<String> {
    for name in quoted(cell) {
        if name.ends_with(".pkt") {
            // A script: a test of `fourwave-drill` plays them all.
            assert!(is_test && source(name).is_some(), "{id}: there is no script {name}");
            continue;
        }
        if name.ends_with(".rs") {
            assert!(source(name).is_some(), "{id}: there is no file {name}");
            file = Some(name.to_owned());
            continue;
        }
        let path = file.as_deref().unwrap_or_else(|| panic!("{id}: {name} has no file"));
        let text = source(path).unwrap();
        let defined = text.contains(&format!("fn {name}("))
            || text.contains(&format!("fn {name}<"))
            || text.contains(&format!("macro_rules! {name} "));
        assert!(defined, "{id}: {path} has no {name}");
        let runs = is_test_function(&text, name);
        assert!(!is_test || runs, "{id}: {name} in {path} is no test");
    }
    file
}

#[test]
fn the_page_of_requirements_names_what_exists() {
    let rows = checked("rfc9293.md");
    // Appendix B, all of it.
    for (kind, last) in [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)] {
        for number in 1..=last {
            let id = format!("{kind}-{number}");
            let times = rows.iter().filter(|row| row.0 == id).count();
            assert_eq!(times, 1, "{id} stands {times} times in docs/rfc9293.md");
        }
    }
    assert!(checked("recovery.md").len() > 60);
    assert!(checked("rfcs.md").len() > 55);
    assert!(checked("path-mtu.md").len() > 10);
}

/// The rows of a page of requirements, each of which names what exists.
fn checked(page: &str) -> Vec<(String, String, String, String)> {
    let path = format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    let rows = requirements(&page);
    let mut last_test = None;
    for (id, code, tests, status) in &rows {
        check_names(id, code, None, false);
        last_test = check_names(id, tests, last_test, true);
        let known = ["met", "free", "otherwise", "open", "not ours"];
        assert!(known.iter().any(|word| status.starts_with(word)), "{id}: {status}");
        let shown = !status.starts_with("met") || !tests.is_empty() || id == "SHLD-20";
        assert!(shown, "{id} is said to be met, and no test says so");
        let reason = status.len() > 10 || !["open", "otherwise"].contains(&status.as_str());
        assert!(reason, "{id} is {status} without a reason");
    }
    rows
}
