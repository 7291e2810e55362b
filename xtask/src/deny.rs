//! What dependencies may be: licences, sources, duplicates, advisories (`deny.toml`).

use std::path::Path;
use std::process::Command;

use crate::report::Outcome;
use crate::{setup, shell};

const VERSION: &str = "0.20.2";

/// Runs cargo-deny where it is; the advisories only where their database can be fetched.
pub(crate) fn run(root: &Path) -> Result<Outcome, String> {
    if let Err(why) = setup::cargo_tool(root, "cargo-deny", VERSION) {
        return Ok(Outcome::Skipped(why));
    }
    shell::run(deny(root).args(["check", "licenses", "bans", "sources"]))?;
    if !shell::succeeds(deny(root).args(["fetch", "db"])) {
        let why = "advisories skipped: the database cannot be fetched; \
                   licences, bans and sources are in order";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    shell::run(deny(root).args(["check", "--disable-fetch", "advisories"]))?;
    Ok(Outcome::Passed("licences, bans, sources and advisories are in order".to_owned()))
}

fn deny(root: &Path) -> Command {
    let own = setup::tools(root).join("cargo-deny");
    let mut command = Command::new(if own.is_file() { own } else { "cargo-deny".into() });
    command.current_dir(root).args(["--log-level", "error"]);
    command
}
