//! The comment in a capture file for the packet that ended a connection.

use crate::names::Names;
use crate::story::{Story, TimeWait};
use crate::units::{bytes, seconds, span};

/// One line about how the connection of `story` ended: who closed first, why, who holds
/// TIME_WAIT. Times count from the connection's first segment.
pub fn packet(story: &Story, names: &Names) -> String {
    let word = |who| names.word(who, story.addr(who));
    let mut out = format!("fourwave: end of connection {}: ", story.conn);
    if let Some(first) = story.closed_first {
        out.push_str(&format!("{} closed first, with {}; ", word(first.who), first.by.name()));
    }
    out.push_str(&story.why(names));
    for wait in &story.time_wait {
        out.push_str(&format!("; {}", time_wait(story, wait, names)));
    }
    let [up, down] = story.bytes.map(bytes);
    out.push_str(&format!("; {up} from the client, {down} from the server"));
    out
}

/// `the program holds TIME_WAIT until 61.021000 (60 s)`.
pub(crate) fn time_wait(story: &Story, wait: &TimeWait, names: &Names) -> String {
    let who = names.word(wait.who, story.addr(wait.who));
    let until = seconds(wait.until.saturating_sub(story.opened));
    format!("{who} holds TIME_WAIT until {until} ({})", span(wait.until.saturating_sub(wait.since)))
}
