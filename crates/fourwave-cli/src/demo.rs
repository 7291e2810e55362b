//! `run --demo`: its client, an ordinary program with the kernel's TCP.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use fourwave_gateway::addresses::GATEWAY_V4;
use fourwave_gateway::{DEMO_REQUEST, demo_answer_is_whole};
use fourwave_linux::reason;

use crate::DEMO_CLIENT;
use crate::output::say;

/// As for everything that fails in `run` and is no program's.
const FAILED: u8 = 125;

/// What `run --demo` runs in the namespace. The child stage is this executable too.
pub(crate) fn command() -> Vec<OsString> {
    vec!["/proc/self/exe".into(), DEMO_CLIENT.into()]
}

/// One request and its answer on a kept connection; then the client closes its direction and
/// reads to the end of the other.
pub(crate) fn client(_arguments: impl Iterator<Item = OsString>) -> u8 {
    let done = exchange(SocketAddr::from((GATEWAY_V4, 80))).and_then(|bytes| {
        let line = format!("demo client: {bytes} bytes of answer, read to the end\n");
        let mut out = io::stdout().lock();
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            // A reader that stops early is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    });
    match done {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("the demo's client: {}", reason(&error)));
            FAILED
        }
    }
}

fn exchange(server: SocketAddr) -> io::Result<usize> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(DEMO_REQUEST)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !demo_answer_is_whole(&answer) {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&chunk[..read]),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut answer)?;
    Ok(answer.len())
}
