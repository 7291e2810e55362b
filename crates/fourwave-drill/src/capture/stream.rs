//! A stream whose cuts and acknowledgements are left free (`--loose_segments`).
//!
//! How far the captured stack's window was open says nothing about the next stack's. So new data is
//! asked for as late as may be: before what acknowledges it comes in. What any stack may send at
//! once, the initial window, is asked for where it was captured.

use std::time::Duration;

use fourwave_lens::Role;
use fourwave_wire::options::{TcpOptions, Timestamps};

use super::line::{Ask, Kind, LONG, Line, Wait, packet_text};
use super::packet::{ACK, FIN, Numbers, PSH, RST, SYN, Seg, beyond, spec};
use super::writer::{Streams, Writer};
use super::{Connection, infer};
use crate::ast::{Body, Direction, TcpSpec};

/// What every stack may send without an answer: RFC 6928's initial window for full segments of
/// this size.
fn initial_window(full: u32) -> u32 {
    full.saturating_mul(10).min(full.saturating_mul(2).max(14_600))
}

/// Longer than an ACK is held back (RFC 9293 §3.8.6.3 allows 500 ms; Linux takes 200 at most).
const QUIET: Duration = Duration::from_millis(250);

/// Whether a connection is more than short questions and answers, so that how it is cut and
/// acknowledged depends on the stack: more goes one way at once than an initial window, or
/// something was sent again.
pub(super) fn is_loose(conn: &Connection) -> bool {
    let most = initial_window(infer::full(&conn.segs));
    [Role::Client, Role::Server].into_iter().any(|role| {
        let isn = conn.segs.iter().find(|seg| seg.from == role && seg.has(SYN)).map(|s| s.seq);
        let numbers = Numbers { isn, start: 0 };
        let (mut end, mut row) = (1, 0_u32);
        conn.segs.iter().any(|seg| {
            if seg.from != role {
                row = if seg.len > 0 { 0 } else { row };
                return false;
            }
            if seg.len == 0 && !seg.has(FIN) || seg.has(SYN | RST) {
                return false;
            }
            let start = numbers.script(seg.seq, false);
            let expected = std::mem::replace(&mut end, start.wrapping_add(seg.len));
            row = row.saturating_add(seg.len);
            row > most || seg.len != 1 && start != expected
        })
    })
}

impl Writer<'_> {
    /// Numbers of our side's stream begin behind its SYN.
    pub(super) fn begin_streams(&mut self) {
        (self.streams.asked, self.streams.end, self.streams.acked) = (1, 1, 1);
    }

    /// Writes the segment at this place; returns how many were joined.
    pub(super) fn loose_segment(&mut self, at: usize) -> usize {
        let segs = self.segs;
        let seg = &segs[at];
        let calls = self.plan.before.remove(&at).unwrap_or_default();
        if !calls.is_empty() {
            self.ask_what_any_stack_sends();
        }
        calls.into_iter().for_each(|call| self.call(call, seg.at));
        let joined = match seg.from == self.ours {
            true => self.ours(at),
            false => {
                self.theirs(at);
                1
            }
        };
        let calls = self.plan.after.remove(&at).unwrap_or_default();
        if !calls.is_empty() {
            self.ask_what_any_stack_sends();
        }
        calls.into_iter().for_each(|call| self.call(call, seg.at));
        joined
    }

    fn ours(&mut self, at: usize) -> usize {
        let segs = self.segs;
        let seg = &segs[at];
        let told = seg.has(ACK).then_some((seg.ack, seg.window));
        let told = std::mem::replace(&mut self.streams.told, told);
        if self.plan.reset.is_some_and(|reset| at > reset) && !seg.has(SYN) {
            self.left_before(seg);
        } else if seg.has(SYN | RST) || seg.is_bare() || self.is_probe(seg) {
            if !seg.is_bare() || self.is_probe(seg) || self.matters(at, told) {
                self.ask_what_any_stack_sends();
                self.outbound(seg);
            }
        } else {
            let end = self.sent.script(seg.end(), false);
            if !beyond(end, self.streams.end) {
                return self.again(at);
            }
            self.streams.end = end;
            self.streams.last = Some(seg.clone());
            self.end = Some(seg.end());
        }
        1
    }

    fn is_probe(&self, seg: &Seg) -> bool {
        let before = self.sent.script(seg.seq, false).wrapping_add(1) == self.streams.end;
        before && seg.len <= 1 && !seg.has(FIN) && self.streams.end != 1
    }

    /// Data or a FIN that is sent again: where it begins counts. The rest of the burst is free.
    fn again(&mut self, at: usize) -> usize {
        let segs = self.segs;
        let seg = &segs[at];
        let full = infer::full(segs);
        self.ask(self.sent.script(seg.end(), false));
        self.streams.shrunk = true;
        let mut first = seg.clone();
        // A FIN may go with the last bytes or alone, the second time as the first.
        if first.len > full || first.len > 0 && first.has(FIN) {
            (first.len, first.flags) = (first.len.min(full), first.flags & !(FIN | PSH));
        }
        first.options.sack = TcpOptions::default().sack;
        self.outbound(&first);
        let follows = |pair: &&[Seg]| {
            let (last, next) = (&pair[0], &pair[1]);
            let one = next.from == self.ours && next.len > 0 && next.seq == last.end();
            let again = !beyond(self.sent.script(next.end(), false), self.streams.end);
            one && again && !next.has(FIN) && next.at.saturating_sub(seg.at) < LONG
        };
        let burst = segs[at..].windows(2).take_while(follows).count();
        let called = (1..=burst).find(|more| {
            let (before, after) = (&self.plan.before, &self.plan.after);
            before.contains_key(&(at + more)) || after.contains_key(&(at + more - 1))
        });
        called.unwrap_or(burst + 1)
    }

    fn theirs(&mut self, at: usize) {
        let segs = self.segs;
        let seg = &segs[at];
        self.streams.clock = seg.options.timestamps.map(|own| own.value).or(self.streams.clock);
        let shift = if seg.has(SYN) { 0 } else { self.shift(self.ours.other()) };
        let edge = self.sent.script(seg.ack, false).wrapping_add(u32::from(seg.window) << shift);
        if seg.has(ACK) && beyond(edge, self.streams.edge) {
            self.streams.edge = edge;
        }
        if seg.has(ACK) {
            let edges = seg.options.sack.as_slice().iter().map(|(_, to)| to.value());
            let edges = edges.chain([seg.ack]).map(|number| self.sent.script(number, false));
            for edge in edges.collect::<Vec<_>>() {
                self.ask(edge);
            }
        }
        self.ask_what_any_stack_sends();
        let ack = self.sent.script(seg.ack, false);
        if seg.has(ACK) && beyond(ack, self.streams.acked) {
            self.streams.acked = ack;
        }
        self.inbound(seg);
        let start = self.got.script(seg.seq, false).wrapping_add(u32::from(seg.has(SYN)));
        let end = start.wrapping_add(seg.len);
        self.streams.received.take(start, end);
        if seg.has(FIN) && self.streams.fin.is_none() {
            self.streams.fin = Some(end);
        }
        if self.streams.fin == Some(self.streams.received.next) {
            self.streams.received.next = self.streams.received.next.wrapping_add(1);
        }
    }

    /// Asks for what was sent up to this number and was not asked for.
    fn ask(&mut self, until: u32) {
        let Streams { asked, end, .. } = self.streams;
        let until = if beyond(until, end) { end } else { until };
        let Some(last) = self.streams.last.clone().filter(|_| beyond(until, asked)) else { return };
        let is_end = until == end;
        let fin = is_end && last.has(FIN);
        let flags = if is_end { last.flags } else { last.flags & !(FIN | PSH) };
        let live = |numbers: &Numbers, number: u32| number.wrapping_add(numbers.isn.unwrap_or(0));
        let seg = Seg {
            seq: live(&self.sent, asked),
            len: until.wrapping_sub(asked).wrapping_sub(u32::from(fin)),
            ack: live(&self.got, self.streams.received.next),
            flags,
            options: TcpOptions { sack: TcpOptions::default().sack, ..last.options },
            ..last
        };
        self.streams.asked = until;
        let data = spec(&seg, &self.sent, &self.got, false);
        let text = packet_text(Direction::Out, Body::Tcp(data.clone()));
        let (acked, edge) = (self.streams.acked, self.streams.edge);
        let answer = self.answer(&seg);
        let edge = (edge, self.shift(self.ours.other()));
        let ask = Box::new(Ask { data, acked, answer, edge });
        let line = Line::new(Kind::Out(Wait::No), seg.at, text);
        self.out.push(Line { ask: Some(ask), ..line });
    }

    /// How the other side would acknowledge this segment alone.
    fn answer(&self, seg: &Seg) -> TcpSpec {
        let stamps = seg.options.timestamps.map(|own| Timestamps {
            value: self.streams.clock.unwrap_or(own.echo),
            echo: own.value,
        });
        let options = TcpOptions { timestamps: stamps, ..TcpOptions::default() };
        let bare = Seg { seq: seg.ack, ack: seg.seq, flags: ACK, len: 0, options, ..seg.clone() };
        spec(&bare, &self.got, &self.sent, true)
    }

    fn ask_what_any_stack_sends(&mut self) {
        if !self.streams.shrunk {
            let most = initial_window(infer::full(self.segs));
            let flight = self.streams.end.wrapping_sub(self.streams.acked);
            if flight <= most {
                self.ask(self.streams.end);
            }
        }
    }

    /// At the end of the capture.
    pub(super) fn end_streams(&mut self) {
        self.ask_what_any_stack_sends();
        let Streams { asked, end, .. } = self.streams;
        if beyond(end, asked) {
            self.comment(&format!("Nothing in the capture acknowledges {asked}:{end}."));
        }
    }

    /// Whether a bare ACK tells more than that data has come: it answers a SYN, a FIN, an RST or a
    /// probe, or is the last word for a while. `told` is what our side has told before.
    fn matters(&self, at: usize, told: Option<(u32, u16)>) -> bool {
        let seg = &self.segs[at];
        let ack = self.got.script(seg.ack, false);
        let is_news = told.is_none_or(|(told, _)| told != seg.ack);
        let wider = told.is_some_and(|(_, window)| seg.window > window);
        let fin = self.streams.fin.is_some_and(|fin| ack == fin.wrapping_add(1));
        // What never got to the captured stack, and so was not acknowledged, the next one gets.
        let whole = ack == self.streams.received.next;
        let no_hole = !self.streams.received.has_hole();
        let last_word = is_news && no_hole && (fin || self.is_quiet_behind(at));
        whole && (last_word || (is_news || !wider) && self.answers(at))
    }

    /// Whether it came right behind a segment that wants an answer.
    fn answers(&self, at: usize) -> bool {
        let segs = &self.segs;
        let others = segs[..at].iter().rev().take_while(|one| one.from != self.ours);
        let next = self.streams.received.next;
        others.take_while(|one| segs[at].at.saturating_sub(one.at) < LONG).any(|one| {
            let start = self.got.script(one.seq, false);
            let probes = one.len <= 1 && beyond(next, start) && !one.has(FIN) && next != 1;
            one.has(SYN | FIN | RST) || probes && start.wrapping_add(one.len + 1) == next
        })
    }

    fn is_quiet_behind(&self, at: usize) -> bool {
        let segs = &self.segs;
        let speaks = |one: &&Seg| !one.is_bare();
        let next = segs[at + 1..].iter().find(speaks);
        next.is_none_or(|next| next.at.saturating_sub(segs[at].at) >= QUIET)
    }
}
