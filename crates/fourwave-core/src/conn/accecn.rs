//! Accurate ECN (RFC 9768): the counters of a connection that agreed on it, and what its ACE field
//! and its option say. Arithmetic alone: `conn/ecn.rs` says what becomes of it.

use fourwave_wire::ip::ecn;
use fourwave_wire::options::{AccEcn as AccEcnOption, AccEcnOrder};
use fourwave_wire::tcp::Flags;

use crate::sender::Count;
use crate::time::{Duration, Instant};

/// What r.cep begins with (§3.2.1), so that a field of zero is none that begins.
const FIRST_CEP: u32 = 5;
/// What counters of bytes begin with on the wire (§3.2.1): those of ECT(0) and ECT(1), not CE's.
const FIRST_ECT: u32 = 1;
/// The counters on the wire are cut to 24 bits.
const FIELD: u32 = 0xff_ffff;
/// A counter that moved further is one that moved back.
const FURTHEST: u32 = 1 << 23;
/// Marks since the last ACK that are acknowledged at once where text waits for an ACK, and where
/// none does (§3.2.2.5.1).
const MARKS_WITH_TEXT: u8 = 2;
const MARKS_ALONE: u8 = 3;
/// Bytes in which each counter is told once at least (§3.2.3.3).
const TOLD_EVERY: u32 = 1 << 22;
/// ACKs that carry the option after something changed.
const AFTER_CHANGE: u8 = 2;
/// Bytes of options in a TCP header.
pub(crate) const OPTION_SPACE: usize = 40;
/// Bytes of an option with all its counters, padding included.
pub(crate) const LONGEST: u32 = 12;

/// Packets and bytes under each codepoint, counted from nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counted {
    /// CE packets.
    pub(crate) packets: u32,
    /// Payload bytes by codepoint: ECT(1), ECT(0), CE. Not-ECT has none.
    bytes: [u32; 3],
}

impl Counted {
    /// Payload bytes under a codepoint that is not Not-ECT.
    pub(crate) fn bytes(&self, codepoint: u8) -> u32 {
        place(codepoint).map_or(0, |at| self.bytes[at])
    }

    /// A counter as it stands on the wire.
    fn field(&self, codepoint: u8) -> u32 {
        let first = if codepoint == ecn::CE { 0 } else { FIRST_ECT };
        self.bytes(codepoint).wrapping_add(first) & FIELD
    }
}

/// Where a codepoint's counter stands.
fn place(codepoint: u8) -> Option<usize> {
    usize::from(codepoint & 3).checked_sub(1)
}

/// What became of the peer's options, by Linux's numbers (`tcpi_accecn_opt_seen`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    /// None came.
    #[default]
    None,
    /// One without counters.
    Empty,
    /// One with counters.
    Counters,
    /// The first counters were zeroed on the way (§3.2.3.2.4): none is believed.
    Zeroed,
}

/// What is wrong with the path, by Linux's bits (`tcpi_accecn_fail_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults(pub(crate) u8);

impl Faults {
    /// Our ACE field does not get through: a SYN of either end did not ask or agree.
    pub(crate) const ACE_SENT: Self = Self(1);
    /// The peer's does not, or the codepoint of our packets.
    pub(crate) const ACE_RECEIVED: Self = Self(2);
    /// Segments with our options are lost.
    pub(crate) const OPTION_SENT: Self = Self(4);
    /// The peer's options are zeroed.
    pub(crate) const OPTION_RECEIVED: Self = Self(8);

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The flags of a SYN ACK, and of the ACK of one, that feed back the codepoint of what they answer
/// (tables 2 and 3).
pub(crate) fn handshake(codepoint: u8) -> Flags {
    Flags::from_ace(match codepoint & 3 {
        ecn::NOT_ECT => 2,
        ecn::ECT_1 => 3,
        ecn::ECT_0 => 4,
        _ => 6,
    })
}

/// The codepoint that such flags feed back; `None` for values that say nothing (tables 2 and 4).
pub(crate) fn fed_back(ace: u8) -> Option<u8> {
    match ace {
        2 => Some(ecn::NOT_ECT),
        3 => Some(ecn::ECT_1),
        4 => Some(ecn::ECT_0),
        6 => Some(ecn::CE),
        _ => None,
    }
}

/// What both ends of a connection count.
#[derive(Clone, Debug, Hash)]
pub(crate) struct AccEcn {
    /// What came from the peer: r.cep, r.ceb, r.e0b, r.e1b.
    pub(crate) received: Counted,
    /// What of ours the peer says that it received: s.cep, s.ceb, s.e0b, s.e1b.
    pub(crate) delivered: Counted,
    /// What our last option told of `received`.
    told: [u32; 3],
    /// Marked packets that were counted since the peer's last option.
    since_option: u32,
    /// When our last option went out.
    told_at: Instant,
    /// Marks since our last ACK.
    marks: u8,
    /// The codepoint of the packet before.
    last: u8,
    /// The codepoint of the last SYN, or SYN ACK.
    syn: u8,
    /// ACKs that are to carry the option whatever has changed.
    due: u8,
    /// The next ACK alone feeds back `syn` (§3.2.2.1).
    pub(crate) answers_syn: bool,
    /// The next ACK completes the handshake: without text and SACK blocks it feeds back what our
    /// SYN ACK arrived as.
    pub(crate) awaits_handshake: bool,
    /// No ACE field was read as a counter yet.
    is_first: bool,
    /// The peer's field does not count: nothing is done about it (§3.2.2.1, §3.2.2.4).
    is_deaf: bool,
    pub(crate) seen: Seen,
    pub(crate) faults: Faults,
}

impl AccEcn {
    /// The handshake agreed on it; the peer's SYN, or SYN ACK, came in a packet that said `syn`.
    pub(crate) fn new(syn: u8, is_client: bool, now: Instant) -> Self {
        let mut new = Self {
            received: Counted::default(),
            delivered: Counted::default(),
            told: [0; 3],
            since_option: 0,
            told_at: now,
            marks: 0,
            last: syn,
            syn,
            due: if is_client { AFTER_CHANGE } else { 1 },
            answers_syn: is_client,
            awaits_handshake: !is_client,
            is_first: true,
            is_deaf: false,
            seen: Seen::None,
            faults: Faults::default(),
        };
        // §3.2.2.2: of a SYN ACK and not of a SYN, whose mark the answer tells for certain.
        new.received.packets = u32::from(is_client && syn == ecn::CE);
        new
    }

    /// The peer's SYN ACK came again: it is fed back anew (§3.1.5), and counts once (§3.2.2.2).
    pub(crate) fn syn_ack_again(&mut self, codepoint: u8) {
        (self.syn, self.answers_syn) = (codepoint, true);
        self.received.packets = self.received.packets.max(u32::from(codepoint == ecn::CE));
    }

    /// The peer's SYN came again.
    pub(crate) fn syn_again(&mut self, codepoint: u8) {
        self.syn = codepoint;
    }

    /// The flags that feed back the last SYN or SYN ACK.
    pub(crate) fn handshake(&self) -> Flags {
        handshake(self.syn)
    }

    /// `packets` came under one header, with `text` bytes in all; `waits` tells whether text waits
    /// to be acknowledged. Whether an ACK is to go out at once (§3.2.2.5.1).
    pub(crate) fn arrives(&mut self, codepoint: u8, packets: u32, text: u32, waits: bool) -> bool {
        let was = core::mem::replace(&mut self.last, codepoint);
        let Some(at) = place(codepoint) else { return false };
        self.received.bytes[at] = self.received.bytes[at].wrapping_add(text);
        if was != codepoint && text > 0 {
            self.due = AFTER_CHANGE;
        }
        if codepoint != ecn::CE {
            return false;
        }
        self.received.packets = self.received.packets.wrapping_add(packets);
        self.marks = self.marks.saturating_add(packets.min(u8::MAX.into()) as u8);
        let most = if waits || text > 0 { MARKS_WITH_TEXT } else { MARKS_ALONE };
        (text > 0 && was != ecn::CE) || self.marks >= most
    }

    /// The ACE field of a segment that goes out now (§3.2.2.2).
    pub(crate) fn field(&mut self) -> Flags {
        self.marks = 0;
        self.told_field()
    }

    /// The same, of what is not going out yet.
    pub(crate) fn told_field(&self) -> Flags {
        Flags::from_ace(self.received.packets.wrapping_add(FIRST_CEP) as u8)
    }

    /// What the ACK that completes a handshake feeds back of our SYN ACK, which was Not-ECT (table
    /// 4). Whether the packet was marked.
    pub(crate) fn handshake_arrives(&mut self, ace: u8) -> bool {
        self.awaits_handshake = false;
        match fed_back(ace) {
            _ if ace == 0 => self.grow_deaf(),
            // §3.2.2.3: no packet that is not ECN-capable changes on a path that is sound.
            Some(ecn::NOT_ECT) | None => {}
            Some(_) => self.faults.set(Faults::ACE_RECEIVED),
        }
        let is_marked = fed_back(ace) == Some(ecn::CE);
        self.delivered.packets = u32::from(is_marked);
        is_marked
    }

    fn grow_deaf(&mut self) {
        self.is_deaf = true;
        self.faults.set(Faults::ACE_RECEIVED);
    }

    /// Whether nothing is done about what the peer counts.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// How far the peer's counters have moved by an ACK, which `is_newer` for certain or by what it
    /// delivers.
    pub(crate) fn count(
        &self,
        ace: u8,
        option: Option<&AccEcnOption>,
        is_newer: bool,
        mss: u32,
    ) -> Count {
        let at = self.delivered.packets.wrapping_add(FIRST_CEP);
        let least = u32::from(ace).wrapping_sub(at) as u8 & 7;
        let counted = self.since_option.saturating_mul(mss);
        let bytes = option.and_then(|option| self.newly_marked(option));
        Count { least, is_newer, bytes: bytes.map(|bytes| bytes.saturating_sub(counted)) }
    }

    /// Whether bytes were marked, and no packet (§3.2.3.2.5), where the field cannot have gone
    /// round.
    pub(crate) fn contradicts(&self, count: &Count) -> bool {
        count.least == 0 && self.since_option == 0 && count.bytes.is_some_and(|bytes| bytes > 0)
    }

    /// Marked bytes that an option tells of. A field that is left out has not changed (§3.2.3.3);
    /// once it has, an option without it may only have had no room.
    fn newly_marked(&self, option: &AccEcnOption) -> Option<u32> {
        if self.seen != Seen::Counters {
            return None;
        }
        match option.counters().find(|(codepoint, _)| *codepoint == ecn::CE) {
            Some((_, field)) => self.moved(ecn::CE, field),
            None if option.is_empty() || self.delivered.bytes(ecn::CE) > 0 => None,
            None => Some(0),
        }
    }

    /// How far a field lies ahead of what is known; `None` where it lies behind.
    fn moved(&self, codepoint: u8, field: u32) -> Option<u32> {
        let moved = field.wrapping_sub(self.delivered.field(codepoint)) & FIELD;
        (moved < FURTHEST).then_some(moved)
    }

    /// The first ACE field that is a counter. Zero is none to begin with (§3.2.2.4), unless so many
    /// packets were delivered that it may have gone round.
    pub(crate) fn first_field(&mut self, ace: u8, has_gone_round: bool) {
        if core::mem::take(&mut self.is_first) && ace == 0 && !has_gone_round {
            self.grow_deaf();
        }
    }

    /// Takes what an ACK told: `packets` newly marked, and its option.
    pub(crate) fn take(&mut self, packets: u32, option: Option<&AccEcnOption>) {
        self.delivered.packets = self.delivered.packets.wrapping_add(packets);
        self.since_option = self.since_option.saturating_add(packets);
        let Some(option) = option.filter(|_| self.seen == Seen::Counters) else { return };
        for (codepoint, field) in option.counters() {
            if let (Some(moved), Some(at)) = (self.moved(codepoint, field), place(codepoint)) {
                self.delivered.bytes[at] = self.delivered.bytes[at].wrapping_add(moved);
            }
            if codepoint == ecn::CE {
                self.since_option = 0;
            }
        }
    }

    /// An option came; the first that has counters tells whether they are zeroed (§3.2.3.2.4).
    pub(crate) fn note_option(&mut self, option: Option<&AccEcnOption>) {
        let Some(option) = option.filter(|_| matches!(self.seen, Seen::None | Seen::Empty)) else {
            return;
        };
        let zeroed = |(codepoint, field)| codepoint != ecn::CE && field == 0;
        self.seen = if option.is_empty() {
            Seen::Empty
        } else if option.counters().any(zeroed) {
            self.faults.set(Faults::OPTION_RECEIVED);
            Seen::Zeroed
        } else {
            Seen::Counters
        };
    }

    /// The option of a segment that goes out now, at `tcp_ecn_option`, in `room` bytes; the
    /// longest that fits and tells what has ever changed, none where what has changed since the
    /// last one does not fit (§3.2.3.3). `beacon` is how often it is repeated in any case.
    pub(crate) fn option(
        &mut self,
        knob: u64,
        room: usize,
        now: Instant,
        beacon: Option<Duration>,
    ) -> Option<AccEcnOption> {
        if knob == 0 || self.faults.has(Faults::OPTION_SENT) {
            return None;
        }
        let is_due = self.due > 0
            || (knob > 1 && self.told != self.received.bytes)
            || self.is_much_untold()
            || beacon.is_some_and(|beacon| now.since(self.told_at) >= beacon);
        if !is_due {
            return None;
        }
        let (order, all, needed) = self.layout();
        let fits = |fields: &usize| (2 + 3 * fields).next_multiple_of(4) <= room;
        let fields = (needed..=all).rev().find(fits)?;
        let counters = order.codepoints().map(|codepoint| self.received.field(codepoint));
        self.due = self.due.saturating_sub(1);
        (self.told, self.told_at) = (self.received.bytes, now);
        Some(AccEcnOption::new(order, &counters[..fields]))
    }

    fn is_much_untold(&self) -> bool {
        let pairs = self.received.bytes.iter().zip(&self.told);
        pairs.into_iter().any(|(now, told)| now.wrapping_sub(*told) >= TOLD_EVERY)
    }

    /// The order of the next option, how many fields tell all that ever changed, and how many what
    /// changed since the last one. Before anything has, all of them: they show that they arrive.
    fn layout(&self) -> (AccEcnOrder, usize, usize) {
        let changed = |codepoint: u8, since: [u32; 3]| {
            place(codepoint).is_some_and(|at| self.received.bytes[at] != since[at])
        };
        let fields = |order: AccEcnOrder, since: [u32; 3]| {
            order.codepoints().into_iter().rposition(|it| changed(it, since)).map_or(0, |at| at + 1)
        };
        let order = match fields(AccEcnOrder::Zero, [0; 3]) > fields(AccEcnOrder::One, [0; 3]) {
            true => AccEcnOrder::One,
            false => AccEcnOrder::Zero,
        };
        let ever = fields(order, [0; 3]);
        (order, if ever == 0 { 3 } else { ever }, fields(order, self.told))
    }
}

/// The field before anything was counted.
pub(crate) fn first_field() -> Flags {
    Flags::from_ace(FIRST_CEP as u8)
}

/// The option of a SYN ACK in `room` bytes: the counters as they begin.
pub(crate) fn first_option(room: usize) -> Option<AccEcnOption> {
    let begin = Counted::default();
    let counters = AccEcnOrder::One.codepoints().map(|codepoint| begin.field(codepoint));
    let fields = (0..=3).rev().find(|fields| (2_usize + 3 * fields).next_multiple_of(4) <= room)?;
    Some(AccEcnOption::new(AccEcnOrder::One, &counters[..fields]))
}

#[cfg(test)]
mod tests;
