//! The demo where no namespace can be made: the same exchange between two engines in memory.

use std::io;
use std::net::SocketAddr;

use fourwave::{Config, Stack, StackOptions};
use fourwave_device::memory;
use fourwave_wire::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::addresses::{GATEWAY_V4, PROGRAM_V4};
use crate::gateway::{Gateway, GatewayOptions};
use crate::observe::LensOptions;
use crate::outputs::Outputs;
use crate::run::{RunError, RunOptions, open_outputs, runtime};
use fourwave_lens::summary::Summary;

/// What the demo's client sends, whichever TCP it has.
pub const DEMO_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 10.4.0.1\r\nConnection: close\r\n\r\n";

/// Packets that the link between the engines holds in each direction.
const CAPACITY: usize = 256;

/// Plays the demo between two engines, the gateway's end drawn and written as `options` say.
/// `say` gets the summary.
///
/// # Errors
/// An output that cannot be written, or the exchange itself fails.
pub fn demo_in_memory(options: &RunOptions, say: &mut dyn FnMut(&str)) -> Result<(), RunError> {
    let mut outputs = Outputs::default();
    let lens = open_outputs(options, &mut outputs)?;
    let failed = |source| RunError::Internal { what: "the demo between two engines", source };
    outputs.begin().map_err(failed)?;
    let exchange = exchange(options.config.clone(), options.program.mtu, lens);
    let summary = runtime()?.block_on(exchange).map_err(failed)?;
    outputs.keep();
    if !options.quiet {
        say(&summary.to_string());
    }
    Ok(())
}

async fn exchange(config: Config, mtu: u16, lens: LensOptions) -> io::Result<Summary> {
    let link = Link::offloading(mtu);
    let (ours, theirs) = memory::pair(link, link, CAPACITY);
    let options = GatewayOptions {
        config: config.clone(),
        published: Vec::new(),
        host_loopback: false,
        resolvers: Vec::new(),
        demo: true,
        lens,
    };
    let gateway = Gateway::start(ours, options)?;
    let addresses = vec![PROGRAM_V4.into()];
    let client = Stack::spawn(theirs, StackOptions { config, seed: None, addresses })?;
    let mut stream = client.connect(SocketAddr::from((GATEWAY_V4, 80))).await?;
    stream.write_all(DEMO_REQUEST).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    drop(stream);
    client.drained().await;
    let summary = gateway.finish(std::future::pending()).await;
    client.shutdown().await;
    Ok(summary)
}
