//! What stands on an arrow: several labels for each, the most telling first, so that a drawing
//! takes the first one that fits.

use fourwave_wire::tcp::Flags;

use crate::entry::{Exchange, LeftOut, Run, Shown};
use crate::units::{bytes, count, counted};
use crate::words::{Kind, Place};

/// The signs that differ between UTF-8 and ASCII in texts.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    pub(crate) more: &'static str,
    pub(crate) right: &'static str,
    pub(crate) left: &'static str,
}

/// Signs beyond ASCII.
pub const UTF8: Signs = Signs { more: "…", right: "→", left: "←" };
pub(crate) const ASCII: Signs = Signs { more: "...", right: "->", left: "<-" };

/// What is remarkable about a segment, in a few words.
fn notes(shown: &Shown) -> Vec<&'static str> {
    let place = match shown.place {
        Place::Retransmitted => Some("retransmitted"),
        Place::OutOfOrder => Some("out of order"),
        Place::Ahead => Some("a gap before it"),
        Place::InOrder | Place::Outside => None,
    };
    shown.kind.annotation().into_iter().chain(place).collect()
}

/// The labels of one segment, the most telling first.
pub(crate) fn segment_in(notation: Option<fn(&Shown) -> String>, shown: &Shown) -> Vec<String> {
    let mut labels = segment(shown);
    if let Some(write) = notation {
        let notes = notes(shown);
        let notes =
            if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        labels.insert(0, format!("{}{notes}", write(shown)));
    }
    labels
}

/// The labels of a segment in our own words, the most telling first.
pub fn segment(shown: &Shown) -> Vec<String> {
    let own = if shown.ace.is_some() { Flags::ACE } else { Flags::NONE };
    let flags = shown.flags.without(own).to_string();
    let name = if flags.is_empty() { "no flags" } else { &flags };
    let bare_ack = shown.len == 0 && matches!(name, "ACK");
    let seq = if bare_ack { String::new() } else { format!(" seq={}", shown.seq) };
    let ack = shown.ack.map(|ack| format!(" ack={ack}")).unwrap_or_default();
    let ace = shown.ace.map(|ace| format!(" ace={ace}")).unwrap_or_default();
    let len = if shown.len > 0 { format!(" len={}", shown.len) } else { String::new() };
    let window = match shown.kind {
        Kind::Syn | Kind::SynAck | Kind::ZeroWindow | Kind::WindowUpdate => {
            format!(" win={}", shown.window)
        }
        _ => String::new(),
    };
    let mss = shown.mss.map(|mss| format!(" mss={mss}")).unwrap_or_default();
    let notes = notes(shown);
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    let super_packet = if shown.segments > 1 {
        format!(" in {}", counted(shown.segments, "segment"))
    } else {
        String::new()
    };
    vec![
        format!("{name}{seq}{ack}{ace}{len}{super_packet}{window}{mss}{notes}"),
        format!("{name}{seq}{ack}{ace}{len}{window}{mss}{notes}"),
        format!("{name}{seq}{ack}{len}{notes}"),
        format!("{name}{seq}{len}{notes}"),
        format!("{name}{len}{notes}"),
        format!("{name}{notes}"),
        name.to_owned(),
    ]
}

/// The labels of a folded run, the most telling first.
pub fn run(run: &Run, signs: Signs) -> Vec<String> {
    let more = signs.more;
    let thing = match run.first.kind {
        Kind::Keepalive => "keepalive probe",
        Kind::WindowProbe => "window probe",
        _ => "segment",
    };
    let probes = thing != "segment";
    let segments = counted(run.segments, thing);
    let data = if run.bytes > 0 { format!(", {}", bytes(run.bytes)) } else { String::new() };
    let mut anomalies = String::new();
    if run.retransmitted > 0 {
        anomalies.push_str(&format!(", {} retransmitted", count(run.retransmitted)));
    }
    if run.out_of_order > 0 {
        anomalies.push_str(&format!(", {} out of order", count(run.out_of_order)));
    }
    let closed = match run.zero_windows {
        0 => String::new(),
        n => format!("window closed {}", counted(n, "time")),
    };
    let mut answers = Vec::new();
    if run.acks > 0 {
        answers.push(counted(run.acks, if probes { "answer" } else { "ACK" }));
    }
    if run.dup_acks > 0 {
        answers.push(format!("{} duplicate", count(run.dup_acks)));
    }
    if !closed.is_empty() {
        answers.push(closed.clone());
    }
    let in_brackets = |text: &str| match text {
        "" => String::new(),
        text => format!("  ({text})"),
    };
    let acks = in_brackets(&answers.join(", "));
    let closed = in_brackets(&closed);
    let numbers =
        if probes { String::new() } else { format!("  seq={}..{}", run.first.seq, run.end_seq) };
    vec![
        format!("{more} {segments}{data}{anomalies}{numbers}{acks}"),
        format!("{more} {segments}{data}{anomalies}{acks}"),
        format!("{more} {segments}{data}{anomalies}{closed}"),
        format!("{more} {segments}{data}{anomalies}"),
        format!("{more} {segments}{data}"),
        format!("{more} {segments}"),
        more.to_owned(),
    ]
}

/// The labels of an exchange.
pub fn exchange(exchange: &Exchange, signs: Signs) -> Vec<String> {
    let Signs { more, right, left } = signs;
    let turns = counted(exchange.turns.iter().sum(), "turn");
    let [client, server] = exchange.bytes.map(bytes);
    let retransmitted = match exchange.retransmitted {
        0 => String::new(),
        n => format!(", {} retransmitted", count(n)),
    };
    vec![
        format!("{more} {turns}: {client} {right}, {server} {left}{retransmitted}"),
        format!("{more} {turns}: {client}, {server}"),
        format!("{more} {turns}"),
        more.to_owned(),
    ]
}

/// The labels of entries left out.
pub fn left_out(out: &LeftOut, signs: Signs) -> Vec<String> {
    let Signs { more, right, left } = signs;
    let entries = match out.entries {
        1 => "1 entry".to_owned(),
        n => format!("{} entries", count(n)),
    };
    let segments = counted(out.segments, "segment");
    let [client, server] = out.bytes.map(bytes);
    vec![
        format!("{more} {entries} left out: {segments}, {client} {right}, {server} {left} {more}"),
        format!("{more} {entries} left out: {segments} {more}"),
        format!("{more} {entries} left out {more}"),
        more.to_owned(),
    ]
}

/// The first label of at most `width` columns; the last one, which holds no figure, cut when none
/// fits: half a figure would be another.
pub(crate) fn fitting(labels: Vec<String>, width: usize) -> String {
    let mut last = String::new();
    for label in labels {
        if label.chars().count() <= width {
            return label;
        }
        last = label;
    }
    last.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown() -> Shown {
        Shown {
            kind: Kind::Data,
            place: Place::Retransmitted,
            flags: Flags::ACK | Flags::PSH,
            ace: None,
            seq: u64::MAX - 7,
            ack: Some(1_234_567),
            len: 65_535,
            segments: 117,
            window: u32::MAX,
            mss: Some(65_495),
        }
    }

    /// The words of a text that hold a digit.
    fn metrics(text: &str) -> Vec<&str> {
        let words = text.split([' ', ',', '(', ')']);
        words.filter(|word| word.contains(|c: char| c.is_ascii_digit())).collect()
    }

    #[test]
    fn a_figure_on_an_arrow_is_whole_or_not_there() {
        let until = Duration::from_secs(9);
        let one = Run {
            until,
            packets: 9,
            segments: u64::MAX,
            bytes: 117_200,
            retransmitted: 65_535,
            out_of_order: 1_234_567,
            acks: 9_876_543,
            dup_acks: 111_222,
            zero_windows: 333_444,
            first: shown(),
            end_seq: u64::MAX,
            last_ack: None,
        };
        let both = Exchange {
            until,
            turns: [1 << 40; 2],
            segments: [1 << 40; 2],
            bytes: [117_200, u64::MAX],
            retransmitted: 65_535,
        };
        let out =
            LeftOut { until, entries: 1 << 40, segments: 1 << 50, bytes: [117_200, u64::MAX] };
        for labels in [
            segment(&shown()),
            segment_in(Some(|_| "P. 18446744073709551608:1(65535) ack 1234567".into()), &shown()),
            run(&one, UTF8),
            run(&one, ASCII),
            exchange(&both, UTF8),
            left_out(&out, ASCII),
        ] {
            let known: Vec<&str> = labels.iter().flat_map(|label| metrics(label)).collect();
            for width in 0..200 {
                let label = fitting(labels.clone(), width);
                assert!(label.chars().count() <= width);
                for figure in metrics(&label) {
                    assert!(known.contains(&figure), "{figure:?} at {width} of {labels:?}");
                }
            }
        }
    }
}
