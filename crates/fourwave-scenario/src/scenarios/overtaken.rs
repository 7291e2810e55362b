//! Ends under loss and reordering: FINs that come ahead of their text, windows that are closed,
//! losses in the direction that is still open.

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_lens::units::{bytes, counted, span};

use super::Scenario;
use super::close::{orderly, question_and_answer, question_and_shutdown};
use super::repair::read_to_the_end;
use crate::failure::Failure;
use crate::script::{Script, Seen, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

pub(super) const FIN_AHEAD_OF_DATA: Scenario = Scenario {
    name: "fin-ahead-of-data",
    title: "the last FIN arrives and the data before it is lost: no TIME_WAIT yet",
    about: "The server answers and closes; its data is lost and its FIN is not. A FIN counts \
            when everything before it is there, so the client keeps it, names it (SACK), and \
            stays in FIN_WAIT_2. The data comes again, the FIN does not need to, and with the \
            last byte the client has both: TIME_WAIT. An engine that took the FIN when it came \
            would have ended a stream of which 5,000 bytes were missing.",
    script: fin_ahead_of_data,
};

fn fin_ahead_of_data(s: &mut Script) -> Result<(), Failure> {
    const TEXT: usize = 5000;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(50);
    w.filter.lose(4, |segment| segment.is_from_server() && segment.len > 0);
    w.send(SERVER, server, &[b'.'; TEXT])?;
    w.close(SERVER, server)?;
    w.run_ms(15);
    let (ahead, (early, ended)) = (w.state(CLIENT, client), w.read(CLIENT, client));
    let (got, took) = read_to_the_end(&mut w, CLIENT, client, Duration::from_secs(5))?;
    let held = w.population(CLIENT).time_wait;
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client when it had the FIN alone", State::FinWait2, ahead)?;
    ensure(early.is_empty() && !ended, "what could be read then", "nothing, no end", early.len())?;
    expect("bytes that the client read", TEXT, got)?;
    expect("TIME_WAITs at the end of the stream", wants_time_wait(s), held)?;
    orderly(&seen, client, server)?;
    let report = seen.report(SERVER, server)?;
    expect("segments sent again", 4, report.retransmits)?;
    expect("FINs sent again", 0, report.fin_retransmits)?;
    s.outcome(
        "the FIN was kept and named; the client stayed in FIN_WAIT_2 until the data had come",
    );
    let text = bytes(got as u64);
    s.outcome(format!("{text} and the end were read {} later, and TIME_WAIT began", span(took)));
    s.metric("bytes", got as u64);
    s.metric("retransmits", report.retransmits);
    Ok(())
}

fn wants_time_wait(s: &Script) -> usize {
    usize::from(s.config().tcp_timewait_len > 0)
}

pub(super) const FIN_OVERTAKES_TEXT: Scenario = Scenario {
    name: "fin-overtakes-text",
    title: "the FIN overtakes the text before it, by a little and by much",
    about: "Packets overtake each other where a path has more than one way. The peer names the \
            FIN and misses the text. By a little, within a quarter of a round trip (the \
            reordering window of RACK, RFC 8985), the sender waits and the text arrives: nothing \
            goes out again. By much, the text is taken for lost and sent again; when the first \
            copy turns out to have arrived, what was done for the loss is undone.",
    script: fin_overtakes_text,
};

fn fin_overtakes_text(s: &mut Script) -> Result<(), Failure> {
    let (few, undone) = overtake(s, "by 3 ms", 3)?;
    expect("segments sent again where it was 3 ms", 0, few)?;
    expect("losses found to be none where none was found", 0, undone)?;
    let (many, undone) = overtake(s, "by 18 ms", 18)?;
    expect("segments sent again where it was 18 ms", 1, many)?;
    expect("losses found to be none", 1, undone)?;
    s.outcome("a FIN 3 ms ahead of its text was waited for");
    s.outcome(format!(
        "18 ms ahead, {} went out again in vain, and that was found out",
        counted(many.into(), "segment")
    ));
    s.metric("retransmits_by_little", few);
    s.metric("retransmits_by_much", many);
    Ok(())
}

/// The client's text comes `late` milliseconds behind its FIN: segments sent again, and losses
/// that were found to be none.
fn overtake(s: &mut Script, title: &str, late: u64) -> Result<(u32, u64), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.hold(|segment| !segment.is_from_server() && segment.len > 0);
    w.send(CLIENT, client, &[b'.'; 2500])?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(5 + late);
    w.release();
    w.run_ms(100);
    let (got, end) = w.read(SERVER, server);
    w.close(SERVER, server)?;
    w.run_ms(50);
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show(title, w);
    expect("bytes that the server read", 2500, got.len())?;
    ensure(end, "the stream", "with its end", "without")?;
    orderly(&seen, client, server)?;
    let counted = seen.counters(CLIENT);
    let undone = counted.full_undos + counted.dsack_undos + counted.spurious_rtos;
    let report = seen.report(CLIENT, client)?;
    expect("FINs sent again", 0, report.fin_retransmits)?;
    Ok((report.retransmits, undone))
}

pub(super) const FIN_PROBED_BEHIND_A_GAP: Scenario = Scenario {
    name: "fin-probed-behind-a-gap",
    title: "text is lost, the FIN behind it arrives twice, and the answer says so",
    about: "The server's text is lost, its FIN arrives, and the client's word of that is lost \
            too. The server probes with the last thing it sent, the FIN; the client has it \
            already, names it as a duplicate and what it holds beside it (RFC 2883 §4). So the \
            server learns in one answer that the FIN came twice and that the text is missing, \
            and sends only that.",
    script: fin_probed_behind_a_gap,
};

fn fin_probed_behind_a_gap(s: &mut Script) -> Result<(), Failure> {
    let config = s.config_with(&[("tcp_early_retrans", "3")])?;
    let mut w = World::new(s.config(), config);
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(50);
    w.filter.lose(1, |segment| segment.is_from_server() && segment.len > 0);
    w.filter.lose(1, |segment| !segment.is_from_server());
    w.send(SERVER, server, &[b'.'; 700])?;
    w.close(SERVER, server)?;
    w.run_ms(100);
    let ahead = w.state(CLIENT, client);
    let (got, _) = read_to_the_end(&mut w, CLIENT, client, Duration::from_secs(5))?;
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client when it had the FIN alone", State::FinWait2, ahead)?;
    expect("bytes that the client read", 700, got)?;
    orderly(&seen, client, server)?;
    let (report, counted) = (seen.report(SERVER, server)?, seen.counters(SERVER));
    expect("FINs sent again", 1, report.fin_retransmits)?;
    expect("segments sent again, the FIN among them", 2, report.retransmits)?;
    expect("probes", 1, counted.loss_probes)?;
    s.outcome("the probe was the FIN, and its answer told of the text before it");
    s.outcome("the text alone was sent then, and TIME_WAIT began");
    s.metric("retransmits", report.retransmits);
    s.metric("loss_probes", counted.loss_probes);
    Ok(())
}

pub(super) const FIN_AT_CLOSED_WINDOW: Scenario = Scenario {
    name: "fin-at-closed-window",
    title: "a FIN waits for a window of zero, and is lost when it opens",
    about: "The server does not read, its window is closed, and the client's application has \
            written the last of its text, closed, and gone. A FIN takes a number of the window, \
            so it waits behind the text. When the server reads, the ACK that opens the window is \
            lost: probes find it open. Then the text with the FIN is lost as well, and the \
            retransmission timer sends both again. An orphan lives through all of it as long as \
            the peer answers.",
    script: fin_at_closed_window,
};

fn fin_at_closed_window(s: &mut Script) -> Result<(), Failure> {
    const TEXT: usize = 9000;
    let small = s.config_with(&[("tcp_rmem_default", "8192"), ("tcp_rmem_max", "8192")])?;
    let mut w = World::new(s.config(), small);
    let (client, server) = w.open()?;
    w.send(CLIENT, client, &[b'.'; TEXT])?;
    w.close(CLIENT, client)?;
    w.run_for(Duration::from_secs(1));
    let closed = w.state(SERVER, server);
    // The word that it is open again, and what then goes out.
    w.filter.lose(1, |segment| segment.is_from_server());
    w.filter.lose(1, |segment| segment.is_fin() && !segment.is_from_server());
    let (got, took) = read_to_the_end(&mut w, SERVER, server, Duration::from_secs(30))?;
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the server while its window was closed", State::Established, closed)?;
    expect("bytes that the server read", TEXT, got)?;
    orderly(&seen, client, server)?;
    let (report, counted_) = (seen.report(CLIENT, client)?, seen.counters(CLIENT));
    expect("FINs sent again", 1, report.fin_retransmits)?;
    let probes = counted_.window_probes;
    ensure(probes > 1, "probes of the closed window", "two at least", probes)?;
    s.outcome(format!(
        "{} kept the orphan and its FIN going until the window was open",
        counted(probes, "window probe")
    ));
    s.outcome(format!("all of it arrived {} after the server began to read", span(took)));
    s.metric("window_probes", probes);
    s.metric("fin_retransmits", report.fin_retransmits);
    Ok(())
}

pub(super) const HALF_CLOSE_UNDER_LOSS: Scenario = Scenario {
    name: "half-close-under-loss",
    title: "one direction is closed, and the other loses what it carries",
    about: "The client has closed its direction and waits in FIN_WAIT_2 for the answer. Of that \
            some segments are lost, and later one of them again. Nothing in this differs from an \
            open connection: the client names what arrived, the server in CLOSE_WAIT and then in \
            LAST_ACK sends what is missing. No timer runs out, and nothing times the client out.",
    script: half_close_under_loss,
};

fn half_close_under_loss(s: &mut Script) -> Result<(), Failure> {
    const ANSWER: usize = 60_000;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_shutdown(&mut w, client, server)?;
    w.filter.lose(2, |segment| segment.is_from_server() && segment.len > 0);
    w.send(SERVER, server, &vec![b'.'; ANSWER])?;
    w.shutdown(SERVER, server)?;
    w.run_ms(40);
    w.filter.lose(1, |segment| segment.is_from_server() && segment.len > 0);
    let states = [w.state(CLIENT, client), w.state(SERVER, server)];
    let (got, _) = read_to_the_end(&mut w, CLIENT, client, Duration::from_secs(5))?;
    w.close(SERVER, server)?;
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client while the answer had gaps", State::FinWait2, states[0])?;
    expect("the server while the answer had gaps", State::LastAck, states[1])?;
    expect("bytes of the answer", ANSWER, got)?;
    orderly(&seen, client, server)?;
    let (again, timeouts) = losses(&seen, server)?;
    expect("segments sent again", 3, again)?;
    expect("timeouts", 0, timeouts)?;
    s.outcome(format!(
        "{} came through a half-closed connection that lost {}, and no timer ran out",
        bytes(got as u64),
        counted(again.into(), "segment")
    ));
    s.metric("bytes", got as u64);
    s.metric("retransmits", again);
    Ok(())
}

fn losses(seen: &Seen, server: fourwave_core::ConnId) -> Result<(u32, u64), Failure> {
    Ok((seen.report(SERVER, server)?.retransmits, seen.counters(SERVER).timeouts))
}
