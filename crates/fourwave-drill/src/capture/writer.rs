//! What the script is written with: packets and calls as lines, and how far both streams are.

use std::time::Duration;

use fourwave_lens::Role;
use fourwave_lens::units;

use super::Connection;
use super::infer::{Call, Plan};
use super::line::{Kind, Line, Wait, packet_text};
use super::packet::{FIN, Numbers, PSH, RST, Received, SYN, Seg, spec};
use crate::ast::{Body, Direction, OptionsSpec};

/// How far both streams are, in the script's numbers.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Behind what the script has asked for of our side.
    pub(super) asked: u32,
    /// Behind what our side has sent in the capture.
    pub(super) end: u32,
    /// What the script has acknowledged.
    pub(super) acked: u32,
    /// The last segment with something new, and what was to be asked for when it left.
    pub(super) last: Option<Seg>,
    /// Something was sent again: the window may be smaller than at first.
    pub(super) shrunk: bool,
    /// Where the other side's window ends.
    pub(super) edge: u32,
    /// The other side's timestamp.
    pub(super) clock: Option<u32>,
    /// What our side has got.
    pub(super) received: Received,
    /// The other side's FIN.
    pub(super) fin: Option<u32>,
    /// The last ACK of our side: its number and window.
    pub(super) told: Option<(u32, u16)>,
}

/// The script so far, and what it is made of.
pub(super) struct Writer<'a> {
    pub(super) conn: &'a Connection,
    /// What the captured stack got and sent.
    pub(super) segs: &'a [Seg],
    pub(super) ours: Role,
    pub(super) sent: Numbers,
    pub(super) got: Numbers,
    pub(super) loose: bool,
    pub(super) plan: Plan,
    pub(super) out: Vec<Line>,
    /// Behind the last that our side has sent.
    pub(super) end: Option<u32>,
    pub(super) streams: Streams,
}

impl Writer<'_> {
    pub(super) fn line(&mut self, text: &str) {
        self.out.extend(text.lines().map(Line::plain));
    }

    fn timed(&mut self, kind: Kind, at: Duration, text: String) {
        self.out.push(Line::new(kind, at, text));
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.line(format!("// {text}").trim_end());
    }

    pub(super) fn syn(&self, role: Role) -> Option<&Seg> {
        self.segs.iter().find(|seg| seg.from == role && seg.has(SYN))
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

    pub(super) fn left_before(&mut self, seg: &Seg) {
        self.comment("Left before the RST came:");
        let tcp = spec(seg, &self.sent, &self.got, false);
        self.comment(&format!("> {}", Body::Tcp(tcp)));
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
