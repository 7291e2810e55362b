//! The error queue: what `MSG_ZEROCOPY` and `SO_TIMESTAMPING` tell afterwards.

use std::collections::VecDeque;
use std::time::Duration;

use fourwave_core::TcpInfo;
use fourwave_core::state::State;

use super::abi::{self, errno, msg, stamp};
use crate::sockopt as option;
use crate::syscall::Received;

/// What waits in the queue, and what will.
#[derive(Debug, Default)]
pub(super) struct ErrorQueue {
    told: VecDeque<Told>,
    /// (number of the send, the stream's offset behind it).
    zerocopy: VecDeque<(u32, u64)>,
    next_zerocopy: u32,
    stamps: VecDeque<Stamp>,
    /// The offset from which `SOF_TIMESTAMPING_OPT_ID` counts.
    key_base: u64,
    acked: u64,
}

/// Bytes whose way is to be told.
#[derive(Debug)]
struct Stamp {
    end: u64,
    flags: u32,
    sent: bool,
}

/// A message of the queue.
#[derive(Debug)]
pub(super) enum Told {
    /// The sends of these numbers are finished.
    Zerocopy { first: u32, last: u32 },
    /// The byte `key` was scheduled, sent or acknowledged.
    Stamp { at: Duration, what: u32, key: u32, flags: u32 },
}

impl ErrorQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// A send with `MSG_ZEROCOPY` ended at `end`.
    pub(super) fn expect_zerocopy(&mut self, end: u64) {
        self.zerocopy.push_back((self.next_zerocopy, end));
        self.next_zerocopy = self.next_zerocopy.wrapping_add(1);
    }

    /// A send ended at `end`.
    pub(super) fn expect_stamps(&mut self, flags: u32, end: u64) {
        if flags & (stamp::TX_SCHED | stamp::TX_SOFTWARE | stamp::TX_ACK) != 0 {
            self.stamps.push_back(Stamp { end, flags, sent: false });
        }
    }

    /// `SOF_TIMESTAMPING_OPT_ID` was set: keys count from here.
    pub(super) fn count_keys(&mut self, from_written: Option<u64>) {
        self.key_base = from_written.unwrap_or(self.acked);
    }

    /// The connection got on: whether something new can be read from the queue.
    pub(super) fn progress(&mut self, now: Duration, written: u64, info: &TcpInfo) -> bool {
        let before = self.told.len();
        let ended = info.state == State::Closed;
        let sent = written - info.notsent_bytes.min(written);
        self.acked = if ended { written } else { info.bytes_acked.min(written) };
        let mut told = false;
        while let Some(&(number, end)) = self.zerocopy.front()
            && end <= self.acked
        {
            self.zerocopy.pop_front();
            told = true;
            self.finish_zerocopy(number);
        }
        if !ended {
            self.report_sent(now, sent);
            self.report_acked(now);
        }
        told || self.told.len() > before
    }

    /// Neighbours become one message.
    fn finish_zerocopy(&mut self, number: u32) {
        match self.told.back_mut() {
            Some(Told::Zerocopy { last, .. }) if last.wrapping_add(1) == number => *last = number,
            _ => self.told.push_back(Told::Zerocopy { first: number, last: number }),
        }
    }

    fn report_sent(&mut self, at: Duration, sent: u64) {
        for record in &mut self.stamps {
            if record.sent || record.end > sent {
                continue;
            }
            record.sent = true;
            let key = record.end.wrapping_sub(self.key_base + 1) as u32;
            let kinds = [(stamp::TX_SCHED, stamp::SCHED), (stamp::TX_SOFTWARE, stamp::SND)];
            for (flag, what) in kinds {
                if record.flags & flag != 0 {
                    self.told.push_back(Told::Stamp { at, what, key, flags: record.flags });
                }
            }
        }
    }

    fn report_acked(&mut self, at: Duration) {
        while let Some(record) = self.stamps.front()
            && record.end <= self.acked
        {
            let key = record.end.wrapping_sub(self.key_base + 1) as u32;
            if record.flags & stamp::TX_ACK != 0 {
                let what = stamp::ACK;
                self.told.push_back(Told::Stamp { at, what, key, flags: record.flags });
            }
            self.stamps.pop_front();
        }
    }
}

impl Told {
    /// `msg_flags` and the ancillary messages, for a socket of IPv6 or IPv4.
    pub(super) fn message(self, v6: bool) -> (i32, Vec<Received>) {
        let (level, kind) = match v6 {
            true => (abi::IPPROTO_IPV6, option::IPV6_RECVERR.number),
            false => (abi::IPPROTO_IP, option::IP_RECVERR.number),
        };
        match self {
            Self::Zerocopy { first, last } => {
                let error = Received::Error {
                    level,
                    kind,
                    errno: 0,
                    origin: abi::EE_ORIGIN_ZEROCOPY,
                    kind_of: 0,
                    // A TUN device copies what it is given.
                    code: abi::EE_ZEROCOPY_COPIED,
                    info: first,
                    data: last,
                };
                (msg::ERRQUEUE, vec![error])
            }
            Self::Stamp { at, what, key, flags } => {
                let mut control = Vec::new();
                if flags & stamp::SOFTWARE != 0 {
                    control.push(Received::Timestamping {
                        level: abi::SOL_SOCKET,
                        kind: stamp::SCM,
                        seconds: at.as_secs() as i64,
                        nanos: at.subsec_nanos().into(),
                    });
                }
                control.push(Received::Error {
                    level,
                    kind,
                    errno: errno::ENOMSG as u32,
                    origin: abi::EE_ORIGIN_TIMESTAMPING,
                    kind_of: 0,
                    code: 0,
                    info: what,
                    data: if flags & stamp::OPT_ID != 0 { key } else { 0 },
                });
                // The bytes themselves come back too, and nobody gave a buffer for them.
                let cut = if flags & stamp::OPT_TSONLY == 0 { msg::TRUNC } else { 0 };
                (msg::ERRQUEUE | cut, control)
            }
        }
    }
}
