//! A host's books: what it opened, how each of that ended, and what its engine's counters must
//! say of it.
//!
//! Kept from calls, events and packets alone; the counters are only held against it. A connection
//! that opened has one end, and each end stands in the counters under its kind, once.

use std::collections::BTreeMap;
use std::fmt;

use fourwave_core::counters::Counters;
use fourwave_core::{EndReason, EndReport, Population};
use fourwave_wire::icmp::IcmpError;
use fourwave_wire::tcp::Flags;

use crate::plan::LISTENS_ON;

/// What its application had done with a connection that ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handling {
    /// It had closed its sending direction.
    pub closing: bool,
    /// The engine may hold its FIN back.
    pub peer_first: bool,
    /// It does not wait in FIN_WAIT_2 at all.
    pub no_fin_wait_2: bool,
}

/// The books of one host.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Connections that were opened by a call.
    pub active: u64,
    /// Connections that a peer's handshake made.
    pub passive: u64,
    /// SYNs that reached the listener whole.
    pub syns: u64,
    /// Segments that left.
    pub sent: u64,
    /// RSTs among them.
    pub resets: u64,
    /// SYN ACKs among them.
    pub syn_acks: u64,
    /// Segments that were handed in, whole and damaged ones.
    pub delivered: u64,
    /// The whole ones.
    pub whole: u64,
    /// Ends by the name of their reason.
    ends: BTreeMap<&'static str, u64>,
    /// Ends that left a TIME_WAIT behind.
    time_waits: u64,
    /// Resets by the peer that found the connection open, and those that may have.
    open_resets: (u64, u64),
    /// FIN_WAIT_2s that were not waited for at all.
    no_waits: u64,
    /// Retransmissions of connections that ended.
    retransmits: u64,
}

impl Ledger {
    /// A segment leaves.
    pub fn sends(&mut self, flags: Flags) {
        self.sent += 1;
        self.resets += u64::from(flags.rst());
        self.syn_acks += u64::from(flags.syn() && flags.ack());
    }

    /// A packet is handed in; when it is a whole segment, its flags and the port it is for.
    pub fn takes(&mut self, whole: Option<(Flags, u16)>) {
        self.delivered += 1;
        let Some((flags, port)) = whole else { return };
        self.whole += 1;
        let opens = flags.syn() && !flags.ack() && !flags.rst();
        self.syns += u64::from(opens && port == LISTENS_ON);
    }

    /// A connection ended.
    pub fn end(&mut self, report: &EndReport, handling: Handling) {
        *self.ends.entry(report.reason.name()).or_default() += 1;
        self.time_waits += u64::from(report.time_wait_until.is_some());
        self.retransmits += u64::from(report.retransmits);
        match report.reason {
            EndReason::ResetByPeer if !handling.closing => {
                self.open_resets.0 += 1;
                self.open_resets.1 += 1;
            }
            EndReason::ResetByPeer if handling.peer_first => self.open_resets.1 += 1,
            EndReason::FinWait2Timeout if handling.no_fin_wait_2 => self.no_waits += 1,
            _ => {}
        }
    }

    /// Connections that were opened.
    pub fn opened(&self) -> u64 {
        self.active + self.passive
    }

    /// Connections that ended.
    pub fn ended(&self) -> u64 {
        self.ends.values().sum()
    }

    /// How they ended, by the name of the reason.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.ends.iter().map(|(&name, &n)| (name, n))
    }

    fn of(&self, reasons: &[EndReason]) -> u64 {
        reasons.iter().filter_map(|reason| self.ends.get(reason.name())).sum()
    }

    /// Each counter that speaks of connections, and the least and the most that it may be.
    fn rules(&self) -> Vec<(&'static str, u64, u64)> {
        use EndReason as R;
        let exactly = |name, n: u64| (name, n, n);
        // What neither packets nor events tell apart is bounded.
        let failed = self.of(&[R::Refused, R::ConnectTimeout, R::HandshakeTimeout])
            + self.of(&[R::Unreachable(IcmpError::HostUnreachable)]);
        let half_open = self.syns.saturating_sub(self.passive);
        let timeouts = [
            R::ConnectTimeout,
            R::HandshakeTimeout,
            R::RetransmissionTimeout,
            R::UserTimeout,
            R::KeepaliveTimeout,
            R::OrphanTimeout,
            R::FinWait2Timeout,
        ];
        vec![
            exactly("TcpActiveOpens", self.active),
            exactly("TcpPassiveOpens", self.passive),
            ("TcpAttemptFails", failed, failed + self.of(&[R::UserTimeout]) + half_open),
            ("TcpEstabResets", self.open_resets.0, self.open_resets.1),
            exactly("TcpExtTCPAbortOnTimeout", self.of(&timeouts) - self.no_waits),
            exactly("TcpExtTCPAbortOnLinger", self.of(&[R::Linger]) + self.no_waits),
            exactly("TcpExtTCPAbortOnClose", self.of(&[R::ClosedWithUnreadData])),
            exactly("TcpExtTCPAbortOnData", self.of(&[R::DataAfterClose])),
            exactly("TcpExtTCPAbortOnMemory", self.of(&[R::TooManyOrphans])),
            exactly("TcpOutSegs", self.sent),
            exactly("TcpOutRsts", self.resets),
            ("TcpInSegs", self.whole, self.delivered),
            ("TcpRetransSegs", self.retransmits, self.retransmits + self.syn_acks),
        ]
    }

    /// Holds the counters against the books when everything is over.
    ///
    /// # Errors
    /// A connection without an end or the other way round, a counter that says otherwise.
    pub fn check(&self, counters: &Counters) -> Result<(), String> {
        if self.opened() != self.ended() {
            let (opened, ended) = (self.opened(), self.ended());
            return Err(format!("{opened} connections were opened and {ended} ended: {self}"));
        }
        for (name, least, most) in self.rules() {
            let Some((_, counted)) = counters.iter().find(|(n, _)| *n == name) else {
                return Err(format!("there is no counter {name}"));
            };
            if !(least..=most).contains(&counted) {
                return Err(format!("{name} is {counted}, not {least} to {most}: {self}"));
            }
        }
        self.check_time_waits(counters, 0)
    }

    /// TIME_WAITs that came, without those that went, are those that are there.
    fn check_time_waits(&self, c: &Counters, there: usize) -> Result<(), String> {
        let came = self.time_waits + c.tw_restored;
        let went = c.tw + c.tw_killed + c.tw_recycled + c.tw_taken_over + c.tw_evicted;
        if came.checked_sub(went) != Some(there as u64) {
            return Err(format!("{came} TIME_WAITs came, {went} went and {there} are there"));
        }
        Ok(())
    }

    /// Holds what is alive against the books, once all events were taken: `held` are handles of
    /// connections that ended, `orphans` connections without a handle.
    ///
    /// # Errors
    /// Something is there that should be gone, or the other way round.
    pub fn check_population(
        &self,
        counters: &Counters,
        there: &Population,
        held: usize,
        orphans: usize,
    ) -> Result<(), String> {
        let alive = self.opened().checked_sub(self.ended()).map(|n| n as usize);
        let filed = alive.map(|alive| alive + there.half_open + there.time_wait);
        if alive.map(|alive| alive + held) != Some(there.connections) {
            return Err(format!("connections: {alive:?} alive, {held} held, and {there:?}"));
        }
        if filed != Some(there.demux_entries) || there.orphans != orphans {
            return Err(format!("{alive:?} alive, {orphans} of them orphans, and {there:?}"));
        }
        if there.timers > there.connections {
            return Err(format!("more deadlines than connections: {there:?}"));
        }
        self.check_time_waits(counters, there.time_wait)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} active, {} passive", self.active, self.passive)?;
        self.ends.iter().try_for_each(|(reason, n)| write!(f, ", {n} {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use fourwave_core::{Instant, Side, UserCall};

    use super::*;

    fn report(reason: EndReason, time_wait: bool) -> EndReport {
        let mut report =
            EndReport::new(([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 40_000).into(), reason);
        report.closed_first = Some(Side::Local);
        report.last_call = UserCall::Close;
        report.time_wait_until = time_wait.then_some(Instant::from_micros(1));
        report.retransmits = 1;
        report
    }

    /// Books of one end of each kind, and counters that agree with them.
    fn right() -> (Ledger, Counters) {
        use EndReason as R;
        let mut ledger = Ledger { active: 7, passive: 4, ..Ledger::default() };
        let ends = [
            R::Refused,
            R::ResetByPeer,
            R::ConnectTimeout,
            R::RetransmissionTimeout,
            R::FinWait2Timeout,
            R::ClosedWithUnreadData,
            R::DataAfterClose,
            R::Linger,
            R::TooManyOrphans,
            R::Aborted,
        ];
        for reason in ends {
            ledger.end(&report(reason, false), Handling::default());
        }
        ledger.end(&report(R::Orderly, true), Handling::default());
        ledger.sends(Flags::SYN);
        ledger.sends(Flags::RST);
        ledger.takes(Some((Flags::ACK, 80)));
        let mut counters = Counters::default();
        counters.active_opens = 7;
        counters.passive_opens = 4;
        counters.attempt_fails = 2;
        counters.estab_resets = 1;
        counters.abort_on_timeout = 3;
        counters.abort_on_close = 1;
        counters.abort_on_data = 1;
        counters.abort_on_linger = 1;
        counters.abort_on_memory = 1;
        counters.tw = 1;
        counters.out_segs = 2;
        counters.out_rsts = 1;
        counters.in_segs = 1;
        counters.retrans_segs = 11;
        (ledger, counters)
    }

    #[test]
    fn books_that_agree_are_right() {
        let (ledger, counters) = right();
        assert_eq!(ledger.check(&counters), Ok(()));
    }

    #[test]
    fn a_counter_that_is_off_by_one_is_named() {
        let (ledger, counters) = right();
        for (name, ..) in ledger.rules() {
            for off in [1, u64::MAX] {
                let mut wrong = counters;
                let counter = match name {
                    "TcpActiveOpens" => &mut wrong.active_opens,
                    "TcpPassiveOpens" => &mut wrong.passive_opens,
                    "TcpAttemptFails" => &mut wrong.attempt_fails,
                    "TcpEstabResets" => &mut wrong.estab_resets,
                    "TcpExtTCPAbortOnTimeout" => &mut wrong.abort_on_timeout,
                    "TcpExtTCPAbortOnLinger" => &mut wrong.abort_on_linger,
                    "TcpExtTCPAbortOnClose" => &mut wrong.abort_on_close,
                    "TcpExtTCPAbortOnData" => &mut wrong.abort_on_data,
                    "TcpExtTCPAbortOnMemory" => &mut wrong.abort_on_memory,
                    "TcpOutSegs" => &mut wrong.out_segs,
                    "TcpOutRsts" => &mut wrong.out_rsts,
                    "TcpInSegs" => &mut wrong.in_segs,
                    "TcpRetransSegs" => &mut wrong.retrans_segs,
                    other => panic!("{other} is a rule without a test"),
                };
                *counter = counter.wrapping_add(off);
                let what = ledger.check(&wrong).unwrap_err();
                assert!(what.starts_with(name), "{name}: {what}");
            }
        }
    }

    #[test]
    fn an_end_too_many_or_too_few_is_seen() {
        let (mut ledger, counters) = right();
        ledger.end(&report(EndReason::Aborted, false), Handling::default());
        let what = ledger.check(&counters).unwrap_err();
        assert!(what.starts_with("11 connections were opened and 12 ended"), "{what}");
        ledger.active += 2;
        let what = ledger.check(&counters).unwrap_err();
        assert!(what.starts_with("13 connections were opened and 12 ended"), "{what}");
    }

    #[test]
    fn a_time_wait_that_is_lost_or_left_is_seen() {
        let (ledger, counters) = right();
        let lost: fn(&mut Counters) = |counters| counters.tw = 0;
        for change in [lost, |counters| counters.tw_evicted = 1] {
            let mut wrong = counters;
            change(&mut wrong);
            assert!(ledger.check(&wrong).unwrap_err().contains("TIME_WAITs came"));
        }
        let mut moved = counters;
        moved.tw = 0;
        (moved.tw_recycled, moved.tw_restored, moved.tw_killed) = (1, 1, 1);
        assert_eq!(ledger.check(&moved), Ok(()));
    }

    #[test]
    fn what_is_alive_is_what_was_opened_and_did_not_end() {
        let (mut ledger, counters) = right();
        ledger.active += 3;
        let mut there = Population::default();
        (there.half_open, there.connections, there.orphans) = (2, 5, 1);
        (there.timers, there.demux_entries) = (3, 5);
        assert_eq!(ledger.check_population(&counters, &there, 2, 1), Ok(()));
        let changes: [fn(&mut Population); 6] = [
            |there| there.connections = 6,
            |there| there.time_wait = 1,
            |there| there.orphans = 0,
            |there| there.timers = 6,
            |there| there.demux_entries = 6,
            |there| there.half_open = 1,
        ];
        for change in changes {
            let mut wrong = there;
            change(&mut wrong);
            assert!(ledger.check_population(&counters, &wrong, 2, 1).is_err(), "{wrong:?}");
        }
    }
}
