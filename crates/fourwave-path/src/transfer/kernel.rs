//! The ends on the kernel's TCP.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fourwave_linux::calls::get_option;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Received, Sent, Shared, Supply, TICK};

/// How often a call that waits looks at the time.
const LOOK: Duration = Duration::from_millis(50);
const IPPROTO_TCP: i32 = 6;
const TCP_INFO: i32 = 11;
/// Where `struct tcp_info` (Linux 4.19) has `tcpi_snd_mss`, `tcpi_rtt`, `tcpi_snd_ssthresh` and
/// `tcpi_snd_cwnd`, each of 4 bytes, `tcpi_bytes_sent` and `tcpi_bytes_retrans`, each of 8.
const SND_MSS: usize = 16;
const RTT: usize = 68;
const SND_SSTHRESH: usize = 76;
const SND_CWND: usize = 80;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;
/// TCP_INFINITE_SSTHRESH.
const NO_SSTHRESH: u64 = 0x7fff_ffff;

fn socket(shared: &Shared) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(shared.to), Type::STREAM, Some(Protocol::TCP))?;
    let name = shared.settings.algorithm.as_str();
    socket
        .set_tcp_congestion(name.as_bytes())
        .map_err(|e| io::Error::new(e.kind(), format!("TCP_CONGESTION {name}: {e}")))?;
    Ok(socket)
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

pub(super) fn receive(shared: &Shared, ready: &mpsc::Sender<()>) -> io::Result<Received> {
    let listener = socket(shared)?;
    listener.bind(&shared.to.into())?;
    listener.listen(16)?;
    listener.set_read_timeout(Some(LOOK))?;
    // Nobody waits any more: then nothing is sent either.
    let _ = ready.send(());
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if is_pause(&error) && Instant::now() < shared.deadline() => {}
            Err(error) if is_pause(&error) => {
                return Ok(Received { bytes: 0, at: Instant::now() });
            }
            Err(error) => return Err(error),
        }
    };
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_linger(Some(Duration::ZERO))?;
    let (deadline, mut buffer) = (shared.deadline(), vec![0; 256 * 1024]);
    let mut received = Received { bytes: 0, at: Instant::now() };
    while received.bytes < shared.bytes {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read as u64,
            Err(error) if is_pause(&error) => 0,
            // A sender whose time is over resets.
            Err(_) if Instant::now() >= deadline => break,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        if read > 0 {
            received = Received { bytes: received.bytes + read, at: now };
        }
    }
    // The sender must know before it sees the reset.
    shared.finish();
    Ok(received)
}

pub(super) fn send(shared: &Shared) -> io::Result<Sent> {
    let mut socket = socket(shared)?;
    socket.bind(&shared.from.into())?;
    let deadline = shared.begin();
    match socket.connect_timeout(&shared.to.into(), shared.limit) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Sent::default()),
        Err(error) => return Err(error),
    }
    socket.set_write_timeout(Some(LOOK))?;
    let (mut supply, mut taken) = (Supply(shared.bytes), 0);
    while let Some(chunk) = supply.next(taken) {
        if Instant::now() >= deadline || shared.is_over() {
            break;
        }
        taken = match socket.write(&chunk) {
            Ok(taken) => taken,
            Err(error) if is_pause(&error) => 0,
            // The receiver resets when it has seen enough.
            Err(_) if shared.is_over() || Instant::now() >= deadline => break,
            Err(error) => return Err(error),
        };
    }
    while !shared.is_over() && Instant::now() < deadline {
        std::thread::sleep(TICK);
    }
    let sent = figures(&socket)?;
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(sent)
}

fn figures(socket: &Socket) -> io::Result<Sent> {
    let mut info = [0; 256];
    let len = get_option(socket.as_fd(), IPPROTO_TCP, TCP_INFO, &mut info)?;
    if len < BYTES_RETRANS + 8 {
        return Err(io::Error::new(ErrorKind::Unsupported, "this kernel's TCP_INFO is too short"));
    }
    let mss = half(&info, SND_MSS);
    let ssthresh = Some(half(&info, SND_SSTHRESH)).filter(|segments| *segments < NO_SSTHRESH);
    Ok(Sent {
        bytes: word(&info, BYTES_SENT),
        again: word(&info, BYTES_RETRANS),
        cwnd: half(&info, SND_CWND) * mss,
        ssthresh: ssthresh.map(|segments| segments * mss),
        rtt: Duration::from_micros(half(&info, RTT)),
    })
}

fn half(info: &[u8], at: usize) -> u64 {
    info[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes).into())
}

fn word(info: &[u8], at: usize) -> u64 {
    info[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
