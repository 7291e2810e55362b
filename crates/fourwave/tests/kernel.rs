//! Closing sequences with the kernel's TCP as the peer, over a TUN in a namespace of its own: both
//! roles, both orders, with lost, late and duplicated segments. At each step `ss` in the namespace
//! and the lens, which sees packets only, say the same about the kernel's end.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fourwave::device::tap::{Direction, ObserveFn, PacketView, Tapped};
use fourwave::device::tun::{self, Tun, TunOptions};
use fourwave::{Stack, StackOptions};
use fourwave_core::state::State;
use fourwave_fault::{Faulty, Plan};
use fourwave_lens::{Event, Lens, LensOptions};
use fourwave_testkit::{Bounded, command, find, missing, skip_test};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream as KernelStream};

const KERNEL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 0, 100));
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 0, 1));
/// Past this a test is stuck, not slow.
const STUCK: Duration = Duration::from_secs(120);
const POLLS: u32 = 2000;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Kernel,
    Us,
}

/// Who sends the first FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Kernel,
    Us,
    Both,
}

/// What the lens told of the kernel's end, the latest last.
type States = Arc<Mutex<Vec<State>>>;

fn name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::Listen => "LISTEN",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECV",
        State::Established => "ESTAB",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

/// The kernel's word on its end of the connection; CLOSED when it has none.
fn ss(kernel: SocketAddr, ours: SocketAddr) -> String {
    let output = command("ss").args(["-tanH"]).bounded();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_it = |line: &&str| {
        let mut cells = line.split_whitespace().skip(3);
        cells.next() == Some(&kernel.to_string()) && cells.next() == Some(&ours.to_string())
    };
    let line = text.lines().find(is_it);
    line.and_then(|line| line.split_whitespace().next()).unwrap_or("CLOSED").to_owned()
}

fn ip(args: &str) {
    let output = command("ip").args(args.split(' ')).bounded();
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How to start a program in a new network namespace here: as root, or as anyone where the system
/// allows user namespaces. After a visible line, `None`.
fn unshare(test: &str) -> Option<&'static str> {
    if let Some(tool) = ["ip", "ss", "unshare"].into_iter().find(|tool| find(tool).is_none()) {
        skip_test(test, missing(tool));
        return None;
    }
    // A TUN is opened as the cases open theirs.
    let probe = |flags: &&&str| {
        let mut command = command("unshare");
        command.args([flags, "ip", "tuntap", "add", "mode", "tun"]).bounded().status.success()
    };
    let flags = ["-n", "-rn"].iter().find(probe).copied();
    if flags.is_none() {
        skip_test(test, "no network namespace with a TUN may be made here; run as root");
    }
    flags
}

/// A stack of ours on a TUN with `faults`, the lens between the faults and the kernel.
struct World {
    stack: Stack,
    states: States,
}

impl World {
    fn new(faults: &str) -> Self {
        let (fd, tun) = tun::open(Some("fw%d"), TunOptions::default()).expect("tun opens");
        ip("link set lo up");
        ip(&format!("addr add {KERNEL}/24 dev {tun}"));
        ip(&format!("link set {tun} up"));
        let states = States::default();
        let (told, mut lens) = (Arc::clone(&states), Lens::new(live()));
        let watch = move |_: Direction, packet: &PacketView<'_>| {
            lens.observe(packet.elapsed, packet.head, packet.len(), packet.gso_size);
            while let Some(event) = lens.poll_event() {
                let Event::Entry(seen) = event else { continue };
                let end = usize::from(seen.addrs[0].ip() != KERNEL);
                if let Some(moved) = seen.entry.moved[end] {
                    told.lock().expect("no panic").push(moved.to);
                }
            }
        };
        let device = Tapped::new(Tun::from_fd(fd, 1500).expect("attaches"), ObserveFn::new(watch));
        let specs = faults.split_whitespace().map(|spec| spec.parse().expect("a fault")).collect();
        let device = Faulty::with_faults(device, Plan::new(specs, 1, |_| {}));
        let options = StackOptions::default().address(OURS);
        let stack = Stack::spawn(device, options).expect("a stack");
        Self { stack, states }
    }

    /// An open connection.
    async fn open(self, caller: Who) -> Connection {
        let (ours, theirs) = match caller {
            Who::Us => {
                let listener = TcpListener::bind((KERNEL, 0)).await.unwrap();
                let remote = listener.local_addr().unwrap();
                let (ours, theirs) =
                    tokio::try_join!(self.stack.connect(remote), listener.accept()).unwrap();
                (ours, theirs.0)
            }
            Who::Kernel => {
                let listener = self.stack.listen((OURS, 80).into(), 8).unwrap();
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((KERNEL, 0).into()).unwrap();
                let remote = listener.local_addr().unwrap();
                let (theirs, ours) =
                    tokio::try_join!(socket.connect(remote), listener.accept()).unwrap();
                (ours.0, theirs)
            }
        };
        let ends = (theirs.local_addr().unwrap(), ours.local_addr().unwrap());
        let seen = vec![];
        let mut this = Connection { world: self, ours, theirs, ends, seen };
        this.agree(State::Established).await;
        this
    }
}

fn live() -> LensOptions {
    LensOptions { live: true, ..LensOptions::default() }
}

struct Connection {
    world: World,
    ours: fourwave::TcpStream,
    theirs: KernelStream,
    /// The kernel's address and ours.
    ends: (SocketAddr, SocketAddr),
    /// What `ss` said, each once.
    seen: Vec<String>,
}

impl Connection {
    fn lens(&self) -> Option<State> {
        self.world.states.lock().expect("no panic").last().copied()
    }

    fn sample(&mut self) -> String {
        let said = ss(self.ends.0, self.ends.1);
        if self.seen.last() != Some(&said) {
            self.seen.push(said.clone());
        }
        said
    }

    /// Until `ss` and the lens both say `state`.
    async fn agree(&mut self, state: State) {
        for _ in 0..POLLS {
            let said = self.sample();
            if said == name(state) && self.lens() == Some(state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("not {state:?}: ss said {:?}, the lens {:?}", self.seen, self.lens());
    }

    /// Until the lens has told `state`, which does not last: `ss` may miss it on a busy machine.
    async fn pass(&mut self, state: State) {
        for _ in 0..POLLS {
            self.sample();
            if self.world.states.lock().expect("no panic").contains(&state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("never {state:?}: ss said {:?}, the lens {:?}", self.seen, self.lens());
    }

    async fn shutdown(&mut self, who: Who) {
        match who {
            Who::Kernel => self.theirs.shutdown().await.unwrap(),
            Who::Us => self.ours.shutdown().await.unwrap(),
        }
    }

    /// `from` sends, the other end reads it all.
    async fn carry(&mut self, from: Who) {
        let (data, mut got) = ([7; 20_000], vec![0; 20_000]);
        match from {
            Who::Kernel => {
                let sent = self.theirs.write_all(&data);
                let (sent, read) = tokio::join!(sent, self.ours.read_exact(&mut got));
                (sent.unwrap(), read.unwrap())
            }
            Who::Us => {
                let sent = self.ours.write_all(&data);
                let (sent, read) = tokio::join!(sent, self.theirs.read_exact(&mut got));
                // A FIN behind data in flight may be probed for, and the copy's ACK would meet no
                // connection any more: its RST ends the kernel's TIME_WAIT (RFC 1337).
                self.ours.drained().await.unwrap();
                (sent.unwrap(), read.unwrap())
            }
        };
        assert_eq!(got, data);
    }

    /// Each reads the other's end of the stream; no error, no byte.
    async fn both_ended(&mut self) {
        let (mut a, mut b) = ([0], [0]);
        let (ours, theirs) = tokio::join!(self.ours.read(&mut a), self.theirs.read(&mut b));
        assert_eq!((ours.unwrap(), theirs.unwrap()), (0, 0));
    }

    /// What `ss` said one after the other, the lens said too, in that order.
    fn check_order(&self, case: &str) {
        let told = self.world.states.lock().expect("no panic").clone();
        let mut rest = told.iter().map(|state| name(*state));
        for said in &self.seen {
            assert!(rest.any(|t| t == said), "{case}: ss {:?}, the lens {told:?}", self.seen);
        }
    }
}

/// The four waves, half-closed in between.
async fn four_waves(caller: Who, first: First, faults: &str) {
    let case = format!("{caller:?} calls, {first:?} closes first, {faults:?}");
    let mut conn = World::new(faults).open(caller).await;
    conn.carry(Who::Us).await;
    conn.carry(Who::Kernel).await;
    match first {
        First::Kernel => {
            conn.shutdown(Who::Kernel).await;
            conn.pass(State::FinWait1).await;
            conn.agree(State::FinWait2).await;
            conn.carry(Who::Us).await;
            conn.shutdown(Who::Us).await;
            conn.agree(State::TimeWait).await;
        }
        First::Us => {
            conn.shutdown(Who::Us).await;
            conn.agree(State::CloseWait).await;
            conn.carry(Who::Kernel).await;
            conn.shutdown(Who::Kernel).await;
            conn.pass(State::LastAck).await;
            conn.agree(State::Closed).await;
        }
        First::Both => {
            // The kernel's FIN waits in the device while ours goes out.
            conn.shutdown(Who::Kernel).await;
            conn.shutdown(Who::Us).await;
            if faults == "none" {
                // Neither has had a turn to acknowledge the other's.
                assert_eq!(conn.sample(), "CLOSING", "{case}");
            }
            conn.agree(State::TimeWait).await;
        }
    }
    conn.both_ended().await;
    conn.check_order(&case);
}

/// Says to this program, started again in a namespace, which of a test's cases to run.
const CASE: &str = "FOURWAVE_KERNEL_CASE";

/// Each case in a namespace, and a process, of its own: none meets the device of another.
fn runs(test: &str, first: First, faults: &[&str]) {
    let callers = [Who::Us, Who::Kernel];
    if let Ok(case) = std::env::var(CASE) {
        let case: usize = case.parse().expect("a number of ours");
        let (caller, fault) = (callers[case / faults.len()], faults[case % faults.len()]);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        return builder.enable_all().build().unwrap().block_on(async {
            let case = four_waves(caller, first, fault);
            tokio::time::timeout(STUCK, case).await.expect("the test is stuck");
        });
    }
    let Some(flags) = unshare(test) else { return };
    let program = std::env::current_exe().unwrap();
    for case in 0..callers.len() * faults.len() {
        let mut command = command("unshare");
        command.arg(flags).arg(&program).args(["--exact", test]).env(CASE, case.to_string());
        let output = command.bounded();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "case {case}: {text}");
    }
}

const FAULTS: &[&str] = &[
    "none",
    "drop:fin:program",
    "drop:fin:peer",
    "drop:last-ack",
    "drop:last-ack:2",
    "delay:fin:100ms",
    "dup:100%",
    "dup:50%,reorder:20%,delay:3ms",
];

#[test]
fn the_kernel_closes_first() {
    runs("the_kernel_closes_first", First::Kernel, FAULTS);
}

#[test]
fn we_close_first() {
    runs("we_close_first", First::Us, FAULTS);
}

#[test]
fn both_close_at_once() {
    let faults = &["none", "drop:fin:program", "drop:fin:peer", "delay:fin:100ms", "dup:100%"];
    runs("both_close_at_once", First::Both, faults);
}
