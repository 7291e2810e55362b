//! Errors in the command line, in one line.

use clap::error::ErrorKind;

use crate::USAGE_ERROR;
use crate::output::{Text, print, say};

/// Of every command: they have none of their own.
pub(crate) const VERSION: &str = concat!("fourwave ", env!("CARGO_PKG_VERSION"), "\n");

/// Prints help as it is, and an error as one line; returns the exit status.
pub(crate) fn report(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayVersion => {
            print(VERSION);
            0
        }
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let (out, status) = match error.use_stderr() {
                true => (Text::Stderr, USAGE_ERROR),
                false => (Text::Stdout, 0),
            };
            out.print(&error.render().to_string());
            status
        }
        _ => {
            say(&one_line(&error.render().to_string()));
            USAGE_ERROR
        }
    }
}

/// clap's text without its heading, the usage and the pointer to help, which it gives lines of
/// their own.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.take_while(|line| !line.starts_with("Usage:"));
    let words = lines
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect::<Vec<_>>();
    words.join(" ").trim_start_matches("error: ").replace(" tip: ", "; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    #[test]
    fn every_mistake_is_one_line_that_names_it() {
        for (arguments, names) in [
            (&["fourwave", "run", "--mtu", "99", "true"][..], "99"),
            (&["fourwave", "run", "--publsh", "1:2", "true"], "--publsh"),
            (&["fourwave", "run", "-p", "80", "true"], "ADDRESS:HOST-PORT:PORT"),
            (&["fourwave", "rum"], "rum"),
            (&["fourwave", "run", "--demo", "true"], "--demo"),
        ] {
            let error = Arguments::try_parse_from(arguments).unwrap_err();
            let line = one_line(&error.render().to_string());
            assert!(line.contains(names) && !line.contains('\n'), "{line}");
            assert!(
                !line.contains("tip:") && !line.contains("Usage") && !line.starts_with("error"),
                "{line}"
            );
        }
    }
}
