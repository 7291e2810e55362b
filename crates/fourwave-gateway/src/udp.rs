//! UDP: one host socket for each pair of addresses the program uses, all of one port of the
//! program on the same port of the host (RFC 4787's endpoint-independent mapping).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fourwave::{IcmpError, RxPacket};
use fourwave_wire::icmp::error_packet;
use fourwave_wire::udp::{Datagram, fits_super_packet, quotation};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::loopback;
use crate::shared::Shared;
use crate::target::{DNS_PORT, Target, gateway_like, target};

/// Flows alive at once, and no more than a quarter of the open files that this process may have;
/// beyond, the one that was silent for longest ends.
const FLOWS_MAX: usize = 1024;
/// Queries to the resolvers under way at once; beyond, they are dropped.
const QUERIES_MAX: usize = 512;
/// How long a silent flow lives (RFC 4787 §4.3: at least 2 minutes).
const IDLE: Duration = Duration::from_secs(120);
/// The same for a flow to a resolver: one question, one answer.
const IDLE_DNS: Duration = Duration::from_secs(10);
/// Buffers of 64 KiB that one system call fills.
const BATCH: usize = 4;
const BUFFER: usize = 65_536;

type Key = (SocketAddr, SocketAddr);

/// The flows of one gateway.
pub(crate) struct Flows {
    shared: Arc<Shared>,
    table: Arc<Mutex<Table>>,
    queries: Arc<tokio::sync::Semaphore>,
    max: usize,
}

#[derive(Default)]
struct Table {
    flows: HashMap<Key, Arc<Flow>>,
    /// The host's port for each source of the program's, and how many flows use it.
    ports: HashMap<SocketAddr, (u16, usize)>,
}

/// One pair of addresses.
struct Flow {
    /// The program's.
    src: SocketAddr,
    /// The one it called.
    dst: SocketAddr,
    /// Where that is for the host.
    peer: SocketAddr,
    socket: UdpSocket,
    offload: UdpSocketState,
    idle: Duration,
    started: Instant,
    /// Milliseconds from `started` to the last datagram in either direction.
    last: AtomicU64,
    /// Ended to make space.
    evicted: AtomicBool,
    evict: tokio::sync::Notify,
}

impl Flows {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let queries = Arc::new(tokio::sync::Semaphore::new(QUERIES_MAX));
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let max = files.map_or(FLOWS_MAX, |files| FLOWS_MAX.min(files as usize / 4).max(1));
        Self { shared, table: Arc::default(), queries, max }
    }

    /// Sends a datagram of the program; `packet` is what it came in.
    pub(crate) fn send(&self, datagram: Datagram, packet: &RxPacket) {
        let peer = match target(datagram.dst, self.shared.host_loopback) {
            Target::Host(peer) => peer,
            Target::Resolver => return self.resolve(datagram),
            Target::Refused => {
                loopback::hint(&self.shared, datagram.dst);
                return self.refuse(&datagram, IcmpError::PortUnreachable, packet);
            }
            Target::Unreachable(error) => return self.refuse(&datagram, error, packet),
        };
        let flow = match self.flow(&datagram, peer) {
            Ok(flow) => flow,
            Err(error) => {
                self.shared.notices.descriptors(&error);
                return self.refuse(&datagram, meaning(&error), packet);
            }
        };
        flow.touch();
        let mut sent = flow.send(&datagram);
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            // The answer to an earlier datagram; this one has not been sent yet.
            self.refuse(&datagram, IcmpError::PortUnreachable, packet);
            sent = flow.send(&datagram);
        }
        match sent {
            Ok(()) => self.shared.traffic.datagram_up(datagram.payload.len()),
            // The host's queue is full: lost, as on any link.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.refuse(&datagram, flow.explain(&error), packet),
        }
    }

    fn refuse(&self, datagram: &Datagram, error: IcmpError, packet: &RxPacket) {
        if !datagram.dst.ip().is_multicast() {
            // A closed port is said by the host that has it, the rest by the router.
            let src = match error {
                IcmpError::PortUnreachable => datagram.dst.ip(),
                _ => gateway_like(datagram.src.ip()),
            };
            self.shared.send(&error_packet(src, error, &packet.bytes));
        }
    }

    /// Passes a query to the host's resolvers, and the answer back, both unchanged.
    fn resolve(&self, datagram: Datagram) {
        self.shared.traffic.query();
        let Ok(turn) = Arc::clone(&self.queries).try_acquire_owned() else { return };
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            let _turn = turn;
            match shared.resolvers.ask(&datagram.payload).await {
                Ok(answer) => {
                    let reply = Datagram {
                        src: datagram.dst,
                        dst: datagram.src,
                        ecn: 0,
                        segment: 0,
                        payload: answer.into(),
                    };
                    reply.emit(&shared.stack.link(), Shared::fragment_id(), |p| shared.send(p));
                }
                // Silence is passed on as silence, and a refusal as a refusal.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => {
                    shared.notices.descriptors(&error);
                    let quoted = quotation(datagram.src, datagram.dst);
                    let src = datagram.dst.ip();
                    shared.send(&error_packet(src, IcmpError::PortUnreachable, &quoted));
                }
            }
        });
    }

    fn flow(&self, datagram: &Datagram, peer: SocketAddr) -> io::Result<Arc<Flow>> {
        let key = (datagram.src, datagram.dst);
        let mut table = lock(&self.table);
        if let Some(flow) = table.flows.get(&key) {
            return Ok(Arc::clone(flow));
        }
        if table.flows.len() >= self.max {
            table.evict_oldest();
        }
        let port = table.ports.get(&datagram.src).map(|(port, _)| *port);
        let (socket, port) = connect(peer, port)?;
        let flow = Arc::new(Flow::new(datagram, peer, socket)?);
        table.ports.entry(datagram.src).or_insert((port, 0)).1 += 1;
        table.flows.insert(key, Arc::clone(&flow));
        self.shared.traffic.flow();
        let (shared, table) = (Arc::clone(&self.shared), Arc::clone(&self.table));
        self.shared.spawn({
            let flow = Arc::clone(&flow);
            async move {
                flow.receive_until_silent(&shared).await;
                lock(&table).remove(&flow);
            }
        });
        Ok(flow)
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    fn evict_oldest(&mut self) {
        let oldest = self.flows.values().max_by_key(|flow| flow.silent_for()).cloned();
        if let Some(flow) = oldest {
            self.remove(&flow);
            flow.evicted.store(true, Ordering::Relaxed);
            flow.evict.notify_one();
        }
    }

    fn remove(&mut self, flow: &Arc<Flow>) {
        let key = (flow.src, flow.dst);
        // Evicted before, and perhaps replaced by a newer one.
        if !self.flows.get(&key).is_some_and(|found| Arc::ptr_eq(found, flow)) {
            return;
        }
        self.flows.remove(&key);
        if let Some((_, users)) = self.ports.get_mut(&flow.src) {
            *users -= 1;
            if *users == 0 {
                self.ports.remove(&flow.src);
            }
        }
    }
}

/// A host socket connected to `peer`, from `port` if there is one, and the port it has.
fn connect(peer: SocketAddr, port: Option<u16>) -> io::Result<(Socket, u16)> {
    let any = |port| -> SocketAddr {
        if peer.is_ipv4() { ([0, 0, 0, 0], port).into() } else { ([0u16; 8], port).into() }
    };
    let open = |port: Option<u16>| {
        let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if let Some(port) = port {
            socket.set_reuse_address(true)?;
            socket.bind(&any(port).into())?;
        } else {
            socket.bind(&any(0).into())?;
            // Only now, or the kernel might give us a port of another flow: sockets of one port
            // are told apart by what they are connected to.
            socket.set_reuse_address(true)?;
        }
        Ok::<_, io::Error>(socket)
    };
    // The other family may have the port from someone else: then any port will do.
    let socket =
        open(port).or_else(|error| if port.is_some() { open(None) } else { Err(error) })?;
    socket.connect(&peer.into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
    Ok((socket, port))
}

impl Flow {
    fn new(datagram: &Datagram, peer: SocketAddr, socket: Socket) -> io::Result<Self> {
        let offload = UdpSocketState::new((&socket).into())?;
        allow_fragments(&socket, peer)?;
        Ok(Self {
            src: datagram.src,
            dst: datagram.dst,
            peer,
            socket: UdpSocket::from_std(socket.into())?,
            offload,
            idle: if datagram.dst.port() == DNS_PORT { IDLE_DNS } else { IDLE },
            started: Instant::now(),
            last: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            evict: tokio::sync::Notify::new(),
        })
    }

    fn touch(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.last.store(millis, Ordering::Relaxed);
    }

    fn deadline(&self) -> Instant {
        self.started + Duration::from_millis(self.last.load(Ordering::Relaxed)) + self.idle
    }

    fn silent_for(&self) -> Duration {
        self.started
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Sends to the host. An error may be that of an earlier datagram (ICMP).
    fn send(&self, datagram: &Datagram) -> io::Result<()> {
        let segment = usize::from(datagram.segment);
        let whole = segment == 0 || segment >= datagram.payload.len();
        let fits = datagram.payload.len() <= segment * self.offload.max_gso_segments();
        if whole || fits {
            let segment = (!whole).then_some(segment);
            match self.send_one(&datagram.payload, segment, datagram.ecn) {
                // A device without segmentation (EIO, EINVAL): one by one from now on.
                Err(error) if segment.is_some() && is_no_offload(&error) => {}
                result => return result,
            }
        }
        for piece in datagram.payload.chunks(segment.max(1)) {
            self.send_one(piece, None, datagram.ecn)?;
        }
        Ok(())
    }

    fn send_one(&self, contents: &[u8], segment: Option<usize>, ecn: u8) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.peer,
            ecn: EcnCodepoint::from_bits(ecn),
            contents,
            segment_size: segment,
            src_ip: None,
        };
        // Not by way of tokio's readiness, which a socket made just now does not have yet.
        self.offload.try_send((&self.socket).into(), &transmit)
    }

    /// What an error of this socket's means to the program.
    fn explain(&self, error: &io::Error) -> IcmpError {
        if Errno::from_io_error(error) != Some(Errno::MSGSIZE) {
            return meaning(error);
        }
        let mtu = if self.peer.is_ipv4() {
            rustix::net::sockopt::ip_mtu(&self.socket)
        } else {
            rustix::net::sockopt::ipv6_mtu(&self.socket)
        };
        // Unknown only to a socket that is not connected, which this one is.
        IcmpError::PacketTooBig { mtu: mtu.unwrap_or(1280) }
    }

    /// Hands what the host receives to the program until nothing came or went for long.
    async fn receive_until_silent(&self, shared: &Shared) {
        while !self.evicted.load(Ordering::Relaxed) {
            let ready = tokio::select! {
                ready = timeout_at(self.deadline(), received_or_failed(&self.socket)) => ready,
                () = self.evict.notified() => return,
            };
            match ready {
                Ok(Ok(())) => {
                    if let Err(error) = self.receive(shared) {
                        self.tell(shared, &error);
                    }
                }
                Ok(Err(error)) => self.tell(shared, &error),
                Err(_) if self.deadline() <= Instant::now() => return,
                Err(_) => {}
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Passes on what the network said about an earlier datagram.
    fn tell(&self, shared: &Shared, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            return;
        }
        let meaning = self.explain(error);
        let src = match meaning {
            IcmpError::PortUnreachable => self.dst.ip(),
            _ => gateway_like(self.src.ip()),
        };
        let quoted = quotation(self.src, self.dst);
        shared.send(&error_packet(src, meaning, &quoted));
    }

    /// One system call's worth.
    fn receive(&self, shared: &Shared) -> io::Result<()> {
        thread_local! {
            static BUFFERS: RefCell<Vec<u8>> = RefCell::new(vec![0; BATCH * BUFFER]);
        }
        BUFFERS.with_borrow_mut(|buffers| {
            let mut meta = [RecvMeta::default(); BATCH];
            let mut slices = buffers.chunks_mut(BUFFER).map(IoSliceMut::new);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
            let count = self.socket.try_io(Interest::READABLE, || {
                self.offload.recv((&self.socket).into(), &mut slices, &mut meta)
            })?;
            self.touch();
            for (bytes, meta) in slices.iter().zip(&meta[..count]) {
                shared.traffic.datagram_down(meta.len);
                self.pass_on(shared, &bytes[..meta.len], meta);
            }
            Ok(())
        })
    }

    fn pass_on(&self, shared: &Shared, bytes: &[u8], meta: &RecvMeta) {
        let link = shared.stack.link();
        let several = meta.stride > 0 && meta.stride < bytes.len();
        let together =
            several && fits_super_packet(&link, bytes.len(), meta.stride, self.src.is_ipv6());
        let mut datagram = Datagram {
            src: self.dst,
            dst: self.src,
            ecn: meta.ecn.map_or(0, |ecn| ecn as u8),
            segment: if together { meta.stride as u16 } else { 0 },
            payload: Bytes::copy_from_slice(bytes),
        };
        if !several || together {
            return datagram.emit(&link, Shared::fragment_id(), |p| shared.send(p));
        }
        let mut rest = std::mem::take(&mut datagram.payload);
        while !rest.is_empty() {
            datagram.payload = rest.split_to(meta.stride.min(rest.len()));
            datagram.emit(&link, Shared::fragment_id(), |p| shared.send(p));
        }
    }
}

/// Waits until there is something to receive.
///
/// # Errors
/// What the network said meanwhile (ICMP): the kernel tells it apart from what can be read.
pub(crate) async fn received_or_failed(socket: &UdpSocket) -> io::Result<()> {
    let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
    if !ready.is_error() {
        return Ok(());
    }
    // The readiness is cleared before the error is taken: one that comes between is not missed.
    let clear = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    let _would_block = socket.try_io(Interest::ERROR, clear);
    socket.take_error()?.map_or(Ok(()), Err)
}

/// A datagram larger than the host's way out is the host's to cut: the program believes in the
/// MTU of its own device.
fn allow_fragments(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    if peer.is_ipv4() {
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    } else {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Ipv6DontFrag, &false)?;
    }
    Ok(())
}

fn is_no_offload(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::INVAL))
}

/// What a host socket's error is in ICMP's words.
pub(crate) fn meaning(error: &io::Error) -> IcmpError {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => IcmpError::PortUnreachable,
        Some(Errno::NETUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT | Errno::INVAL) => {
            IcmpError::NetUnreachable
        }
        Some(Errno::ACCESS | Errno::PERM) => IcmpError::AdminProhibited,
        Some(Errno::NOPROTOOPT) => IcmpError::ProtocolUnreachable,
        _ => IcmpError::HostUnreachable,
    }
}
