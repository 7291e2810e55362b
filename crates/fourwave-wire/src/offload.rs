//! What a device and a stack tell each other about a packet beside its bytes.

use alloc::vec::Vec;
use bytes::Bytes;

/// How much of a received packet's transport checksum the device vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RxChecksum {
    /// Nothing is known: the receiver must verify it.
    #[default]
    Unverified,
    /// The device verified it, or the packet never crossed a wire (a virtio-net header
    /// with NEEDS_CSUM: the bytes in the checksum field are not a checksum).
    Trusted,
}

/// A received IP packet, or a super-packet of several segments under one header.
#[derive(Clone, Debug, Default)]
pub struct RxPacket {
    /// The packet from its IP header on. Payload slices of it may be kept by the receiver.
    pub bytes: Bytes,
    /// Payload bytes of each segment that the sender meant; 0 for an ordinary packet.
    pub gso_size: u16,
    /// What is known of the transport checksum.
    pub checksum: RxChecksum,
}

/// Into what the device is to cut a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GsoKind {
    /// One packet, nothing to cut.
    #[default]
    None,
    /// TCP segments (TSO).
    Tcp,
    /// UDP datagrams (USO).
    Udp,
}

/// What the transport checksum field of a packet to be sent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TxChecksum {
    /// The finished checksum.
    #[default]
    Complete,
    /// The pseudo-header's sum only; the device adds the rest (offload).
    Partial {
        /// Where the transport header starts, in bytes from the start of the IP header.
        start: u16,
        /// Where the checksum field lies, in bytes from `start`.
        offset: u16,
    },
}

/// What a device needs to know of a packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TxMeta {
    /// Bytes from the IP header to the end of the payload.
    pub len: usize,
    /// Payload bytes of each segment; 0 when the packet is not to be cut.
    pub gso_size: u16,
    /// What the packet is to be cut into.
    pub gso_kind: GsoKind,
    /// Bytes of IP and transport headers, repeated before each segment when cut.
    pub header_len: u16,
    /// What the checksum field holds.
    pub checksum: TxChecksum,
}

/// A packet to be sent: headers in one small buffer, payload as shared chunks, nothing
/// copied. Reuse one value for many packets: its buffers keep their capacity.
#[derive(Clone, Debug, Default)]
pub struct TxPacket {
    /// IP and transport headers.
    pub header: Vec<u8>,
    /// The payload in order. The chunks are the sender's own queue, shared by count.
    pub payload: Vec<Bytes>,
    /// What the device needs to know.
    pub meta: TxMeta,
}

impl TxPacket {
    /// Empties the packet and keeps its capacity.
    pub fn clear(&mut self) {
        self.header.clear();
        self.payload.clear();
        self.meta = TxMeta::default();
    }

    /// Bytes of payload. O(chunks).
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }

    /// The whole packet in one new buffer: for devices that have no scatter-gather.
    /// Copies every byte.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.header.len() + self.payload_len());
        all.extend_from_slice(&self.header);
        for chunk in &self.payload {
            all.extend_from_slice(chunk);
        }
        all
    }
}

/// What a device can carry: asked once, when a stack is put on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The largest IP packet in bytes, headers included; 68 (1280 for IPv6) to 65535.
    pub mtu: u16,
    /// The largest super-packet in bytes, headers included; 0 when the device cannot cut.
    pub gso_max: u32,
    /// Whether the device finishes [`TxChecksum::Partial`].
    pub checksum_offload: bool,
}

impl Link {
    /// A device without any offload.
    pub const fn plain(mtu: u16) -> Self {
        Self { mtu, gso_max: 0, checksum_offload: false }
    }

    /// A device that cuts super-packets of 64 KiB and finishes checksums.
    pub const fn offloading(mtu: u16) -> Self {
        Self { mtu, gso_max: 65_535, checksum_offload: true }
    }
}
