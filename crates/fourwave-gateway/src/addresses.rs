//! Who has which address on the link between the program and the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The program's address.
pub const PROGRAM_V4: Ipv4Addr = Ipv4Addr::new(10, 4, 0, 100);
/// The gateway's: default router, resolver, and with `--host-loopback` the host itself.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 4, 0, 1);
/// Bits of the IPv4 network.
pub const PREFIX_V4: u8 = 24;
/// The program's IPv6 address.
pub const PROGRAM_V6: Ipv6Addr = Ipv6Addr::new(0xfd04, 0, 0, 0, 0, 0, 0, 0x100);
/// The gateway's IPv6 address.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd04, 0, 0, 0, 0, 0, 0, 1);
/// Bits of the IPv6 network.
pub const PREFIX_V6: u8 = 64;

/// Whether `address` is the gateway's own.
pub fn is_gateway(address: IpAddr) -> bool {
    address == IpAddr::V4(GATEWAY_V4) || address == IpAddr::V6(GATEWAY_V6)
}
