//! `struct tcp_info` by the names of its fields (`include/uapi/linux/tcp.h`).

use std::os::fd::{AsFd, OwnedFd};

use fourwave_linux::calls;

use crate::target::Facts;

/// A field: its name, where it stands and how many bytes it has. A kernel that knows less of them
/// writes less.
type Field = (&'static str, usize, usize);

const FIELDS: &[Field] = &[
    ("tcpi_state", 0, 1),
    ("tcpi_ca_state", 1, 1),
    ("tcpi_retransmits", 2, 1),
    ("tcpi_probes", 3, 1),
    ("tcpi_backoff", 4, 1),
    ("tcpi_options", 5, 1),
    ("tcpi_rto", 8, 4),
    ("tcpi_ato", 12, 4),
    ("tcpi_snd_mss", 16, 4),
    ("tcpi_rcv_mss", 20, 4),
    ("tcpi_unacked", 24, 4),
    ("tcpi_sacked", 28, 4),
    ("tcpi_lost", 32, 4),
    ("tcpi_retrans", 36, 4),
    ("tcpi_fackets", 40, 4),
    ("tcpi_last_data_sent", 44, 4),
    ("tcpi_last_ack_sent", 48, 4),
    ("tcpi_last_data_recv", 52, 4),
    ("tcpi_last_ack_recv", 56, 4),
    ("tcpi_pmtu", 60, 4),
    ("tcpi_rcv_ssthresh", 64, 4),
    ("tcpi_rtt", 68, 4),
    ("tcpi_rttvar", 72, 4),
    ("tcpi_snd_ssthresh", 76, 4),
    ("tcpi_snd_cwnd", 80, 4),
    ("tcpi_advmss", 84, 4),
    ("tcpi_reordering", 88, 4),
    ("tcpi_rcv_rtt", 92, 4),
    ("tcpi_rcv_space", 96, 4),
    ("tcpi_total_retrans", 100, 4),
    ("tcpi_pacing_rate", 104, 8),
    ("tcpi_max_pacing_rate", 112, 8),
    ("tcpi_bytes_acked", 120, 8),
    ("tcpi_bytes_received", 128, 8),
    ("tcpi_segs_out", 136, 4),
    ("tcpi_segs_in", 140, 4),
    ("tcpi_notsent_bytes", 144, 4),
    ("tcpi_min_rtt", 148, 4),
    ("tcpi_data_segs_in", 152, 4),
    ("tcpi_data_segs_out", 156, 4),
    ("tcpi_delivery_rate", 160, 8),
    ("tcpi_busy_time", 168, 8),
    ("tcpi_rwnd_limited", 176, 8),
    ("tcpi_sndbuf_limited", 184, 8),
    ("tcpi_delivered", 192, 4),
    ("tcpi_delivered_ce", 196, 4),
    ("tcpi_bytes_sent", 200, 8),
    ("tcpi_bytes_retrans", 208, 8),
    ("tcpi_dsack_dups", 216, 4),
    ("tcpi_reord_seen", 220, 4),
    ("tcpi_rcv_ooopack", 224, 4),
    ("tcpi_snd_wnd", 228, 4),
    ("tcpi_rcv_wnd", 232, 4),
    ("tcpi_rehash", 236, 4),
    ("tcpi_total_rto", 240, 2),
    ("tcpi_total_rto_recoveries", 242, 2),
    ("tcpi_total_rto_time", 244, 4),
    ("tcpi_received_ce", 248, 4),
    ("tcpi_delivered_e1_bytes", 252, 4),
    ("tcpi_delivered_e0_bytes", 256, 4),
    ("tcpi_delivered_ce_bytes", 260, 4),
    ("tcpi_received_e1_bytes", 264, 4),
    ("tcpi_received_e0_bytes", 268, 4),
    ("tcpi_received_ce_bytes", 272, 4),
    ("tcpi_accecn_fail_mode", 276, 2),
    ("tcpi_accecn_opt_seen", 278, 2),
];

/// What SO_MEMINFO says, 4 bytes each (`include/uapi/linux/sock_diag.h`).
const MEMORY: &[&str] = &[
    "SK_MEMINFO_RMEM_ALLOC",
    "SK_MEMINFO_RCVBUF",
    "SK_MEMINFO_WMEM_ALLOC",
    "SK_MEMINFO_SNDBUF",
    "SK_MEMINFO_FWD_ALLOC",
    "SK_MEMINFO_WMEM_QUEUED",
    "SK_MEMINFO_OPTMEM",
    "SK_MEMINFO_BACKLOG",
    "SK_MEMINFO_DROPS",
];
const SO_MEMINFO: i32 = 55;

/// TCP_INFO and SO_MEMINFO of a descriptor; none where it is no TCP socket.
pub(super) fn read(fd: &OwnedFd) -> Option<Facts> {
    let mut bytes = [0; 512];
    let len = calls::get_option(fd.as_fd(), libc::SOL_TCP, libc::TCP_INFO, &mut bytes).ok()?;
    let mut facts = decode(&bytes[..len]);
    if let Ok(len) = calls::get_option(fd.as_fd(), libc::SOL_SOCKET, SO_MEMINFO, &mut bytes) {
        let numbers = bytes[..len].as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let named = MEMORY.iter().zip(numbers);
        facts.extend(named.map(|(name, number)| ((*name).to_owned(), number.into())));
    }
    Some(facts)
}

fn decode(bytes: &[u8]) -> Facts {
    let number = |at: usize, len: usize| {
        let mut wide = [0; 8];
        wide[..len].copy_from_slice(bytes.get(at..at + len)?);
        Some(i64::try_from(u64::from_le_bytes(wide)).unwrap_or(i64::MAX))
    };
    let mut facts: Facts = FIELDS
        .iter()
        .filter_map(|&(name, at, len)| Some((name.to_owned(), number(at, len)?)))
        .collect();
    // Fields of bits.
    if let (Some(scales), Some(flags)) = (number(6, 1), number(7, 1)) {
        facts.insert("tcpi_snd_wscale".into(), scales & 0xf);
        facts.insert("tcpi_rcv_wscale".into(), scales >> 4);
        facts.insert("tcpi_delivery_rate_app_limited".into(), flags & 1);
        facts.insert("tcpi_fastopen_client_fail".into(), (flags >> 1) & 3);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_writes_less_says_less() {
        let mut bytes = [0_u8; 200];
        (bytes[0], bytes[6], bytes[7], bytes[80]) = (1, 0x87, 0b101, 10);
        let facts = decode(&bytes);
        let values = ["tcpi_state", "tcpi_snd_wscale", "tcpi_rcv_wscale", "tcpi_snd_cwnd"];
        assert_eq!(values.map(|name| facts[name]), [1, 7, 8, 10]);
        assert_eq!(facts["tcpi_fastopen_client_fail"], 2);
        assert!(facts.contains_key("tcpi_delivered_ce"));
        assert!(!facts.contains_key("tcpi_bytes_sent"));
        assert_eq!(decode(&[]), Facts::new());
    }

    #[test]
    fn the_fields_lie_side_by_side() {
        let end_of_bits = 8;
        let mut at = end_of_bits;
        for &(name, start, len) in FIELDS.iter().filter(|field| field.1 >= end_of_bits) {
            assert_eq!(start, at, "{name}");
            at += len;
        }
    }
}
