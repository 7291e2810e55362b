//! The demo's client: an ordinary program with the kernel's TCP, run in the namespace.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use fourwave_gateway::addresses::GATEWAY_V4;

/// One request, the answer to its end, and a half-close between: the server still sends after
/// the client has said that it will not.
pub(crate) fn client(_arguments: impl Iterator<Item = OsString>) -> u8 {
    match exchange(SocketAddr::from((GATEWAY_V4, 80))) {
        Ok(bytes) => {
            println!("demo client: {bytes} bytes of answer, read to the end");
            0
        }
        Err(error) => {
            eprintln!("demo client: {error}");
            1
        }
    }
}

fn exchange(server: SocketAddr) -> io::Result<usize> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 10.4.0.1\r\nConnection: close\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.len())
}
