//! The middle of the network: the NAT, the lens that looks on, and what is done to chosen
//! segments: they are lost or held up, or a copy of them stays and comes out later.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{EndReport, Instant};
use fourwave_lens::Lens;
use fourwave_net::{Filter, Way};
use fourwave_wire::SeqNum;
use fourwave_wire::ip::IpHeader;
use fourwave_wire::tcp::TcpHeader;

use crate::nat::Nat;

/// Where servers listen.
pub(crate) const PORT: u16 = 80;

/// A segment in the middle of the network.
#[derive(Clone, Debug)]
pub(crate) struct PassingSegment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) header: TcpHeader,
    pub(crate) len: usize,
    /// It acknowledges the receiver's FIN.
    pub(crate) acks_fin: bool,
    /// Its sender's FIN was seen before, or is in it.
    pub(crate) after_fin: bool,
}

impl PassingSegment {
    /// Reads a packet; `None` for what is no TCP.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let ip = IpHeader::parse(packet).ok()?;
        let (header, payload) = TcpHeader::parse(packet.get(ip.payload)?).ok()?;
        Some(Self {
            from: (ip.src, header.src_port).into(),
            to: (ip.dst, header.dst_port).into(),
            header,
            len: payload.len(),
            acks_fin: false,
            after_fin: false,
        })
    }

    /// It comes from a server.
    pub(crate) fn is_from_server(&self) -> bool {
        self.from.port() == PORT
    }

    /// It carries a FIN.
    pub(crate) fn is_fin(&self) -> bool {
        self.header.flags.fin()
    }

    /// The fourth wave: nothing but the ACK of the other end's FIN, from an end that has sent its
    /// own.
    pub(crate) fn is_last_ack(&self) -> bool {
        let bare = self.len == 0 && !self.is_fin() && !self.header.flags.rst();
        bare && self.acks_fin && self.after_fin
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Lose,
    Copy,
    Hold,
}

/// Does `act` to the first `left` segments that match.
struct Rule {
    matches: fn(&PassingSegment) -> bool,
    act: Act,
    left: u32,
    word: &'static str,
}

/// Where every packet passes. Its rules are a scenario's.
#[derive(Default)]
pub(crate) struct Middle {
    rules: Vec<Rule>,
    /// Copies that stayed here and what is held up, with the host that sent them.
    copies: Vec<(usize, Bytes)>,
    /// Behind each direction's FIN.
    fins: HashMap<(SocketAddr, SocketAddr), SeqNum>,
    /// TSval of the SYNs, in order.
    pub(crate) syn_timestamps: Vec<u32>,
    /// Rewrites addresses of the hosts behind it.
    pub(crate) nat: Option<Nat>,
    /// None when nobody looks: loads of many connections.
    pub(crate) lens: Option<Lens>,
    /// What the lens saw, lost or not.
    pub(crate) passed: Vec<(Duration, Bytes)>,
    /// Whose word on a connection's end stands in the ladder; of two, the later one.
    pub(crate) narrators: Vec<usize>,
}

impl Filter for Middle {
    /// The lens sees it, between a NAT's outside and the server, and the rules decide.
    fn decide(&mut self, now: Instant, from: usize, packet: &Bytes) -> Way {
        let outward = self.nat.as_mut().and_then(|nat| nat.outward(from, packet));
        let packet = outward.unwrap_or_else(|| packet.clone());
        let Some(segment) = PassingSegment::read(&packet) else { return Way::Drop };
        let (lost, word) = match self.rule(&segment) {
            Some((Act::Lose, _)) => (true, None),
            Some((Act::Copy, word)) => {
                self.copies.push((from, packet.clone()));
                (false, Some(word))
            }
            Some((Act::Hold, _)) => {
                // The lens sees it when it comes out.
                self.copies.push((from, packet.clone()));
                return Way::Drop;
            }
            None => (false, None),
        };
        let at = clock(now);
        if let Some(lens) = &mut self.lens {
            self.passed.push((at, packet.clone()));
            // What belongs to no connection has no ladder.
            let _stray = match lost {
                true => lens.observe_lost(at, &packet, packet.len(), 0),
                false => lens.observe(at, &packet, packet.len(), 0),
            };
            if let Some(word) = word {
                lens.note(at, (segment.from, segment.to), word);
            }
        }
        if lost {
            return Way::Drop;
        }
        let inward = self.nat.as_ref().and_then(|nat| nat.inward(&packet));
        Way::Rewrite(inward.unwrap_or(packet))
    }

    fn ended(&mut self, host: usize, report: &EndReport) {
        if self.narrators.contains(&host)
            && let Some(lens) = &mut self.lens
        {
            let local = outside(&self.nat, report.local);
            let mut report = report.clone();
            report.local = local;
            lens.end(&report);
        }
    }
}

/// Time since the beginning.
pub(crate) fn clock(now: Instant) -> Duration {
    now.since(Instant::ZERO)
}

/// What a host's own address is called where the lens looks.
pub(crate) fn outside(nat: &Option<Nat>, local: SocketAddr) -> SocketAddr {
    nat.as_ref().and_then(|nat| nat.outside(local)).unwrap_or(local)
}

impl Middle {
    /// The first `times` segments that match are lost.
    pub(crate) fn lose(&mut self, times: u32, matches: fn(&PassingSegment) -> bool) {
        self.rules.push(Rule { matches, act: Act::Lose, left: times, word: "" });
    }

    /// The first segment that matches is delivered, and a copy of it stays in the network.
    pub(crate) fn copy(&mut self, matches: fn(&PassingSegment) -> bool, word: &'static str) {
        self.rules.push(Rule { matches, act: Act::Copy, left: 1, word });
    }

    /// What matches is held up from now on, until it is taken out.
    pub(crate) fn hold(&mut self, matches: fn(&PassingSegment) -> bool) {
        self.rules.push(Rule { matches, act: Act::Hold, left: u32::MAX, word: "" });
    }

    /// What was held up, in order; nothing is from now on.
    pub(crate) fn take_held(&mut self) -> Vec<(usize, Bytes)> {
        self.rules.retain(|rule| !matches!(rule.act, Act::Hold));
        std::mem::take(&mut self.copies)
    }

    /// The copies that stayed here, with a word for the ladder about each.
    pub(crate) fn take_copies(&mut self, now: Instant, word: &str) -> Vec<(usize, Bytes)> {
        let copies = std::mem::take(&mut self.copies);
        for (_, packet) in &copies {
            if let (Some(lens), Some(segment)) = (&mut self.lens, PassingSegment::read(packet)) {
                lens.note(clock(now), (segment.from, segment.to), word);
            }
        }
        copies
    }

    /// What is to be done to a segment, and the word for it.
    fn rule(&mut self, segment: &PassingSegment) -> Option<(Act, &'static str)> {
        let (header, way) = (&segment.header, (segment.from, segment.to));
        if header.flags.syn() {
            // A new incarnation knows nothing of the old one's FIN.
            self.fins.remove(&way);
            if let (Some(timestamps), false) = (header.options.timestamps, header.flags.ack()) {
                self.syn_timestamps.push(timestamps.value);
            }
        }
        if header.flags.fin() {
            self.fins.insert(way, header.seq + header.segment_len(segment.len));
        }
        let other = self.fins.get(&(segment.to, segment.from));
        let segment = PassingSegment {
            acks_fin: header.flags.ack() && other.is_some_and(|&end| header.ack == end),
            after_fin: self.fins.contains_key(&way),
            ..segment.clone()
        };
        let mut rules = self.rules.iter_mut();
        let rule = rules.find(|rule| rule.left > 0 && (rule.matches)(&segment))?;
        rule.left -= 1;
        Some((rule.act, rule.word))
    }
}
