//! The script itself.

use fourwave_lens::Role;

use super::Connection;
use super::infer::plan;
use super::line::{LONG, Line};
use super::lost::{self, Why};
use super::packet::{FIN, Numbers, PSH, RST, SYN, Seg, spec};
use super::side::Reason;
use super::writer::{Streams, Writer};
use crate::ast::Body;

/// Of a send buffer: small segments take far more of Linux's than their bytes.
const LEAST_ROOM: u64 = 4 << 20;
/// An initial congestion window that no capture fills, in segments.
const WIDE: u32 = 10_000;

/// `loose`: streams are left free.
pub(super) fn script(
    conn: &Connection,
    ours: Role,
    reason: Reason,
    name: &str,
    loose: bool,
) -> Vec<Line> {
    let numbers = |role: Role| {
        let isn = conn.segs.iter().find(|seg| seg.from == role && seg.has(SYN)).map(|s| s.seq);
        Numbers { isn, start: 0 }
    };
    let sent = numbers(ours);
    let mut got = numbers(ours.other());
    // The other side's numbers are on the wire as the script has them: wrapping is kept.
    got.start = got.isn.filter(|isn| wraps(conn, ours.other(), *isn)).unwrap_or(0);
    let (segs, mut missed) = lost::sort(&conn.segs, ours, sent, got);
    let segs = &segs[..];
    let plan = plan(segs, ours, sent, got, loose);
    let (out, streams) = (Vec::new(), Streams::default());
    let mut writer = Writer { conn, segs, ours, sent, got, loose, plan, out, end: None, streams };
    writer.head(reason, name);
    writer.options();
    writer.settings();
    writer.open();
    let mut at = 0;
    writer.begin_streams();
    while at < segs.len() {
        let next = missed.split_off(&(at + 1));
        missed.into_values().flatten().for_each(|(why, seg)| writer.missed(why, &seg));
        missed = next;
        at += if loose { writer.loose_segment(at) } else { writer.segment(at) };
    }
    missed.into_values().flatten().for_each(|(why, seg)| writer.missed(why, &seg));
    writer.end_streams();
    writer.out
}

fn wraps(conn: &Connection, role: Role, isn: u32) -> bool {
    conn.segs.iter().filter(|seg| seg.from == role && !seg.has(SYN)).any(|seg| seg.end() < isn)
}

impl Writer<'_> {
    fn head(&mut self, reason: Reason, name: &str) {
        let Connection { number, client, server, .. } = *self.conn;
        let ours = self.conn.addr(self.ours);
        let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.comment(&format!("Connection {number} of {name}: {client} to {server}."));
        self.comment(&format!("How it ended: {}.", self.conn.ending().trim_end_matches('.')));
        self.comment(&format!("The stack under test plays {ours}, {reason}."));
        self.comment("");
        self.comment(
            "Packets in (<) are those of the capture, with its gaps between them. Packets out (>)",
        );
        self.comment(
            "are what the captured stack sent: flags, numbers and options count, windows do not,",
        );
        self.comment(
            "and times are ranges. Calls are inferred: edit them where you know better. Where the",
        );
        self.comment(
            "captured stack was wrong, write what it should have sent. Bare ACKs without news are",
        );
        if !self.loose {
            self.comment("fitted to the engine.");
            return;
        }
        self.comment(
            "left free, and so is how a stream is cut (--loose_segments; packetdrill itself does",
        );
        self.comment("not know that line).");
    }

    fn options(&mut self) {
        let v6 = self.conn.client.is_ipv6();
        if self.loose {
            self.line("--loose_segments");
        }
        if v6 {
            self.line("--ip_version=ipv6");
        }
        let headers = if v6 { 60 } else { 40 };
        if let Some(mss) = self.syn(self.ours).and_then(|seg| seg.options.mss) {
            let mtu = mss.saturating_add(headers).max(if v6 { 1280 } else { 68 });
            self.line(&format!("--mtu={mtu}"));
        }
        if self.segs.iter().any(|seg| seg.options.timestamps.is_some()) {
            self.line("--tcp_ts_ecr_scaled");
        }
    }

    /// What the captured stack had set otherwise than the target has.
    fn settings(&mut self) {
        let Some(own) = self.syn(self.ours).map(|seg| seg.options) else { return };
        // What was not offered could not be taken.
        let offered = match self.ours {
            Role::Client => None,
            Role::Server => self.syn(Role::Client).map(|seg| seg.options),
        };
        let off = |has: bool, was_offered: Option<bool>| !has && was_offered.unwrap_or(true);
        let mut lines: Vec<String> = Vec::new();
        let mut set = |name: &str, value: String| {
            lines.push(format!("sysctl -q net.ipv4.{name}={value}"));
        };
        if off(own.timestamps.is_some(), offered.map(|o| o.timestamps.is_some())) {
            set("tcp_timestamps", "0".to_owned());
        }
        if off(own.sack_permitted, offered.map(|o| o.sack_permitted)) {
            set("tcp_sack", "0".to_owned());
        }
        match own.window_scale {
            Some(scale) => {
                let most = 1u64 << (u32::from(scale.shift()) + 15).max(16);
                let first = self.receive_room().max(131_072);
                set("tcp_rmem", format!("\"4096 {} {most}\"", first.min(most)));
            }
            None if off(false, offered.map(|o| o.window_scale.is_some())) => {
                set("tcp_window_scaling", "0".to_owned());
            }
            None => {}
        }
        if self.loose && self.sends_again() {
            set("tcp_early_retrans", "3".to_owned());
        }
        if self.loose {
            let room = u64::from(self.plan.unacknowledged.next_power_of_two()) * 4;
            let room = room.max(LEAST_ROOM);
            set("tcp_wmem", format!("\"4096 {room} {room}\""));
        } else if self.plan.largest_write > 8192 {
            let room = u64::from(self.plan.largest_write.next_power_of_two()) * 4;
            set("tcp_wmem", format!("\"4096 {room} {room}\""));
        }
        if self.loose {
            // It neither paces nor sets a window of its own.
            set("tcp_congestion_control", "reno".to_owned());
            // How fast a window grows is a stack's own affair (bytes or packets, CUBIC's view of
            // a path whose round trips are a script's): it should not be in the way.
            let family = if self.conn.client.is_ipv6() { "-6 " } else { "" };
            lines.push(format!("ip {family}route change default dev tun0 initcwnd {WIDE}"));
        }
        if !lines.is_empty() {
            self.out.push(Line::plain(""));
            self.line(&format!("`{}`", lines.join("\n ")));
        }
    }

    /// Whether our side sent anything twice: then its probes count.
    fn sends_again(&self) -> bool {
        let own = self.segs.iter().filter(|seg| seg.from == self.ours && seg.len > 0);
        let mut end: Option<u32> = None;
        own.into_iter().any(|seg| {
            let goes_back = end.is_some_and(|end| (seg.seq.wrapping_sub(end) as i32) < 0);
            end = Some(seg.seq.wrapping_add(seg.len));
            goes_back
        })
    }

    /// Twice the widest window that our side has shown: Linux takes half of it for overhead.
    fn receive_room(&self) -> u64 {
        if !self.loose {
            return 0;
        }
        let own = self.segs.iter().filter(|seg| seg.from == self.ours && !seg.has(SYN));
        let widest = own.map(|seg| u64::from(seg.window)).max().unwrap_or(0);
        (widest << self.shift(self.ours)) * 2
    }

    fn open(&mut self) {
        self.out.push(Line::plain(""));
        self.line("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        // It would set the scale too, so it is said in tcp_rmem where that is known.
        let scaled = self.syn(self.ours).is_some_and(|seg| seg.options.window_scale.is_some());
        if let Some(bytes) = self.plan.receive_buffer.filter(|_| !scaled) {
            self.comment("The window closed when about so much was unread.");
            self.line(&format!("+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [{bytes}], 4) = 0"));
        }
        if self.ours == Role::Client {
            self.line("+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
            self.line("+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
            return;
        }
        self.line("+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
        self.line("+0 bind(3, ..., ...) = 0");
        if self.plan.refuses {
            self.comment("Nobody listened.");
        } else {
            self.line("+0 listen(3, 1) = 0");
        }
    }

    /// Writes the segment at this place with those that are joined to it; returns how many.
    fn segment(&mut self, at: usize) -> usize {
        let seg = &self.segs[at];
        for call in self.plan.before.remove(&at).unwrap_or_default() {
            self.call(call, seg.at);
        }
        let joined = if seg.from == self.ours { self.joined(at) } else { 1 };
        let late = self.plan.reset.is_some_and(|reset| at > reset) && !seg.has(SYN);
        if seg.from == self.ours && late {
            self.left_before(seg);
        } else if seg.from == self.ours {
            let last = &self.segs[at + joined - 1];
            let len = last.seq.wrapping_add(last.len).wrapping_sub(seg.seq);
            self.outbound(&Seg { flags: last.flags, len, ..seg.clone() });
        } else {
            self.inbound(seg);
        }
        for call in self.plan.after.remove(&at).unwrap_or_default() {
            self.call(call, seg.at);
        }
        joined
    }

    /// A packet that is left out.
    fn missed(&mut self, why: Why, seg: &Seg) {
        self.comment(why.words());
        let ours = seg.from == self.ours;
        let (sender, other) = if ours { (self.sent, self.got) } else { (self.got, self.sent) };
        let tcp = spec(seg, &sender, &other, !ours);
        self.comment(&format!("{} {}", if ours { '>' } else { '<' }, Body::Tcp(tcp)));
    }

    /// How many segments from here on are one burst: into which parts a stack cuts it, and where
    /// it says PSH, is its own affair. Scripts join equal parts.
    fn joined(&self, at: usize) -> usize {
        let first = &self.segs[at];
        if first.len == 0 || first.has(SYN | RST | FIN) {
            return 1;
        }
        let mut last = first;
        let mut count = 1;
        for (place, next) in self.segs.iter().enumerate().skip(at + 1) {
            let follows = next.from == self.ours
                && next.seq == last.seq.wrapping_add(last.len)
                && last.len == first.len
                && (1..=first.len).contains(&next.len)
                && (next.ack, next.flags & !(PSH | FIN)) == (first.ack, first.flags & !(PSH | FIN))
                && next.at.saturating_sub(first.at) < LONG
                && !last.has(FIN)
                && !self.plan.before.contains_key(&place);
            if !follows {
                break;
            }
            (last, count) = (next, count + 1);
        }
        count
    }
}
