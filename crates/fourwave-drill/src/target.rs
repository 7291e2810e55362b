//! The boundary between the runner and what it plays a script against.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::syscall::{Fd, Returned, SysCall};

/// A stack under test: the engine in virtual time, or Linux in real time.
///
/// Times are durations since [`Target::start`]. One call at most is pending at a time.
pub trait Target {
    /// Time zero is now.
    ///
    /// # Errors
    /// The target cannot be made ready.
    fn start(&mut self) -> Result<(), Refusal>;

    /// The time.
    fn now(&mut self) -> Duration;

    /// Lets time go on until `until`, or until the stack has sent a packet if that comes first; a
    /// packet that waits already is returned at once.
    ///
    /// # Errors
    /// The target broke.
    fn wait(&mut self, until: Duration) -> Result<Option<Sniffed>, Refusal>;

    /// Hands the stack a packet (from its IP header on), now.
    ///
    /// # Errors
    /// The target broke.
    fn inject(&mut self, packet: &[u8]) -> Result<(), Refusal>;

    /// Makes a call, now.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the target has no such call, option or flag.
    fn call(&mut self, call: &SysCall) -> Result<Progress, Refusal>;

    /// What the pending call has returned, and when.
    ///
    /// # Errors
    /// The target broke.
    fn returned(&mut self) -> Result<Option<(Duration, Returned)>, Refusal>;

    /// TCP_INFO of a descriptor (`tcpi_state`, `tcpi_snd_cwnd` …, by Linux's names and units);
    /// none where it is no TCP socket.
    ///
    /// # Errors
    /// The target broke.
    fn info(&mut self, fd: Fd) -> Result<Option<Facts>, Refusal>;

    /// Does what a shell command of the script asks.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where the target cannot honour it; [`Refusal::Failed`] where the
    /// command ran and failed, which is a failure of the script.
    fn command(&mut self, command: &str) -> Result<(), Refusal>;
}

/// Figures by their names.
pub type Facts = BTreeMap<String, i64>;

/// A packet that the stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sniffed {
    /// When.
    pub at: Duration,
    /// From its IP header on; the checksum is right.
    pub packet: Vec<u8>,
}

/// Whether a call has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At once.
    Returned(Returned),
    /// Not yet.
    Blocked,
}

/// Why a target did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no such thing; the script is skipped, and this names what.
    Unsupported(String),
    /// It tried and failed.
    Failed(String),
}
