//! What a script's options ask of the virtual target.

use std::net::IpAddr;

use crate::run::{Options, Persona};
use crate::virt;

impl From<&Options> for virt::Setup {
    fn from(options: &Options) -> Self {
        let freebsd = options.persona == Persona::FreeBsd;
        let ipv6 = options.wire_is_ipv6();
        let loose = options.loose_segments;
        let mut setup = Self { mtu: options.link_mtu(), ipv6, freebsd, loose, ..Self::default() };
        match options.local() {
            IpAddr::V4(ip) => setup.local_v4 = ip,
            IpAddr::V6(ip) => setup.local_v6 = ip,
        }
        setup
    }
}
