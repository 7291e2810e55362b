//! A script whose streams are left free, fitted to the engine.
//!
//! What is left to fit is a stack's own affair too: whether an ACK without news goes out, by which
//! rule a loss is found, and how fast the congestion window grows. So ACKs without news and data
//! sent again that the engine does not send become comments, and where its window lets less out
//! than the captured stack's, the other side acknowledges what has come. SYN, FIN, RST, every byte
//! and ACKs that say something new stay as they were captured.

use super::line::{Ask, Kind, Line, Wait, packet_text, render};
use super::packet::{FIN, RST, SYN, beyond};
use crate::ast::{Body, Direction, EventKind, FlagSpec, Script, SeqSpec, TcpSpec};
use crate::lang;
use crate::run::{EARLY, Failure, NOTHING, Options, Outcome, SHORT, UP_TO, run};
use crate::virt::{Setup, Virtual};

/// Runs of the script, one for each place that is fitted.
const MOST: usize = 200;
/// Behind ACKs of the other side that the capture does not have.
const OPENS: &str = " // opens this engine's window";
/// The flag of a segment in the midst of a stream.
const ACK: u16 = 0x10;

/// A script, and what the engine makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The script.
    pub text: String,
    /// Lines that were taken out or put in.
    pub fitted: usize,
    /// Where the engine does otherwise: the line, and what.
    pub failure: Option<(u32, String)>,
}

/// The script as it is, if it passes on the engine.
pub(super) fn as_it_is(lines: &[Line]) -> Option<Fitted> {
    let text = render(lines);
    matches!(play(&text), Ok(None)).then_some(Fitted { text, fitted: 0, failure: None })
}

/// Plays the script on the engine in virtual time, and fits it until it passes or fails for
/// something that matters.
pub(super) fn fit(mut lines: Vec<Line>) -> Fitted {
    let mut fitted = 0;
    loop {
        let text = render(&lines);
        let failure = match play(&text) {
            Ok(None) => return Fitted { text, fitted, failure: None },
            Ok(Some(run)) => {
                if fitted < MOST && change(&mut lines, &run).is_some() {
                    fitted += 1;
                    continue;
                }
                (run.failure.span.line, run.failure.message)
            }
            Err(why) => why,
        };
        return Fitted { text, fitted, failure: Some(failure) };
    }
}

type Place = (u32, String);

/// A run that failed.
struct Run {
    script: Script,
    failure: Box<Failure>,
}

fn play(text: &str) -> Result<Option<Run>, Place> {
    let script = lang::parse(text).map_err(|error| (error.span.line, error.to_string()))?;
    let options = Options::default().for_script(&script);
    let options = options.map_err(|error| (error.span.map_or(0, |s| s.line), error.to_string()))?;
    let report = run(&script, &options, &mut Virtual::new(Setup::from(&options)));
    match report.outcome {
        Outcome::Passed => Ok(None),
        Outcome::Skipped(why) => Err((0, why)),
        Outcome::Failed(failure) => Ok(Some(Run { script, failure })),
    }
}

/// One line less or more; none where that is not what failed.
fn change(lines: &mut Vec<Line>, run: &Run) -> Option<()> {
    let Run { script, failure, .. } = run;
    let event = failure.event?;
    outbound(script, event)?;
    let line = place(script, event)?;
    if is_again(script, event) || is_without_news(script, event) {
        let failed = lines.get_mut(line)?;
        *failed = Line::plain(format!("// not from this engine: {}", failed.text));
        return Some(());
    }
    if failure.message == EARLY {
        return sooner(lines, line);
    }
    if ![NOTHING, SHORT].contains(&failure.message.as_str()) {
        return None;
    }
    let actual = failure.actual.as_ref().map(ToString::to_string).unwrap_or_default();
    let come = actual.strip_prefix(UP_TO).and_then(|rest| rest.split_once(','));
    acknowledge(lines, line, come.and_then(|(number, _)| number.parse().ok()))
}

/// A SYN or FIN goes out again by a timer of the stack's own, which this engine's may do before
/// what came in meanwhile.
fn sooner(lines: &mut [Line], line: usize) -> Option<()> {
    let (before, rest) = lines.split_at_mut_checked(line)?;
    let again = rest.first_mut().filter(|line| line.kind == Kind::Out(Wait::Own))?;
    let to = before.iter().rposition(|line| line.kind != Kind::Plain)?;
    let passed = before.get(to).filter(|line| line.text.starts_with('<'))?;
    again.at = passed.at;
    lines.get_mut(to..=line)?.rotate_right(1);
    Some(())
}

/// Where this engine's window lets less out than the captured stack's, the other side acknowledges
/// what has come, as it would have.
fn acknowledge(lines: &mut Vec<Line>, line: usize, come: Option<u32>) -> Option<()> {
    let Line { kind, at, ask, .. } = lines.get(line)?.clone();
    let Ask { data, acked, answer, edge: (edge, shift) } = *ask?;
    let SeqSpec::Range { start, end, absolute, .. } = data.seq else { return None };
    let come = come.unwrap_or(start);
    if !beyond(come, acked) || beyond(come, end) {
        return None;
    }
    // Rounded up: its edge never goes back.
    let room = if beyond(edge, come) { edge.wrapping_sub(come) } else { 0 };
    let window = u16::try_from(room.div_ceil(1 << shift)).unwrap_or(u16::MAX);
    let tcp = TcpSpec { ack: Some(come), window: Some(window), ..answer.clone() };
    let text = packet_text(Direction::In, Body::Tcp(tcp));
    let opened = Line::new(Kind::Exact, at, format!("{text}{OPENS}"));
    let part = |from: u32, to: u32, flags: FlagSpec, acked: u32| {
        let len = to.wrapping_sub(from);
        let seq = SeqSpec::Range { start: from, end: to, len, absolute };
        let data = TcpSpec { seq, flags, ..data.clone() };
        let text = packet_text(Direction::Out, Body::Tcp(data.clone()));
        let ask = Ask { data, acked, answer: answer.clone(), edge: (edge, shift) };
        Line { ask: Some(Box::new(ask)), ..Line::new(kind, at, text) }
    };
    let first = FlagSpec { bits: ACK, ..data.flags };
    let mut new = vec![opened, part(come, end, data.flags, come)];
    if beyond(come, start) {
        new.insert(0, part(start, come, first, acked));
    }
    lines.splice(line..=line, new);
    Some(())
}

/// The line of an event: each line of the script is one of `lines`.
fn place(script: &Script, event: usize) -> Option<usize> {
    usize::try_from(script.events.get(event)?.span.line).ok()?.checked_sub(1)
}

fn outbound(script: &Script, event: usize) -> Option<&TcpSpec> {
    tcp_of(script, event, Direction::Out)
}

fn tcp_of(script: &Script, event: usize, direction: Direction) -> Option<&TcpSpec> {
    match &script.events.get(event)?.kind {
        EventKind::Packet(packet) if packet.direction == direction => match &packet.body {
            Body::Tcp(tcp) => Some(tcp),
            _ => None,
        },
        _ => None,
    }
}

fn is_bare(tcp: &TcpSpec) -> bool {
    tcp.flags.bits == 0x10 && matches!(tcp.seq, SeqSpec::Range { len: 0, .. })
}

/// A bare ACK whose number has been sent before, or comes with the next packet.
fn is_without_news(script: &Script, event: usize) -> bool {
    let Some(tcp) = outbound(script, event).filter(|tcp| is_bare(tcp)) else { return false };
    let before = (0..event).rev().find_map(|at| outbound(script, at));
    let after = (event + 1..script.events.len()).find_map(|at| outbound(script, at));
    let covers = |other: Option<&TcpSpec>| {
        other
            .and_then(|other| other.ack)
            .zip(tcp.ack)
            .is_some_and(|(other, ack)| other.wrapping_sub(ack).cast_signed() >= 0)
    };
    covers(before) || covers(after)
}

/// Data that an event has asked for before, or a FIN that data before it is missing as well: where
/// a stack begins again is its own affair.
fn is_again(script: &Script, event: usize) -> bool {
    let has = |tcp: &TcpSpec, flags: u16| tcp.flags.bits & flags != 0;
    let end = |tcp: &TcpSpec| match tcp.seq {
        SeqSpec::Range { end, .. } => Some(end.wrapping_add(u32::from(has(tcp, FIN)))),
        SeqSpec::Unchecked { .. } => None,
    };
    let most = |a: u32, b: u32| if beyond(b, a) { b } else { a };
    let Some(tcp) = outbound(script, event).filter(|tcp| !has(tcp, SYN | RST)) else {
        return false;
    };
    let SeqSpec::Range { start, len, .. } = tcp.seq else { return false };
    let before = (0..event).filter_map(|at| outbound(script, at)).filter_map(end).reduce(most);
    let acks = (0..event).filter_map(|at| tcp_of(script, at, Direction::In)?.ack);
    let free = match has(tcp, FIN) {
        true => acks.reduce(most).is_some_and(|acked| beyond(start, acked)),
        false => len > 0,
    };
    let own = end(tcp);
    free && before.zip(own).is_some_and(|(before, own)| !beyond(own, before))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lines(tail: &[(u32, &str)]) -> Vec<Line> {
        let open = [
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
            "+0 bind(3, ..., ...) = 0",
            "+0 listen(3, 1) = 0",
        ];
        let begin = [
            (0, "< S 0:0(0) win 1000 <mss 1000>"),
            (0, "> S. 0:0(0) ack 1 <...>"),
            (10, "< . 1:1(0) ack 1 win 1000"),
            (10, "accept(3, ..., ...) = 4"),
            (20, "< P. 1:11(10) ack 1 win 1000"),
        ];
        let timed = begin.iter().chain(tail).map(|&(at, text)| {
            let out = text.starts_with('>');
            let kind = if out { Kind::Out(Wait::No) } else { Kind::Exact };
            Line::new(kind, MS * at, text)
        });
        open.map(Line::plain).into_iter().chain(timed).collect()
    }

    #[test]
    fn an_ack_that_tells_nothing_new_becomes_a_comment() {
        let twice =
            [(20, "> . 1:1(0) ack 11"), (30, "> . 1:1(0) ack 11"), (500, "read(4, ..., 10) = 10")];
        let fitted = fit(lines(&twice));
        assert_eq!((fitted.failure, fitted.fitted), (None, 1), "{}", fitted.text);
        let end = "// not from this engine: > . 1:1(0) ack 11\n+0.48 read(4, ..., 10) = 10\n";
        assert!(fitted.text.ends_with(end), "{}", fitted.text);
    }

    #[test]
    fn a_fin_that_goes_out_again_sooner_changes_places_with_what_came_in() {
        let tail = [
            (20, "> . 1:1(0) ack 11"),
            (30, "read(4, ..., 10) = 10"),
            (30, "shutdown(4, SHUT_WR) = 0"),
            (30, "> F. 1:1(0) ack 11"),
            (500, "< P. 11:21(10) ack 1 win 1000"),
        ];
        let mut lines = lines(&tail);
        let again = Line::new(Kind::Out(Wait::Own), MS * 505, "> F. 1:1(0) ack 11");
        lines.push(again);
        let fitted = fit(lines);
        assert_eq!((fitted.failure, fitted.fitted), (None, 1), "{}", fitted.text);
        let out = fitted.text.rfind("> F. 1:1(0) ack 11").unwrap();
        assert!(out < fitted.text.find("< P. 11:21").unwrap(), "{}", fitted.text);
    }

    #[test]
    fn what_matters_is_never_fitted() {
        for wrong in ["> F. 1:1(0) ack 11", "> . 1:1(0) ack 12", "> P. 1:6(5) ack 11"] {
            let fitted = fit(lines(&[(20, "> . 1:1(0) ack 11"), (100, wrong)]));
            assert_eq!((fitted.fitted, fitted.failure.unwrap().0), (0, 10), "{wrong}");
        }
    }
}
