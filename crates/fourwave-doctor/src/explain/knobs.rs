//! Linux's knobs and socket options that concern how connections end. What `fourwave` itself does
//! with a knob of the same name comes from its own table.

pub(super) struct Note {
    pub(super) name: &'static str,
    /// Where it is set, and Linux's default.
    pub(super) place: &'static str,
    pub(super) what: &'static str,
    pub(super) limits: &'static [&'static str],
    pub(super) see: &'static [&'static str],
}

const fn note(
    name: &'static str,
    place: &'static str,
    what: &'static str,
    limits: &'static [&'static str],
    see: &'static [&'static str],
) -> Note {
    Note { name, place, what, limits, see }
}

pub(super) const NOTES: [Note; 28] = [
    note(
        "tcp_fin_timeout",
        "net.ipv4, seconds, default 60",
        "How long a FIN_WAIT_2 waits for the peer's FIN once no program has it any more.",
        &[
            "it does not shorten TIME_WAIT, whatever is said about it: that is 60 s, a constant",
            "a FIN_WAIT_2 that a program holds has no timer",
            "lowered, a peer that is slow to close meets an RST",
        ],
        &["FIN_WAIT_2", "TIME_WAIT", "TCP_LINGER2"],
    ),
    note(
        "tcp_tw_reuse",
        "net.ipv4, default 2 (0 before Linux 4.19)",
        "1: an outgoing connection may take over the four-tuple of a TIME_WAIT that is older \
         than tcp_tw_reuse_delay. 2: on loopback only. 0: never.",
        &[
            "outgoing connections only: it does nothing for a server",
            "needs timestamps on both ends: they prove that the new connection is newer",
        ],
        &["TIME_WAIT", "tcp_tw_reuse_delay", "tcp_timestamps", "ports-exhausted"],
    ),
    note(
        "tcp_tw_reuse_delay",
        "net.ipv4, milliseconds, default 1000 (Linux 6.14 and later)",
        "How old a TIME_WAIT has to be before tcp_tw_reuse takes it over.",
        &["lower, the difference in timestamps that proves the newer one may be too small"],
        &["tcp_tw_reuse"],
    ),
    note(
        "tcp_tw_recycle",
        "removed in Linux 4.12",
        "TIME_WAIT lasted 3.5 retransmission timeouts, and a SYN from the same address needed a \
         newer timestamp than the last.",
        &[
            "clients behind one NAT have clocks of their own: some could not connect at all",
            "since 4.10 timestamps begin anywhere on each connection: it broke single clients too",
        ],
        &["TIME_WAIT", "tcp_tw_reuse"],
    ),
    note(
        "tcp_max_tw_buckets",
        "net.ipv4, default by memory (262144 at most, 4096 with 1 GiB)",
        "How many TIME_WAIT there may be. Beyond it a connection that closes is forgotten at once.",
        &[
            "lowered, it gives both protections of TIME_WAIT away and gains nothing but 256 bytes",
            "it frees ports, but tcp_tw_reuse and a wider range do so safely",
        ],
        &["TIME_WAIT", "time-wait-overflow"],
    ),
    note(
        "tcp_timewait_len",
        "no knob of Linux: TIME_WAIT is 60 s, compiled in",
        "The length of TIME_WAIT, 2MSL. `fourwave` has it as a knob.",
        &["shorter, a peer's late FIN is answered with RST, and old duplicates are not caught"],
        &["TIME_WAIT"],
    ),
    note(
        "tcp_rfc1337",
        "net.ipv4, default 0",
        "1: an RST does not end a TIME_WAIT. 0: it does, which an old duplicate may abuse \
         (TIME_WAIT assassination).",
        &["it costs nothing, and it does not reduce TIME_WAIT"],
        &["TIME_WAIT"],
    ),
    note(
        "tcp_timestamps",
        "net.ipv4, default 1",
        "Each segment carries a clock: round-trip times of retransmitted data, protection against \
         wrapped sequence numbers (PAWS), and the proof tcp_tw_reuse asks for.",
        &["0 takes all three away for 12 bytes a segment"],
        &["tcp_tw_reuse"],
    ),
    note(
        "ip_local_port_range",
        "net.ipv4, default 32768 60999",
        "The ports for outgoing connections and for bind() to port 0: 28,232 for each destination.",
        &[
            "ports of services within it have to be in ip_local_reserved_ports",
            "connect() takes ports of one parity first; when they are used up it becomes slow",
        ],
        &["ports-exhausted", "ip_local_reserved_ports"],
    ),
    note(
        "ip_local_reserved_ports",
        "net.ipv4, a list such as 8080,9000-9100, default empty",
        "Ports within ip_local_port_range that are given to nobody who does not ask for them.",
        &["it does not keep a program from binding them"],
        &["ip_local_port_range"],
    ),
    note(
        "tcp_max_orphans",
        "net.ipv4, default by memory",
        "How many connections may be without a program and not ended. Beyond it they are ended \
         with RST.",
        &["a peer that does not read is cut from a half or a quarter of it on"],
        &["orphans-limit", "tcp_orphan_retries"],
    ),
    note(
        "tcp_orphan_retries",
        "net.ipv4, default 0, which means 8",
        "How often an orphan's data or FIN is retransmitted without an answer: 8 are 102 s and \
         more.",
        &["1 or 2 give up after about a second: the end of an answer is lost on a bad path"],
        &["LAST_ACK", "FIN_WAIT_1", "orphans-stuck"],
    ),
    note(
        "tcp_retries2",
        "net.ipv4, default 15",
        "How often data is retransmitted until an open connection is given up: 15 are 924 s \
         or more.",
        &["for one connection TCP_USER_TIMEOUT is the better way"],
        &["TCP_USER_TIMEOUT"],
    ),
    note(
        "tcp_syn_retries",
        "net.ipv4, default 6",
        "How often a SYN is retransmitted: 6 are about two minutes.",
        &["lower, connect() fails sooner, also where the answer was on its way"],
        &["SYN_SENT"],
    ),
    note(
        "tcp_synack_retries",
        "net.ipv4, default 5",
        "How often a SYN ACK is retransmitted: 5 are about a minute.",
        &["lower, clients on bad paths do not get in"],
        &["SYN_RECEIVED"],
    ),
    note(
        "tcp_syncookies",
        "net.ipv4, default 1",
        "1: when a listener may have no more half-open connections, SYNs are answered from a \
         cookie without a record. 0: they are dropped. 2: always cookies, for tests.",
        &["a connection from a cookie has window scaling and SACK only with timestamps"],
        &["SYN_RECEIVED", "syn-backlog"],
    ),
    note(
        "tcp_max_syn_backlog",
        "net.ipv4, default by memory",
        "Half-open connections of a listener while tcp_syncookies is 0.",
        &["with syncookies on, the listener's backlog is the limit (Linux 4.4 and later)"],
        &["syn-backlog", "somaxconn"],
    ),
    note(
        "somaxconn",
        "net.core, default 4096 (128 before Linux 5.4)",
        "The longest accept queue: listen()'s backlog is cut to it.",
        &["programs notice a change with their next listen(): restart them"],
        &["accept-queue-full"],
    ),
    note(
        "tcp_abort_on_overflow",
        "net.ipv4, default 0",
        "1: a client whose connection finds the accept queue full gets an RST. 0: its ACK is \
         dropped and it tries again.",
        &["a short burst that nobody would have noticed becomes errors"],
        &["accept-queue-full"],
    ),
    note(
        "tcp_keepalive_time",
        "net.ipv4, seconds, default 7200; per socket TCP_KEEPIDLE",
        "How long a connection with SO_KEEPALIVE is idle before the first probe.",
        &["only for sockets that ask for SO_KEEPALIVE"],
        &["SO_KEEPALIVE", "tcp_keepalive_intvl", "tcp_keepalive_probes"],
    ),
    note(
        "tcp_keepalive_intvl",
        "net.ipv4, seconds, default 75; per socket TCP_KEEPINTVL",
        "The time between two keepalive probes.",
        &["only for sockets that ask for SO_KEEPALIVE"],
        &["SO_KEEPALIVE"],
    ),
    note(
        "tcp_keepalive_probes",
        "net.ipv4, default 9; per socket TCP_KEEPCNT",
        "How many keepalive probes without an answer end a connection.",
        &["only for sockets that ask for SO_KEEPALIVE"],
        &["SO_KEEPALIVE"],
    ),
    note(
        "SO_KEEPALIVE",
        "setsockopt, default off",
        "Probes an idle connection: a peer that is gone is found after tcp_keepalive_time and \
         tcp_keepalive_probes times tcp_keepalive_intvl, by default more than two hours. It also \
         keeps firewalls from forgetting the connection.",
        &["it does not end a CLOSE_WAIT: the peer's kernel may answer, and the program has to \
             close"],
        &["ESTABLISHED", "CLOSE_WAIT"],
    ),
    note(
        "SO_LINGER",
        "setsockopt, default off",
        "With time 0, close() sends RST instead of FIN: no TIME_WAIT on either side. With a time, \
         close() waits that long for the data to be acknowledged.",
        &[
            "0 throws away what was not delivered, and the peer sees an error",
            "it is no remedy for TIME_WAIT, except where a connection is given up anyway",
        ],
        &["TIME_WAIT"],
    ),
    note(
        "TCP_LINGER2",
        "setsockopt, seconds, default tcp_fin_timeout",
        "tcp_fin_timeout for one socket; negative: no FIN_WAIT_2 after close() at all.",
        &["not TIME_WAIT's length"],
        &["FIN_WAIT_2", "tcp_fin_timeout"],
    ),
    note(
        "TCP_USER_TIMEOUT",
        "setsockopt, milliseconds, default 0",
        "How long sent data may stay unacknowledged before the connection is given up \
         (ETIMEDOUT). It overrides tcp_retries2 and the number of keepalive probes.",
        &["too short, a route that changes ends connections"],
        &["tcp_retries2", "SO_KEEPALIVE"],
    ),
    note(
        "IP_BIND_ADDRESS_NO_PORT",
        "setsockopt, default off",
        "bind() of a source address without a port chooses none; connect() does, for its \
         destination. Without it bind() takes a port away from all destinations.",
        &["for programs that bind before they connect: proxies, load generators"],
        &["ports-exhausted", "ip_local_port_range"],
    ),
    note(
        "tw_overflow",
        "no knob of Linux: it destroys the new one",
        "What happens at tcp_max_tw_buckets in `fourwave`: the oldest goes, the new one is \
         destroyed at once (what Linux does), or the remaining times are halved.",
        &["what is dropped protects no more, whichever it is"],
        &["tcp_max_tw_buckets", "TIME_WAIT"],
    ),
];
