//! Sockets through sock_diag: the kernel's own list, over netlink.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::decode::entry;
use super::sockets::Sockets;

/// The kernel fills at most 32 KiB at a time.
const BUFFER: usize = 64 * 1024;

/// How often a list that changed while it was read is read anew.
const TRIES: u32 = 3;

/// A netlink socket to sock_diag, in the network namespace of the thread that made it.
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What a dump is of: family, states, and what is reported beside addresses and queues.
type Asked<'a> = (u8, &'a StateFlags, &'a ExtensionFlags);

/// How one dump ended.
enum Dump {
    Whole,
    /// The kernel says that sockets came or went where it was reading.
    Interrupted,
}

impl Diag {
    /// # Errors
    /// The kernel's: this system has no sock_diag, or forbids it.
    pub(super) fn open() -> io::Result<Self> {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?;
        Ok(Self { socket, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Every TCP socket of the namespace.
    ///
    /// One dump for each family, all states and all attributes in it: two dumps by state would
    /// tell a socket that goes from one to the other in between twice, or not at all.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn sockets(&mut self) -> io::Result<Sockets> {
        self.list(&StateFlags::all(), &ExtensionFlags::INFO)
    }

    /// The inodes that sockets have now: the listeners' only, which are few, or all.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn inodes(&mut self, listeners_only: bool) -> io::Result<HashSet<u64>> {
        let states = if listeners_only {
            StateFlags::LISTEN
        } else {
            // These have none.
            StateFlags::all().difference(StateFlags::TIME_WAIT | StateFlags::SYN_RECV)
        };
        let Sockets { sockets, listeners, is_torn: _ } =
            self.list(&states, &ExtensionFlags::empty())?;
        let of_sockets = sockets.iter().map(|one| one.inode);
        Ok(of_sockets.chain(listeners.iter().map(|one| one.inode)).collect())
    }

    fn list(&mut self, states: &StateFlags, extensions: &ExtensionFlags) -> io::Result<Sockets> {
        let mut all = Sockets::default();
        for family in [AF_INET, AF_INET6] {
            let (sockets, listeners) = (all.sockets.len(), all.listeners.len());
            for attempt in 1..=TRIES {
                all.sockets.truncate(sockets);
                all.listeners.truncate(listeners);
                match self.dump((family, states, extensions), &mut all)? {
                    Dump::Whole => break,
                    Dump::Interrupted => all.is_torn |= attempt == TRIES,
                }
            }
        }
        Ok(all)
    }

    fn dump(&mut self, what: Asked<'_>, into: &mut Sockets) -> io::Result<Dump> {
        self.request(what)?;
        let mut dump = Dump::Whole;
        loop {
            let (len, _) =
                rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            let mut rest = &self.buffer[..len];
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
                // Lengths are of multiples of 4 bytes but for the last.
                let next = (message.length() as usize).next_multiple_of(4).min(rest.len());
                rest = &rest[next..];
                if message.sequence_number() != self.sequence {
                    continue;
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 {
                    dump = Dump::Interrupted;
                }
                match message.message_type() {
                    NLMSG_DONE => return Ok(dump),
                    NLMSG_ERROR => return Err(refusal(message.payload())),
                    _ => into.add(entry(message.payload())),
                }
            }
        }
    }

    fn request(&mut self, (family, states, extensions): Asked<'_>) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: extensions.clone(),
            states: states.clone(),
            socket_id,
        });
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(request));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        Ok(())
    }
}

/// What the kernel says no with.
fn refusal(payload: &[u8]) -> io::Error {
    match ErrorBuffer::new_checked(payload).map(|error| error.code()) {
        Ok(Some(code)) => io::Error::from_raw_os_error(code.get().wrapping_neg()),
        Ok(None) => io::Error::other("the kernel acknowledged a request for a list"),
        Err(error) => io::Error::other(error),
    }
}
