//! A script as it grows: events in packetdrill's notation.

use std::fmt::{self, Write as _};

/// What the peer's clock says in all that it sends, but in old duplicates.
pub(super) const PEER_CLOCK: u32 = 1_000_000;

/// A segment in the script's numbers.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) flags: &'static str,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ack: Option<u32>,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flags, seq, len, ack } = self;
        write!(f, "{flags} {seq}:{}({len})", seq.wrapping_add(*len))?;
        ack.map_or(Ok(()), |ack| write!(f, " ack {ack}"))
    }
}

pub(super) fn segment(flags: &'static str, seq: u32, len: u32, ack: Option<u32>) -> Segment {
    Segment { flags, seq, len, ack }
}

/// The lines of a script.
pub(super) struct Sheet {
    text: String,
    begun: bool,
    mss: u32,
    /// The connection uses timestamps.
    pub(super) timestamps: bool,
}

impl Sheet {
    /// Begins with the comment.
    pub(super) fn new(header: &[String], timestamps: bool) -> Self {
        let mut text = String::new();
        for line in header.iter().flat_map(|paragraph| wrapped(paragraph)) {
            let _infallible = writeln!(text, "// {line}");
        }
        Self { text, begun: false, mss: 1460, timestamps }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// An MSS of 1285, of which 65535 is a multiple: only then does Linux offer it all. `why` goes
    /// above it. Before the first event.
    pub(super) fn fixed_window(&mut self, why: &str) {
        self.mss = 1285;
        self.comment(why);
        let _infallible = writeln!(self.text, "--mtu={}", self.mss + 40);
    }

    /// Whether [`Sheet::fixed_window`] was asked for.
    pub(super) fn window_is_fixed(&self) -> bool {
        self.mss == 1285
    }

    /// A comment of its own line.
    pub(super) fn comment(&mut self, words: &str) {
        let _infallible = writeln!(self.text, "\n// {words}");
    }

    fn event(&mut self, after: &str, what: &str) {
        let after = if self.begun { after } else { "0" };
        if !self.begun {
            self.text.push('\n');
        }
        self.begun = true;
        let _infallible = writeln!(self.text, "{after:>6} {what}");
    }

    /// A call.
    pub(super) fn call(&mut self, call: &str) {
        self.event("+0", call);
    }

    /// A segment from the peer, a moment later.
    pub(super) fn peer(&mut self, segment: Segment) {
        self.peer_at(segment, PEER_CLOCK);
    }

    /// The same with another time of the peer's clock.
    pub(super) fn peer_at(&mut self, segment: Segment, clock: u32) {
        let (syn, mss) = (segment.flags.contains('S'), self.mss);
        // An ACK echoes our SYN ACK.
        let echo = if segment.ack.is_some() { 100 } else { 0 };
        let stamps = format!("nop,nop,TS val {clock} ecr {echo}");
        let options = match (syn, self.timestamps) {
            (true, true) => format!(" <mss {mss},{stamps}>"),
            (true, false) => format!(" <mss {mss}>"),
            (false, true) => format!(" <{stamps}>"),
            (false, false) => String::new(),
        };
        self.event("+.01", &format!("< {segment} win 65535{options}"));
    }

    /// A segment of the stack, at once.
    pub(super) fn stack(&mut self, segment: Segment) {
        self.stack_within("+0", segment, "");
    }

    /// An ACK of text, which may wait for more.
    pub(super) fn stack_soon(&mut self, segment: Segment) {
        self.stack_within("+0~+.1", segment, "");
    }

    /// The same, showing the window.
    pub(super) fn stack_offers(&mut self, segment: Segment, window: u32) {
        self.stack_within("+0~+.1", segment, &format!(" win {window}"));
    }

    fn stack_within(&mut self, after: &str, segment: Segment, more: &str) {
        let mss = self.mss;
        // 100 is the SYN ACK's: that is what the peer echoes.
        let ours = if segment.flags.contains('S') { 100 } else { 200 };
        let stamps = format!("nop,nop,TS val {ours} ecr {PEER_CLOCK}");
        let options = match (segment.flags.contains('S'), self.timestamps) {
            _ if segment.flags.contains('R') => String::new(),
            (true, true) => format!(" <mss {mss},{stamps}>"),
            (true, false) => format!(" <mss {mss}>"),
            (false, true) => format!(" <{stamps}>"),
            (false, false) => String::new(),
        };
        self.event(after, &format!("> {segment}{more}{options}"));
    }

    /// A segment of the stack with any options, at a time of its own.
    pub(super) fn stack_any_options(&mut self, after: &str, segment: Segment) {
        self.event(after, &format!("> {segment} <...>"));
    }

    /// What TCP_INFO must say of the state.
    pub(super) fn state(&mut self, name: &str) {
        self.event("+0", &format!("%{{ assert tcpi_state == {name}, tcpi_state }}%"));
    }
}

/// Lines of a comment's width.
fn wrapped(paragraph: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
        } else if lines[last].len() + word.len() < 92 {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
