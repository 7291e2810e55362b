//! A connection from SYN_SENT to LAST_ACK. RFC 9293 §3.10 as a table of contents:
//!
//! | RFC 9293 | here |
//! | --- | --- |
//! | §3.10.1 to §3.10.6, the user calls | [`user`] |
//! | §3.10.7, SEGMENT ARRIVES | [`arrive`], a file for each step |
//! | §3.10.8, timeouts | [`timeout`] |
//! | which segment goes out next | [`output`] |
//! | the state diagram | [`state`](crate::state) |
//!
//! LISTEN and passive SYN_RECEIVED are records of `half_open`, TIME_WAIT one of `time_wait`.

pub(crate) mod accecn;
pub(crate) mod arrive;
pub(crate) mod ecn;
mod far_end;
#[cfg(feature = "model")]
mod fingerprint;
mod memory;
mod mtu;
pub(crate) mod output;
mod recv;
mod room;
mod send;
mod setbacks;
mod timeout;
mod times;
pub(crate) mod user;

use alloc::boxed::Box;

use fourwave_wire::tcp::TcpHeader;
use fourwave_wire::{Link, SeqNum};

use crate::config::Config;
use crate::counters::Counters;
use crate::demux::FourTuple;
use crate::end::{EndReason, Side, UserCall};
use crate::event::{ConnId, ListenerId};
use crate::fast_open::Part;
use crate::info::TcpInfo;
use crate::limit::PerSecond;
use crate::memory::MemoryLevel;
use crate::negotiated::{self, Ecn, Negotiated};
use crate::options::{Shared, SynOptions};
use crate::sender::{Flight, Found, Proof, RtoLimits, Sender};
use crate::state::{self, Input, State};
use crate::time::{Duration, Instant};
use crate::time_wait::TimeWaitState;
use far_end::FarEnd;
use recv::ReceiveSide;
use send::{Fin, SendSide};
use setbacks::Setbacks;
use times::Times;

/// What a step of a connection may use beside the connection itself.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    pub(crate) counters: &'a mut Counters,
    pub(crate) challenges: &'a mut PerSecond,
    /// How much of the budget of all buffers is in use.
    pub(crate) memory: MemoryLevel,
    /// Bytes that the connection holds more, or less, since the step began (`held`).
    pub(crate) moved: i64,
}

impl Ctx<'_> {
    /// Counts what the sender found.
    fn count_found(&mut self, found: Found) {
        self.counters.fast_retrans += u64::from(found == Found::Loss);
        match found {
            Found::Spurious(Proof::Arrival) => self.counters.spurious_rtos += 1,
            Found::Spurious(Proof::Echo) => self.counters.full_undos += 1,
            Found::Spurious(Proof::Duplicates) => self.counters.dsack_undos += 1,
            Found::MtuProbe => self.counters.mtup_fail += 1,
            Found::Loss | Found::Nothing => {}
        }
    }
}

/// What became of a connection in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum ConnOutcome {
    /// It goes on.
    Alive,
    /// It is in TIME_WAIT: its record replaces it.
    TimeWait,
    /// It is over; when `reset` is set the peer is to be told by RST.
    Ended { reason: EndReason, reset: bool },
    /// The segment is to be answered with an RST of its own (RFC 9293 §3.10.7.3), the
    /// connection goes on.
    Reject,
}

/// Readiness that the caller has not been told of yet, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub(crate) struct Signals(u16);

impl Signals {
    pub(crate) const CONNECTED: Self = Self(1);
    pub(crate) const READABLE: Self = Self(2);
    pub(crate) const PEER_CLOSED: Self = Self(4);
    pub(crate) const WRITABLE: Self = Self(8);
    pub(crate) const DRAINED: Self = Self(16);
    pub(crate) const CLOSE_WAIT_SUSPECTED: Self = Self(32);
    pub(crate) const UNANSWERED: Self = Self(64);
    pub(crate) const FAR_END_ASKED: Self = Self(128);
    pub(crate) const SENDER_MOVED: Self = Self(256);
    /// No readiness: its name stands in the queue of events.
    pub(crate) const QUEUED: Self = Self(1 << 15);

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn any(self) -> bool {
        self.0 & !Self::QUEUED.0 != 0
    }

    pub(crate) fn is_queued(self) -> bool {
        self.0 & Self::QUEUED.0 != 0
    }

    /// Takes `other` out; whether it was set.
    pub(crate) fn take(&mut self, other: Self) -> bool {
        let was = self.0 & other.0 != 0;
        self.0 &= !other.0;
        was
    }
}

/// What the one timer of the closing states means: only one of them can run in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CloseTimer {
    /// Our FIN was held back long enough.
    ReleaseFin,
    /// An orphan waited long enough for the peer's FIN.
    FinWait2,
    /// CLOSE_WAIT is old enough to be suspected.
    CloseWait,
    /// Nothing, any more.
    None,
}

/// Packets without new data that are to go out.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Due {
    syn: bool,
    /// A segment that the peer must answer: a zero-window or keepalive probe.
    probe: bool,
    /// Data as small as the window is: avoiding silly windows has waited long enough.
    small: bool,
}

/// Keepalive, where the application asked for it.
#[derive(Clone, Copy, Debug, Hash)]
struct KeepAlive {
    idle: Duration,
    interval: Duration,
    probes: u8,
    unanswered: u8,
    /// When it probes next, or looks whether it should.
    probe_at: Instant,
}

/// A connection. At most 640 bytes with its box, and 40 more where CUBIC's window was ever full,
/// some 500 more where BBR ever sent; its buffers hold memory only while they hold bytes.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) tuple: FourTuple,
    pub(crate) id: ConnId,
    pub(crate) state: State,
    pub(crate) snd: SendSide,
    pub(crate) rcv: ReceiveSide,
    options: Negotiated,
    ts: TimestampState,
    pub(crate) sender: Sender,
    /// When a point of the close comes, see [`CloseTimer`]; `NEVER` when not set.
    close_at: Instant,
    due: Due,
    keepalive: Option<Box<KeepAlive>>,
    /// What few applications set.
    tuning: Option<Box<Tuning>>,
    /// The far end for which its ACKs speak, where it is one end of a relay.
    far_end: Option<Box<FarEnd>>,
    setbacks: Option<Box<Setbacks>>,
    last_received_at: Instant,
    times: Times,
    /// Its part in Fast Open.
    pub(crate) fast_open: Option<Box<Part>>,
    pub(crate) handle: HandleState,
    pub(crate) summary: Summary,
}

/// Timestamps (RFC 7323), both ways.
#[derive(Clone, Copy, Debug)]
struct TimestampState {
    /// Added to the clock in TSval.
    offset: u32,
    /// TS.Recent (§4.3) and when it was taken.
    recent: u32,
    recent_at: Instant,
}

/// What concerns whoever holds the connection's handle.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct HandleState {
    /// The listener in whose accept queue it waits.
    pub(crate) listener: Option<ListenerId>,
    /// What is ready, and was not told yet; and whether its name stands in the queue of events.
    pub(crate) signals: Signals,
    /// Its name stands in the queue for transmission.
    pub(crate) queued: bool,
    /// The application gave it back.
    pub(crate) orphan: bool,
    /// The connection left the demultiplexer; kept for its handle.
    pub(crate) ended: Option<EndReason>,
}

/// Options that few applications set.
#[derive(Clone, Copy, Debug, Hash)]
struct Tuning {
    linger_zero: bool,
    /// The application reads no more.
    no_more_reads: bool,
    /// The receive buffer was set and does not grow.
    fixed_receive_buffer: bool,
    /// Retransmissions of our SYN; 0 for the knob's.
    syn_count: u8,
    /// Largest segment; 0 for the link's.
    max_seg: u16,
    /// Unsent bytes at which there is no room for more; 0 for the knob's.
    not_sent_lowat: u32,
    /// Bytes of the send buffer; 0 when it is the engine's choice.
    send_buffer: u32,
    /// `TCP_USER_TIMEOUT`; zero when not set.
    user_timeout: Duration,
    /// `TCP_LINGER2`; `None` for `tcp_fin_timeout`.
    linger2: Option<Duration>,
    /// How long our FIN waits for the peer's; zero when it does not.
    peer_closes_first: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            linger_zero: false,
            no_more_reads: false,
            fixed_receive_buffer: false,
            syn_count: 0,
            max_seg: 0,
            not_sent_lowat: 0,
            send_buffer: 0,
            user_timeout: Duration::ZERO,
            linger2: None,
            peer_closes_first: Duration::ZERO,
        }
    }
}

/// What the report at the end tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) opened: Instant,
    pub(crate) closed_first: Option<Side>,
    pub(crate) last_call: UserCall,
    pub(crate) last_call_at: Instant,
    /// When the peer's FIN was taken.
    pub(crate) peer_closed_at: Instant,
    pub(crate) bytes_acked: u64,
    pub(crate) delivered: u32,
}

/// What a new connection starts from.
pub(crate) struct ConnParams {
    pub(crate) tuple: FourTuple,
    pub(crate) id: ConnId,
    pub(crate) iss: SeqNum,
    /// IRS; any number while the peer's SYN is not there yet.
    pub(crate) irs: SeqNum,
    pub(crate) state: State,
    pub(crate) options: Negotiated,
    pub(crate) ts_offset: u32,
    pub(crate) ts_recent: u32,
    pub(crate) opened: Instant,
    /// What our SYN tells beside `options`.
    pub(crate) syn: SynOptions,
}

impl Connection {
    pub(crate) fn new(params: ConnParams, now: Instant, config: &Config) -> Self {
        let ConnParams { tuple, id, iss, irs, state, options, ts_offset, ts_recent, opened, syn } =
            params;
        let receive_buffer = syn.receive_buffer.unwrap_or(config.tcp_rmem_default as u32);
        let mut conn = Self {
            tuple,
            id,
            state,
            snd: SendSide::new(iss, options.snd_mss),
            rcv: ReceiveSide::new(irs, receive_buffer, now),
            options,
            ts: TimestampState { offset: ts_offset, recent: ts_recent, recent_at: now },
            sender: Sender::new(iss, now, config.congestion_control()),
            close_at: Instant::NEVER,
            due: Due::default(),
            keepalive: None,
            tuning: None,
            far_end: None,
            setbacks: None,
            last_received_at: now,
            times: Times::new(now),
            fast_open: None,
            handle: HandleState::default(),
            summary: Summary {
                opened,
                closed_first: None,
                last_call: UserCall::Open,
                last_call_at: now,
                peer_closed_at: Instant::NEVER,
                bytes_acked: 0,
                delivered: 0,
            },
        };
        conn.rcv.beyond = config.tcp_rcv_wnd_beyond == 1;
        conn.rcv.acks.begin(config.tcp_quick_acks as u8);
        conn.adopt(options, config);
        conn.limit_segments(syn.max_seg);
        conn
    }

    /// Takes what the handshake agreed on. Where SYNs were lost the window begins with one segment
    /// (RFC 5681 §3.1); as in Linux, where more than one was.
    fn adopt(&mut self, options: Negotiated, config: &Config) {
        self.options = options;
        self.snd.mss = options.snd_mss.min(negotiated::largest(self.tuning().max_seg).into());
        self.snd.scale = options.snd_scale;
        self.rcv.scale_by(options.rcv_scale);
        self.rcv.mss = options.rcv_mss;
        self.search_mtu_from_start(config);
        let cwnd = match self.setbacks().retransmits {
            0 | 1 => self.initial_cwnd(config),
            _ => self.snd.mss,
        };
        self.sender.start(cwnd, self.options.sack);
    }

    /// Takes what its socket was given before it.
    pub(crate) fn inherit(&mut self, socket: &Shared, ctx: &Ctx<'_>) {
        if let Some(algorithm) = &socket.congestion {
            self.sender.set_congestion(algorithm.clone());
        }
        for option in socket.options() {
            self.set_option(*option, ctx);
        }
    }

    fn initial_cwnd(&self, config: &Config) -> u32 {
        self.snd.mss.saturating_mul(config.tcp_init_cwnd as u32)
    }

    /// Moves by the table. A pair without an entry is a mistake of this engine, not of a peer:
    /// it stops a test, and leaves the state as it is elsewhere.
    fn step(&mut self, input: Input) {
        match state::next(self.state, input) {
            Ok(to) => self.state = to,
            Err(illegal) => debug_assert!(false, "{illegal}"),
        }
    }

    fn ends(&mut self, input: Input, reason: EndReason, reset: bool) -> ConnOutcome {
        self.step(input);
        ConnOutcome::Ended { reason, reset }
    }

    /// TSval now: milliseconds (RFC 7323 §5.4).
    fn ts_now(&self, now: Instant) -> u32 {
        ((now.as_micros() / 1000) as u32).wrapping_add(self.ts.offset)
    }

    fn rto_limits(&self, config: &Config) -> RtoLimits {
        let user_timeout = self.tuning.as_ref().map_or(Duration::ZERO, |t| t.user_timeout);
        let (probes, abe) = (config.tcp_early_retrans >= 3, config.tcp_abe == 1);
        RtoLimits { min: config.rto_min(), max: config.rto_max(), user_timeout, probes, abe }
    }

    /// The retransmission timeout, back-off included.
    pub(crate) fn rto(&self, config: &Config) -> Duration {
        self.sender.rto(&self.rto_limits(config))
    }

    /// Data on its way, as the sender sees it.
    fn flight(&self) -> Flight {
        let has_fin = self.snd.fin == Fin::Sent && self.snd.fin_rides;
        Flight { una: self.snd.data_start(), nxt: self.snd.nxt, mss: self.snd.mss, has_fin }
    }

    /// Answers an unacceptable segment with an ACK, as often as `tcp_invalid_ratelimit` allows.
    fn answer_invalid(&mut self, ctx: &Ctx<'_>, has_data: bool) {
        let gap = Duration::from_millis(ctx.config.tcp_invalid_ratelimit);
        let recently =
            self.setbacks().invalid_answered_at.known().is_some_and(|at| ctx.now.since(at) < gap);
        // Data is no part of a loop of ACKs, and its sender waits for the answer.
        if recently && !has_data {
            return;
        }
        if !has_data {
            self.set_back().invalid_answered_at = ctx.now;
        }
        self.rcv.acks.at_once();
    }

    /// A challenge ACK (RFC 5961 §3.2, §4.2, §5.2), within the engine's limit (§7).
    fn challenge(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.challenges.allow(ctx.now, ctx.config.tcp_challenge_ack_limit) {
            ctx.counters.challenge_ack += 1;
            self.rcv.acks.at_once();
        }
    }

    /// The ACK of a half-open record's SYN ACK, which promised `window`, arrived; `answered_at` is
    /// when that went out, if it went out once, and not `retries` times more.
    pub(crate) fn handshake_done(
        &mut self,
        header: &TcpHeader,
        window: u32,
        answered_at: Option<Instant>,
        retries: u8,
        now: Instant,
    ) {
        self.step(Input::RecvAckOfSyn);
        self.summary.delivered = 1;
        self.snd.una = self.snd.iss + 1;
        self.snd.nxt = self.snd.una;
        self.rcv.advertised(window);
        self.open_send_window(header, self.snd.una);
        self.sender.on_handshake(answered_at.map(|at| now.since(at)));
        if retries > 1 {
            self.sender.start(self.snd.mss, self.options.sack);
        }
    }

    /// What stays of it in TIME_WAIT.
    pub(crate) fn time_wait_state(&self) -> TimeWaitState {
        TimeWaitState {
            snd_nxt: self.snd.nxt,
            rcv_nxt: self.rcv.nxt,
            ts_recent: self.ts.recent,
            window: self.rcv.scale.to_raw(self.rcv.window()),
            scale: self.rcv.scale.shift(),
            timestamps: self.options.timestamps,
            ace: self.told_ace(),
        }
    }

    /// The earliest of its deadlines.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let keepalive = self.keepalive.as_ref().map_or(Instant::NEVER, |k| k.probe_at);
        let sender = self.sender.next_deadline();
        sender.min(keepalive).min(self.close_at).min(self.rcv.acks.delayed_until).known()
    }

    /// Frees what only a living connection needs.
    pub(crate) fn release(&mut self, reason: EndReason) {
        self.handle.ended = Some(reason);
        self.state = State::Closed;
        self.snd.queue.clear();
        self.snd.marks = None;
        self.snd.starved = false;
        self.times.stop();
        self.rcv.give_up();
        self.keepalive = None;
        self.far_end = None;
        self.sender.stop_timer();
        self.close_at = Instant::NEVER;
        self.rcv.acks.delayed_until = Instant::NEVER;
        self.due = Due::default();
    }

    /// The MSS that our SYN announces.
    fn announced_mss(&self, link: &Link) -> u32 {
        let ours = negotiated::our_mss(link, self.tuple.is_ipv6());
        ours.min(negotiated::largest(self.tuning().max_seg)).into()
    }

    fn tuning(&self) -> Tuning {
        self.tuning.as_deref().copied().unwrap_or_default()
    }

    fn unanswered_probes(&self) -> u32 {
        let keepalive = self.keepalive.as_ref().map_or(0, |keepalive| keepalive.unanswered);
        let window = if self.snd.outstanding() == 0 { self.sender.timeouts() } else { 0 };
        keepalive.max(window).into()
    }

    pub(crate) fn info(&self, now: Instant, config: &Config, link: &Link) -> TcpInfo {
        let scaling = self.options.scaling;
        let sender = self.sender.info();
        let times = self.told_times(now);
        let setbacks = self.setbacks();
        let fin_out = u32::from(self.snd.fin == Fin::Sent);
        let data_out = self.snd.text_outstanding().saturating_sub(fin_out);
        TcpInfo {
            state: self.state,
            local: self.tuple.local(),
            remote: self.tuple.remote(),
            rtt: sender.srtt,
            rttvar: sender.rttvar,
            min_rtt: sender.min_rtt,
            rto: self.rto(config),
            backoff: sender.backoff.into(),
            snd_cwnd: sender.cwnd.into(),
            snd_ssthresh: match sender.ssthresh {
                u32::MAX => u64::MAX,
                bytes => bytes.into(),
            },
            pacing_rate: sender.pacing_rate,
            congestion: sender.congestion,
            snd_wnd: self.snd.window,
            rcv_wnd: self.rcv.window(),
            snd_mss: self.snd.mss,
            unacked: self.snd.outstanding(),
            sacked: sender.path.sacked,
            lost: sender.path.lost,
            retrans: sender.path.retrans,
            reordering: sender.path.reordering.into(),
            reord_seen: sender.path.reord_seen.into(),
            notsent_bytes: self.snd.unsent().into(),
            rcv_unread: self.rcv.unread().into(),
            bytes_sent: self.summary.bytes_acked + u64::from(data_out) + setbacks.bytes_retrans,
            bytes_retrans: setbacks.bytes_retrans,
            bytes_acked: self.summary.bytes_acked,
            bytes_received: self.rcv.received(),
            total_retrans: setbacks.retransmits,
            delivered: self.summary.delivered,
            delivered_ce: setbacks.delivered_ce,
            last_data_sent: times.last_data_sent,
            last_data_recv: times.last_data_recv,
            last_ack_recv: now.since(self.last_received_at),
            busy_time: times.busy,
            rwnd_limited: times.rwnd_limited,
            sndbuf_limited: times.sndbuf_limited,
            ca_state: sender.ca_state,
            probes: self.unanswered_probes(),
            advmss: self.announced_mss(link),
            rcv_mss: self.rcv.mss,
            icmp_error: setbacks.icmp_error,
            timestamps: self.options.timestamps,
            sack: self.options.sack,
            ecn: self.options.ecn != Ecn::None,
            ecn_seen: self.rcv.ecn_seen,
            acc_ecn: self.acc_ecn_info(),
            syn_data: self.fast_open.as_ref().is_some_and(|part| part.taken),
            rcv_wscale: scaling.then(|| self.rcv.scale.shift()),
            snd_wscale: scaling.then(|| self.snd.scale.shift()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_takes_at_most_640_bytes() {
        // Its box, its slot in the table, its node in the wheel, its entry in the demultiplexer
        // (4 + 1 bytes at the lowest load that hashbrown keeps). CUBIC takes 40 more once its
        // window has held something back.
        let all = size_of::<Connection>() + 16 + 24 + 12;
        assert!(all <= 640, "{all} bytes: sender {}", size_of::<Sender>());
    }
}
