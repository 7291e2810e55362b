//! Where two targets part ways on the same script.

use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::tcp::TcpHeader;

use crate::ast::{Direction, Script, Span};
use crate::run::{Failure, Outcome, Passing, Report};

/// The first event at which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event; none for what comes behind the last one.
    pub span: Option<Span>,
    /// What the engine did there.
    pub ours: String,
    /// What Linux did there.
    pub theirs: String,
}

/// The first event at which the engine's run and Linux's differ; none where both took the script
/// alike, its failure included, or where one of them skipped it.
///
/// Both are held against the script, so what it leaves open may differ. Packets that it does not
/// name are compared by flags, numbers, length and kinds of options, not by time and window.
pub fn difference(script: &Script, ours: &Report, theirs: &Report) -> Option<Difference> {
    let (a, b) = (failed(ours)?, failed(theirs)?);
    let place = |failure: Option<&Failure>| {
        failure.map(|failure| failure.event.unwrap_or(script.events.len()))
    };
    let span = |event: usize| script.events.get(event).map(|event| event.span);
    let unnamed = unnamed(script, ours, theirs);
    let first = match (place(a), place(b)) {
        (None, None) => return unnamed,
        (Some(x), None) => x,
        (None, Some(y)) => y,
        (Some(x), Some(y)) => x.min(y),
    };
    if place(a) == place(b) && same(a, b) {
        return None;
    }
    let words = |failure: Option<&Failure>| match failure {
        Some(failure) if place(Some(failure)) == Some(first) => what(failure),
        _ => "as the script says".to_owned(),
    };
    Some(Difference { span: span(first), ours: words(a), theirs: words(b) })
}

/// The failure, or none for a run that passed; nothing at all for a skipped one.
fn failed(report: &Report) -> Option<Option<&Failure>> {
    match &report.outcome {
        Outcome::Passed => Some(None),
        Outcome::Failed(failure) => Some(Some(failure)),
        Outcome::Skipped(_) => None,
    }
}

fn same(a: Option<&Failure>, b: Option<&Failure>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    match (&a.actual, &b.actual) {
        // Times are part of what is shown, and no two are equal in real time.
        (Some(x), Some(y)) => {
            let marked = |shown: &crate::run::Shown| -> Vec<String> {
                let differing = shown.pieces.iter().filter(|piece| piece.differs);
                differing.map(|piece| piece.text.clone()).collect()
            };
            marked(x) == marked(y)
        }
        (None, None) => a.message == b.message,
        _ => false,
    }
}

fn what(failure: &Failure) -> String {
    match &failure.actual {
        Some(actual) => format!("{}: {actual}", failure.message),
        None => failure.message.clone(),
    }
}

/// The first packet of the stack that no event names and that only one of the two sent.
fn unnamed(script: &Script, ours: &Report, theirs: &Report) -> Option<Difference> {
    let loose = |report: &Report| -> Vec<(usize, String)> {
        let mut last = 0;
        let mut isn = None;
        let mut found = Vec::new();
        for packet in report.packets.iter().filter(|p| p.direction == Direction::Out) {
            let text = brief(packet, &mut isn);
            match packet.event {
                Some(event) => last = event,
                None => found.push((last, text)),
            }
        }
        found
    };
    let (a, b) = (loose(ours), loose(theirs));
    let at =
        (0..a.len().max(b.len())).find(|&at| a.get(at).map(|x| &x.1) != b.get(at).map(|y| &y.1))?;
    let words = |packet: Option<&(usize, String)>| {
        packet.map_or("no further packet".to_owned(), |(_, text)| format!("> {text}"))
    };
    let event = a.get(at).or(b.get(at)).map_or(0, |(event, _)| *event);
    Some(Difference {
        span: script.events.get(event).map(|event| event.span),
        ours: words(a.get(at)),
        theirs: words(b.get(at)),
    })
}

/// What two stacks must agree on: flags, numbers from the first SYN on, length, kinds of options.
fn brief(packet: &Passing, isn: &mut Option<u32>) -> String {
    let parsed = IpHeader::parse(&packet.packet).ok().and_then(|ip| {
        let segment = packet.packet.get(ip.payload.clone())?;
        (ip.protocol == protocol::TCP).then(|| TcpHeader::parse(segment).ok())?
    });
    let Some((tcp, payload)) = parsed else { return "another protocol's packet".to_owned() };
    let isn = *isn.get_or_insert(tcp.seq.value());
    let seq = tcp.seq.value().wrapping_sub(isn);
    let options = [
        (tcp.options.mss.is_some(), " mss"),
        (tcp.options.sack_permitted, " sackOK"),
        (tcp.options.window_scale.is_some(), " wscale"),
        (tcp.options.timestamps.is_some(), " TS"),
        (!tcp.options.sack.is_empty(), " sack"),
    ];
    let options: String =
        options.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    let ack = if tcp.flags.ack() { " with ack" } else { "" };
    format!("{:?} {seq}({}){ack}{options}", tcp.flags, payload.len())
}
