//! An axum server on an address that the kernel does not have: its TCP is fourwave's.
//!
//! ```text
//! unshare -Urn cargo run --release -p fourwave --example axum_server
//! ```
//!
//! makes a TUN in a network namespace of its own, gives the kernel's side 10.4.0.1 and serves on
//! 10.4.0.2. The example then has the kernel's curl read it; with `--serve` it serves until
//! Ctrl-C instead (as root, without `unshare`, other terminals reach it too).

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use fourwave::device::tun::{self, Tun, TunOptions};
use fourwave::{Stack, StackOptions, TcpListener, TcpStream};
use tokio::process::Command;

const MTU: u16 = 1500;
const KERNEL: &str = "10.4.0.1/24";
const SERVER: &str = "10.4.0.2:80";

/// What axum serves from: only axum's trait is needed, the stream is tokio's kind already.
struct Served(TcpListener);

impl Listener for Served {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.0.accept().await {
            Ok(accepted) => accepted,
            // The stack has stopped; axum's trait knows no end.
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A client's address for the handlers.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Served>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Served>) -> Self {
        Self(*stream.remote_addr())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (fd, name) = tun::open(Some("axum%d"), TunOptions::default())?;
    ip(&["addr", "add", KERNEL, "dev", &name]).await?;
    ip(&["link", "set", &name, "mtu", &MTU.to_string(), "up"]).await?;

    let stack = Stack::spawn(Tun::from_fd(fd, MTU)?, StackOptions::default())?;
    let address: SocketAddr = SERVER.parse().map_err(io::Error::other)?;
    let listener = stack.listen(address, 1024)?;
    println!("serving http://{address}/ on {name}");

    let app = axum::Router::new()
        .route("/", get(hello))
        .route("/big", get(async || vec![b'x'; 64 << 20]));
    let app = app.into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(Served(listener), app);

    let mut ends = stack.take_ends();
    let telling = async {
        while let Some(end) = match &mut ends {
            Some(ends) => ends.recv().await,
            None => None,
        } {
            println!("{} ended: {} ({} bytes sent)", end.remote, end.reason, end.bytes_acked);
        }
    };
    let reading = async {
        if std::env::args().any(|arg| arg == "--serve") {
            return std::future::pending().await;
        }
        curl("/").await?;
        curl("/big").await
    };
    tokio::select! {
        served = serving => served,
        read = reading => read,
        () = telling => Ok(()),
    }?;
    stack.drained().await;
    Ok(())
}

async fn hello(ConnectInfo(Peer(peer)): ConnectInfo<Peer>) -> String {
    format!("hello {peer}, this TCP is in userspace\n")
}

async fn ip(args: &[&str]) -> io::Result<()> {
    run(Command::new("ip").args(args)).await
}

/// Has the kernel's own TCP read `path`.
async fn curl(path: &str) -> io::Result<()> {
    let url = format!("http://{SERVER}{path}");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "60"])
        .args(["-w", "%{size_download} bytes, HTTP %{http_code}\n"]);
    if path == "/big" {
        curl.args(["-o", "/dev/null"]);
    }
    run(curl.arg(url)).await
}

async fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).status().await?;
    if status.success() {
        return Ok(());
    }
    let command = command.as_std();
    Err(io::Error::other(format!("{:?} {:?}: {status}", command.get_program(), command.get_args())))
}
