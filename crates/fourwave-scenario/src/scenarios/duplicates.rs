//! Old segments that arrive late, and what stands in their way.

use fourwave_core::error::ConnectError;
use fourwave_core::{ConnId, EndReason};
use fourwave_lens::units::{bytes, count, span};

use super::Scenario;
use super::close::question_and_answer;
use crate::failure::Failure;
use crate::middle::{PORT, PassingSegment};
use crate::script::{Script, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

/// Bytes of the first answer: full segments, so that its last one is a large one.
const FIRST: usize = 83 * 1460;
/// Bytes of the second answer.
const SECOND: usize = 75_000;
/// What the first answer is made of.
const OLD: u8 = b'A';
/// What the second answer is made of.
const NEW: u8 = b'B';
/// The client's port, the same for both connections.
const SAME_PORT: u16 = 40_000;

/// The ladder's word when a copy comes out.
const COMES_OUT: &str = "the old copy comes out of the network; whoever looks on, as the client \
                         does, takes it for the server's";

pub(super) const OLD_DUPLICATE_FIN: Scenario = Scenario {
    name: "old-duplicate-fin",
    title: "an old FIN comes late: what TIME_WAIT is for, the second reason",
    about: "A copy of the server's last segment, data with a FIN, stays in the network and comes \
            out when the connection is over. While the client holds TIME_WAIT, the four-tuple \
            is taken: connect() from the same port is refused, and the old segment is answered \
            and forgotten. Without TIME_WAIT a second connection opens on the same four-tuple, \
            and the old segment lies in its window: foreign bytes enter its stream, and the FIN \
            cuts it off. Timestamps are off here: with them, where both ends have them, the old \
            segment is recognised by its age (PAWS).",
    script: old_duplicate_fin,
};

/// What a client read of the second answer.
struct Second {
    read: Vec<u8>,
    /// It came to the stream's end.
    ended: bool,
    /// Why the first port could not be had, where it could not.
    refused: Option<ConnectError>,
    /// How the second connection ended at the client and at the server.
    reasons: [EndReason; 2],
    /// Segments that the client dropped for their old timestamp.
    aged: u64,
}

impl Second {
    /// Bytes of the first answer in the second.
    fn foreign(&self) -> usize {
        self.read.iter().filter(|&&byte| byte == OLD).count()
    }
}

fn old_duplicate_fin(s: &mut Script) -> Result<(), Failure> {
    let timestamps = ("tcp_timestamps", "0");
    let server = s.config_with(&[timestamps])?;
    let config = s.config_with(&[timestamps])?;
    let world = World::new(config, server.clone());
    let with = two_incarnations(s, "with TIME_WAIT", world)?;
    let config = s.config_with(&[timestamps, ("tcp_timewait_len", "0")])?;
    let without = two_incarnations(s, "with tcp_timewait_len=0", World::new(config, server))?;
    let aged = only_timestamps(s)?;

    let refused = matches!(with.refused, Some(ConnectError::AddressInUse { .. }));
    ensure(refused, "the same port while in TIME_WAIT", "refused", "taken")?;
    let (len, whole) = (with.read.len(), with.ended && with.read.len() == SECOND);
    ensure(whole, "the second answer with TIME_WAIT", "whole", format!("{len} bytes"))?;
    expect("foreign bytes with TIME_WAIT", 0, with.foreign())?;
    ensure(without.refused.is_none(), "the same port without TIME_WAIT", "taken", "refused")?;
    let (foreign, len) = (without.foreign(), without.read.len());
    ensure(foreign > 0, "foreign bytes without TIME_WAIT", "some", foreign)?;
    let cut = without.ended && len < SECOND;
    ensure(cut, "the second answer without TIME_WAIT", "cut short", format!("{len} bytes"))?;
    for (second, [client, server]) in
        [(&with, ["orderly", "orderly"]), (&without, ["orderly", "reset-by-peer"])]
    {
        expect("how the second connection ended at the client", client, second.reasons[0].name())?;
        expect("how it ended at the server", server, second.reasons[1].name())?;
    }
    s.outcome(format!(
        "with TIME_WAIT the port was refused, another was chosen, and all {} came",
        bytes(SECOND as u64)
    ));
    s.outcome(
        "the old copy died in TIME_WAIT; the RST that the ACK of it provoked is shown by \
         time-wait-assassination",
    );
    s.outcome(format!(
        "without, the client read {} bytes and the end of the stream: {} are missing, and {} of \
         those it read belong to the first connection",
        count(len as u64),
        count((SECOND - len.min(SECOND)) as u64),
        count(foreign as u64)
    ));
    s.outcome("the client's engine calls that an orderly end, and the server was reset");
    s.outcome(format!(
        "without TIME_WAIT but with timestamps (no ladder) the old copy was dropped as too old \
         (TcpExtPAWSEstab {aged}), and all {} came",
        bytes(SECOND as u64)
    ));
    s.metric("bytes_with_time_wait", with.read.len());
    s.metric("foreign_bytes_with_time_wait", with.foreign());
    s.metric("bytes_without", len);
    s.metric("foreign_bytes_without", foreign);
    Ok(())
}

/// No TIME_WAIT, but timestamps: how many old segments they kept out.
fn only_timestamps(s: &mut Script) -> Result<u64, Failure> {
    let settings = [("tcp_timestamps", "1"), ("tcp_timewait_len", "0")];
    let config = s.config_with(&settings)?;
    let server = s.config_with(&settings[..1])?;
    let second = two_incarnations(s, "", World::new(config, server).unwatched())?;
    ensure(second.refused.is_none(), "the same port with timestamps", "taken", "refused")?;
    expect("bytes of the second answer with timestamps", SECOND, second.read.len())?;
    expect("foreign bytes with timestamps", 0, second.foreign())?;
    expect("old segments dropped with timestamps (TcpExtPAWSEstab)", 1, second.aged)?;
    Ok(second.aged)
}

/// A connection whose last segment stays in the network as a copy, a second one from the same port
/// if that can be had, and the copy.
fn two_incarnations(s: &mut Script, title: &str, mut w: World) -> Result<Second, Failure> {
    w.filter.copy(
        |segment| segment.is_from_server() && segment.is_fin(),
        "a copy of this segment stays in the network",
    );
    let (conn, peer) = w.open_from(SAME_PORT)?;
    ask(&mut w, conn, peer)?;
    w.run_ms(120);
    w.read(CLIENT, conn);
    w.close(CLIENT, conn)?;
    w.run_ms(20);

    let (conn, refused) = match w.connect(CLIENT, SAME_PORT) {
        Ok(conn) => (conn, None),
        Err(refused) => {
            let any = w.connect(CLIENT, 0);
            (
                any.map_err(|error| Failure::new("connect", "done", error.to_string()))?,
                Some(refused),
            )
        }
    };
    w.run_ms(40);
    let peer = w
        .accept(SERVER)
        .ok_or_else(|| Failure::new("the second connection", "open", "not there".to_owned()))?;
    w.send(CLIENT, conn, b"GET /second")?;
    w.shutdown(CLIENT, conn)?;
    w.run_ms(11);
    w.read(SERVER, peer);
    w.release_copies(COMES_OUT);
    w.run_ms(9);
    w.send(SERVER, peer, &[NEW; SECOND])?;
    w.close(SERVER, peer)?;
    let mut data = Vec::new();
    let mut ended = false;
    for _ in 0..100 {
        w.run_ms(10);
        let (more, end) = w.read(CLIENT, conn);
        data.extend(more);
        ended |= end;
    }
    w.close(CLIENT, conn)?;
    w.run_to_the_end()?;
    let seen = s.show(title, w);
    let reasons = [seen.report(CLIENT, conn)?.reason, seen.report(SERVER, peer)?.reason];
    let aged = seen.counters(CLIENT).paws_estab;
    Ok(Second { read: data, ended, refused, reasons, aged })
}

/// A question, its end, and an answer with its end.
fn ask(w: &mut World, conn: ConnId, peer: ConnId) -> Result<(), Failure> {
    w.send(CLIENT, conn, b"GET /first")?;
    w.shutdown(CLIENT, conn)?;
    w.run_ms(20);
    w.read(SERVER, peer);
    w.send(SERVER, peer, &[OLD; FIRST])?;
    w.close(SERVER, peer)
}

pub(super) const TIME_WAIT_ASSASSINATION: Scenario = Scenario {
    name: "time-wait-assassination",
    title: "an old duplicate provokes the RST that ends TIME_WAIT (RFC 1337)",
    about: "An old copy of the server's data arrives in the client's TIME_WAIT, which answers it \
            with an ACK, as it must. The server has forgotten the connection and answers that \
            ACK with RST, with exactly the number that the client expects: TIME_WAIT ends long \
            before its time, and with it the protection. tcp_rfc1337=1 ignores an RST in \
            TIME_WAIT; Linux's default is 0.",
    script: assassination,
};

fn assassination(s: &mut Script) -> Result<(), Failure> {
    let off = assassinate(s, "with tcp_rfc1337=0", "0")?;
    let on = assassinate(s, "with tcp_rfc1337=1", "1")?;
    expect("TIME_WAITs after the RST with tcp_rfc1337=0", 0, off.0)?;
    expect("TIME_WAITs after the RST with tcp_rfc1337=1", 1, on.0)?;
    expect("TIME_WAITs killed (TcpExtTWKilled) with tcp_rfc1337=0", 1, off.1)?;
    expect("TIME_WAITs killed (TcpExtTWKilled) with tcp_rfc1337=1", 0, on.1)?;
    let len = std::time::Duration::from_secs(s.config().tcp_timewait_len);
    s.outcome(format!("with tcp_rfc1337=0 an RST ended a TIME_WAIT of {} after 5 s", span(len)));
    s.outcome("with tcp_rfc1337=1 the same RST changed nothing");
    s.metric("time_wait_after_rst_without_rfc1337", off.0);
    s.metric("time_wait_after_rst_with_rfc1337", on.0);
    Ok(())
}

/// TIME_WAITs after the RST, and how many were killed.
fn assassinate(s: &mut Script, title: &str, rfc1337: &str) -> Result<(usize, u64), Failure> {
    let client = s.config_with(&[("tcp_rfc1337", rfc1337)])?;
    let mut w = World::new(client, s.config());
    w.filter.copy(
        |segment: &PassingSegment| segment.from.port() == PORT && segment.len > 0,
        "a copy of this segment stays in the network",
    );
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.close(CLIENT, client)?;
    w.run_ms(50);
    w.close(SERVER, server)?;
    w.run_ms(5000);
    w.release_copies(COMES_OUT);
    w.run_ms(200);
    let left = w.population(CLIENT).time_wait;
    w.run_to_the_end()?;
    let seen = s.show(title, w);
    Ok((left, seen.counters(CLIENT).tw_killed))
}
