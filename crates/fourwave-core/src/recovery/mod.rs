//! What to send again, and when it is enough: decides from acknowledgements and timeouts, never
//! calls back. Knows sequence numbers and time only.

pub(crate) mod newreno;
pub(crate) mod rtt;
