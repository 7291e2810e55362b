//! Two stacks on a link in memory. Tests run in virtual time: nothing waits for a clock.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fourwave::device::memory;
use fourwave::{Link, Stack, StackOptions, TcpListener, TcpStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 4, 0, 100));
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 4, 0, 1));
pub(crate) const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd04, 0, 0, 0, 0, 0, 0, 0x100));
pub(crate) const SERVER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd04, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const PORT: u16 = 80;

pub(crate) fn options(addresses: &[IpAddr], seed: u8) -> StackOptions {
    addresses.iter().fold(StackOptions::default().seed([seed; 32]), |to, &ip| to.address(ip))
}

/// A client and a server stack on a link that holds `capacity` packets.
pub(crate) fn stacks_on(client: Link, server: Link, capacity: usize) -> (Stack, Stack) {
    let (a, b) = memory::pair(client, server, capacity);
    let client = Stack::spawn(a, options(&[CLIENT, CLIENT6], 1)).unwrap();
    let server = Stack::spawn(b, options(&[SERVER, SERVER6], 2)).unwrap();
    (client, server)
}

pub(crate) fn stacks() -> (Stack, Stack) {
    stacks_on(Link::offloading(1500), Link::offloading(1500), 4096)
}

pub(crate) fn listen(server: &Stack) -> TcpListener {
    server.listen(SocketAddr::new(SERVER, PORT), 128).unwrap()
}

/// An open connection, both of its ends.
pub(crate) async fn connected(client: &Stack, server: &Stack) -> (TcpStream, TcpStream) {
    let listener = listen(server);
    let remote = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(client.connect(remote), listener.accept());
    let (far, from) = far.unwrap();
    let near = near.unwrap();
    assert_eq!(near.local_addr().unwrap(), from);
    assert_eq!(far.local_addr().unwrap(), remote);
    (near, far)
}

/// The byte at `at` of a stream that repeats itself nowhere near.
pub(crate) fn byte_at(at: u64) -> u8 {
    (at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Sends the first `len` bytes of that stream.
pub(crate) async fn send_pattern(to: &mut (impl AsyncWrite + Unpin), len: u64) -> io::Result<()> {
    let mut at = 0;
    while at < len {
        let chunk: Vec<u8> = (at..len.min(at + 100_000)).map(byte_at).collect();
        to.write_all(&chunk).await?;
        at += chunk.len() as u64;
    }
    Ok(())
}

/// Reads to the end, compares each byte, and returns how many came.
pub(crate) async fn check_pattern(from: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut buf = vec![0; 50_000];
    let mut at = 0;
    loop {
        let n = from.read(&mut buf).await?;
        if n == 0 {
            return Ok(at);
        }
        for byte in &buf[..n] {
            assert_eq!(*byte, byte_at(at), "at offset {at}");
            at += 1;
        }
    }
}

/// Sends everything back until the peer closes, then closes too.
pub(crate) async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let chunk = stream.read_chunk(usize::MAX).await?;
        if chunk.is_empty() {
            stream.shutdown().await?;
            return Ok(total);
        }
        total += chunk.len() as u64;
        stream.write_chunk(chunk).await?;
    }
}
