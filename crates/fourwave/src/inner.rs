//! What the lock guards: the engine, who waits for what, and the packet that the device refused.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use fourwave_core::{
    ConnId, Decision, EndReason, EndReport, Engine, Event, Instant, ListenerId, PendingId, TcpInfo,
};
use fourwave_device::Device;
use fourwave_wire::{RxPacket, TxPacket};

use crate::notice::{Notice, NoticeKind};
use crate::reports::Reporter;
use crate::sender_report::SenderWatch;

/// What the driver counts beside the engine's [`Counters`](crate::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IoCounters {
    /// Packets read from the device, super-packets counted once.
    pub received: u64,
    /// Packets that the device took, super-packets counted once.
    pub sent: u64,
    /// Packets that the device refused for good.
    pub send_errors: u64,
    /// Times the device had no room; the packet waited and was sent later.
    pub blocked: u64,
    /// Packets that are not TCP and found no taker, or no room in its channel.
    pub others_dropped: u64,
    /// Most connections in TIME_WAIT at once.
    pub peak_time_wait: u64,
}

/// Who waits on one connection, and what its events said so far.
#[derive(Default)]
pub(crate) struct Slot {
    id: Option<ConnId>,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) drainer: Option<Waker>,
    pub(crate) closers: Vec<Waker>,
    pub(crate) relayer: Option<Waker>,
    /// The far end was asked for, and nobody was told.
    pub(crate) far_end_asked: bool,
    pub(crate) connected: bool,
    pub(crate) ended: Option<EndReason>,
}

impl Slot {
    fn take_wakers(&mut self, into: &mut Vec<Waker>) {
        into.extend(self.reader.take());
        into.extend(self.writer.take());
        into.extend(self.drainer.take());
        into.append(&mut self.closers);
        into.extend(self.relayer.take());
    }
}

/// Keeps the newest waker of a place where one task waits.
pub(crate) fn wait(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Adds a waker to a place where several tasks wait.
pub(crate) fn wait_with_others(place: &mut Vec<Waker>, cx: &Context<'_>) {
    if !place.iter().any(|w| w.will_wake(cx.waker())) {
        place.push(cx.waker().clone());
    }
}

/// One SYN that a deferring listener reported.
#[derive(Clone, Copy)]
pub(crate) struct IncomingRecord {
    pub(crate) pending: PendingId,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

#[derive(Default)]
pub(crate) struct ListenerState {
    pub(crate) deferred: bool,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) incoming: VecDeque<IncomingRecord>,
}

/// How far a reported SYN is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nobody decided yet.
    Undecided,
    /// SYN ACK sent, its ACK awaited.
    Accepted,
    /// Accepted, but nobody waits for it any more.
    Abandoned,
    /// The handshake is over.
    Open(ConnId),
}

pub(crate) struct Pending {
    pub(crate) listener: ListenerId,
    pub(crate) progress: Progress,
    pub(crate) waker: Option<Waker>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    /// `None` once the stack has stopped.
    pub(crate) device: Option<Arc<dyn Device>>,
    slots: Vec<Slot>,
    pub(crate) listeners: HashMap<ListenerId, ListenerState>,
    pub(crate) pending: HashMap<PendingId, Pending>,
    /// The packet in work; kept when the device refused it.
    pub(crate) tx: TxPacket,
    /// `tx` waits for room and goes first.
    pub(crate) tx_blocked: bool,
    /// The last flush ended before the engine was idle, or has not ended.
    pub(crate) unsent: bool,
    /// Somebody sends, and has `tx`: the lock is free while the device takes a packet.
    pub(crate) sending: bool,
    /// Shutdown was asked for: the driver ends when all is sent.
    pub(crate) stopping: bool,
    /// What ended the driver, when it was the device's failure.
    pub(crate) failure: Option<(io::ErrorKind, String)>,
    pub(crate) driver: Option<Waker>,
    /// When the driver wakes by itself.
    pub(crate) armed: Option<Instant>,
    /// To be woken once the lock is free.
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) drain_waiters: Vec<Waker>,
    pub(crate) stop_waiters: Vec<Waker>,
    pub(crate) others: Option<Reporter<RxPacket>>,
    pub(crate) ends: Option<Reporter<EndReport>>,
    pub(crate) notices: Option<Reporter<Notice>>,
    pub(crate) senders: SenderWatch,
    pub(crate) io: IoCounters,
    /// How many queries for a far end there were, over all connections: read without the lock.
    pub(crate) far_end_asked: Arc<AtomicU64>,
}

impl Inner {
    pub(crate) fn new(engine: Engine, device: Arc<dyn Device>) -> Self {
        Self {
            engine,
            device: Some(device),
            slots: Vec::new(),
            listeners: HashMap::new(),
            pending: HashMap::new(),
            tx: TxPacket::default(),
            tx_blocked: false,
            unsent: false,
            sending: false,
            stopping: false,
            failure: None,
            driver: None,
            armed: None,
            to_wake: Vec::new(),
            drain_waiters: Vec::new(),
            stop_waiters: Vec::new(),
            others: None,
            ends: None,
            notices: None,
            senders: SenderWatch::default(),
            io: IoCounters::default(),
            far_end_asked: Arc::default(),
        }
    }

    /// The place of a connection whose handle is about to be given out.
    pub(crate) fn register(&mut self, conn: ConnId) {
        let index = conn.slot();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        self.slots[index] = Slot { id: Some(conn), ..Slot::default() };
    }

    /// Forgets a connection whose handle was given back. The caller drops what it gets without
    /// the lock: a waker's drop may be that of a task with other sockets.
    pub(crate) fn unregister(&mut self, conn: ConnId) -> Slot {
        self.slot(conn).map(std::mem::take).unwrap_or_default()
    }

    /// The place of a connection whose handle is held.
    pub(crate) fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots.get_mut(conn.slot()).filter(|slot| slot.id == Some(conn))
    }

    fn wake_with(&mut self, conn: ConnId, take: impl FnOnce(&mut Slot) -> Option<Waker>) {
        let waker = self.slot(conn).and_then(take);
        self.to_wake.extend(waker);
    }

    /// Hands a received packet to the engine, or to the taker of other packets.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: RxPacket) {
        self.io.received += 1;
        if self.engine.handle_packet(now, &packet) {
            return;
        }
        let taken = self.others.as_ref().is_some_and(|others| others.tell(packet));
        self.io.others_dropped += u64::from(!taken);
    }

    /// Whether a deadline of the engine comes before the driver wakes by itself.
    pub(crate) fn is_due_sooner(&self) -> bool {
        match (self.engine.poll_timeout(), self.armed) {
            (Some(due), Some(armed)) => due < armed,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// Sends a finished packet unless TCP waits for room already; false when there is none.
    pub(crate) fn send_packet(&mut self, packet: &TxPacket) -> io::Result<bool> {
        let Some(device) = &self.device else { return Err(self.stopped()) };
        if self.tx_blocked {
            return Ok(false);
        }
        match device.try_send(packet) {
            Ok(()) => {
                self.io.sent += 1;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => {
                self.io.send_errors += 1;
                Err(error)
            }
        }
    }

    /// Turns the engine's events into wake-ups.
    pub(crate) fn drain_events(&mut self, now: Instant) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Readable { conn } | Event::PeerClosed { conn } => {
                    self.wake_with(conn, |slot| slot.reader.take());
                }
                Event::Writable { conn } => {
                    self.wake_with(conn, |slot| slot.writer.take());
                    self.wake_with(conn, |slot| slot.drainer.take());
                }
                Event::Drained { conn } => self.wake_with(conn, |slot| slot.drainer.take()),
                Event::FarEndAsked { conn } => {
                    // Before whoever waits is woken, who then looks into the slot.
                    self.far_end_asked.fetch_add(1, Ordering::Release);
                    self.wake_with(conn, |slot| {
                        slot.far_end_asked = true;
                        slot.relayer.take()
                    });
                }
                Event::SenderMoved { conn } => {
                    if let Ok(info) = self.engine.info_at(now, conn) {
                        self.senders.moved(now, conn, info);
                    }
                }
                Event::Connected { conn } => self.wake_with(conn, |slot| {
                    slot.connected = true;
                    slot.writer.take()
                }),
                Event::Closed { conn, report } => self.on_closed(conn, *report),
                Event::Incoming { listener, pending, local, remote } => {
                    self.on_incoming(listener, IncomingRecord { pending, local, remote });
                }
                Event::PendingGone { pending } => {
                    let gone = self.pending.remove(&pending);
                    self.to_wake.extend(gone.and_then(|p| p.waker));
                }
                Event::Acceptable { listener } => self.on_acceptable(now, listener),
                Event::CloseWaitSuspected { conn, since, last_call, last_call_at } => {
                    let what = NoticeKind::CloseWaitSuspected { since, last_call, last_call_at };
                    self.on_notice(now, conn, |_| what);
                }
                Event::Unanswered { conn } => {
                    self.on_notice(now, conn, |info| NoticeKind::Unanswered {
                        backoff: info.backoff,
                        icmp_error: info.icmp_error,
                    });
                }
                _ => {}
            }
        }
        if !self.drain_waiters.is_empty() && self.is_drained() {
            self.to_wake.append(&mut self.drain_waiters);
        }
    }

    fn on_closed(&mut self, conn: ConnId, report: EndReport) {
        let Self { slots, to_wake, .. } = self;
        if let Some(slot) = slots.get_mut(conn.slot()).filter(|slot| slot.id == Some(conn)) {
            slot.ended = Some(report.reason);
            slot.take_wakers(to_wake);
        }
        let time_wait = self.engine.population().time_wait as u64;
        self.io.peak_time_wait = self.io.peak_time_wait.max(time_wait);
        if let Some(ends) = &self.ends {
            ends.tell(report);
        }
    }

    fn on_notice(&mut self, at: Instant, conn: ConnId, what: impl Fn(&TcpInfo) -> NoticeKind) {
        let Some(notices) = &self.notices else { return };
        let Ok(info) = self.engine.info(conn) else { return };
        let notice = Notice { local: info.local, remote: info.remote, at, what: what(&info) };
        notices.tell(notice);
    }

    fn on_incoming(&mut self, listener: ListenerId, record: IncomingRecord) {
        let Some(state) = self.listeners.get_mut(&listener) else { return };
        // SYNs that died before anybody asked for them.
        if state.incoming.len() > 2 * self.pending.len() + 64 {
            state.incoming.retain(|r| self.pending.contains_key(&r.pending));
        }
        state.incoming.push_back(record);
        self.to_wake.append(&mut state.wakers);
        let pending = Pending { listener, progress: Progress::Undecided, waker: None };
        self.pending.insert(record.pending, pending);
    }

    fn on_acceptable(&mut self, now: Instant, listener: ListenerId) {
        let Some(state) = self.listeners.get_mut(&listener) else { return };
        if !state.deferred {
            self.to_wake.append(&mut state.wakers);
            return;
        }
        while let Some(accepted) = self.engine.accept(now, listener) {
            let pending = accepted.pending.and_then(|id| self.pending.get_mut(&id));
            match pending {
                Some(pending) if pending.progress == Progress::Accepted => {
                    pending.progress = Progress::Open(accepted.conn);
                    self.to_wake.extend(pending.waker.take());
                    self.register(accepted.conn);
                }
                _ => {
                    // Whoever accepted it is gone. It is ours, so it cannot be dead already.
                    let _ = self.engine.abort(now, accepted.conn);
                    if let Some(id) = accepted.pending {
                        self.pending.remove(&id);
                    }
                }
            }
        }
    }

    /// Ends a listener and what it had not handed out.
    pub(crate) fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        self.engine.unlisten(now, listener);
        let Some(mut state) = self.listeners.remove(&listener) else { return };
        self.to_wake.append(&mut state.wakers);
        let Self { pending, to_wake, .. } = self;
        pending.retain(|_, p| {
            let keep = p.listener != listener || matches!(p.progress, Progress::Open(_));
            if !keep {
                to_wake.extend(p.waker.take());
            }
            keep
        });
    }

    /// Answers a reported SYN. False when it is gone.
    pub(crate) fn decide(&mut self, now: Instant, id: PendingId, decision: Decision) -> bool {
        let Some(pending) = self.pending.get_mut(&id) else { return false };
        pending.progress = Progress::Accepted;
        let alive = self.engine.decide(now, id, decision);
        if !alive || decision != Decision::Accept {
            self.pending.remove(&id);
        }
        alive
    }

    /// Nobody waits any more for the connection that a SYN was accepted for.
    pub(crate) fn abandon(&mut self, now: Instant, id: PendingId) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let Progress::Open(conn) = pending.progress else {
            pending.progress = Progress::Abandoned;
            return;
        };
        self.pending.remove(&id);
        // Dead already when the stack has stopped.
        let _ = self.engine.abort(now, conn);
        self.unregister(conn);
    }

    /// Whether no connection is left but those in TIME_WAIT, and nothing waits for the device.
    pub(crate) fn is_drained(&self) -> bool {
        let population = self.engine.population();
        population.connections == 0 && population.half_open == 0 && !self.tx_blocked
    }

    /// The error of a call that came after the stack's end.
    pub(crate) fn stopped(&self) -> io::Error {
        match &self.failure {
            Some((kind, text)) => {
                io::Error::new(*kind, format!("the stack's device failed: {text}"))
            }
            None => crate::error::stopped(),
        }
    }

    /// A connection's end as an error: by its reason, or by the device's failure where that ended
    /// it.
    pub(crate) fn ended(&self, reason: EndReason) -> io::Error {
        if reason == EndReason::Shutdown && self.failure.is_some() {
            return self.stopped();
        }
        crate::error::ended(reason)
    }

    /// The error of a socket whose handle the engine does not know any more: the other half
    /// aborted it.
    pub(crate) fn dead(&mut self, conn: ConnId) -> io::Error {
        let reason = self.slot(conn).and_then(|slot| slot.ended);
        self.ended(reason.unwrap_or(EndReason::Aborted))
    }

    /// Resets every connection, ends the listeners and wakes all who wait.
    pub(crate) fn abort_all(&mut self, now: Instant) {
        self.engine.shut_down(now);
        let listeners: Vec<ListenerId> = self.listeners.keys().copied().collect();
        for listener in listeners {
            self.unlisten(now, listener);
        }
        self.drain_events(now);
    }

    /// The driver has ended: nothing moves any more.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.abort_all(now);
        self.flush_at_the_end(now);
        self.device = None;
        self.others = None;
        self.ends = None;
        self.notices = None;
        self.senders.reporter = None;
        self.to_wake.append(&mut self.drain_waiters);
        self.to_wake.append(&mut self.stop_waiters);
    }
}
