//! The eleven states. How they follow each other comes from the engine's own table.

use fourwave_core::state::{Input, State};

pub(super) struct Note {
    pub(super) what: &'static str,
    pub(super) ends: &'static str,
    pub(super) many: &'static [&'static str],
    pub(super) see: &'static [&'static str],
}

/// What moves a connection, in words.
pub(super) const fn input(state: State, input: Input) -> &'static str {
    match input {
        Input::PassiveOpen => "the program calls listen()",
        Input::ActiveOpen => "the program calls connect(): a SYN goes out",
        Input::Close => "the program calls close() or shutdown(SHUT_WR): a FIN goes out",
        Input::Abort => "the program or a limit gives it up, with RST where one is due",
        Input::RecvSyn => "a SYN arrives",
        Input::RecvSynAck => "a SYN ACK arrives",
        Input::RecvAckOfSyn => "the ACK of our SYN arrives",
        Input::RecvFin => "the other end's FIN arrives",
        Input::RecvAckOfFin => "the ACK of our FIN arrives",
        Input::RecvRst => "an RST arrives",
        Input::Timeout => match state {
            State::TimeWait => "2MSL are over",
            State::FinWait2 => "no program has it and its time is over (tcp_fin_timeout)",
            _ => "what was sent is not acknowledged in time",
        },
    }
}

pub(super) const fn note(state: State) -> Note {
    match state {
        State::Closed
        | State::Listen
        | State::SynSent
        | State::SynReceived
        | State::Established => opening(state),
        _ => closing(state),
    }
}

const fn opening(state: State) -> Note {
    match state {
        State::Closed => Note {
            what: "No connection. A segment for it is answered with RST.",
            ends: "A socket that was never connected, or one whose connection is over.",
            many: &[],
            see: &["LISTEN", "SYN_SENT"],
        },
        State::Listen => Note {
            what: "A program waits for connections. It has two queues: half-open connections \
                   (SYN_RECEIVED), and complete ones that wait for accept(). In LISTEN, Recv-Q of \
                   `ss` is the second queue's length and Send-Q its limit.",
            ends: "Until the program closes the listener.",
            many: &["a full accept queue: the program does not call accept() fast enough"],
            see: &["accept-queue-full", "syn-backlog", "somaxconn"],
        },
        State::SynSent => Note {
            what: "This host has called and waits for the answer. It keeps a port meanwhile.",
            ends: "SYNs are retransmitted, each time after twice as long, tcp_syn_retries times: \
                   with Linux's 6 about two minutes. Then connect() fails with ETIMEDOUT.",
            many: &["the destination is down, drops packets, or its accept queue is full"],
            see: &["tcp_syn_retries", "ports-exhausted"],
        },
        State::SynReceived => Note {
            what: "Half open: a SYN came and was answered, and the ACK that completes it has not \
                   come yet. No program knows of it.",
            ends: "The SYN ACK is retransmitted tcp_synack_retries times: with 5 about a minute.",
            many: &[
                "a SYN flood: senders that never answer",
                "a burst of distant clients; beyond the listener's backlog, cookies help",
            ],
            see: &["syn-backlog", "tcp_syncookies", "tcp_synack_retries"],
        },
        _ => Note {
            what: "Open: data flows both ways.",
            ends: "Nothing ends an idle connection by itself, unless the program asks for \
                   SO_KEEPALIVE or has a timeout of its own. A peer that vanished is noticed only \
                   when something is sent.",
            many: &["a pool without a limit, or connections nobody closes"],
            see: &["SO_KEEPALIVE", "TCP_USER_TIMEOUT"],
        },
    }
}

const fn closing(state: State) -> Note {
    match state {
        State::FinWait1 => Note {
            what: "We closed first; our FIN, and perhaps data before it, is not acknowledged yet \
                   (wave 1 of 4).",
            ends: "Normally a round trip. While a program has the socket, as long as data is \
                   retried (tcp_retries2); as an orphan, tcp_orphan_retries.",
            many: &["peers that vanished, or that do not read (zero window)"],
            see: &["orphans-stuck", "tcp_orphan_retries", "tcp_max_orphans"],
        },
        State::FinWait2 => Note {
            what: "We closed first, the peer's kernel has acknowledged it (wave 2 of 4), and its \
                   program has not closed. It may still send, and we must receive that.",
            ends: "Without a program (after close()): tcp_fin_timeout, 60 s. With one (after \
                   shutdown(SHUT_WR)): no timer at all.",
            many: &["the peers do not close: each of these is a CLOSE_WAIT over there"],
            see: &["CLOSE_WAIT", "fin-wait2-pile", "tcp_fin_timeout"],
        },
        State::CloseWait => Note {
            what: "The other end has closed (its FIN came and was acknowledged by the kernel), and \
                   the program here has not. It may send without a time limit; then it has to \
                   call close().",
            ends: "Nothing but the program: no timer, no knob. Only close(), the program's end, or \
                   an RST from the other end.",
            many: &[
                "the program forgets to close what it has read to the end: a leak of descriptors",
                "it does not read these sockets (unread bytes): a pool's idle connections, a \
                 thread that hangs",
            ],
            see: &["close-wait-leak", "FIN_WAIT_2", "LAST_ACK"],
        },
        State::Closing => Note {
            what: "Both ends closed at once: the FINs crossed. Ours is not acknowledged yet.",
            ends: "Normally a round trip, then TIME_WAIT on both sides.",
            many: &["rare; many are peers that vanished in the middle of it"],
            see: &["orphans-stuck"],
        },
        State::LastAck => Note {
            what: "The other end closed first, then our program; our FIN waits for its ACK (wave 4 \
                   of 4). Usually no program has the socket any more: an orphan.",
            ends: "Normally a round trip. Without an answer the FIN is retransmitted \
                   tcp_orphan_retries times: 0 means 8, which is 102 s and more.",
            many: &["peers that vanished, or a firewall that forgot the connection and drops"],
            see: &["orphans-stuck", "tcp_orphan_retries"],
        },
        _ => Note {
            what: "Both ends have closed, and this one was first. It waits 2MSL for two reasons: \
                   the last ACK may be lost, and the peer's FIN has to be answered again; and an \
                   old duplicate (a FIN, data, an RST) has to die here instead of reaching a new \
                   connection on the same four-tuple.",
            ends: "60 s on Linux, a constant of the kernel: no knob changes it. A SYN that is \
                   newer (timestamp or sequence number) takes it over at once.",
            many: &[
                "at a server: harmless. 256 bytes each, no port, no descriptor",
                "at a client: each keeps a port towards its destination; 28,232 ports are 470 \
                 connections a second",
                "who closes first has it: keep connections, or let the other side close first",
            ],
            see: &["time-wait-pile", "ports-exhausted", "tcp_tw_reuse", "tcp_max_tw_buckets"],
        },
    }
}
