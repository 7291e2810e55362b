//! A packet out: connection → output → device.

use alloc::vec::Vec;

use fourwave_wire::TxPacket;
use fourwave_wire::ip::ecn;
use fourwave_wire::tcp::TcpHeader;

use super::Engine;
use crate::conn::accecn::{OPTION_SPACE, first_option};
use crate::conn::output::Outgoing;
use crate::demux::FourTuple;
use crate::event::ConnId;
use crate::half_open::Answer;
use crate::negotiated::{largest, our_mss};
use crate::packet;
use crate::time::Instant;

/// Replies that wait at most; beyond, the newest is dropped: its peer will ask again.
const MAX_REPLIES: usize = 4096;

/// Whose turn it is to send.
#[derive(Clone)]
pub(super) enum Ready {
    /// A connection, for one packet; then it goes to the back.
    Conn(ConnId),
    /// A half-open record's SYN ACK.
    SynAck { index: u32, generation: u32 },
    /// A segment that belongs to no connection (any more): RST, or an ACK from TIME_WAIT.
    Reply { tuple: FourTuple, header: TcpHeader },
    /// A whole IP packet: an ICMP error.
    Packet(Vec<u8>),
}

impl Engine {
    /// Writes the next packet or super-packet into `out` and returns true; false when there is
    /// none to send now. Payload chunks are shared with the send queue, not copied.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut TxPacket) -> bool {
        out.clear();
        while let Some(ready) = self.ready.pop_front() {
            let sent = match ready {
                Ready::Conn(id) => self.transmit_conn(id, now, out),
                Ready::SynAck { index, generation } => {
                    self.transmit_syn_ack(index, generation, now, out)
                }
                Ready::Reply { tuple, header } => {
                    self.replies -= 1;
                    self.counters.out_rsts += u64::from(header.flags.rst());
                    packet::finish(&tuple, &header, 0, ecn::NOT_ECT, &self.link, out);
                    true
                }
                Ready::Packet(bytes) => {
                    self.replies -= 1;
                    packet::raw(bytes, out);
                    return true;
                }
            };
            if sent {
                self.counters.out_segs += 1;
                return true;
            }
        }
        false
    }

    fn transmit_conn(&mut self, id: ConnId, now: Instant, out: &mut TxPacket) -> bool {
        let Some(index) = self.records.conns.check(id.index, id.generation) else { return false };
        let link = self.link;
        let Some((conn, mut ctx)) = self.conn_and_ctx(index, now) else { return false };
        conn.handle.queued = false;
        if conn.handle.ended.is_some() {
            return false;
        }
        let outgoing = conn.transmit(&link, &mut ctx, &mut out.payload);
        let tuple = conn.tuple;
        self.schedule_after_output(index, outgoing.is_some());
        let Some(outgoing) = outgoing else { return false };
        let Outgoing { header, gso_size, ecn } = outgoing;
        packet::finish(&tuple, &header, gso_size, ecn, &link, out);
        true
    }

    /// A connection that sent may have more; one that could not waits for an ACK, a window or
    /// its timer.
    fn schedule_after_output(&mut self, index: u32, sent: bool) {
        let Some(conn) = self.records.conns.get_mut(index) else { return };
        if let Some(deadline) = conn.next_deadline() {
            self.timers.arm(index, deadline);
        }
        if sent && conn.may_transmit() {
            conn.handle.queued = true;
            self.ready.push_back(Ready::Conn(conn.id));
        }
    }

    fn transmit_syn_ack(
        &mut self,
        index: u32,
        generation: u32,
        now: Instant,
        out: &mut TxPacket,
    ) -> bool {
        let Some(index) = self.records.half_open.check(index, generation) else { return false };
        let Some(record) = self.records.half_open.get_mut(index) else { return false };
        if record.answer() != Answer::Due {
            return false;
        }
        record.choose_ecn();
        let (tuple, id) = (record.tuple, record.listener);
        let ts_now = self.ts_now(&tuple, now);
        let ours = our_mss(&self.link, tuple.is_ipv6());
        let max_seg = self.listeners.get(id).map_or(0, |l| l.socket.syn.max_seg);
        let mss = ours.min(largest(max_seg));
        let Some(record) = self.records.half_open.get(index) else { return false };
        let (mut header, brings_option) = (record.syn_ack(mss, ts_now), record.is_option_due());
        header.options.fast_open = self.cookie_for(index);
        header.options.order = self.config.option_order();
        if brings_option && self.config.tcp_ecn_option != 0 {
            let room = OPTION_SPACE.saturating_sub(header.options.emitted_len());
            header.options.acc_ecn = first_option(room);
        }
        self.records.half_open.answered(index, now, self.config.rto_max());
        packet::finish(&tuple, &header, 0, ecn::NOT_ECT, &self.link, out);
        true
    }

    /// TSval towards a peer.
    pub(super) fn ts_now(&self, tuple: &FourTuple, now: Instant) -> u32 {
        let millis = (now.as_micros() / 1000) as u32;
        millis.wrapping_add(self.records.secret.timestamp_offset(tuple))
    }

    /// Queues a segment that belongs to no connection.
    pub(super) fn reply(&mut self, tuple: FourTuple, header: TcpHeader) {
        self.push_reply(Ready::Reply { tuple, header });
    }

    /// Queues a whole packet.
    pub(super) fn reply_packet(&mut self, bytes: Vec<u8>) {
        self.push_reply(Ready::Packet(bytes));
    }

    fn push_reply(&mut self, reply: Ready) {
        if self.replies < MAX_REPLIES {
            self.replies += 1;
            self.ready.push_back(reply);
        } else {
            self.counters.abort_failed += 1;
        }
    }

    /// A half-open record's SYN ACK is to go out.
    pub(super) fn answer_syn(&mut self, index: u32) {
        if let Some(record) = self.records.half_open.get(index) {
            let generation = record.generation;
            self.ready.push_back(Ready::SynAck { index, generation });
        }
    }
}
