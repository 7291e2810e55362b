//! Opening `/dev/net/tun`: the part that needs no runtime, so that a child process in another
//! namespace can do it and pass the descriptor on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use fourwave_linux::tun::{
    IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TUN, IFF_VNET_HDR, IFNAMSIZ, IfReq, TUN_F_CSUM, TUN_F_TSO_ECN,
    TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6, attach, attached, set_offload,
    set_vnet_header_len,
};
use fourwave_linux::{reason, vnet};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The clone device of the TUN driver.
pub const PATH: &str = "/dev/net/tun";

/// What kind of TUN to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunOptions {
    /// Whether the interface takes several queues: open the same name again for each. All
    /// openings of one interface must agree.
    pub multi_queue: bool,
    /// Whether packets carry a virtio-net header, without which there are no offloads.
    pub vnet_header: bool,
}

impl Default for TunOptions {
    fn default() -> Self {
        Self { multi_queue: true, vnet_header: true }
    }
}

/// Why there is no TUN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunError {
    /// The device file or the driver behind it is missing.
    #[error("{PATH} is missing: load the driver with `modprobe tun`, or let the container have it")]
    NotFound,
    /// The device file may not be opened.
    #[error("{PATH} may not be opened (its mode is {mode:04o}): allow it with `chmod 0666 {PATH}`")]
    PermissionDenied {
        /// Permission bits of the file; 0 when even they could not be read.
        mode: u32,
    },
    /// The device file may not be opened, whatever its mode: a container's device rules.
    #[error("{PATH} is forbidden here: start the container with `--device {PATH}`")]
    Forbidden,
    /// The file opened, but no interface may be made in this network namespace.
    #[error("no interface may be made here: it needs CAP_NET_ADMIN in the network namespace")]
    NotPermitted,
    /// The name belongs to an interface that has no free queue.
    #[error("interface {name} is in use: choose another name, or end the program that holds it")]
    Busy {
        /// The interface's name.
        name: String,
    },
    /// The name belongs to an interface of another kind or with other flags.
    #[error("interface {name} exists and differs in kind or flags: choose another name")]
    Incompatible {
        /// The interface's name.
        name: String,
    },
    /// The kernel takes no such name.
    #[error("{name:?} is no interface name: 1 to 15 bytes, no '/', ':' or blank")]
    InvalidName {
        /// The name that was asked for.
        name: String,
    },
    /// An MTU that no IP link has.
    #[error("an MTU of {mtu} is too small: 68 to 65535")]
    InvalidMtu {
        /// The MTU that was asked for.
        mtu: u16,
    },
    /// The descriptor is not a TUN with an interface.
    #[error("the descriptor is no TUN interface: {}", reason(.source))]
    NotATun {
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("{action} failed: {}", reason(.source))]
    Other {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TunError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::NotFound => io::ErrorKind::NotFound,
            Self::PermissionDenied { .. } | Self::Forbidden | Self::NotPermitted => {
                io::ErrorKind::PermissionDenied
            }
            Self::Busy { .. } => io::ErrorKind::ResourceBusy,
            Self::Incompatible { .. } => io::ErrorKind::AlreadyExists,
            Self::InvalidName { .. } | Self::InvalidMtu { .. } | Self::NotATun { .. } => {
                io::ErrorKind::InvalidInput
            }
            Self::Other { source, .. } => source.kind(),
        }
    }
}

impl From<TunError> for io::Error {
    fn from(error: TunError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Opens one queue of a TUN interface in the network namespace of the calling thread, and makes
/// the interface if it does not exist. `name` may be `None` or hold a `%d` (`fourwave%d`): the
/// kernel then chooses. Returns the descriptor (non-blocking, close-on-exec) and the name.
///
/// Needs no runtime. Addresses, routes, the MTU and `up` are the caller's business. The
/// interface goes when its last descriptor does.
///
/// # Errors
/// [`TunError`] says which step failed and what helps.
pub fn open(name: Option<&str>, options: TunOptions) -> Result<(OwnedFd, String), TunError> {
    let wanted = name.unwrap_or("tun%d");
    let mut request = IfReq::new(encode_name(wanted)?, flags(options));
    let fd =
        rustix::fs::open(PATH, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(open_error)?;
    attach(fd.as_fd(), &mut request).map_err(|errno| attach_error(errno, wanted))?;
    Ok((fd, decode_name(&request.name)))
}

fn flags(options: TunOptions) -> u16 {
    let mut flags = IFF_TUN | IFF_NO_PI;
    if options.multi_queue {
        flags |= IFF_MULTI_QUEUE;
    }
    if options.vnet_header {
        flags |= IFF_VNET_HDR;
    }
    flags
}

fn encode_name(name: &str) -> Result<[u8; IFNAMSIZ], TunError> {
    let bad = |b: u8| b == 0 || b == b'/' || b == b':' || b.is_ascii_whitespace();
    let fits = (1..IFNAMSIZ).contains(&name.len());
    if !fits || name == "." || name == ".." || name.bytes().any(bad) {
        return Err(TunError::InvalidName { name: name.to_owned() });
    }
    let mut field = [0; IFNAMSIZ];
    field[..name.len()].copy_from_slice(name.as_bytes());
    Ok(field)
}

fn decode_name(field: &[u8; IFNAMSIZ]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(IFNAMSIZ);
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn open_error(errno: Errno) -> TunError {
    match errno {
        // ENODEV and ENXIO: the file is there, the driver is not.
        Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR => TunError::NotFound,
        // The device controller of cgroups says EPERM, file modes say EACCES.
        Errno::PERM => TunError::Forbidden,
        Errno::ACCESS => {
            let mode = std::fs::metadata(PATH).map_or(0, |m| m.permissions().mode() & 0o7777);
            TunError::PermissionDenied { mode }
        }
        errno => TunError::Other { action: "opening /dev/net/tun", source: errno.into() },
    }
}

fn attach_error(errno: Errno, name: &str) -> TunError {
    let name = name.to_owned();
    match errno {
        Errno::PERM | Errno::ACCESS => TunError::NotPermitted,
        // E2BIG: every queue that the interface may have is taken.
        Errno::BUSY | Errno::TOOBIG => TunError::Busy { name },
        Errno::INVAL => TunError::Incompatible { name },
        errno => TunError::Other { action: "TUNSETIFF", source: errno.into() },
    }
}

/// What a descriptor turned out to be.
pub(super) struct Attached {
    pub(super) name: String,
    pub(super) vnet_header: bool,
    /// The kernel hands over UDP super-packets too, so it takes them as well (Linux 6.2).
    pub(super) udp_gso: bool,
}

/// Asks a descriptor what it is and switches on the offloads that the kernel has. Works in any
/// namespace and needs no privilege.
pub(super) fn negotiate(fd: BorrowedFd<'_>) -> Result<Attached, TunError> {
    let request = attached(fd).map_err(|errno| TunError::NotATun { source: errno.into() })?;
    if request.flags & IFF_TUN == 0 || request.flags & IFF_NO_PI == 0 {
        return Err(TunError::Incompatible { name: decode_name(&request.name) });
    }
    let mut found = Attached {
        name: decode_name(&request.name),
        vnet_header: request.flags & IFF_VNET_HDR != 0,
        udp_gso: false,
    };
    if !found.vnet_header {
        return Ok(found);
    }
    set_vnet_header_len(fd, vnet::LEN as i32)
        .map_err(|errno| TunError::Other { action: "TUNSETVNETHDRSZ", source: errno.into() })?;
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    found.udp_gso = set_offload(fd, tcp | TUN_F_USO4 | TUN_F_USO6).is_ok();
    if !found.udp_gso {
        set_offload(fd, tcp)
            .map_err(|errno| TunError::Other { action: "TUNSETOFFLOAD", source: errno.into() })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_are_refused_by_name() {
        for name in ["", "sixteen-bytes-xx", "a/b", "a b", "a:b", ".", "..", "a\0b", "a\nb"] {
            let error = open(Some(name), TunOptions::default()).unwrap_err();
            assert!(matches!(&error, TunError::InvalidName { name: n } if n == name), "{error}");
        }
        assert_eq!(&encode_name("fifteen-bytes-x").unwrap(), b"fifteen-bytes-x\0");
        assert_eq!(decode_name(b"fourwave0\0\0\0\0\0\0\0"), "fourwave0");
    }

    #[test]
    fn every_refusal_has_its_own_value() {
        assert!(matches!(open_error(Errno::NOENT), TunError::NotFound));
        assert!(matches!(open_error(Errno::NODEV), TunError::NotFound));
        assert!(matches!(open_error(Errno::ACCESS), TunError::PermissionDenied { .. }));
        assert!(matches!(open_error(Errno::PERM), TunError::Forbidden));
        assert!(matches!(open_error(Errno::MFILE), TunError::Other { .. }));
        assert!(matches!(attach_error(Errno::PERM, "x"), TunError::NotPermitted));
        assert!(matches!(attach_error(Errno::BUSY, "x"), TunError::Busy { .. }));
        assert!(matches!(attach_error(Errno::INVAL, "x"), TunError::Incompatible { .. }));
        let busy = io::Error::from(attach_error(Errno::BUSY, "tun7"));
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        assert!(busy.to_string().contains("tun7"));
    }

    #[test]
    fn a_descriptor_that_is_no_tun_is_named() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = negotiate(file.as_fd()).err().unwrap();
        assert!(matches!(error, TunError::NotATun { .. }), "{error}");
    }
}
