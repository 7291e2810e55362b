//! Lines of the script with their times in the capture, and the text that they make.

use std::time::Duration;

use crate::ast::{Body, Direction, IpSpec, Packet, TcpSpec, Time};

/// A gap from which on a packet was sent by a timer, or by an application that thought.
pub(super) const LONG: Duration = Duration::from_millis(10);
/// How much later than in the capture a packet may come: another stack may delay its ACK.
const LATE: Duration = Duration::from_millis(60);

/// A first timeout, and a bit (RFC 6298).
const TIMER: Duration = Duration::from_millis(1200);
/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it stands.
    Plain,
    /// A call or a packet in, at its time.
    Exact,
    /// A packet out.
    Out(Wait),
}

/// What a packet out waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    No,
    /// A timer, as the captured stack's.
    Timer,
    /// A timer of its own: when a stack sends a SYN or a FIN again is left free.
    Own,
}

/// A line of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// Without its time.
    pub(super) text: String,
    /// In the capture's time; what is plain has none.
    pub(super) at: Duration,
    /// New data that may come in two parts.
    pub(super) ask: Option<Box<Ask>>,
}

/// New data of our side that the script asks for, as a packet, and how the other side would
/// acknowledge a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) data: TcpSpec,
    /// What was acknowledged before.
    pub(super) acked: u32,
    /// A bare ACK of the other side, without its number and window.
    pub(super) answer: TcpSpec,
    /// Where its window ends, and how much it is scaled.
    pub(super) edge: (u32, u8),
}

impl Line {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(Kind::Plain, Duration::ZERO, text)
    }

    pub(super) fn new(kind: Kind, at: Duration, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), at, ask: None }
    }
}

/// The lines as text: times are gaps since the line before that has one.
pub(super) fn render(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut last: Option<Duration> = None;
    for Line { kind, text, at, .. } in lines {
        if *kind == Kind::Plain {
            out.push_str(text);
            out.push('\n');
            continue;
        }
        let gap = at.saturating_sub(last.unwrap_or(*at));
        last = Some(last.map_or(*at, |last| last.max(*at)));
        let time = match kind {
            // What goes out again waits for a timer; all else may come at once.
            Kind::Out(Wait::Own) => Time::AfterBetween(Duration::ZERO, micros(gap * 2 + TIMER)),
            Kind::Out(wait) => {
                let is_long = *wait == Wait::Timer && gap >= LONG;
                let early = if is_long { gap / 2 } else { Duration::ZERO };
                Time::AfterBetween(micros(early), micros(gap + gap / 2 + LATE))
            }
            Kind::Plain | Kind::Exact => Time::After(micros(gap)),
        };
        out.push_str(&format!("{time} {text}\n"));
    }
    out
}

/// A packet as a script has it, without its time.
pub(super) fn packet_text(direction: Direction, body: Body) -> String {
    Packet { direction, outer: None, ip: IpSpec::default(), body, fuzz: None }.to_string()
}

/// Scripts are exact to the microsecond.
fn micros(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros().try_into().unwrap_or(u64::MAX))
}
