//! Packets of the host's own interfaces, by a packet socket (`packet(7)`): TCP and ICMP in both
//! directions, with the segment size of super-packets. The feature `iface`.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

use crate::calls::{get_option, set_option};
use crate::reason;
use crate::vnet::{self, VnetHeader};

/// Bytes of packets that wait in the kernel: 0.1 s at 2.5 Gbit/s.
const RECEIVE_BUFFER: usize = 32 << 20;
/// `struct tpacket_stats`: packets, then drops.
const STATISTICS: usize = 8;

/// Why no interface can be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IfaceError {
    /// There is none of this name.
    #[error("there is no interface {name}; there are: any {}", known.join(" "))]
    NotFound {
        /// The name.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The right is missing.
    #[error(
        "capturing on {name} is not permitted: it needs CAP_NET_RAW (sudo, or `sudo setcap \
         cap_net_raw+ep` on the program)"
    )]
    Forbidden {
        /// The interface.
        name: String,
    },
    /// Something else.
    #[error("cannot capture on {name}: {action}: {}", reason(.source))]
    Other {
        /// The interface.
        name: String,
        /// Which call failed.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the frame that are in the buffer.
    pub len: usize,
    /// Bytes of the frame.
    pub wire_len: usize,
    /// When the kernel saw it, since the epoch of Unix.
    pub at: Duration,
    /// Whether this host sent it.
    pub outgoing: bool,
    /// Number of the interface.
    pub interface: u32,
    /// Whether it begins with an Ethernet header; else it is the packet alone.
    pub ethernet: bool,
    /// Payload of each segment of a super-packet, 0 for an ordinary one.
    pub gso_size: u16,
}

/// A packet socket on one interface, or on all of this network namespace.
#[derive(Debug)]
pub struct Iface {
    socket: Socket,
}

impl Iface {
    /// Listens to the interface of this name, or to all (`any`). On loopback each packet is seen
    /// once, as it comes in.
    ///
    /// # Errors
    /// There is no such interface, or the right is missing.
    pub fn open(name: &str) -> Result<Self, IfaceError> {
        let other =
            |action| move |source| IfaceError::Other { name: name.to_owned(), action, source };
        let index = match name {
            "any" => 0,
            name => nix::net::if_::if_nametoindex(name)
                .map_err(|_| IfaceError::NotFound { name: name.to_owned(), known: names() })?,
        };
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None);
        let socket = socket.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => IfaceError::Forbidden { name: name.to_owned() },
            _ => other("socket")(source),
        })?;
        let on = 1_i32.to_ne_bytes();
        set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, Some(&on), 4)
            .map_err(other("PACKET_VNET_HDR"))?;
        setsockopt(&socket, ReceiveTimestampns, &true)
            .map_err(|errno| other("SO_TIMESTAMPNS")(errno.into()))?;
        socket.attach_filter(&filter()).map_err(other("SO_ATTACH_FILTER"))?;
        enlarge(&socket).map_err(other("SO_RCVBUF"))?;
        socket.bind(&address(index, libc::ETH_P_ALL)).map_err(other("bind"))?;
        Ok(Self { socket })
    }

    /// The next frame, or as much of it as there is space for. Never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; [`wait`](Self::wait) then. `NetworkDown` when the
    /// interface went down or away.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut header = [0; vnet::LEN];
        let mut control = nix::cmsg_space!(libc::timespec);
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<LinkAddr>(fd, &mut parts, Some(&mut control), flags)?;
        let mut at = Duration::ZERO;
        for one in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(time) = one {
                at = Duration::from(time);
            }
        }
        let (wire_len, from) = (message.bytes.saturating_sub(vnet::LEN), message.address);
        let from = from.ok_or_else(|| io::Error::other("a frame without its interface"))?;
        Ok(Received {
            len: wire_len.min(buffer.len()),
            wire_len,
            at,
            outgoing: from.pkttype() == libc::PACKET_OUTGOING,
            interface: u32::try_from(from.ifindex()).unwrap_or(0),
            ethernet: matches!(from.hatype(), libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK),
            gso_size: VnetHeader::decode(&header).rx_gso_size(),
        })
    }

    /// Waits until there is a frame; says whether there is. A signal ends it early.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Frames that found no space since this was asked before.
    ///
    /// # Errors
    /// The kernel's.
    pub fn dropped(&self) -> io::Result<u64> {
        let mut bytes = [0; STATISTICS];
        let name = libc::PACKET_STATISTICS;
        get_option(self.socket.as_fd(), libc::SOL_PACKET, name, &mut bytes)?;
        Ok(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]).into())
    }
}

/// Names of the interfaces that exist; none where the system does not tell.
fn names() -> Vec<String> {
    let names = nix::net::if_::if_nameindex()
        .map(|list| list.iter().map(|one| one.name().to_string_lossy().into_owned()).collect());
    names.unwrap_or_default()
}

/// Beyond `net.core.rmem_max` where that is permitted.
fn enlarge(socket: &Socket) -> io::Result<()> {
    let size = i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX).to_ne_bytes();
    let forced = set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, Some(&size), 4);
    forced.or_else(|_| socket.set_recv_buffer_size(RECEIVE_BUFFER))
}

/// Packets of an EtherType that come in on this interface, 0 for all; `ETH_P_ALL`: every packet,
/// also what goes out.
pub(crate) fn address(index: u32, protocol: i32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the structures that a `sockaddr_storage` holds; every bit
    // pattern is a valid one.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = (protocol as u16).to_be();
    link.sll_ifindex = index.cast_signed();
    // SAFETY: the storage has a `sockaddr_ll` of family AF_PACKET, and this is its length.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

/// Classic BPF: TCP, ICMP and ICMPv6, after whatever tags and extension headers; not what leaves
/// on loopback, for it comes in again.
fn filter() -> [SockFilter; 21] {
    use libc::{
        BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, SKF_AD_HATYPE, SKF_AD_OFF,
        SKF_AD_PKTTYPE, SKF_AD_PROTOCOL, SKF_NET_OFF,
    };
    let code = |bits: u32| bits as u16;
    let auxiliary = |what: i32| (SKF_AD_OFF + what).cast_unsigned();
    let network = |at: i32| (SKF_NET_OFF + at).cast_unsigned();
    let half = |at| SockFilter::new(code(BPF_LD | BPF_H | BPF_ABS), 0, 0, at);
    let byte = |at| SockFilter::new(code(BPF_LD | BPF_B | BPF_ABS), 0, 0, at);
    let equal = |to: i32, yes, no| {
        SockFilter::new(code(BPF_JMP | BPF_JEQ | BPF_K), yes, no, to.cast_unsigned())
    };
    let keep = |keep| SockFilter::new(code(BPF_RET | BPF_K), 0, 0, keep);
    // Jumps count the instructions between; KEEP is 19, DROP is 20.
    [
        half(auxiliary(SKF_AD_HATYPE)),
        equal(libc::ARPHRD_LOOPBACK.into(), 0, 2),
        byte(auxiliary(SKF_AD_PKTTYPE)),
        equal(libc::PACKET_OUTGOING.into(), 16, 0),
        half(auxiliary(SKF_AD_PROTOCOL)),
        equal(libc::ETH_P_IP, 4, 0),
        equal(libc::ETH_P_IPV6, 6, 0),
        // Tags that are still in the frame: what follows them is not looked for.
        equal(libc::ETH_P_8021Q, 11, 0),
        equal(libc::ETH_P_8021AD, 10, 0),
        equal(libc::ETH_P_QINQ1, 9, 10),
        byte(network(9)),
        equal(libc::IPPROTO_TCP, 7, 0),
        equal(libc::IPPROTO_ICMP, 6, 7),
        byte(network(6)),
        equal(libc::IPPROTO_TCP, 4, 0),
        equal(libc::IPPROTO_ICMPV6, 3, 0),
        equal(libc::IPPROTO_HOPOPTS, 2, 0),
        equal(libc::IPPROTO_ROUTING, 1, 0),
        equal(libc::IPPROTO_FRAGMENT, 0, 1),
        keep(u32::MAX),
        keep(0),
    ]
}
