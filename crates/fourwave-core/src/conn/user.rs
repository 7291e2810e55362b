//! The user calls of RFC 9293 §3.10 on one connection.

use alloc::boxed::Box;

use bytes::Bytes;
use fourwave_wire::tcp::TcpHeader;

use super::send::Fin;
use super::{ConnOutcome, Connection, Ctx, FarEnd, KeepAlive, Signals, Tuning};
use crate::end::{EndReason, UserCall};
use crate::error::{ReceiveError, SendError};
use crate::fast_open::{Offer, Part};
use crate::memory::MemoryLevel;
use crate::socket_option::SocketOption;
use crate::state::{Input, State};
use crate::time::{Duration, Instant};

/// Linux's least TCP_KEEPIDLE and TCP_KEEPINTVL.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
/// Bytes of the most options that a segment may carry.
const MOST_OPTIONS: u32 = 40;

/// What a read brought beside its bytes.
pub(crate) struct Read {
    pub(crate) data: Bytes,
    /// The peer should hear that its window opened.
    pub(crate) update: bool,
}

impl Connection {
    fn called(&mut self, call: UserCall, now: Instant) {
        self.summary.last_call = call;
        self.summary.last_call_at = now;
    }

    /// Starts an active open.
    pub(crate) fn open(&mut self) {
        self.due.syn = true;
    }

    /// Starts an active open with Fast Open: takes off `data` what may ride on the SYN, and
    /// returns how much that is.
    pub(crate) fn open_fast(&mut self, offer: Offer, data: &mut Bytes) -> usize {
        self.open();
        let room = offer.mss.map_or(0, |mss| u32::from(mss).min(self.snd.mss));
        // Middleboxes may add options of their own.
        let text = (room.saturating_sub(MOST_OPTIONS) as usize).min(data.len());
        if text > 0 {
            self.snd.queue.push(data.split_to(text));
            self.snd.push();
        }
        self.fast_open = Some(Box::new(Part {
            option: offer.option,
            text: text as u32,
            taken: false,
            passive: false,
            waits_at: None,
        }));
        text
    }

    /// A SYN with a valid cookie makes a connection before its handshake is through: its text can
    /// be read at once (RFC 7413 §4.2.2).
    pub(crate) fn open_passive(&mut self, syn: &TcpHeader, text: Bytes, part: Part) {
        self.due.syn = true;
        self.open_send_window(syn, self.snd.una);
        let taken = !text.is_empty();
        if taken {
            let _known = self.rcv.accept(text);
            self.handle.signals.set(Signals::READABLE);
        }
        self.fast_open = Some(Box::new(Part { taken, ..part }));
    }

    /// Queues what there is room for, off the front of `data`. 0: no room, `WRITABLE` follows.
    pub(crate) fn send(&mut self, data: &mut Bytes, ctx: &Ctx<'_>) -> Result<usize, SendError> {
        if let Some(reason) = self.handle.ended {
            return Err(match reason {
                EndReason::Orderly => SendError::Shutdown,
                reason => SendError::Ended(reason),
            });
        }
        if !self.state.can_send() || self.snd.fin != Fin::Open {
            return Err(SendError::Shutdown);
        }
        let room = self.send_room(ctx.config, ctx.memory) as usize;
        let taken = data.len().min(room);
        if taken > 0 {
            self.called(UserCall::Send, ctx.now);
            self.rcv.acks.on_answer();
            self.confirm_far_end(ctx.now);
            if self.snd.unsent() == 0 {
                self.sender.on_drained(ctx.now);
            }
            self.snd.queue.push(data.split_to(taken));
        }
        // Where overhead is counted, a send takes a chunk, and there may be room for the next.
        let waits = !data.is_empty()
            && (ctx.config.tcp_wmem_overhead == 0 || self.send_room(ctx.config, ctx.memory) == 0);
        self.snd.starved |= waits;
        if waits {
            self.snd.push();
            self.note_waits(ctx.now);
        } else {
            self.snd.push_written(data.is_empty());
        }
        Ok(taken)
    }

    /// The next bytes; empty at the end.
    pub(crate) fn receive(&mut self, max: usize, ctx: &Ctx<'_>) -> Result<Read, ReceiveError> {
        if let Some(data) = self.rcv.read(max.max(1)) {
            self.called(UserCall::Receive, ctx.now);
            let rtt = self.sender.srtt();
            let limit = ctx.config.tcp_rmem_max as u32;
            if ctx.memory == MemoryLevel::Normal && !self.tuning().fixed_receive_buffer {
                self.rcv.grow(ctx.now, data.len() as u32, rtt, limit);
            }
            let open = self.handle.ended.is_none() && self.state.can_receive();
            return Ok(Read {
                data,
                update: open && self.rcv.window_update_due(self.window_cap(ctx)),
            });
        }
        match self.handle.ended {
            _ if self.rcv.finished => Ok(Read { data: Bytes::new(), update: false }),
            Some(reason) => Err(ReceiveError::Ended(reason)),
            None => Err(ReceiveError::WouldBlock),
        }
    }

    /// The window opened by a read goes out with the next packet.
    pub(crate) fn update_window(&mut self) {
        self.rcv.acks.at_once();
    }

    /// Closes the sending direction: a FIN behind what is queued (RFC 9293 §3.10.4).
    pub(crate) fn shutdown(&mut self, ctx: &Ctx<'_>) -> Result<(), SendError> {
        if let Some(reason) = self.handle.ended {
            return match reason {
                EndReason::Orderly => Ok(()),
                reason => Err(SendError::Ended(reason)),
            };
        }
        if self.snd.fin != Fin::Open {
            return Ok(());
        }
        self.called(UserCall::Shutdown, ctx.now);
        self.confirm_far_end(ctx.now);
        self.queue_fin(ctx);
        Ok(())
    }

    /// The application sends no more. Its FIN goes behind what is queued, at once or when the
    /// peer has closed.
    fn queue_fin(&mut self, ctx: &Ctx<'_>) {
        let wait = self.tuning().peer_closes_first;
        if self.state == State::Established && !wait.is_zero() {
            self.snd.fin = Fin::Held;
            self.close_at = ctx.now + wait;
            return;
        }
        self.snd.fin = Fin::Queued;
        // In SYN_SENT the close waits for the handshake (RFC 9293 §3.10.4 allows it).
        if self.state != State::SynSent {
            self.close_by_table();
        }
    }

    /// The FIN that was held back goes out.
    pub(super) fn release_fin(&mut self) {
        self.close_at = Instant::NEVER;
        self.snd.fin = Fin::Queued;
        self.close_by_table();
    }

    /// The FIN is queued: the state says so at once, as RFC 9293 §3.10.4 has it.
    pub(super) fn close_by_table(&mut self) {
        if self.state.can_send() && self.state != State::SynSent {
            self.closes_first();
            self.step(Input::Close);
        }
    }

    /// The application gives its handle back (RFC 9293 §3.10.4, §3.6.1).
    pub(crate) fn close(&mut self, ctx: &mut Ctx<'_>) -> ConnOutcome {
        self.called(UserCall::Close, ctx.now);
        self.handle.orphan = true;
        self.forget_far_end();
        if self.state == State::SynSent {
            return self.ends(Input::Close, EndReason::ClosedWhileOpening, false);
        }
        if self.tuning().linger_zero {
            ctx.counters.abort_on_linger += 1;
            return self.abort(EndReason::Linger);
        }
        if self.rcv.unread() > 0 {
            // RFC 9293 §3.6.1: the peer must learn that its data was not read.
            ctx.counters.abort_on_close += 1;
            return self.abort(EndReason::ClosedWithUnreadData);
        }
        if self.snd.fin == Fin::Open {
            self.queue_fin(ctx);
        }
        self.start_fin_wait_2(ctx)
    }

    /// Gives up at once (RFC 9293 §3.10.5).
    pub(crate) fn abort(&mut self, reason: EndReason) -> ConnOutcome {
        let reset = self.state != State::SynSent;
        self.closes_first();
        self.ends(Input::Abort, reason, reset)
    }

    /// Gives up without a word to the peer.
    pub(crate) fn abort_unaccepted(&mut self, reason: EndReason) -> ConnOutcome {
        self.ends(Input::Abort, reason, false)
    }

    /// The application's abort.
    pub(crate) fn abort_by_user(&mut self, ctx: &Ctx<'_>) -> ConnOutcome {
        self.called(UserCall::Abort, ctx.now);
        self.handle.orphan = true;
        self.abort(EndReason::Aborted)
    }

    pub(crate) fn set_option(&mut self, option: SocketOption, ctx: &Ctx<'_>) {
        match option {
            SocketOption::NoDelay(on) => {
                self.snd.nodelay = on;
                self.due.small |= on && self.snd.unsent() > 0;
            }
            SocketOption::NoMoreReads => self.tuned().no_more_reads = true,
            SocketOption::QuickAck(on) => self.rcv.quicken(on),
            SocketOption::EndOfRecord => self.snd.end_record(),
            SocketOption::LingerZero(on) => self.tuned().linger_zero = on,
            SocketOption::Linger2(life) => self.tuned().linger2 = Some(life),
            SocketOption::PeerClosesFirst(limit) => {
                self.tuned().peer_closes_first = limit;
                if limit.is_zero() && self.snd.fin == Fin::Held {
                    self.release_fin();
                }
            }
            SocketOption::UserTimeout(limit) => self.tuned().user_timeout = limit,
            // Pulled, what it held back is Nagle's to hold or let go.
            SocketOption::Cork(on) => self.snd.cork = on,
            SocketOption::More(on) => {
                self.snd.more = on;
                self.snd.more_waits = on;
                if !on {
                    self.snd.push();
                }
                if !self.snd.holds_back() && self.snd.unsent() > 0 {
                    self.due.small = true;
                }
            }
            SocketOption::NotSentLowat(bytes) => {
                self.tuned().not_sent_lowat = bytes;
                self.wake_writer(ctx);
            }
            SocketOption::SendBuffer(bytes) => {
                self.tuned().send_buffer = bytes;
                self.wake_writer(ctx);
            }
            SocketOption::ReceiveBuffer(bytes) => {
                self.tuned().fixed_receive_buffer = true;
                self.rcv.resize(bytes);
            }
            SocketOption::SynCount(times) => self.tuned().syn_count = times,
            SocketOption::MaxSeg(bytes) => self.limit_segments(bytes),
            SocketOption::FarEnd(Duration::ZERO) => self.forget_far_end(),
            SocketOption::FarEnd(trust) => {
                self.far_end = Some(Box::new(FarEnd::new(trust, ctx.now)));
                // A peer that is quick has closed before anyone speaks for a far end.
                if self.state == State::CloseWait {
                    self.watch_for_silence(ctx);
                }
            }
            SocketOption::KeepAlive(false) => {
                self.keepalive = None;
            }
            SocketOption::KeepAlive(true) => {
                let config = ctx.config;
                let idle = Duration::from_secs(config.tcp_keepalive_time);
                let interval = Duration::from_secs(config.tcp_keepalive_intvl);
                self.keep_alive(idle, interval, config.tcp_keepalive_probes as u8, ctx);
            }
            SocketOption::KeepAliveTimes { idle, interval, probes } => {
                self.keep_alive(idle, interval, probes, ctx);
            }
        }
    }

    /// No segment is announced or sent larger; 0 for no such limit.
    pub(crate) fn limit_segments(&mut self, bytes: u16) {
        if bytes == 0 && self.tuning.is_none() {
            return;
        }
        self.tuned().max_seg = bytes;
        if bytes > 0 {
            self.snd.mss = self.snd.mss.min(bytes.into());
            self.sender.limit_mtu_search(bytes.into());
            self.rcv.mss = self.rcv.mss.min(bytes.into());
        }
    }

    fn tuned(&mut self) -> &mut Tuning {
        self.tuning.get_or_insert_default()
    }

    pub(super) fn keep_alive(
        &mut self,
        idle: Duration,
        interval: Duration,
        probes: u8,
        ctx: &Ctx<'_>,
    ) {
        if self.handle.ended.is_some() {
            return;
        }
        self.watches_itself();
        // Shorter times would keep the engine awake for nothing but this.
        let (idle, interval) = (idle.max(SHORTEST_KEEPALIVE), interval.max(SHORTEST_KEEPALIVE));
        let (probes, probe_at) = (probes.max(1), (self.last_received_at + idle).max(ctx.now));
        let keepalive = KeepAlive { idle, interval, probes, unanswered: 0, probe_at };
        self.keepalive = Some(Box::new(keepalive));
    }

    /// Tells the application that something ended, whatever it waits for.
    pub(crate) fn wake_all(&mut self) {
        self.handle.signals.set(Signals::READABLE);
        self.handle.signals.set(Signals::WRITABLE);
        self.handle.signals.set(Signals::DRAINED);
    }
}
