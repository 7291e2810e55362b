//! The synchronized states: how a script gets there, and how it shows that it is there.

use super::rows::{Ack, Cell, Place, Row};
use super::sheet::{PEER_CLOCK, Segment, Sheet, segment};

/// The synchronized states, in the order of the table's columns; and none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Established,
    FinWait1,
    FinWait2,
    Closing,
    CloseWait,
    LastAck,
    TimeWait,
    Closed,
}

use State::{CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait};

pub(super) const COLUMNS: [State; 7] =
    [Established, FinWait1, FinWait2, Closing, CloseWait, LastAck, TimeWait];

impl State {
    /// As RFC 9293 spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Established => "ESTABLISHED",
            FinWait1 => "FIN_WAIT_1",
            FinWait2 => "FIN_WAIT_2",
            Closing => "CLOSING",
            CloseWait => "CLOSE_WAIT",
            LastAck => "LAST_ACK",
            TimeWait => "TIME_WAIT",
            Closed => "CLOSED",
        }
    }

    /// As TCP_INFO spells it.
    fn constant(self) -> &'static str {
        match self {
            Established => "TCP_ESTABLISHED",
            FinWait1 => "TCP_FIN_WAIT1",
            FinWait2 => "TCP_FIN_WAIT2",
            Closing => "TCP_CLOSING",
            CloseWait => "TCP_CLOSE_WAIT",
            LastAck => "TCP_LAST_ACK",
            TimeWait => "TCP_TIME_WAIT",
            Closed => "TCP_CLOSE",
        }
    }

    /// The directory of its scripts.
    pub(super) fn directory(self) -> String {
        self.name().to_lowercase().replace('_', "-")
    }

    /// The peer's FIN makes this of it.
    fn after_fin(self, fin_acknowledged: bool) -> Self {
        match self {
            Established => CloseWait,
            FinWait1 if !fin_acknowledged => Closing,
            FinWait1 | FinWait2 => TimeWait,
            other => other,
        }
    }

    /// The ACK of our FIN makes this of it.
    fn after_ack_of_fin(self) -> Self {
        match self {
            FinWait1 => FinWait2,
            Closing => TimeWait,
            LastAck => Closed,
            other => other,
        }
    }
}

/// The window's right edge in all scripts: the first SYN ACK offers 65535 bytes, and a buffer of
/// that size never more.
pub(super) const EDGE: u32 = 65_536;

/// Why the edge is there.
pub(super) const WINDOW: &str =
    "The window's last byte is 65535: all that an MSS of 1285 (65535 / 51) lets Linux offer.";

/// How scripts of passive opens begin.
pub(super) fn listen(sheet: &mut Sheet) {
    let buffer = sheet.window_is_fixed().then_some(EDGE - 1);
    passive(sheet, buffer);
}

fn passive(sheet: &mut Sheet, buffer: Option<u32>) {
    sheet.call("socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
    sheet.call("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
    if let Some(bytes) = buffer {
        sheet.call(&format!("setsockopt(3, SOL_SOCKET, SO_RCVBUF, [{bytes}], 4) = 0"));
    }
    sheet.call("bind(3, ..., ...) = 0");
    sheet.call("listen(3, 1) = 0");
}

/// A connection and its numbers, as far as its script has come.
pub(super) struct Connection {
    sheet: Sheet,
    state: State,
    rcv_nxt: u32,
    snd_una: u32,
    snd_nxt: u32,
    /// Bytes that the application has not read.
    unread: u32,
}

impl Connection {
    /// A script in ESTABLISHED whose window is zero: two segments fill the buffer.
    pub(super) fn full(mut sheet: Sheet) -> Self {
        sheet.fixed_window("The buffer takes two segments.");
        passive(&mut sheet, Some(2570));
        sheet.peer(segment("S", 0, 0, None));
        sheet.stack(segment("S.", 0, 0, Some(1)));
        sheet.peer(segment(".", 1, 0, Some(1)));
        sheet.call("accept(3, ..., ...) = 4");
        sheet.peer(segment("P.", 1, 1285, Some(1)));
        sheet.stack_soon(segment(".", 1, 0, Some(1286)));
        sheet.peer(segment("P.", 1286, 1285, Some(1)));
        sheet.stack_offers(segment(".", 1, 0, Some(2571)), 0);
        let (rcv_nxt, snd_una, snd_nxt, unread) = (2571, 1, 1, 2570);
        Self { sheet, state: Established, rcv_nxt, snd_una, snd_nxt, unread }
    }

    /// A script that has brought a connection to `state`, and 1000 bytes each way.
    pub(super) fn reach(state: State, mut sheet: Sheet) -> Self {
        // What timestamps are about lies far from the edges, and they take room from the MSS.
        if !sheet.timestamps {
            sheet.fixed_window(WINDOW);
        }
        listen(&mut sheet);
        sheet.peer(segment("S", 0, 0, None));
        sheet.stack(segment("S.", 0, 0, Some(1)));
        sheet.peer(segment(".", 1, 0, Some(1)));
        sheet.call("accept(3, ..., ...) = 4");
        sheet.call("write(4, ..., 1000) = 1000");
        sheet.stack(segment("P.", 1, 1000, Some(1)));
        sheet.peer(segment("P.", 1, 1000, Some(1001)));
        if sheet.timestamps {
            sheet.stack_soon(segment(".", 1001, 0, Some(1001)));
        } else {
            sheet.stack_offers(segment(".", 1001, 0, Some(1001)), EDGE - 1001);
        }
        sheet.call("read(4, ..., 1000) = 1000");
        let (rcv_nxt, snd_una, snd_nxt) = (1001, 1001, 1001);
        let mut conn = Self { sheet, state: Established, rcv_nxt, snd_una, snd_nxt, unread: 0 };
        match state {
            Established | Closed => {}
            FinWait1 => conn.close(),
            FinWait2 => {
                conn.close();
                conn.peer_acknowledges();
            }
            Closing => {
                conn.close();
                conn.peer_closes();
            }
            CloseWait => conn.peer_closes(),
            LastAck => {
                conn.peer_closes();
                conn.close();
            }
            TimeWait => {
                conn.close();
                conn.peer_acknowledges();
                conn.peer_closes();
            }
        }
        conn
    }

    fn peer(&self, flags: &'static str, len: u32) -> Segment {
        segment(flags, self.rcv_nxt, len, Some(self.snd_una))
    }

    fn our_ack(&self) -> Segment {
        segment(".", self.snd_nxt, 0, Some(self.rcv_nxt))
    }

    /// Our FIN.
    fn close(&mut self) {
        self.sheet.call("shutdown(4, SHUT_WR) = 0");
        self.sheet.stack(segment("F.", self.snd_nxt, 0, Some(self.rcv_nxt)));
        self.snd_nxt += 1;
        self.state = if self.state == CloseWait { LastAck } else { FinWait1 };
    }

    fn peer_acknowledges(&mut self) {
        self.snd_una = self.snd_nxt;
        self.sheet.peer(self.peer(".", 0));
        self.state = self.state.after_ack_of_fin();
    }

    fn peer_closes(&mut self) {
        self.sheet.peer(self.peer("F.", 0));
        self.rcv_nxt += 1;
        self.state = self.state.after_fin(self.snd_una == self.snd_nxt);
        self.sheet.stack(self.our_ack());
        if self.state != TimeWait {
            self.sheet.call("read(4, ..., 1000) = 0");
        }
    }

    /// Plays a row: the segment, what follows at once, and the proof of it. The finished script.
    pub(super) fn play(mut self, row: &Row, cell: Cell) -> String {
        self.sheet.comment(&format!("{}.", upper(row.what)));
        let seq = match row.place {
            Place::Next(more) => self.rcv_nxt.wrapping_add_signed(more),
            Place::Edge(more) => EDGE.wrapping_add_signed(more),
        };
        let ack = match row.ack {
            Ack::Off => None,
            Ack::Current => Some(self.snd_una),
            Ack::Old => Some(self.snd_una - 500),
            Ack::TooOld => Some(self.snd_una.wrapping_sub(70_000)),
            Ack::Unsent => Some(self.snd_nxt + 1000),
            Ack::Fin => Some(self.snd_nxt),
        };
        let clock = if row.old_clock { PEER_CLOCK - 100_000 } else { PEER_CLOCK };
        self.sheet.peer_at(segment(row.flags, seq, row.len, ack), clock);
        let end = seq.wrapping_add(row.len);
        match cell {
            Cell::S | Cell::N => {}
            Cell::A => self.sheet.stack(self.our_ack()),
            Cell::X => self.gone(),
            Cell::T | Cell::F => self.taken(end, cell == Cell::F, row.ack == Ack::Fin),
            Cell::G => {
                self.sheet.stack(self.our_ack());
                self.sheet.comment("What was missing before it.");
                self.sheet.peer(self.peer("P.", seq - self.rcv_nxt));
                self.taken(end, row.flags.contains('F'), false);
            }
            Cell::P => {
                self.snd_una = self.snd_nxt;
                self.state = self.state.after_ack_of_fin();
            }
            Cell::O => return self.another(seq),
        }
        self.sheet.comment(match self.state {
            Closed => "There is no connection.",
            _ => "The state, and that nothing else was sent:",
        });
        self.proof();
        self.sheet.into_text()
    }

    /// Everything before `end` arrived, and perhaps a FIN there.
    fn taken(&mut self, end: u32, fin: bool, acknowledges_fin: bool) {
        let len = end - self.rcv_nxt;
        self.rcv_nxt = end + u32::from(fin);
        if acknowledges_fin {
            self.snd_una = self.snd_nxt;
            self.state = self.state.after_ack_of_fin();
        }
        if fin {
            self.state = self.state.after_fin(acknowledges_fin);
        }
        self.sheet.stack_soon(self.our_ack());
        if len > 0 {
            self.sheet.call(&format!("read(4, ..., 5000) = {len}"));
        }
        if fin {
            self.sheet.call("read(4, ..., 5000) = 0");
        }
    }

    /// The peer has reset the connection.
    fn gone(&mut self) {
        if self.unread > 0 {
            self.sheet.call(&format!("read(4, ..., 5000) = {}", self.unread));
        }
        match self.state {
            Established | FinWait1 | FinWait2 => {
                let reset = "-1 ECONNRESET (Connection reset by peer)";
                self.sheet.call(&format!("read(4, ..., 1000) = {reset}"));
            }
            CloseWait => self.sheet.call("write(4, ..., 1000) = -1 EPIPE (Broken pipe)"),
            Closing | LastAck => self.sheet.state(Closed.constant()),
            TimeWait | Closed => {}
        }
        self.state = Closed;
    }

    /// A SYN in TIME_WAIT has opened a new connection.
    fn another(mut self, syn: u32) -> String {
        let sheet = &mut self.sheet;
        sheet.stack(segment("S.", 0, 0, Some(syn.wrapping_add(1))));
        sheet.comment("The numbers of the new connection begin anew.");
        sheet.peer(segment(".", 1, 0, Some(1)));
        sheet.call("accept(3, ..., ...) = 5");
        sheet.call("write(5, ..., 100) = 100");
        sheet.stack(segment("P.", 1, 100, Some(1)));
        self.sheet.into_text()
    }

    /// An exchange that goes like this in this state only, and only if nothing else was sent.
    fn proof(&mut self) {
        if !matches!(self.state, TimeWait | Closed) {
            self.sheet.state(self.state.constant());
        }
        match self.state {
            Established | CloseWait => {
                self.sheet.call("write(4, ..., 100) = 100");
                self.sheet.stack(segment("P.", self.snd_nxt, 100, Some(self.rcv_nxt)));
            }
            FinWait1 | FinWait2 => {
                self.sheet.peer(self.peer("P.", 100));
                self.rcv_nxt += 100;
                self.sheet.stack_soon(self.our_ack());
                self.sheet.call("read(4, ..., 1000) = 100");
                self.sheet.state(self.state.constant());
            }
            Closing | LastAck => {
                self.snd_una = self.snd_nxt;
                self.sheet.peer(self.peer(".", 0));
                self.state = self.state.after_ack_of_fin();
                self.proof();
            }
            TimeWait => {
                // The peer's FIN again is answered, an RST ends it without a word.
                let fin = segment("F.", self.rcv_nxt - 1, 0, Some(self.snd_nxt));
                self.sheet.peer(fin);
                self.sheet.stack(self.our_ack());
                self.sheet.peer(segment("R", self.rcv_nxt, 0, None));
                self.state = Closed;
                self.proof();
            }
            Closed => {
                self.sheet.peer(segment(".", self.rcv_nxt, 0, Some(self.snd_nxt)));
                self.sheet.stack(segment("R", self.snd_nxt, 0, None));
            }
        }
    }
}

/// What the cell of a row means in `state`, for the script's first comment.
pub(super) fn outcome(state: State, row: &Row, cell: Cell) -> String {
    match cell {
        Cell::S => "dropped in silence".to_owned(),
        Cell::A => "answered by an ACK; nothing changes".to_owned(),
        Cell::X => "the connection ends, in silence".to_owned(),
        Cell::T => "its new text is taken and acknowledged".to_owned(),
        Cell::F => {
            let next = state.after_fin(row.ack == Ack::Fin).name();
            format!("taken and acknowledged; the next state is {next}")
        }
        Cell::G => "kept, and an ACK shows the gap; taken once the gap is filled".to_owned(),
        Cell::P => format!("in silence to {}", state.after_ack_of_fin().name()),
        Cell::O => "a new connection opens".to_owned(),
        Cell::N => String::new(),
    }
}

/// With its first letter large.
pub(super) fn upper(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
