//! One connection seen from outside: both ends run the engine's own state table.
//!
//! The point of watching is one; a segment seen there counts as sent and as arrived. Where a
//! later segment proves that it had not arrived (two FINs that crossed, a retransmitted FIN), the
//! receiver's state is put right.

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::EndReport;
use fourwave_core::state::{Input, State};
use fourwave_wire::SeqNum;
use fourwave_wire::icmp::QuotedTcp;
use fourwave_wire::tcp::Flags;

use crate::acc_ecn::AccEcn;
use crate::collector::Collector;
use crate::entries::Entries;
use crate::entry::{EntryKind, LadderEntry, Run, Shown};
use crate::event::{EntrySeen, Event, Opened, Outbox};
use crate::kind::kind_of;
use crate::nagle::Nagle;
use crate::options::LensOptions;
use crate::record::ClosedFirst;
use crate::segment::Segment;
use crate::tracker::SequenceTracker;
use crate::warning::Warning;
use crate::words::{Ended, Kind, Place, Role, Wave};

/// Waits for delayed ACKs that stand in the ladder one by one; the rest is in the record's sum.
const SHOWN_WAITS: u64 = 3;
/// How long a run may grow before a live watcher hears of it.
pub(crate) const RUN_PROGRESS: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub(crate) id: u64,
    pub(crate) options: LensOptions,
    pub(crate) ends: [SequenceTracker; 2],
    pub(crate) opened_by: Option<Role>,
    pub(crate) opened: Duration,
    pub(crate) last_seen: Duration,
    pub(crate) entries: Entries,
    /// When the last SYN, SYN ACK were seen; the SYN was seen more than once.
    syn_at: Option<Duration>,
    syn_ack_at: Option<Duration>,
    pub(crate) syn_retransmissions: u32,
    handshake_retransmitted: bool,
    pub(crate) handshake: Option<Duration>,
    pub(crate) closed_first: Option<ClosedFirst>,
    /// When the second FIN was seen, and the other end's bytes at that time.
    pub(crate) second_fin: Option<Duration>,
    /// What the other end had sent when this one's FIN was seen.
    pub(crate) bytes_at_fin: [u64; 2],
    /// The FIN has reached the other end; it has been acknowledged.
    pub(crate) fin_arrived: [bool; 2],
    pub(crate) fin_acked: [bool; 2],
    /// The FIN was lost when it was last seen.
    pub(crate) fin_lost: [bool; 2],
    /// The two FINs crossed.
    pub(crate) crossed: bool,
    /// A SYN or FIN under way to this end crossed one of its own.
    pub(crate) crossing: [Option<Input>; 2],
    /// This end owes a challenge ACK.
    pub(crate) challenge_due: [bool; 2],
    /// Since when this end is in TIME_WAIT.
    pub(crate) time_wait: [Option<Duration>; 2],
    pub(crate) how: Option<Ended>,
    /// When packets showed the end.
    pub(crate) over_at: Option<Duration>,
    /// When the engine said that it has ended: before the packet that shows it, or without one.
    pub(crate) reported_at: Option<Duration>,
    pub(crate) report: Option<EndReport>,
    pub(crate) unexpected_segments: u32,
    /// Who sent the last segment before the current one.
    pub(crate) last_from: Option<Role>,
    /// When each end sent new data last, and SND.NXT of the other one then.
    pub(crate) last_data: [Option<(Duration, SeqNum)>; 2],
    /// Small segments that wait for delayed ACKs.
    pub(crate) nagle: Nagle,
    /// Metrics, if they are wanted.
    pub(crate) collector: Option<Box<Collector>>,
    /// A SYN with another number came into the open connection: its number and sender.
    pub(crate) other_syn: Option<(Role, u32)>,
    /// The open run will be reported to a live watcher; when it was last.
    run_queued: bool,
    acc_ecn: AccEcn,
    run_reported: Option<Duration>,
}

impl Conn {
    pub(crate) fn new(
        id: u64,
        at: Duration,
        addrs: [SocketAddr; 2],
        opened_by: Option<Role>,
        options: LensOptions,
        out: &mut Outbox,
    ) -> Self {
        if out.live {
            out.queue.push_back(Event::Opened(Opened { conn: id, at, addrs, opened_by }));
        }
        Self {
            id,
            options,
            ends: addrs.map(SequenceTracker::new),
            opened_by,
            opened: at,
            last_seen: at,
            entries: Entries::new(options.first_entries, options.last_entries),
            syn_at: None,
            syn_ack_at: None,
            syn_retransmissions: 0,
            handshake_retransmitted: false,
            handshake: None,
            closed_first: None,
            second_fin: None,
            bytes_at_fin: [0; 2],
            fin_arrived: [false; 2],
            fin_acked: [false; 2],
            fin_lost: [false; 2],
            crossed: false,
            crossing: [None; 2],
            challenge_due: [false; 2],
            time_wait: [None; 2],
            how: None,
            over_at: None,
            reported_at: None,
            report: None,
            unexpected_segments: 0,
            last_from: None,
            last_data: [None; 2],
            nagle: Nagle::default(),
            collector: options.metrics.then(|| Box::new(Collector::new(options.close_wait))),
            other_syn: None,
            run_queued: false,
            acc_ecn: AccEcn::default(),
            run_reported: None,
        }
    }

    pub(crate) fn end(&mut self, who: Role) -> &mut SequenceTracker {
        &mut self.ends[who.index()]
    }

    pub(crate) fn role_of(&self, addr: SocketAddr) -> Role {
        if self.ends[0].addr == addr { Role::Client } else { Role::Server }
    }

    /// Sender and receiver.
    pub(crate) fn pair(&mut self, from: Role) -> (&mut SequenceTracker, &mut SequenceTracker) {
        let [client, server] = &mut self.ends;
        match from {
            Role::Client => (client, server),
            Role::Server => (server, client),
        }
    }

    /// Feeds the shared table; what it has no entry for is counted.
    pub(crate) fn feed(&mut self, who: Role, input: Input) {
        if !self.end(who).feed(input) {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
        }
    }

    /// One segment by `from`.
    pub(crate) fn segment(&mut self, at: Duration, from: Role, s: &Segment, out: &mut Outbox) {
        self.last_seen = at;
        let before = self.stand();
        self.deliver_crossing(at, out);
        let shown = self.look(from, s);
        let mut entry = LadderEntry::new(at, from, EntryKind::Segment(shown));
        if shown.place == Place::Outside {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("outside the window");
            if s.tcp.flags.syn() {
                entry.annotation = Some("SYN in an open connection");
                self.other_syn = Some((from, s.tcp.seq.value()));
                self.challenge_due[from.other().index()] = true;
            }
            self.last_from = Some(from);
            self.measure(out.packet, s, (&shown, &entry), before, false);
            return self.finish_entry(entry, out);
        }
        self.ends[from.index()].arrives(s);
        if s.tcp.flags.rst() {
            self.on_rst(at, from, s, &mut entry);
        } else {
            self.on_others(at, from, s, &mut entry);
        }
        self.count(at, from, s, &shown);
        self.measure(out.packet, s, (&shown, &entry), before, false);
        if let Some(time) = self.nagle.segment(at, from, s, &shown) {
            self.waited(time, out.packet, &mut entry);
        }
        if self.how.is_some() && entry.moved.iter().all(Option::is_none) && self.over_at.is_some() {
            entry.annotation = entry.annotation.or(Some("after the end"));
        }
        self.last_from = Some(from);
        self.finish_entry(entry, out);
        self.note_over(at);
    }

    /// The small segment of `entry` waited at its sender for the other end's delayed ACK.
    fn waited(&mut self, time: Duration, packet: u64, entry: &mut LadderEntry) {
        if self.nagle.waits()[entry.from.index()].times <= SHOWN_WAITS {
            entry.annotation = entry.annotation.or(Some("waited for the delayed ACK"));
        }
        if let Some(collector) = &mut self.collector {
            collector.detector.waited_for_ack(entry.at, entry.from, packet, time);
        }
    }

    /// RFC 9293 §3.10.7.4 from outside: SYN, ACK, FIN.
    pub(crate) fn on_others(
        &mut self,
        at: Duration,
        from: Role,
        s: &Segment,
        entry: &mut LadderEntry,
    ) {
        if s.tcp.flags.syn() {
            self.on_syn(at, from, s, entry);
        } else if self.over().is_none() {
            self.assume_open(from);
        }
        if s.tcp.flags.ack() && !s.tcp.flags.syn() {
            self.on_ack(at, from, s, entry);
        }
        if s.tcp.flags.fin() {
            self.fin_lost[from.index()] = false;
        }
        // A gap before a FIN may have closed.
        if !self.fin_lost[from.index()]
            && self.ends[from.index()].fin.is_some()
            && !self.fin_arrived[from.index()]
            && self.ends[from.index()].is_whole()
        {
            self.fin_arrives(at, from);
        }
        if s.tcp.flags.fin() && !s.tcp.flags.syn() {
            self.on_fin(at, from, s, entry);
        }
    }

    /// What the segment is and where its numbers lie.
    pub(crate) fn look(&mut self, from: Role, s: &Segment) -> Shown {
        let flags = s.tcp.flags;
        let ace = self.acc_ecn.read(flags);
        if flags.ack() {
            self.pair(from).1.base_from_ack(s.tcp.ack);
        }
        let challenge = self.challenge_due[from.index()];
        let (x, y) = self.pair(from);
        let before = x.next();
        let kind = kind_of(s, x, y, challenge);
        let place = match kind {
            // Another SYN must not move what is known of the connection.
            Kind::Syn | Kind::SynAck if before.is_some() && x.isn != Some(s.tcp.seq) => {
                Place::Outside
            }
            // Simultaneous open: the SYN goes again with the ACK of the other one.
            Kind::SynAck if before.is_some() && !x.syn_acked => Place::InOrder,
            Kind::Keepalive | Kind::WindowProbe => match x.place(s, y) {
                Place::Retransmitted => Place::InOrder,
                place => place,
            },
            _ => x.place(s, y),
        };
        let shown = Shown {
            kind,
            place,
            flags,
            ace,
            seq: match before {
                Some(_) => x.relative(s.tcp.seq),
                None => u64::from(!flags.syn() && !flags.rst()),
            },
            ack: flags.ack().then(|| y.relative(s.tcp.ack)),
            len: s.len.into(),
            segments: s.count.into(),
            window: x.window_of(s, y),
            mss: if flags.syn() { s.tcp.options.mss } else { None },
        };
        x.syn_acked |= kind == Kind::SynAck;
        self.challenge_due[from.index()] = false;
        shown
    }

    pub(crate) fn count(&mut self, at: Duration, from: Role, s: &Segment, shown: &Shown) {
        if matches!(shown.kind, Kind::Data | Kind::Fin)
            && shown.len > 0
            && shown.place != Place::Retransmitted
        {
            let other = self.ends[from.other().index()].next();
            self.last_data[from.index()] = other.map(|next| (at, next));
        }
        let (x, y) = self.pair(from);
        x.segments += u64::from(s.count);
        y.probes_unanswered = 0;
        match shown.kind {
            Kind::Keepalive => x.probes_unanswered = x.probes_unanswered.saturating_add(1),
            _ if shown.place == Place::Retransmitted => {
                x.retransmitted += u64::from(s.count);
                x.retransmissions_unanswered = x.retransmissions_unanswered.saturating_add(1);
            }
            _ => {}
        }
        if !s.tcp.flags.rst() {
            x.set_window(shown.window);
            x.saw_ttl(s.ttl);
        }
    }

    fn on_syn(&mut self, at: Duration, from: Role, s: &Segment, entry: &mut LadderEntry) {
        let to = from.other();
        let isn = self.ends[from.index()].isn;
        if isn == Some(s.tcp.seq) {
            self.handshake_retransmitted = true;
            if !s.tcp.flags.ack() {
                self.syn_retransmissions = self.syn_retransmissions.saturating_add(1);
                self.syn_at = Some(at);
                if self.over_at.take().is_some() {
                    // An ICMP error did not end it after all.
                    self.how = None;
                    self.feed(from, Input::ActiveOpen);
                }
            }
            if !s.tcp.flags.ack() || self.ends[to.index()].state != State::SynReceived {
                return;
            }
        } else if isn.is_some() || self.ends[from.index()].state.is_synchronized() {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("SYN in an open connection");
            self.other_syn = Some((from, s.tcp.seq.value()));
            self.challenge_due[to.index()] = true;
            return;
        }
        let (x, y) = self.pair(from);
        x.isn = Some(s.tcp.seq);
        x.scale_from(s);
        if !s.tcp.flags.ack() {
            self.syn_at = Some(at);
            self.feed(from, Input::ActiveOpen);
            if self.ends[to.index()].isn.is_some() {
                // Simultaneous open: the other SYN is still under way to us.
                self.feed(to, Input::RecvSyn);
                self.crossing[from.index()] = Some(Input::RecvSyn);
                entry.annotation = Some("the two SYNs cross");
            }
            return;
        }
        if y.state == State::Closed && y.isn.is_none() {
            // The SYN itself was not seen.
            y.isn = Some(s.tcp.ack - 1);
            self.feed(to, Input::ActiveOpen);
        }
        if self.ends[from.index()].state == State::Closed {
            self.feed(from, Input::PassiveOpen);
            self.feed(from, Input::RecvSyn);
        }
        self.syn_ack_at = Some(at);
        self.ack_advances(from, s);
        if self.ends[to.index()].next().is_some_and(|next| s.tcp.ack.at_or_before(next)) {
            self.feed(to, Input::RecvSynAck);
        } else {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("acknowledges what was never sent");
        }
    }

    /// Who sends without a SYN has an open connection, although its opening was not seen.
    fn assume_open(&mut self, from: Role) {
        let state = self.ends[from.index()].state;
        match state {
            State::SynSent => self.feed(from, Input::RecvSynAck),
            State::Closed if self.opened_by.is_none() => {
                self.ends[from.index()].state = State::Established;
            }
            State::Closed if self.how.is_none() => {
                for input in [Input::PassiveOpen, Input::RecvSyn, Input::RecvAckOfSyn] {
                    self.feed(from, input);
                }
            }
            _ => {}
        }
    }

    fn ack_advances(&mut self, from: Role, s: &Segment) -> bool {
        let (x, y) = self.pair(from);
        let advanced = x.ack.is_none_or(|before| s.tcp.ack.after(before));
        if advanced {
            x.ack = Some(s.tcp.ack);
            y.retransmissions_unanswered = 0;
        }
        y.catch_up(s.tcp.ack);
        advanced
    }

    fn on_ack(&mut self, at: Duration, from: Role, s: &Segment, entry: &mut LadderEntry) {
        let (x, y) = self.pair(from);
        if !y.can_have_sent(s.tcp.ack, x) {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("acknowledges what was never sent");
            return;
        }
        self.ack_advances(from, s);
        let to = from.other();
        let y = &self.ends[to.index()];
        if y.state == State::SynReceived && y.isn.is_some_and(|isn| s.tcp.ack.after(isn)) {
            self.feed(to, Input::RecvAckOfSyn);
            if let (Some(syn), Some(_), false) =
                (self.syn_at, self.syn_ack_at, self.handshake_retransmitted)
            {
                self.handshake = Some(at.saturating_sub(syn));
            }
        }
        if self.ends[to.index()].fin.is_some_and(|fin| s.tcp.ack.after(fin)) {
            self.on_ack_of_fin(at, from, entry);
        }
    }

    /// What crossed a SYN or FIN in an earlier entry arrives now, before anything else does.
    pub(crate) fn deliver_crossing(&mut self, at: Duration, out: &mut Outbox) {
        for who in Role::BOTH {
            let Some(input) = self.crossing[who.index()].take() else { continue };
            self.feed(who, input);
            let flags = if input == Input::RecvFin { Flags::FIN } else { Flags::SYN };
            if self.ends[who.index()].state == State::TimeWait {
                self.time_wait[who.index()] = Some(at);
            }
            self.finish_entry(LadderEntry::new(at, who.other(), EntryKind::Arrival(flags)), out);
        }
    }

    /// An ICMP error about a segment of `from`.
    pub(crate) fn icmp(&mut self, at: Duration, from: Role, q: &QuotedTcp, out: &mut Outbox) {
        self.last_seen = at;
        let mut entry = LadderEntry::new(at, from, EntryKind::Icmp(q.error));
        let x = &self.ends[from.index()];
        // RFC 5927 §4.1: the number must be one that is under way.
        if !x.next().is_some_and(|next| q.seq.at_or_before(next) && next.since(q.seq) < 1 << 30) {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("quotes a number that was never sent");
        } else if matches!(q.error, fourwave_wire::icmp::IcmpError::PacketTooBig { .. }) {
            entry.annotation = Some("path MTU discovery");
        } else if x.state == State::SynSent {
            self.feed(from, Input::Abort);
            self.how = Some(Ended::Unreachable(q.error));
        }
        self.finish_entry(entry, out);
        self.note_over(at);
    }

    /// A word from beside the packets.
    pub(crate) fn note(&mut self, at: Duration, text: String, out: &mut Outbox) {
        self.finish_entry(LadderEntry::new(at, Role::Client, EntryKind::Note(text)), out);
    }

    /// Something is wrong with `who`.
    pub(crate) fn warning(&mut self, at: Duration, who: Role, what: Warning, out: &mut Outbox) {
        self.finish_entry(LadderEntry::new(at, who, EntryKind::Warning(what)), out);
    }

    /// A new connection takes the four-tuple.
    pub(crate) fn replaced(&mut self) {
        if self.over().is_none() && self.was_answered() {
            self.how.get_or_insert(Ended::Replaced);
        }
    }

    /// When it ended, by packets or by the engine's word.
    pub(crate) fn over(&self) -> Option<Duration> {
        self.over_at.or(self.reported_at)
    }

    /// Both ends are done.
    pub(crate) fn note_over(&mut self, at: Duration) {
        let done = |t: &SequenceTracker| matches!(t.state, State::Closed | State::TimeWait);
        if self.over_at.is_none() && self.ends.iter().all(done) {
            self.over_at = Some(at);
            if self.how.is_none() && self.fin_acked == [true; 2] {
                self.how = Some(Ended::Orderly);
            }
        }
    }

    /// Gives the entry its changes of state and puts it where it belongs.
    pub(crate) fn finish_entry(&mut self, mut entry: LadderEntry, out: &mut Outbox) {
        entry.packet = out.packet;
        entry.moved = [self.ends[0].moved.take(), self.ends[1].moved.take()];
        if let EntryKind::Segment(shown) = entry.what
            && !entry.is_pinned()
            && entry.annotation.is_none()
        {
            match shown.kind {
                Kind::Data | Kind::Keepalive | Kind::WindowProbe => {
                    return self.data_row(entry, shown, out);
                }
                Kind::Ack
                | Kind::DupAck
                | Kind::WindowUpdate
                | Kind::ZeroWindow
                | Kind::ProbeAnswer
                    if self.entries.grow_by_ack(entry.at, entry.from, &shown) =>
                {
                    return;
                }
                _ => {}
            }
        }
        self.close_run(out);
        if out.live {
            self.tell(entry.clone(), false, out);
        }
        self.entries.push(entry);
    }

    fn data_row(&mut self, entry: LadderEntry, shown: Shown, out: &mut Outbox) {
        if self.entries.grow(entry.at, entry.from, &shown) {
            return;
        }
        self.close_run(out);
        let retransmitted = if shown.place == Place::Retransmitted { shown.segments } else { 0 };
        let out_of_order = if shown.place == Place::OutOfOrder { shown.segments } else { 0 };
        let run = Run {
            until: entry.at,
            packets: 1,
            segments: shown.segments,
            bytes: shown.len,
            retransmitted,
            out_of_order,
            acks: 0,
            dup_acks: 0,
            zero_windows: 0,
            first: shown,
            end_seq: shown.seq + shown.len,
            last_ack: None,
        };
        self.run_reported = None;
        self.entries.push_run(LadderEntry { what: EntryKind::Run(run), ..entry });
    }

    /// A run is open that a live watcher is not yet going to hear of. True once for each.
    pub(crate) fn wants_progress(&mut self) -> bool {
        let wants = !self.run_queued && self.entries.open_run().is_some();
        self.run_queued |= wants;
        wants
    }

    /// A live watcher hears of a run that goes on and on; false when there is nothing new.
    pub(crate) fn emit_progress(&mut self, out: &mut Outbox) -> bool {
        self.run_queued = false;
        let Some(entry) = self.entries.open_run() else { return false };
        let until = entry.until();
        if self.run_reported.is_some_and(|told| told >= until) {
            return false;
        }
        let entry = entry.clone();
        self.run_reported = Some(until);
        self.run_queued = true;
        self.tell(entry, true, out);
        true
    }

    /// The handshake is under way.
    pub(crate) fn is_opening(&self) -> bool {
        let opening = |t: &SequenceTracker| matches!(t.state, State::SynSent | State::SynReceived);
        self.over().is_none() && self.ends.iter().any(opening)
    }

    /// Whether both ends sent something.
    pub(crate) fn was_answered(&self) -> bool {
        self.ends.iter().all(|end| end.segments > 0)
    }

    pub(crate) fn close_run(&mut self, out: &mut Outbox) {
        if let Some(entry) = self.entries.close_run()
            && out.live
            && self.run_reported != Some(entry.until())
        {
            let entry = entry.clone();
            self.tell(entry, false, out);
        }
    }

    fn tell(&self, entry: LadderEntry, so_far: bool, out: &mut Outbox) {
        let addrs = [self.ends[0].addr, self.ends[1].addr];
        let seen = EntrySeen { conn: self.id, opened: self.opened, addrs, entry, so_far };
        out.queue.push_back(Event::Entry(Box::new(seen)));
    }

    /// The wave of a segment that carries the second FIN after `acked` the first in it.
    pub(crate) fn second_wave(entry: &LadderEntry) -> Wave {
        if entry.wave == Some(Wave::Two) { Wave::TwoThree } else { Wave::Three }
    }
}
