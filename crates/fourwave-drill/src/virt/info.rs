//! TCP_INFO by Linux's names and units, and what Linux calls ICMP errors.

use std::time::Duration;

use fourwave_core::TcpInfo;
use fourwave_core::state::State;
use fourwave_wire::ip::{IpHeader, protocol};

use super::Virtual;
use super::abi::errno;
use super::file::File;
use super::freebsd;
use super::socket::Phase;
use crate::syscall::Fd;
use crate::target::Facts;

/// Linux's number of a state.
fn number(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// Of `tcpi_options`.
const ECN_SEEN: i64 = 16;

/// `tcpi_options`.
fn option_bits(info: &TcpInfo) -> i64 {
    const TIMESTAMPS: i64 = 1;
    const SACK: i64 = 2;
    const WSCALE: i64 = 4;
    const ECN: i64 = 8;
    const SYN_DATA: i64 = 32;
    let timestamps = if info.timestamps { TIMESTAMPS } else { 0 };
    let scale = if info.snd_wscale.is_some() { WSCALE } else { 0 };
    let sack = if info.sack { SACK } else { 0 };
    let syn_data = if info.syn_data { SYN_DATA } else { 0 };
    let ecn = if info.ecn { ECN } else { 0 };
    let seen = if info.ecn_seen { ECN_SEEN } else { 0 };
    timestamps | sack | scale | ecn | seen | syn_data
}

impl Virtual {
    pub(super) fn facts(&self, fd: Fd) -> Option<Facts> {
        let Some(File::Socket(socket)) = self.files.get(&fd) else { return None };
        let mut facts = Facts::new();
        let state = self.state_of(socket.phase);
        let is_freebsd = self.sysctls.freebsd.is_some();
        let state = if is_freebsd { freebsd::number(state) } else { number(state) };
        facts.insert("tcpi_state".into(), state);
        if let Some(info) = self.engine_info(socket.phase) {
            connection_facts(&info, &mut facts);
        }
        if is_freebsd && let Some(options) = facts.get_mut("tcpi_options") {
            // Its bit 4 says something else, and what marks arrived it does not tell.
            *options &= !ECN_SEEN;
        }
        if let Phase::Listening(listener) = socket.phase {
            facts.insert("tcpi_unacked".into(), self.engine.acceptable(listener) as i64);
        }
        // A socket without a connection has agreed on nothing.
        facts.entry("tcpi_options".into()).or_insert(0);
        Some(facts)
    }
}

fn connection_facts(info: &TcpInfo, facts: &mut Facts) {
    let mss = u64::from(info.snd_mss.max(1));
    let packets = |bytes: u64| bytes.div_ceil(mss) as i64;
    let micros = |time: Duration| time.as_micros() as i64;
    let millis = |time: Duration| time.as_millis() as i64;
    let threshold = match info.snd_ssthresh {
        u64::MAX => 0x7fff_ffff,
        bytes => (bytes / mss) as i64,
    };
    let named: [(&str, i64); 38] = [
        ("tcpi_options", option_bits(info)),
        ("tcpi_snd_wscale", info.snd_wscale.unwrap_or(0).into()),
        ("tcpi_rcv_wscale", info.rcv_wscale.unwrap_or(0).into()),
        ("tcpi_rto", micros(info.rto)),
        ("tcpi_snd_mss", info.snd_mss.into()),
        ("tcpi_unacked", packets(info.unacked.into())),
        ("tcpi_sacked", packets(info.sacked.into())),
        ("tcpi_lost", packets(info.lost.into())),
        ("tcpi_retrans", packets(info.retrans.into())),
        ("tcpi_reordering", info.reordering.into()),
        ("tcpi_reord_seen", info.reord_seen.into()),
        ("tcpi_backoff", info.backoff.into()),
        ("tcpi_retransmits", info.backoff.into()),
        ("tcpi_rtt", micros(info.rtt)),
        ("tcpi_rttvar", micros(info.rttvar)),
        (
            "tcpi_min_rtt",
            if info.min_rtt.is_zero() { u32::MAX.into() } else { micros(info.min_rtt) },
        ),
        ("tcpi_snd_ssthresh", threshold),
        ("tcpi_snd_cwnd", (info.snd_cwnd / mss) as i64),
        ("tcpi_total_retrans", info.total_retrans.into()),
        ("tcpi_bytes_acked", info.bytes_acked as i64),
        ("tcpi_bytes_received", info.bytes_received as i64),
        ("tcpi_notsent_bytes", info.notsent_bytes as i64),
        ("tcpi_snd_wnd", info.snd_wnd.into()),
        ("tcpi_rcv_wnd", info.rcv_wnd.into()),
        ("tcpi_ca_state", info.ca_state as i64),
        ("tcpi_probes", info.probes.into()),
        ("tcpi_advmss", info.advmss.into()),
        ("tcpi_rcv_mss", info.rcv_mss.into()),
        ("tcpi_delivered", info.delivered.into()),
        ("tcpi_delivered_ce", info.delivered_ce.into()),
        ("tcpi_bytes_sent", info.bytes_sent as i64),
        ("tcpi_bytes_retrans", info.bytes_retrans as i64),
        ("tcpi_last_data_sent", millis(info.last_data_sent)),
        ("tcpi_last_data_recv", millis(info.last_data_recv)),
        ("tcpi_last_ack_recv", millis(info.last_ack_recv)),
        ("tcpi_busy_time", micros(info.busy_time)),
        ("tcpi_rwnd_limited", micros(info.rwnd_limited)),
        ("tcpi_sndbuf_limited", micros(info.sndbuf_limited)),
    ];
    facts.extend(named.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    let told = info.acc_ecn.unwrap_or_default();
    let named: [(&str, i64); 9] = [
        ("tcpi_received_ce", told.received_ce.into()),
        ("tcpi_received_e1_bytes", told.received_e1_bytes.into()),
        ("tcpi_received_e0_bytes", told.received_e0_bytes.into()),
        ("tcpi_received_ce_bytes", told.received_ce_bytes.into()),
        ("tcpi_delivered_e1_bytes", told.delivered_e1_bytes.into()),
        ("tcpi_delivered_e0_bytes", told.delivered_e0_bytes.into()),
        ("tcpi_delivered_ce_bytes", told.delivered_ce_bytes.into()),
        ("tcpi_accecn_fail_mode", told.accecn_fail_mode.into()),
        ("tcpi_accecn_opt_seen", told.accecn_opt_seen.into()),
    ];
    facts.extend(named.iter().map(|(name, value)| ((*name).to_owned(), *value)));
}

/// What Linux makes of an ICMP error (by type and code); none for other packets.
pub(super) fn icmp_errno(packet: &[u8]) -> Option<i32> {
    let ip = IpHeader::parse(packet).ok()?;
    let message = packet.get(ip.payload.clone())?;
    let (kind, code) = (*message.first()?, *message.get(1)?);
    Some(match (ip.protocol, kind, code) {
        (protocol::ICMP, 3, 0 | 6 | 9 | 11) => errno::ENETUNREACH,
        (protocol::ICMP, 3, 2) => errno::ENOPROTOOPT,
        (protocol::ICMP, 3, 3) | (protocol::ICMPV6, 1, 4) => errno::ECONNREFUSED,
        (protocol::ICMP, 3, 4) | (protocol::ICMPV6, 2, _) => errno::EMSGSIZE,
        (protocol::ICMP, 3, 5) => errno::EOPNOTSUPP,
        (protocol::ICMP, 3, 7) => errno::EHOSTDOWN,
        (protocol::ICMP, 3, 8) => errno::ENONET,
        (protocol::ICMP, 3 | 11, _) | (protocol::ICMPV6, 1 | 3, 3 | 2) => errno::EHOSTUNREACH,
        (protocol::ICMPV6, 1, 0) => errno::ENETUNREACH,
        (protocol::ICMPV6, 1, _) => errno::EACCES,
        (protocol::ICMPV6, 3, _) => errno::EHOSTUNREACH,
        (protocol::ICMP, 12, _) | (protocol::ICMPV6, 4, _) => errno::EPROTO,
        _ => return None,
    })
}
