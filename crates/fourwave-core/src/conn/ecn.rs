//! Explicit congestion notification (RFC 3168): what a connection remembers of it, and what it
//! does about marks that arrive. What the sender does about their echo stands in `sender/cwr.rs`.

use fourwave_wire::ip::ecn;
use fourwave_wire::tcp::{Flags, TcpHeader};

use super::arrive::Segment;
use super::{Connection, Ctx};
use crate::state::State;

/// ACKs that go out at once after a mark, as in Linux: the peer's window may be very small.
const AT_ONCE: u8 = 2;

/// Whether a SYN asks for ECN (RFC 3168 §6.1.1): it says both, and its packet is not ECN-capable
/// itself, which something on the way has made of it then (as Linux judges).
pub(crate) fn is_asked(header: &TcpHeader, ip_ecn: u8) -> bool {
    header.flags.contains(Flags::ECE | Flags::CWR) && ip_ecn == ecn::NOT_ECT
}

/// Whether a SYN ACK agrees to what our SYN asked for.
pub(super) fn is_agreed(header: &TcpHeader) -> bool {
    header.flags.contains(Flags::ECE) && !header.flags.contains(Flags::CWR)
}

impl Connection {
    /// The flags of our SYN or SYN ACK (RFC 3168 §6.1.1). What asked may have been lost for asking:
    /// a SYN that is sent again does not (§6.1.1.1).
    pub(super) fn syn_ecn(&mut self, is_again: bool) -> Flags {
        let asks = self.state == State::SynSent;
        self.options.ect &= !(asks && is_again);
        match self.options.ecn {
            true if !asks => Flags::ECE,
            true if !is_again => Flags::ECE | Flags::CWR,
            _ => Flags::NONE,
        }
    }

    /// What the IP header of new text says.
    pub(super) fn text_ecn(&self) -> u8 {
        if self.options.ect { ecn::ECT_0 } else { ecn::NOT_ECT }
    }

    /// The flag of the first new text after the window was reduced (RFC 3168 §6.1.2).
    pub(super) fn take_cwr(&mut self) -> Flags {
        let owes = self.text_ecn() != ecn::NOT_ECT && self.sender.take_cwr();
        if owes { Flags::CWR } else { Flags::NONE }
    }

    /// Whether an ACK echoes a mark.
    pub(super) fn is_echo(&self, header: &TcpHeader) -> bool {
        self.options.ecn && header.flags.contains(Flags::ECE) && !header.flags.syn()
    }

    /// Counts segments whose ACK echoed a mark.
    pub(super) fn count_marked(&mut self, segments: u32, ctx: &mut Ctx<'_>) {
        ctx.counters.delivered_ce += u64::from(segments);
        let setbacks = self.set_back();
        setbacks.delivered_ce = setbacks.delivered_ce.saturating_add(segments);
    }

    /// The peer reduced its window, and need not be told any more (RFC 3168 §6.1.3). Its window may
    /// be one segment, so it is not kept waiting.
    pub(super) fn cwr_arrives(&mut self, segment: &Segment<'_>) {
        if self.options.ecn && segment.header.flags.contains(Flags::CWR) && segment.len() > 0 {
            self.rcv.echoes = false;
            self.rcv.acks.at_once();
        }
    }

    /// Text within the window came in a packet whose header says `ip_ecn`.
    pub(super) fn mark_arrives(&mut self, ip_ecn: u8) {
        if !self.options.ecn {
            return;
        }
        match ip_ecn {
            // As in Linux: probably sent again, so its sender waits for the ACK.
            ecn::NOT_ECT if self.rcv.ecn_seen => self.rcv.acks.hurry(AT_ONCE),
            ecn::NOT_ECT => {}
            ecn::CE => {
                if !self.rcv.echoes {
                    self.rcv.acks.hurry(AT_ONCE);
                }
                self.rcv.echoes = true;
                self.rcv.ecn_seen = true;
            }
            _ => self.rcv.ecn_seen = true,
        }
    }
}
