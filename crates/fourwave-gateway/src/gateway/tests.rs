//! The gateway between an engine in memory, which stands for the program, and real sockets on
//! the host's loopback.

mod far_end;
mod pieces;
mod relay;
mod services;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave::{Config, Stack, StackOptions};
use fourwave_device::memory;
use fourwave_wire::Link;

use super::{Gateway, GatewayOptions};
use crate::addresses::{GATEWAY_V4, PROGRAM_V4, PROGRAM_V6};
use crate::observe::LensOptions;

/// The gateway and the program.
struct Bench {
    gateway: Gateway,
    program: Stack,
}

fn options() -> GatewayOptions {
    GatewayOptions {
        config: Config::default(),
        published: Vec::new(),
        host_loopback: true,
        resolvers: Vec::new(),
        demo: false,
        lens: LensOptions::default(),
        faults: Vec::new(),
        quiet: true,
        refusals: None,
    }
}

impl Bench {
    fn new(options: GatewayOptions) -> Self {
        let link = Link::offloading(1500);
        let (ours, theirs) = memory::pair(link, link, 256);
        let gateway = Gateway::start(ours, options).unwrap();
        let options = StackOptions::default().seed([7; 32]).address(PROGRAM_V4).address(PROGRAM_V6);
        Self { gateway, program: Stack::spawn(theirs, options).unwrap() }
    }

    /// The program calls a port of the host's loopback.
    async fn call(&self, host: SocketAddr) -> std::io::Result<fourwave::TcpStream> {
        self.program.connect(SocketAddr::from((GATEWAY_V4, host.port()))).await
    }
}

/// A test that hangs fails; how long it took means nothing.
async fn ends<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

/// Bytes that tell where they were.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
