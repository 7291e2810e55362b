//! What to send again, and when it is enough: decides from acknowledgements and timeouts, never
//! calls back.

mod frto;
mod newreno;
mod prr;
mod rack;
mod sack;
mod undo;

pub(super) use newreno::{NewReno, RecoveryEvent};
pub(super) use prr::{Cwr, Prr};
pub(super) use rack::{Path, Reordering};
pub(super) use sack::{AckReport, Arrival, Sack, SackEvent};
pub(super) use undo::Before;
pub(crate) use undo::Proof;

/// What loss recovery is about, as in Linux (`tcpi_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// Nothing is missing.
    Open = 0,
    /// Duplicate ACKs, not enough to call it a loss.
    Disorder = 1,
    /// The window is reduced for marks (ECN).
    Cwr = 2,
    /// Fast recovery.
    Recovery = 3,
    /// After a retransmission timeout.
    Loss = 4,
}

impl CaState {
    /// In small letters, as `ss` has Linux's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Disorder => "disorder",
            Self::Cwr => "cwr",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
        }
    }
}
