//! Ends under loss: a FIN beside lost text, probes, and orphans that go on repairing.

use fourwave_core::ConnId;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_lens::units::{bytes, counted, span};

use super::Scenario;
use super::close::{orderly, question_and_answer};
use crate::failure::Failure;
use crate::script::{Script, Seen, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

/// Reads at `host` until the end of the stream, for at most `limit`. How many bytes that were, and
/// when the end came.
pub(super) fn read_to_the_end(
    w: &mut World,
    host: usize,
    conn: ConnId,
    limit: Duration,
) -> Result<(usize, Duration), Failure> {
    let begin = w.now;
    let mut got = 0;
    while w.now.since(begin) < limit {
        let (data, end) = w.read(host, conn);
        got += data.len();
        w.flush();
        if end {
            return Ok((got, w.now.since(begin)));
        }
        w.run_ms(1);
    }
    let actual = format!("{got} bytes and no end after {}", span(limit));
    Err(Failure::new("the stream", "its end", actual))
}

pub(super) const ORPHAN_IN_RECOVERY: Scenario = Scenario {
    name: "orphan-in-recovery",
    title: "the application is gone while its data is lost and sent again",
    about: "close() returns at once; what was written may still be on its way, lost, or not sent \
            yet. The engine goes on without the application: it finds what was lost by what the \
            peer names, sends it again, and again when that is lost too. The FIN arrived early \
            and is named like the rest, so it is not sent a second time. Only when everything is \
            acknowledged does the close go on.",
    script: orphan_in_recovery,
};

fn orphan_in_recovery(s: &mut Script) -> Result<(), Failure> {
    const TEXT: usize = 12_000;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    // The first segment, and its retransmission.
    w.filter.lose(1, |segment| !segment.is_from_server() && segment.len > 0);
    w.send(CLIENT, client, &[b'.'; TEXT])?;
    w.close(CLIENT, client)?;
    w.run_ms(8);
    w.filter.lose(1, |segment| !segment.is_from_server() && segment.len > 0);
    w.run_ms(30);
    let (orphans, state) = (w.population(CLIENT).orphans, w.state(SERVER, server));
    let (got, took) = read_to_the_end(&mut w, SERVER, server, Duration::from_secs(5))?;
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("orphans while data was missing", 1, orphans)?;
    expect("the server while data was missing", State::Established, state)?;
    expect("bytes that the server read", TEXT, got)?;
    orderly(&seen, client, server)?;
    let report = seen.report(CLIENT, client)?;
    expect("segments sent again", 2, report.retransmits)?;
    expect("FINs sent again", 0, report.fin_retransmits)?;
    let took = took + Duration::from_millis(38);
    s.outcome(format!(
        "all {} and the end arrived, {} after the application had closed and gone",
        bytes(got as u64),
        span(took)
    ));
    s.outcome("the lost segment went out twice more, and the FIN, which had arrived, did not");
    s.metric("bytes", got as u64);
    s.metric("retransmits", report.retransmits);
    Ok(())
}

pub(super) const LOST_TAIL_AND_FIN: Scenario = Scenario {
    name: "lost-tail-and-fin",
    title: "the last text and the FIN are lost, and a probe finds it out",
    about: "Nothing follows a FIN, so nothing tells that the tail of a stream was lost, and only \
            the retransmission timer would. A tail loss probe (RFC 8985) sends the last thing \
            again after two round trips: here the FIN, which arrives behind a gap, and the \
            SACK of it says what is missing. Beside it the same with probes switched off.",
    script: lost_tail_and_fin,
};

fn lost_tail_and_fin(s: &mut Script) -> Result<(), Failure> {
    let mut told = Vec::new();
    for (title, probes) in [("with tail loss probes", "3"), ("without", "0")] {
        let config = s.config_with(&[("tcp_early_retrans", probes)])?;
        let mut w = World::new(config, s.config());
        let (client, server) = w.open()?;
        question_and_answer(&mut w, client, server)?;
        w.send(CLIENT, client, &[b'.'; 3000])?;
        w.run_ms(7);
        w.filter.lose(3, |segment| !segment.is_from_server());
        w.send(CLIENT, client, &[b'.'; 4000])?;
        w.shutdown(CLIENT, client)?;
        let (got, took) = read_to_the_end(&mut w, SERVER, server, Duration::from_secs(5))?;
        w.close(SERVER, server)?;
        w.run_ms(50);
        w.close(CLIENT, client)?;
        w.run_to_the_end()?;
        let seen = s.show(title, w);
        expect("bytes that the server read", 7000, got)?;
        orderly(&seen, client, server)?;
        let (counted, report) = (seen.counters(CLIENT), seen.report(CLIENT, client)?);
        expect("FINs sent again", 1, report.fin_retransmits)?;
        told.push((took, counted.loss_probes, counted.timeouts));
    }
    let [with, without] = told[..] else { return Ok(()) };
    expect("probes", 1, with.1)?;
    expect("timeouts where there are probes", 0, with.2)?;
    expect("timeouts where there are none", 1, without.2)?;
    let sooner = with.0 * 2 < without.0;
    ensure(sooner, "the time with probes", "less than half of that without", span(with.0))?;
    s.outcome(format!(
        "with probes the end of the stream arrived {} after the close",
        span(with.0)
    ));
    s.outcome(format!("without, the retransmission timer had to find out: {}", span(without.0)));
    s.metric("milliseconds_with_probes", with.0.as_millis() as u64);
    s.metric("milliseconds_without", without.0.as_millis() as u64);
    Ok(())
}

pub(super) const LOST_ACK_OF_FIN: Scenario = Scenario {
    name: "lost-ack-of-fin",
    title: "the ACK of a FIN is lost: the FIN goes out again in vain",
    about: "The FIN arrived, its ACK did not, and the client cannot tell that from a lost FIN: \
            its timer runs out, it takes that for congestion and makes its window small. The \
            second FIN is answered by an ACK that names it as a duplicate (D-SACK, RFC 2883): \
            nothing was lost, and the windows are given back (RFC 3708, RFC 4015). The direction \
            is closed by then; the windows count for what the host remembers, and for every \
            connection the same happens to before its close.",
    script: lost_ack_of_fin,
};

fn lost_ack_of_fin(s: &mut Script) -> Result<(), Failure> {
    // Timestamps would tell it too, and a probe would come before the timeout.
    let config = s.config_with(&[("tcp_timestamps", "0"), ("tcp_early_retrans", "0")])?;
    let mut w = World::new(config, s.config());
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.lose(1, |segment| segment.is_from_server() && segment.acks_fin);
    w.shutdown(CLIENT, client)?;
    w.run_ms(50);
    let states = [w.state(CLIENT, client), w.state(SERVER, server)];
    let before = ssthresh(&w, client);
    // At the timeout, before the answer.
    w.run_ms(180);
    let reduced = ssthresh(&w, client);
    w.run_ms(50);
    let (after, state) = (ssthresh(&w, client), w.state(CLIENT, client));
    w.close(SERVER, server)?;
    w.run_ms(50);
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client while the ACK was lost", State::FinWait1, states[0])?;
    expect("the server while the ACK was lost", State::CloseWait, states[1])?;
    ensure(reduced < before, "ssthresh after the timeout", "less than before", reduced)?;
    expect("ssthresh after the answer", before, after)?;
    expect("the client after the answer", State::FinWait2, state)?;
    orderly(&seen, client, server)?;
    let (counted, report) = (seen.counters(CLIENT), seen.report(CLIENT, client)?);
    expect("FINs sent again", 1, report.fin_retransmits)?;
    expect("losses that duplicates told to be none", 1, counted.dsack_undos)?;
    s.outcome("the server was in CLOSE_WAIT all the while; only the client did not know");
    s.outcome("the duplicate was told, and the client's windows were given back");
    s.metric("fin_retransmits", report.fin_retransmits);
    s.metric("dsack_undos", counted.dsack_undos);
    Ok(())
}

/// A client's slow start threshold, in bytes.
fn ssthresh(w: &World, conn: ConnId) -> u64 {
    w.ends[CLIENT].engine.info(conn).map_or(0, |info| info.snd_ssthresh)
}

pub(super) const LATE_ACKS_OF_A_FIN: Scenario = Scenario {
    name: "late-acks-of-a-fin",
    title: "the ACKs of text and FIN are late: a timeout for nothing is undone",
    about: "Text and FIN arrived, and the ACKs of them are held up on the way for longer than \
            the retransmission timer waits. It runs out, the first segment goes out again, the \
            windows shrink. Then the old ACKs come, and the timestamp that they echo is older \
            than the retransmission (Eifel, RFC 3522): it was a delay. What was done for a loss \
            is undone, and neither the rest of the text nor the FIN goes out a second time.",
    script: late_acks_of_a_fin,
};

fn late_acks_of_a_fin(s: &mut Script) -> Result<(), Failure> {
    let config = s.config_with(&[("tcp_early_retrans", "0")])?;
    let mut w = World::new(config, s.config());
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.hold(|segment| segment.is_from_server());
    let before = ssthresh(&w, client);
    w.send(CLIENT, client, &[b'.'; 7000])?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(280);
    let (reduced, state) = (ssthresh(&w, client), w.state(SERVER, server));
    w.note(CLIENT, client, "the ACKs that were held up come now");
    w.release();
    w.run_ms(20);
    let after = ssthresh(&w, client);
    let (got, _) = w.read(SERVER, server);
    w.close(SERVER, server)?;
    w.run_ms(50);
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the server while its ACKs were held up", State::CloseWait, state)?;
    expect("bytes that the server read", 7000, got.len())?;
    ensure(reduced < before, "ssthresh after the timeout", "less than before", reduced)?;
    expect("ssthresh after the old ACKs", before, after)?;
    orderly(&seen, client, server)?;
    let (counted, report) = (seen.counters(CLIENT), seen.report(CLIENT, client)?);
    expect("segments sent again", 1, report.retransmits)?;
    expect("FINs sent again", 0, report.fin_retransmits)?;
    let undone = counted.full_undos + counted.spurious_rtos;
    expect("timeouts found to be for nothing", 1, undone)?;
    s.outcome("one segment went out again in vain; the old ACKs told so, and nothing followed it");
    s.outcome("the close went on as if no timer had run out");
    s.metric("retransmits", report.retransmits);
    s.metric("undone", undone);
    Ok(())
}

pub(super) const BOTH_FINS_LOST: Scenario = Scenario {
    name: "both-fins-lost",
    title: "both close at once and each FIN is lost once",
    about: "Each end has sent its FIN and waits in FIN_WAIT_1, knowing nothing of the other's. \
            Both timers run out and both FINs go out again; they cross a second time and arrive. \
            From there it is the simultaneous close as ever: CLOSING at both ends, then \
            TIME_WAIT at both.",
    script: both_fins_lost,
};

fn both_fins_lost(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.lose(1, |segment| segment.is_fin() && segment.is_from_server());
    w.filter.lose(1, |segment| segment.is_fin() && !segment.is_from_server());
    w.shutdown(CLIENT, client)?;
    w.shutdown(SERVER, server)?;
    w.run_ms(100);
    let lost = both(&w, client, server);
    let mut crossed = false;
    for _ in 0..300 {
        w.run_ms(1);
        crossed |= both(&w, client, server) == [State::Closing; 2];
    }
    let held = [CLIENT, SERVER].map(|host| w.population(host).time_wait);
    w.close(CLIENT, client)?;
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client while the FINs were lost", State::FinWait1, lost[0])?;
    expect("the server while the FINs were lost", State::FinWait1, lost[1])?;
    ensure(crossed, "both ends when the FINs had crossed", "CLOSING", "something else")?;
    orderly(&seen, client, server)?;
    let again = fins_again(&seen, client, server)?;
    expect("FINs that the client retransmitted", 1, again[0])?;
    expect("FINs that the server retransmitted", 1, again[1])?;
    let expected = usize::from(s.config().tcp_timewait_len > 0);
    expect("TIME_WAITs at the client", expected, held[CLIENT])?;
    expect("TIME_WAITs at the server", expected, held[SERVER])?;
    let each = counted(1, "FIN");
    s.outcome(format!("{each} of each end was lost, and each end sent it again"));
    s.outcome("both passed through CLOSING, and both hold TIME_WAIT");
    s.metric("fin_retransmits", again[0] + again[1]);
    Ok(())
}

fn both(w: &World, client: ConnId, server: ConnId) -> [State; 2] {
    [w.state(CLIENT, client), w.state(SERVER, server)]
}

fn fins_again(seen: &Seen, client: ConnId, server: ConnId) -> Result<[u32; 2], Failure> {
    let of = |host, conn| seen.report(host, conn).map(|report| report.fin_retransmits);
    Ok([of(CLIENT, client)?, of(SERVER, server)?])
}
