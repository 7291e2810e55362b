//! TCP Fast Open (RFC 7413): connections that carry text on their SYN, both ways.

use alloc::boxed::Box;
use core::net::IpAddr;

use fourwave_wire::SeqNum;
use fourwave_wire::options::FastOpen;

use super::{Engine, Queued};
use crate::conn::arrive::Segment;
use crate::conn::ecn::{SynEcn, asked};
use crate::conn::{ConnParams, Connection};
use crate::demux::{FourTuple, Target};
use crate::event::{ConnId, Event, ListenerId};
use crate::fast_open::{FastOpenKeys, Offer, Part, Worth, bit};
use crate::half_open::{HalfOpen, SYN_WINDOW};
use crate::negotiated::{agree, offer};
use crate::options::ListenFastOpen;
use crate::state::State;
use crate::time::{Duration, Instant};

impl Engine {
    /// Sets what cookies are made from. Until then a key is drawn from the seed; several machines
    /// behind one address need the same.
    pub fn set_fast_open_keys(&mut self, keys: FastOpenKeys) {
        self.fast_open_keys = keys;
    }

    /// Whether a SYN to `remote` could carry text now: a cookie is remembered, or none is needed.
    pub fn fast_open_ready(&self, now: Instant, remote: IpAddr, no_cookie: bool) -> bool {
        let no_cookie = no_cookie || self.config.tcp_fastopen & bit::CLIENT_NO_COOKIE != 0;
        let may = self.may_open_fast(now) && !self.cookies.is_paused(remote, now);
        may && (no_cookie || self.cookies.knows(remote))
    }

    fn may_open_fast(&self, now: Instant) -> bool {
        let pause = Duration::from_secs(self.config.tcp_fastopen_blackhole_timeout_sec);
        self.config.tcp_fastopen & bit::CLIENT != 0 && !self.cookies.is_blocked(now, pause)
    }

    /// What the SYN of a fast open carries; `None` where there is to be none.
    pub(super) fn fast_offer(&self, now: Instant, host: IpAddr, no_cookie: bool) -> Option<Offer> {
        let no_cookie = no_cookie || self.config.tcp_fastopen & bit::CLIENT_NO_COOKIE != 0;
        let may = self.may_open_fast(now) && !self.cookies.is_paused(host, now);
        may.then(|| self.cookies.offer(host, no_cookie))
    }

    /// Forgets all cookies that peers gave (`ip tcp_metrics flush`).
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    /// A SYN for a listener that takes part, or none: makes a connection of it where its cookie
    /// is right, and says whether it did.
    pub(super) fn fast_open_arrives(
        &mut self,
        now: Instant,
        id: ListenerId,
        tuple: FourTuple,
        iss: SeqNum,
        segment: &Segment<'_>,
    ) -> bool {
        let Some(part) = self.judge_syn(id, &tuple, segment) else { return false };
        let Some(listener) = self.listeners.get(id) else { return false };
        let (syn, socket) = (listener.socket.syn, listener.socket.clone());
        let ours = offer(&self.config, &self.link, tuple.is_ipv6(), &syn);
        let ecn = asked(&segment.header, segment.ecn, self.config.tcp_ecn);
        let options = agree(&self.config, &ours, tuple.is_ipv6(), &segment.header.options);
        let options = options.with_ecn(ecn, &self.config);
        let ts_offset = self.records.secret.timestamp_offset(&tuple);
        let text = segment.packet.slice(segment.payload.clone());
        let text = text.slice(..text.len().min(SYN_WINDOW as usize));
        let config = &self.config;
        let conn = self.records.conns.insert_with(|index, generation| {
            let params = ConnParams {
                tuple,
                id: ConnId { index, generation },
                iss,
                irs: segment.header.seq,
                state: State::SynReceived,
                options,
                ts_offset,
                ts_recent: segment.header.options.timestamps.map_or(0, |ts| ts.value),
                opened: now,
                syn,
            };
            let mut conn = Box::new(Connection::new(params, now, config));
            conn.open_passive(&segment.header, text, part);
            conn.accept_ecn(SynEcn { codepoint: segment.ecn, may_send: true }, now);
            conn.handle.listener = Some(id);
            conn
        });
        self.demux.insert(&self.records, &tuple, Target::Connection(conn));
        if let Some((made, ctx)) = self.conn_and_ctx(conn, now) {
            made.inherit(&socket, &ctx);
            let held = made.held();
            self.memory_moved(held as i64);
        }
        self.counters.passive_opens += 1;
        self.counters.fast_open_passive += 1;
        if let (Some(listener), Some(made)) =
            (self.listeners.get_mut(id), self.records.conns.get(conn))
        {
            listener.opened_fast += 1;
            listener.queue.push_back((made.id, None));
        }
        self.events.push_back(Queued::Event(Event::Acceptable { listener: id }));
        self.schedule(conn);
        true
    }

    /// Whether a SYN may make a connection at once.
    fn judge_syn(&mut self, id: ListenerId, tuple: &FourTuple, syn: &Segment<'_>) -> Option<Part> {
        let asked = syn.header.options.fast_open;
        let (listener, is_full) = self.fast_listener(id)?;
        if syn.payload.is_empty() && asked.is_none() {
            return None;
        }
        self.counters.fast_open_cookie_reqd +=
            u64::from(asked.is_some_and(|option| option.cookie().is_empty()));
        if is_full {
            self.counters.fast_open_overflow += 1;
            return None;
        }
        let part = Part { option: None, text: 0, taken: false, passive: true, waits_at: Some(id) };
        if self.config.tcp_fastopen & bit::SERVER_NO_COOKIE != 0 {
            return Some(part);
        }
        let option = asked.filter(|option| !option.cookie().is_empty())?;
        let (client, server) = (tuple.remote().ip(), tuple.local().ip());
        let keys = listener.keys.unwrap_or(self.fast_open_keys);
        match keys.judge(client, server, &option) {
            Worth::Valid => Some(part),
            Worth::Old => Some(Part { option: keys.give(client, server, &option), ..part }),
            Worth::Wrong => {
                self.counters.fast_open_passive_fail += 1;
                None
            }
        }
    }

    /// The listener's settings, where Fast Open is on for it, and whether its queue is full.
    fn fast_listener(&self, id: ListenerId) -> Option<(ListenFastOpen, bool)> {
        let on = self.config.tcp_fastopen & bit::SERVER != 0;
        let every = self.config.tcp_fastopen & bit::EVERY_LISTENER != 0;
        let listener = self.listeners.get(id).filter(|_| on)?;
        let backlog = if every { listener.backlog } else { 0 };
        let queue = listener.fast_open.queue.max(backlog);
        let takes_part = queue > 0 && !listener.deferred;
        takes_part.then_some((listener.fast_open, listener.opened_fast >= queue))
    }

    /// A SYN that makes a half-open record: notes whether its SYN ACK is to bring a cookie.
    pub(super) fn promise_cookie(&self, record: &mut HalfOpen, asked: Option<FastOpen>) {
        let listener = self.fast_listener(record.listener);
        if let (Some(asked), Some((_, false))) = (asked, listener) {
            record.promise_cookie(&asked);
        }
    }

    /// The cookie for a record's SYN ACK.
    pub(super) fn cookie_for(&self, record_index: u32) -> Option<FastOpen> {
        let record = self.records.half_open.get(record_index)?;
        let (like, id, tuple) = (record.cookie_due()?, record.listener, record.tuple);
        let keys = self.fast_listener(id)?.0.keys.unwrap_or(self.fast_open_keys);
        keys.give(tuple.remote().ip(), tuple.local().ip(), &like)
    }

    /// After a step of a connection that takes part: its handshake may be through, its SYN may
    /// have been answered.
    pub(super) fn fast_open_steps(
        &mut self,
        now: Instant,
        index: u32,
        was: State,
        segment: &Segment<'_>,
    ) {
        let Some(conn) = self.records.conns.get(index) else { return };
        let Some(part) = conn.fast_open.as_deref() else { return };
        if was == State::SynSent && conn.snd.syn_acknowledged() {
            let options = &segment.header.options;
            let mss = options.mss.unwrap_or(u16::MAX);
            // A SYN that was repeated asked for nothing.
            let asks = |option: &FastOpen| option.cookie().is_empty();
            let asked = part.option.filter(asks).filter(|_| conn.setbacks().retransmits == 0);
            let (host, taken) = (conn.tuple.remote().ip(), part.taken);
            let cookie = options.fast_open.filter(|_| part.option.is_some());
            let refused = cookie.is_none() && (asked.is_some() || (part.text > 0 && !taken));
            let pause = Duration::from_secs(self.config.tcp_fastopen_path_disable_sec);
            // Who pauses does not try the other option.
            self.cookies.learn(host, mss, cookie, asked.filter(|_| pause.is_zero()));
            if refused && !pause.is_zero() {
                self.cookies.pause(host, now, pause);
            }
            if taken {
                self.cookies.unblock();
            }
        }
    }

    /// Its handshake is through, or it is over: it waits no longer at its listener.
    pub(super) fn fast_open_settles(&mut self, index: u32, over: bool) {
        let Some(conn) = self.records.conns.get_mut(index) else { return };
        let through = over || conn.snd.syn_acknowledged();
        let Some(part) = conn.fast_open.as_deref_mut().filter(|_| through) else { return };
        if let Some(id) = part.waits_at.take()
            && let Some(listener) = self.listeners.get_mut(id)
        {
            listener.opened_fast -= 1;
        }
    }

    /// The third timeout in a row of a connection that used Fast Open: something on the way may
    /// swallow it (RFC 7413 §7.1), as Linux judges. `before`: how many there were before this.
    pub(super) fn fast_open_times_out(&mut self, now: Instant, index: u32, before: u8) {
        let Some(conn) = self.records.conns.get(index) else { return };
        let uses = conn.fast_open.as_ref().is_some_and(|part| !part.passive);
        if uses && before == 2 && conn.timeouts_in_a_row() == 3 {
            self.counters.fast_open_blackhole += 1;
            self.cookies.block(now);
        }
    }
}
