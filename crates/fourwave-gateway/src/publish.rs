//! Ports of the namespace that the host can call (`-p`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use crate::host::HostStream;
use crate::relay::{Far, relay};
use crate::shared::Shared;
use crate::target::{program_like, seen_from_inside};

/// A port of the namespace, and where the host listens for it.
#[derive(Debug)]
pub struct Published {
    /// Bound and listening. One on `[::]` may take IPv4 callers too.
    pub listener: std::net::TcpListener,
    /// The port inside.
    pub port: u16,
}

impl Published {
    /// Hands the listener to the runtime.
    pub(crate) fn listen(self) -> io::Result<(TcpListener, u16)> {
        self.listener.set_nonblocking(true)?;
        Ok((TcpListener::from_std(self.listener)?, self.port))
    }
}

/// Takes callers until the gateway ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, port: u16) {
    loop {
        match listener.accept().await {
            Ok((host, client)) => {
                shared.spawn(call(Arc::clone(&shared), host, client, port));
            }
            Err(error) => {
                // The caller gave up (ECONNABORTED), or a limit was hit, which may pass.
                shared.notices.descriptors(&error);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Connects to the program as if the caller did so itself. Where the program refuses, the caller
/// gets the RST: the host stream is dropped unfinished.
async fn call(shared: Arc<Shared>, host: TcpStream, client: SocketAddr, port: u16) {
    let host = HostStream::new(host);
    let opened = tokio::select! {
        opened = open(&shared, client, port) => opened,
        _ = host.stream().ready(Interest::ERROR) => return,
    };
    match opened {
        Ok(program) => relay(program, host, Far::Caller, &shared).await,
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            shared.notices.once("callers", || {
                format!(
                    "{error}: callers are reset until some end; -o tcp_tw_reuse=1 takes over \
                     those in TIME_WAIT"
                )
            });
        }
        // The program refused, or its end is gone.
        Err(_) => {}
    }
}

async fn open(shared: &Shared, client: SocketAddr, port: u16) -> io::Result<fourwave::TcpStream> {
    let seen = seen_from_inside(client);
    let program = SocketAddr::new(program_like(seen.ip()), port);
    match shared.stack.connect_from(seen, program).await {
        // Two callers that are shown with the same address have the same port.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            shared.stack.connect_from(SocketAddr::new(seen.ip(), 0), program).await
        }
        opened => opened,
    }
}
