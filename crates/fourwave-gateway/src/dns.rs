//! Name resolution: queries to the gateway's port 53 go, unchanged, to the host's resolvers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::host::connect;
use crate::target::DNS_PORT;

/// How long a resolver may think before the next one is asked too.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a query is worth an answer; the usual client gives up after 5 s.
const QUERY_LIFE: Duration = Duration::from_secs(10);
/// The largest answer, by UDP's own length field.
const ANSWER_MAX: usize = 65_535;

/// The resolvers of the host's `/etc/resolv.conf`, in its order; 127.0.0.1 where it names none, as
/// resolv.conf(5) says. A file that cannot be read counts as one that names none.
pub fn host_resolvers() -> Vec<SocketAddr> {
    parse(&std::fs::read("/etc/resolv.conf").unwrap_or_default())
}

fn parse(text: &[u8]) -> Vec<SocketAddr> {
    // A line that makes no sense is passed over, as the C library does.
    let valid = text.split(|&b| b == b'\n').filter(|line| resolv_conf::Config::parse(line).is_ok());
    let text = valid.collect::<Vec<_>>().join(&b'\n');
    let servers = resolv_conf::Config::parse(&text).map(|c| c.nameservers).unwrap_or_default();
    let found: Vec<_> = servers.iter().map(address).collect();
    if found.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], DNS_PORT))] } else { found }
}

fn address(server: &resolv_conf::ScopedIp) -> SocketAddr {
    match server {
        resolv_conf::ScopedIp::V6(ip, Some(scope)) => {
            let index = scope.parse().ok().or_else(|| interface_index(scope)).unwrap_or(0);
            std::net::SocketAddrV6::new(*ip, DNS_PORT, 0, index).into()
        }
        server => SocketAddr::new(IpAddr::from(server), DNS_PORT),
    }
}

fn interface_index(name: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

/// The host's resolvers, and which of them answered last.
#[derive(Debug)]
pub(crate) struct Resolvers {
    servers: Vec<SocketAddr>,
    working: AtomicUsize,
}

impl Resolvers {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, working: AtomicUsize::new(0) }
    }

    /// All of them, the one that answered last first.
    fn in_order(&self) -> impl Iterator<Item = (usize, SocketAddr)> + '_ {
        let first = self.working.load(Ordering::Relaxed);
        let count = self.servers.len();
        (0..count).map(move |i| (first + i) % count).map(|i| (i, self.servers[i]))
    }

    /// The answer to a query by UDP. A resolver that is silent or refuses is passed over; one that
    /// is only slow may still win.
    ///
    /// # Errors
    /// `TimedOut` when none answered in time, or what the last one's socket said.
    pub(crate) async fn ask(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let mut asked = JoinSet::new();
        let mut failed = io::Error::from(io::ErrorKind::NotConnected);
        let mut rest = self.in_order();
        loop {
            let next = rest.next();
            if let Some((index, server)) = next {
                let query = query.to_vec();
                asked.spawn(async move { (index, ask_one(server, &query).await) });
            }
            let wait = if next.is_some() { PATIENCE } else { QUERY_LIFE };
            match timeout(wait, asked.join_next()).await {
                Ok(Some(Ok((index, Ok(answer))))) => {
                    self.working.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Some(Ok((_, Err(error))))) => failed = error,
                // All were asked, and none is left that might answer.
                Ok(None) => return Err(failed),
                Ok(Some(Err(_))) => {}
                Err(_) if next.is_none() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    }

    /// A connection to the first resolver that takes one.
    ///
    /// # Errors
    /// What the last one said.
    pub(crate) async fn dial(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::from(rustix::io::Errno::CONNREFUSED);
        for (_, server) in self.in_order() {
            match timeout(PATIENCE * 2, connect(server)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = rustix::io::Errno::TIMEDOUT.into(),
            }
        }
        Err(failed)
    }
}

async fn ask_one(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    // A new port for each query: an answer cannot be forged by guessing the id alone.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let answer = async {
        loop {
            socket.readable().await?;
            let mut answer = vec![0; ANSWER_MAX];
            match socket.try_recv(&mut answer) {
                // The id's two bytes come first; anything else answers another question.
                Ok(len) if len >= 2 && answer[..2] == query[..2.min(query.len())] => {
                    answer.truncate(len);
                    answer.shrink_to_fit();
                    return Ok(answer);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    timeout(QUERY_LIFE, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let text = b"# by hand\nnameserver 10.0.0.1\nnonsense here\nnameserver fe80::1%7\n";
        let found: Vec<SocketAddr> =
            vec!["10.0.0.1:53".parse().unwrap(), "[fe80::1%7]:53".parse().unwrap()];
        assert_eq!(parse(text), found);
        assert_eq!(parse(b"search example.org\n"), ["127.0.0.1:53".parse().unwrap()]);
    }

    async fn resolver() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn the_next_resolver_is_asked_when_one_refuses() {
        let (refusing, gone) = resolver().await;
        drop(refusing);
        let (socket, works) = resolver().await;
        let served = tokio::spawn(async move {
            let mut query = [0; 64];
            let (len, from) = socket.recv_from(&mut query).await.unwrap();
            // One with another id first: it must not be taken.
            socket.send_to(b"\x00\x00forged", from).await.unwrap();
            socket.send_to(&[&query[..len], b"+answer"].concat(), from).await.unwrap();
        });
        let resolvers = Resolvers::new(vec![gone, works]);
        assert_eq!(resolvers.ask(b"\x12\x34query").await.unwrap(), b"\x12\x34query+answer");
        served.await.unwrap();
        assert_eq!(resolvers.in_order().next().unwrap().1, works);
    }

    #[tokio::test]
    async fn no_resolver_is_an_error_at_once() {
        assert!(Resolvers::new(Vec::new()).ask(b"\x12\x34").await.is_err());
    }
}
