//! The ioctls of `/dev/net/tun` (`include/uapi/linux/if_tun.h`).

use std::os::fd::BorrowedFd;

use rustix::ioctl::{Getter, IntegerSetter, Opcode, Setter, Updater, ioctl, opcode};

/// Bytes of an interface name, the closing zero included.
pub const IFNAMSIZ: usize = 16;

/// Packets without an Ethernet header.
pub const IFF_TUN: u16 = 0x0001;
/// Several queues.
pub const IFF_MULTI_QUEUE: u16 = 0x0100;
/// Packets without a header of the driver's own.
pub const IFF_NO_PI: u16 = 0x1000;
/// Packets with a virtio-net header.
pub const IFF_VNET_HDR: u16 = 0x4000;

/// Checksums may be left to the reader.
pub const TUN_F_CSUM: usize = 0x01;
/// TCP over IPv4 may come as super-packets.
pub const TUN_F_TSO4: usize = 0x02;
/// TCP over IPv6 may come as super-packets.
pub const TUN_F_TSO6: usize = 0x04;
/// So may TCP with ECN.
pub const TUN_F_TSO_ECN: usize = 0x08;
/// UDP over IPv4 may come as super-packets.
pub const TUN_F_USO4: usize = 0x20;
/// UDP over IPv6 may come as super-packets.
pub const TUN_F_USO6: usize = 0x40;

// The type there is not always that of the argument.
const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const TUNSETOFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);
const TUNGETIFF: Opcode = opcode::read::<u32>(b'T', 210);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<i32>(b'T', 216);

/// `struct ifreq` as the TUN driver uses it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IfReq {
    /// The interface's name, closed by a zero.
    pub name: [u8; IFNAMSIZ],
    /// `IFF_*`.
    pub flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<IfReq>() == 40, "struct ifreq has 40 bytes on 64-bit Linux");

impl IfReq {
    /// A request for this interface.
    pub fn new(name: [u8; IFNAMSIZ], flags: u16) -> Self {
        Self { name, flags, rest: [0; 22] }
    }
}

/// TUNSETIFF: attaches the descriptor to an interface, which is made where there is none of the
/// name; the name is then that of the interface.
///
/// # Errors
/// The kernel's.
pub fn attach(fd: BorrowedFd<'_>, request: &mut IfReq) -> rustix::io::Result<()> {
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, whose size and layout IfReq has.
    unsafe { ioctl(fd, Updater::<TUNSETIFF, IfReq>::new(request)) }
}

/// TUNGETIFF: the interface that the descriptor is attached to.
///
/// # Errors
/// The kernel's.
pub fn attached(fd: BorrowedFd<'_>) -> rustix::io::Result<IfReq> {
    // SAFETY: TUNGETIFF writes a `struct ifreq`, whose size and layout IfReq has; every bit
    // pattern is a valid IfReq.
    unsafe { ioctl(fd, Getter::<TUNGETIFF, IfReq>::new()) }
}

/// TUNSETVNETHDRSZ: bytes of the virtio-net header.
///
/// # Errors
/// The kernel's.
pub fn set_vnet_header_len(fd: BorrowedFd<'_>, len: i32) -> rustix::io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads an int through its pointer.
    unsafe { ioctl(fd, Setter::<TUNSETVNETHDRSZ, i32>::new(len)) }
}

/// TUNSETOFFLOAD: what the reader takes, `TUN_F_*`.
///
/// # Errors
/// The kernel's: EINVAL for a flag that it does not know.
pub fn set_offload(fd: BorrowedFd<'_>, offload: usize) -> rustix::io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value, any bits; unknown ones are EINVAL.
    unsafe { ioctl(fd, IntegerSetter::<TUNSETOFFLOAD>::new_usize(offload)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_those_of_the_kernel() {
        assert_eq!(TUNSETIFF, 0x4004_54ca);
        assert_eq!(TUNSETOFFLOAD, 0x4004_54d0);
        assert_eq!(TUNGETIFF, 0x8004_54d2);
        assert_eq!(TUNSETVNETHDRSZ, 0x4004_54d8);
    }
}
