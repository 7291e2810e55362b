//! An echo server and its client, each on a stack of its own, over a link in memory: no device of
//! the system, no rights, no port of the host.
//!
//! `cargo run -p fourwave --example echo`

use std::io;
use std::net::SocketAddr;

use fourwave::device::memory;
use fourwave::{Link, Stack, StackOptions, TcpListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CAPACITY: usize = 256;

/// Echoes what one caller says until its FIN, then closes too.
async fn echo(listener: TcpListener) -> io::Result<String> {
    let (stream, peer) = listener.accept().await?;
    let (mut read, mut write) = stream.into_split();
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await?;
    Ok(format!("{peer}: {}", read.closed().await))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let server: SocketAddr = ([10, 4, 0, 1], 7).into();
    let (near, far) = memory::pair(Link::offloading(1500), Link::offloading(1500), CAPACITY);
    let client = Stack::spawn(near, StackOptions::default().address([10, 4, 0, 100]))?;
    let serving =
        tokio::spawn(echo(Stack::spawn(far, StackOptions::default())?.listen(server, 16)?));

    let mut stream = client.connect(server).await?;
    stream.write_all(b"four waves").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("the client reads {answer:?}");
    println!("the client: {}", stream.closed().await);
    println!("the server, of {}", serving.await.map_err(io::Error::other)??);
    println!("TIME_WAIT at the client: {}", client.population().time_wait);
    Ok(())
}
