//! The table of the states before a connection stands: CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED.

use super::sheet::{PEER_CLOCK, Segment, Sheet, segment};
use super::states::{EDGE, WINDOW, listen, upper};

/// Where the segment arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Closed,
    Listen,
    SynSent,
    /// After our SYN went out twice. (Linux sends the next SYN at once when a wrong ACK answers
    /// the first.)
    SynSentTwice,
    /// Of a passive open.
    SynReceived,
}

impl Place {
    /// Name, directory.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Closed => ("CLOSED", "closed"),
            Self::Listen => ("LISTEN", "listen"),
            Self::SynSent | Self::SynSentTwice => ("SYN_SENT", "syn-sent"),
            Self::SynReceived => ("SYN_RECEIVED", "syn-received"),
        }
    }
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Silence; nothing changes.
    Silence,
    /// An RST with this sequence number; nothing changes.
    Rst(u32),
    /// An RST that acknowledges up to here; nothing changes.
    RstAck(u32),
    /// An ACK of the SYN that was received before; nothing changes.
    Ack,
    /// The SYN ACK (again); or, in SYN_SENT, the answer to the peer's SYN.
    SynAck,
    /// ESTABLISHED, our ACK and all.
    Established,
    /// ESTABLISHED with so many bytes of text.
    Text(u32),
    /// ESTABLISHED with a gap before the text; this many bytes are missing.
    Gap(u32),
    /// CLOSE_WAIT.
    CloseWait,
    /// Back to LISTEN, or CLOSED for an active open that was refused.
    Back,
}

/// A segment, and what follows.
pub(super) struct Case {
    pub(super) place: Place,
    pub(super) stem: &'static str,
    pub(super) what: &'static str,
    segment: Segment,
    /// Its timestamp is older than the SYN's.
    pub(super) old_clock: bool,
    pub(super) then: Then,
    pub(super) section: &'static str,
}

const CLOSED: &str = "RFC 9293 §3.10.7.1.";
const LISTEN_RST: &str = "RFC 9293 §3.10.7.2, first.";
const LISTEN_ACK: &str = "RFC 9293 §3.10.7.2, second.";
const LISTEN_SYN: &str = "RFC 9293 §3.10.7.2, third.";
const LISTEN_ELSE: &str = "RFC 9293 §3.10.7.2, fourth.";
const SENT_ACK: &str = "RFC 9293 §3.10.7.3, first.";
const SENT_RST: &str = "RFC 9293 §3.10.7.3, second; RFC 5961 §3.2.";
const SENT_SYN: &str = "RFC 9293 §3.10.7.3, fourth.";
const SENT_ELSE: &str = "RFC 9293 §3.10.7.3, fifth.";
const GOT_SEQ: &str = "RFC 9293 §3.10.7.4, first.";
const GOT_RST: &str = "RFC 9293 §3.10.7.4, second; RFC 5961 §3.2.";
const GOT_SYN: &str = "RFC 9293 §3.10.7.4, fourth.";
const GOT_ACK: &str = "RFC 9293 §3.10.7.4, fifth.";
const GOT_TEXT: &str = "RFC 9293 §3.10.7.4, fifth and seventh.";
const GOT_FIN: &str = "RFC 9293 §3.10.7.4, fifth and eighth.";

fn case(
    place: Place,
    (stem, what): (&'static str, &'static str),
    (flags, seq, len, ack): (&'static str, u32, u32, i64),
    then: Then,
    section: &'static str,
) -> Case {
    // Below zero: none.
    let segment = segment(flags, seq, len, u32::try_from(ack).ok());
    Case { place, stem, what, segment, old_clock: false, then, section }
}

/// No acknowledgement.
const NONE: i64 = -1;
/// RCV.NXT less 1000, where RCV.NXT is 1.
const BELOW: u32 = 4_294_966_297;

#[rustfmt::skip]
fn closed() -> Vec<Case> {
    use Then::{Rst, RstAck, Silence};
    let c = |names, segment, then| case(Place::Closed, names, segment, then, CLOSED);
    vec![
        c(("syn", "a SYN"), ("S", 0, 0, NONE), RstAck(1)),
        c(("syn-with-text", "a SYN with text"), ("S", 0, 100, NONE), RstAck(101)),
        c(("syn-fin", "a SYN with a FIN"), ("SF", 0, 0, NONE), RstAck(2)),
        c(("syn-ack", "a SYN ACK"), ("S.", 0, 0, 700), Rst(700)),
        c(("ack", "a bare ACK"), (".", 500, 0, 700), Rst(700)),
        c(("ack-of-zero", "a bare ACK of 0"), (".", 500, 0, 0), Rst(0)),
        c(("data", "text"), ("P.", 500, 100, 700), Rst(700)),
        c(("fin", "a FIN"), ("F.", 500, 0, 700), Rst(700)),
        c(("no-ack-data", "text without an ACK"), ("P", 500, 100, NONE), RstAck(600)),
        c(("no-ack-fin", "a FIN without an ACK"), ("F", 500, 0, NONE), RstAck(501)),
        c(("no-flags", "a segment without flags"), ("-", 500, 0, NONE), RstAck(500)),
        c(("no-flags-data", "text without flags"), ("-", 500, 100, NONE), RstAck(600)),
        c(("rst", "an RST"), ("R", 500, 0, NONE), Silence),
        c(("rst-ack", "an RST with an ACK"), ("R.", 500, 0, 700), Silence),
        c(("syn-rst", "a SYN with an RST"), ("SR", 0, 0, NONE), Silence),
    ]
}

#[rustfmt::skip]
fn listening() -> Vec<Case> {
    use Then::{Rst, Silence, SynAck};
    let c = |names, segment, then, section| case(Place::Listen, names, segment, then, section);
    vec![
        c(("syn", "a SYN"), ("S", 0, 0, NONE), SynAck, LISTEN_SYN),
        c(("syn-ack", "a SYN ACK"), ("S.", 0, 0, 700), Rst(700), LISTEN_ACK),
        c(("ack", "a bare ACK"), (".", 500, 0, 700), Rst(700), LISTEN_ACK),
        c(("ack-of-zero", "a bare ACK of 0"), (".", 500, 0, 0), Rst(0), LISTEN_ACK),
        c(("data", "text"), ("P.", 500, 100, 700), Rst(700), LISTEN_ACK),
        c(("fin", "a FIN"), ("F.", 500, 0, 700), Rst(700), LISTEN_ACK),
        c(("syn-fin-ack", "a SYN with FIN and ACK"), ("SF.", 0, 0, 700), Rst(700), LISTEN_ACK),
        c(("rst", "an RST"), ("R", 500, 0, NONE), Silence, LISTEN_RST),
        c(("rst-ack", "an RST with an ACK"), ("R.", 500, 0, 700), Silence, LISTEN_RST),
        c(("syn-rst", "a SYN with an RST"), ("SR", 0, 0, NONE), Silence, LISTEN_RST),
        c(("no-ack-data", "text without an ACK"), ("P", 500, 100, NONE), Silence, LISTEN_ELSE),
        c(("no-ack-fin", "a FIN without an ACK"), ("F", 500, 0, NONE), Silence, LISTEN_ELSE),
        c(("no-flags", "a segment without flags"), ("-", 500, 0, NONE), Silence, LISTEN_ELSE),
        c(("no-flags-data", "text without flags"), ("-", 500, 100, NONE), Silence, LISTEN_ELSE),
    ]
}

#[rustfmt::skip]
fn syn_sent() -> Vec<Case> {
    use Then::{Back, Established, Rst, Silence, SynAck};
    let once = |names, segment, then, section| case(Place::SynSent, names, segment, then, section);
    let twice =
        |names, segment, then, section| case(Place::SynSentTwice, names, segment, then, section);
    vec![
        once(("syn-ack", "a SYN ACK"), ("S.", 0, 0, 1), Established, SENT_SYN),
        once(("syn", "a SYN: both open at once"), ("S", 0, 0, NONE), SynAck, SENT_SYN),
        twice(("syn-ack-of-iss", "a SYN ACK that does not acknowledge our SYN"),
            ("S.", 0, 0, 0), Rst(0), SENT_ACK),
        twice(("syn-ack-of-unsent", "a SYN ACK of what was never sent"),
            ("S.", 0, 0, 2), Rst(2), SENT_ACK),
        twice(("ack-of-iss", "a bare ACK that does not acknowledge our SYN"),
            (".", 500, 0, 0), Rst(0), SENT_ACK),
        twice(("ack-of-unsent", "a bare ACK of what was never sent"),
            (".", 500, 0, 1000), Rst(1000), SENT_ACK),
        twice(("ack-too-old", "a bare ACK from below our SYN"),
            (".", 500, 0, 4_294_900_000), Rst(4_294_900_000), SENT_ACK),
        twice(("data-with-ack-of-unsent", "text with an ACK of what was never sent"),
            ("P.", 1, 100, 1000), Rst(1000), SENT_ACK),
        twice(("fin-with-ack-of-unsent", "a FIN with an ACK of what was never sent"),
            ("F.", 1, 0, 1000), Rst(1000), SENT_ACK),
        once(("ack", "a bare ACK of our SYN"), (".", 500, 0, 1), Silence, SENT_ELSE),
        once(("data", "text with an ACK of our SYN"), ("P.", 1, 100, 1), Silence, SENT_ELSE),
        once(("fin", "a FIN with an ACK of our SYN"), ("F.", 1, 0, 1), Silence, SENT_ELSE),
        once(("no-ack-data", "text without an ACK"), ("P", 1, 100, NONE), Silence, SENT_ELSE),
        once(("no-ack-fin", "a FIN without an ACK"), ("F", 1, 0, NONE), Silence, SENT_ELSE),
        once(("no-flags", "a segment without flags"), ("-", 1, 0, NONE), Silence, SENT_ELSE),
        once(("rst", "an RST without an ACK"), ("R", 0, 0, NONE), Silence, SENT_RST),
        once(("rst-ack", "an RST that acknowledges our SYN"), ("R.", 0, 0, 1), Back, SENT_RST),
        once(("rst-ack-anywhere", "an RST with any number that acknowledges our SYN"),
            ("R.", 123_456, 0, 1), Back, SENT_RST),
        twice(("rst-ack-of-iss", "an RST that does not acknowledge our SYN"),
            ("R.", 0, 0, 0), Silence, SENT_RST),
        twice(("rst-ack-of-unsent", "an RST with an ACK of what was never sent"),
            ("R.", 0, 0, 2), Silence, SENT_RST),
        once(("syn-rst", "a SYN with an RST"), ("SR", 0, 0, NONE), Silence, SENT_RST),
    ]
}

#[rustfmt::skip]
fn syn_received() -> Vec<Case> {
    use Then::{Ack, Back, CloseWait, Established, Gap, Rst, Silence, SynAck, Text};
    let c = |names, segment, then, section| case(Place::SynReceived, names, segment, then, section);
    let old = |case: Case| Case { old_clock: true, ..case };
    vec![
        c(("rst-far-below-window", "an RST far below the window"),
            ("R", BELOW, 0, NONE), Silence, GOT_RST),
        c(("rst-just-below-window", "an RST at RCV.NXT - 1"),
            ("R", 0, 0, NONE), Silence, GOT_RST),
        c(("rst-at-rcv-nxt", "an RST at RCV.NXT"), ("R", 1, 0, NONE), Back, GOT_RST),
        c(("rst-ack-at-rcv-nxt", "an RST with an ACK at RCV.NXT"),
            ("R.", 1, 0, 1), Back, GOT_RST),
        c(("rst-inside-window", "an RST inside the window"), ("R", 1001, 0, NONE), Ack, GOT_RST),
        c(("rst-ack-inside-window", "an RST with an ACK inside the window"),
            ("R.", 1001, 0, 1), Ack, GOT_RST),
        c(("rst-at-right-edge", "an RST just behind the window"),
            ("R", EDGE, 0, NONE), Silence, GOT_RST),
        c(("rst-beyond-window", "an RST beyond the window"),
            ("R", 1_000_001, 0, NONE), Silence, GOT_RST),
        c(("syn-again", "the SYN again"), ("S", 0, 0, NONE), SynAck,
            "RFC 9293 §3.10.7.4, first asks for an ACK; the SYN ACK that was lost is one."),
        c(("syn-below-window", "another SYN below the window"),
            ("S", BELOW, 0, NONE), Ack, GOT_SEQ),
        c(("syn-beyond-window", "another SYN beyond the window"),
            ("S", 1_000_001, 0, NONE), Ack, GOT_SEQ),
        c(("syn-inside-window", "another SYN inside the window"),
            ("S", 1001, 0, NONE), Back, GOT_SYN),
        c(("syn-at-rcv-nxt", "another SYN at RCV.NXT"), ("S", 1, 0, NONE), Back, GOT_SYN),
        c(("syn-ack-below-window", "a SYN ACK with the SYN's own number"),
            ("S.", 0, 0, 1), Ack, GOT_SEQ),
        c(("ack-at-rcv-nxt", "the ACK of our SYN"), (".", 1, 0, 1), Established, GOT_ACK),
        c(("ack-inside-window", "the ACK of our SYN, inside the window"),
            (".", 1001, 0, 1), Established, GOT_ACK),
        c(("ack-below-window", "the ACK of our SYN, below the window"),
            (".", BELOW, 0, 1), Ack, GOT_SEQ),
        c(("ack-beyond-window", "the ACK of our SYN, beyond the window"),
            (".", 1_000_001, 0, 1), Ack, GOT_SEQ),
        c(("ack-of-iss", "a bare ACK that does not acknowledge our SYN"),
            (".", 1, 0, 0), Rst(0), GOT_ACK),
        c(("ack-of-unsent", "a bare ACK of what was never sent"),
            (".", 1, 0, 2), Rst(2), GOT_ACK),
        c(("ack-too-old", "a bare ACK from below our SYN"),
            (".", 1, 0, 4_294_900_000), Rst(4_294_900_000), GOT_ACK),
        c(("data-at-rcv-nxt", "text with the ACK of our SYN"),
            ("P.", 1, 1000, 1), Text(1000), GOT_TEXT),
        c(("data-inside-window", "text behind a gap with the ACK of our SYN"),
            ("P.", 1001, 1000, 1), Gap(1000), GOT_TEXT),
        c(("data-with-ack-of-unsent", "text with an ACK of what was never sent"),
            ("P.", 1, 1000, 2), Rst(2), GOT_ACK),
        c(("data-beyond-window", "text beyond the window with the ACK of our SYN"),
            ("P.", 1_000_001, 1000, 1), Ack, GOT_SEQ),
        c(("fin-at-rcv-nxt", "a FIN with the ACK of our SYN"),
            ("F.", 1, 0, 1), CloseWait, GOT_FIN),
        c(("fin-with-ack-of-unsent", "a FIN with an ACK of what was never sent"),
            ("F.", 1, 0, 2), Rst(2), GOT_ACK),
        c(("no-ack-data-at-rcv-nxt", "text without an ACK"),
            ("P", 1, 1000, NONE), Silence, GOT_ACK),
        c(("no-ack-fin-at-rcv-nxt", "a FIN without an ACK"), ("F", 1, 0, NONE), Silence, GOT_ACK),
        c(("no-flags-at-rcv-nxt", "a segment without flags"),
            ("-", 1, 0, NONE), Silence, GOT_ACK),
        old(c(("old-timestamp-ack", "the ACK of our SYN with an old timestamp"),
            (".", 1, 0, 1), Ack, "RFC 7323 §5.3, R1.")),
        old(c(("old-timestamp-data", "text with an old timestamp"),
            ("P.", 1, 1000, 1), Ack, "RFC 7323 §5.3, R1.")),
        old(c(("old-timestamp-rst", "an RST at RCV.NXT with an old timestamp"),
            ("R", 1, 0, NONE), Back, "RFC 7323 §5.2: PAWS does not judge an RST.")),
    ]
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [closed(), listening(), syn_sent(), syn_received()].into_iter().flatten().collect()
}

impl Case {
    /// The script without its first comment.
    pub(super) fn play(&self, mut sheet: Sheet) -> String {
        self.preamble(&mut sheet);
        sheet.comment(&format!("{}.", upper(self.what)));
        let clock = if self.old_clock { PEER_CLOCK - 100_000 } else { PEER_CLOCK };
        sheet.peer_at(self.segment, clock);
        match self.then {
            Then::Silence => {}
            Then::Rst(seq) => sheet.stack(segment("R", seq, 0, None)),
            Then::RstAck(ack) => sheet.stack(segment("R.", 0, 0, Some(ack))),
            Then::Ack => sheet.stack(segment(".", 1, 0, Some(1))),
            Then::SynAck if self.is_active() => {
                sheet.stack_any_options("+0", segment("S.", 0, 0, Some(1)));
            }
            Then::SynAck => sheet.stack(segment("S.", 0, 0, Some(1))),
            Then::Back => return self.back(sheet),
            Then::Established | Then::Text(_) | Then::Gap(_) | Then::CloseWait => {
                return self.stands(sheet);
            }
        }
        sheet.comment("What it was before, and nothing else was sent:");
        self.proof(&mut sheet);
        sheet.into_text()
    }

    fn is_active(&self) -> bool {
        matches!(self.place, Place::SynSent | Place::SynSentTwice)
    }

    fn preamble(&self, sheet: &mut Sheet) {
        match self.place {
            Place::Closed => {
                sheet.call("socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
                sheet.call("bind(3, ..., ...) = 0");
            }
            Place::Listen => listen(sheet),
            Place::SynSent | Place::SynSentTwice => {
                sheet.call("socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3");
                let connect = "connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)";
                sheet.call(connect);
                sheet.stack_any_options("+0", segment("S", 0, 0, None));
                if self.place == Place::SynSentTwice {
                    sheet.stack_any_options("+1", segment("S", 0, 0, None));
                }
            }
            Place::SynReceived => {
                sheet.fixed_window(WINDOW);
                listen(sheet);
                sheet.peer(segment("S", 0, 0, None));
                sheet.stack(segment("S.", 0, 0, Some(1)));
            }
        }
    }

    /// An exchange that goes like this only where nothing has changed, and nothing else was sent.
    fn proof(&self, sheet: &mut Sheet) {
        match self.place {
            Place::Closed => {
                sheet.peer(segment(".", 1, 0, Some(900)));
                sheet.stack(segment("R", 900, 0, None));
            }
            Place::Listen if self.then != Then::SynAck => {
                sheet.peer(segment("S", 0, 0, None));
                sheet.stack(segment("S.", 0, 0, Some(1)));
                accepted(sheet);
            }
            Place::Listen | Place::SynReceived => accepted(sheet),
            Place::SynSent | Place::SynSentTwice if self.then == Then::SynAck => {
                sheet.peer(segment(".", 1, 0, Some(1)));
                connected(sheet);
            }
            Place::SynSent | Place::SynSentTwice => {
                sheet.state("TCP_SYN_SENT");
                sheet.peer(segment("S.", 0, 0, Some(1)));
                sheet.stack(segment(".", 1, 0, Some(1)));
                connected(sheet);
            }
        }
    }

    /// The connection is not to be; nothing was sent.
    fn back(&self, mut sheet: Sheet) -> String {
        if self.is_active() {
            let refused = "-1 ECONNREFUSED (Connection refused)";
            sheet.call(&format!("read(3, ..., 1000) = {refused}"));
        }
        sheet.comment("There is no connection.");
        sheet.peer(segment(".", 1, 0, Some(1)));
        sheet.stack(segment("R", 1, 0, None));
        sheet.into_text()
    }

    /// The connection stands.
    fn stands(&self, mut sheet: Sheet) -> String {
        if self.is_active() {
            sheet.stack(segment(".", 1, 0, Some(1)));
            connected(&mut sheet);
            return sheet.into_text();
        }
        let (received, fin) = match self.then {
            Then::Text(len) => (len, false),
            Then::Gap(missing) => {
                sheet.stack(segment(".", 1, 0, Some(1)));
                sheet.comment("What was missing before it.");
                sheet.peer(segment("P.", 1, missing, Some(1)));
                (missing + self.segment.len, false)
            }
            Then::CloseWait => (0, true),
            _ => (0, false),
        };
        let rcv_nxt = 1 + received + u32::from(fin);
        if rcv_nxt > 1 {
            sheet.stack_soon(segment(".", 1, 0, Some(rcv_nxt)));
        }
        sheet.call("accept(3, ..., ...) = 4");
        sheet.state(if fin { "TCP_CLOSE_WAIT" } else { "TCP_ESTABLISHED" });
        if rcv_nxt > 1 {
            sheet.call(&format!("read(4, ..., 5000) = {received}"));
        }
        sheet.call("write(4, ..., 100) = 100");
        sheet.stack(segment("P.", 1, 100, Some(rcv_nxt)));
        sheet.into_text()
    }
}

/// The handshake's end, and text that shows it.
fn accepted(sheet: &mut Sheet) {
    sheet.peer(segment(".", 1, 0, Some(1)));
    sheet.call("accept(3, ..., ...) = 4");
    sheet.call("write(4, ..., 100) = 100");
    sheet.stack(segment("P.", 1, 100, Some(1)));
}

fn connected(sheet: &mut Sheet) {
    sheet.state("TCP_ESTABLISHED");
    sheet.call("write(3, ..., 100) = 100");
    sheet.stack(segment("P.", 1, 100, Some(1)));
}

/// What follows, for the script's first comment.
pub(super) fn outcome(case: &Case) -> String {
    match case.then {
        Then::Silence => "dropped in silence".to_owned(),
        Then::Rst(_) => "answered by an RST with the number that it acknowledges".to_owned(),
        Then::RstAck(_) => "answered by an RST with number 0 that acknowledges it".to_owned(),
        Then::Ack => "answered by an ACK; nothing changes".to_owned(),
        Then::SynAck if case.place == Place::SynReceived => "the SYN ACK again".to_owned(),
        Then::SynAck => "answered by a SYN ACK".to_owned(),
        Then::Established => "the connection stands".to_owned(),
        Then::Text(_) => "the connection stands, and the text is taken".to_owned(),
        Then::Gap(_) => "the connection stands, and the text waits for the gap".to_owned(),
        Then::CloseWait => "the connection stands, and the peer has closed it".to_owned(),
        Then::Back if case.place == Place::SynReceived => "back to LISTEN, in silence".to_owned(),
        Then::Back => "the connection is refused, in silence".to_owned(),
    }
}
