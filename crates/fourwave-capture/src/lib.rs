//! Reads packets out of capture files (pcap and pcapng, plain or compressed) and off network
//! interfaces: whatever the link layer is, what comes out is IP packets with their numbers. Writes
//! a device's packets as pcapng.
//!
//! Begin with [`Reader`] for a file, [`Live`] for an interface, [`PcapngWriter`] to write:
//!
//! ```no_run
//! # fn main() -> Result<(), fourwave_capture::ReadError> {
//! let mut reader = fourwave_capture::Reader::open("capture.pcapng".as_ref())?;
//! while let Some(packet) = reader.next() {
//!     println!("{:?}", packet.ip.map(<[u8]>::len));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | question | where |
//! | --- | --- |
//! | what comes out? | `packet.rs` |
//! | a file from its first byte to its last | `reader.rs`: `Reader` |
//! | an interface, as long as it goes | `live.rs`: `Live` |
//! | compression | `unpack.rs` |
//! | the input in memory | `window.rs` |
//! | records of the two formats | `pcap.rs`, `pcapng.rs`, both to `frame.rs` |
//! | the IP packet in a frame | `link.rs` |
//! | packets that a capture has twice | `twice.rs` |
//! | what is no capture | `file_type.rs`, `error.rs` |
//! | the packets of a device as pcapng | `writer.rs`: `PcapngWriter` |
#![forbid(unsafe_code)]

mod comments;
mod error;
mod file_type;
mod frame;
mod link;
mod live;
mod packet;
mod pcap;
mod pcapng;
mod reader;
mod twice;
mod unpack;
mod window;
mod writer;

pub use comments::Comments;
pub use error::{Problem, ReadError};
pub use link::link_name;
pub use live::{Live, LiveError};
pub use packet::{Packet, Tally};
pub use reader::Reader;
pub use writer::{
    COMMENT_WINDOW, PacketId, PcapngError, PcapngObserver, PcapngOptions, PcapngWriter,
};
