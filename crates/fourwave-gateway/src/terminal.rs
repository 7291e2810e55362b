//! What a person's terminal can show: its columns, colours, and more than ASCII.

use std::os::fd::AsFd;

use fourwave_lens::ladder::LadderOptions;

/// The terminal's columns; none where `stream` is no terminal, or does not know.
pub fn columns(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// Whether whoever reads a terminal wants colours, and it has them.
pub fn has_colors() -> bool {
    // https://no-color.org: set and not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !no_color && !dumb
}

fn is_utf8() -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let locale = set.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    // The C locale says nothing about the terminal, and nearly all of them can.
    matches!(locale.as_str(), "" | "c" | "posix")
        || locale.contains("utf-8")
        || locale.contains("utf8")
}

/// How a ladder looks on the terminal that `stream` is.
pub fn ladder_options(stream: impl AsFd) -> LadderOptions {
    let options = LadderOptions::default();
    LadderOptions {
        width: columns(stream).unwrap_or(options.width),
        color: has_colors(),
        ascii: !is_utf8(),
        ..options
    }
}
