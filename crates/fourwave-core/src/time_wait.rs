//! TIME_WAIT: compact records, their deadlines, the bound.
//!
//! All records of one length expire in the order in which they came (or came anew), so a queue
//! through the records is their timer. Everything here is O(1).

use alloc::vec::Vec;

use fourwave_wire::options::Timestamps;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

use crate::demux::{FourTuple, Target, TupleV4, TupleV6};
use crate::fifo::{Fifo, LinkTable, Links};
use crate::time::{Duration, Instant};

/// What is left of a connection in TIME_WAIT, beside its four numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remains {
    /// SND.NXT.
    pub(crate) snd_nxt: SeqNum,
    /// RCV.NXT.
    pub(crate) rcv_nxt: SeqNum,
    /// TS.Recent; means something only with `timestamps`.
    pub(crate) ts_recent: u32,
    /// Bytes of window last advertised, rounded up to the scale's unit.
    pub(crate) window: RawWindow,
    pub(crate) scale: u8,
    pub(crate) timestamps: bool,
}

struct Record<K> {
    key: K,
    remains: Remains,
    deadline: Instant,
    links: Links,
}

/// Records of one IP version.
struct Table<K> {
    records: Vec<Record<K>>,
    free: Vec<u32>,
    queue: Fifo,
}

impl<K> LinkTable for Vec<Record<K>> {
    fn links(&mut self, index: u32) -> Option<&mut Links> {
        Some(&mut self.get_mut(index as usize)?.links)
    }
}

impl<K: Copy> Table<K> {
    const fn new() -> Self {
        Self { records: Vec::new(), free: Vec::new(), queue: Fifo::new() }
    }

    fn insert(&mut self, key: K, remains: Remains, deadline: Instant) -> u32 {
        let record = Record { key, remains, deadline, links: Links::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.records[index as usize] = record;
                index
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        self.queue.push_back(&mut self.records, index);
        index
    }

    fn refresh(&mut self, index: u32, deadline: Instant) {
        self.queue.remove(&mut self.records, index);
        self.records[index as usize].deadline = deadline;
        self.queue.push_back(&mut self.records, index);
    }

    fn remove(&mut self, index: u32) {
        self.queue.remove(&mut self.records, index);
        self.free.push(index);
        if self.free.len() == self.records.len() {
            // Nothing left: give the memory of a past peak back.
            self.records = Vec::new();
            self.free = Vec::new();
        }
    }

    fn front(&self) -> Option<(u32, Instant)> {
        let index = self.queue.front()?;
        Some((index, self.records[index as usize].deadline))
    }

    fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }
}

/// All TIME_WAIT records.
pub(crate) struct TimeWaits {
    v4: Table<TupleV4>,
    v6: Table<TupleV6>,
}

/// What a segment means to a TIME_WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Dropped in silence.
    Silence,
    /// Answered with the last ACK.
    Ack,
    /// The peer's FIN again: answered, and 2MSL starts anew.
    AckAndRestart,
    /// An RST that ends TIME_WAIT.
    Kill,
    /// A SYN that may open the next incarnation, if someone listens.
    Takeover,
}

impl TimeWaits {
    pub(crate) const fn new() -> Self {
        Self { v4: Table::new(), v6: Table::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(crate) fn insert(
        &mut self,
        tuple: &FourTuple,
        remains: Remains,
        now: Instant,
        length: Duration,
    ) -> Target {
        match tuple {
            FourTuple::V4(key) => Target::TimeWaitV4(self.v4.insert(*key, remains, now + length)),
            FourTuple::V6(key) => Target::TimeWaitV6(self.v6.insert(*key, remains, now + length)),
        }
    }

    pub(crate) fn tuple(&self, target: Target) -> Option<FourTuple> {
        match target {
            Target::TimeWaitV4(i) => Some(FourTuple::V4(self.v4.records.get(i as usize)?.key)),
            Target::TimeWaitV6(i) => Some(FourTuple::V6(self.v6.records.get(i as usize)?.key)),
            _ => None,
        }
    }

    pub(crate) fn remains(&self, target: Target) -> Option<Remains> {
        match target {
            Target::TimeWaitV4(i) => Some(self.v4.records.get(i as usize)?.remains),
            Target::TimeWaitV6(i) => Some(self.v6.records.get(i as usize)?.remains),
            _ => None,
        }
    }

    /// 2MSL anew.
    pub(crate) fn restart(&mut self, target: Target, now: Instant, length: Duration) {
        match target {
            Target::TimeWaitV4(i) => self.v4.refresh(i, now + length),
            Target::TimeWaitV6(i) => self.v6.refresh(i, now + length),
            _ => {}
        }
    }

    /// Drops a record; its entry in the demultiplexer is the caller's.
    pub(crate) fn remove(&mut self, target: Target) {
        match target {
            Target::TimeWaitV4(i) => self.v4.remove(i),
            Target::TimeWaitV6(i) => self.v6.remove(i),
            _ => {}
        }
    }

    /// The record that expires first, and when.
    pub(crate) fn oldest(&self) -> Option<(Target, Instant)> {
        let v4 = self.v4.front().map(|(i, at)| (Target::TimeWaitV4(i), at));
        let v6 = self.v6.front().map(|(i, at)| (Target::TimeWaitV6(i), at));
        match (v4, v6) {
            (Some(a), Some(b)) => Some(if a.1 <= b.1 { a } else { b }),
            (a, b) => a.or(b),
        }
    }
}

impl Remains {
    /// RFC 9293 §3.10.7.4 for TIME_WAIT, RFC 6191 for a SYN, `tcp_rfc1337` for an RST.
    pub(crate) fn judge(&self, header: &TcpHeader, len: u32, rfc1337: bool) -> Verdict {
        let seq = header.seq;
        let window = u32::from(self.window.0) << self.scale;
        let timestamp = header.options.timestamps.filter(|_| self.timestamps);
        let newer = timestamp.map(|ts| SeqNum::new(ts.value).after(SeqNum::new(self.ts_recent)));
        let old =
            timestamp.is_some_and(|ts| SeqNum::new(ts.value).before(SeqNum::new(self.ts_recent)));
        if header.flags.rst() {
            let kills = seq == self.rcv_nxt && !rfc1337;
            return if kills { Verdict::Kill } else { Verdict::Silence };
        }
        if header.flags.syn() && !header.flags.ack() {
            // RFC 6191 §2: a newer timestamp, or without one a number beyond what was received.
            let takes_over = newer.unwrap_or(false) || (!old && seq.after(self.rcv_nxt));
            return if takes_over { Verdict::Takeover } else { Verdict::Ack };
        }
        if header.flags.syn() {
            return Verdict::Ack;
        }
        let outside = !seq.within(self.rcv_nxt, window.max(1));
        if header.flags.fin() && !old && (outside || seq == self.rcv_nxt) {
            return Verdict::AckAndRestart;
        }
        // A plain ACK at the right place is the end of everything (a duplicate of the last).
        if len == 0 && !old && seq == self.rcv_nxt && header.ack == self.snd_nxt {
            return Verdict::Silence;
        }
        if !header.flags.ack() { Verdict::Silence } else { Verdict::Ack }
    }

    /// The ACK that answers from TIME_WAIT.
    pub(crate) fn ack(&self, tuple: &FourTuple, ts_now: u32) -> TcpHeader {
        let mut header = TcpHeader {
            src_port: tuple.local().port(),
            dst_port: tuple.remote().port(),
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            ..TcpHeader::default()
        };
        header.options.timestamps =
            self.timestamps.then_some(Timestamps { value: ts_now, echo: self.ts_recent });
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains() -> Remains {
        Remains {
            snd_nxt: SeqNum::new(5000),
            rcv_nxt: SeqNum::new(9000),
            ts_recent: 100,
            window: RawWindow(1000),
            scale: 0,
            timestamps: true,
        }
    }

    fn segment(flags: Flags, seq: u32, ts: Option<u32>) -> TcpHeader {
        let mut header = TcpHeader {
            flags,
            seq: SeqNum::new(seq),
            ack: SeqNum::new(5000),
            ..TcpHeader::default()
        };
        header.options.timestamps = ts.map(|value| Timestamps { value, echo: 0 });
        header
    }

    #[test]
    fn a_record_takes_at_most_64_bytes_with_its_place_in_the_index() {
        // 4 + 1 bytes of index at a load of 7/16, the lowest that hashbrown keeps.
        let all = size_of::<Record<TupleV4>>() + 12;
        assert!(all <= 64, "{all} bytes");
    }

    #[test]
    fn rfc9293_3_10_7_4_the_table_of_time_wait() {
        let r = remains();
        let fin = Flags::FIN | Flags::ACK;
        // The peer's FIN again: RCV.NXT is behind it.
        assert_eq!(r.judge(&segment(fin, 8999, Some(100)), 1, false), Verdict::AckAndRestart);
        assert_eq!(r.judge(&segment(fin, 9000, Some(100)), 1, false), Verdict::AckAndRestart);
        assert_eq!(r.judge(&segment(fin, 9500, Some(100)), 1, false), Verdict::Ack);
        // Old by its timestamp.
        assert_eq!(r.judge(&segment(fin, 8999, Some(99)), 1, false), Verdict::Ack);
        // RST.
        assert_eq!(r.judge(&segment(Flags::RST, 9000, None), 0, false), Verdict::Kill);
        assert_eq!(r.judge(&segment(Flags::RST, 9000, None), 0, true), Verdict::Silence);
        assert_eq!(r.judge(&segment(Flags::RST, 9001, None), 0, false), Verdict::Silence);
        assert_eq!(r.judge(&segment(Flags::RST, 1, None), 0, false), Verdict::Silence);
        // SYN.
        assert_eq!(r.judge(&segment(Flags::SYN, 1, Some(101)), 1, false), Verdict::Takeover);
        assert_eq!(r.judge(&segment(Flags::SYN, 9001, None), 1, false), Verdict::Takeover);
        assert_eq!(r.judge(&segment(Flags::SYN, 9001, Some(99)), 1, false), Verdict::Ack);
        assert_eq!(r.judge(&segment(Flags::SYN, 8000, Some(100)), 1, false), Verdict::Ack);
        // The last ACK's duplicate, and data that comes too late.
        assert_eq!(r.judge(&segment(Flags::ACK, 9000, Some(100)), 0, false), Verdict::Silence);
        assert_eq!(r.judge(&segment(Flags::ACK, 8000, Some(100)), 9, false), Verdict::Ack);
    }

    #[test]
    fn they_expire_in_order_and_a_restart_goes_to_the_back() {
        let mut table = TimeWaits::new();
        let at = |s| Instant::ZERO + Duration::from_secs(s);
        let tuple = |port| {
            let local = core::net::SocketAddr::from(([1, 1, 1, 1], port));
            FourTuple::new(local, core::net::SocketAddr::from(([2, 2, 2, 2], 80))).unwrap()
        };
        let length = Duration::from_secs(60);
        let a = table.insert(&tuple(1), remains(), at(0), length);
        let b = table.insert(&tuple(2), remains(), at(1), length);
        assert_eq!(table.oldest(), Some((a, at(60))));
        table.restart(a, at(2), length);
        assert_eq!(table.oldest(), Some((b, at(61))));
        table.remove(b);
        assert_eq!(table.oldest(), Some((a, at(62))));
        assert_eq!(table.tuple(a), Some(tuple(1)));
        table.remove(a);
        assert_eq!((table.len(), table.oldest()), (0, None));
        assert_eq!(table.v4.records.capacity(), 0);
    }
}
