//! Where a packet of the program goes: pure, and the one place that guards the host's loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fourwave_wire::icmp::IcmpError;

use crate::addresses::{GATEWAY_V4, GATEWAY_V6, PROGRAM_V4, PROGRAM_V6, is_gateway};

/// What is to become of something the program sends to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Send it from the host to this address.
    Host(SocketAddr),
    /// Hand it to the host's resolvers.
    Resolver,
    /// Nobody listens on this port of the gateway.
    Refused,
    /// No such host, or none that may be reached.
    Unreachable(IcmpError),
}

/// Where the program's packet to `dst` goes.
///
/// The host's loopback is reached at the gateway's address only, and only with `host_loopback`:
/// every other spelling of it (127.0.0.0/8, 0.0.0.0, `::`, IPv4-mapped and -compatible) is
/// unreachable.
pub(crate) fn target(dst: SocketAddr, host_loopback: bool) -> Target {
    if is_gateway(dst.ip()) {
        return if dst.port() == DNS_PORT {
            Target::Resolver
        } else if host_loopback {
            Target::Host(SocketAddr::new(loopback_of(dst.ip()), dst.port()))
        } else {
            Target::Refused
        };
    }
    if is_inside(dst.ip()) {
        return Target::Unreachable(IcmpError::HostUnreachable);
    }
    let routable = match dst.ip() {
        IpAddr::V4(ip) => is_routable_v4(ip),
        IpAddr::V6(ip) => is_routable_v6(ip),
    };
    if routable { Target::Host(dst) } else { Target::Unreachable(IcmpError::NetUnreachable) }
}

/// The port where the gateway answers for the host's resolvers.
pub(crate) const DNS_PORT: u16 = 53;

/// Whether `ip` lies in the namespace's own networks, 10.4.0.0/24 and fd04::/64.
pub(crate) fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == GATEWAY_V4.octets()[..3],
        IpAddr::V6(ip) => ip.segments()[..4] == GATEWAY_V6.segments()[..4],
    }
}

/// The gateway's address of the family of `ip`.
pub(crate) fn gateway_like(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { GATEWAY_V4.into() } else { GATEWAY_V6.into() }
}

/// The program's address of the family of `ip`.
pub(crate) fn program_like(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { PROGRAM_V4.into() } else { PROGRAM_V6.into() }
}

/// The address that the program sees when `client`, on the host's side, calls it.
pub(crate) fn seen_from_inside(client: SocketAddr) -> SocketAddr {
    let ip = client.ip().to_canonical();
    let shown = match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && is_routable_v4(v4),
        IpAddr::V6(v6) => !v6.is_loopback() && is_routable_v6(v6),
    };
    // An address that the namespace's kernel drops as martian, or takes for its own network's.
    let ip = if shown && !is_inside(ip) { ip } else { gateway_like(ip) };
    SocketAddr::new(ip, client.port())
}

fn loopback_of(gateway: IpAddr) -> IpAddr {
    if gateway.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn is_routable_v4(ip: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is "this host": Linux connects 0.0.0.0 to its loopback.
    let this_host = ip.octets()[0] == 0;
    // 240.0.0.0/4 and the broadcast address.
    let reserved = ip.octets()[0] >= 240;
    !(this_host || reserved || ip.is_loopback() || ip.is_multicast())
}

fn is_routable_v6(ip: Ipv6Addr) -> bool {
    // ::/96 holds `::`, `::1` and the IPv4-compatible addresses; ::ffff:0:0/96 the mapped ones.
    let low = ip.segments()[..5] == [0; 5] && matches!(ip.segments()[5], 0 | 0xffff);
    // A link-local address means nothing on another link.
    let link_local = ip.segments()[0] & 0xffc0 == 0xfe80;
    !(low || link_local || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_gateway_is_the_hosts_loopback_only_when_asked() {
        assert_eq!(target(at("10.4.0.1:80"), false), Target::Refused);
        assert_eq!(target(at("[fd04::1]:80"), false), Target::Refused);
        assert_eq!(target(at("10.4.0.1:80"), true), Target::Host(at("127.0.0.1:80")));
        assert_eq!(target(at("[fd04::1]:80"), true), Target::Host(at("[::1]:80")));
        for host_loopback in [false, true] {
            assert_eq!(target(at("10.4.0.1:53"), host_loopback), Target::Resolver);
            assert_eq!(target(at("[fd04::1]:53"), host_loopback), Target::Resolver);
        }
    }

    #[test]
    fn no_other_spelling_reaches_the_hosts_loopback() {
        let spellings = [
            "127.0.0.1:80",
            "127.8.9.10:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::]:80",
            "[::1]:80",
            "[::127.0.0.1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.9]:80",
            "[fe80::1]:80",
            "255.255.255.255:80",
            "224.0.0.251:5353",
            "[ff02::fb]:5353",
        ];
        for spelling in spellings {
            for host_loopback in [false, true] {
                let found = target(at(spelling), host_loopback);
                assert_eq!(found, Target::Unreachable(IcmpError::NetUnreachable), "{spelling}");
            }
        }
    }

    #[test]
    fn neighbours_do_not_exist_and_the_world_does() {
        for neighbour in ["10.4.0.2:1", "10.4.0.255:1", "[fd04::2]:1", "[fd04::1:2:3:4]:1"] {
            let found = target(at(neighbour), true);
            assert_eq!(found, Target::Unreachable(IcmpError::HostUnreachable), "{neighbour}");
        }
        for real in ["10.4.1.1:1", "192.168.1.1:22", "1.1.1.1:53", "[2001:db8::1]:443"] {
            assert_eq!(target(at(real), false), Target::Host(at(real)));
        }
    }

    #[test]
    fn a_client_is_shown_as_itself_where_that_is_possible() {
        for real in ["192.168.1.7:4000", "[2001:db8::7]:4000"] {
            assert_eq!(seen_from_inside(at(real)), at(real));
        }
        assert_eq!(seen_from_inside(at("[::ffff:192.168.1.7]:9")), at("192.168.1.7:9"));
        for hidden in ["127.0.0.1:9", "[::ffff:127.0.0.1]:9", "10.4.0.100:9", "10.4.0.7:9"] {
            assert_eq!(seen_from_inside(at(hidden)), at("10.4.0.1:9"), "{hidden}");
        }
        for hidden in ["[::1]:9", "[fe80::3]:9", "[fd04::100]:9"] {
            assert_eq!(seen_from_inside(at(hidden)), at("[fd04::1]:9"), "{hidden}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_mapped_to_loopback_without_leave(ip: IpAddr, port: u16) {
            match target(SocketAddr::new(ip, port), false) {
                Target::Host(to) => {
                    prop_assert_eq!(to, SocketAddr::new(ip, port));
                    prop_assert!(!to.ip().to_canonical().is_loopback());
                    prop_assert!(!to.ip().to_canonical().is_unspecified());
                }
                Target::Resolver => prop_assert!(is_gateway(ip)),
                Target::Refused => prop_assert!(is_gateway(ip)),
                Target::Unreachable(_) => {}
            }
        }
    }
}
