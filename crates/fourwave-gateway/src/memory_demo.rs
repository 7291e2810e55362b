//! The demo where no namespace can be made: the same exchange between two engines in memory.

use std::io;
use std::net::SocketAddr;

use fourwave::{Stack, StackOptions};
use fourwave_device::memory;
use fourwave_wire::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::addresses::{GATEWAY_V4, PROGRAM_V4};
use crate::gateway::{Gateway, GatewayOptions};
use crate::outputs::Outputs;
use crate::run::{RunError, RunOptions, open_outputs, runtime};
use fourwave_lens::summary::Summary;

/// What the demo's client sends, whichever TCP it has. The connection is kept, so that the client
/// is the one to close it.
pub const DEMO_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 10.4.0.1\r\n\r\n";

/// Whether this is all of the demo server's answer: head, and as many bytes as it announces.
pub fn demo_answer_is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.is_some_and(|length: usize| body.len() >= length)
}

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
    let gateway = GatewayOptions {
        config: options.config.clone(),
        published: Vec::new(),
        host_loopback: false,
        resolvers: Vec::new(),
        demo: true,
        lens,
        faults: options.faults.clone(),
        quiet: options.quiet,
        refusals: None,
    };
    let exchange = exchange(gateway, options.program.mtu);
    let summary = runtime()?.block_on(exchange).map_err(failed)?;
    outputs.keep();
    if !options.quiet {
        say(&summary.to_string());
    }
    Ok(())
}

async fn exchange(options: GatewayOptions, mtu: u16) -> io::Result<Summary> {
    let link = Link::offloading(mtu);
    let (ours, theirs) = memory::pair(link, link, CAPACITY);
    let config = options.config.clone();
    let gateway = Gateway::start(ours, options)?;
    let client = Stack::spawn(theirs, StackOptions::default().config(config).address(PROGRAM_V4))?;
    let mut stream = client.connect(SocketAddr::from((GATEWAY_V4, 80))).await?;
    stream.write_all(DEMO_REQUEST).await?;
    let mut answer = Vec::new();
    while !demo_answer_is_whole(&answer) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    stream.shutdown().await?;
    stream.read_to_end(&mut answer).await?;
    drop(stream);
    client.drained().await;
    let summary = gateway.finish(std::future::pending()).await.summary;
    client.shutdown().await;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert!(demo_answer_is_whole(answer));
        for cut in 0..answer.len() {
            assert!(!demo_answer_is_whole(&answer[..cut]), "{cut}");
        }
        assert!(!demo_answer_is_whole(b"HTTP/1.1 200 OK\r\n\r\nno length"));
    }
}
