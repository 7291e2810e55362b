//! Captures made by two engines in memory become scripts, and the scripts pass; broken, they fail.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use fourwave_core::{Config, ConnId, Engine, Instant};
use fourwave_drill::capture::{Capture, CaptureError};
use fourwave_drill::lang;
use fourwave_drill::run::{Options, Outcome, run};
use fourwave_drill::virt::{Setup, Virtual};
use fourwave_net::{Filter, Host, Network, Way, read_all};
use fourwave_wire::Link;

const CLIENT: usize = 0;
const SERVER: usize = 1;
const DELAY: Duration = Duration::from_millis(10);
const PORT: u16 = 80;

/// When, sent by the server, the packet.
type Seen = Vec<(Duration, bool, Vec<u8>)>;

/// What passes at the server's end of the link.
#[derive(Default)]
struct Tap {
    seen: Seen,
    /// One packet in so many is lost: those of the server behind the capture, those of the client
    /// before it.
    loses: Option<usize>,
    passed: usize,
}

impl Filter for Tap {
    fn decide(&mut self, now: Instant, from: usize, packet: &Bytes) -> Way {
        self.passed += 1;
        let lost = self.loses.is_some_and(|each| self.passed.is_multiple_of(each));
        if from == SERVER || !lost {
            let at = if from == SERVER { now } else { now + DELAY };
            let at = Duration::from_micros(at.as_micros());
            let place = self.seen.partition_point(|(before, ..)| *before <= at);
            self.seen.insert(place, (at, from == SERVER, packet.to_vec()));
        }
        if lost { Way::Drop } else { Way::Pass }
    }
}

/// A connection of two hosts.
struct World {
    net: Network<Tap>,
    conns: [Option<ConnId>; 2],
}

impl World {
    fn new() -> Self {
        Self::with(Link::plain(1500))
    }

    fn with(link: Link) -> Self {
        // CUBIC, as the profile has it that scripts are played with.
        let config = Config { tcp_congestion_control: 1, ..Config::default() };
        let host = |n| Host::new([10, 9, 0, n].into(), config.clone(), link, n);
        let start = Instant::from_micros(5_000_000);
        let mut net = Network::new(start, vec![host(1), host(2)], Tap::default());
        net.delay = DELAY;
        net.ends[SERVER].listen(PORT, 8);
        let client = net.connect((CLIENT, 0), (SERVER, PORT)).unwrap();
        let mut world = Self { net, conns: [Some(client), None] };
        world.pass(Duration::from_millis(100));
        world.conns[SERVER] = world.net.ends[SERVER].accept(world.net.now);
        world
    }

    /// Lets time go on. Both applications read all that came, as it comes.
    fn pass(&mut self, time: Duration) {
        let end = self.net.now + time;
        self.net.flush();
        while self.net.jump(end) {
            self.net.deliver();
            for (host, conn) in self.net.ends.iter_mut().zip(self.conns) {
                conn.map(|conn| read_all(&mut host.engine, self.net.now, conn));
            }
            self.net.fire();
            self.net.flush();
        }
    }

    /// The engine of an end, with the time and its connection.
    fn end(&mut self, who: usize) -> (&mut Engine, Instant, ConnId) {
        (&mut self.net.ends[who].engine, self.net.now, self.conns[who].unwrap())
    }

    fn send(&mut self, who: usize, len: usize) {
        let (stack, now, conn) = self.end(who);
        assert_eq!(stack.send(now, conn, &mut Bytes::from(vec![0; len])), Ok(len));
        self.pass(Duration::from_millis(100));
    }

    /// Sends so much in writes of one size, as fast as the stack takes it.
    fn bulk(&mut self, who: usize, mut left: usize, write: usize) {
        while left > 0 {
            let mut data = Bytes::from(vec![0; write.min(left)]);
            let (stack, now, conn) = self.end(who);
            left -= stack.send(now, conn, &mut data).unwrap();
            self.pass(Duration::from_micros(500));
        }
        self.pass(Duration::from_secs(3));
    }

    fn close(&mut self, who: usize) {
        let (stack, now, conn) = self.end(who);
        stack.close(now, conn).unwrap();
        self.conns[who] = None;
        self.pass(Duration::from_millis(100));
    }

    fn shut(&mut self, who: usize) {
        let (stack, now, conn) = self.end(who);
        stack.shutdown(now, conn).unwrap();
        self.pass(Duration::from_millis(100));
    }

    fn abort(&mut self, who: usize) {
        let (stack, now, conn) = self.end(who);
        stack.abort(now, conn).unwrap();
        self.conns[who] = None;
        self.pass(Duration::from_millis(100));
    }

    /// A request, its answer, and both close.
    fn exchange() -> Self {
        let mut world = Self::new();
        world.send(CLIENT, 300);
        world.send(SERVER, 5000);
        world.close(CLIENT);
        world.close(SERVER);
        world
    }
}

/// A pcap file of these packets, each behind `link`'s header, which is made for it.
fn pcap(
    seen: &[(Duration, bool, Vec<u8>)],
    link: u32,
    header: impl Fn(bool) -> Vec<u8>,
) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (at, sent, packet) in seen {
        let mut frame = header(*sent);
        frame.extend_from_slice(packet);
        let len = frame.len() as u32;
        for word in [at.as_secs() as u32, at.subsec_micros(), len, len] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&frame);
    }
    file
}

/// The same packets as another stack might have sent them: neighbours become super-packets of so
/// many segments, and PSH stands where it likes.
fn cut_otherwise(
    seen: &[(Duration, bool, Vec<u8>)],
    most: usize,
    psh: impl Fn(usize) -> bool,
) -> Seen {
    const HEADERS: usize = 20 + 32;
    let word =
        |packet: &[u8], at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
    let mut out: Seen = Vec::new();
    let mut joined = 1;
    for (at, sent, packet) in seen {
        let plain = packet.len() > HEADERS && packet[33] & 0x07 == 0;
        let follows = out.last().is_some_and(|(before, who, last)| {
            let data = last.len().saturating_sub(HEADERS) as u32;
            let next = word(last, 24).wrapping_add(data) == word(packet, 24);
            let fits = last.len() + packet.len() - HEADERS <= usize::from(u16::MAX);
            who == sent && before == at && data > 0 && last[33] & 0x07 == 0 && next && fits
        });
        joined = if plain && follows && joined < most { joined + 1 } else { 1 };
        match out.last_mut().filter(|_| joined > 1) {
            Some((.., last)) => {
                last.extend_from_slice(&packet[HEADERS..]);
                let len = u16::try_from(last.len()).unwrap();
                last[2..4].copy_from_slice(&len.to_be_bytes());
            }
            None => out.push((*at, *sent, packet.clone())),
        }
    }
    for (place, (.., packet)) in out.iter_mut().enumerate() {
        if packet.len() > HEADERS && packet[33] & 0x02 == 0 {
            packet[33] = packet[33] & !0x08 | if psh(place) { 0x08 } else { 0 };
        }
    }
    out
}

const RAW: u32 = 101;

fn raw(world: &World) -> Vec<u8> {
    pcap(&world.net.filter.seen, RAW, |_| Vec::new())
}

fn read(file: &[u8]) -> Result<Capture, CaptureError> {
    Capture::read(Cursor::new(file.to_vec()))
}

/// The script of the only connection, for the side with this address.
fn script(file: &[u8], local: &str) -> String {
    let capture = read(file).unwrap();
    assert_eq!((capture.connections().len(), &capture.damaged), (1, &None));
    let conn = capture.connection(1).unwrap();
    let local = (!local.is_empty()).then(|| local.parse().unwrap());
    let fitted = conn.script(local, "test.pcap").unwrap();
    assert_eq!(fitted.failure, None, "{}", fitted.text);
    fitted.text
}

fn play(script: &str) -> Outcome {
    let parsed = lang::parse(script).map_err(|error| error.in_file("script").to_string());
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}\n{script}"));
    let options = Options::default().for_script(&parsed).unwrap();
    run(&parsed, &options, &mut Virtual::new(Setup::from(&options))).outcome
}

#[track_caller]
fn passes(script: &str, calls: &[&str]) {
    assert_eq!(play(script), Outcome::Passed, "{script}");
    for call in calls {
        assert!(script.contains(call), "{call:?} is not in\n{script}");
    }
}

#[test]
fn the_server_of_an_exchange() {
    let script = script(&raw(&World::exchange()), "10.9.0.2");
    let calls = ["listen(3", "accept(3", "read(4, ..., 300) = 300", "write(4, ..., 5000) = 5000"];
    passes(&script, &calls);
    passes(&script, &["read(4, ..., 1) = 0", "close(4) = 0", "--mtu=1500"]);
    assert!(script.contains("plays 10.9.0.2:80, as asked for."), "{script}");
}

#[test]
fn the_client_of_an_exchange() {
    let script = script(&raw(&World::exchange()), "10.9.0.1");
    passes(&script, &["connect(3", "write(3, ..., 300) = 300", "close(3) = 0"]);
    assert!(!script.contains("listen("), "{script}");
}

#[test]
fn a_direction_that_stays_open_is_shut_not_closed() {
    let mut world = World::new();
    world.send(CLIENT, 100);
    world.shut(CLIENT);
    world.send(SERVER, 700);
    world.close(SERVER);
    world.close(CLIENT);
    let client = script(&raw(&world), "10.9.0.1");
    passes(&client, &["shutdown(3, SHUT_WR) = 0", "read(3, ..., 700) = 700", "close(3) = 0"]);
    let server = script(&raw(&world), "10.9.0.2");
    passes(&server, &["read(4, ..., 1) = 0", "write(4, ..., 700) = 700", "close(4) = 0"]);
}

#[test]
fn resets_of_either_side() {
    let mut world = World::new();
    world.send(CLIENT, 100);
    world.abort(SERVER);
    passes(&script(&raw(&world), "10.9.0.2"), &["SO_LINGER, {onoff=1, linger=0}", "> R"]);
    passes(&script(&raw(&world), "10.9.0.1"), &["read(3, ..., 1) = -1 ECONNRESET", "< R"]);
}

#[test]
fn a_script_that_is_changed_fails_where_it_was_changed() {
    let script = script(&raw(&World::exchange()), "10.9.0.2");
    let fin = script.lines().position(|line| line.contains("> F. 5001:5001(0)")).unwrap();
    let broken = script.replace("> F. 5001:5001(0)", "> R. 5001:5001(0)");
    let Outcome::Failed(failure) = play(&broken) else { panic!("it passes:\n{broken}") };
    assert_eq!(failure.span.line as usize, fin + 1, "{}", failure.message);
    let silent = script.replace("close(4) = 0", "read(4, ..., 1) = 0");
    assert!(matches!(play(&silent), Outcome::Failed(_)), "{silent}");
}

#[test]
fn every_link_gives_the_same_script() {
    let world = World::exchange();
    let wanted = script(&raw(&world), "10.9.0.2");
    let ethernet = |_| [[2; 12].to_vec(), vec![8, 0]].concat();
    let vlan = |_| [[2; 12].to_vec(), vec![0x81, 0, 0, 7, 8, 0]].concat();
    let cooked = |sent| [vec![0, if sent { 4 } else { 0 }], vec![0; 12], vec![8, 0]].concat();
    let cooked2 =
        |sent| [vec![8, 0], vec![0; 8], vec![if sent { 4 } else { 0 }], vec![0; 9]].concat();
    assert_eq!(script(&pcap(&world.net.filter.seen, 1, ethernet), "10.9.0.2"), wanted);
    assert_eq!(script(&pcap(&world.net.filter.seen, 1, vlan), "10.9.0.2"), wanted);
    // These say themselves who is local.
    let marked = wanted.replace("as asked for", "whose packets the capture marks as outgoing");
    assert_eq!(script(&pcap(&world.net.filter.seen, 113, cooked), ""), marked);
    assert_eq!(script(&pcap(&world.net.filter.seen, 276, cooked2), ""), marked);
}

#[test]
fn a_packet_that_loopback_shows_twice_counts_once() {
    let world = World::exchange();
    let cooked = |sent| [vec![0, if sent { 4 } else { 0 }], vec![0; 12], vec![8, 0]].concat();
    let leaves = |(at, _, packet): &(_, bool, Vec<u8>)| (*at, true, packet.clone());
    let once: Vec<_> = world.net.filter.seen.iter().map(leaves).collect();
    let comes = |(at, _, packet): &(_, bool, Vec<u8>)| (*at, false, packet.clone());
    let twice: Vec<_> = once.iter().flat_map(|one| [one.clone(), comes(one)]).collect();
    assert_eq!(script(&pcap(&twice, 113, cooked), ""), script(&pcap(&once, 113, cooked), ""));
}

#[test]
fn the_nearer_side_is_taken_where_nothing_else_tells() {
    let text = script(&raw(&World::exchange()), "");
    assert!(text.contains("plays 10.9.0.2:80, which answered sooner in the handshake."), "{text}");
}

#[test]
fn what_is_no_capture_is_refused_in_one_line() {
    let line = |bytes: &[u8]| {
        let line = read(bytes).unwrap_err().to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    assert_eq!(line(b""), "is empty: no capture, not even the header of one");
    let elf = "not a capture (pcap or pcapng, also in gzip or zstd): looks like a program (ELF)";
    assert_eq!(line(b"\x7fELF...."), elf);
    assert!(line(&raw(&World::new())[..10]).starts_with("damaged in its header: "));
    assert_eq!(
        line(&pcap(&[], RAW, |_| vec![])),
        "no TCP segment in it (0 packets of other kinds)"
    );
    let world = World::new();
    let radio = line(&pcap(&world.net.filter.seen, 105, |_| vec![]));
    assert!(radio.starts_with("its link layer IEEE802_11 (105) cannot be read"), "{radio}");
}

#[test]
fn a_capture_that_breaks_off_is_used_as_far_as_it_goes() {
    let file = raw(&World::exchange());
    let capture = read(&file[..file.len() - 20]).unwrap();
    assert!(capture.damaged.is_some());
    assert!(capture.connection(1).unwrap().script(None, "x").is_ok());
}

#[test]
fn connections_that_no_script_can_replay_are_named() {
    let world = World::exchange();
    let late = read(&pcap(&world.net.filter.seen[3..], RAW, |_| vec![])).unwrap();
    let refused = late.connection(1).unwrap().script(None, "x").unwrap_err();
    assert!(matches!(refused, CaptureError::NoBeginning { number: 1 }), "{refused}");
    let syns: Vec<_> = world.net.filter.seen[..1].to_vec();
    let silent = read(&pcap(&syns, RAW, |_| vec![])).unwrap();
    let server = Some("10.9.0.2".parse().unwrap());
    let refused = silent.connection(1).unwrap().script(server, "x").unwrap_err();
    assert!(matches!(refused, CaptureError::Silent { .. }), "{refused}");
    let other = Some("10.9.0.3".parse().unwrap());
    let refused = silent.connection(1).unwrap().script(other, "x").unwrap_err();
    let line = "connection 1: 10.9.0.3 is neither 10.9.0.1:";
    assert!(refused.to_string().starts_with(line), "{refused}");
    let refused = silent.connection(4).unwrap_err().to_string();
    assert_eq!(refused, "there is no connection 4: it has 1 to 1");
}

/// Both ends of a transfer, as scripts.
fn both_ends(seen: &[(Duration, bool, Vec<u8>)]) -> [String; 2] {
    let file = pcap(seen, RAW, |_| Vec::new());
    ["10.9.0.1", "10.9.0.2"].map(|local| script(&file, local))
}

#[test]
fn a_stream_passes_however_the_captured_stack_cut_it() {
    for (link, writes) in [
        (Link::plain(1500), [100, 1448, 7000, 65_536]),
        (Link::plain(65_520), [100, 1448, 20_000, 200_000]),
        (Link { checksum_offload: false, ..Link::offloading(1500) }, [100, 5000, 65_536, 300_000]),
    ] {
        for (who, write) in [CLIENT, SERVER]
            .into_iter()
            .zip(writes)
            .chain([SERVER, CLIENT].into_iter().zip(writes.into_iter().rev()))
        {
            let mut world = World::with(link);
            world.bulk(who, write * 40, write);
            world.close(who);
            world.close(1 - who);
            for most in [1, 3, 40] {
                for psh in [|_| true, |_| false, |place: usize| place.is_multiple_of(3)] {
                    for text in both_ends(&cut_otherwise(&world.net.filter.seen, most, psh)) {
                        passes(&text, &[]);
                        assert!(!text.contains("this engine's window"), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_stream_with_losses_passes() {
    for (who, each) in [(CLIENT, 11), (CLIENT, 37), (SERVER, 13), (SERVER, 41)] {
        let mut world = World::new();
        world.net.filter.loses = Some(each);
        world.bulk(who, 200_000, 10_000);
        world.net.filter.loses = None;
        world.close(who);
        world.close(1 - who);
        for text in both_ends(&world.net.filter.seen) {
            passes(&text, &["--loose_segments"]);
        }
    }
}

/// The last bytes were written with the close: before, all was acknowledged and nothing went out.
#[test]
fn what_goes_out_behind_a_pause_was_written_behind_it() {
    let mut world = World::new();
    world.bulk(SERVER, 14_480, 14_480);
    world.send(SERVER, 528);
    world.close(SERVER);
    world.close(CLIENT);
    let no_push = cut_otherwise(&world.net.filter.seen, 40, |_| false);
    let [_, server] = both_ends(&no_push);
    passes(&server, &["write(4, ..., 14480) = 14480", "write(4, ..., 528) = 528"]);
}

#[test]
fn a_stream_that_breaks_fails() {
    let mut world = World::new();
    world.bulk(SERVER, 300_000, 65_536);
    world.close(SERVER);
    world.close(CLIENT);
    let [client, server] = both_ends(&world.net.filter.seen);
    for (text, right, wrong) in [
        // The last byte, the order of ends, who acknowledges a FIN, a call that is not made.
        (&server, "> F. 300001:300001(0)", "> F. 300002:300002(0)"),
        (&server, "> F. 300001:300001(0)", "> R. 300001:300001(0)"),
        (&server, "ack 2 ", "ack 1 "),
        (&server, "close(4) = 0", "fcntl(4, F_SETFL, O_RDWR) = 0"),
        (&client, "> . 1:1(0) ack 300002", "> . 1:1(0) ack 300003"),
        (&client, "> F. 1:1(0) ack 300002", "> R. 1:1(0) ack 300002"),
        (&client, "close(3) = 0", "fcntl(3, F_SETFL, O_RDWR) = 0"),
    ] {
        assert!(text.contains(right), "{right:?} is not in\n{text}");
        let broken: Vec<String> =
            text.lines()
                .map(|line| {
                    if line.contains(" < ") { line.to_owned() } else { line.replace(right, wrong) }
                })
                .collect();
        let broken = broken.join("\n") + "\n";
        assert!(matches!(play(&broken), Outcome::Failed(_)), "{right} to {wrong}:\n{broken}");
    }
}

#[test]
fn an_ack_that_never_got_there_is_not_played() {
    let mut world = World::new();
    world.send(SERVER, 100);
    world.shut(SERVER);
    // The capture is made at the server; what comes in is seen, and then lost.
    let last = world.net.filter.seen.iter().rposition(|(_, sent, _)| !sent).unwrap();
    let (at, _, ack) = world.net.filter.seen[last].clone();
    let fin = world.net.filter.seen.iter().rposition(|(_, sent, _)| *sent).unwrap();
    let again = (at + Duration::from_millis(250), true, world.net.filter.seen[fin].2.clone());
    world.net.filter.seen.push(again);
    world.net.filter.seen.push((at + Duration::from_millis(260), false, ack));
    let text = script(&raw(&world), "10.9.0.2");
    passes(&text, &["// It never reached our side", "// < . 1:1(0) ack 102"]);
    assert_eq!(text.matches("> F. 101:101(0)").count(), 2, "{text}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn damage_never_panics(
        places in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(),
            proptest::prelude::any::<u8>()), 0..20),
        cut in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut file = FILE.get_or_init(|| raw(&World::exchange())).clone();
        for (place, byte) in places {
            let at = place.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(capture) = read(&file) {
            for conn in capture.connections() {
                let _either = conn.script(None, "x");
            }
        }
    }
}
