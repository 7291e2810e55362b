//! Pages that are drawn from the code say what the code does.

use fourwave_core::state;

/// `UPDATE_DOCS=1 cargo test -p fourwave-core --test docs` writes the page anew.
#[test]
fn the_page_of_states_is_the_table() {
    let page = format!(
        "# The states of a connection\n\nDrawn from the one table by which the engine and the lens \
         move (`fourwave-core/src/conn/state.rs`,\nRFC 9293 §3.3.2). A pair that is not here is an \
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
