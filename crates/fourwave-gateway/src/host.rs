//! The host's TCP sockets: dialled, and saying RST unless they were told that all went well.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

/// A host socket connected to `address`. Cancel-safe: dropped, the dial ends.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.connect(address).await
}

/// A connected host socket; dropped before [`finish`](Self::finish), it resets its peer.
#[derive(Debug)]
pub(crate) struct HostStream {
    stream: TcpStream,
    finished: AtomicBool,
}

impl HostStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // The program's own Nagle has decided already what is worth a segment.
        // It fails only on a socket that is broken, which the relay then notices.
        let _ = stream.set_nodelay(true);
        Self { stream, finished: AtomicBool::new(false) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// From now on, dropping it closes in order: the kernel delivers what is queued, and answers
    /// what still comes as for any process that has closed.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// From now on, dropping it resets its peer.
    pub(crate) fn reset(&self) {
        self.finished.store(false, Ordering::Relaxed);
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        if !*self.finished.get_mut() {
            // Fails only where there is no connection left to reset.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
