//! Reads packets out of capture files (pcap and pcapng, plain or compressed) and off network
//! interfaces: whatever the link layer is, what comes out is IP packets with their numbers.
#![forbid(unsafe_code)]

mod packet;

pub use packet::{Packet, Tally};
