//! The comment in a capture file for the packet that ended a connection.

use crate::names::Names;
use crate::record::ConnectionRecord;
use crate::units::{bytes, seconds, span};

/// One line about how the connection of `record` ended: who closed first, why, who holds
/// TIME_WAIT. Times count from the connection's first segment.
pub fn packet(record: &ConnectionRecord, names: &Names) -> String {
    let [up, down] = record.bytes.map(bytes);
    format!(
        "fourwave: end of connection {}: {}; {up} from the client, {down} from the server",
        record.conn,
        ending(record, names)
    )
}

/// Who closed first, why, who holds TIME_WAIT, in one line.
pub(crate) fn ending(record: &ConnectionRecord, names: &Names) -> String {
    let word = |who| names.word(who, record.addr(who));
    let mut out = String::new();
    if let Some(first) = record.closed_first_reported() {
        out.push_str(&format!("{} closed first, with {}; ", word(first.who), first.by.name()));
    }
    out.push_str(&record.why(names));
    for wait in &record.time_wait {
        let until = seconds(wait.until.saturating_sub(record.opened));
        let lasts = span(wait.until.saturating_sub(wait.since));
        out.push_str(&format!("; {} holds TIME_WAIT until {until} ({lasts})", word(wait.who)));
    }
    out
}
