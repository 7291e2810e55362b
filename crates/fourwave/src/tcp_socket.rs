//! A socket before it has a connection: its options hold from the SYN on.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fourwave_core::congestion::Algorithm;
use fourwave_core::error::ConnectError;
use fourwave_core::{
    ConnectOptions, FastOpenKeys, ListenFastOpen, ListenOptions, SocketOption, SocketOptions,
};

use crate::inner::{ListenerState, wait};
use crate::listener::TcpListener;
use crate::socket::Socket;
use crate::stack::Stack;
use crate::stream::TcpStream;

/// A socket that is not connected and does not listen yet, as tokio's `TcpSocket`: what it is given
/// holds from the first segment on, and a listener's connections inherit it.
///
/// ```no_run
/// # async fn run(stack: fourwave::Stack) -> std::io::Result<()> {
/// let remote = "10.4.0.1:80".parse().expect("an address");
/// let stream = stack.socket().nodelay(true).recv_buffer(1 << 20).connect(remote).await?;
/// # drop(stream); Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it connects or listens"]
pub struct TcpSocket {
    stack: Stack,
    options: SocketOptions,
    local: Option<SocketAddr>,
    local_ports: Option<RangeInclusive<u16>>,
    no_cookie: bool,
    fast_open: ListenFastOpen,
}

impl Stack {
    /// A socket whose options hold from its SYN on.
    pub fn socket(&self) -> TcpSocket {
        TcpSocket::new(self.clone())
    }

    /// As [`TcpSocket::listen`].
    ///
    /// # Errors
    /// As [`TcpSocket::listen`].
    pub fn listen(&self, addr: SocketAddr, backlog: usize) -> io::Result<TcpListener> {
        self.socket().listen(addr, backlog)
    }

    /// Opens a connection from the first of our addresses that is of `remote`'s family, as
    /// [`TcpSocket::connect`].
    ///
    /// # Errors
    /// As [`TcpSocket::connect`].
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        self.socket().connect(remote).await
    }

    /// Opens a connection from `local`, which may be any address at all, as [`TcpSocket::bind`] and
    /// [`TcpSocket::connect`].
    ///
    /// # Errors
    /// As [`TcpSocket::connect`].
    pub async fn connect_from(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<TcpStream> {
        self.socket().bind(local).connect(remote).await
    }
}

impl TcpSocket {
    fn new(stack: Stack) -> Self {
        Self {
            stack,
            options: SocketOptions::default(),
            local: None,
            local_ports: None,
            no_cookie: false,
            fast_open: ListenFastOpen::default(),
        }
    }

    /// Calls from `local`, which may be any address at all; its port 0 stands for one that is free.
    pub const fn bind(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// Where a free port is looked for (`IP_LOCAL_PORT_RANGE`); by default in
    /// `ip_local_port_range`.
    pub fn local_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.local_ports = Some(ports);
        self
    }

    /// Any option; it takes the place of what was said about the same before.
    pub fn option(mut self, option: SocketOption) -> Self {
        self.options.set(option);
        self
    }

    /// `TCP_NODELAY`: small segments do not wait.
    pub fn nodelay(self, on: bool) -> Self {
        self.option(SocketOption::NoDelay(on))
    }

    /// `SO_KEEPALIVE`, with the knobs' times.
    pub fn keepalive(self, on: bool) -> Self {
        self.option(SocketOption::KeepAlive(on))
    }

    /// `TCP_USER_TIMEOUT`: how long data may stay unacknowledged; zero for the default.
    pub fn user_timeout(self, limit: Duration) -> Self {
        self.option(SocketOption::UserTimeout(limit))
    }

    /// `SO_RCVBUF` in bytes, at least 1024: bytes that wait to be read. The window and its scale in
    /// the SYN follow from it, and it does not grow by itself.
    pub fn recv_buffer(self, bytes: u32) -> Self {
        self.option(SocketOption::ReceiveBuffer(bytes))
    }

    /// `SO_SNDBUF` in bytes: bytes that wait to be sent or acknowledged; 0 leaves it to the engine.
    pub fn send_buffer(self, bytes: u32) -> Self {
        self.option(SocketOption::SendBuffer(bytes))
    }

    /// `TCP_MAXSEG` in bytes: neither announced nor sent larger; 0 for the link's.
    pub fn max_segment(self, bytes: u16) -> Self {
        self.option(SocketOption::MaxSeg(bytes))
    }

    /// `TCP_CONGESTION`: another congestion control, one of your own included.
    pub fn congestion_control(mut self, algorithm: Algorithm) -> Self {
        self.options = self.options.with_congestion(algorithm);
        self
    }

    /// `TCP_FASTOPEN`: as a listener, takes data on SYNs, for so many connections at most whose
    /// handshake is not through. It needs bit 2 of `tcp_fastopen` too.
    pub const fn fast_open(mut self, queue: usize) -> Self {
        self.fast_open.queue = queue;
        self
    }

    /// `TCP_FASTOPEN_KEY`: keys of the listener's own.
    pub const fn fast_open_keys(mut self, keys: FastOpenKeys) -> Self {
        self.fast_open.keys = Some(keys);
        self
    }

    /// `TCP_FASTOPEN_NO_COOKIE`: the peer of [`connect_with`](Self::connect_with) is known to need
    /// no cookie.
    pub const fn no_cookie(mut self, on: bool) -> Self {
        self.no_cookie = on;
        self
    }

    /// Opens a connection. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// `AddrNotAvailable` when nothing was bound and [`StackOptions::addresses`] has no address of
    /// `remote`'s family; what the engine refuses (addresses of two families, no free port); or how
    /// the attempt ended, with its [`CloseError`](crate::CloseError).
    ///
    /// [`StackOptions::addresses`]: crate::StackOptions::addresses
    pub async fn connect(self, remote: SocketAddr) -> io::Result<TcpStream> {
        let (socket, _) = self.open(remote, None)?;
        poll_fn(|cx| socket.poll_connected(cx)).await?;
        Ok(TcpStream::new(socket))
    }

    /// Opens a connection and sends `data` on it, on the SYN itself where a cookie for `remote` is
    /// remembered (Fast Open, RFC 7413, bit 1 of `tcp_fastopen`); the stream is there when the
    /// handshake is through. The peer may see what is on the SYN twice. Dropping the future gives
    /// the attempt up.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(self, remote: SocketAddr, data: Bytes) -> io::Result<TcpStream> {
        let (socket, rest) = self.open(remote, Some(data))?;
        poll_fn(|cx| socket.poll_connected(cx)).await?;
        let mut stream = TcpStream::new(socket);
        stream.write_chunk(rest).await?;
        Ok(stream)
    }

    /// Starts to open a connection; what is left of the data that might have ridden on the SYN.
    fn open(self, remote: SocketAddr, data: Option<Bytes>) -> io::Result<(Socket, Bytes)> {
        let local = match self.local {
            Some(local) => local,
            None => SocketAddr::new(self.stack.address_for(remote)?, 0),
        };
        let mut how = ConnectOptions::default();
        how.socket = self.options;
        how.local_ports = self.local_ports;
        (how.fast_open, how.no_cookie) = (data.is_some(), self.no_cookie);
        let mut data = data.unwrap_or_default();
        let shared = &self.stack.shared;
        let (conn, local) = shared.call(|inner, now| {
            if inner.stopping {
                return Err(inner.stopped());
            }
            let opened = inner.engine.connect_with(now, local, remote, how, &mut data);
            let (conn, _) = opened.map_err(connect_error)?;
            inner.register(conn);
            let local = inner.engine.info(conn).map_or(local, |info| info.local);
            Ok((conn, local))
        })?;
        Ok((Socket::new(shared.clone(), conn, local, remote), data))
    }

    /// Listens for connections to `addr`. An unspecified address (`0.0.0.0` or `::`) stands for
    /// all addresses of both families, port 0 for one that is free. At most `backlog`
    /// connections, and not more than `somaxconn`, wait for [`TcpListener::accept`].
    ///
    /// # Errors
    /// `AddrInUse` when another listener has the same address and port.
    pub fn listen(self, addr: SocketAddr, backlog: usize) -> io::Result<TcpListener> {
        let listen = ListenOptions::any().with_backlog(backlog).with_socket(self.options);
        let mut listen = listen.with_fast_open(self.fast_open);
        listen.address = Some(addr.ip()).filter(|ip| !ip.is_unspecified());
        let id = self.stack.shared.call(|inner, _| {
            if inner.stopping {
                return Err(inner.stopped());
            }
            let ports = match addr.port() {
                0 => {
                    let config = inner.engine.config();
                    config.ip_local_port_first as u16..=config.ip_local_port_last as u16
                }
                port => port..=port,
            };
            for port in ports {
                listen.port = Some(port);
                if let Ok(id) = inner.engine.listen(listen.clone()) {
                    inner.listeners.insert(id, ListenerState::default());
                    return Ok((id, SocketAddr::new(addr.ip(), port)));
                }
            }
            let text = format!("cannot listen on {addr}: another listener of this stack does");
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        })?;
        Ok(TcpListener::new(self.stack.shared.clone(), id.0, id.1))
    }
}

impl Socket {
    fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.shared.lock();
        let Some(slot) = inner.slot(self.conn) else {
            return Poll::Ready(Err(inner.stopped()));
        };
        if let Some(reason) = slot.ended {
            return Poll::Ready(Err(inner.ended(reason)));
        }
        if slot.connected {
            return Poll::Ready(Ok(()));
        }
        wait(&mut slot.writer, cx);
        Poll::Pending
    }
}

fn connect_error(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::AddressInUse { .. } => io::ErrorKind::AddrInUse,
        ConnectError::PortsExhausted { .. } => io::ErrorKind::AddrNotAvailable,
        ConnectError::BadAddress => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
