//! What a script's options ask of the virtual target.

use std::net::IpAddr;

use crate::run::{Dialect, Options};
use crate::virt;

impl From<&Options> for virt::Setup {
    fn from(options: &Options) -> Self {
        let freebsd = options.dialect == Dialect::Nplab;
        let loose = options.loose_segments;
        let mut setup = Self { mtu: options.link_mtu(), freebsd, loose, ..Self::default() };
        match options.local() {
            IpAddr::V4(ip) => setup.local_v4 = ip,
            IpAddr::V6(ip) => setup.local_v6 = ip,
        }
        setup
    }
}
