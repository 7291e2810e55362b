//! Route requests to the kernel, one at a time, each waited for.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

/// A netlink socket in the network namespace of the thread that made it.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// What to set of an interface beside `up`; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Bytes.
    pub mtu: Option<u32>,
    /// Packets that wait before the interface drops.
    pub queue_length: Option<u32>,
}

impl Netlink {
    /// A socket to the kernel's routing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let family = rustix::net::AddressFamily::NETLINK;
        let flags = rustix::net::SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(family, SocketType::RAW, flags, None).map(Self)?)
    }

    /// The index of an interface.
    ///
    /// # Errors
    /// The kernel's: there is no such interface.
    pub fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.0, name)?)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn up(&self, index: u32, settings: LinkSettings) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.extend(settings.mtu.map(LinkAttribute::Mtu));
        message.attributes.extend(settings.queue_length.map(LinkAttribute::TxQueueLen));
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives an interface an address; IPv6 without duplicate address detection.
    ///
    /// # Errors
    /// The kernel's; EACCES for IPv6 switched off by sysctl.
    pub fn address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.index = index;
        message.attributes =
            vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        self.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends everything that has no other route to `gateway`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn default_route(&self, index: u32, gateway: IpAddr) -> io::Result<()> {
        self.route(index, family(gateway), Some(gateway))
    }

    /// Sends everything of this family that has no other route out on the interface, as to
    /// neighbours.
    ///
    /// # Errors
    /// The kernel's.
    pub fn everywhere(&self, index: u32, ipv6: bool) -> io::Result<()> {
        let family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        self.route(index, family, None)
    }

    fn route(&self, index: u32, family: AddressFamily, gateway: Option<IpAddr>) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope =
            if gateway.is_some() { RouteScope::Universe } else { RouteScope::Link };
        message.header.kind = RouteType::Unicast;
        message.attributes.extend(gateway.map(|to| RouteAttribute::Gateway(to.into())));
        message.attributes.push(RouteAttribute::Oif(index));
        self.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes an interface's queue a plain one (`pfifo`), whatever the system's default is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn plain_queue(&self, index: u32) -> io::Result<()> {
        let mut message = TcMessage::default();
        message.header.index = index.cast_signed();
        message.header.parent = TcHandle::ROOT;
        message.attributes = vec![TcAttribute::Kind("pfifo".to_owned())];
        self.request(RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = 1;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        rustix::net::send(&self.0, &bytes, SendFlags::empty())?;
        let mut answer = vec![0_u8; 8192];
        let (len, _) = rustix::net::recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..len])
            .map_err(|_| Errno::PROTO)?;
        match answer.payload {
            NetlinkPayload::Error(error) => match error.code {
                None => Ok(()),
                Some(code) => Err(io::Error::from_raw_os_error(code.get().saturating_abs())),
            },
            _ => Err(Errno::PROTO.into()),
        }
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
