//! TIME_WAIT: compact records, their deadlines, the bound.
//!
//! All records of one length expire in the order in which they came (or came again), so a queue
//! through the records is their timer: a lane for each length. Everything here is O(1).

use alloc::vec::Vec;

use fourwave_wire::options::Timestamps;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

use crate::demux::{FourTuple, Target, TupleV4, TupleV6};
use crate::fifo::{Fifo, LinkTable, Links};
use crate::time::{Duration, Instant, hash_timestamp};

/// What is left of a connection in TIME_WAIT, beside its four numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeWaitState {
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
    /// What its ACKs say in AccECN's field; 0 without AccECN.
    pub(crate) ace: u8,
}

impl core::hash::Hash for TimeWaitState {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { snd_nxt, rcv_nxt, ts_recent, window, scale, timestamps, ace } = *self;
        (snd_nxt, rcv_nxt, window, scale, timestamps, ace).hash(state);
        if timestamps {
            hash_timestamp(ts_recent, state);
        }
    }
}

/// An instant that is aligned like the rest of a record, which saves padding.
#[derive(Clone, Copy)]
struct Stamp([u32; 2]);

impl core::hash::Hash for Stamp {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.get().hash(state);
    }
}

impl Stamp {
    const fn new(at: Instant) -> Self {
        let micros = at.as_micros();
        Self([(micros >> 32) as u32, micros as u32])
    }

    const fn get(self) -> Instant {
        let [high, low] = self.0;
        Instant::from_micros(((high as u64) << 32) | low as u64)
    }
}

#[derive(Clone, Hash)]
struct Record<K> {
    key: K,
    tw_state: TimeWaitState,
    /// When its time began.
    since: Stamp,
    links: Links,
    lane: u8,
}

/// How often at most `tw_overflow=shorten` halves, as a part of the length: at most this many
/// halvings concern one record.
const HALVINGS: u32 = 60;

/// All records of one length, the earliest first.
#[derive(Clone, Hash)]
struct Lane {
    length: Duration,
    queue: Fifo,
    /// When the remaining times were halved, as far as it concerns a record.
    halved: Vec<Instant>,
}

impl Lane {
    /// When a record ends whose time began at `since`. O(halvings), at most 60.
    fn deadline(&self, since: Instant) -> Instant {
        let start = self.halved.partition_point(|&at| at <= since);
        self.halved[start..].iter().fold(since + self.length, |deadline, &at| {
            if deadline > at { at + deadline.since(at) / 2 } else { deadline }
        })
    }
}

/// Records in a chunk.
const CHUNK: usize = 4096;

/// Records in chunks that stay where they are: growing copies and wastes at most one chunk.
#[derive(Clone, Hash)]
struct Chunks<K> {
    chunks: Vec<Vec<Record<K>>>,
}

impl<K> Chunks<K> {
    const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    fn get(&self, index: u32) -> Option<&Record<K>> {
        self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Record<K>> {
        self.chunks.get_mut(index as usize / CHUNK)?.get_mut(index as usize % CHUNK)
    }

    fn push(&mut self, record: Record<K>) -> u32 {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            // The first one grows from little.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return 0 };
        chunk.push(record);
        (before + chunk.len() - 1) as u32
    }
}

/// Records of one IP version.
#[derive(Clone, Hash)]
struct Table<K> {
    records: Chunks<K>,
    /// Places without a record, the latest first: a queue through the places themselves.
    free: Fifo,
    len: usize,
    lanes: Vec<Lane>,
}

impl<K> LinkTable for Chunks<K> {
    fn links(&mut self, index: u32) -> Option<&mut Links> {
        Some(&mut self.get_mut(index)?.links)
    }
}

impl<K: Copy> Table<K> {
    fn new(lanes: Vec<Lane>) -> Self {
        Self { records: Chunks::new(), free: Fifo::new(), len: 0, lanes }
    }

    fn insert(&mut self, key: K, tw_state: TimeWaitState, now: Instant, lane: usize) -> u32 {
        let since = Stamp::new(now);
        let record = Record { key, tw_state, since, links: Links::default(), lane: lane as u8 };
        let index = match self.free.front() {
            Some(index) => {
                self.free.remove(&mut self.records, index);
                if let Some(place) = self.records.get_mut(index) {
                    *place = record;
                }
                index
            }
            None => self.records.push(record),
        };
        self.len += 1;
        self.lanes[lane].queue.push_back(&mut self.records, index);
        index
    }

    fn refresh(&mut self, index: u32, now: Instant) {
        let Some(record) = self.records.get_mut(index) else { return };
        record.since = Stamp::new(now);
        let queue = &mut self.lanes[usize::from(record.lane)].queue;
        queue.remove(&mut self.records, index);
        queue.push_back(&mut self.records, index);
    }

    fn remove(&mut self, index: u32) {
        let Some(record) = self.records.get(index) else { return };
        let lane = usize::from(record.lane);
        self.lanes[lane].queue.remove(&mut self.records, index);
        self.free.push_front(&mut self.records, index);
        self.len -= 1;
        if self.len == 0 {
            // Nothing left: give the memory of a past peak back.
            self.records = Chunks::new();
            self.free = Fifo::new();
        }
    }

    /// The record that ends first, and when. O(lanes).
    fn oldest(&self) -> Option<(u32, Instant)> {
        let front = |lane: &Lane| {
            let index = lane.queue.front()?;
            let since = self.records.get(index)?.since.get();
            Some((index, lane.deadline(since)))
        };
        self.lanes.iter().filter_map(front).min_by_key(|(_, at)| *at)
    }

    fn halve(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            let recent = lane.halved.last().map(|&at| now.since(at));
            if recent.is_some_and(|since| since < lane.length / HALVINGS) {
                continue;
            }
            let length = lane.length;
            lane.halved.retain(|&at| now.since(at) < length);
            lane.halved.push(now);
        }
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// All TIME_WAIT records.
#[derive(Clone, Hash)]
pub(crate) struct TimeWaits {
    v4: Table<TupleV4>,
    v6: Table<TupleV6>,
}

/// What a segment means to a TIME_WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum TimeWaitAction {
    /// Dropped in silence.
    Silence,
    /// Answered with the last ACK.
    Ack,
    /// The peer's FIN again: answered, and 2MSL starts again.
    AckAndRestart,
    /// An RST that ends TIME_WAIT.
    Kill,
    /// A SYN that may open the next incarnation, if someone listens.
    Reuse,
}

impl TimeWaits {
    /// `length` is 2MSL. Shorter lanes, by powers of two from one second, take what
    /// `tcp_tw_recycle` shortens.
    pub(crate) fn new(length: Duration) -> Self {
        let lane = |length| Lane { length, queue: Fifo::new(), halved: Vec::new() };
        let shorter = (0..12).map(|n| Duration::from_secs(1 << n)).take_while(|&d| d < length);
        let mut lanes: Vec<Lane> = shorter.map(lane).collect();
        lanes.push(lane(length));
        Self { v4: Table::new(lanes.clone()), v6: Table::new(lanes) }
    }

    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Files a record for at least `wanted`, at most 2MSL: in the shortest lane that is long
    /// enough. Returns until when it stays.
    pub(crate) fn insert(
        &mut self,
        tuple: &FourTuple,
        tw_state: TimeWaitState,
        now: Instant,
        wanted: Duration,
    ) -> (Target, Instant) {
        let lanes = &self.v4.lanes;
        let lane = lanes.iter().position(|l| l.length >= wanted).unwrap_or(lanes.len() - 1);
        let until = now + lanes[lane].length;
        let target = match tuple {
            FourTuple::V4(key) => Target::TimeWaitV4(self.v4.insert(*key, tw_state, now, lane)),
            FourTuple::V6(key) => Target::TimeWaitV6(self.v6.insert(*key, tw_state, now, lane)),
        };
        (target, until)
    }

    pub(crate) fn tuple(&self, target: Target) -> Option<FourTuple> {
        match target {
            Target::TimeWaitV4(i) => Some(FourTuple::V4(self.v4.records.get(i)?.key)),
            Target::TimeWaitV6(i) => Some(FourTuple::V6(self.v6.records.get(i)?.key)),
            _ => None,
        }
    }

    /// What a record keeps, and since when.
    pub(crate) fn time_wait_state(&self, target: Target) -> Option<(TimeWaitState, Instant)> {
        match target {
            Target::TimeWaitV4(i) => {
                let record = self.v4.records.get(i)?;
                Some((record.tw_state, record.since.get()))
            }
            Target::TimeWaitV6(i) => {
                let record = self.v6.records.get(i)?;
                Some((record.tw_state, record.since.get()))
            }
            _ => None,
        }
    }

    /// Its length again.
    pub(crate) fn restart(&mut self, target: Target, now: Instant) {
        match target {
            Target::TimeWaitV4(i) => self.v4.refresh(i, now),
            Target::TimeWaitV6(i) => self.v6.refresh(i, now),
            _ => {}
        }
    }

    /// Whether a record's lane is shorter than 2MSL.
    pub(crate) fn is_shortened(&self, target: Target) -> bool {
        let last = self.v4.lanes.len() - 1;
        let lane = match target {
            Target::TimeWaitV4(i) => self.v4.records.get(i).map(|r| r.lane),
            Target::TimeWaitV6(i) => self.v6.records.get(i).map(|r| r.lane),
            _ => None,
        };
        lane.is_some_and(|lane| usize::from(lane) < last)
    }

    /// Drops a record; its entry in the demultiplexer is the caller's.
    pub(crate) fn remove(&mut self, target: Target) {
        match target {
            Target::TimeWaitV4(i) => self.v4.remove(i),
            Target::TimeWaitV6(i) => self.v6.remove(i),
            _ => {}
        }
    }

    /// The record that ends first, and when.
    pub(crate) fn oldest(&self) -> Option<(Target, Instant)> {
        let v4 = self.v4.oldest().map(|(i, at)| (Target::TimeWaitV4(i), at));
        let v6 = self.v6.oldest().map(|(i, at)| (Target::TimeWaitV6(i), at));
        match (v4, v6) {
            (Some(a), Some(b)) => Some(if a.1 <= b.1 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// Halves what remains of every record's time; nothing when it was done just before. O(lanes).
    pub(crate) fn halve(&mut self, now: Instant) {
        self.v4.halve(now);
        self.v6.halve(now);
    }
}

impl TimeWaitState {
    /// RFC 9293 §3.10.7.4 for TIME_WAIT, RFC 6191 for a SYN, `tcp_rfc1337` for an RST.
    pub(crate) fn action_for(&self, header: &TcpHeader, len: u32, rfc1337: bool) -> TimeWaitAction {
        let seq = header.seq;
        let window = u32::from(self.window.0) << self.scale;
        let timestamp = header.options.timestamps.filter(|_| self.timestamps);
        let newer = timestamp.map(|ts| SeqNum::new(ts.value).after(SeqNum::new(self.ts_recent)));
        let old =
            timestamp.is_some_and(|ts| SeqNum::new(ts.value).before(SeqNum::new(self.ts_recent)));
        if header.flags.rst() {
            let kills = seq == self.rcv_nxt && !rfc1337;
            return if kills { TimeWaitAction::Kill } else { TimeWaitAction::Silence };
        }
        if header.flags.syn() && !header.flags.ack() {
            // RFC 6191 §2: a newer timestamp, or without one a number beyond what was received.
            let takes_over = newer.unwrap_or(false) || (!old && seq.after(self.rcv_nxt));
            return if takes_over { TimeWaitAction::Reuse } else { TimeWaitAction::Ack };
        }
        if header.flags.syn() {
            return TimeWaitAction::Ack;
        }
        let outside = !seq.within(self.rcv_nxt, window.max(1));
        let at_next = seq == self.rcv_nxt && header.flags.ack();
        if header.flags.fin() && !old && (outside || at_next) {
            return TimeWaitAction::AckAndRestart;
        }
        // A plain ACK at the right place is the end of everything (a duplicate of the last), or an
        // older one that was late (RFC 5961 §5.2; a window is 65535 at least).
        let late = self.snd_nxt - u32::from(u16::MAX);
        let duplicate = header.ack.at_or_after(late) && header.ack.at_or_before(self.snd_nxt);
        if len == 0 && !old && at_next && duplicate {
            return TimeWaitAction::Silence;
        }
        // RFC 9293 §3.10.7.4: the number is judged first, then the ACK bit.
        if outside || header.flags.ack() { TimeWaitAction::Ack } else { TimeWaitAction::Silence }
    }

    /// The ACK that answers from TIME_WAIT.
    pub(crate) fn ack(&self, tuple: &FourTuple, ts_now: u32) -> TcpHeader {
        let mut header = TcpHeader {
            src_port: tuple.local().port(),
            dst_port: tuple.remote().port(),
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK | Flags::from_ace(self.ace),
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

    fn tw_state() -> TimeWaitState {
        TimeWaitState {
            snd_nxt: SeqNum::new(5000),
            rcv_nxt: SeqNum::new(9000),
            ts_recent: 100,
            window: RawWindow(1000),
            scale: 0,
            timestamps: true,
            ace: 0,
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
    fn room_that_nobody_uses_is_less_than_a_chunk_and_places_are_used_again() {
        let mut table = TimeWaits::new(LENGTH);
        let numbers = |n: u32| {
            let local = core::net::SocketAddr::from(([1, 1, 1, 1], n as u16));
            let remote = core::net::SocketAddr::from(([2, 2, 2, (n >> 16) as u8], 80));
            FourTuple::new(local, remote).unwrap()
        };
        let insert =
            |table: &mut TimeWaits, n| table.insert(&numbers(n), tw_state(), at(0), LENGTH).0;
        let capacity = |table: &TimeWaits| -> usize {
            table.v4.records.chunks.iter().map(Vec::capacity).sum()
        };
        let mut targets: Vec<Target> = (0..100_000).map(|n| insert(&mut table, n)).collect();
        let full = capacity(&table);
        assert!(full < 100_000 + CHUNK, "{full} places");
        for target in targets.drain(10..60_000) {
            table.remove(target);
        }
        assert_eq!(table.len(), 40_010);
        targets.extend((100_000..159_990).map(|n| insert(&mut table, n)));
        assert_eq!((table.len(), capacity(&table)), (100_000, full));
        let distinct: alloc::collections::BTreeSet<u32> = targets
            .iter()
            .map(|target| match target {
                Target::TimeWaitV4(index) => *index,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(distinct.len(), 100_000);
    }

    #[test]
    fn rfc9293_3_10_7_4_the_table_of_time_wait() {
        let r = tw_state();
        let fin = Flags::FIN | Flags::ACK;
        // The peer's FIN again: RCV.NXT is behind it.
        assert_eq!(
            r.action_for(&segment(fin, 8999, Some(100)), 1, false),
            TimeWaitAction::AckAndRestart
        );
        assert_eq!(
            r.action_for(&segment(fin, 9000, Some(100)), 1, false),
            TimeWaitAction::AckAndRestart
        );
        assert_eq!(r.action_for(&segment(fin, 9500, Some(100)), 1, false), TimeWaitAction::Ack);
        // Old by its timestamp.
        assert_eq!(r.action_for(&segment(fin, 8999, Some(99)), 1, false), TimeWaitAction::Ack);
        // RST.
        assert_eq!(r.action_for(&segment(Flags::RST, 9000, None), 0, false), TimeWaitAction::Kill);
        assert_eq!(
            r.action_for(&segment(Flags::RST, 9000, None), 0, true),
            TimeWaitAction::Silence
        );
        assert_eq!(
            r.action_for(&segment(Flags::RST, 9001, None), 0, false),
            TimeWaitAction::Silence
        );
        assert_eq!(r.action_for(&segment(Flags::RST, 1, None), 0, false), TimeWaitAction::Silence);
        // SYN.
        assert_eq!(
            r.action_for(&segment(Flags::SYN, 1, Some(101)), 1, false),
            TimeWaitAction::Reuse
        );
        assert_eq!(r.action_for(&segment(Flags::SYN, 9001, None), 1, false), TimeWaitAction::Reuse);
        assert_eq!(
            r.action_for(&segment(Flags::SYN, 9001, Some(99)), 1, false),
            TimeWaitAction::Ack
        );
        assert_eq!(
            r.action_for(&segment(Flags::SYN, 8000, Some(100)), 1, false),
            TimeWaitAction::Ack
        );
        // The last ACK's duplicate, and data that comes too late.
        assert_eq!(
            r.action_for(&segment(Flags::ACK, 9000, Some(100)), 0, false),
            TimeWaitAction::Silence
        );
        assert_eq!(
            r.action_for(&segment(Flags::ACK, 8000, Some(100)), 9, false),
            TimeWaitAction::Ack
        );
    }

    fn tuple(port: u16) -> FourTuple {
        let local = core::net::SocketAddr::from(([1, 1, 1, 1], port));
        FourTuple::new(local, core::net::SocketAddr::from(([2, 2, 2, 2], 80))).unwrap()
    }

    fn at(s: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(s)
    }

    const LENGTH: Duration = Duration::from_secs(60);

    #[test]
    fn they_expire_in_order_and_a_restart_goes_to_the_back() {
        let mut table = TimeWaits::new(LENGTH);
        let (a, until) = table.insert(&tuple(1), tw_state(), at(0), LENGTH);
        assert_eq!(until, at(60));
        let (b, _) = table.insert(&tuple(2), tw_state(), at(1), LENGTH);
        assert_eq!(table.oldest(), Some((a, at(60))));
        table.restart(a, at(2));
        assert_eq!(table.oldest(), Some((b, at(61))));
        table.remove(b);
        assert_eq!(table.oldest(), Some((a, at(62))));
        assert_eq!(table.tuple(a), Some(tuple(1)));
        table.remove(a);
        assert_eq!((table.len(), table.oldest()), (0, None));
        assert_eq!(table.v4.records.chunks.capacity(), 0);
    }

    #[test]
    fn a_shorter_time_goes_into_the_shortest_lane_that_is_long_enough() {
        let mut table = TimeWaits::new(LENGTH);
        let (full, _) = table.insert(&tuple(1), tw_state(), at(0), LENGTH);
        let wanted = Duration::from_millis(2500);
        let (short, until) = table.insert(&tuple(2), tw_state(), at(0), wanted);
        assert_eq!(until, at(4));
        assert_eq!(table.oldest(), Some((short, at(4))));
        assert!(table.is_shortened(short) && !table.is_shortened(full));
        let (_, until) = table.insert(&tuple(3), tw_state(), at(0), Duration::from_secs(999));
        assert_eq!(until, at(60));
    }

    #[test]
    fn halving_concerns_what_is_there_and_keeps_the_order() {
        let mut table = TimeWaits::new(LENGTH);
        let (a, _) = table.insert(&tuple(1), tw_state(), at(0), LENGTH);
        let (b, _) = table.insert(&tuple(2), tw_state(), at(10), LENGTH);
        table.halve(at(20));
        table.halve(at(20));
        assert_eq!(table.oldest(), Some((a, at(40))));
        table.remove(a);
        assert_eq!(table.oldest(), Some((b, at(45))));
        let (c, _) = table.insert(&tuple(3), tw_state(), at(21), LENGTH);
        table.remove(b);
        assert_eq!(table.oldest(), Some((c, at(81))));
        table.halve(at(31));
        assert_eq!(table.oldest(), Some((c, at(56))));
    }
}
