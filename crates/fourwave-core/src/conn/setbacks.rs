//! What most connections never meet, and pay nothing for.

use alloc::boxed::Box;

use fourwave_wire::icmp::IcmpError;

use super::Connection;
use super::accecn::AccEcn;
use crate::time::Instant;

/// Retransmissions, waits for others, and segments that could not be taken.
#[derive(Clone, Debug)]
pub(crate) struct Setbacks {
    pub(crate) retransmits: u32,
    pub(crate) fin_retransmits: u32,
    pub(super) bytes_retrans: u64,
    /// Segments whose ACK echoed a mark.
    pub(super) delivered_ce: u32,
    /// Milliseconds that data waited for the peer's window.
    pub(super) rwnd_limited: u32,
    /// Milliseconds that a writer waited for room while all was in flight.
    pub(super) sndbuf_limited: u32,
    /// The last ACK that answered an unacceptable segment.
    pub(super) invalid_answered_at: Instant,
    /// The last ICMP error that did not end it (RFC 9293 §3.9.2.2).
    pub(super) icmp_error: Option<IcmpError>,
    /// Where both ends agreed on AccECN.
    pub(super) accecn: Option<Box<AccEcn>>,
}

static NONE: Setbacks = Setbacks {
    retransmits: 0,
    fin_retransmits: 0,
    bytes_retrans: 0,
    delivered_ce: 0,
    rwnd_limited: 0,
    sndbuf_limited: 0,
    invalid_answered_at: Instant::NEVER,
    icmp_error: None,
    accecn: None,
};

impl Default for Setbacks {
    fn default() -> Self {
        NONE.clone()
    }
}

impl Connection {
    pub(crate) fn setbacks(&self) -> &Setbacks {
        self.setbacks.as_deref().unwrap_or(&NONE)
    }

    /// What both ends count, where they agreed on AccECN.
    pub(super) fn accecn(&self) -> Option<&AccEcn> {
        self.setbacks.as_ref()?.accecn.as_deref()
    }

    /// The same, to count.
    pub(super) fn accecn_mut(&mut self) -> Option<&mut AccEcn> {
        self.setbacks.as_mut()?.accecn.as_deref_mut()
    }

    /// An ICMP error that does not end it.
    pub(crate) fn note_icmp(&mut self, error: IcmpError) {
        self.set_back().icmp_error = Some(error);
    }

    /// To note one.
    pub(super) fn set_back(&mut self) -> &mut Setbacks {
        self.setbacks.get_or_insert_with(Box::default)
    }
}
