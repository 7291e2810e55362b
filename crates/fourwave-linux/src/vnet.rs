//! The virtio-net header in front of every packet of a TUN with `IFF_VNET_HDR`.
//!
//! Layout: `struct virtio_net_hdr` (virtio 1.2 §5.1.6, `include/uapi/linux/virtio_net.h`), the
//! legacy form: 10 bytes in the machine's own byte order.

use fourwave_wire::{GsoKind, RxChecksum, TxChecksum, TxPacket, ip, tcp};

/// Bytes of the header.
pub const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// TCP with CWR in the first segment only.
const GSO_ECN: u8 = 0x80;

const CWR: u8 = tcp::Flags::CWR.bits();
/// Where a TCP header keeps its flags.
const TCP_FLAGS_AT: usize = 13;

/// The fields of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VnetHeader {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes of the headers that are repeated before each segment.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where checksumming starts, from the start of the IP header.
    pub csum_start: u16,
    /// Where the checksum goes, from `csum_start`.
    pub csum_offset: u16,
}

/// Why a packet cannot be described by the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The packet has no IP header.
    #[error("the packet starts with no IPv4 or IPv6 header")]
    NotIp,
    /// A packet to be cut whose checksum field claims to be finished.
    #[error("a super-packet needs a partial checksum: each segment gets its own")]
    SuperPacketWithFinishedChecksum,
    /// A packet to be cut into segments of 0 bytes.
    #[error("a super-packet needs a segment size above 0")]
    SuperPacketWithoutSegmentSize,
}

impl VnetHeader {
    /// Reads the header.
    pub fn decode(bytes: &[u8; LEN]) -> Self {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        }
    }

    /// Writes the header.
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        bytes[2..4].copy_from_slice(&self.hdr_len.to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.gso_size.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.csum_start.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.csum_offset.to_ne_bytes());
        bytes
    }

    /// What the header of a received packet vouches for.
    pub fn rx_checksum(&self) -> RxChecksum {
        if self.flags & (NEEDS_CSUM | DATA_VALID) == 0 {
            RxChecksum::Unverified
        } else {
            RxChecksum::Trusted
        }
    }

    /// Payload bytes of each segment of a received packet, 0 for an ordinary one. UDP to be cut
    /// into IP fragments (UFO) is an ordinary packet to us: one datagram.
    pub fn rx_gso_size(&self) -> u16 {
        match self.gso_type & !GSO_ECN {
            GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4 => self.gso_size,
            _ => 0,
        }
    }

    /// The header for a packet to be sent.
    ///
    /// # Errors
    /// A packet that the header cannot describe. The kernel would refuse it with a bare EINVAL.
    pub fn for_packet(packet: &TxPacket) -> Result<Self, Unsendable> {
        let meta = &packet.meta;
        let version = packet.header.first().ok_or(Unsendable::NotIp)? >> 4;
        let mut header = Self::default();
        if let TxChecksum::Partial { start, offset } = meta.checksum {
            header.flags = NEEDS_CSUM;
            header.csum_start = start;
            header.csum_offset = offset;
        }
        header.gso_type = match (meta.gso_kind, version) {
            (GsoKind::None, 4 | 6) => return Ok(header),
            (GsoKind::Tcp, 4) => GSO_TCPV4,
            (GsoKind::Tcp, 6) => GSO_TCPV6,
            (GsoKind::Udp, 4 | 6) => GSO_UDP_L4,
            _ => return Err(Unsendable::NotIp),
        };
        if header.flags & NEEDS_CSUM == 0 {
            return Err(Unsendable::SuperPacketWithFinishedChecksum);
        }
        if meta.gso_size == 0 {
            return Err(Unsendable::SuperPacketWithoutSegmentSize);
        }
        // One segment's worth is no super-packet; Linux takes it, but without the GSO type it
        // also takes the short path.
        let payload_len = meta.len.saturating_sub(usize::from(meta.header_len));
        if payload_len <= usize::from(meta.gso_size) {
            header.gso_type = GSO_NONE;
            return Ok(header);
        }
        let flags_at = usize::from(header.csum_start) + TCP_FLAGS_AT;
        if meta.gso_kind == GsoKind::Tcp
            && packet.header.get(flags_at).is_some_and(|bits| bits & CWR != 0)
        {
            header.gso_type |= GSO_ECN;
        }
        header.hdr_len = meta.header_len;
        header.gso_size = meta.gso_size;
        Ok(header)
    }
}

/// The space a super-packet of Linux may need: 64 KiB of IP packet and its header in front,
/// because `gso_max_size` counts from the transport header on.
pub const MAX_PACKET: usize = LEN + ip::IPV6_HEADER_LEN + 65_536 + 88;

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_wire::TxMeta;
    use proptest::prelude::*;

    fn tcp_packet(version: u8, flags: u8, meta: TxMeta) -> TxPacket {
        let transport = if version == 6 { 40 } else { 20 };
        let mut header = vec![0; transport + 20];
        header[0] = version << 4;
        header[transport + TCP_FLAGS_AT] = flags;
        TxPacket { header, payload: vec![], meta }
    }

    fn super_meta(version: u8) -> TxMeta {
        let start = if version == 6 { 40 } else { 20 };
        TxMeta {
            len: 30_000,
            gso_size: 1448,
            gso_kind: GsoKind::Tcp,
            header_len: start + 20,
            checksum: TxChecksum::Partial { start, offset: 16 },
        }
    }

    #[test]
    fn layout_is_that_of_the_kernel() {
        let header = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV6,
            hdr_len: 0x0102,
            gso_size: 0x0304,
            csum_start: 0x0506,
            csum_offset: 0x0708,
        };
        let mut expected = vec![1, 4];
        for word in [0x0102u16, 0x0304, 0x0506, 0x0708] {
            expected.extend_from_slice(&word.to_ne_bytes());
        }
        assert_eq!(header.encode().as_slice(), expected);
    }

    #[test]
    fn an_ordinary_packet_with_a_finished_checksum_asks_for_nothing() {
        let packet = tcp_packet(4, 0, TxMeta { len: 40, ..Default::default() });
        assert_eq!(VnetHeader::for_packet(&packet), Ok(VnetHeader::default()));
    }

    #[test]
    fn an_ordinary_packet_may_leave_its_checksum_to_the_kernel() {
        let checksum = TxChecksum::Partial { start: 40, offset: 16 };
        let packet = tcp_packet(6, 0, TxMeta { len: 60, checksum, ..Default::default() });
        let header = VnetHeader::for_packet(&packet).unwrap();
        assert_eq!(
            header,
            VnetHeader { flags: 1, csum_start: 40, csum_offset: 16, ..Default::default() }
        );
    }

    #[test]
    fn super_packets_name_their_family_and_segment_size() {
        for (version, kind) in [(4, GSO_TCPV4), (6, GSO_TCPV6)] {
            let meta = super_meta(version);
            let header = VnetHeader::for_packet(&tcp_packet(version, 0x10, meta)).unwrap();
            assert_eq!((header.gso_type, header.gso_size), (kind, 1448));
            assert_eq!(header.hdr_len, meta.header_len);
            let cwr = VnetHeader::for_packet(&tcp_packet(version, CWR, meta)).unwrap();
            assert_eq!(cwr.gso_type, kind | GSO_ECN);
            assert_eq!(cwr.rx_gso_size(), 1448);
            let udp = TxMeta { gso_kind: GsoKind::Udp, ..meta };
            let udp = VnetHeader::for_packet(&tcp_packet(version, CWR, udp)).unwrap();
            assert_eq!(udp.gso_type, GSO_UDP_L4);
        }
    }

    #[test]
    fn one_segment_is_not_a_super_packet() {
        let meta = TxMeta { len: 40 + 1448, ..super_meta(4) };
        let header = VnetHeader::for_packet(&tcp_packet(4, 0x10, meta)).unwrap();
        assert_eq!((header.gso_type, header.gso_size, header.flags), (GSO_NONE, 0, NEEDS_CSUM));
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_by_name() {
        let meta = super_meta(4);
        let finished = TxMeta { checksum: TxChecksum::Complete, ..meta };
        let sizeless = TxMeta { gso_size: 0, ..meta };
        for (packet, error) in [
            (tcp_packet(4, 0, finished), Unsendable::SuperPacketWithFinishedChecksum),
            (tcp_packet(4, 0, sizeless), Unsendable::SuperPacketWithoutSegmentSize),
            (tcp_packet(5, 0, meta), Unsendable::NotIp),
            (tcp_packet(0, 0, TxMeta::default()), Unsendable::NotIp),
            (TxPacket::default(), Unsendable::NotIp),
        ] {
            assert_eq!(VnetHeader::for_packet(&packet), Err(error));
        }
    }

    #[test]
    fn received_checksums_are_trusted_only_by_the_kernels_word() {
        let with = |flags| VnetHeader { flags, ..Default::default() }.rx_checksum();
        assert_eq!(with(0), RxChecksum::Unverified);
        assert_eq!(with(NEEDS_CSUM), RxChecksum::Trusted);
        assert_eq!(with(DATA_VALID), RxChecksum::Trusted);
        assert_eq!(with(0xfc), RxChecksum::Unverified);
    }

    #[test]
    fn an_unknown_gso_type_is_an_ordinary_packet() {
        const UFO: u8 = 3;
        let with = |gso_type| VnetHeader { gso_type, gso_size: 9, ..Default::default() };
        assert_eq!(with(GSO_NONE).rx_gso_size(), 0);
        assert_eq!(with(UFO).rx_gso_size(), 0);
        assert_eq!(with(77).rx_gso_size(), 0);
        assert_eq!(with(GSO_UDP_L4).rx_gso_size(), 9);
    }

    proptest! {
        #[test]
        fn any_ten_bytes_decode_and_encode_again(bytes in any::<[u8; LEN]>()) {
            prop_assert_eq!(VnetHeader::decode(&bytes).encode(), bytes);
        }

        #[test]
        fn any_fields_encode_and_decode_again(
            (flags, gso_type, hdr_len) in any::<(u8, u8, u16)>(),
            (gso_size, csum_start, csum_offset) in any::<(u16, u16, u16)>(),
        ) {
            let header =
                VnetHeader { flags, gso_type, hdr_len, gso_size, csum_start, csum_offset };
            prop_assert_eq!(VnetHeader::decode(&header.encode()), header);
        }

        #[test]
        fn no_packet_to_be_sent_panics(
            header in proptest::collection::vec(any::<u8>(), 0..80),
            (len, gso_size, header_len) in any::<(usize, u16, u16)>(),
            (start, offset, partial) in any::<(u16, u16, bool)>(),
            kind in 0..3u8,
        ) {
            let gso_kind = [GsoKind::None, GsoKind::Tcp, GsoKind::Udp][usize::from(kind)];
            let partial = partial.then_some(TxChecksum::Partial { start, offset });
            let checksum = partial.unwrap_or_default();
            let meta = TxMeta { len, gso_size, gso_kind, header_len, checksum };
            let packet = TxPacket { header, payload: vec![], meta };
            if let Ok(vnet) = VnetHeader::for_packet(&packet) {
                // The kernel refuses GSO without NEEDS_CSUM and a segment size.
                prop_assert!(vnet.gso_type == GSO_NONE || vnet.flags == NEEDS_CSUM);
                prop_assert_eq!(vnet.gso_type == GSO_NONE, vnet.gso_size == 0);
            }
        }
    }
}
