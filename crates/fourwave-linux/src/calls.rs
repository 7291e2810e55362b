//! System calls as they come: options, flags and ancillary messages by their numbers, for whoever
//! tests a kernel and must be able to ask it anything. The feature `calls`.
//!
//! Each returns what the kernel said, errors included; nothing is repeated after EINTR.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_void, socklen_t};

/// `setsockopt` of these bytes, with a length that may be another: bytes that are missing are
/// zeros. No value is a null pointer.
///
/// # Errors
/// The kernel's.
pub fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: Option<&[u8]>,
    len: i32,
) -> io::Result<()> {
    let mut bytes = value.map(<[u8]>::to_vec);
    if let Some(bytes) = &mut bytes {
        let wanted = usize::try_from(len).unwrap_or(0);
        bytes.resize(bytes.len().max(wanted), 0);
    }
    let pointer = bytes.as_ref().map_or(ptr::null(), |bytes| bytes.as_ptr());
    // SAFETY: the pointer is null or leads to at least `len` bytes, which the kernel only reads.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, pointer.cast(), len.cast_unsigned())
    })
}

/// `getsockopt` into `buffer`, which is zeroed first. Returns how many bytes were written.
///
/// # Errors
/// The kernel's.
pub fn get_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    buffer: &mut [u8],
) -> io::Result<usize> {
    buffer.fill(0);
    let mut len = socklen_t::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the kernel writes at most `len` bytes to the buffer. Options that read addresses
    // from it (TCP_ZEROCOPY_RECEIVE) find zeros.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, buffer.as_mut_ptr().cast(), &raw mut len)
    })?;
    Ok((len as usize).min(buffer.len()))
}

/// Where to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address.
    Addr(SocketAddr),
    /// A name of family AF_UNSPEC.
    Unspecified,
}

impl Destination {
    /// The bytes of its `struct sockaddr_in`, `sockaddr_in6` or `sockaddr`.
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        let family = |number: c_int| u16::try_from(number).unwrap_or(0).to_ne_bytes();
        match self {
            Self::Unspecified => bytes.resize(16, 0),
            Self::Addr(SocketAddr::V4(addr)) => {
                bytes.extend(family(libc::AF_INET));
                bytes.extend(addr.port().to_be_bytes());
                bytes.extend(addr.ip().octets());
                bytes.resize(16, 0);
            }
            Self::Addr(SocketAddr::V6(addr)) => {
                bytes.extend(family(libc::AF_INET6));
                bytes.extend(addr.port().to_be_bytes());
                bytes.extend(addr.flowinfo().to_be_bytes());
                bytes.extend(addr.ip().octets());
                bytes.extend(addr.scope_id().to_ne_bytes());
            }
        }
        bytes
    }
}

/// `sendto`, or `send` without a destination.
///
/// # Errors
/// The kernel's.
pub fn send(
    fd: BorrowedFd<'_>,
    data: &[u8],
    to: Option<Destination>,
    flags: i32,
) -> io::Result<usize> {
    let name = to.map(Destination::encode).unwrap_or_default();
    let address = if to.is_some() { name.as_ptr() } else { ptr::null() };
    let len = name.len() as socklen_t;
    // SAFETY: the kernel reads `data` and the `len` bytes of the name.
    count(unsafe {
        libc::sendto(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), flags, address.cast(), len)
    })
}

/// `sendmsg`; `control` is what [`encode_control`] made.
///
/// # Errors
/// The kernel's.
pub fn send_message(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    to: Option<Destination>,
    control: &[u8],
    flags: i32,
) -> io::Result<usize> {
    let mut name = to.map(Destination::encode).unwrap_or_default();
    let mut control = aligned(control);
    // SAFETY: all zeros is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if !name.is_empty() {
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = name.len() as socklen_t;
    }
    // IoSlice has the layout of iovec; the kernel only reads through it.
    header.msg_iov = parts.as_ptr().cast_mut().cast();
    header.msg_iovlen = parts.len();
    if !control.is_empty() {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len() * size_of::<u64>();
    }
    // SAFETY: every pointer of the header leads to as many bytes as it says, alive until the end.
    count(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) })
}

/// What `recvmsg` returned.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// Bytes of data.
    pub len: usize,
    /// `msg_flags`.
    pub flags: i32,
    /// The ancillary messages.
    pub control: Vec<Ancillary>,
}

/// An ancillary message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancillary {
    /// `cmsg_level`.
    pub level: i32,
    /// `cmsg_type`.
    pub kind: i32,
    /// What follows the header.
    pub data: Vec<u8>,
}

/// `recvmsg`, with space for 4 KiB of ancillary messages.
///
/// # Errors
/// The kernel's.
pub fn receive_message(
    fd: BorrowedFd<'_>,
    parts: &mut [IoSliceMut<'_>],
    flags: i32,
) -> io::Result<Message> {
    let mut control = [0_u64; 512];
    // SAFETY: all zeros is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = parts.as_mut_ptr().cast();
    header.msg_iovlen = parts.len();
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    // SAFETY: the kernel writes at most as many bytes as the header says to each place.
    let len = count(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) })?;
    let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let filled = header.msg_controllen.min(bytes.len());
    Ok(Message { len, flags: header.msg_flags, control: decode_control(&bytes[..filled]) })
}

/// Bytes of `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;
const _: () = assert!(size_of::<libc::cmsghdr>() == CONTROL_HEADER, "64-bit Linux");

/// The bytes of ancillary messages, each padded to 8.
pub fn encode_control(messages: &[Ancillary]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend((CONTROL_HEADER + message.data.len()).to_ne_bytes());
        bytes.extend(message.level.to_ne_bytes());
        bytes.extend(message.kind.to_ne_bytes());
        bytes.extend(&message.data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn decode_control(mut bytes: &[u8]) -> Vec<Ancillary> {
    let mut messages = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<CONTROL_HEADER>() {
        let [l0, l1, l2, l3, l4, l5, l6, l7, v0, v1, v2, v3, k0, k1, k2, k3] = *header;
        let len = usize::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        if len < CONTROL_HEADER || len > bytes.len() {
            break;
        }
        messages.push(Ancillary {
            level: i32::from_ne_bytes([v0, v1, v2, v3]),
            kind: i32::from_ne_bytes([k0, k1, k2, k3]),
            data: bytes[CONTROL_HEADER..len].to_vec(),
        });
        bytes = bytes.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    messages
}

/// Calls that take a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerCall {
    /// `read`.
    Read,
    /// `recv`.
    Receive,
    /// `write`.
    Write,
    /// `send`, `sendto`.
    Send,
}

/// A call with a pointer that leads nowhere.
///
/// # Errors
/// The kernel's: EFAULT, unless it finds something else first.
pub fn bad_pointer(
    fd: BorrowedFd<'_>,
    call: PointerCall,
    len: usize,
    flags: i32,
) -> io::Result<usize> {
    let fd = fd.as_raw_fd();
    // Null passes the kernel's look at the range of addresses, as scripts expect that write it.
    let nowhere = ptr::null_mut::<c_void>();
    // SAFETY: nothing of this process lies at the lowest address, where the kernel begins: it
    // stops at the first byte.
    count(unsafe {
        match call {
            PointerCall::Read => libc::read(fd, nowhere, len),
            PointerCall::Receive => libc::recv(fd, nowhere, len, flags),
            PointerCall::Write => libc::write(fd, nowhere, len),
            PointerCall::Send => libc::send(fd, nowhere, len, flags),
        }
    })
}

/// `shutdown` with any number.
///
/// # Errors
/// The kernel's.
pub fn shutdown(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) })
}

/// Requests of `ioctl` that write one `int` and read nothing: FIONREAD (SIOCINQ), TIOCOUTQ
/// (SIOCOUTQ), SIOCATMARK, SIOCOUTQNSD.
pub const NUMBER_REQUESTS: [u64; 4] = [0x541b, 0x5411, 0x8905, 0x894b];

/// `ioctl` of one of [`NUMBER_REQUESTS`].
///
/// # Errors
/// The kernel's; `Unsupported` for any other request.
pub fn number(fd: BorrowedFd<'_>, request: u64) -> io::Result<i32> {
    if !NUMBER_REQUESTS.contains(&request) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut value: c_int = 0;
    // SAFETY: each of these requests writes one int through its pointer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut value) })?;
    Ok(value)
}

/// Puts the calling thread before all ordinary ones (SCHED_FIFO); what it starts is ordinary.
///
/// # Errors
/// The kernel's: EPERM without CAP_SYS_NICE.
pub fn real_time() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameter is read, and 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const priority) })
}

/// A copy on words, as the kernel's macros want ancillary messages.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        })
        .collect()
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
        result.unwrap_err().raw_os_error()
    }

    #[test]
    fn options_go_by_number() {
        let (a, _b) = UnixStream::pair().unwrap();
        let (level, sndbuf) = (libc::SOL_SOCKET, libc::SO_SNDBUF);
        set_option(a.as_fd(), level, sndbuf, Some(&20_000_i32.to_ne_bytes()), 4).unwrap();
        let mut buffer = [0xff; 8];
        assert_eq!(get_option(a.as_fd(), level, sndbuf, &mut buffer).unwrap(), 4);
        assert_eq!(i32::from_ne_bytes(buffer[..4].try_into().unwrap()), 40_000);
        assert_eq!(errno(set_option(a.as_fd(), level, sndbuf, None, 4)), Some(libc::EFAULT));
        assert_eq!(errno(set_option(a.as_fd(), level, sndbuf, Some(&[1]), 0)), Some(libc::EINVAL));
        assert_eq!(
            errno(set_option(a.as_fd(), level, 9999, Some(&[1]), 4)),
            Some(libc::ENOPROTOOPT)
        );
    }

    #[test]
    fn an_ancillary_message_comes_back() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let on = Some(&1_i32.to_ne_bytes()[..]);
        set_option(receiver.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, on, 4).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ttl = Ancillary {
            level: libc::IPPROTO_IP,
            kind: libc::IP_TTL,
            data: 7_i32.to_ne_bytes().to_vec(),
        };
        let control = encode_control(std::slice::from_ref(&ttl));
        let to = Destination::Addr(receiver.local_addr().unwrap());
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        assert_eq!(send_message(sender.as_fd(), &parts, Some(to), &control, 0).unwrap(), 3);
        let (mut first, mut rest) = ([0; 1], [0; 1]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut rest)];
        let message = receive_message(receiver.as_fd(), &mut parts, 0).unwrap();
        assert_eq!(message, Message { len: 2, flags: libc::MSG_TRUNC, control: vec![ttl] });
        assert_eq!((first, rest), ([b'a'], [b'b']));
    }

    #[test]
    fn ancillary_messages_that_lie_are_left_out() {
        let one = Ancillary { level: 1, kind: 2, data: vec![3] };
        let good = encode_control(&[one.clone(), one.clone()]);
        assert_eq!(decode_control(&good), [one.clone(), one]);
        for len in [0_usize, 15, 1000] {
            let mut bytes = good.clone();
            bytes[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(decode_control(&bytes), []);
        }
    }

    #[test]
    fn pointers_that_lead_nowhere_are_refused_by_the_kernel() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        for call in [PointerCall::Read, PointerCall::Receive] {
            assert_eq!(errno(bad_pointer(b.as_fd(), call, 10, 0)), Some(libc::EFAULT));
        }
        for call in [PointerCall::Write, PointerCall::Send] {
            assert_eq!(errno(bad_pointer(b.as_fd(), call, 10, 0)), Some(libc::EFAULT));
        }
    }

    #[test]
    fn numbers_are_asked_of_the_socket() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"four").unwrap();
        assert_eq!(number(b.as_fd(), NUMBER_REQUESTS[0]).unwrap(), 4);
        assert_eq!(number(b.as_fd(), 0x5421).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(errno(shutdown(b.as_fd(), 3)), Some(libc::EINVAL));
    }

    #[test]
    fn a_name_without_a_family_dissolves_nothing_here() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = errno(send(socket.as_fd(), b"x", Some(Destination::Unspecified), 0));
        // AF_UNSPEC passes for AF_INET in UDP's sendto: 0.0.0.0:0 is refused for its port.
        assert_eq!(error, Some(libc::EINVAL));
    }
}
