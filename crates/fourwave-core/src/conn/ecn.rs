//! Explicit congestion notification (RFC 3168, RFC 9768): what SYNs agree on, what a connection
//! does about marks that arrive and what its ACKs say of them. AccECN's counters are
//! `conn/accecn.rs`'s; what the sender does about an echo stands in `sender/cwr.rs`.

use alloc::boxed::Box;

use fourwave_wire::SeqNum;
use fourwave_wire::ip::ecn;
use fourwave_wire::tcp::{Flags, TcpHeader};

use super::accecn::{AccEcn, Faults, OPTION_SPACE, fed_back, first_option};
use super::arrive::Segment;
use super::{Connection, Ctx};
use crate::config::Config;
use crate::info::AccEcnInfo;
use crate::negotiated::{Ecn, Negotiated};
use crate::sender::{Count, Echo};
use crate::state::State;
use crate::time::Instant;

/// ACKs that go out at once after a mark, as in Linux: the peer's window may be very small.
const AT_ONCE: u8 = 2;
/// SYNs that ask for AccECN, and SYN ACKs that agree: after them the flags may be what is lost for
/// (RFC 9768 §3.1.4.1, §3.2.3.2.2).
const MOST_RETRIES: u32 = 1;

/// What a SYN asks for, as far as `tcp_ecn` agrees. One for RFC 3168's says ECE and CWR, and its
/// packet is not ECN-capable itself, which something on the way has made of it then (as Linux
/// judges). Any other combination than none asks for AccECN (RFC 9768 §3.1.3).
pub(crate) fn asked(header: &TcpHeader, ip_ecn: u8, tcp_ecn: u64) -> Ecn {
    let classic = header.flags.contains(Flags::ECE | Flags::CWR) && ip_ecn == ecn::NOT_ECT;
    match header.flags.ace() {
        0 => Ecn::None,
        1.. if tcp_ecn == 0 => Ecn::None,
        1 | 2 | 4.. if tcp_ecn >= 3 => Ecn::Accurate,
        _ if classic => Ecn::Classic,
        _ => Ecn::None,
    }
}

/// What a server's connection takes over of the SYNs before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SynEcn {
    /// Of the last SYN's packet.
    pub(crate) codepoint: u8,
    /// No SYN, and no SYN ACK, said that it is without ECN (RFC 9768 §3.1.5).
    pub(crate) may_send: bool,
}

// What only AccECN needs is not inlined: each packet of every connection passes its callers.
impl Connection {
    /// The flags of our SYN or SYN ACK (RFC 3168 §6.1.1, RFC 9768 §3.1). What asked may have been
    /// lost for asking: a SYN that is sent again does not (RFC 3168 §6.1.1.1); that for AccECN is
    /// tried twice (RFC 9768 §3.1.4.1).
    pub(super) fn syn_ecn(&mut self, is_again: bool) -> Flags {
        let is_open = self.state == State::SynSent;
        let is_late = self.setbacks().retransmits > MOST_RETRIES;
        let gives_up = match self.options.ecn {
            Ecn::Accurate => is_late,
            Ecn::Classic | Ecn::None => is_open && is_again,
        };
        self.options.ect &= !gives_up;
        match (self.options.ecn, self.accecn()) {
            (Ecn::None, _) => Flags::NONE,
            _ if gives_up => {
                if let Some(accecn) = self.accecn_mut() {
                    accecn.faults.set(Faults::ACE_SENT);
                }
                Flags::NONE
            }
            (Ecn::Accurate, Some(accecn)) if !is_open => accecn.handshake(),
            (Ecn::Classic, _) if !is_open => Flags::ECE,
            (Ecn::Classic, _) => Flags::ECE | Flags::CWR,
            (Ecn::Accurate, _) => Flags::ACE,
        }
    }

    /// Puts AccECN's option on a SYN ACK, the first one only (RFC 9768 §3.2.3.2).
    pub(super) fn add_first_option(&self, header: &mut TcpHeader, is_again: bool, config: &Config) {
        if self.has_accecn() && !is_again && config.tcp_ecn_option != 0 {
            let room = OPTION_SPACE.saturating_sub(header.options.emitted_len());
            header.options.acc_ecn = first_option(room);
        }
    }

    /// What our SYN and the peer's SYN, or SYN ACK, agree on (RFC 9768 table 2).
    fn chosen_ecn(&self, segment: &Segment<'_>, is_answer: bool, config: &Config) -> Ecn {
        let flags = segment.header.flags;
        let asked = asked(&segment.header, segment.ecn, config.tcp_ecn);
        match (self.options.ecn, is_answer) {
            (Ecn::None, _) => Ecn::None,
            (Ecn::Classic, true) => {
                let agrees = flags.contains(Flags::ECE) && !flags.contains(Flags::CWR);
                if agrees { Ecn::Classic } else { Ecn::None }
            }
            (Ecn::Accurate, true) => match flags.ace() {
                // 7: it repeats what it was sent.
                0 | 7 => Ecn::None,
                1 => Ecn::Classic,
                _ => Ecn::Accurate,
            },
            // A simultaneous open: the lesser of what both ask for.
            (Ecn::Classic, false) if asked != Ecn::None => Ecn::Classic,
            (Ecn::Classic, false) => Ecn::None,
            (Ecn::Accurate, false) => asked,
        }
    }

    /// The handshake's outcome, ECN included.
    pub(super) fn with_ecn(
        &self,
        agreed: Negotiated,
        segment: &Segment<'_>,
        is_answer: bool,
        config: &Config,
    ) -> Negotiated {
        agreed.with_ecn(self.chosen_ecn(segment, is_answer, config), config)
    }

    /// The peer's SYN, or SYN ACK, has decided.
    #[inline(never)]
    pub(super) fn enter_ecn(&mut self, segment: &Segment<'_>, is_answer: bool, now: Instant) {
        if self.options.ecn != Ecn::Accurate {
            return;
        }
        let mut accecn = Box::new(AccEcn::new(segment.ecn, is_answer, now));
        if is_answer {
            accecn.note_option(segment.header.options.acc_ecn.as_ref());
            // RFC 9768 §3.2.2.3: our SYN was not ECN-capable. 5 says that it is unchanged.
            let came_as = fed_back(segment.header.flags.ace()).unwrap_or(ecn::NOT_ECT);
            if came_as != ecn::NOT_ECT {
                accecn.faults.set(Faults::ACE_RECEIVED);
                self.options.ect = false;
            }
            if came_as == ecn::CE {
                self.sender.on_syn_marked(self.snd.mss);
            }
        }
        self.set_back().accecn = Some(accecn);
    }

    /// A SYN for a listener made this connection.
    pub(crate) fn accept_ecn(&mut self, syn: SynEcn, now: Instant) {
        if self.options.ecn != Ecn::Accurate {
            return;
        }
        let mut accecn = Box::new(AccEcn::new(syn.codepoint, false, now));
        if !syn.may_send {
            accecn.faults.set(Faults::ACE_SENT);
            self.options.ect = false;
        }
        self.set_back().accecn = Some(accecn);
    }

    /// A SYN or SYN ACK came that is not the first one: the last one is fed back (RFC 9768 §3.1.5).
    #[inline(never)]
    pub(super) fn syn_comes_again(&mut self, segment: &Segment<'_>) {
        let flags = segment.header.flags;
        let is_same = flags.syn() && segment.header.seq == self.rcv.irs;
        let is_open = self.snd.syn_acknowledged();
        let Some(accecn) = self.accecn_mut().filter(|_| is_same) else { return };
        if flags.ack() {
            if matches!(flags.ace(), 2..=6) {
                accecn.syn_ack_again(segment.ecn);
            }
            accecn.awaits_handshake &= is_open;
        } else if !is_open {
            accecn.syn_again(segment.ecn);
            if flags.ace() == 0 {
                accecn.faults.set(Faults::ACE_SENT);
                self.options.ect = false;
            }
        }
    }

    /// Whether both ends agreed on AccECN.
    pub(super) fn has_accecn(&self) -> bool {
        self.options.ecn == Ecn::Accurate && self.accecn().is_some()
    }

    /// Whether an ACK alone is to feed a SYN ACK back before anything else (RFC 9768 §3.2.2.1).
    pub(super) fn answers_syn(&self) -> bool {
        self.has_accecn() && self.accecn().is_some_and(|accecn| accecn.answers_syn)
    }

    /// Only the ACK of this very SYN ACK feeds it back.
    pub(super) fn syn_is_answered(&mut self) {
        let owed = self.rcv.acks.owed();
        if let Some(accecn) = self.accecn_mut() {
            accecn.answers_syn &= owed;
        }
    }

    /// What the IP header of new text says.
    pub(super) fn text_ecn(&self) -> u8 {
        if self.options.ect { ecn::ECT_0 } else { ecn::NOT_ECT }
    }

    /// The flag of the first new text after the window was reduced (RFC 3168 §6.1.2).
    pub(super) fn take_cwr(&mut self) -> Flags {
        let tells = self.options.ecn == Ecn::Classic && self.text_ecn() != ecn::NOT_ECT;
        if tells && self.sender.take_cwr() { Flags::CWR } else { Flags::NONE }
    }

    /// What the flags of a segment that goes out now feed back.
    pub(super) fn ecn_flags(&mut self) -> Flags {
        match self.options.ecn {
            Ecn::Accurate => self.accecn_mut().map_or(Flags::NONE, AccEcn::field),
            _ if self.rcv.echoes => Flags::ECE,
            _ => Flags::NONE,
        }
    }

    /// Whether several segments may go out under one header: whoever cuts them leaves CWR on the
    /// first one only, and AccECN's field needs it on each.
    pub(super) fn may_batch(&self) -> bool {
        !self.has_accecn() || !Flags::from_ace(self.told_ace()).contains(Flags::CWR)
    }

    /// AccECN's field as it stands; 0 without AccECN.
    pub(super) fn told_ace(&self) -> u8 {
        self.accecn().map_or(0, |accecn| accecn.told_field().ace())
    }

    /// The ACK alone of a SYN ACK feeds back what that came as (RFC 9768 §3.2.2.1).
    #[inline(never)]
    pub(super) fn answer_syn_ack(&mut self, header: &mut TcpHeader) {
        let Some(accecn) = self.accecn_mut() else { return };
        if core::mem::take(&mut accecn.answers_syn) && header.options.sack.is_empty() {
            header.flags = header.flags.without(Flags::ACE) | accecn.handshake();
        }
    }

    /// Adds AccECN's option where it is due, to options of `most` bytes in all. Of SACK blocks two
    /// go before it (RFC 9768 §3.2.3.3).
    #[inline(never)]
    pub(super) fn add_option(&mut self, header: &mut TcpHeader, most: usize, ctx: &Ctx<'_>) {
        const FEWEST: usize = 2;
        let srtt = self.sender.srtt();
        let Some(accecn) = self.accecn_mut() else { return };
        let blocks = header.options.sack.as_slice().len();
        let left_out = 8 * blocks.saturating_sub(FEWEST);
        let taken = header.options.emitted_len().saturating_sub(left_out);
        let room = most.min(OPTION_SPACE).saturating_sub(taken);
        let (knob, times) = (ctx.config.tcp_ecn_option, ctx.config.tcp_ecn_option_beacon as u32);
        let beacon = srtt.checked_div(times).filter(|beacon| !beacon.is_zero());
        header.options.acc_ecn = accecn.option(knob, room, ctx.now, beacon);
    }

    /// An acceptable packet came, whatever is in it (RFC 9768 §3.2).
    #[inline(never)]
    pub(super) fn packet_arrives(&mut self, segment: &Segment<'_>) {
        self.rcv.ecn_seen |= segment.ecn != ecn::NOT_ECT;
        let waits = self.rcv.acks.owed();
        let Some(accecn) = self.accecn_mut() else { return };
        let text = segment.payload.len() as u32;
        if accecn.arrives(segment.ecn, segment.packets(), text, waits) {
            self.rcv.acks.at_once();
        }
    }

    /// What an ACK echoes.
    pub(super) fn echo(&mut self, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Echo {
        let header = &segment.header;
        match self.options.ecn {
            Ecn::None => Echo::Nothing,
            _ if header.flags.syn() => Echo::Nothing,
            Ecn::Classic if header.flags.contains(Flags::ECE) => Echo::All,
            Ecn::Classic => Echo::Nothing,
            Ecn::Accurate => self.counted_echo(segment, ctx).map_or(Echo::Nothing, Echo::Counted),
        }
    }

    #[inline(never)]
    fn counted_echo(&mut self, segment: &Segment<'_>, ctx: &mut Ctx<'_>) -> Option<Count> {
        let (header, mss) = (&segment.header, self.snd.mss);
        let (ace, option) = (header.flags.ace(), header.options.acc_ecn.as_ref());
        // Fewer packets are on their way than make the field go round, or come to zero.
        let flies = if self.snd.nodelay { u32::MAX } else { self.snd.outstanding().div_ceil(mss) };
        let is_newer = header.ack.after(self.snd.una) || self.has_newer_timestamp(header);
        let accecn = self.setbacks.as_mut()?.accecn.as_mut()?;
        accecn.note_option(option);
        let is_bare = segment.len() == 0 && header.options.sack.is_empty();
        if accecn.awaits_handshake && is_bare {
            let is_marked = accecn.handshake_arrives(ace);
            self.options.ect &= !accecn.faults.has(Faults::ACE_RECEIVED);
            if is_marked {
                self.sender.on_syn_marked(mss);
                self.count_marked(1, ctx);
            }
            return None;
        }
        accecn.awaits_handshake = false;
        accecn.first_field(ace, flies > 2);
        let count = accecn.count(ace, option, is_newer, mss);
        if flies < 7 && is_newer && accecn.contradicts(&count) {
            // RFC 9768 §3.2.3.2.5: bytes were marked, and no packet.
            accecn.faults.set(Faults::ACE_RECEIVED);
        }
        self.options.ect &= !accecn.faults.has(Faults::ACE_RECEIVED);
        (!accecn.is_deaf()).then_some(count)
    }

    fn has_newer_timestamp(&self, header: &TcpHeader) -> bool {
        let recent = SeqNum::new(self.ts.recent);
        let newer = |value: u32| SeqNum::new(value).after(recent);
        self.options.timestamps && header.options.timestamps.is_some_and(|ts| newer(ts.value))
    }

    /// Takes what an ACK told, `packets` of which are newly marked.
    #[inline(never)]
    pub(super) fn take_marked(&mut self, packets: u32, header: &TcpHeader, ctx: &mut Ctx<'_>) {
        let Some(accecn) = self.accecn_mut() else { return };
        accecn.take(packets, header.options.acc_ecn.as_ref());
        if packets > 0 {
            self.count_marked(packets, ctx);
        }
    }

    /// An ACK that moves nothing, and names nothing, echoes something.
    #[inline(never)]
    pub(super) fn bare_echo(
        &mut self,
        echo: Echo,
        header: &TcpHeader,
        in_flight: bool,
        ctx: &mut Ctx<'_>,
    ) {
        let is_marked = match echo {
            Echo::Nothing => false,
            Echo::All => true,
            Echo::Counted(count) => {
                let packets = count.packets(0, self.snd.mss);
                self.take_marked(packets, header, ctx);
                packets > 0
            }
        };
        if is_marked && in_flight {
            self.sender.on_bare_echo(ctx.now, self.flight(), &self.rto_limits(ctx.config));
        }
    }

    /// Counts segments that were marked: with RFC 3168, those whose ACK echoed a mark.
    pub(super) fn count_marked(&mut self, segments: u32, ctx: &mut Ctx<'_>) {
        ctx.counters.delivered_ce += u64::from(segments);
        let setbacks = self.set_back();
        setbacks.delivered_ce = setbacks.delivered_ce.saturating_add(segments);
    }

    /// Text that was never acknowledged timed out: our options may be why (RFC 9768 §3.2.3.2.2).
    pub(super) fn suspect_option(&mut self) {
        if self.summary.bytes_acked > 0 {
            return;
        }
        if let Some(accecn) = self.accecn_mut() {
            accecn.faults.set(Faults::OPTION_SENT);
        }
    }

    /// The peer reduced its window, and need not be told any more (RFC 3168 §6.1.3). Its window may
    /// be one segment, so it is not kept waiting.
    pub(super) fn cwr_arrives(&mut self, segment: &Segment<'_>) {
        let is_classic = self.options.ecn == Ecn::Classic;
        if is_classic && segment.header.flags.contains(Flags::CWR) && segment.len() > 0 {
            self.rcv.echoes = false;
            self.rcv.acks.at_once();
        }
    }

    /// Text within the window came in a packet whose header says `ip_ecn`.
    pub(super) fn mark_arrives(&mut self, ip_ecn: u8) {
        if self.options.ecn != Ecn::Classic {
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

    /// For TCP_INFO.
    pub(super) fn acc_ecn_info(&self) -> Option<AccEcnInfo> {
        let accecn = self.accecn()?;
        let (received, delivered) = (&accecn.received, &accecn.delivered);
        Some(AccEcnInfo {
            received_ce: received.packets,
            received_e1_bytes: received.bytes(ecn::ECT_1),
            received_e0_bytes: received.bytes(ecn::ECT_0),
            received_ce_bytes: received.bytes(ecn::CE),
            delivered_e1_bytes: delivered.bytes(ecn::ECT_1),
            delivered_e0_bytes: delivered.bytes(ecn::ECT_0),
            delivered_ce_bytes: delivered.bytes(ecn::CE),
            accecn_fail_mode: accecn.faults.0.into(),
            accecn_opt_seen: accecn.seen as u16,
        })
    }
}
