//! Whether both ends agreed on AccECN (RFC 9768 table 2), and what its field says then.

use fourwave_wire::tcp::Flags;

/// What a connection's SYNs said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AccEcn {
    asked: bool,
    agreed: bool,
}

impl AccEcn {
    /// Notes what a segment says, and reads its ACE field where it has one.
    pub(crate) fn read(&mut self, flags: Flags) -> Option<u8> {
        match (flags.syn(), flags.ack()) {
            (true, false) => self.asked |= !matches!(flags.ace(), 0 | 3),
            (true, true) => self.agreed |= self.asked && matches!(flags.ace(), 2..=6),
            (false, _) => {}
        }
        (self.agreed && !flags.syn()).then(|| flags.ace())
    }
}
