//! The table of the synchronized states: what arrives, where in the window, and what follows in
//! each state.

use Ack::{Current, Fin, Old, TooOld, Unsent};
use Cell::{A, F, G, N, O, P, S, T, X};
use Place::{Edge, Next};

/// What follows a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Silence; nothing changes.
    S,
    /// An ACK of what was received before; nothing changes.
    A,
    /// The connection is gone, in silence.
    X,
    /// Its text is taken and acknowledged.
    T,
    /// Its FIN (with its text) is taken and acknowledged: the next state.
    F,
    /// It waits for what is missing before it: an ACK now, and it counts when the gap is filled.
    G,
    /// Its ACK of our FIN is taken in silence: the next state.
    P,
    /// A new connection in place of the old.
    O,
    /// No such case.
    N,
}

/// Its acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    /// None, and no ACK bit.
    Off,
    /// SND.UNA.
    Current,
    /// Half of what was acknowledged before.
    Old,
    /// Further back than any window reaches.
    TooOld,
    /// Of what was not sent yet.
    Unsent,
    /// Of our FIN.
    Fin,
}

/// The columns.
pub(super) type Cells = [Cell; 7];

/// Its sequence number.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// RCV.NXT and so many.
    Next(i32),
    /// RCV.NXT + RCV.WND and so many.
    Edge(i32),
}

/// A segment at a place of the window, and what follows in each state.
pub(super) struct Row {
    /// The script's name.
    pub(super) stem: &'static str,
    /// The segment in words.
    pub(super) what: &'static str,
    pub(super) flags: &'static str,
    pub(super) place: Place,
    pub(super) len: u32,
    pub(super) ack: Ack,
    /// Its timestamp is older than the last one; only with timestamps.
    pub(super) old_clock: bool,
    pub(super) section: &'static str,
    /// ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSING, CLOSE_WAIT, LAST_ACK, TIME_WAIT.
    pub(super) cells: Cells,
}

const RST: &str = "RFC 9293 §3.10.7.4, second; RFC 5961 §3.2.";
const SYN: &str = "RFC 9293 §3.10.7.4, fourth; RFC 5961 §4.2.";
const SEQ: &str = "RFC 9293 §3.10.7.4, first.";
const ACK: &str = "RFC 9293 §3.10.7.4, fifth; RFC 5961 §5.2.";
const NO_ACK: &str = "RFC 9293 §3.10.7.4, fifth: the ACK bit is off.";
const TEXT: &str = "RFC 9293 §3.10.7.4, seventh.";
const FIN: &str = "RFC 9293 §3.10.7.4, eighth.";
const PAWS: &str = "RFC 7323 §5.3, R1.";

const fn row(
    (stem, what): (&'static str, &'static str),
    (flags, place, len): (&'static str, Place, u32),
    ack: Ack,
    section: &'static str,
    cells: Cells,
) -> Row {
    Row { stem, what, flags, place, len, ack, old_clock: false, section, cells }
}

const fn old(row: Row) -> Row {
    Row { old_clock: true, ..row }
}

const AT: Place = Place::Next(0);
const INSIDE: Place = Place::Next(1000);
const LAST: Place = Place::Edge(-1);
const EDGE: Place = Place::Edge(0);
/// Behind any window that a stack may have in mind but not have offered.
const BEYOND: Place = Place::Edge(1_000_000);

const NONE: Ack = Ack::Off;
const ALL_S: Cells = [S; 7];
const ALL_A: Cells = [A; 7];
const ALL_X: Cells = [X; 7];
/// Challenged; an RST in TIME_WAIT is not worth an answer (RFC 1337 §3 drops them all).
const RST_IN: Cells = [A, A, A, A, A, A, S];
/// Text: taken while the peer's direction is open, ignored after its FIN.
const TAKEN: Cells = [T, T, T, S, S, S, A];

pub(super) const ROWS: &[Row] = &[
    row(
        ("rst-far-below-window", "an RST far below the window"),
        ("R", Next(-1000), 0),
        NONE,
        RST,
        ALL_S,
    ),
    row(("rst-just-below-window", "an RST at RCV.NXT - 1"), ("R", Next(-1), 0), NONE, RST, ALL_S),
    row(("rst-at-rcv-nxt", "an RST at RCV.NXT"), ("R", AT, 0), NONE, RST, ALL_X),
    row(("rst-inside-window", "an RST inside the window"), ("R", INSIDE, 0), NONE, RST, RST_IN),
    row(
        ("rst-at-last-byte", "an RST at the window's last byte"),
        ("R", LAST, 0),
        NONE,
        RST,
        RST_IN,
    ),
    row(("rst-at-right-edge", "an RST just behind the window"), ("R", EDGE, 0), NONE, RST, ALL_S),
    row(("rst-beyond-window", "an RST beyond the window"), ("R", BEYOND, 0), NONE, RST, ALL_S),
    row(
        ("rst-ack-below-window", "an RST with an ACK below the window"),
        ("R.", Next(-1000), 0),
        Current,
        RST,
        ALL_S,
    ),
    row(
        ("rst-ack-at-rcv-nxt", "an RST with an ACK at RCV.NXT"),
        ("R.", AT, 0),
        Current,
        RST,
        ALL_X,
    ),
    row(
        ("rst-ack-inside-window", "an RST with an ACK inside the window"),
        ("R.", INSIDE, 0),
        Current,
        RST,
        RST_IN,
    ),
    row(
        ("rst-ack-beyond-window", "an RST with an ACK beyond the window"),
        ("R.", BEYOND, 0),
        Current,
        RST,
        ALL_S,
    ),
    row(
        ("rst-ack-of-unsent-at-rcv-nxt", "an RST at RCV.NXT, its ACK of what was never sent"),
        ("R.", AT, 0),
        Unsent,
        "RFC 9293 §3.10.7.4: the RST is judged (second) before the ACK (fifth).",
        ALL_X,
    ),
    row(("syn-below-window", "a SYN below the window"), ("S", Next(-500), 0), NONE, SYN, ALL_A),
    row(("syn-at-rcv-nxt", "a SYN at RCV.NXT"), ("S", AT, 0), NONE, SYN, ALL_A),
    row(
        ("syn-inside-window", "a SYN inside the window"),
        ("S", INSIDE, 0),
        NONE,
        SYN,
        [A, A, A, A, A, A, O],
    ),
    row(
        ("syn-beyond-window", "a SYN beyond the window"),
        ("S", BEYOND, 0),
        NONE,
        SYN,
        [A, A, A, A, A, A, O],
    ),
    row(
        ("syn-ack-below-window", "a SYN ACK below the window"),
        ("S.", Next(-500), 0),
        Current,
        SYN,
        ALL_A,
    ),
    row(("syn-ack-at-rcv-nxt", "a SYN ACK at RCV.NXT"), ("S.", AT, 0), Current, SYN, ALL_A),
    row(
        ("syn-ack-inside-window", "a SYN ACK inside the window"),
        ("S.", INSIDE, 0),
        Current,
        SYN,
        ALL_A,
    ),
    row(
        ("syn-ack-beyond-window", "a SYN ACK beyond the window"),
        ("S.", BEYOND, 0),
        Current,
        SYN,
        ALL_A,
    ),
    row(("fin-below-window", "a FIN at RCV.NXT - 1"), ("F.", Next(-1), 0), Current, SEQ, ALL_A),
    row(("fin-at-rcv-nxt", "a FIN at RCV.NXT"), ("F.", AT, 0), Current, FIN, [F, F, F, A, A, A, A]),
    row(
        ("fin-with-text-at-rcv-nxt", "a FIN with text at RCV.NXT"),
        ("FP.", AT, 1000),
        Current,
        FIN,
        [F, F, F, N, N, N, A],
    ),
    row(
        ("fin-with-old-and-new-text", "a FIN with text across the left edge"),
        ("FP.", Next(-500), 1000),
        Current,
        FIN,
        [F, F, F, N, N, N, A],
    ),
    row(
        ("fin-inside-window", "a FIN inside the window, with a gap before it"),
        ("F.", INSIDE, 0),
        Current,
        FIN,
        [G, G, G, A, A, A, A],
    ),
    row(
        ("fin-at-last-byte", "a FIN at the window's last byte"),
        ("F.", LAST, 0),
        Current,
        FIN,
        ALL_A,
    ),
    row(
        ("fin-at-right-edge", "a FIN just behind the window"),
        ("F.", EDGE, 0),
        Current,
        SEQ,
        ALL_A,
    ),
    row(("fin-beyond-window", "a FIN beyond the window"), ("F.", BEYOND, 0), Current, SEQ, ALL_A),
    row(
        ("fin-with-ack-of-fin", "a FIN at RCV.NXT that acknowledges ours"),
        ("F.", AT, 0),
        Fin,
        FIN,
        [N, F, N, N, N, N, N],
    ),
    row(
        ("fin-with-ack-of-unsent", "a FIN at RCV.NXT, its ACK of what was never sent"),
        ("F.", AT, 0),
        Unsent,
        ACK,
        ALL_A,
    ),
    row(
        ("data-below-window", "text below the window"),
        ("P.", Next(-900), 500),
        Current,
        SEQ,
        ALL_A,
    ),
    row(
        ("data-across-left-edge", "text across the left edge"),
        ("P.", Next(-500), 1000),
        Current,
        TEXT,
        TAKEN,
    ),
    row(("data-at-rcv-nxt", "text at RCV.NXT"), ("P.", AT, 1000), Current, TEXT, TAKEN),
    row(
        ("data-inside-window", "text inside the window, with a gap before it"),
        ("P.", INSIDE, 1000),
        Current,
        TEXT,
        [G, G, G, S, S, S, A],
    ),
    row(
        ("data-at-last-byte", "the window's last byte"),
        ("P.", LAST, 1),
        Current,
        TEXT,
        [A, A, A, S, S, S, A],
    ),
    row(
        ("data-across-right-edge", "text across the right edge"),
        ("P.", Edge(-500), 1000),
        Current,
        TEXT,
        [A, A, A, S, S, S, A],
    ),
    row(
        ("data-at-right-edge", "text just behind the window"),
        ("P.", EDGE, 1000),
        Current,
        SEQ,
        ALL_A,
    ),
    row(
        ("data-beyond-window", "text beyond the window"),
        ("P.", BEYOND, 1000),
        Current,
        SEQ,
        ALL_A,
    ),
    row(
        ("data-with-ack-of-fin", "text at RCV.NXT that acknowledges our FIN"),
        ("P.", AT, 1000),
        Fin,
        "RFC 9293 §3.10.7.4, fifth and seventh.",
        [N, T, N, N, N, N, N],
    ),
    row(
        ("data-with-ack-too-old", "text at RCV.NXT, its ACK older than any window"),
        ("P.", AT, 1000),
        TooOld,
        ACK,
        ALL_A,
    ),
    row(
        ("data-with-ack-of-unsent", "text at RCV.NXT, its ACK of what was never sent"),
        ("P.", AT, 1000),
        Unsent,
        ACK,
        ALL_A,
    ),
    row(
        ("ack-far-below-window", "a bare ACK far below the window"),
        (".", Next(-900), 0),
        Current,
        SEQ,
        ALL_A,
    ),
    row(
        ("ack-just-below-window", "a bare ACK at RCV.NXT - 1"),
        (".", Next(-1), 0),
        Current,
        SEQ,
        ALL_A,
    ),
    row(("ack-at-rcv-nxt", "a bare ACK at RCV.NXT, again"), (".", AT, 0), Current, ACK, ALL_S),
    row(
        ("ack-inside-window", "a bare ACK inside the window"),
        (".", INSIDE, 0),
        Current,
        ACK,
        [S, S, S, S, S, S, A],
    ),
    row(
        ("ack-at-right-edge", "a bare ACK at the window's right edge"),
        (".", EDGE, 0),
        Current,
        "RFC 9293 §3.10.7.4, first. A peer that has filled the window sends its ACKs from there.",
        [S, S, S, S, S, S, A],
    ),
    row(
        ("ack-beyond-window", "a bare ACK beyond the window"),
        (".", BEYOND, 0),
        Current,
        SEQ,
        ALL_A,
    ),
    row(
        ("ack-of-old-data", "a bare ACK of what was acknowledged before"),
        (".", AT, 0),
        Old,
        ACK,
        ALL_S,
    ),
    row(("ack-too-old", "a bare ACK older than any window"), (".", AT, 0), TooOld, ACK, ALL_A),
    row(("ack-of-unsent", "a bare ACK of what was never sent"), (".", AT, 0), Unsent, ACK, ALL_A),
    row(
        ("ack-of-fin", "the ACK of our FIN"),
        (".", AT, 0),
        Fin,
        "RFC 9293 §3.10.7.4, fifth.",
        [N, P, N, P, N, P, N],
    ),
    row(
        ("no-ack-data-below-window", "text without an ACK below the window"),
        ("P", Next(-900), 500),
        NONE,
        SEQ,
        ALL_A,
    ),
    row(
        ("no-ack-data-at-rcv-nxt", "text without an ACK at RCV.NXT"),
        ("P", AT, 1000),
        NONE,
        NO_ACK,
        ALL_S,
    ),
    row(
        ("no-ack-fin-at-rcv-nxt", "a FIN without an ACK at RCV.NXT"),
        ("F", AT, 0),
        NONE,
        NO_ACK,
        ALL_S,
    ),
    row(
        ("no-flags-at-rcv-nxt", "a segment without flags at RCV.NXT"),
        ("-", AT, 0),
        NONE,
        NO_ACK,
        ALL_S,
    ),
    old(row(
        ("old-timestamp-data", "text at RCV.NXT with an old timestamp"),
        ("P.", AT, 1000),
        Current,
        PAWS,
        ALL_A,
    )),
    old(row(
        ("old-timestamp-ack", "a bare ACK at RCV.NXT with an old timestamp"),
        (".", AT, 0),
        Current,
        PAWS,
        ALL_A,
    )),
    old(row(
        ("old-timestamp-fin", "a FIN at RCV.NXT with an old timestamp"),
        ("F.", AT, 0),
        Current,
        PAWS,
        ALL_A,
    )),
    old(row(
        ("old-timestamp-rst", "an RST at RCV.NXT with an old timestamp"),
        ("R", AT, 0),
        NONE,
        "RFC 7323 §5.2: PAWS does not judge an RST.",
        ALL_X,
    )),
    old(row(
        ("old-timestamp-syn", "a SYN inside the window with an old timestamp"),
        ("S", INSIDE, 0),
        NONE,
        SYN,
        ALL_A,
    )),
];

/// ESTABLISHED with a window of zero, in the first column.
pub(super) const ZERO_WINDOW: &[Row] = &[
    row(("rst-below-rcv-nxt", "an RST at RCV.NXT - 1"), ("R", Next(-1), 0), NONE, RST, ALL_S),
    row(("rst-at-rcv-nxt", "an RST at RCV.NXT"), ("R", AT, 0), NONE, ZERO_RST, ALL_X),
    row(("rst-above-rcv-nxt", "an RST at RCV.NXT + 1"), ("R", Next(1), 0), NONE, RST, ALL_S),
    row(("syn-at-rcv-nxt", "a SYN at RCV.NXT"), ("S", AT, 0), NONE, SYN, ALL_A),
    row(
        ("ack-below-rcv-nxt", "a bare ACK at RCV.NXT - 1"),
        (".", Next(-1), 0),
        Current,
        ZERO,
        ALL_A,
    ),
    row(("ack-at-rcv-nxt", "a bare ACK at RCV.NXT"), (".", AT, 0), Current, ZERO, ALL_S),
    row(
        ("ack-above-rcv-nxt", "a bare ACK at RCV.NXT + 1"),
        (".", Next(1), 0),
        Current,
        ZERO,
        ALL_A,
    ),
    row(
        ("data-below-rcv-nxt", "text below RCV.NXT"),
        ("P.", Next(-900), 500),
        Current,
        ZERO,
        ALL_A,
    ),
    row(
        ("probe-at-rcv-nxt", "a probe of one byte at RCV.NXT"),
        ("P.", AT, 1),
        Current,
        ZERO,
        ALL_A,
    ),
    row(("data-at-rcv-nxt", "text at RCV.NXT"), ("P.", AT, 1000), Current, ZERO, ALL_A),
    row(("data-above-rcv-nxt", "text above RCV.NXT"), ("P.", INSIDE, 1000), Current, ZERO, ALL_A),
    row(("fin-at-rcv-nxt", "a FIN at RCV.NXT"), ("F.", AT, 0), Current, ZERO, ALL_A),
];

const ZERO: &str = "RFC 9293 §3.10.7.4, first: with a window of zero only an empty segment \
                    at RCV.NXT is acceptable; §3.8.6.1: a probe is answered.";
const ZERO_RST: &str = "RFC 9293 §3.4: an RST and an ACK count when the window is zero too.";
