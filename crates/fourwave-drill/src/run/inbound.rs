//! Packets from the script into the stack: the script's numbers become live ones.

use crate::ast::{Body, Ecn, IpSpec, OptionSpec, OptionsSpec, Packet, SeqSpec, TcpSpec};
use crate::run::flows::{Flow, Flows};
use crate::run::raw::{self, Envelope, Segment, flag};
use crate::run::spec::{fits, flags_of, resolved, supported};
use crate::run::{Dialect, Error, Options, digest, icmp, options_wire};

/// TTL of packets that say nothing of it.
const TTL: u8 = 255;

/// The bytes of an inbound packet.
pub(crate) fn build(
    packet: &Packet,
    flows: &mut Flows,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    supported(packet)?;
    match &packet.body {
        Body::Tcp(tcp) => {
            let at = flows.for_inbound(tcp.ports, false, options);
            // The nplab dialect learns numbers from SYNs only that somebody can take.
            let taken = options.dialect != Dialect::Nplab || flows.may_take_syn(at);
            let flow = flows.get_mut(at);
            if taken && flags_of(tcp) & flag::SYN != 0 {
                note_syn(flow, tcp.seq);
            }
            tcp_packet(&packet.ip, tcp, flow, options)
        }
        Body::Udp { ports, len } => {
            let at = flows.for_inbound(*ports, true, options);
            let flow = flows.get(at);
            let (local, remote) = ends(flow, options)?;
            let ip = envelope(&packet.ip, flow, options);
            fits(ip, 8, u32::from(*len))?;
            Ok(raw::udp_packet(ip, remote, local, &vec![0; usize::from(*len)]))
        }
        Body::Icmp(icmp) => {
            let at = flows.for_inbound(None, false, options);
            let flow = flows.get(at);
            let ends = ends(flow, options)?;
            icmp::build(icmp, envelope(&packet.ip, flow, options), flow, ends, options)
        }
        Body::Other(what) => Err(Error::Skip(format!("a packet of another protocol: {what}"))),
    }
}

/// The live ports of a flow: the stack's and the script's.
fn ends(flow: &Flow, options: &Options) -> Result<(u16, u16), Error> {
    let Some(remote) = flow.remote_port else {
        return Err(Error::Wrong("no connection that this packet could belong to".to_owned()));
    };
    match flow.local_port {
        Some(local) => Ok((local, remote)),
        // A UDP socket that has sent nothing yet.
        None if flow.is_udp => Ok((options.bind_port, remote)),
        None => Err(Error::Wrong(
            "the socket has not sent its SYN yet: this packet has no port to go to".to_owned(),
        )),
    }
}

fn envelope(spec: &IpSpec, flow: &Flow, options: &Options) -> Envelope {
    let ecn = match spec.ecn {
        None => 0,
        Some(Ecn::NotEct) => 0,
        Some(Ecn::Ect0 | Ecn::Ect01) => 2,
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ce) => 3,
    };
    Envelope {
        src: flow.remote_ip,
        dst: options.local(),
        tos: spec.tos.unwrap_or(0) | spec.dscp.unwrap_or(0) << 2 | ecn,
        ttl: spec.ttl.unwrap_or(TTL),
        flow_label: spec.flow_label.unwrap_or(0),
    }
}

fn tcp_packet(
    ip: &IpSpec,
    tcp: &TcpSpec,
    flow: &mut Flow,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    let (local, remote) = ends(flow, options)?;
    let flags = flags_of(tcp);
    let syn = flags & flag::SYN != 0;
    let (start, len, absolute) = match tcp.seq {
        SeqSpec::Range { start, len, absolute, .. } => (start, len, absolute),
        SeqSpec::Unchecked { len } => (1, len, false),
    };
    let shift = if absolute { 0 } else { flow.remote_shift(syn) };
    let acked = flags & flag::ACK != 0;
    let list = live_options(&tcp.options, flow, acked, options)?;
    let (bytes, digest_at) = options_wire::encode(&list).map_err(Error::Wrong)?;
    let mut segment = Segment {
        src_port: remote,
        dst_port: local,
        seq: start.wrapping_add(shift),
        ack: live_ack(tcp, flow, flags),
        flags,
        window: tcp.window.unwrap_or(0),
        urgent: tcp.urgent.unwrap_or(0),
        options: bytes,
        len,
    };
    let ip = envelope(ip, flow, options);
    let around = if tcp.encapsulation.is_some() { 8 } else { 0 };
    fits(ip, 20 + segment.options.len() + around, len)?;
    if options.loose_segments && acked && flow.local_isn.is_some() {
        flow.stream().acknowledge(segment.ack);
    }
    if let Some(at) = digest_at {
        let Some(secret) = &options.md5_secret else {
            return Err(Error::Wrong("md5 without a digest wants --tcp_md5_secret".to_owned()));
        };
        let digest = digest::of(ip, &segment, secret);
        segment.options[at..at + 16].copy_from_slice(&digest);
    }
    Ok(raw::tcp_packet(ip, &segment, tcp.encapsulation))
}

/// The script's initial sequence number is learned from its first SYN; from a later one only when
/// the stack answers it.
fn note_syn(flow: &mut Flow, seq: SeqSpec) {
    let start = match seq {
        SeqSpec::Range { start, .. } => start,
        SeqSpec::Unchecked { .. } => 1,
    };
    match flow.remote_isn {
        None => flow.remote_isn = Some(start),
        Some(known) if known != start => flow.new_isn = Some(start),
        Some(_) => {}
    }
}

fn live_ack(tcp: &TcpSpec, flow: &Flow, flags: u16) -> u32 {
    match tcp.ack {
        Some(ack) => ack.wrapping_add(flow.local_shift(flags & flag::SYN != 0)),
        None => 0,
    }
}

fn live_options(
    spec: &OptionsSpec,
    flow: &Flow,
    acked: bool,
    options: &Options,
) -> Result<Vec<OptionSpec>, Error> {
    let OptionsSpec::List(list) = spec else { return Ok(Vec::new()) };
    list.iter().map(|option| live_option(option, flow, acked, options)).collect()
}

fn live_option(
    option: &OptionSpec,
    flow: &Flow,
    acked: bool,
    options: &Options,
) -> Result<OptionSpec, Error> {
    Ok(match option {
        OptionSpec::Sack(blocks) => {
            let shift = flow.local_shift(false);
            let live =
                |(start, end): &(u32, u32)| (start.wrapping_add(shift), end.wrapping_add(shift));
            OptionSpec::Sack(blocks.iter().map(live).collect())
        }
        OptionSpec::Timestamps { val, ecr: Some(ecr), absolute: false } if acked => {
            let ecr = Some(live_ecr(*ecr, flow, options)?);
            OptionSpec::Timestamps { val: *val, ecr, absolute: false }
        }
        OptionSpec::FastOpen(cookie) => OptionSpec::FastOpen(resolved(cookie, options)?),
        OptionSpec::FastOpenExperimental(cookie) => {
            OptionSpec::FastOpenExperimental(resolved(cookie, options)?)
        }
        other => other.clone(),
    })
}

fn live_ecr(ecr: u32, flow: &Flow, options: &Options) -> Result<u32, Error> {
    if let Some(live) = flow.clock.vals.get(&ecr) {
        return Ok(*live);
    }
    match flow.clock.first {
        Some((script, live)) if options.tcp_ts_ecr_scaled => {
            Ok(live.wrapping_add(ecr.wrapping_sub(script)))
        }
        _ => Err(Error::Wrong(format!(
            "ecr {ecr} was no outbound TS val so far (--tcp_ts_ecr_scaled counts from the first)"
        ))),
    }
}
