//! The comment in a capture file for the packet that ended a connection.

use crate::names::Names;
use crate::story::Story;
use crate::units::{bytes, seconds, span};

/// One line about how the connection of `story` ended: who closed first, why, who holds
/// TIME_WAIT. Times count from the connection's first segment.
pub fn packet(story: &Story, names: &Names) -> String {
    let [up, down] = story.bytes.map(bytes);
    format!(
        "fourwave: end of connection {}: {}; {up} from the client, {down} from the server",
        story.conn,
        ending(story, names)
    )
}

/// Who closed first, why, who holds TIME_WAIT, in one line.
pub(crate) fn ending(story: &Story, names: &Names) -> String {
    let word = |who| names.word(who, story.addr(who));
    let mut out = String::new();
    if let Some(first) = story.closed_first_told() {
        out.push_str(&format!("{} closed first, with {}; ", word(first.who), first.by.name()));
    }
    out.push_str(&story.why(names));
    for wait in &story.time_wait {
        let until = seconds(wait.until.saturating_sub(story.opened));
        let lasts = span(wait.until.saturating_sub(wait.since));
        out.push_str(&format!("; {} holds TIME_WAIT until {until} ({lasts})", word(wait.who)));
    }
    out
}
