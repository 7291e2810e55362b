//! Two network namespaces, each with its end of the link, and with a TUN for the engine where the
//! engine is the end. Nothing of them has a name: they go with the process.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;

use fourwave_device::tun::{TunOptions, open};
use fourwave_linux::namespace::{LinkSettings, Netlink, enter_network};
use fourwave_linux::{tun, vnet};

type Job = Box<dyn FnOnce() + Send>;

/// Packets that wait in the kernel for the link: more than any window has, so that only the link
/// loses.
const QUEUE_LENGTH: u32 = 100_000;

/// Who is at one end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Linux,
    Fourwave,
}

impl Stack {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Fourwave => "fourwave",
        }
    }
}

/// The address of an end: of its kernel, or of the engine behind that.
pub(crate) const fn address(side: usize, stack: Stack) -> IpAddr {
    let last = side as u8 + 1;
    match stack {
        Stack::Linux => IpAddr::V4(Ipv4Addr::new(10, 96, 0, last)),
        Stack::Fourwave => IpAddr::V4(Ipv4Addr::new(10, 96, last, 1)),
    }
}

/// A thread in a network namespace of its own, and what it starts.
pub(crate) struct Namespace {
    jobs: mpsc::Sender<Job>,
}

impl Namespace {
    fn new() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::Builder::new().name("namespace".into()).spawn(move || {
            let entered = enter_network();
            let is_in = entered.is_ok();
            // Whoever asked waits for it.
            let _ = tell.send(entered);
            if is_in {
                waiting.into_iter().for_each(|job| job());
            }
        })?;
        told.recv().map_err(|_| gone())??;
        Ok(Self { jobs })
    }

    /// Calls `job` inside and waits for it.
    fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = mpsc::channel();
        let job = Box::new(move || drop(tell.send(job())));
        self.jobs.send(job).map_err(|_| gone())?;
        told.recv().map_err(|_| gone())?
    }

    /// Starts `job` in a thread inside; the receiver has its result.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<mpsc::Receiver<io::Result<T>>> {
        let (tell, told) = mpsc::channel();
        self.call(move || {
            std::thread::Builder::new().name("end".into()).spawn(move || drop(tell.send(job())))
        })?;
        Ok(told)
    }
}

fn gone() -> io::Error {
    io::Error::other("the namespace's thread is gone")
}

/// What the kernels at both ends are set to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bytes.
    pub(crate) mtu: u16,
    /// Linux's name of the congestion control.
    pub(crate) algorithm: String,
    /// Bytes up to which send and receive buffers grow.
    pub(crate) buffers: u64,
}

/// One end.
pub(crate) struct End {
    pub(crate) stack: Stack,
    pub(crate) namespace: Namespace,
    /// The engine's TUN.
    pub(crate) engine: Option<OwnedFd>,
}

/// Makes both ends; the TUNs between which the link is to be.
pub(crate) fn build(
    stacks: [Stack; 2],
    settings: &Settings,
) -> io::Result<([End; 2], [OwnedFd; 2])> {
    let (first, a) = end(0, stacks[0], settings)?;
    let (second, b) = end(1, stacks[1], settings)?;
    Ok(([first, second], [a, b]))
}

fn end(side: usize, stack: Stack, settings: &Settings) -> io::Result<(End, OwnedFd)> {
    let namespace = Namespace::new()?;
    let settings = settings.clone();
    let (link, engine) = namespace.call(move || {
        sysctls(&settings)?;
        let link = interface("link", address(side, Stack::Linux), settings.mtu, true)?;
        negotiate(&link)?;
        let engine = match stack {
            Stack::Linux => None,
            Stack::Fourwave => {
                let kernel = IpAddr::V4(Ipv4Addr::new(10, 96, side as u8 + 1, 254));
                Some(interface("engine", kernel, settings.mtu, false)?)
            }
        };
        Ok((link, engine))
    })?;
    Ok((End { stack, namespace, engine }, link))
}

/// A TUN with an address; `onward`: everything that has no other route goes there.
fn interface(name: &str, address: IpAddr, mtu: u16, onward: bool) -> io::Result<OwnedFd> {
    let options = TunOptions { multi_queue: false, vnet_header: true };
    let (fd, _) = open(Some(name), options)?;
    let netlink = Netlink::new()?;
    let index = netlink.index(name)?;
    let settings = LinkSettings { mtu: Some(mtu.into()), queue_length: Some(QUEUE_LENGTH) };
    netlink.up(index, settings)?;
    netlink.plain_queue(index)?;
    netlink.address(index, address, 24)?;
    if onward {
        netlink.everywhere(index, false)?;
    }
    Ok(fd)
}

/// Switches on the offloads that the link takes.
fn negotiate(fd: &OwnedFd) -> io::Result<()> {
    tun::set_vnet_header_len(fd.as_fd(), vnet::LEN as i32)?;
    tun::set_offload(fd.as_fd(), tun::TUN_F_CSUM | tun::TUN_F_TSO4 | tun::TUN_F_TSO_ECN)?;
    Ok(())
}

/// Of the namespace that the calling thread is in.
fn sysctls(settings: &Settings) -> io::Result<()> {
    let buffers = settings.buffers;
    let all = [
        // Nothing but TCP over IPv4 crosses the link.
        ("net/ipv6/conf/default/disable_ipv6", "1".to_owned()),
        ("net/ipv6/conf/all/disable_ipv6", "1".to_owned()),
        ("net/ipv4/ip_forward", "1".to_owned()),
        ("net/ipv4/conf/all/rp_filter", "0".to_owned()),
        ("net/ipv4/conf/default/rp_filter", "0".to_owned()),
        ("net/ipv4/tcp_no_metrics_save", "1".to_owned()),
        ("net/ipv4/tcp_rmem", format!("4096 131072 {buffers}")),
        ("net/ipv4/tcp_wmem", format!("4096 16384 {buffers}")),
    ];
    for (name, value) in all {
        // A kernel without IPv6 needs none of it.
        if name.starts_with("net/ipv6") && !fs::exists("/proc/sys/net/ipv6")? {
            continue;
        }
        fs::write(format!("/proc/sys/{name}"), &value)
            .map_err(|e| io::Error::new(e.kind(), format!("{name}={value}: {e}")))?;
    }
    Ok(())
}
