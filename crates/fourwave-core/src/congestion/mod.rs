//! How much may be in flight. An algorithm sees samples, never the connection.

pub(crate) mod newreno;

/// What an ACK of new data tells an algorithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckSample {
    /// Bytes newly acknowledged.
    pub(crate) acked: u32,
    /// Whether the window, not the application, held the sender back.
    pub(crate) window_limited: bool,
    /// Payload bytes of a full segment.
    pub(crate) mss: u32,
}

/// A congestion control algorithm.
pub(crate) trait CongestionControl {
    /// New data was acknowledged outside fast recovery.
    fn on_ack(&mut self, sample: &AckSample);
    /// A loss was found by duplicate ACKs while `flight` bytes were on their way.
    fn on_loss(&mut self, flight: u32, mss: u32);
    /// Fast recovery is over; `flight` bytes are on their way.
    fn on_recovered(&mut self, flight: u32, mss: u32);
    /// The retransmission timer ran out with `flight` bytes on their way. `again`: it is not
    /// the first time for this data.
    fn on_timeout(&mut self, flight: u32, mss: u32, again: bool);
    /// The connection was idle for longer than a retransmission timeout.
    fn on_idle(&mut self, initial_window: u32);
    /// The window in bytes.
    fn window(&self) -> u32;
    /// The slow-start threshold in bytes; `u32::MAX` before the first loss.
    fn threshold(&self) -> u32;
}
