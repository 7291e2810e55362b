//! The namespace's network: loopback, the TUN, its addresses and routes.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use fourwave_device::tun;
use fourwave_linux::namespace::{LinkSettings, Netlink};
use fourwave_linux::reason_of;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::failure::Failure;

use crate::addresses::{GATEWAY_V4, GATEWAY_V6, PREFIX_V4, PREFIX_V6, PROGRAM_V4, PROGRAM_V6};

/// The interface as the program sees it.
const INTERFACE: &str = "fourwave0";
/// Index of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;
/// Packets that wait for us in the interface's queue before it drops: twice the TUN driver's
/// 500, for bursts of small packets while the gateway is busy. Super-packets need far less.
const QUEUE_LENGTH: u32 = 1000;

/// Makes the namespace's network. Returns the TUN and what works less well than it should.
pub(super) fn set_up(mtu: u16) -> Result<(OwnedFd, Vec<String>), Failure> {
    let mut warnings = Vec::new();
    let netlink = Netlink::new().map_err(|e| Failure::io("opening a netlink socket", &e))?;
    let step = |what: &'static str| move |error| Failure::io(what, &error);
    netlink
        .up(LOOPBACK, LinkSettings::default())
        .map_err(step("setting the loopback interface up"))?;
    let (tun, name) = tun::open(Some(INTERFACE), tun::TunOptions::default())
        .map_err(|error| Failure::Tun(error.to_string()))?;
    let index = netlink.index(&name).map_err(step("finding the TUN interface"))?;
    quieten(&name);
    let settings = LinkSettings { mtu: Some(mtu.into()), queue_length: Some(QUEUE_LENGTH) };
    netlink
        .up(index, settings)
        .map_err(|error| Failure::io(format!("setting the TUN up with an MTU of {mtu}"), &error))?;
    join(&netlink, index, PROGRAM_V4.into(), PREFIX_V4, GATEWAY_V4.into())
        .map_err(step("giving the TUN its IPv4 address and route"))?;
    let joined = join(&netlink, index, PROGRAM_V6.into(), PREFIX_V6, GATEWAY_V6.into());
    match joined.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)) {
        Ok(()) => {}
        // EACCES is IPv6 switched off by sysctl, EOPNOTSUPP a kernel without it.
        Err(errno @ (Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => {
            warnings.push(format!(
                "this system has no IPv6 ({}): the program has only IPv4",
                reason_of(errno.raw_os_error())
            ));
        }
        Err(errno) => {
            return Err(Failure::step("giving the TUN its IPv6 address and route", errno));
        }
    }
    allow_ping_and_low_ports();
    Ok((tun, warnings))
}

fn join(
    netlink: &Netlink,
    index: u32,
    address: IpAddr,
    prefix: u8,
    gateway: IpAddr,
) -> io::Result<()> {
    netlink.address(index, address, prefix)?;
    netlink.default_route(index, gateway)
}

/// IPv6 on, but without what only makes noise on a link of two: link-local addresses, router
/// solicitations. Where /proc/sys is read-only (containers), the kernel's defaults serve too.
fn quieten(interface: &str) {
    for (knob, value) in [
        ("disable_ipv6", "0"),
        ("addr_gen_mode", "1"),
        ("router_solicitations", "0"),
        ("accept_ra", "0"),
    ] {
        let _unchanged = fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/{knob}"), value);
    }
}

/// Lets the program's user open ping sockets, and listen on any port: the ports below 1024 of
/// this namespace are nobody's but the program's (Docker's default too). Best effort.
fn allow_ping_and_low_ports() {
    let group = getegid().as_raw();
    let everyone = "0 2147483647".to_owned();
    let range = if geteuid().is_root() { everyone } else { format!("{group} {group}") };
    let _unchanged = fs::write("/proc/sys/net/ipv4/ping_group_range", range);
    let _unchanged = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}
