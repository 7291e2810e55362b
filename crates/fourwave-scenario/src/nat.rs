//! A NAT: many hosts, one address, a port for each connection.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use bytes::Bytes;
use fourwave_wire::checksum::{Sum, complete_checksum};

const IP_SRC: usize = 12;
const IP_DST: usize = 16;
const IP_CHECKSUM: usize = 10;

/// One translation.
struct Entry {
    inside: SocketAddrV4,
    port: u16,
}

/// Rewrites the source of what goes out, and finds the host for what comes back. IPv4 without
/// options, TCP only.
pub(crate) struct Nat {
    address: Ipv4Addr,
    /// The hosts behind it.
    behind: Vec<usize>,
    entries: Vec<Entry>,
}

impl Nat {
    /// A NAT with the outer address `address` before some hosts.
    pub(crate) fn new(address: Ipv4Addr, behind: &[usize]) -> Self {
        Self { address, behind: behind.to_vec(), entries: Vec::new() }
    }

    /// A packet from `host` goes out: as it is outside, when that one is behind this NAT.
    pub(crate) fn outward(&mut self, host: usize, packet: &[u8]) -> Option<Bytes> {
        let inside = endpoint(packet, IP_SRC).filter(|from| *from.ip() != self.address)?;
        if !self.behind.contains(&host) {
            return None;
        }
        let known = self.entries.iter().find(|entry| entry.inside == inside);
        let port = match known {
            Some(entry) => entry.port,
            None => {
                let port = 50_000 + self.entries.len() as u16;
                self.entries.push(Entry { inside, port });
                port
            }
        };
        Some(rewrite(packet, IP_SRC, SocketAddrV4::new(self.address, port)))
    }

    /// What an address inside is called outside.
    pub(crate) fn outside(&self, inside: SocketAddr) -> Option<SocketAddr> {
        let entry = self.entries.iter().find(|entry| inside == entry.inside.into())?;
        Some(SocketAddrV4::new(self.address, entry.port).into())
    }

    /// A packet comes in: as it is inside, when it is for a host behind this NAT.
    pub(crate) fn inward(&self, packet: &[u8]) -> Option<Bytes> {
        let outside = endpoint(packet, IP_DST)?;
        let entry = self
            .entries
            .iter()
            .find(|entry| *outside.ip() == self.address && entry.port == outside.port())?;
        Some(rewrite(packet, IP_DST, entry.inside))
    }
}

/// Where the port that belongs to an address lies.
fn port_at(packet: &[u8], address: usize) -> usize {
    let header = usize::from(packet[0] & 0x0f) * 4;
    header + if address == IP_SRC { 0 } else { 2 }
}

fn endpoint(packet: &[u8], address: usize) -> Option<SocketAddrV4> {
    if packet.first()? >> 4 != 4 || packet.len() < 40 {
        return None;
    }
    let ip: [u8; 4] = packet.get(address..address + 4)?.try_into().ok()?;
    let at = port_at(packet, address);
    let port: [u8; 2] = packet.get(at..at + 2)?.try_into().ok()?;
    Some(SocketAddrV4::new(ip.into(), u16::from_be_bytes(port)))
}

fn rewrite(packet: &[u8], address: usize, to: SocketAddrV4) -> Bytes {
    let mut packet = packet.to_vec();
    packet[address..address + 4].copy_from_slice(&to.ip().octets());
    let at = port_at(&packet, address);
    packet[at..at + 2].copy_from_slice(&to.port().to_be_bytes());
    let header_len = port_at(&packet, IP_SRC);
    let ip = &mut packet[..header_len];
    ip[IP_CHECKSUM..IP_CHECKSUM + 2].fill(0);
    let sum = Sum::default().with(ip).finish();
    ip[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&sum);
    complete_checksum(&mut packet);
    packet.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_net::segment;
    use fourwave_wire::ip::{IpHeader, header_checksum_is_right};
    use fourwave_wire::tcp::{TcpHeader, verify_checksum};

    #[test]
    fn what_goes_out_and_comes_back_has_right_addresses_and_checksums() {
        let (inside, outside) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(203, 0, 113, 5));
        let server = Ipv4Addr::new(198, 51, 100, 7);
        let packet = |from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)| {
            segment(from.into(), to.into(), TcpHeader::default(), b"odd").bytes
        };
        let right = |bytes: &[u8]| {
            let ip = IpHeader::parse(bytes).unwrap();
            let sum = verify_checksum(ip.src, ip.dst, &bytes[ip.payload.clone()]);
            (ip.src, ip.dst, sum && header_checksum_is_right(bytes))
        };
        let mut nat = Nat::new(outside, &[3]);
        let out = packet((inside, 1234), (server, 80));
        assert_eq!(nat.outward(2, &out), None);
        let out = nat.outward(3, &out).unwrap();
        assert_eq!(right(&out), (outside.into(), server.into(), true));
        assert_eq!(nat.outward(3, &out), None, "it is outside already");
        let port = endpoint(&out, IP_SRC).unwrap().port();
        let back = nat.inward(&packet((server, 80), (outside, port))).unwrap();
        assert_eq!(right(&back), (server.into(), inside.into(), true));
        assert_eq!(endpoint(&back, IP_DST).unwrap().port(), 1234);
        assert_eq!(nat.inward(&packet((server, 80), (outside, 1))), None);
    }
}
