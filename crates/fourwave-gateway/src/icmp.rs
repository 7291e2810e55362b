//! Echo: the gateway answers for itself, the host's ping sockets ask everyone else.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fourwave::{IcmpError, RxPacket};
use fourwave_wire::icmp::{ECHO_HEADER_LEN, Echo, EchoHeader, error_packet};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::addresses::is_gateway;
use crate::shared::Shared;
use crate::target::{Target, gateway_like, target};
use crate::udp::{meaning, received_or_failed};

/// Pings under way at once; beyond, new ones get no answer.
const PINGS_MAX: usize = 128;
/// How long after its last request a ping is listened for.
const IDLE: Duration = Duration::from_secs(30);

/// Who asks whom, under which id.
type Key = (IpAddr, IpAddr, u16);

/// The host's ping sockets, one for each ping of the program.
pub(crate) struct Pings {
    shared: Arc<Shared>,
    table: Arc<Mutex<HashMap<Key, Arc<Ping>>>>,
}

struct Ping {
    socket: UdpSocket,
    deadline: Mutex<Instant>,
}

impl Pings {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, table: Arc::default() }
    }

    /// Has a request answered; `packet` is what it came in.
    pub(crate) fn send(&self, request: Echo, packet: &RxPacket) {
        self.shared.traffic.ping();
        if is_gateway(request.dst) {
            let (src, dst) = (request.dst, request.src);
            let header = EchoHeader { reply: true, ..request.header };
            return answer(&self.shared, Echo { src, dst, header, ..request });
        }
        // The port only stands for "not one of the gateway's services".
        let to = match target(SocketAddr::new(request.dst, 1), false) {
            Target::Host(to) => to.ip(),
            Target::Unreachable(error) => return self.refuse(&request, error, packet),
            Target::Refused | Target::Resolver => return,
        };
        let sent = self.ping(&request, to).and_then(|ping| {
            // Not by way of tokio's readiness, which a socket made just now does not have yet.
            SockRef::from(&ping.socket).send(&request.message())
        });
        match sent {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.explain(&error);
                self.refuse(&request, meaning(&error), packet);
            }
        }
    }

    fn refuse(&self, request: &Echo, error: IcmpError, packet: &RxPacket) {
        if !request.dst.is_multicast() {
            self.shared.send(&error_packet(gateway_like(request.src), error, &packet.bytes));
        }
    }

    fn explain(&self, error: &io::Error) {
        self.shared.notices.descriptors(error);
        if let Some(Errno::ACCESS | Errno::PERM) = Errno::from_io_error(error) {
            self.shared.notices.once("ping", || {
                "the host allows this user no ping, so the program's pings are refused; allow it \
                 with: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""
                    .to_owned()
            });
        }
    }

    fn ping(&self, request: &Echo, to: IpAddr) -> io::Result<Arc<Ping>> {
        let key = (request.src, request.dst, request.header.id);
        let mut table = lock(&self.table);
        if let Some(ping) = table.get(&key) {
            *lock(&ping.deadline) = Instant::now() + IDLE;
            return Ok(Arc::clone(ping));
        }
        if table.len() >= PINGS_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let deadline = Mutex::new(Instant::now() + IDLE);
        let ping = Arc::new(Ping { socket: open(to)?, deadline });
        table.insert(key, Arc::clone(&ping));
        let (shared, table) = (Arc::clone(&self.shared), Arc::clone(&self.table));
        self.shared.spawn({
            let ping = Arc::clone(&ping);
            async move {
                ping.receive_until_silent(&shared, key).await;
                lock(&table).remove(&key);
            }
        });
        Ok(ping)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(shared: &Shared, reply: Echo) {
    reply.emit(&shared.stack.link(), Shared::fragment_id(), |p| shared.send(p));
}

/// A ping socket (icmp(7)): the kernel sets the id and hears the answers to it only.
fn open(to: IpAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(to, 0).into())?;
    UdpSocket::from_std(socket.into())
}

impl Ping {
    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut message = vec![0; 65_536];
        let len = self.socket.try_recv(&mut message)?;
        message.truncate(len);
        Ok(message)
    }

    async fn receive_until_silent(&self, shared: &Shared, (src, dst, id): Key) {
        loop {
            let deadline = *lock(&self.deadline);
            let ready = match timeout_at(deadline, received_or_failed(&self.socket)).await {
                Ok(ready) => ready,
                Err(_) if *lock(&self.deadline) <= Instant::now() => return,
                Err(_) => continue,
            };
            match ready.and_then(|()| self.receive()) {
                Ok(message) => {
                    let Ok(EchoHeader { reply: true, seq, .. }) =
                        EchoHeader::parse(src.is_ipv6(), &message)
                    else {
                        continue;
                    };
                    let header = EchoHeader { reply: true, id, seq };
                    let data = Bytes::from(message).slice(ECHO_HEADER_LEN..);
                    answer(shared, Echo { src: dst, dst: src, header, data });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    let header = EchoHeader { reply: false, id, seq: 0 };
                    let request = Echo { src, dst, header, data: Bytes::new() };
                    let from = gateway_like(src);
                    shared.send(&error_packet(from, meaning(&error), &request.packet()));
                }
            }
        }
    }
}
