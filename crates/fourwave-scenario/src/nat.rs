//! A NAT: many hosts, one address, a port for each connection.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use fourwave_wire::checksum::Sum;
use fourwave_wire::ip::protocol;
use fourwave_wire::tcp::CHECKSUM_OFFSET;

const IP_SRC: usize = 12;
const IP_DST: usize = 16;
const IP_CHECKSUM: usize = 10;

/// One translation.
struct Entry {
    host: usize,
    inside: SocketAddrV4,
    port: u16,
}

/// Rewrites the source of what goes out, and finds the host for what comes back. IPv4 without
/// options, TCP only.
pub(crate) struct Nat {
    address: Ipv4Addr,
    entries: Vec<Entry>,
}

impl Nat {
    /// A NAT with the outer address `address`.
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        Self { address, entries: Vec::new() }
    }

    /// A packet from `host` goes out.
    pub(crate) fn outward(&mut self, host: usize, packet: &mut [u8]) {
        let Some(inside) = endpoint(packet, IP_SRC) else { return };
        let known = self.entries.iter().find(|entry| entry.inside == inside);
        let port = match known {
            Some(entry) => entry.port,
            None => {
                let port = 50_000 + self.entries.len() as u16;
                self.entries.push(Entry { host, inside, port });
                port
            }
        };
        rewrite(packet, IP_SRC, SocketAddrV4::new(self.address, port));
    }

    /// What an address inside is called outside.
    pub(crate) fn outside(&self, inside: SocketAddr) -> Option<SocketAddr> {
        let entry = self.entries.iter().find(|entry| inside == entry.inside.into())?;
        Some(SocketAddrV4::new(self.address, entry.port).into())
    }

    /// A packet comes in: the host it is for, when it is for one behind this NAT.
    pub(crate) fn inward(&self, packet: &mut [u8]) -> Option<usize> {
        let outside = endpoint(packet, IP_DST)?;
        let entry = self
            .entries
            .iter()
            .find(|entry| *outside.ip() == self.address && entry.port == outside.port())?;
        rewrite(packet, IP_DST, entry.inside);
        Some(entry.host)
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

fn rewrite(packet: &mut [u8], address: usize, to: SocketAddrV4) {
    packet[address..address + 4].copy_from_slice(&to.ip().octets());
    let at = port_at(packet, address);
    packet[at..at + 2].copy_from_slice(&to.port().to_be_bytes());
    let (ip, tcp) = packet.split_at_mut(port_at(packet, IP_SRC));
    ip[IP_CHECKSUM..IP_CHECKSUM + 2].fill(0);
    let sum = Sum::default().with(ip).finish();
    ip[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&sum);
    let host = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]).into();
    tcp[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
    let pseudo =
        Sum::default().with_pseudo_header(host(IP_SRC), host(IP_DST), protocol::TCP, tcp.len());
    let sum = pseudo.with(tcp).finish();
    tcp[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_wire::ip::{IpEmit, IpHeader, header_checksum_is_right};
    use fourwave_wire::tcp::{TcpHeader, verify_checksum};

    #[test]
    fn what_goes_out_and_comes_back_has_right_addresses_and_checksums() {
        let (inside, outside) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(203, 0, 113, 5));
        let server = Ipv4Addr::new(198, 51, 100, 7);
        let packet = |src: Ipv4Addr, dst: Ipv4Addr, ports: (u16, u16)| {
            let (src, dst) = (src.into(), dst.into());
            let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
            let tcp = TcpHeader { src_port: ports.0, dst_port: ports.1, ..TcpHeader::default() };
            let mut bytes = Vec::new();
            ip.emit(tcp.emitted_len() + 3, &mut bytes);
            tcp.emit(&mut bytes);
            bytes.extend_from_slice(b"odd");
            bytes
        };
        let right = |bytes: &[u8]| {
            let ip = IpHeader::parse(bytes).unwrap();
            let sum = verify_checksum(ip.src, ip.dst, &bytes[ip.payload.clone()]);
            (ip.src, ip.dst, sum && header_checksum_is_right(bytes))
        };
        let mut nat = Nat::new(outside);
        let mut out = packet(inside, server, (1234, 80));
        nat.outward(3, &mut out);
        assert_eq!(right(&out), (outside.into(), server.into(), true));
        let port = endpoint(&out, IP_SRC).unwrap().port();
        let mut back = packet(server, outside, (80, port));
        assert_eq!(nat.inward(&mut back), Some(3));
        assert_eq!(right(&back), (server.into(), inside.into(), true));
        assert_eq!(nat.inward(&mut packet(server, outside, (80, 1))), None);
    }
}
