//! The two ends of the load: a server that closes or does not, and a client that counts.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

/// What the server sends for each byte of the client's.
const ANSWER: [u8; 100] = [b'x'; 100];
/// The request after whose answer the server closes.
const CLOSE: u8 = b'c';
/// The request after whose answer it goes on.
const KEEP: u8 = b'k';
/// Connections at a time.
const CLIENTS: u64 = 16;
const SERVERS: usize = 48;
/// So many failures prove the point.
const GIVE_UP: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);

#[derive(Args, Clone)]
pub(crate) struct ClientArguments {
    /// The server
    address: SocketAddr,
    /// Connections to open, or requests with --keep
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Stop after so many seconds, whatever is left
    #[arg(long, default_value_t = 45)]
    seconds: u64,
    /// Close before the server does
    #[arg(long)]
    first: bool,
    /// Close by RST: SO_LINGER with 0 seconds
    #[arg(long)]
    linger_zero: bool,
    /// All requests over as many connections as there are threads
    #[arg(long)]
    keep: bool,
    /// Set in this namespace before anything is opened (root): net.ipv4.tcp_tw_reuse=1; a
    /// comma stands for a space
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
}

/// What a client counted, as a line of JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) opened: u64,
    pub(super) requests: u64,
    /// No port was left (EADDRNOTAVAIL).
    pub(super) no_port: u64,
    pub(super) refused: u64,
    pub(super) reset: u64,
    /// Anything else, time-outs above all.
    pub(super) other: u64,
    /// Opens that were not through when the time was over.
    pub(super) waiting: u64,
    pub(super) seconds: f64,
    /// TIME_WAITs of this namespace's kernel at the end, and the most there were.
    pub(super) kernel_tw: u64,
    pub(super) kernel_tw_peak: u64,
}

#[derive(Default)]
struct Tally {
    begun: AtomicU64,
    clients: AtomicU64,
    opening: AtomicU64,
    opened: AtomicU64,
    requests: AtomicU64,
    no_port: AtomicU64,
    refused: AtomicU64,
    reset: AtomicU64,
    other: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Tally {
    fn failed(&self, error: &std::io::Error) {
        let place = match error.kind() {
            ErrorKind::AddrNotAvailable => &self.no_port,
            ErrorKind::ConnectionRefused => &self.refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                &self.reset
            }
            _ => &self.other,
        };
        place.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn next(&self, count: u64) -> bool {
        !self.over.load(Ordering::Relaxed)
            && self.failed.load(Ordering::Relaxed) < GIVE_UP
            && self.begun.fetch_add(1, Ordering::Relaxed) < count
    }
}

/// TIME_WAITs of this network namespace.
fn kernel_time_waits() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.by_ref().find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

/// Opens and closes connections and prints what came of it.
pub(crate) fn client(arguments: &ClientArguments) -> Result<(), String> {
    for setting in &arguments.sysctl {
        let (name, value) = setting.split_once('=').ok_or("--sysctl takes NAME=VALUE")?;
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        std::fs::write(&path, value.replace(',', " ")).map_err(|e| format!("{path}: {e}"))?;
    }
    let tally = Arc::new(Tally { clients: CLIENTS.into(), ..Tally::default() });
    let start = Instant::now();
    for _ in 0..CLIENTS {
        let (tally, arguments) = (Arc::clone(&tally), arguments.clone());
        thread::spawn(move || {
            work(&arguments, &tally);
            tally.clients.fetch_sub(1, Ordering::Relaxed);
        });
    }
    let end = Duration::from_secs(arguments.seconds);
    let mut kernel_tw_peak = 0;
    // A client may hang in connect for minutes: it is left behind.
    while tally.clients.load(Ordering::Relaxed) > 0 && start.elapsed() < end {
        kernel_tw_peak = kernel_tw_peak.max(kernel_time_waits().unwrap_or(0));
        thread::sleep(TICK);
    }
    let seconds = start.elapsed().as_secs_f64();
    tally.over.store(true, Ordering::Relaxed);
    let kernel_tw = kernel_time_waits().unwrap_or(0);
    let of = |place: &AtomicU64| place.load(Ordering::Relaxed);
    let counted = Counted {
        opened: of(&tally.opened),
        requests: of(&tally.requests),
        no_port: of(&tally.no_port),
        refused: of(&tally.refused),
        reset: of(&tally.reset),
        other: of(&tally.other),
        waiting: of(&tally.opening),
        seconds,
        kernel_tw,
        kernel_tw_peak: kernel_tw_peak.max(kernel_tw),
    };
    println!("{}", serde_json::to_string(&counted).map_err(|e| e.to_string())?);
    Ok(())
}

fn work(arguments: &ClientArguments, tally: &Tally) {
    let mut kept = None;
    while tally.next(arguments.count) {
        let done = (|| {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => open(arguments, tally)?,
            };
            let keep = arguments.keep || arguments.first;
            stream.write_all(&[if keep { KEEP } else { CLOSE }])?;
            stream.read_exact(&mut [0; ANSWER.len()])?;
            tally.requests.fetch_add(1, Ordering::Relaxed);
            if !keep && stream.read(&mut [0])? != 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            kept = arguments.keep.then_some(stream);
            Ok::<(), std::io::Error>(())
        })();
        if let Err(error) = done {
            tally.failed(&error);
        }
    }
}

fn open(arguments: &ClientArguments, tally: &Tally) -> std::io::Result<TcpStream> {
    tally.opening.fetch_add(1, Ordering::Relaxed);
    let stream = TcpStream::connect(arguments.address);
    tally.opening.fetch_sub(1, Ordering::Relaxed);
    let stream = stream?;
    tally.opened.fetch_add(1, Ordering::Relaxed);
    stream.set_read_timeout(Some(PATIENCE))?;
    if arguments.linger_zero {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(stream)
}

/// Answers until standard input ends.
pub(crate) fn server(address: SocketAddr) -> Result<(), String> {
    let listener = TcpListener::bind(address).map_err(|e| format!("{address}: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    println!("{address}");
    let listener: &'static TcpListener = Box::leak(Box::new(listener));
    for _ in 0..SERVERS {
        thread::spawn(move || {
            loop {
                if let Ok((stream, _)) = listener.accept() {
                    // A client that resets has its reasons.
                    let _ = answer(stream);
                }
            }
        });
    }
    // Its content means nothing.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0];
    while stream.read(&mut request)? > 0 {
        stream.write_all(&ANSWER)?;
        if request[0] == CLOSE {
            return Ok(());
        }
    }
    Ok(())
}
