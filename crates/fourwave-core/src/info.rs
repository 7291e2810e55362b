//! What a caller can ask of one connection: TCP_INFO.

use core::net::SocketAddr;

use fourwave_wire::icmp::IcmpError;

pub use crate::sender::CaState;
use crate::state::State;
use crate::time::Duration;

/// AccECN's counters and what is known of the path, named as in Linux's `struct tcp_info`. Counters
/// begin with 0 and wrap at 2³².
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AccEcnInfo {
    /// Packets that arrived marked.
    pub received_ce: u32,
    /// Payload bytes that arrived as ECT(1).
    pub received_e1_bytes: u32,
    /// Payload bytes that arrived as ECT(0).
    pub received_e0_bytes: u32,
    /// Payload bytes that arrived marked.
    pub received_ce_bytes: u32,
    /// Payload bytes of ours that arrived as ECT(1), as the peer's options tell.
    pub delivered_e1_bytes: u32,
    /// Payload bytes of ours that arrived as ECT(0), as the peer's options tell.
    pub delivered_e0_bytes: u32,
    /// Payload bytes of ours that arrived marked, as the peer's options tell.
    pub delivered_ce_bytes: u32,
    /// What was found wrong, a sum: 1 our ACE field does not get through, 2 the peer's does not or
    /// codepoints are changed on the way, 4 segments with our option are lost, 8 the peer's options
    /// are zeroed.
    pub accecn_fail_mode: u16,
    /// The peer's options: 0 none came, 1 empty ones, 2 counters, 3 zeroed ones.
    pub accecn_opt_seen: u16,
}

/// A connection's statistics, named as in Linux's `struct tcp_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// State.
    pub state: State,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Smoothed round-trip time; zero before the first sample.
    pub rtt: Duration,
    /// Mean deviation of the round-trip time.
    pub rttvar: Duration,
    /// Smallest round-trip time seen; zero before the first sample.
    pub min_rtt: Duration,
    /// Retransmission timeout, back-off included.
    pub rto: Duration,
    /// Consecutive retransmission timeouts.
    pub backoff: u32,
    /// Congestion window in bytes.
    pub snd_cwnd: u64,
    /// Slow-start threshold in bytes; `u64::MAX` before the first loss.
    pub snd_ssthresh: u64,
    /// Bytes a second at which the congestion control paces; `None` when it does not.
    pub pacing_rate: Option<u64>,
    /// The congestion control's name, as in `TCP_CONGESTION`.
    pub congestion: &'static str,
    /// The peer's window in bytes.
    pub snd_wnd: u32,
    /// Our window as last advertised, in bytes.
    pub rcv_wnd: u32,
    /// Payload bytes of a full segment.
    pub snd_mss: u32,
    /// Bytes sent and not acknowledged.
    pub unacked: u32,
    /// Bytes of them that the peer acknowledged selectively.
    pub sacked: u32,
    /// Bytes of them that are taken for lost, sent again since or not.
    pub lost: u32,
    /// Bytes of them that are on their way again.
    pub retrans: u32,
    /// Segments by which the network was seen to reorder; at least 3, as in Linux. It does not say
    /// how many duplicates mean a loss: time does (RFC 8985).
    pub reordering: u32,
    /// Times that the network was seen to reorder; up to 65,535 are counted.
    pub reord_seen: u32,
    /// Bytes queued and not sent yet.
    pub notsent_bytes: u64,
    /// Received bytes that the application has not read.
    pub rcv_unread: u64,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload bytes retransmitted.
    pub bytes_retrans: u64,
    /// Bytes acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Segments retransmitted in all.
    pub total_retrans: u32,
    /// Segments that were acknowledged, our SYN included, which counts once
    /// with the text on it: each ACK's bytes in full segments,
    /// rounded up.
    pub delivered: u32,
    /// Those of them whose ACK echoed a mark (ECN, RFC 3168).
    pub delivered_ce: u32,
    /// How long ago payload was last sent; before any, when the connection opened.
    pub last_data_sent: Duration,
    /// How long ago payload last came in order; before any, when the connection opened.
    pub last_data_recv: Duration,
    /// How long ago the last acceptable segment with an ACK came; before any, when the connection
    /// opened.
    pub last_ack_recv: Duration,
    /// How long in all something was queued or in flight; counted in milliseconds, as the two that
    /// follow and are parts of it.
    pub busy_time: Duration,
    /// How long in all that waited for the peer's window.
    pub rwnd_limited: Duration,
    /// How long in all everything was in flight while a writer waited for room in the send buffer.
    pub sndbuf_limited: Duration,
    /// What loss recovery is about.
    pub ca_state: CaState,
    /// Probes, of a zero window or keepalive, that nothing has answered.
    pub probes: u32,
    /// The MSS that we announce.
    pub advmss: u32,
    /// The largest segment that we expect.
    pub rcv_mss: u32,
    /// The last ICMP error about what is in flight that did not end the connection.
    pub icmp_error: Option<IcmpError>,
    /// Whether timestamps are in use.
    pub timestamps: bool,
    /// Whether both ends understand SACK.
    pub sack: bool,
    /// Whether both ends understand ECN (RFC 3168).
    pub ecn: bool,
    /// Whether text arrived that was ECN-capable.
    pub ecn_seen: bool,
    /// What both ends count, where they agreed on AccECN (RFC 9768).
    pub acc_ecn: Option<AccEcnInfo>,
    /// Whether text on a SYN was taken, ours or the peer's (Fast Open).
    pub syn_data: bool,
    /// Our window-scale shift, when scaling is in use.
    pub rcv_wscale: Option<u8>,
    /// The peer's window-scale shift, when scaling is in use.
    pub snd_wscale: Option<u8>,
}
