//! The findings: when each is found, how to see it without this program, what helps.

use crate::FindingKind;

pub(super) struct Note {
    pub(super) what: &'static str,
    pub(super) when: &'static [&'static str],
    pub(super) by_hand: &'static [&'static str],
    pub(super) helps: &'static [&'static str],
    pub(super) does_not_help: &'static [&'static str],
    pub(super) see: &'static [&'static str],
}

const NOT_TIME_WAIT: &[&str] = &[
    "tcp_fin_timeout: it is the life of an orphaned FIN_WAIT_2",
    "tcp_tw_recycle: gone since Linux 4.12; it broke clients behind one NAT",
    "tcp_max_tw_buckets lower: it destroys TIME_WAIT, and the protection with it",
];

pub(super) const fn note(kind: FindingKind) -> Note {
    match kind {
        FindingKind::PortsExhausted | FindingKind::TimeWaitPile | FindingKind::TimeWaitOverflow => {
            time_wait(kind)
        }
        FindingKind::CloseWaitLeak
        | FindingKind::OrphansStuck
        | FindingKind::OrphansLimit
        | FindingKind::FinWait2Pile => closing(kind),
        _ => other(kind),
    }
}

const fn time_wait(kind: FindingKind) -> Note {
    match kind {
        FindingKind::PortsExhausted => Note {
            what: "Every outgoing connection needs a local port from ip_local_port_range. Linux \
                   gives the same port to different destinations, so ports run out for one \
                   destination (address and port) from one local address at a time. Then connect() \
                   fails with EADDRNOTAVAIL, \"Cannot assign requested address\".",
            when: &[
                "more than the threshold `ports` are in use towards one destination (a warning)",
                "none is left, or none will be within `ports_time` at the rate seen (critical); \
                 the rate is believed from half of `ports` on",
                "TIME_WAIT counts, unless tcp_tw_reuse lets it be taken over",
            ],
            by_hand: &["ss -tan dst ADDRESS:PORT | wc -l; sysctl net.ipv4.ip_local_port_range"],
            helps: &[
                "keep connections and reuse them",
                "let the server close first: TIME_WAIT is then there, where it takes no port",
                "more destination addresses or ports, or more source addresses",
                "ip_local_port_range wider; tcp_tw_reuse=1 where both ends use timestamps",
            ],
            does_not_help: NOT_TIME_WAIT,
            see: &["TIME_WAIT", "tcp_tw_reuse", "ip_local_port_range"],
        },
        FindingKind::TimeWaitOverflow => Note {
            what: "TIME_WAIT is at tcp_max_tw_buckets. Beyond it Linux forgets a connection at \
                   once: a lost last ACK then ends the peer in an error, and an old duplicate may \
                   reach a new connection.",
            when: &[
                "the counter TCPTimeWaitOverflow grew",
                "TIME_WAIT is at the share `time_wait` of tcp_max_tw_buckets",
            ],
            by_hand: &["nstat -az TcpExtTCPTimeWaitOverflow; grep TCP: /proc/net/sockstat"],
            helps: &["fewer short connections", "tcp_max_tw_buckets higher: 256 bytes each"],
            does_not_help: NOT_TIME_WAIT,
            see: &["TIME_WAIT", "tcp_max_tw_buckets"],
        },
        _ => Note {
            what: "Many TIME_WAIT. Who closes first has them for 60 s. Where this host is the \
                   server they are harmless; where it is the client each keeps a port towards its \
                   destination.",
            when: &["TIME_WAIT is at `time_wait_count` or more, distinguished by side"],
            by_hand: &["ss -tan state time-wait | awk '{print $4}' | sort | uniq -c | sort -n"],
            helps: &[
                "keep connections and reuse them",
                "let the other side close first",
                "for outgoing ones: tcp_tw_reuse=1 where both ends use timestamps",
            ],
            does_not_help: NOT_TIME_WAIT,
            see: &["TIME_WAIT", "ports-exhausted", "tcp_tw_reuse"],
        },
    }
}

const fn closing(kind: FindingKind) -> Note {
    match kind {
        FindingKind::CloseWaitLeak => Note {
            what: "A program holds connections that their other ends have closed. Each costs a \
                   descriptor, buffers and, for an outgoing one, a port, until the program closes \
                   it or ends.",
            when: &[
                "one program has `close_wait` or more in CLOSE_WAIT for `close_wait_age` or longer",
                "the age is a lower bound: the time since anything came from the other end",
                "unread bytes or an unread end tell that the program does not look at the socket; \
                 without them it has read to the end and not closed",
            ],
            by_hand: &["ss -tanpo state close-wait; ls -l /proc/PID/fd"],
            helps: &[
                "close on every path where read() gave 0 or an error",
                "watch idle connections of a pool for their end",
                "timeouts for reads",
            ],
            does_not_help: &[
                "any knob: CLOSE_WAIT has no timer",
                "keepalive: it finds a dead peer, not a forgotten socket",
            ],
            see: &["CLOSE_WAIT", "FIN_WAIT_2"],
        },
        FindingKind::OrphansStuck => Note {
            what: "Connections that their program has closed, and whose FIN or last data no peer \
                   acknowledges: LAST_ACK, FIN_WAIT_1 or CLOSING that retransmit.",
            when: &[
                "`orphans_stuck` or more have retransmitted twice or more without an answer, and \
                 they are one in a hundred of all sockets: a busy host always has some",
            ],
            by_hand: &["ss -tano state last-ack state fin-wait-1 state closing"],
            helps: &[
                "find out why the peer does not answer: down, gone, a firewall that forgot the \
                 connection",
            ],
            does_not_help: &["tcp_orphan_retries very low: it cuts answers on bad paths"],
            see: &["LAST_ACK", "FIN_WAIT_1", "tcp_orphan_retries"],
        },
        FindingKind::OrphansLimit => Note {
            what: "Connections without a program are near tcp_max_orphans. Beyond it the kernel \
                   ends them with RST, and what they had to send is lost.",
            when: &["orphans are at the share `orphans` of tcp_max_orphans"],
            by_hand: &["grep TCP: /proc/net/sockstat; sysctl net.ipv4.tcp_max_orphans"],
            helps: &["close after the peer has read everything", "tcp_max_orphans higher"],
            does_not_help: &["tcp_max_orphans lower"],
            see: &["tcp_max_orphans", "orphans-stuck"],
        },
        _ => Note {
            what: "Many connections that this host has closed and the peers have not. Without a \
                   program they end after tcp_fin_timeout; one that a program still holds \
                   (shutdown(SHUT_WR) without close()) never ends by itself.",
            when: &["FIN_WAIT_2 is at `fin_wait_2` or more"],
            by_hand: &["ss -tanpo state fin-wait-2"],
            helps: &["the peer: it leaks CLOSE_WAIT", "here: read to the end with a timeout"],
            does_not_help: &["tcp_fin_timeout, for those that a program holds"],
            see: &["FIN_WAIT_2", "CLOSE_WAIT", "tcp_fin_timeout"],
        },
    }
}

const fn other(kind: FindingKind) -> Note {
    match kind {
        FindingKind::AcceptQueueFull => Note {
            what: "Complete connections wait in the kernel until the program calls accept(). When \
                   the queue is full, SYNs and last ACKs are dropped: clients wait a second and \
                   more, or believe to be connected and are not.",
            when: &[
                "a queue is longer than its backlog, or ListenOverflows grew (critical)",
                "it is at the share `accept_queue` of it in both looks (a warning)",
            ],
            by_hand: &["ss -ltn (Recv-Q waits, Send-Q may); nstat -az TcpExtListenOverflows"],
            helps: &[
                "accept faster",
                "a larger backlog in listen()",
                "then somaxconn, if that is the smaller one; programs have to listen() again",
            ],
            does_not_help: &["tcp_max_syn_backlog", "tcp_abort_on_overflow"],
            see: &["LISTEN", "somaxconn", "tcp_abort_on_overflow"],
        },
        FindingKind::SynBacklog => Note {
            what: "Many half-open connections at a listener. Since Linux 4.4 its backlog bounds \
                   them; beyond, syncookies answer without a record, or SYNs are dropped.",
            when: &[
                "a listener has 16 or more, and the share `syn_backlog` of what it may have",
                "SyncookiesSent or TCPReqQFullDrop grew",
            ],
            by_hand: &["ss -tan state syn-recv; nstat -az TcpExtSyncookiesSent"],
            helps: &["tcp_syncookies=1", "a larger backlog in listen()"],
            does_not_help: &["tcp_max_syn_backlog alone: with syncookies on it is not the limit"],
            see: &["SYN_RECEIVED", "tcp_syncookies", "tcp_max_syn_backlog"],
        },
        FindingKind::Retransmissions => Note {
            what: "Many segments are retransmitted: packets are lost or late, or peers do not \
                   answer.",
            when: &[
                "the share `retransmissions` of the segments sent during the sample, of 1,000 or \
                 more",
            ],
            by_hand: &["nstat -az TcpRetransSegs TcpOutSegs TcpExtTCPTimeouts; ss -ti"],
            helps: &["see which peers and links have it in common", "`fourwave trace` a capture"],
            does_not_help: &["larger buffers", "tcp_retries2 lower"],
            see: &["tcp_retries2"],
        },
        _ => Note {
            what: "A knob is set to what cannot help, or harms. What a kernel has by itself is \
                   never a finding.",
            when: &[
                "tcp_tw_recycle=1; tcp_fin_timeout below 60; tcp_max_tw_buckets lowered; \
                 tcp_tw_reuse=1 on a host that opens no connections, or without timestamps",
                "tcp_abort_on_overflow=1; tcp_syncookies=0 or 2; tcp_orphan_retries of 1, 2, or \
                 more than 15",
                "fewer than 1,024 ports for outgoing connections; a range made larger over the \
                 ports of services",
            ],
            by_hand: &["sysctl -a | grep tcp_; grep -r tcp_ /etc/sysctl.conf /etc/sysctl.d"],
            helps: &["the default, and the reason why it was changed looked at again"],
            does_not_help: &[],
            see: &["tcp_fin_timeout", "tcp_tw_reuse", "tcp_tw_recycle", "tcp_max_tw_buckets"],
        },
    }
}
