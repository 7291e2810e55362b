//! What tshark says about a capture, connection by connection.

use std::collections::BTreeMap;
use std::process::Command;

/// The fields that are asked for, in this order.
const FIELDS: [&str; 15] = [
    "tcp.stream",
    "frame.time_epoch",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "tcp.len",
    "tcp.seq",
    "tcp.flags",
    "tcp.analysis.retransmission",
    "tcp.analysis.out_of_order",
    "tcp.analysis.keep_alive",
    "tcp.ack",
];

/// One direction of a connection, in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Frames.
    pub(crate) segments: u64,
    /// Sum of `tcp.len`.
    pub(crate) payload: u64,
    /// Bytes of the stream, each counted once: up to the highest number of a frame with data or
    /// FIN, or that was acknowledged: what lies before it was sent, seen here or not.
    pub(crate) bytes: u64,
    /// Frames that were sent before; see `Direction::frame`.
    pub(crate) retransmitted: u64,
    /// Frames with FIN.
    pub(crate) fins: u64,
    /// Frames with RST.
    pub(crate) rsts: u64,
}

/// One connection: ends by address and port as tshark writes them, the sender of the first frame
/// first.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) ends: [String; 2],
    frames: Vec<Frame>,
}

/// What the frames of one connection come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) figures: [Figures; 2],
    /// Where the two have another name for it; see `Direction::frame`. Frames that tshark calls
    /// retransmissions and that were never seen before, and frames that it calls otherwise and
    /// that were.
    pub(crate) unproven: u64,
    pub(crate) renamed: u64,
    /// Frames that came later than asked for.
    pub(crate) late: u64,
}

/// Sequence numbers that passed, as ranges that do not touch.
#[derive(Default)]
struct Covered(BTreeMap<i64, i64>);

impl Covered {
    /// Adds a range; how much of it was new.
    fn add(&mut self, from: i64, to: i64) -> i64 {
        let (mut from_all, mut to_all, mut old) = (from, to, 0);
        let touching: Vec<i64> =
            self.0.range(..=to).filter(|(_, end)| **end >= from).map(|(start, _)| *start).collect();
        for start in touching {
            let end = self.0.remove(&start).unwrap();
            old += (end.min(to) - start.max(from)).max(0);
            from_all = from_all.min(start);
            to_all = to_all.max(end);
        }
        self.0.insert(from_all, to_all);
        (to - from) - old
    }
}

/// A frame's fields.
#[derive(Clone, Debug)]
struct Frame {
    /// Seconds since the epoch of Unix.
    at: f64,
    /// The sender, of `Stream::ends`.
    who: usize,
    len: u64,
    seq: i64,
    flags: u32,
    retransmission: bool,
    out_of_order: bool,
    keep_alive: bool,
    ack: i64,
}

#[derive(Default)]
struct Direction {
    /// What the other end has acknowledged.
    acked: i64,
    sequence: Covered,
    /// The highest number behind data, and the number of the FIN.
    highest: i64,
    fin: Option<i64>,
}

impl Direction {
    /// See `Figures::bytes`. The first byte's number is 1; a FIN has one too.
    fn bytes(&self) -> u64 {
        let top = self.highest.max(self.acked).max(1);
        let fin = self.fin.is_some_and(|fin| fin < top);
        (top - 1 - i64::from(fin)) as u64
    }

    /// Adds a frame.
    ///
    /// tshark's rule for retransmissions guesses what happened before the point of capture: of
    /// data below the highest number seen it says `retransmission`, or `out_of_order` when that
    /// is less than the first round trip (or 3 ms) old. A capture proves less and more: what had
    /// passed here before is a retransmission, whatever its age, and what had not is none. So a
    /// frame counts when tshark calls it either name and all of its numbers had passed here.
    ///
    /// A last byte that is retransmitted is `keep_alive` to tshark. A keepalive asks with a byte
    /// that was acknowledged; one that was not is a retransmission.
    fn frame(&mut self, frame: &Frame, counted: &mut Counted) {
        let figures = &mut counted.figures[frame.who];
        let len = frame.len as i64;
        let [fin, syn, rst] = [0, 1, 2].map(|bit| i64::from(frame.flags >> bit & 1));
        figures.segments += 1;
        figures.payload += frame.len;
        figures.fins += fin as u64;
        figures.rsts += rst as u64;
        let data = frame.seq + syn;
        if len + fin > 0 {
            self.highest = self.highest.max(data + len);
        }
        if fin == 1 {
            self.fin = Some(data + len);
        }
        let occupies = len + syn + fin;
        if occupies == 0 || rst == 1 {
            return;
        }
        let seen = self.sequence.add(frame.seq, frame.seq + occupies) == 0;
        let again = frame.out_of_order || frame.keep_alive && frame.seq >= self.acked;
        match (frame.retransmission, again) {
            (true, _) if seen => figures.retransmitted += 1,
            (true, _) => counted.unproven += 1,
            (false, true) if seen => {
                figures.retransmitted += 1;
                counted.renamed += 1;
            }
            _ => {}
        }
    }
}

impl Stream {
    /// Counts the frames up to a moment, in seconds since the epoch of Unix.
    pub(crate) fn count(&self, until: f64) -> Counted {
        let mut counted = Counted::default();
        let mut directions: [Direction; 2] = Default::default();
        for frame in &self.frames {
            if frame.at > until {
                counted.late += 1;
                continue;
            }
            directions[frame.who].frame(frame, &mut counted);
            let acked = &mut directions[1 - frame.who].acked;
            *acked = frame.ack.max(*acked);
        }
        for (figures, direction) in counted.figures.iter_mut().zip(&directions) {
            figures.bytes = direction.bytes();
        }
        counted
    }
}

/// Every connection of a capture, in the order of their first frames.
pub(crate) fn streams(capture: &str) -> Vec<Stream> {
    // A capture of a gibibyte takes longer than other commands may.
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "600", "tshark"]);
    command.args(["-n", "-r", capture, "-Y", "tcp", "-T", "fields", "-E", "occurrence=f"]);
    // Reassembly of what is above TCP costs time and tells nothing here.
    for name in ["tcp.desegment_tcp_streams:false", "tcp.relative_sequence_numbers:true"] {
        command.args(["-o", name]);
    }
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut streams: Vec<Stream> = Vec::new();
    let mut places = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        add(line, &mut streams, &mut places);
    }
    streams
}

/// Variants of a scenario are an hour apart and have the same seed, so the same initial sequence
/// numbers; tshark takes the next variant's connection for the same one. No SYN of these captures
/// is retransmitted after that long.
const VARIANT: f64 = 3000.0;

/// `places`: where in `streams` the frames of tshark's streams go.
fn add(line: &str, streams: &mut Vec<Stream>, places: &mut BTreeMap<u64, usize>) {
    let field: Vec<&str> = line.split('\t').collect();
    let number = |index: usize| field[index].parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
    // Relative to the first number seen, modulo 2^32; none of these connections gets that far.
    let relative = |index: usize| i64::from(number(index) as u32 as i32);
    let end = |address: usize| {
        let [ip4, ip6, port] = [0, 1, 2].map(|offset| field[address + offset]);
        if ip6.is_empty() { format!("{ip4}:{port}") } else { format!("[{ip6}]:{port}") }
    };
    let (from, to) = (end(2), end(5));
    let at: f64 = field[1].parse().unwrap();
    let flags = u32::from_str_radix(field[10].trim_start_matches("0x"), 16).unwrap();
    let syn = flags & 0x12 == 2;
    let anew =
        |stream: &Stream| syn && at - stream.frames.last().map_or(at, |last| last.at) > VARIANT;
    let place = places.get(&number(0)).copied().filter(|&place| !anew(&streams[place]));
    let place = place.unwrap_or_else(|| {
        streams.push(Stream { ends: [from.clone(), to.clone()], frames: Vec::new() });
        streams.len() - 1
    });
    places.insert(number(0), place);
    let stream = &mut streams[place];
    let who = usize::from(stream.ends[0] != from);
    assert_eq!([from, to], [&stream.ends[who], &stream.ends[1 - who]].map(String::clone), "{line}");
    stream.frames.push(Frame {
        at,
        who,
        len: number(8),
        seq: relative(9),
        flags,
        retransmission: !field[11].is_empty(),
        out_of_order: !field[12].is_empty(),
        keep_alive: !field[13].is_empty(),
        ack: relative(14),
    });
}
