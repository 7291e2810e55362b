//! What the application of our side has called, as far as its packets tell.

use std::collections::BTreeMap;

use fourwave_lens::Role;

use super::line::LONG;
use super::packet::{ACK, FIN, Numbers, PSH, RST, Received, SYN, Seg, beyond};

/// A stream without a pause is written in calls of so many bytes.
const LONGEST_WRITE: u32 = 1 << 20;

/// A call, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The handshake is over: `accept`.
    Accept,
    /// The handshake is over: the connecting socket blocks again.
    Connected,
    /// `write`, or with more to follow at once (its tail goes with the FIN).
    Write { len: u32, more: bool },
    /// `read` of what has come.
    Read(u32),
    /// `read` of the end.
    ReadEnd,
    /// `read` of the reset.
    ReadReset,
    /// `connect` was refused.
    Refused,
    /// `shutdown(SHUT_WR)`.
    Shutdown,
    /// `close`.
    Close,
    /// `close` that resets.
    Abort,
}

/// The calls of a connection.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Before a segment, by its place.
    pub(super) before: BTreeMap<usize, Vec<Call>>,
    /// After a segment.
    pub(super) after: BTreeMap<usize, Vec<Call>>,
    /// Small segments went out while others were under way.
    pub(super) no_delay: bool,
    /// Seconds before the first probe, and between two.
    pub(super) keepalive: Option<(u64, Option<u64>)>,
    /// Bytes that filled the receive buffer.
    pub(super) receive_buffer: Option<u32>,
    /// The most that was written and not acknowledged.
    pub(super) unacknowledged: u32,
    /// The most that one call writes.
    pub(super) largest_write: u32,
    /// Nobody listened.
    pub(super) refuses: bool,
    /// The other side's RST. What our side still sent behind it had left before.
    pub(super) reset: Option<usize>,
}

/// The calls of `ours`; `sent` are its numbers, `got` those of the other side. `loose`: nothing is
/// made of how the stack cut its stream.
pub(super) fn plan(segs: &[Seg], ours: Role, sent: Numbers, got: Numbers, loose: bool) -> Plan {
    let mut infer = Infer { segs, ours, sent, got, loose, plan: Plan::default(), fin: None };
    let first = segs.iter().find(|seg| seg.from == ours);
    infer.plan.refuses = first.is_some_and(|seg| seg.has(RST)) && ours == Role::Server;
    infer.plan.reset = segs.iter().position(|seg| seg.from != ours && seg.has(RST));
    infer.fin = segs.iter().position(|seg| seg.from == ours && seg.has(FIN));
    if let Some(ready) = infer.ready() {
        let call = if ours == Role::Client { Call::Connected } else { Call::Accept };
        infer.plan.after.entry(ready).or_default().push(call);
        infer.writes();
        infer.closing();
        infer.reads();
    }
    infer.resets();
    infer.keepalive();
    infer.unacknowledged();
    infer.plan
}

/// Payload of a full segment.
pub(super) fn full(segs: &[Seg]) -> u32 {
    let syns = segs.iter().filter(|seg| seg.has(SYN));
    let mss = syns.clone().filter_map(|seg| seg.options.mss).min().unwrap_or(536);
    let stamped = syns.clone().count() > 1 && syns.clone().all(|s| s.options.timestamps.is_some());
    u32::from(mss).saturating_sub(if stamped { 12 } else { 0 }).max(1)
}

struct Infer<'a> {
    segs: &'a [Seg],
    ours: Role,
    sent: Numbers,
    got: Numbers,
    loose: bool,
    plan: Plan,
    /// Our first FIN.
    fin: Option<usize>,
}

impl Infer<'_> {
    /// The segment of the other side that ends the handshake.
    fn ready(&self) -> Option<usize> {
        self.sent.isn?;
        self.segs.iter().position(|seg| {
            let whole = self.ours == Role::Server || seg.has(SYN);
            let acks = seg.has(ACK) && beyond(self.sent.script(seg.ack, false), 0);
            seg.from != self.ours && acks && whole && !seg.has(RST)
        })
    }

    /// A write ends where a segment says PSH or is not full, and before a pause in which nothing
    /// was under way and the other side had room: there was nothing to send then.
    fn writes(&mut self) {
        let full = full(self.segs);
        let mut end = 1;
        let mut acked = 1;
        let mut has_room = false;
        let mut begun: Option<(usize, u32)> = None;
        for (at, seg) in self.segs.iter().enumerate() {
            if seg.from != self.ours {
                let ack = self.sent.script(seg.ack, false);
                has_room = seg.window > 0;
                acked = if seg.has(ACK) && beyond(ack, acked) { ack } else { acked };
                continue;
            }
            let until = self.sent.script(seg.seq, false).wrapping_add(seg.len);
            if self.plan.reset.is_some_and(|reset| at > reset) {
                break;
            }
            // Before a FIN alone there may be data that the capture has lost.
            let counts = seg.len > 0 || seg.has(FIN);
            if !counts || seg.has(SYN | RST) || !beyond(until, end) {
                continue;
            }
            let before = self.segs[..at].last().map_or(seg.at, |before| before.at);
            if has_room
                && acked == end
                && seg.at.saturating_sub(before) >= LONG
                && let Some((place, start)) = begun.take()
            {
                self.write(place, end.wrapping_sub(start), false);
            }
            let (place, start) = *begun.get_or_insert((at, end));
            let part = seg.len % full != 0;
            let small = part && !seg.has(FIN) && beyond(end, acked) && place == at;
            // In which parts a stream goes out is free, so nothing need wait for a full one.
            self.plan.no_delay |= small || self.loose;
            end = until;
            let long = self.loose && end.wrapping_sub(start) >= LONGEST_WRITE;
            if part || long || seg.has(PSH | FIN) {
                self.write(place, end.wrapping_sub(start), seg.has(FIN) && !self.loose);
                begun = None;
            }
        }
        if let Some((place, start)) = begun {
            self.write(place, end.wrapping_sub(start), false);
        }
    }

    fn write(&mut self, place: usize, len: u32, with_fin: bool) {
        let calls = self.plan.before.entry(place).or_default();
        calls.push(Call::Write { len, more: with_fin });
        self.plan.largest_write = self.plan.largest_write.max(len);
        if with_fin {
            let call = self.closing_call();
            self.plan.before.entry(place).or_default().push(call);
        }
    }

    /// Where a FIN went alone.
    fn closing(&mut self) {
        let reset = self.plan.reset.unwrap_or(usize::MAX);
        let Some(fin) = self.fin.filter(|fin| *fin < reset) else { return };
        let told = self.plan.before.values().flatten();
        if !told.clone().any(|call| matches!(call, Call::Close | Call::Shutdown)) {
            let call = self.closing_call();
            self.plan.before.entry(fin).or_default().push(call);
        }
    }

    /// `shutdown` where the other side's data was still taken behind our FIN, `close` otherwise:
    /// then data would have been answered with RST.
    fn closing_call(&self) -> Call {
        let Some(fin) = self.fin else { return Call::Close };
        let behind = || self.segs[fin..].iter();
        let data = behind().any(|seg| seg.from != self.ours && seg.len > 0 && !seg.has(SYN));
        let reset = behind().any(|seg| seg.from == self.ours && seg.has(RST));
        if data && !reset { Call::Shutdown } else { Call::Close }
    }

    /// From which segment of ours to which one the application read nothing: the window closed
    /// and opened again.
    fn pauses(&self) -> Vec<(usize, usize)> {
        let edge = |seg: &Seg, scale: u8| {
            let shift = if seg.has(SYN) { 0 } else { scale };
            seg.ack.wrapping_add(u32::from(seg.window) << shift)
        };
        let scales = self.segs.iter().filter(|seg| seg.has(SYN));
        let both = scales.clone().all(|seg| seg.options.window_scale.is_some());
        let own = scales.clone().find(|seg| seg.from == self.ours);
        let scale = own.and_then(|seg| seg.options.window_scale).map_or(0, |scale| scale.shift());
        let scale = if both { scale } else { 0 };
        let all: Vec<(usize, &Seg)> = self
            .segs
            .iter()
            .enumerate()
            .filter(|(_, seg)| seg.from == self.ours && seg.has(ACK) && !seg.has(RST))
            .collect();
        let mut pauses: Vec<(usize, usize)> = Vec::new();
        for (nth, (_, seg)) in all.iter().enumerate() {
            if seg.window != 0 || pauses.last().is_some_and(|(_, to)| *to > all[nth].0) {
                continue;
            }
            let closed = edge(seg, scale);
            let before =
                all[..nth].iter().rev().take_while(|(_, s)| edge(s, scale) == closed).last();
            let from = before.map_or(0, |(at, _)| *at);
            let opened = all[nth..].iter().find(|(_, s)| beyond(edge(s, scale), closed));
            pauses.push((from, opened.map_or(usize::MAX, |(at, _)| *at)));
        }
        pauses
    }

    /// The application reads what has come in order, at once but for pauses.
    fn reads(&mut self) {
        let pauses = self.pauses();
        let closed = self.closed_at();
        let mut received = Received::default();
        let mut unread = 0;
        let (mut fin, mut ended) = (None, false);
        for (at, seg) in self.segs.iter().enumerate() {
            if closed.is_some_and(|closed| at >= closed) {
                break;
            }
            if seg.from == self.ours {
                if unread > 0 && pauses.iter().any(|(_, to)| *to == at) {
                    self.plan.before.entry(at).or_default().insert(0, Call::Read(unread));
                    unread = 0;
                }
                continue;
            }
            let start = self.got.script(seg.seq, false).wrapping_add(u32::from(seg.has(SYN)));
            if seg.has(RST) {
                continue;
            }
            unread += received.take(start, start.wrapping_add(seg.len));
            let paused = pauses.iter().any(|(from, to)| (*from..*to).contains(&at));
            if paused {
                let held = self.plan.receive_buffer.get_or_insert(0);
                *held = (*held).max(unread);
            } else if unread > 0 {
                self.plan.after.entry(at).or_default().push(Call::Read(unread));
                unread = 0;
            }
            if seg.has(FIN) {
                fin = fin.or(Some(start.wrapping_add(seg.len)));
            }
            if fin == Some(received.next) && !ended && unread == 0 {
                ended = true;
                received.next = received.next.wrapping_add(1);
                self.plan.after.entry(at).or_default().push(Call::ReadEnd);
                if self.has_shut(at) {
                    self.plan.after.entry(at).or_default().push(Call::Close);
                }
            }
        }
    }

    fn place_of(&self, wanted: Call) -> Option<usize> {
        self.plan.before.iter().find(|(_, calls)| calls.contains(&wanted)).map(|(at, _)| *at)
    }

    /// Behind a close nothing is read, nor behind an RST of ours.
    fn closed_at(&self) -> Option<usize> {
        let reset = self.segs.iter().position(|seg| seg.from == self.ours && seg.has(RST));
        self.place_of(Call::Close).into_iter().chain(reset).min()
    }

    fn has_shut(&self, at: usize) -> bool {
        self.place_of(Call::Shutdown).is_some_and(|place| place < at)
    }

    /// Resets of either side.
    fn resets(&mut self) {
        let Some(at) = self.segs.iter().position(|seg| seg.has(RST)) else { return };
        let open = self.plan.after.values().flatten();
        let attached = open.clone().any(|call| matches!(call, Call::Accept | Call::Connected));
        let all = self.plan.before.range(..=at).chain(self.plan.after.range(..at));
        let closed = all.clone().flat_map(|(_, calls)| calls).any(|call| *call == Call::Close);
        let ended = all.flat_map(|(_, calls)| calls).any(|call| *call == Call::ReadEnd);
        if self.segs[at].from == self.ours {
            if attached && !closed {
                self.plan.before.entry(at).or_default().push(Call::Abort);
            } else if !attached && self.ours == Role::Client {
                self.plan.before.entry(at).or_default().push(Call::Close);
            }
            return;
        }
        let calls = self.plan.after.entry(at).or_default();
        match (attached, self.ours) {
            (true, _) if !closed => {
                calls.extend((!ended).then_some(Call::ReadReset));
                calls.push(Call::Close);
            }
            (false, Role::Client) => calls.extend([Call::Refused, Call::Close]),
            _ => {}
        }
    }

    /// How much the send buffer holds at most.
    fn unacknowledged(&mut self) {
        let (mut written, mut acked) = (1_u32, 1_u32);
        for (at, seg) in self.segs.iter().enumerate() {
            for call in self.plan.before.get(&at).into_iter().flatten() {
                if let Call::Write { len, .. } = call {
                    written = written.wrapping_add(*len);
                }
            }
            let held = written.wrapping_sub(acked);
            if beyond(written, acked) {
                self.plan.unacknowledged = self.plan.unacknowledged.max(held);
            }
            let ack = self.sent.script(seg.ack, false);
            if seg.from != self.ours && seg.has(ACK) && beyond(ack, acked) {
                acked = ack;
            }
        }
    }

    /// Probes of ours: an empty segment, or one byte, just before what was sent last.
    fn keepalive(&mut self) {
        let mut end = None;
        let mut probe: Option<(usize, u64)> = None;
        for (at, seg) in self.segs.iter().enumerate() {
            if seg.from != self.ours || seg.has(SYN | RST) {
                continue;
            }
            let is_probe =
                seg.len <= 1 && !seg.has(FIN) && end == Some(seg.seq.wrapping_add(1)) && at > 0;
            if !is_probe {
                let own = seg.end();
                end = Some(end.filter(|end| !beyond(own, *end)).unwrap_or(own));
                continue;
            }
            let gap = seg.at.saturating_sub(self.segs[at - 1].at).as_secs_f64().round() as u64;
            match probe {
                None => {
                    self.plan.keepalive = Some((gap.max(1), None));
                    probe = Some((at, gap));
                }
                Some((before, _)) if before + 1 == at => {
                    let idle = self.plan.keepalive.map_or(gap, |(idle, _)| idle);
                    self.plan.keepalive = Some((idle, Some(gap.max(1))));
                    return;
                }
                Some(_) => {}
            }
        }
    }
}
