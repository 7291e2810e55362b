//! What to send again, and when it is enough: decides from acknowledgements and timeouts, never
//! calls back.

mod newreno;

pub(super) use newreno::{NewReno, RecoveryEvent};

/// What loss recovery is about, as in Linux (`tcpi_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// Nothing is missing.
    Open = 0,
    /// Duplicate ACKs, not enough to call it a loss.
    Disorder = 1,
    /// Fast recovery.
    Recovery = 3,
    /// After a retransmission timeout.
    Loss = 4,
}
