//! Every connection's end as an [`io::Error`] that carries its reason.

use std::{fmt, io};

use fourwave_core::EndReason;
use fourwave_wire::icmp::IcmpError;

/// The inner error of every [`io::Error`] that a connection's end causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseError {
    /// Why the connection ended.
    pub reason: EndReason,
}

impl CloseError {
    pub(crate) const fn new(reason: EndReason) -> Self {
        Self { reason }
    }

    /// The kind that the kernel's sockets would report for this reason.
    pub const fn kind(self) -> io::ErrorKind {
        match self.reason {
            EndReason::Refused | EndReason::Unreachable(IcmpError::PortUnreachable) => {
                io::ErrorKind::ConnectionRefused
            }
            EndReason::ResetByPeer => io::ErrorKind::ConnectionReset,
            EndReason::Unreachable(IcmpError::NetUnreachable) => io::ErrorKind::NetworkUnreachable,
            EndReason::Unreachable(_) => io::ErrorKind::HostUnreachable,
            EndReason::ConnectTimeout
            | EndReason::HandshakeTimeout
            | EndReason::RetransmissionTimeout
            | EndReason::UserTimeout
            | EndReason::KeepaliveTimeout
            | EndReason::OrphanTimeout
            | EndReason::FinWait2Timeout => io::ErrorKind::TimedOut,
            EndReason::Orderly => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::ConnectionAborted,
        }
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for CloseError {}

impl From<CloseError> for io::Error {
    fn from(error: CloseError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// The reason inside an error of this crate's sockets; `None` where no connection's end caused it.
pub fn end_reason(error: &io::Error) -> Option<EndReason> {
    error.get_ref()?.downcast_ref::<CloseError>().map(|e| e.reason)
}

pub(crate) fn ended(reason: EndReason) -> io::Error {
    CloseError::new(reason).into()
}

pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the stack was shut down: spawn another one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_reason_and_speaks_its_sentence() {
        for reason in [EndReason::Refused, EndReason::KeepaliveTimeout, EndReason::Orderly] {
            let error = ended(reason);
            assert_eq!(end_reason(&error), Some(reason));
            assert_eq!(error.to_string(), reason.sentence());
            assert_eq!(error.kind(), CloseError { reason }.kind());
        }
        assert_eq!(end_reason(&stopped()), None);
        assert_eq!(end_reason(&io::ErrorKind::TimedOut.into()), None);
    }

    #[test]
    fn kinds_are_those_of_the_kernels_sockets() {
        let expected = [
            (EndReason::Refused, io::ErrorKind::ConnectionRefused),
            (EndReason::ResetByPeer, io::ErrorKind::ConnectionReset),
            (EndReason::RetransmissionTimeout, io::ErrorKind::TimedOut),
            (EndReason::Aborted, io::ErrorKind::ConnectionAborted),
            (EndReason::Unreachable(IcmpError::NetUnreachable), io::ErrorKind::NetworkUnreachable),
            (EndReason::Unreachable(IcmpError::PortUnreachable), io::ErrorKind::ConnectionRefused),
            (EndReason::Unreachable(IcmpError::AdminProhibited), io::ErrorKind::HostUnreachable),
        ];
        for (reason, kind) in expected {
            assert_eq!(CloseError { reason }.kind(), kind, "{reason:?}");
        }
    }
}
