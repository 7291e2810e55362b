//! The search for the largest segment that a path carries (RFC 4821, RFC 8899 §5), by segments that
//! are larger than what is known to arrive, as Linux does it.
//!
//! A probe is data: what it carries has to arrive, and its loss says that it was too large and
//! nothing of congestion. Sizes are payload bytes of a full segment, as `SND.MSS` is; the headers
//! of a connection are always as long, so a search in sizes is one in MTUs.

use core::ops::Range;

use fourwave_wire::SeqNum;

use super::recovery::CaState;
use super::selective::Recovery;
use super::{Flight, Sender};
use crate::time::{Duration, Instant};

/// Segments of room that a probe asks of the congestion window: less says that the path is not
/// known to carry the data, whatever its size.
const LEAST_CWND: u32 = 11;
/// A probe, and a segment behind it.
const SEGMENTS_AT_ONCE: u32 = 2;

/// The knobs of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MtuKnobs {
    /// Where a search begins, in bytes (`tcp_base_mss`).
    pub(crate) base: u32,
    /// No smaller segment is tried (`tcp_mtu_probe_floor`, `tcp_min_snd_mss`).
    pub(crate) floor: u32,
    /// A search ends where its bounds are closer than this, in bytes (`tcp_probe_threshold`).
    pub(crate) threshold: u32,
    /// Rest between two searches (`tcp_probe_interval`).
    pub(crate) interval: Duration,
}

/// What there is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supply {
    /// Bytes that were never sent.
    pub(crate) unsent: u32,
    /// Bytes up to the end of a record: no segment reaches over it.
    pub(crate) record: u32,
    /// SND.WND.
    pub(crate) window: u32,
    /// What of it lies beyond SND.NXT.
    pub(crate) window_room: u32,
}

/// What a search wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MtuStep {
    /// Nothing: send as ever.
    Nothing,
    /// A probe is worth waiting for: an ACK will make room for it.
    Wait,
    /// A segment of so many bytes.
    Probe(u32),
}

/// The search of one connection.
#[derive(Clone, Debug, Hash)]
pub(crate) struct MtuSearch {
    /// The largest size that is known to arrive, or hoped to.
    low: u32,
    /// No larger one arrives, as far as is known.
    high: u32,
    /// What the two ends have agreed on.
    most: u32,
    /// When the search began.
    since: Instant,
    /// The probe that is on its way.
    probe: Option<(SeqNum, u32)>,
}

impl MtuSearch {
    /// A search between the base and `most`, what the handshake allows.
    pub(crate) fn new(now: Instant, most: u32, knobs: &MtuKnobs) -> Self {
        let low = knobs.base.max(knobs.floor).min(most);
        Self { low, high: most, most, since: now, probe: None }
    }

    /// The size to try next; `None` where the search is over.
    fn next_size(&self, knobs: &MtuKnobs) -> Option<u32> {
        let is_wide = self.high.saturating_sub(self.low) >= knobs.threshold.max(1);
        is_wide.then_some(self.low.midpoint(self.high))
    }

    /// RFC 4821 §7.5: the path may carry more by now. `mss` is the size in use.
    fn begin_again(&mut self, now: Instant, mss: u32, knobs: &MtuKnobs) {
        if now.since(self.since) >= knobs.interval {
            (self.low, self.high, self.since) = (mss.min(self.most), self.most, now);
        }
    }

    /// Everything before `una` is acknowledged. The size of the probe, where it is among that.
    fn on_ack(&mut self, una: SeqNum) -> Option<u32> {
        let (start, size) = self.probe?;
        if una.before(start + size) {
            return None;
        }
        self.probe = None;
        self.low = size;
        self.high = self.high.max(size);
        Some(size)
    }

    /// The probe that begins at `una` is lost, and all before it has arrived: it was too large.
    fn on_lost(&mut self, una: SeqNum) -> Option<Range<SeqNum>> {
        let (start, size) = self.probe.filter(|(start, _)| *start == una)?;
        self.probe = None;
        self.high = (size - 1).max(self.low);
        Some(start..start + size)
    }

    /// A router says that no more than `size` passes it (RFC 8899 §4.6.2). The probe that did not.
    fn on_told(&mut self, size: u32) -> Option<Range<SeqNum>> {
        self.high = self.high.min(size);
        self.low = self.low.min(size);
        let (start, len) = self.probe.filter(|(_, len)| *len > size)?;
        self.probe = None;
        Some(start..start + len)
    }

    /// Nothing passes again and again: what was known to arrive may do so no longer. As in Linux,
    /// half of it, from the base downwards.
    fn on_black_hole(&mut self, knobs: &MtuKnobs) {
        self.probe = None;
        let low = (self.low / 2).min(knobs.base).max(knobs.floor);
        self.low = low.min(self.most);
    }
}

impl Sender {
    /// Whether a search is on, now or later: what costs nothing to ask.
    #[inline]
    pub(crate) fn searches_mtu(&self) -> bool {
        self.mtu.is_some()
    }

    /// A search is on from now on (`tcp_mtu_probing`); answers the size to begin with. `most` is
    /// what the handshake allows.
    pub(crate) fn search_mtu(&mut self, now: Instant, most: u32, knobs: &MtuKnobs) -> u32 {
        let search = MtuSearch::new(now, most, knobs);
        let low = search.low;
        self.mtu = Some(search.into());
        low
    }

    /// Timeouts in a row say that the path is a black hole for segments as large as `mss`; answers
    /// the size to go on with.
    pub(crate) fn on_black_hole(
        &mut self,
        now: Instant,
        mss: u32,
        most: u32,
        knobs: &MtuKnobs,
    ) -> u32 {
        match &mut self.mtu {
            Some(search) => {
                search.on_black_hole(knobs);
                mss.min(search.low)
            }
            None => mss.min(self.search_mtu(now, most, knobs)),
        }
    }

    /// Whether a probe is to go out instead of what would go out now. Only where nothing is lost
    /// or out of order, and enough follows the probe to tell its loss from a late arrival (RFC
    /// 4821 §7.4).
    pub(crate) fn mtu_step(
        &mut self,
        now: Instant,
        flight: Flight,
        supply: &Supply,
        knobs: impl FnOnce() -> MtuKnobs,
    ) -> MtuStep {
        if self.mtu.as_ref().is_none_or(|search| search.probe.is_some()) {
            return MtuStep::Nothing;
        }
        let (mss, cwnd, in_flight) = (flight.mss, self.cwnd(), self.in_flight(flight));
        if self.ca_state() != CaState::Open || cwnd < LEAST_CWND * mss {
            return MtuStep::Nothing;
        }
        let reordering = u32::from(self.recovery.reordering().most());
        let Some(search) = &mut self.mtu else { return MtuStep::Nothing };
        let knobs = knobs();
        let Some(size) = search.next_size(&knobs) else {
            search.begin_again(now, mss, &knobs);
            return MtuStep::Nothing;
        };
        let needed = (reordering + 1).saturating_mul(mss).saturating_add(size);
        if supply.unsent < needed || supply.window < needed || supply.record < size {
            return MtuStep::Nothing;
        }
        if supply.window_room < needed {
            return MtuStep::Wait;
        }
        match in_flight + SEGMENTS_AT_ONCE * mss > cwnd {
            true if in_flight > 0 => MtuStep::Wait,
            true => MtuStep::Nothing,
            false if self.congestion.is_held(now) => MtuStep::Nothing,
            false => MtuStep::Probe(size),
        }
    }

    /// The segment of `len` bytes at `start` that goes out next is a probe.
    pub(crate) fn on_mtu_probe(&mut self, start: SeqNum, len: u32) {
        if let Some(search) = &mut self.mtu {
            search.probe = Some((start, len));
        }
    }

    /// The size of the segments in which `len` bytes go out at `start`: a probe is one, however
    /// long it is.
    #[inline]
    pub(crate) fn segment_size(&self, start: SeqNum, len: u32, mss: u32) -> u32 {
        if len > mss && self.is_mtu_probe(start) { len } else { mss }
    }

    /// Whether the probe that is on its way, or about to be, begins at `start`.
    fn is_mtu_probe(&self, start: SeqNum) -> bool {
        let probe = self.mtu.as_ref().and_then(|search| search.probe);
        probe.is_some_and(|(at, _)| at == start)
    }

    /// SND.UNA is `una` now. The size of a segment from now on, where a probe has arrived.
    pub(crate) fn on_mtu_ack(&mut self, una: SeqNum) -> Option<u32> {
        self.mtu.as_mut()?.on_ack(una)
    }

    /// Something goes out again: what becomes of a probe says nothing any more.
    pub(super) fn void_mtu_probe(&mut self) {
        if let Some(search) = &mut self.mtu {
            search.probe = None;
        }
    }

    /// Recovery would begin at `flight.una`. Whether what is lost there is a probe: then only that
    /// goes out again, and the congestion window stays (RFC 4821 §7.6.2).
    pub(super) fn repairs_mtu_probe(&mut self, flight: Flight) -> bool {
        let lost = self.mtu.as_mut().and_then(|search| search.on_lost(flight.una));
        let is_probe = lost.is_some();
        if let Some(lost) = lost {
            self.recovery.repair(lost, flight.nxt);
        }
        is_probe
    }

    /// Segments have another size from now on than `flight.mss`.
    pub(crate) fn on_new_mss(&mut self, flight: Flight) {
        if let Some(sack) = self.recovery.sack_mut() {
            sack.on_new_mss(flight.nxt, flight.mss);
        }
    }

    /// A router tells the size of a segment that passes it. A probe that was larger goes out again.
    pub(crate) fn on_mtu_told(&mut self, size: u32, flight: Flight) {
        if let Some(lost) = self.mtu.as_mut().and_then(|search| search.on_told(size)) {
            self.recovery.repair(lost, flight.nxt);
        }
    }

    /// Segments were too large for the path, and go out again smaller.
    pub(crate) fn on_path_mtu(&mut self, flight: Flight) {
        self.recovery.take_cwr();
        self.void_mtu_probe();
        match &mut self.recovery {
            Recovery::NewReno(newreno) => newreno.lose_all(flight.una, flight.nxt),
            Recovery::Sack(_, Some(sack)) => sack.lose_all(flight.nxt),
            Recovery::Sack(_, None) | Recovery::Unknown => {}
        }
    }

    /// No larger segment is wanted, whatever the path carries.
    pub(crate) fn limit_mtu_search(&mut self, size: u32) {
        if let Some(search) = &mut self.mtu {
            search.most = search.most.min(size);
            search.high = search.high.min(size);
            search.low = search.low.min(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::congestion::Algorithm;
    use super::super::{RtoLimits, Sent};
    use super::*;
    use alloc::vec::Vec;

    const KNOBS: MtuKnobs =
        MtuKnobs { base: 1024, floor: 48, threshold: 8, interval: Duration::from_secs(600) };

    fn at(n: u32) -> SeqNum {
        SeqNum::new(n)
    }

    /// Probes a path that carries segments of up to `carries` bytes, to the end of a search.
    fn search(search: &mut MtuSearch, carries: u32) -> Vec<u32> {
        let mut tried = Vec::new();
        let mut una = at(u32::MAX - 3000);
        while let Some(size) = search.next_size(&KNOBS) {
            tried.push(size);
            search.probe = Some((una, size));
            if size <= carries {
                assert_eq!(search.on_ack(una + size - 1), None);
                assert_eq!(search.on_ack(una + size), Some(size));
            } else {
                assert_eq!(search.on_lost(una - 1), None);
                assert_eq!(search.on_lost(una), Some(una..una + size));
            }
            una += size;
        }
        tried
    }

    #[test]
    fn rfc4821_7_3_a_search_halves_what_is_unknown() {
        let mut wide = MtuSearch::new(Instant::ZERO, 1460, &KNOBS);
        assert_eq!(search(&mut wide, 1460), [1242, 1351, 1405, 1432, 1446, 1453]);
        assert_eq!(wide.low, 1453);
        let mut narrow = MtuSearch::new(Instant::ZERO, 1460, &KNOBS);
        assert_eq!(search(&mut narrow, 1300), [1242, 1351, 1296, 1323, 1309, 1302]);
        assert_eq!((narrow.low, narrow.high), (1296, 1301));
    }

    #[test]
    fn nothing_is_searched_where_the_peer_takes_no_more_than_the_base() {
        let small = MtuSearch::new(Instant::ZERO, 536, &KNOBS);
        assert_eq!((small.low, small.next_size(&KNOBS)), (536, None));
    }

    #[test]
    fn rfc4821_7_5_a_search_begins_again_after_the_interval() {
        let now = |s| Instant::ZERO + Duration::from_secs(s);
        let mut done = MtuSearch::new(now(0), 1460, &KNOBS);
        search(&mut done, 1300);
        done.begin_again(now(599), 1296, &KNOBS);
        assert_eq!(done.next_size(&KNOBS), None);
        done.begin_again(now(600), 1296, &KNOBS);
        assert_eq!((done.low, done.high), (1296, 1460));
        // A path that carries it all now.
        assert_eq!(search(&mut done, 1460), [1378, 1419, 1439, 1449, 1454]);
        done.begin_again(now(1199), 1454, &KNOBS);
        assert_eq!(done.next_size(&KNOBS), None);
    }

    /// A sender that has twelve segments of window, two of them in use.
    fn sender() -> (Sender, Flight) {
        let mut sender = Sender::new(at(0), Instant::ZERO, Algorithm::of(0));
        sender.start(12 * 1024, true);
        assert_eq!(sender.search_mtu(Instant::ZERO, 1460, &KNOBS), 1024);
        let limits = RtoLimits {
            min: Duration::from_millis(200),
            max: Duration::from_secs(120),
            user_timeout: Duration::ZERO,
            probes: false,
            abe: false,
        };
        let flight = Flight { una: at(1), nxt: at(2049), mss: 1024, has_fin: false };
        let sent = Sent::New { start: at(1), was_idle: true };
        sender.on_sent(Instant::ZERO, at(2049), sent, flight, &limits);
        (sender, flight)
    }

    const ENOUGH: u32 = 1242 + 4 * 1024;
    const PLENTY: Supply =
        Supply { unsent: ENOUGH, record: u32::MAX, window: ENOUGH, window_room: ENOUGH };

    #[test]
    fn rfc4821_7_4_a_probe_needs_data_and_windows_that_tell_its_loss() {
        let (mut sender, flight) = sender();
        let mut step = |flight, supply| sender.mtu_step(Instant::ZERO, flight, &supply, || KNOBS);
        let [nothing, probe] = [MtuStep::Nothing, MtuStep::Probe(1242)];
        assert_eq!(step(flight, PLENTY), probe);
        assert_eq!(step(flight, Supply { unsent: ENOUGH - 1, ..PLENTY }), nothing);
        assert_eq!(step(flight, Supply { window: ENOUGH - 1, ..PLENTY }), nothing);
        assert_eq!(step(flight, Supply { record: 1241, ..PLENTY }), nothing);
        assert_eq!(step(flight, Supply { window_room: ENOUGH - 1, ..PLENTY }), MtuStep::Wait);
        // Ten segments of window are too few.
        assert_eq!(step(Flight { mss: 1200, ..flight }, PLENTY), nothing);
        sender.on_mtu_probe(flight.nxt, 1242);
        assert_eq!(sender.mtu_step(Instant::ZERO, flight, &PLENTY, || KNOBS), nothing);
    }

    #[test]
    fn rfc4821_7_6_4_what_goes_out_again_makes_a_probe_inconclusive() {
        let (mut sender, flight) = sender();
        sender.on_mtu_probe(flight.nxt, 1242);
        assert_eq!(sender.segment_size(flight.nxt, 1242, 1024), 1242);
        sender.void_mtu_probe();
        assert_eq!(sender.on_mtu_ack(flight.nxt + 1242), None);
        assert_eq!(sender.segment_size(flight.nxt, 1242, 1024), 1024);
        // The same size may be tried again.
        let step = sender.mtu_step(Instant::ZERO, flight, &PLENTY, || KNOBS);
        assert_eq!(step, MtuStep::Probe(1242));
    }

    #[test]
    fn a_black_hole_halves_from_the_base_down_to_the_floor() {
        let mut hole = MtuSearch::new(Instant::ZERO, 1460, &KNOBS);
        let lows: Vec<u32> = (0..6)
            .map(|_| {
                hole.on_black_hole(&KNOBS);
                hole.low
            })
            .collect();
        assert_eq!(lows, [512, 256, 128, 64, 48, 48]);
        let floor = MtuKnobs { floor: 2000, ..KNOBS };
        hole.on_black_hole(&floor);
        assert_eq!(hole.low, 1460, "never beyond what was agreed on");
    }

    #[test]
    fn rfc8899_4_6_2_a_router_that_tells_less_ends_a_probe() {
        let mut told = MtuSearch::new(Instant::ZERO, 1460, &KNOBS);
        told.probe = Some((at(0), 1242));
        assert_eq!(told.on_told(1300), None);
        assert_eq!((told.low, told.high, told.probe.is_some()), (1024, 1300, true));
        assert_eq!(told.on_told(1200), Some(at(0)..at(1242)));
        assert_eq!((told.low, told.high, told.probe), (1024, 1200, None));
        // Less than what is in use.
        assert_eq!(told.on_told(1000), None);
        assert_eq!((told.low, told.high), (1000, 1000));
        assert_eq!(told.next_size(&KNOBS), None);
    }
}
