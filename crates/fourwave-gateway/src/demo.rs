//! A small web page at the gateway's port 80, for a first look without any other program.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fourwave::{TcpListener, TcpStream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::addresses::{GATEWAY_V4, GATEWAY_V6};
use crate::shared::Shared;

const PORT: u16 = 80;
const PAGE: &str = "Hello from the other end of your own TCP.\n";
/// The longest request head that is read.
const HEAD_MAX: usize = 8192;

/// Listens on both addresses of the gateway.
///
/// # Errors
/// The stack has stopped.
pub(crate) fn serve(shared: &Arc<Shared>) -> io::Result<()> {
    for address in [GATEWAY_V4.into(), GATEWAY_V6.into()] {
        let listener = shared.stack.listen(SocketAddr::new(address, PORT), 128)?;
        shared.spawn(accept(Arc::clone(shared), listener));
    }
    Ok(())
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    // The only error is the stack's end.
    while let Ok((stream, _)) = listener.accept().await {
        shared.spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = answer(stream).await;
        });
    }
}

/// Answers one request after the other until the client wants no more.
async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = head(&mut stream).await? {
        let keep = !request.close;
        let status = if request.get { "200 OK" } else { "405 Method Not Allowed" };
        let connection = if keep { "keep-alive" } else { "close" };
        let length = PAGE.len();
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: {connection}\r\n\r\n{PAGE}"
        );
        stream.write_all(response.as_bytes()).await?;
        if !keep {
            break;
        }
    }
    stream.shutdown().await
}

struct Request {
    get: bool,
    close: bool,
}

/// The next request's head; `None` at the end, and for what is no HTTP/1 request.
async fn head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    let mut size = 0;
    loop {
        let mut line = Vec::new();
        let mut limited = tokio::io::AsyncReadExt::take(&mut *stream, (HEAD_MAX - size) as u64);
        let read = limited.read_until(b'\n', &mut line).await?;
        size += read;
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let Some(first) = lines.first().filter(|line| line.contains(" http/1.")) else {
        return Ok(None);
    };
    let has = |header: &str| lines.iter().any(|line| line.replace(' ', "") == header);
    let old = first.ends_with("http/1.0") && !has("connection:keep-alive");
    Ok(Some(Request { get: first.starts_with("get "), close: old || has("connection:close") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Option<(bool, bool)> {
        let mut bytes = text.as_bytes();
        head(&mut bytes).await.unwrap().map(|r| (r.get, r.close))
    }

    #[tokio::test]
    async fn requests_say_whether_the_connection_is_kept() {
        assert_eq!(read("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, Some((true, false)));
        let close = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert_eq!(read(close).await, Some((true, true)));
        assert_eq!(read("GET / HTTP/1.0\r\n\r\n").await, Some((true, true)));
        assert_eq!(read("POST / HTTP/1.1\r\n\r\n").await, Some((false, false)));
    }

    #[tokio::test]
    async fn nonsense_ends_the_connection() {
        assert_eq!(read("").await, None);
        assert_eq!(read("hello\r\n\r\n").await, None);
        assert_eq!(read("GET / HTTP/1.1\r\n").await, None);
        assert_eq!(read(&"x".repeat(2 * HEAD_MAX)).await, None);
    }
}
