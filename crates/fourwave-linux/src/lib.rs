//! Linux, as fourwave needs it: the system calls that no other crate offers safely, and the
//! structures that the kernel reads and writes. **All unsafe code of the project is here**; every
//! other crate forbids it.
//!
//! It is published because published crates are built on it. It promises nothing to anyone else:
//! any version may change or remove anything.
//!
//! | what | where | feature |
//! | --- | --- | --- |
//! | an error in the system's words | [`reason`] | |
//! | descriptors: inherited, watched by tokio, read into spare capacity | [`descriptor`] | |
//! | the ioctls of a TUN, the virtio-net header before its packets | [`tun`], [`vnet`] | |
//! | socket options, messages and other calls by number | `calls` | `calls` |
//! | namespaces, and netlink requests within them | `namespace` | `namespace` |
//! | packets of the host's interfaces, refusals on loopback | `iface`, `refusals` | `iface` |

#[cfg(feature = "calls")]
pub mod calls;
pub mod descriptor;
#[cfg(feature = "iface")]
pub mod iface;
#[cfg(feature = "namespace")]
pub mod namespace;
mod reason;
#[cfg(feature = "iface")]
pub mod refusals;
pub mod tun;
pub mod vnet;

pub use reason::{reason, reason_of};
