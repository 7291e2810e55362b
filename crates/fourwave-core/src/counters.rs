//! What the engine counts, under Linux's names (`nstat`) where Linux has one.

macro_rules! counters {
    ($($field:ident = $name:literal, $about:literal;)*) => {
        /// Counters since the engine was made. They only grow, and wrap at 2⁶⁴.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $(#[doc = $about] pub $field: u64,)*
        }

        impl Counters {
            /// Every counter with its name, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    active_opens = "TcpActiveOpens", "Connections opened by us.";
    passive_opens = "TcpPassiveOpens", "Connections opened by a peer.";
    attempt_fails = "TcpAttemptFails", "Opens that failed.";
    estab_resets = "TcpEstabResets", "Open connections that ended by RST.";
    in_segs = "TcpInSegs", "Segments received, super-segments counted once.";
    out_segs = "TcpOutSegs", "Segments sent, super-segments counted once.";
    retrans_segs = "TcpRetransSegs", "Segments retransmitted.";
    in_errs = "TcpInErrs", "Packets dropped as malformed.";
    in_no_ect = "IpExtInNoECTPkts", "TCP packets received that are not ECN-capable; super-packets \
         are counted once here and in the three that follow.";
    in_ect1 = "IpExtInECT1Pkts", "TCP packets received as ECT(1).";
    in_ect0 = "IpExtInECT0Pkts", "TCP packets received as ECT(0).";
    in_ce = "IpExtInCEPkts", "TCP packets received that the network has marked.";
    in_csum_errors = "TcpInCsumErrors", "Packets dropped for a wrong checksum.";
    out_rsts = "TcpOutRsts", "RSTs sent.";
    listen_overflows = "TcpExtListenOverflows", "Handshakes held up by a full accept queue.";
    listen_drops = "TcpExtListenDrops", "SYNs dropped at a listener's limits.";
    paws_active = "TcpExtPAWSActive", "SYN ACKs dropped for an old timestamp.";
    paws_estab = "TcpExtPAWSEstab", "Segments dropped for an old timestamp.";
    tw = "TcpExtTW", "TIME_WAITs that ran their time.";
    tw_recycled = "TcpExtTWRecycled", "TIME_WAITs that an outgoing connection took over.";
    tw_killed = "TcpExtTWKilled", "TIME_WAITs that ended early: recycled, or by an RST.";
    tw_taken_over = "TcpExtTWTakenOver", "TIME_WAITs that an incoming SYN took over.";
    tw_evicted = "TcpExtTWEvicted", "TIME_WAITs dropped to make room for newer ones.";
    tw_restored = "TcpExtTWRestored", "TIME_WAITs back after an old SYN took them over.";
    time_wait_overflow = "TcpExtTCPTimeWaitOverflow", "TIME_WAITs that met tcp_max_tw_buckets.";
    paws_passive = "TcpExtPAWSPassive", "SYNs dropped by tcp_tw_recycle for an old timestamp.";
    close_wait_suspected = "TcpExtCloseWaitSuspected", "CLOSE_WAITs older than the limit.";
    challenge_ack = "TcpExtTCPChallengeACK", "Challenge ACKs sent (RFC 5961).";
    syn_challenge = "TcpExtTCPSYNChallenge", "Challenge ACKs that answered a SYN.";
    delayed_acks = "TcpExtDelayedACKs", "ACKs that waited their time.";
    delivered_ce = "TcpExtTCPDeliveredCE", "Segments whose ACK echoed a mark.";
    timeouts = "TcpExtTCPTimeouts", "Retransmission timeouts.";
    fast_retrans = "TcpExtTCPFastRetrans", "Fast retransmissions.";
    loss_probes = "TcpExtTCPLossProbes", "Tail loss probes sent (RFC 8985).";
    spurious_rtos = "TcpExtTCPSpuriousRTOs", "Retransmission timeouts found spurious (RFC 5682).";
    full_undos = "TcpExtTCPFullUndo",
        "Losses that an echoed timestamp told to be none, their reduction undone (RFC 3522).";
    dsack_undos = "TcpExtTCPDSACKUndo",
        "Losses that duplicates told to be none, their reduction undone (RFC 3708).";
    memory_pressures = "TcpExtTCPMemoryPressures", "Times that tcp_mem_pressure was crossed.";
    rcv_q_drop = "TcpExtTCPRcvQDrop", "Segments in order dropped at tcp_mem_high.";
    mtup_fail = "TcpExtTCPMTUPFail", "Probes of a path's MTU that were lost (RFC 4821).";
    mtup_success = "TcpExtTCPMTUPSuccess", "Probes of a path's MTU that arrived.";
    ofo_queue = "TcpExtTCPOFOQueue", "Segments queued out of order.";
    rcv_pruned = "TcpExtOfoPruned", "Out-of-order segments dropped for want of room.";
    keepalive = "TcpExtTCPKeepAlive", "Keepalive probes sent.";
    window_probes = "TcpExtTCPWinProbe", "Zero-window probes sent.";
    abort_on_close = "TcpExtTCPAbortOnClose", "Connections closed with unread data.";
    abort_on_data = "TcpExtTCPAbortOnData", "Connections that got data after close.";
    abort_on_linger = "TcpExtTCPAbortOnLinger", "Connections closed with SO_LINGER 0.";
    abort_on_memory = "TcpExtTCPAbortOnMemory",
        "Closed connections given up at tcp_max_orphans, or with data to send at tcp_mem_high.";
    abort_on_timeout = "TcpExtTCPAbortOnTimeout", "Connections given up after a timeout.";
    abort_failed = "TcpExtTCPAbortFailed", "RSTs that could not be queued.";
    fast_open_active = "TcpExtTCPFastOpenActive", "SYNs of ours whose text was taken.";
    fast_open_active_fail = "TcpExtTCPFastOpenActiveFail", "SYNs of ours whose text was not taken.";
    fast_open_blackhole = "TcpExtTCPFastOpenBlackhole", "Times that Fast Open was found blocked.";
    fast_open_cookie_reqd = "TcpExtTCPFastOpenCookieReqd", "SYNs that asked for a cookie.";
    fast_open_passive = "TcpExtTCPFastOpenPassive", "Connections opened by a SYN with a cookie.";
    fast_open_passive_fail = "TcpExtTCPFastOpenPassiveFail", "SYNs with a cookie that was wrong.";
    fast_open_overflow = "TcpExtTCPFastOpenListenOverflow", "SYNs beyond a listener's limit.";
    icmp_hard = "TcpExtIcmpHardErrors", "Opens ended by an ICMP error.";
    icmp_out_of_window = "TcpExtOutOfWindowIcmps", "ICMP errors that quoted nothing in flight.";
    icmp_ignored = "TcpExtIcmpIgnored", "ICMP errors that ended nothing.";
}
