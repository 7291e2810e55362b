//! The script itself.

use std::time::Duration;

use fourwave_lens::Role;
use fourwave_lens::units;

use super::Connection;
use super::infer::{Call, Plan, plan};
use super::lost::{self, Why};
use super::packet::{FIN, Numbers, PSH, RST, SYN, Seg, spec};
use super::side::Reason;
use super::stream::Streams;
use crate::ast::{Body, Direction, IpSpec, OptionsSpec, Packet, TcpSpec, Time};

/// A gap from which on a packet was sent by a timer, or by an application that thought.
pub(super) const LONG: Duration = Duration::from_millis(10);
/// How much later than in the capture a packet may come: another stack may delay its ACK.
const LATE: Duration = Duration::from_millis(60);

/// A first timeout, and a bit (RFC 6298).
const TIMER: Duration = Duration::from_millis(1200);
/// Of a send buffer: small segments take far more of Linux's than their bytes.
const LEAST_ROOM: u64 = 4 << 20;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it stands.
    Plain,
    /// A call or a packet in, at its time.
    Exact,
    /// A packet out.
    Out(Wait),
}

/// What a packet out waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    No,
    /// A timer, as the captured stack's.
    Timer,
    /// A timer of its own: when a stack sends a SYN or a FIN again is left free.
    Own,
}

/// A line of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// Without its time.
    pub(super) text: String,
    /// In the capture's time; what is plain has none.
    pub(super) at: Duration,
    /// New data that may come in two parts.
    pub(super) ask: Option<Box<Ask>>,
}

/// New data of our side that the script asks for, as a packet, and how the other side would
/// acknowledge a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) data: TcpSpec,
    /// What was acknowledged before.
    pub(super) acked: u32,
    /// A bare ACK of the other side, without its number and window.
    pub(super) answer: TcpSpec,
    /// Where its window ends, and how much it is scaled.
    pub(super) edge: (u32, u8),
}

impl Line {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(Kind::Plain, Duration::ZERO, text)
    }

    pub(super) fn new(kind: Kind, at: Duration, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), at, ask: None }
    }
}

/// The lines as text: times are gaps since the line before that has one.
pub(super) fn render(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut last: Option<Duration> = None;
    for Line { kind, text, at, .. } in lines {
        if *kind == Kind::Plain {
            out.push_str(text);
            out.push('\n');
            continue;
        }
        let gap = at.saturating_sub(last.unwrap_or(*at));
        last = Some(last.map_or(*at, |last| last.max(*at)));
        let time = match kind {
            // What goes out again waits for a timer; all else may come at once.
            Kind::Out(Wait::Own) => Time::AfterBetween(Duration::ZERO, micros(gap * 2 + TIMER)),
            Kind::Out(wait) => {
                let is_long = *wait == Wait::Timer && gap >= LONG;
                let early = if is_long { gap / 2 } else { Duration::ZERO };
                Time::AfterBetween(micros(early), micros(gap + gap / 2 + LATE))
            }
            Kind::Plain | Kind::Exact => Time::After(micros(gap)),
        };
        out.push_str(&format!("{time} {text}\n"));
    }
    out
}

/// A packet as a script has it, without its time.
pub(super) fn packet_text(direction: Direction, body: Body) -> String {
    Packet { direction, outer: None, ip: IpSpec::default(), body, fuzz: None }.to_string()
}

/// Scripts are exact to the microsecond.
fn micros(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros().try_into().unwrap_or(u64::MAX))
}

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

pub(super) struct Writer<'a> {
    conn: &'a Connection,
    /// What the captured stack got and sent.
    pub(super) segs: &'a [Seg],
    pub(super) ours: Role,
    pub(super) sent: Numbers,
    pub(super) got: Numbers,
    loose: bool,
    pub(super) plan: Plan,
    pub(super) out: Vec<Line>,
    /// Behind the last that our side has sent.
    pub(super) end: Option<u32>,
    pub(super) streams: Streams,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.out.extend(text.lines().map(Line::plain));
    }

    fn timed(&mut self, kind: Kind, at: Duration, text: String) {
        self.out.push(Line::new(kind, at, text));
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.line(format!("// {text}").trim_end());
    }

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

    pub(super) fn syn(&self, role: Role) -> Option<&Seg> {
        self.segs.iter().find(|seg| seg.from == role && seg.has(SYN))
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
        if self.loose {
            let room = u64::from(self.plan.unacknowledged.next_power_of_two()) * 4;
            let room = room.max(LEAST_ROOM);
            set("tcp_wmem", format!("\"4096 {room} {room}\""));
        } else if self.plan.largest_write > 8192 {
            let room = u64::from(self.plan.largest_write.next_power_of_two()) * 4;
            set("tcp_wmem", format!("\"4096 {room} {room}\""));
        }
        if !lines.is_empty() {
            self.out.push(Line::plain(""));
            self.line(&format!("`{}`", lines.join("\n ")));
        }
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

    /// By how much the windows of a side are scaled.
    pub(super) fn shift(&self, role: Role) -> u8 {
        let scale = |role| self.syn(role).and_then(|seg| seg.options.window_scale);
        let own = scale(role).filter(|_| scale(role.other()).is_some());
        own.map_or(0, |scale| scale.shift())
    }

    fn descriptor(&self) -> i32 {
        if self.ours == Role::Client { 3 } else { 4 }
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

    pub(super) fn left_before(&mut self, seg: &Seg) {
        self.comment("Left before the RST came:");
        let tcp = spec(seg, &self.sent, &self.got, false);
        self.comment(&format!("> {}", Body::Tcp(tcp)));
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

    pub(super) fn outbound(&mut self, seg: &Seg) {
        let again = self.end.is_some_and(|end| {
            let is_ack = seg.end() == seg.seq && seg.seq == end;
            !is_ack && end.wrapping_sub(seg.end()).cast_signed() >= 0
        });
        let end = seg.end();
        self.end =
            Some(self.end.map_or(end, |old| {
                if end.wrapping_sub(old).cast_signed() > 0 { end } else { old }
            }));
        let mut tcp = spec(seg, &self.sent, &self.got, false);
        if seg.has(RST) {
            // Whether it carries a timestamp depends on who made it, and on what it answers.
            tcp.options = OptionsSpec::Any;
        }
        let wait = match (again, self.loose && seg.has(SYN | FIN)) {
            (false, _) => Wait::No,
            (true, false) => Wait::Timer,
            (true, true) => Wait::Own,
        };
        self.packet(Kind::Out(wait), seg.at, Direction::Out, Body::Tcp(tcp));
    }

    /// Super-packets are cut into what fits on the script's link.
    pub(super) fn inbound(&mut self, seg: &Seg) {
        let full = self.syn(self.ours).and_then(|seg| seg.options.mss).unwrap_or(536);
        let stamps = if seg.options.timestamps.is_some() { 12 } else { 0 };
        let full = u32::from(full).saturating_sub(stamps).max(1);
        let mut left = seg.len;
        let mut part = seg.clone();
        loop {
            part.len = left.min(full);
            left -= part.len;
            part.flags = if left > 0 { seg.flags & !(PSH | FIN) } else { seg.flags };
            let tcp = spec(&part, &self.got, &self.sent, true);
            self.packet(Kind::Exact, seg.at, Direction::In, Body::Tcp(tcp));
            if left == 0 {
                return;
            }
            part.seq = part.seq.wrapping_add(part.len);
        }
    }

    pub(super) fn packet(&mut self, kind: Kind, at: Duration, direction: Direction, body: Body) {
        self.timed(kind, at, packet_text(direction, body));
    }

    pub(super) fn call(&mut self, call: Call, at: Duration) {
        let fd = self.descriptor();
        match call {
            Call::Accept => {
                self.timed(Kind::Exact, at, "accept(3, ..., ...) = 4".to_owned());
                self.live();
            }
            Call::Connected => {
                self.timed(Kind::Exact, at, "fcntl(3, F_SETFL, O_RDWR) = 0".to_owned());
                self.live();
            }
            Call::Write { len, more: false } => {
                self.timed(Kind::Exact, at, format!("write({fd}, ..., {len}) = {len}"));
            }
            Call::Write { len, more: true } => {
                self.timed(Kind::Exact, at, format!("send({fd}, ..., {len}, MSG_MORE) = {len}"));
            }
            Call::Read(len) => {
                self.timed(Kind::Exact, at, format!("read({fd}, ..., {len}) = {len}"))
            }
            Call::ReadEnd => self.timed(Kind::Exact, at, format!("read({fd}, ..., 1) = 0")),
            Call::ReadReset => {
                let reset = "-1 ECONNRESET (Connection reset by peer)";
                self.timed(Kind::Exact, at, format!("read({fd}, ..., 1) = {reset}"));
            }
            Call::Refused => {
                let option = "SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]";
                self.timed(Kind::Exact, at, format!("getsockopt(3, {option}) = 0"));
            }
            Call::Shutdown => {
                self.comment("shutdown(): data was still taken behind the FIN.");
                self.timed(Kind::Exact, at, format!("shutdown({fd}, SHUT_WR) = 0"));
            }
            Call::Close => self.timed(Kind::Exact, at, format!("close({fd}) = 0")),
            Call::Abort => {
                self.comment("The RST of an application that gave up.");
                let option = "SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8";
                self.timed(Kind::Exact, at, format!("setsockopt({fd}, {option}) = 0"));
                self.line(&format!("+0 close({fd}) = 0"));
            }
        }
    }

    /// Options of the connection, once it is there.
    fn live(&mut self) {
        let fd = self.descriptor();
        if self.plan.no_delay {
            self.comment(match self.loose {
                true => "Whether small segments wait for others is free.",
                false => "Small segments went out while others were under way.",
            });
            self.line(&format!("+0 setsockopt({fd}, SOL_TCP, TCP_NODELAY, [1], 4) = 0"));
        }
        if let Some((idle, between)) = self.plan.keepalive {
            self.comment(&format!("A probe after {}.", units::seconds(Duration::from_secs(idle))));
            self.line(&format!("+0 setsockopt({fd}, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0"));
            self.line(&format!("+0 setsockopt({fd}, SOL_TCP, TCP_KEEPIDLE, [{idle}], 4) = 0"));
            if let Some(gap) = between {
                self.line(&format!("+0 setsockopt({fd}, SOL_TCP, TCP_KEEPINTVL, [{gap}], 4) = 0"));
            }
        }
    }
}
