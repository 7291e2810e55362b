//! The user calls (RFC 9293 §3.9.1).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::RangeInclusive;

use bytes::Bytes;
use fourwave_wire::SeqNum;
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};

use super::input::{TAKEOVER_GAP, is_unicast};
use super::{Accepted, Engine};
use crate::config::Config;
use crate::conn::{ConnOutcome, ConnParams, Connection, Signals};
use crate::demux::{FourTuple, Target};
use crate::end::EndReason;
use crate::error::{ConnectError, ListenError, NoSuchConnection, ReceiveError, SendError};
use crate::event::{ConnId, Decision, ListenerId, PendingId};
use crate::half_open::Answer;
use crate::info::TcpInfo;
use crate::listener::ListenOptions;
use crate::negotiated::offer;
use crate::options::{ConnectOptions, ListenFastOpen, SocketOptions, SynOptions};
use crate::ports::{Exhausted, Ports, Seat};
use crate::sender::congestion::Algorithm;
use crate::socket_option::{FarEndQuery, SocketOption};
use crate::state::State;
use crate::time::{Duration, Instant};
use crate::time_wait::TimeWaitState;

impl Engine {
    /// Answers SYNs from now on.
    ///
    /// # Errors
    /// Another listener answers for exactly the same address and port.
    pub fn listen(&mut self, mut options: ListenOptions) -> Result<ListenerId, ListenError> {
        let limit = self.config.somaxconn as usize;
        options.backlog = options.backlog.clamp(1, limit);
        options.fast_open = options.fast_open.limited_to(limit);
        self.listeners.insert(options)
    }

    /// Changes what the connections of a listener begin with, as far as their SYN is not there yet,
    /// and its part in Fast Open. False when there is no such listener.
    pub fn set_listen_options(
        &mut self,
        listener: ListenerId,
        socket: SocketOptions,
        fast_open: ListenFastOpen,
    ) -> bool {
        let limit = self.config.somaxconn as usize;
        let Some(listener) = self.listeners.get_mut(listener) else { return false };
        listener.socket = socket.shared();
        listener.fast_open = fast_open.limited_to(limit);
        true
    }

    /// Ends a listener: its half-open records are forgotten, connections that nobody accepted are
    /// reset. O(half-open records).
    pub fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        let Some(listener) = self.listeners.remove(listener) else { return };
        let records = &self.records.half_open;
        let of_it = |i: &u32| records.get(*i).is_some_and(|r| r.listener == listener.id);
        let gone: Vec<u32> = records.indices().filter(of_it).collect();
        for index in gone {
            self.drop_half_open(index);
        }
        for (conn, _) in listener.queue {
            // The connection may have ended on its own: then its slot is freed.
            let _ = self.abort(now, conn);
        }
    }

    /// Answers an [`Event::Incoming`](crate::Event::Incoming). False when that SYN is gone or was
    /// answered before.
    pub fn decide(&mut self, _now: Instant, pending: PendingId, decision: Decision) -> bool {
        let Some(index) = self.records.half_open.check(pending.index, pending.generation) else {
            return false;
        };
        let Some(record) = self.records.half_open.get(index) else { return false };
        if record.answer() != Answer::Undecided {
            return false;
        }
        let (tuple, irs) = (record.tuple, record.irs);
        let syn = TcpHeader {
            src_port: tuple.remote().port(),
            dst_port: tuple.local().port(),
            seq: irs,
            flags: Flags::SYN,
            ..TcpHeader::default()
        };
        match decision {
            Decision::Accept => {
                self.records.half_open.make_due(index);
                self.answer_syn(index);
                return true;
            }
            Decision::Reset => self.reset_segment(tuple, &syn, 1),
            Decision::Unreachable(error) => self.refuse_by_icmp(&tuple, &syn, error),
            Decision::Ignore => {}
        }
        self.drop_half_open(index);
        true
    }

    fn refuse_by_icmp(&mut self, tuple: &FourTuple, syn: &TcpHeader, error: IcmpError) {
        let (local, remote) = (tuple.local().ip(), tuple.remote().ip());
        let ip = IpEmit { src: remote, dst: local, protocol: protocol::TCP, ttl: 64, ecn: 0 };
        let mut offending = Vec::new();
        ip.emit(syn.emitted_len(), &mut offending);
        syn.emit(&mut offending);
        let mut packet = Vec::new();
        emit_error(local, error, &offending, &mut packet);
        self.reply_packet(packet);
    }

    /// The next open connection of a listener.
    pub fn accept(&mut self, _now: Instant, listener: ListenerId) -> Option<Accepted> {
        loop {
            let (id, pending) = self.listeners.get_mut(listener)?.queue.pop_front()?;
            let Some(index) = self.records.conns.check(id.index, id.generation) else { continue };
            let Some(conn) = self.records.conns.get_mut(index) else { continue };
            conn.handle.listener = None;
            if conn.handle.ended.is_some() {
                // Its last event was told already; the first read tells the rest.
                conn.handle.signals = Signals::default();
            }
            let (local, remote) = (conn.tuple.local(), conn.tuple.remote());
            self.schedule(index);
            return Some(Accepted { conn: id, pending, local, remote });
        }
    }

    /// Opens a connection. A `local` port of 0 is chosen by the engine.
    ///
    /// # Errors
    /// The four numbers are in use, no port is free, or the addresses cannot be a connection's.
    pub fn connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnId, ConnectError> {
        let nothing = &mut Bytes::new();
        let opened = self.connect_with(now, local, remote, ConnectOptions::default(), nothing)?;
        Ok(opened.0)
    }

    /// Opens a connection that has its options before the SYN goes out.
    ///
    /// With [`fast_open`](ConnectOptions::fast_open) what rides on the SYN is taken off the front
    /// of `data`, and its length returned; without a cookie that is nothing, and the SYN asks for
    /// one. The rest is the caller's to [`send`](Self::send), which may be done at once. Where
    /// `tcp_fastopen` forbids it or the way was found to be blocked, nothing rides.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        options: ConnectOptions,
        data: &mut Bytes,
    ) -> Result<(ConnId, usize), ConnectError> {
        let ConnectOptions { socket, local_ports, fast_open, no_cookie } = options;
        let socket = socket.shared();
        let offer = if fast_open { self.fast_offer(now, remote.ip(), no_cookie) } else { None };
        let conn = self.open(now, local, remote, (local_ports, socket.syn))?;
        let index = self.index(conn).ok_or(ConnectError::BadAddress)?;
        let (opening, ctx) = self.conn_and_ctx(index, now).ok_or(ConnectError::BadAddress)?;
        opening.inherit(&socket, &ctx);
        let taken = match offer {
            Some(offer) => opening.open_fast(offer, data),
            None => {
                opening.open();
                0
            }
        };
        let held = opening.held();
        self.memory_moved(held as i64);
        self.schedule(index);
        Ok((conn, taken))
    }

    /// Makes a connection of an active open, whose SYN does not go out yet.
    fn open(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        (ports, syn): (Option<RangeInclusive<u16>>, SynOptions),
    ) -> Result<ConnId, ConnectError> {
        let tuple = FourTuple::new(local, remote).ok_or(ConnectError::BadAddress)?;
        // RFC 9293 §3.9.2.3: no connection with a multicast or broadcast address.
        if !is_unicast(local.ip()) || !is_unicast(remote.ip()) || remote.port() == 0 {
            return Err(ConnectError::BadAddress);
        }
        let chosen = local.port() != 0;
        let tuple = if chosen { tuple } else { self.choose_port(now, tuple, ports)? };
        let after = match self.seat(now, &tuple) {
            Seat::Free => None,
            Seat::Reusable => self.take_time_wait_over(&tuple),
            // A port that the caller insists on, as in Linux: timestamps keep the two apart.
            Seat::TimeWait if chosen && self.has_timestamps(&tuple) => {
                self.take_time_wait_over(&tuple)
            }
            Seat::TimeWait | Seat::Taken => {
                return Err(ConnectError::AddressInUse { local: tuple.local(), remote });
            }
        };
        let options = offer(&self.config, &self.link, tuple.is_ipv6(), &syn);
        let iss = self.records.secret.isn(&tuple, now);
        let iss = after.map_or(iss, |end| iss.later(end + TAKEOVER_GAP));
        let ts_offset = self.records.secret.timestamp_offset(&tuple);
        let config = &self.config;
        let index = self.records.conns.insert_with(|index, generation| {
            let params = ConnParams {
                tuple,
                id: ConnId { index, generation },
                iss,
                irs: fourwave_wire::SeqNum::new(0),
                state: State::SynSent,
                options,
                ts_offset,
                ts_recent: 0,
                opened: now,
                syn,
            };
            Box::new(Connection::new(params, now, config))
        });
        self.counters.active_opens += 1;
        self.demux.insert(&self.records, &tuple, Target::Connection(index));
        self.records.conns.get(index).map(|c| c.id).ok_or(ConnectError::BadAddress)
    }

    fn choose_port(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        ports: Option<RangeInclusive<u16>>,
    ) -> Result<FourTuple, ConnectError> {
        let Config { ip_local_port_first: first, ip_local_port_last: last, .. } = self.config;
        let (first, last) = ports.map_or((first as u16, last as u16), |p| (*p.start(), *p.end()));
        // Port 0 stands for none.
        let range = (first.max(1), last);
        if range.0 > range.1 {
            let remote = tuple.remote();
            return Err(ConnectError::PortsExhausted { remote, ports: 0, time_wait: 0 });
        }
        let hash = self.records.secret.port_hash(&tuple.with_local_port(0));
        // Taken out for the search, which looks at everything else.
        let mut ports = core::mem::replace(&mut self.ports, Ports::new());
        let port = ports.choose(range, hash, |port| self.seat(now, &tuple.with_local_port(port)));
        self.ports = ports;
        let exhausted = |Exhausted { ports, time_wait }| ConnectError::PortsExhausted {
            remote: tuple.remote(),
            ports,
            time_wait,
        };
        port.map(|port| tuple.with_local_port(port)).map_err(exhausted)
    }

    /// What stands in the way of an outgoing connection.
    fn seat(&self, now: Instant, tuple: &FourTuple) -> Seat {
        match self.demux.find(&self.records, tuple) {
            None => Seat::Free,
            Some(target @ (Target::TimeWaitV4(_) | Target::TimeWaitV6(_))) => {
                if self.may_reuse(now, target, tuple) { Seat::Reusable } else { Seat::TimeWait }
            }
            Some(_) => Seat::Taken,
        }
    }

    /// Whether a TIME_WAIT had timestamps, and a new connection would (RFC 6191).
    fn has_timestamps(&self, tuple: &FourTuple) -> bool {
        let target = self.demux.find(&self.records, tuple);
        let tw_state = target.and_then(|target| self.records.time_wait.time_wait_state(target));
        self.config.tcp_timestamps == 1 && tw_state.is_some_and(|(tw_state, _)| tw_state.timestamps)
    }

    /// `tcp_tw_reuse` (RFC 6191): with timestamps, after a while, the peer can tell the two
    /// incarnations apart.
    fn may_reuse(&self, now: Instant, target: Target, tuple: &FourTuple) -> bool {
        let allowed = match self.config.tcp_tw_reuse {
            0 => false,
            1 => true,
            _ => tuple.local().ip().is_loopback() && tuple.remote().ip().is_loopback(),
        };
        let delay = Duration::from_millis(self.config.tcp_tw_reuse_delay);
        let old = |(tw_state, since): (TimeWaitState, Instant)| {
            tw_state.timestamps && self.config.tcp_timestamps == 1 && now.since(since) >= delay
        };
        allowed && self.records.time_wait.time_wait_state(target).is_some_and(old)
    }

    /// Ends a TIME_WAIT for a new outgoing connection; returns its SND.NXT.
    fn take_time_wait_over(&mut self, tuple: &FourTuple) -> Option<SeqNum> {
        let target = self.demux.find(&self.records, tuple)?;
        let (tw_state, _) = self.records.time_wait.time_wait_state(target)?;
        self.counters.tw_recycled += 1;
        self.drop_time_wait(target, tuple);
        Some(tw_state.snd_nxt)
    }

    fn index(&self, conn: ConnId) -> Option<u32> {
        let index = self.records.conns.check(conn.index, conn.generation)?;
        let held = self.records.conns.get(index).is_some_and(|c| !c.handle.orphan);
        held.then_some(index)
    }

    /// Queues as much of `data` as there is room for and takes that off its front. Returns how
    /// many bytes were taken; 0 means no room, and [`Event::Writable`](crate::Event::Writable)
    /// follows. Nothing is copied.
    ///
    /// # Errors
    /// The sending direction is closed, or the connection has ended.
    pub fn send(
        &mut self,
        now: Instant,
        conn: ConnId,
        data: &mut Bytes,
    ) -> Result<usize, SendError> {
        let index = self.index(conn).ok_or(SendError::NoSuchConnection)?;
        let (conn, ctx) = self.conn_and_ctx(index, now).ok_or(SendError::NoSuchConnection)?;
        let taken = conn.send(data, &ctx)?;
        self.memory_moved(taken as i64);
        self.schedule(index);
        Ok(taken)
    }

    /// The next received bytes, at most `max`: a slice of the packet that brought them. An empty
    /// one is the end of the stream.
    ///
    /// # Errors
    /// Nothing to read yet, or the connection ended in an error and all before it was read.
    pub fn receive(
        &mut self,
        now: Instant,
        conn: ConnId,
        max: usize,
    ) -> Result<Bytes, ReceiveError> {
        let index = self.index(conn).ok_or(ReceiveError::NoSuchConnection)?;
        let (conn, ctx) = self.conn_and_ctx(index, now).ok_or(ReceiveError::NoSuchConnection)?;
        let before = conn.rcv.cost_in_order();
        let read = conn.receive(max, &ctx)?;
        let moved = conn.rcv.cost_in_order() as i64 - before as i64;
        if read.update {
            conn.update_window();
            self.schedule(index);
        }
        self.memory_moved(moved);
        Ok(read.data)
    }

    /// Closes the sending direction: a FIN follows what is queued; receiving goes on. Calling it
    /// again does nothing.
    ///
    /// # Errors
    /// The connection has ended in an error.
    pub fn shutdown(&mut self, now: Instant, conn: ConnId) -> Result<(), SendError> {
        let index = self.index(conn).ok_or(SendError::NoSuchConnection)?;
        let (conn, ctx) = self.conn_and_ctx(index, now).ok_or(SendError::NoSuchConnection)?;
        conn.shutdown(&ctx)?;
        self.schedule(index);
        Ok(())
    }

    /// Gives the handle back. The connection finishes by itself: in order, or by RST when
    /// received data is unread. [`Event::Closed`](crate::Event::Closed) still comes.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn close(&mut self, now: Instant, conn: ConnId) -> Result<(), NoSuchConnection> {
        self.give_back(now, conn, |conn, ctx| conn.close(ctx))
    }

    /// Gives the handle back and resets the connection.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn abort(&mut self, now: Instant, conn: ConnId) -> Result<(), NoSuchConnection> {
        self.give_back(now, conn, |conn, ctx| conn.abort_by_user(ctx))
    }

    /// Resets every connection because the process that holds them ends, those included whose
    /// handle was given back. What was received can still be read by the handles that are held.
    /// O(connections); as many peers are told by RST as there is room for replies (4096).
    pub fn shut_down(&mut self, now: Instant) {
        let all: Vec<u32> = self.records.conns.indices().collect();
        for index in all {
            let Some(conn) = self.records.conns.get_mut(index) else { continue };
            if conn.handle.ended.is_none() {
                let outcome = conn.abort(EndReason::Shutdown);
                self.settle(now, index, outcome);
            }
        }
    }

    fn give_back(
        &mut self,
        now: Instant,
        conn: ConnId,
        how: impl FnOnce(&mut Connection, &mut crate::conn::Ctx<'_>) -> ConnOutcome,
    ) -> Result<(), NoSuchConnection> {
        let index = self.index(conn).ok_or(NoSuchConnection)?;
        let (conn, mut ctx) = self.conn_and_ctx(index, now).ok_or(NoSuchConnection)?;
        if conn.handle.ended.is_some() {
            self.remove_conn(index);
            return Ok(());
        }
        let outcome = how(conn, &mut ctx);
        self.orphans += 1;
        let outcome = self.within_max_orphans(index, outcome);
        self.settle(now, index, outcome);
        Ok(())
    }

    fn within_max_orphans(&mut self, index: u32, outcome: ConnOutcome) -> ConnOutcome {
        let Some(conn) = self.records.conns.get_mut(index) else { return outcome };
        let is_one_too_many = self.orphans as u64 > self.config.tcp_max_orphans;
        let is_costly = conn.is_costly_orphan(self.memory.level(), &self.config);
        if outcome != ConnOutcome::Alive || !(is_one_too_many || is_costly) {
            return outcome;
        }
        self.counters.abort_on_memory += 1;
        conn.abort(EndReason::TooManyOrphans)
    }

    /// Sets an option of a connection.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn set_option(
        &mut self,
        now: Instant,
        conn: ConnId,
        option: SocketOption,
    ) -> Result<(), NoSuchConnection> {
        let index = self.index(conn).ok_or(NoSuchConnection)?;
        let (conn, ctx) = self.conn_and_ctx(index, now).ok_or(NoSuchConnection)?;
        conn.set_option(option, &ctx);
        self.schedule(index);
        Ok(())
    }

    /// Gives a connection another congestion control (`TCP_CONGESTION`), which begins with the
    /// window that there is.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn set_congestion_control(
        &mut self,
        conn: ConnId,
        algorithm: Algorithm,
    ) -> Result<(), NoSuchConnection> {
        let index = self.index(conn).ok_or(NoSuchConnection)?;
        let conn = self.records.conns.get_mut(index).ok_or(NoSuchConnection)?;
        conn.sender.set_congestion(algorithm);
        self.schedule(index);
        Ok(())
    }

    /// A connection's statistics. Its times count up to its last segment, either way;
    /// [`info_at`](Self::info_at) knows how long ago that was.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn info(&self, conn: ConnId) -> Result<TcpInfo, NoSuchConnection> {
        let conn = self.index(conn).and_then(|i| self.records.conns.get(i));
        let conn = conn.ok_or(NoSuchConnection)?;
        Ok(conn.info(conn.last_segment_at(), &self.config, &self.link))
    }

    /// A connection's statistics as of `now`.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn info_at(&self, now: Instant, conn: ConnId) -> Result<TcpInfo, NoSuchConnection> {
        let conn = self.index(conn).and_then(|i| self.records.conns.get(i));
        Ok(conn.ok_or(NoSuchConnection)?.info(now, &self.config, &self.link))
    }

    /// What the peer waits for until [`confirm_far_end`](Self::confirm_far_end); `None` when
    /// nothing waits. O(1).
    pub fn far_end_query(&self, conn: ConnId) -> Option<FarEndQuery> {
        self.index(conn).and_then(|i| self.records.conns.get(i))?.far_end_query()
    }

    /// The far end of a relay gave a sign of life ([`SocketOption::FarEnd`]): what waits for it is
    /// answered. O(1).
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn confirm_far_end(&mut self, now: Instant, conn: ConnId) -> Result<(), NoSuchConnection> {
        let index = self.index(conn).ok_or(NoSuchConnection)?;
        let (conn, ctx) = self.conn_and_ctx(index, now).ok_or(NoSuchConnection)?;
        conn.confirm_far_end(ctx.now);
        self.schedule(index);
        Ok(())
    }

    /// Bytes that [`send`](Self::send) would take now.
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn send_room(&self, conn: ConnId) -> Result<usize, SendError> {
        let conn = self.index(conn).and_then(|i| self.records.conns.get(i));
        Ok(conn.ok_or(SendError::NoSuchConnection)?.send_room(&self.config, self.memory.level())
            as usize)
    }

    /// Whether a third of the send buffer is free and half of what may be unsent is sent
    /// (`TCP_NOTSENT_LOWAT`): when Linux says `POLLOUT`, and [`send`](Self::send) follows
    /// [`Event::Writable`](crate::Event::Writable). O(1).
    ///
    /// # Errors
    /// The handle names no connection.
    pub fn is_writable(&self, conn: ConnId) -> Result<bool, NoSuchConnection> {
        let conn = self.index(conn).and_then(|i| self.records.conns.get(i));
        Ok(conn.ok_or(NoSuchConnection)?.is_writable(&self.config, self.memory.level()))
    }
}
