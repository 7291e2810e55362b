//! Packets in the script's notation, with the parts that differ marked.

use crate::ast::{Body, IpSpec, OptionsSpec, Packet, TcpSpec};
use crate::run::{Piece, Shown};

/// What can differ between two packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Time,
    Ip,
    Kind,
    Flags,
    Seq,
    Ack,
    Window,
    Urgent,
    Options,
    Option(usize),
    Ports,
    Length,
}

impl Part {
    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Ip => "the IP header",
            Self::Kind => "protocol",
            Self::Flags => "flags",
            Self::Seq => "sequence numbers",
            Self::Ack => "ack",
            Self::Window => "win",
            Self::Urgent => "urg",
            Self::Options | Self::Option(_) => "options",
            Self::Ports => "ports",
            Self::Length => "length",
        }
    }
}

struct Writer<'a> {
    shown: Shown,
    differing: &'a [Part],
}

impl Writer<'_> {
    fn put(&mut self, part: Option<Part>, text: impl ToString) {
        let text = text.to_string();
        let differs = part.is_some_and(|part| self.differing.contains(&part));
        self.shown.pieces.push(Piece { text, differs });
    }

    fn blank(&mut self) {
        self.put(None, " ");
    }
}

/// A packet at a time, `differing` marked: the text is what `Display` writes, part by part.
pub(crate) fn show(time: &str, packet: &Packet, differing: &[Part]) -> Shown {
    let Packet { direction, outer, ip, body, fuzz } = packet;
    let mut out = Writer { shown: Shown::default(), differing };
    out.put(Some(Part::Time), time);
    out.put(None, format!(" {direction} "));
    if let Some(outer) = outer {
        out.put(None, format!("{outer} "));
    }
    if *ip != IpSpec::default() {
        out.put(Some(Part::Ip), ip);
        out.blank();
    }
    match body {
        Body::Tcp(spec) => tcp(&mut out, spec),
        Body::Udp { ports, len } => {
            out.put(Some(Part::Kind), "udp");
            out.blank();
            self::ports(&mut out, *ports);
            out.put(Some(Part::Length), format!("({len})"));
        }
        Body::Icmp(_) | Body::Other(_) => out.put(Some(Part::Kind), body),
    }
    if let Some(fuzz) = fuzz {
        out.put(None, format!(" {{{fuzz}}}"));
    }
    out.shown
}

fn ports(out: &mut Writer<'_>, ports: Option<(u16, u16)>) {
    if let Some((from, to)) = ports {
        out.put(Some(Part::Ports), format!("{from} > {to}"));
        out.blank();
    }
}

fn tcp(out: &mut Writer<'_>, tcp: &TcpSpec) {
    let TcpSpec { ports: between, encapsulation, flags, seq, ack, window, urgent, options } = tcp;
    ports(out, *between);
    out.put(Some(Part::Flags), flags);
    out.blank();
    out.put(Some(Part::Seq), seq);
    let numbers = [
        (Part::Ack, "ack", *ack),
        (Part::Window, "win", window.map(u32::from)),
        (Part::Urgent, "urg", urgent.map(u32::from)),
    ];
    for (part, name, number) in numbers {
        if let Some(number) = number {
            out.blank();
            out.put(Some(part), format!("{name} {number}"));
        }
    }
    self::options(out, options);
    if let Some((from, to)) = encapsulation {
        out.blank();
        out.put(Some(Part::Ports), format!("/udp({from} > {to})"));
    }
}

fn options(out: &mut Writer<'_>, options: &OptionsSpec) {
    match options {
        OptionsSpec::None => {}
        OptionsSpec::Any => out.put(Some(Part::Options), format!(" {options}")),
        OptionsSpec::List(list) => {
            out.put(Some(Part::Options), " <");
            for (at, one) in list.iter().enumerate() {
                if at > 0 {
                    out.put(None, ",");
                }
                out.put(Some(Part::Option(at)), one);
            }
            out.put(Some(Part::Options), ">");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::EventKind;
    use crate::lang;

    fn packet(text: &str) -> Packet {
        let script = lang::parse(&format!("0 {text}")).expect("a packet");
        match script.events.into_iter().next().map(|event| event.kind) {
            Some(EventKind::Packet(packet)) => *packet,
            other => panic!("{other:?} is no packet"),
        }
    }

    #[test]
    fn a_packet_with_parts_marked() {
        let text = "> [ect0] P. 1:1001(1000) ack 1 win 257 <nop,TS val 100 ecr ...>";
        let shown = show("0.1", &packet(text), &[Part::Ack, Part::Option(1)]);
        assert_eq!(shown.to_string(), format!("0.1 {text}"));
        let marked: Vec<&str> =
            shown.pieces.iter().filter(|p| p.differs).map(|p| p.text.as_str()).collect();
        assert_eq!(marked, ["ack 1", "TS val 100 ecr ..."]);
    }

    #[test]
    fn the_text_is_the_languages() {
        for text in [
            "< 8080 > 5000 SEWA 0:0(0) win 65535 <mss 1460,sackOK,FO a1b2,kind 30 len 4 abcd>",
            "> [tos 0x10, ttl 64] .5 ...(0) ack 7 urg 3 <...> /udp(9899 > 9900)",
            "< [dscp cs1] udp 53 > 1024 (100)",
            "> udp (100)",
            "< icmp unreachable frag_needed mtu 1400 [1:1001(1000)]",
            "< - 1:1(0) <md5 valid,ECN e1b 1 ceb 0 e0b 1> {mut tcp mss}",
        ] {
            let packet = packet(text);
            assert_eq!(show("0", &packet, &[]).to_string(), format!("0 {packet}"));
        }
    }
}
