//! Connections to a network namespace's own loopback that nothing answered, seen by a packet
//! socket (`packet(7)`). The feature `iface`.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use fourwave_wire::ip::IpHeader;
use fourwave_wire::tcp::TcpHeader;
use socket2::{Domain, SockFilter, Socket, Type};

use crate::iface::address;

/// Index of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;
/// The headers of an RST, options included.
const HEADERS: usize = 128;

/// Hears the RSTs with which the kernel refuses connections to 127.0.0.0/8. (`::1` is left out:
/// a client that tries both goes on to 127.0.0.1, where it may be welcome.)
#[derive(Debug)]
pub struct Refusals(Socket);

impl Refusals {
    /// Listens in the current network namespace. Needs CAP_NET_RAW there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
        socket.attach_filter(&filter())?;
        socket.bind(&address(LOOPBACK, libc::ETH_P_IP))?;
        Ok(Self(socket))
    }

    /// Where nothing listened, of the next connection that was refused. Never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when there is none now.
    pub fn next(&self) -> io::Result<SocketAddr> {
        let mut packet = [0; HEADERS];
        loop {
            let len = (&self.0).read(&mut packet)?;
            if let Some(refused) = refused(&packet[..len]) {
                return Ok(refused);
            }
        }
    }
}

impl From<OwnedFd> for Refusals {
    /// A descriptor that [`Refusals`] gave away.
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl From<Refusals> for OwnedFd {
    fn from(refusals: Refusals) -> Self {
        refusals.0.into()
    }
}

impl AsRawFd for Refusals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn refused(packet: &[u8]) -> Option<SocketAddr> {
    let ip = IpHeader::parse_truncated(packet).ok()?;
    let (tcp, _) = TcpHeader::parse(packet.get(ip.payload.start..)?).ok()?;
    Some(SocketAddr::new(ip.src, tcp.src_port))
}

/// Classic BPF, for IPv4: 127.0.0.0/8, TCP, RST with sequence number 0, which is how a SYN is
/// refused (RFC 9293 §3.10.7.1).
fn filter() -> [SockFilter; 11] {
    use libc::{
        BPF_ABS, BPF_B, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MSH,
        BPF_RET, BPF_W,
    };
    let one = |bits: u32, yes, no, k| SockFilter::new(bits as u16, yes, no, k);
    let jump = |bits, yes, no, k| one(BPF_JMP | BPF_K | bits, yes, no, k);
    // Jumps count the instructions between; 9 drops, 10 keeps.
    [
        one(BPF_LD | BPF_B | BPF_ABS, 0, 0, 9),
        jump(BPF_JEQ, 0, 7, libc::IPPROTO_TCP.cast_unsigned()),
        one(BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0),
        one(BPF_LD | BPF_B | BPF_IND, 0, 0, 13),
        jump(BPF_JSET, 0, 4, 0x04),
        one(BPF_LD | BPF_W | BPF_IND, 0, 0, 4),
        jump(BPF_JEQ, 0, 2, 0),
        one(BPF_LD | BPF_B | BPF_ABS, 0, 0, 12),
        jump(BPF_JEQ, 1, 0, 127),
        one(BPF_RET | BPF_K, 0, 0, 0),
        one(BPF_RET | BPF_K, 0, 0, u32::MAX),
    ]
}
