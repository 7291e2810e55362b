//! The namespace's network: loopback and a TUN without offloads, so that each packet is seen as it
//! would be on a wire.

use std::fs;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use fourwave_device::tun;
use fourwave_linux::namespace::{LinkSettings, Netlink};
use fourwave_linux::reason;

use super::{Error, INTERFACE, Options};

/// Index of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;
/// Packets that wait for the sniffer before the interface drops: more than any script sends.
const QUEUE_LENGTH: u32 = 10_000;

/// Returns the TUN and what works less well than it should.
pub(super) fn set_up(options: &Options) -> Result<(OwnedFd, Vec<String>), Error> {
    let step = |what: &'static str| move |error: std::io::Error| Error::io(what, &error);
    let netlink = Netlink::new().map_err(step("opening a netlink socket"))?;
    // With the header for what is injected; offloads are another matter, and stay off.
    let kind = tun::TunOptions { multi_queue: false, vnet_header: true };
    let (tun, name) = tun::open(Some(INTERFACE), kind)?;
    let index = netlink.index(&name).map_err(step("finding the TUN interface"))?;
    quieten();
    netlink
        .up(LOOPBACK, LinkSettings::default())
        .map_err(step("setting the loopback interface up"))?;
    let settings = LinkSettings { mtu: Some(options.mtu.into()), queue_length: Some(QUEUE_LENGTH) };
    netlink.up(index, settings).map_err(|error| {
        Error::io(format!("setting the TUN up with an MTU of {}", options.mtu), &error)
    })?;
    for &(address, prefix) in &options.addresses {
        netlink.address(index, address, prefix).map_err(|error| {
            Error::io(format!("giving the TUN its address {address}/{prefix}"), &error)
        })?;
    }
    for ipv6 in [false, true] {
        if options.addresses.iter().any(|(address, _)| address.is_ipv6() == ipv6) {
            netlink.everywhere(index, ipv6).map_err(step("giving the TUN its route"))?;
        }
    }
    let mut warnings = Vec::new();
    if !settled() {
        warnings
            .push(format!("{INTERFACE}'s IPv6 address is not ready: its first packets are lost"));
    }
    // The system's default may be fq, which paces.
    if let Err(error) = netlink.plain_queue(index) {
        warnings.push(format!("{INTERFACE} keeps the system's default queue ({})", reason(&error)));
    }
    Ok((tun, warnings))
}

/// Waits until IPv6 addresses are in use: the kernel takes its time even without duplicate address
/// detection, and drops what comes before.
fn settled() -> bool {
    const TENTATIVE: u32 = 0x40;
    let deadline = Instant::now() + Duration::from_secs(2);
    // Columns: address, interface, prefix, scope, flags, name.
    let tentative = |line: &str| {
        let flags = line.split_whitespace().nth(4).and_then(|at| u32::from_str_radix(at, 16).ok());
        line.ends_with(INTERFACE) && flags.is_some_and(|flags| flags & TENTATIVE != 0)
    };
    while Instant::now() < deadline {
        // A kernel without IPv6 has no such file.
        let addresses = fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
        if !addresses.lines().any(tentative) {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// No packets but those that scripts cause. Where /proc/sys is read-only (containers), what the
/// kernel says of its own accord is filtered by the sniffer too.
fn quieten() {
    for (knob, value) in [
        ("ipv6/conf/tun0/disable_ipv6", "0"),
        ("ipv6/conf/tun0/addr_gen_mode", "1"),
        ("ipv6/conf/tun0/router_solicitations", "0"),
        ("ipv6/conf/tun0/accept_ra", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/tun0/rp_filter", "0"),
    ] {
        let _unchanged = fs::write(format!("/proc/sys/net/{knob}"), value);
    }
}
