//! Watches the wire and holds each segment against what TCP allows, whoever sent it.
//!
//! It knows no engine: it reads packets where they leave a host and where they reach one, and
//! keeps for each direction of each connection what was sent, promised and heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave_wire::ip::{IpHeader, header_checksum_is_right, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RxChecksum, SeqNum};

use crate::text::Text;

/// So many ACKs that carry nothing, with nothing else between them, within so short a time are a
/// loop.
const LOOP_LENGTH: u32 = 400;
/// See [`LOOP_LENGTH`].
const LOOP_WITHIN: Duration = Duration::from_millis(100);

/// A TCP segment as the watcher sees it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Who sent it.
    pub src: SocketAddr,
    /// For whom it is.
    pub dst: SocketAddr,
    /// Its header.
    pub header: TcpHeader,
    /// Where its payload lies in the packet.
    pub payload: std::ops::Range<usize>,
}

impl Sighting {
    /// Reads a packet; `None` when a host would not take it for a TCP segment.
    pub fn read(packet: &[u8], checksum: RxChecksum) -> Option<Self> {
        let ip = IpHeader::parse(packet).ok().filter(|ip| ip.protocol == protocol::TCP)?;
        let segment = &packet[ip.payload.clone()];
        let whole = || header_checksum_is_right(packet) && is_whole(&ip, segment);
        if checksum == RxChecksum::Unverified && !whole() {
            return None;
        }
        let (header, payload) = TcpHeader::parse(segment).ok()?;
        Some(Self {
            src: (ip.src, header.src_port).into(),
            dst: (ip.dst, header.dst_port).into(),
            header,
            payload: ip.payload.start + payload.start..ip.payload.start + payload.end,
        })
    }
}

/// RFC 9293 §3.1's checksum, summed the plain way.
fn is_whole(ip: &IpHeader, segment: &[u8]) -> bool {
    let mut sum = u64::from(ip.protocol) + segment.len() as u64;
    let mut add = |bytes: &[u8]| {
        for pair in bytes.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    };
    for address in [ip.src, ip.dst] {
        match address {
            std::net::IpAddr::V4(a) => add(&a.octets()),
            std::net::IpAddr::V6(a) => add(&a.octets()),
        }
    }
    add(segment);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// One direction of a connection. Places are counted from the ISN: the SYN is 0, the first byte
/// of text 1.
#[derive(Clone, Debug, Default)]
struct Half {
    iss: Option<SeqNum>,
    mss: Option<u16>,
    scale: Option<u8>,
    timestamps: bool,
    /// Behind the last place sent.
    sent: u64,
    /// The FIN's place.
    fin: Option<u64>,
    /// Behind the last place of this half that reached the other end.
    heard: u64,
    /// Up to where the other end acknowledged this half.
    acked: u64,
    /// The right edge that the other end promised, as it sent it.
    promised: u64,
    /// The right edge that the other end promised, as it reached this one.
    granted: u64,
}

/// A connection.
#[derive(Debug, Default)]
struct Flow {
    halves: [Half; 2],
    texts: [Option<Text>; 2],
    mtu: [u16; 2],
    /// The ISNs of incarnations before, and the numbers after their ends.
    earlier: [Vec<(SeqNum, SeqNum)>; 2],
    /// An end opened again on an old SYN: what the other one hears and answers may concern the
    /// incarnation before, and is not held against it.
    muddled: bool,
    /// ACKs in a row that carried nothing, and when the first one was sent.
    acks: u32,
    acks_since: Duration,
}

/// All connections by their addresses, the smaller one first.
#[derive(Debug, Default)]
pub struct Watch {
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
}

/// The place of a number on the half's own count; `None` when it lies before the ISN.
fn place(iss: SeqNum, seq: SeqNum) -> Option<u64> {
    let place = seq.since(iss);
    (place < 1 << 31).then_some(place.into())
}

impl Watch {
    /// From now on the texts of the connection between `a` and `b` are known, the text from `a`
    /// first, and so are the MTUs of their links.
    pub fn expect(&mut self, ends: [SocketAddr; 2], texts: [Text; 2], mtu: [u16; 2]) {
        let swapped = ends[0] > ends[1];
        let turn = |i: usize| if swapped { 1 - i } else { i };
        let flow = self.flows.entry((ends[turn(0)], ends[turn(1)])).or_default();
        flow.texts = [Some(texts[turn(0)]), Some(texts[turn(1)])];
        flow.mtu = [mtu[turn(0)], mtu[turn(1)]];
    }

    fn flow(&mut self, s: &Sighting) -> Option<(&mut Flow, usize)> {
        let swapped = s.src > s.dst;
        let key = if swapped { (s.dst, s.src) } else { (s.src, s.dst) };
        Some((self.flows.get_mut(&key)?, usize::from(swapped)))
    }

    /// A segment leaves its host; `gso_size` as in a packet's description.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn sent(
        &mut self,
        at: Duration,
        s: &Sighting,
        packet: &[u8],
        gso_size: u16,
    ) -> Result<(), String> {
        let Some((flow, from)) = self.flow(s) else { return Ok(()) };
        flow.check_loop(at, s)?;
        if s.header.flags.rst() {
            return Ok(());
        }
        if s.header.flags.syn() {
            if flow.answers_an_earlier_one(s, from) {
                return Ok(());
            }
            flow.syn(s, from);
        }
        if flow.is_from_an_earlier_one(s, from) {
            return Ok(());
        }
        flow.check_size(s, from, packet.len(), gso_size)?;
        flow.check_text(s, from, packet)?;
        if s.header.flags.ack() { flow.check_ack(s, from) } else { Ok(()) }
    }

    /// A segment reaches its host whole.
    pub fn arrived(&mut self, s: &Sighting) {
        let Some((flow, from)) = self.flow(s) else { return };
        let Some(at) = flow.halves[from].iss.and_then(|iss| place(iss, s.header.seq)) else {
            return;
        };
        let end = at + u64::from(s.header.segment_len(s.payload.len()));
        if end > flow.halves[from].sent || s.header.flags.rst() {
            // Of an earlier incarnation.
            return;
        }
        flow.halves[from].heard = flow.halves[from].heard.max(end);
        let window = flow.window(s, from);
        let half = &mut flow.halves[1 - from];
        if let (Some(iss), true) = (half.iss, s.header.flags.ack())
            && let Some(ack) = place(iss, s.header.ack).filter(|ack| *ack <= half.sent)
        {
            half.granted = half.granted.max(ack + window);
        }
    }
}

impl Flow {
    /// Whether a SYN ACK answers a SYN whose sender has opened again since. It will hear RST.
    fn answers_an_earlier_one(&self, s: &Sighting, from: usize) -> bool {
        let answered = s.header.ack - 1;
        s.header.flags.ack()
            && self.halves[from].iss.is_none()
            && self.halves[1 - from].iss != Some(answered)
            && self.earlier[1 - from].iter().any(|(iss, _)| *iss == answered)
    }

    /// Whether the TIME_WAIT of an earlier incarnation answers: because nothing was opened yet, or
    /// because a new SYN came to nothing and it is back.
    fn is_from_an_earlier_one(&self, s: &Sighting, from: usize) -> bool {
        let Some(iss) = self.halves[from].iss else { return true };
        let is_end = |(_, end): &(SeqNum, SeqNum)| *end == s.header.seq;
        is_pure_ack(s)
            && place(iss, s.header.seq).is_none()
            && self.earlier[from].iter().any(is_end)
    }

    /// A half of a new incarnation begins.
    fn begin(&mut self, n: usize) {
        let old = std::mem::take(&mut self.halves[n]);
        if let Some(iss) = old.iss {
            // Places count in 64 bits, numbers in 32.
            self.earlier[n].push((iss, iss + old.sent as u32));
        }
    }

    /// A SYN with a new number begins a new incarnation.
    fn syn(&mut self, s: &Sighting, from: usize) {
        let known = self.halves[from].iss;
        // Within one moment the numbers are the same: only the ACK tells.
        let older = self.halves[1 - from].iss.and_then(|iss| place(iss, s.header.ack));
        let again =
            s.header.flags.ack() && older.is_some_and(|at| at < self.halves[1 - from].acked);
        if known != Some(s.header.seq) || again {
            self.begin(from);
            if known.is_some() && !s.header.flags.ack() {
                self.begin(1 - from);
            }
            // An old SYN may open a new connection: what the old one promised binds it not.
            self.halves[1 - from].acked = 0;
            self.halves[1 - from].promised = 0;
            self.muddled = known.is_some() && s.header.flags.ack();
            self.halves[from].iss = Some(s.header.seq);
        }
        let half = &mut self.halves[from];
        half.mss = s.header.options.mss;
        half.scale = s.header.options.window_scale.map(|scale| scale.shift());
        half.timestamps = s.header.options.timestamps.is_some();
    }

    /// Two ends that answer each other's ACKs never end.
    fn check_loop(&mut self, at: Duration, s: &Sighting) -> Result<(), String> {
        if !is_pure_ack(s) || at - self.acks_since > LOOP_WITHIN {
            self.acks = 0;
            self.acks_since = at;
        }
        self.acks += 1;
        if self.acks > LOOP_LENGTH {
            return Err(format!("the {}th ACK without anything since", self.acks));
        }
        Ok(())
    }

    /// The window of a segment from `from` in bytes.
    fn window(&self, s: &Sighting, from: usize) -> u64 {
        u64::from(s.header.window.0) << if s.header.flags.syn() { 0 } else { self.shift(from) }
    }

    fn shift(&self, from: usize) -> u8 {
        match (self.halves[from].scale, self.halves[1 - from].scale) {
            (Some(scale), Some(_)) => scale,
            _ => 0,
        }
    }

    /// RFC 9293 §3.7.1: no segment larger than the peer's MSS and our MTU allow.
    fn check_size(&self, s: &Sighting, from: usize, len: usize, gso: u16) -> Result<(), String> {
        let payload = s.payload.len();
        let segment = if gso > 0 { usize::from(gso) } else { payload };
        let ip_len = if s.src.is_ipv6() { 40 } else { 20 };
        let headers = len - payload;
        if headers + segment.min(payload) > usize::from(self.mtu[from]) {
            return Err(format!(
                "a segment of {} bytes with its headers left on an MTU of {}",
                headers + segment,
                self.mtu[from]
            ));
        }
        let default = if s.src.is_ipv6() { 1220 } else { 536 };
        let mss = usize::from(self.halves[1 - from].mss.unwrap_or(default));
        let options = headers - ip_len - 20;
        if payload > 0 && segment.min(payload) + options > mss {
            return Err(format!("a segment of {segment} bytes, the peer's MSS is {mss}"));
        }
        Ok(())
    }

    /// Text, FIN and window of a segment from `from`.
    fn check_text(&mut self, s: &Sighting, from: usize, packet: &[u8]) -> Result<(), String> {
        let (text, flags) = (self.texts[from], s.header.flags);
        let half = &mut self.halves[from];
        let Some(iss) = half.iss else { return Ok(()) };
        let len = s.payload.len() as u64;
        let Some(at) = place(iss, s.header.seq) else {
            return Err("a sequence number before the ISN".to_owned());
        };
        let end = at + u64::from(s.header.segment_len(s.payload.len()));
        if len > 0 && flags.syn() {
            return Err("text on a SYN".to_owned());
        }
        if let (true, Some(text)) = (len > 0, text)
            && let Some(wrong) = text.first_difference(at - 1, &packet[s.payload.clone()])
        {
            return Err(format!("wrong text at offset {} is sent", at - 1 + wrong as u64));
        }
        let is_after = |fin| (len > 0 && at + len > fin) || (flags.fin() && at + len != fin);
        if half.fin.is_some_and(is_after) {
            return Err(format!("payload after the FIN is sent, at {at}, {len} bytes"));
        }
        if flags.fin() {
            if half.fin.is_none() && at + len < half.sent {
                return Err(format!("the FIN at {} lies before text that was sent", at + len));
            }
            half.fin = Some(at + len);
        }
        let takes_room = len > 0 || flags.fin();
        if takes_room && !self.muddled && !flags.syn() && end > half.granted && end > half.sent {
            return Err(format!(
                "{} bytes beyond the peer's window: up to {end}, granted up to {}",
                end - half.granted,
                half.granted
            ));
        }
        if at > half.sent {
            return Err(format!("a gap in what is sent: {} was skipped", at - half.sent));
        }
        half.sent = half.sent.max(end);
        Ok(())
    }

    /// The ACK and the window of a segment from `from`.
    fn check_ack(&mut self, s: &Sighting, from: usize) -> Result<(), String> {
        let window = self.window(s, from);
        let unit = if s.header.flags.syn() { 1 } else { 1u64 << self.shift(from) };
        let peer = &mut self.halves[1 - from];
        let Some(iss) = peer.iss.filter(|_| !self.muddled) else { return Ok(()) };
        let Some(ack) = place(iss, s.header.ack) else {
            return Err("an ACK before the peer's ISN".to_owned());
        };
        if ack > peer.heard {
            return Err(format!("ACK of {ack}, but only {} arrived", peer.heard));
        }
        if ack < peer.acked {
            return Err(format!("the ACK went back from {} to {ack}", peer.acked));
        }
        peer.acked = ack;
        let edge = ack + window;
        // RFC 7323 §2.4: the scale's unit may make the edge seem to move left by less than it. And
        // a SYN's window has no scale: it cannot repeat what an ACK before it promised.
        if s.header.flags.syn() {
            // It may be a new incarnation's, of the same numbers where no time has passed.
            peer.promised = edge;
        } else if edge + unit <= peer.promised {
            return Err(format!("the window's edge went back from {} to {edge}", peer.promised));
        }
        peer.promised = peer.promised.max(edge);
        Ok(())
    }
}

/// Whether a segment says nothing but "I am here": an ACK without text.
fn is_pure_ack(s: &Sighting) -> bool {
    s.payload.is_empty() && s.header.flags == Flags::ACK
}
