//! ICMP errors of the script.

use fourwave_wire::ip::protocol;

use crate::ast::{Echoed, IcmpSpec, SeqSpec};
use crate::run::flows::Flow;
use crate::run::raw::{self, Envelope, Segment};
use crate::run::spec::fits;
use crate::run::{Error, Options};

/// Type and code of an error.
type TypeCode = (u8, u8);

/// Names, and what they are in ICMP and ICMPv6.
const KINDS: &[(&str, Option<u8>, Option<u8>)] = &[
    ("unreachable", Some(3), Some(1)),
    ("dst_unreachable", Some(3), Some(1)),
    ("packet_too_big", Some(3), Some(2)),
    ("source_quench", Some(4), None),
    ("redirect", Some(5), Some(137)),
    ("time_exceeded", Some(11), Some(3)),
    ("parameter_problem", Some(12), Some(4)),
    ("echo_reply", Some(0), Some(129)),
    ("echo_request", Some(8), Some(128)),
    ("router_advertisement", Some(9), Some(134)),
    ("router_solicitation", Some(10), Some(133)),
    ("neighbor_solicitation", None, Some(135)),
    ("neighbor_advertisement", None, Some(136)),
    ("timestamp_request", Some(13), None),
    ("timestamp_reply", Some(14), None),
    ("information_request", Some(15), None),
    ("information_reply", Some(16), None),
    ("address_mask_request", Some(17), None),
    ("address_mask_reply", Some(18), None),
];

/// Types that speak of a packet and quote it.
const ERRORS_V4: [u8; 5] = [3, 4, 5, 11, 12];
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

/// Codes of `unreachable`.
const CODES_V4: &[(&str, u8)] = &[
    ("net_unreachable", 0),
    ("host_unreachable", 1),
    ("protocol_unreachable", 2),
    ("port_unreachable", 3),
    ("frag_needed", 4),
    ("source_route_failed", 5),
    ("net_unknown", 6),
    ("host_unknown", 7),
    ("source_host_isolated", 8),
    ("net_prohibited", 9),
    ("host_prohibited", 10),
    ("net_unreachable_for_tos", 11),
    ("host_unreachable_for_tos", 12),
    ("admin_prohibited", 13),
    ("communication_prohibited", 13),
    ("packet_filtered", 13),
    ("precedence_violation", 14),
    ("host_precedence_violation", 14),
    ("precedence_cutoff", 15),
    // Of `time_exceeded`.
    ("ttl_exceeded_in_transit", 0),
    ("frag_reass_exceeded", 1),
];

const CODES_V6: &[(&str, u8)] = &[
    ("no_route", 0),
    ("net_unreachable", 0),
    ("admin_prohibited", 1),
    ("beyond_scope", 2),
    ("not_neighbour", 2),
    ("host_unreachable", 3),
    ("address_unreachable", 3),
    ("port_unreachable", 4),
    ("source_policy_failed", 5),
    ("reject_route", 6),
    // Of `time_exceeded`.
    ("hop_limit_exceeded_in_transit", 0),
    ("frag_reass_time_exceeded", 1),
];

/// Type and code of what a script says.
///
/// # Errors
/// A name that the family has not.
pub(crate) fn type_code(spec: &IcmpSpec, ipv6: bool, options: &Options) -> Result<TypeCode, Error> {
    let family = if ipv6 { "ICMPv6" } else { "ICMP" };
    let unknown = |what: &str| Error::Wrong(format!("{family} has no {what}"));
    let named = KINDS.iter().find(|(name, ..)| *name == spec.kind);
    let kind = named.and_then(|(_, v4, v6)| if ipv6 { *v6 } else { *v4 });
    let kind = kind.or_else(|| numbered(&spec.kind, "type_"));
    let kind = kind.ok_or_else(|| unknown(&spec.kind))?;
    let Some(code) = spec.code.as_deref() else {
        // IPv4 has no such type: it is "unreachable: fragmentation needed".
        return Ok((kind, if spec.kind == "packet_too_big" && !ipv6 { 4 } else { 0 }));
    };
    let defined = options.define(code);
    let code = defined.as_deref().unwrap_or(code);
    let codes = if ipv6 { CODES_V6 } else { CODES_V4 };
    let found = codes.iter().find(|(known, _)| *known == code).map(|(_, code)| *code);
    let found = found.or_else(|| numbered(code, "code_")).or_else(|| code.parse().ok());
    match found {
        Some(code) => Ok((kind, code)),
        None if code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
            Err(Error::Skip(format!("{code} is not defined (-D {code}=…)")))
        }
        None => Err(unknown(code)),
    }
}

/// `code_5`.
fn numbered(text: &str, prefix: &str) -> Option<u8> {
    text.strip_prefix(prefix)?.parse().ok()
}

/// An ICMP packet to the stack about a packet that it could have sent. `ends` are the live ports
/// of the stack and of the script.
pub(crate) fn build(
    spec: &IcmpSpec,
    ip: Envelope,
    flow: &Flow,
    ends: (u16, u16),
    options: &Options,
) -> Result<Vec<u8>, Error> {
    let ipv6 = ip.src.is_ipv6();
    let (kind, code) = type_code(spec, ipv6, options)?;
    let is_error = if ipv6 { ERRORS_V6.contains(&kind) } else { ERRORS_V4.contains(&kind) };
    let quoted = match &spec.echoed {
        Some(echoed) => quoted(echoed, ip, flow, ends)?,
        None if !is_error => Vec::new(),
        None if flow.is_udp => quoted(&Echoed::Udp(0), ip, flow, ends)?,
        None => {
            let seq = SeqSpec::Range { start: 0, end: 0, len: 0, absolute: false };
            quoted(&Echoed::Tcp(seq), ip, flow, ends)?
        }
    };
    let mut message = vec![kind, code, 0, 0];
    let word = spec.mtu.unwrap_or(0) | spec.id.unwrap_or(0) << 16;
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(&quoted);
    let protocol = if ipv6 { protocol::ICMPV6 } else { protocol::ICMP };
    if ipv6 {
        raw::fill_checksum(ip, protocol, &mut message, 2);
    } else {
        let sum = fourwave_wire::checksum::Sum::default().with(&message).finish();
        message[2..4].copy_from_slice(&sum);
    }
    Ok(raw::in_ip(ip, protocol, &message))
}

/// The packet in question, cut after its transport's header; its lengths tell all.
fn quoted(
    echoed: &Echoed,
    ip: Envelope,
    flow: &Flow,
    (local, remote): (u16, u16),
) -> Result<Vec<u8>, Error> {
    let outbound = Envelope { src: ip.dst, dst: ip.src, tos: 0, ttl: 64, flow_label: 0 };
    let (mut packet, header) = match echoed {
        Echoed::Tcp(seq) | Echoed::TcpInUdp(seq, _) => {
            let (start, len, absolute) = match *seq {
                SeqSpec::Range { start, len, absolute, .. } => (start, len, absolute),
                SeqSpec::Unchecked { len } => (1, len, false),
            };
            fits(ip, 28, len)?;
            let shift = if absolute { 0 } else { flow.local_shift(false) };
            let segment = Segment {
                src_port: local,
                dst_port: remote,
                seq: start.wrapping_add(shift),
                ack: flow.remote_isn.unwrap_or(0).wrapping_add(1),
                flags: raw::flag::ACK,
                len,
                ..Segment::default()
            };
            match echoed {
                Echoed::TcpInUdp(_, ports) => {
                    (raw::tcp_packet(outbound, &segment, Some(*ports)), 28)
                }
                _ => (raw::tcp_packet(outbound, &segment, None), 20),
            }
        }
        Echoed::Udp(len) => {
            fits(ip, 8, u32::from(*len))?;
            (raw::udp_packet(outbound, local, remote, &vec![0; usize::from(*len)]), 8)
        }
        Echoed::Raw(_) => return Err(Error::Skip("an ICMP error about no transport".to_owned())),
        Echoed::Other(what) => {
            return Err(Error::Skip(format!("an ICMP error about another protocol: {what}")));
        }
    };
    let ip_len = if ip.src.is_ipv6() { 40 } else { 20 };
    packet.truncate(ip_len + header);
    Ok(packet)
}
