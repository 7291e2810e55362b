//! Whether a packet of the stack is the one that the script wants.

use crate::ast::{
    Body, Direction, Ecn, FlagSpec, IcmpSpec, IpSpec, OptionSpec, OptionsSpec, Packet, SeqSpec,
    Span, TcpSpec,
};
use crate::run::flows::{Clock, Flow};
use crate::run::notation::Part;
use crate::run::raw::{Envelope, Seen, SeenBody, Segment, flag};
use crate::run::spec::{flags_of, resolved};
use crate::run::{Error, Options, digest, icmp, options_wire};

/// Learns initial sequence numbers from a SYN of the stack that answers `script`'s one.
pub(crate) fn learn(flow: &mut Flow, script: &TcpSpec, live: &Segment) {
    if !live.has(flag::SYN) {
        return;
    }
    let start = match script.seq {
        SeqSpec::Range { start, .. } if flags_of(script) & flag::SYN != 0 => start,
        _ => 0,
    };
    if let Some(new) = flow.new_isn {
        // The stack took a second SYN: the connection begins anew.
        let acked = live.ack.wrapping_sub(new);
        if live.has(flag::ACK) && (1..=u32::from(u16::MAX) + 1).contains(&acked) {
            (flow.remote_isn, flow.new_isn, flow.local_isn) = (Some(new), None, None);
            flow.clock = Clock::default();
        }
    }
    if flow.relearn && !live.has(flag::ACK) {
        (flow.remote_isn, flow.new_isn, flow.local_isn) = (None, None, None);
        (flow.clock, flow.relearn) = (Clock::default(), false);
    }
    if flow.local_isn.is_none() {
        flow.local_isn = Some((start, live.seq));
    }
}

/// What the stack sent, in the script's words and numbers: as much as the script says of `wanted`.
pub(crate) fn in_script(seen: &Seen, wanted: Option<&Packet>, flow: &Flow) -> Packet {
    let said = wanted.map_or(IpSpec::default(), |packet| packet.ip);
    let ip = IpSpec {
        ecn: said.ecn.map(|wanted| ecn_of(seen.ip.tos, wanted)),
        tos: said.tos.map(|_| if said.ecn.is_some() { seen.ip.tos & !3 } else { seen.ip.tos }),
        dscp: said.dscp.map(|_| seen.ip.tos >> 2),
        ttl: said.ttl.map(|_| seen.ip.ttl),
        flow_label: said.flow_label.map(|_| seen.ip.flow_label),
    };
    let body = match &seen.body {
        SeenBody::Tcp(segment, udp) => {
            let wanted = match wanted.map(|packet| &packet.body) {
                Some(Body::Tcp(tcp)) => Some(tcp),
                _ => None,
            };
            Body::Tcp(tcp_in_script(segment, *udp, wanted, flow))
        }
        SeenBody::Udp { src_port, dst_port, len } => {
            let explicit =
                matches!(wanted.map(|packet| &packet.body), Some(Body::Udp { ports: Some(_), .. }));
            let ports = explicit.then_some((*src_port, *dst_port));
            Body::Udp { ports, len: *len as u16 }
        }
        SeenBody::Icmp { kind, code, word, .. } => {
            let (kind, code) = (kind.to_string(), Some(code.to_string()));
            let mtu = Some(*word).filter(|word| *word != 0);
            let span = Span::default();
            Body::Icmp(IcmpSpec { kind, code, id: None, mtu, echoed: None, span })
        }
        SeenBody::Other(protocol) => Body::Other(format!("protocol {protocol}")),
    };
    Packet { direction: Direction::Out, outer: None, fuzz: None, ip, body }
}

fn ecn_of(tos: u8, wanted: Ecn) -> Ecn {
    match (tos & 3, wanted) {
        (1 | 2, Ecn::Ect01) => Ecn::Ect01,
        (0, _) => Ecn::NotEct,
        (1, _) => Ecn::Ect1,
        (2, _) => Ecn::Ect0,
        _ => Ecn::Ce,
    }
}

fn tcp_in_script(
    live: &Segment,
    udp: Option<(u16, u16)>,
    wanted: Option<&TcpSpec>,
    flow: &Flow,
) -> TcpSpec {
    let syn = live.has(flag::SYN);
    let with_ace = wanted.is_some_and(|wanted| wanted.flags.ace.is_some());
    let flags = if with_ace {
        let ace = (live.flags & flag::ACE) >> flag::ACE_SHIFT;
        FlagSpec { bits: live.flags & !flag::ACE, ace: Some(ace as u8) }
    } else {
        FlagSpec { bits: live.flags, ace: None }
    };
    let seq = match wanted.map(|wanted| wanted.seq) {
        Some(SeqSpec::Unchecked { .. }) => SeqSpec::Unchecked { len: live.len },
        Some(SeqSpec::Range { absolute: true, .. }) => range(live.seq, live.len, true),
        _ => range(live.seq.wrapping_sub(flow.local_shift(syn)), live.len, false),
    };
    let explicit = wanted.is_some_and(|wanted| wanted.ports.is_some());
    let list = options_wire::decode(&live.options);
    let list: Vec<OptionSpec> =
        list.into_iter().map(|option| option_in_script(option, flow)).collect();
    TcpSpec {
        ports: explicit.then_some((live.src_port, live.dst_port)),
        encapsulation: udp,
        flags,
        seq,
        ack: live.has(flag::ACK).then(|| live.ack.wrapping_sub(flow.remote_shift(syn))),
        window: wanted.is_none_or(|wanted| wanted.window.is_some()).then_some(live.window),
        urgent: (live.urgent != 0 || wanted.is_some_and(|wanted| wanted.urgent.is_some()))
            .then_some(live.urgent),
        options: if list.is_empty() { OptionsSpec::None } else { OptionsSpec::List(list) },
    }
}

fn range(start: u32, len: u32, absolute: bool) -> SeqSpec {
    SeqSpec::Range { start, end: start.wrapping_add(len), len, absolute }
}

fn option_in_script(option: OptionSpec, flow: &Flow) -> OptionSpec {
    match option {
        OptionSpec::Sack(blocks) => {
            let shift = flow.remote_shift(false);
            let shifted =
                |(start, end): (u32, u32)| (start.wrapping_sub(shift), end.wrapping_sub(shift));
            OptionSpec::Sack(blocks.into_iter().map(shifted).collect())
        }
        OptionSpec::Timestamps { val: Some(val), ecr, absolute } => {
            let val = match flow.clock.first {
                Some((script, live)) => script.wrapping_add(val.wrapping_sub(live)),
                None => val,
            };
            OptionSpec::Timestamps { val: Some(val), ecr, absolute }
        }
        other => other,
    }
}

/// What differs between the packet that the script wants and the one that came.
///
/// # Errors
/// The script names what is not defined.
pub(crate) fn differences(
    wanted: &Packet,
    actual: &Packet,
    seen: &Seen,
    options: &Options,
) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let masked = IpSpec {
        tos: wanted.ip.tos.map(|tos| if wanted.ip.ecn.is_some() { tos & !3 } else { tos }),
        ..wanted.ip
    };
    if masked != actual.ip {
        parts.push(Part::Ip);
    }
    match (&wanted.body, &actual.body) {
        (Body::Tcp(wanted), Body::Tcp(actual)) => {
            tcp_differences(wanted, actual, &mut parts);
            option_differences(&wanted.options, &actual.options, seen, options, &mut parts)?;
        }
        (Body::Udp { ports, len }, Body::Udp { ports: actual_ports, len: actual_len }) => {
            if ports != actual_ports {
                parts.push(Part::Ports);
            }
            if len != actual_len {
                parts.push(Part::Length);
            }
        }
        (Body::Icmp(wanted), Body::Icmp(_)) => {
            let (kind, code) = icmp::type_code(wanted, seen.ip.src.is_ipv6(), options)?;
            let same = matches!(&seen.body, SeenBody::Icmp { kind: k, code: c, word, .. }
                if (*k, *c) == (kind, code) && wanted.mtu.is_none_or(|mtu| mtu == *word));
            if !same {
                parts.push(Part::Kind);
            }
        }
        _ => parts.push(Part::Kind),
    }
    Ok(parts)
}

fn tcp_differences(wanted: &TcpSpec, actual: &TcpSpec, parts: &mut Vec<Part>) {
    let wanted_flags = match wanted.flags.ace {
        Some(_) => FlagSpec { bits: wanted.flags.bits & !flag::ACE, ..wanted.flags },
        None => wanted.flags,
    };
    if wanted_flags != actual.flags {
        parts.push(Part::Flags);
    }
    if wanted.seq != actual.seq {
        parts.push(Part::Seq);
    }
    if wanted.ack.is_some() && wanted.ack != actual.ack {
        parts.push(Part::Ack);
    }
    if wanted.window.is_some() && wanted.window != actual.window {
        parts.push(Part::Window);
    }
    if wanted.urgent.unwrap_or(0) != actual.urgent.unwrap_or(0) {
        parts.push(Part::Urgent);
    }
    let udp_differs = wanted.encapsulation != actual.encapsulation;
    if wanted.ports != actual.ports || udp_differs {
        parts.push(Part::Ports);
    }
}

fn option_differences(
    wanted: &OptionsSpec,
    actual: &OptionsSpec,
    seen: &Seen,
    options: &Options,
    parts: &mut Vec<Part>,
) -> Result<(), Error> {
    let none = Vec::new();
    let list = |spec: &'_ OptionsSpec| match spec {
        OptionsSpec::List(list) => list.clone(),
        OptionsSpec::None | OptionsSpec::Any => none.clone(),
    };
    if *wanted == OptionsSpec::Any {
        return Ok(());
    }
    let (wanted, actual) = (list(wanted), list(actual));
    for at in 0..wanted.len().max(actual.len()) {
        let same = match (wanted.get(at), actual.get(at)) {
            (Some(wanted), Some(actual)) => same_option(wanted, actual, seen, options)?,
            _ => false,
        };
        if !same {
            parts.push(Part::Option(at));
        }
    }
    if wanted.len() != actual.len() {
        parts.push(Part::Options);
    }
    Ok(())
}

fn same_option(
    wanted: &OptionSpec,
    actual: &OptionSpec,
    seen: &Seen,
    options: &Options,
) -> Result<bool, Error> {
    Ok(match (wanted, actual) {
        (
            OptionSpec::Timestamps { val: Some(wanted), .. },
            OptionSpec::Timestamps { val: Some(actual), .. },
        ) if options.tcp_ts_tick_usecs > 0 => {
            let distance = i64::from(actual.wrapping_sub(*wanted).cast_signed()).unsigned_abs();
            distance * options.tcp_ts_tick_usecs <= options.tolerance_usecs
        }
        (OptionSpec::Timestamps { .. }, OptionSpec::Timestamps { .. }) => true,
        (OptionSpec::FastOpen(wanted), OptionSpec::FastOpen(actual))
        | (OptionSpec::FastOpenExperimental(wanted), OptionSpec::FastOpenExperimental(actual)) => {
            resolved(wanted, options)? == *actual
        }
        (OptionSpec::Md5(None), OptionSpec::Md5(Some(actual))) => match &options.md5_secret {
            Some(secret) => digest_is_right(seen, secret, actual),
            None => true,
        },
        (wanted, actual) => wanted == actual,
    })
}

fn digest_is_right(seen: &Seen, secret: &[u8], digest: &[u8; 16]) -> bool {
    let SeenBody::Tcp(segment, _) = &seen.body else { return false };
    let ip: Envelope = seen.ip;
    digest::of(ip, segment, secret) == *digest
}

/// Remembers the outbound timestamp, so that an inbound `ecr` can name it.
pub(crate) fn note_timestamp(flow: &mut Flow, wanted: &TcpSpec, live: &Segment) {
    let OptionsSpec::List(list) = &wanted.options else { return };
    let said = list.iter().find_map(|option| match option {
        OptionSpec::Timestamps { val, .. } => *val,
        _ => None,
    });
    let sent = options_wire::decode(&live.options).into_iter().find_map(|option| match option {
        OptionSpec::Timestamps { val, .. } => val,
        _ => None,
    });
    if let (Some(said), Some(sent)) = (said, sent) {
        flow.clock.vals.insert(said, sent);
        flow.clock.first.get_or_insert((said, sent));
    }
}
