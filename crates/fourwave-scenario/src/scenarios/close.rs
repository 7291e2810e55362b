//! Closing in order.

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{ConnId, Side};
use fourwave_lens::units::{bytes, span};

use super::Scenario;
use crate::failure::Failure;
use crate::script::{Script, Seen, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

pub(super) const FOUR_WAVES: Scenario = Scenario {
    name: "four-waves",
    title: "the orderly close, one direction after the other",
    about: "A connection is two streams, and each is closed by itself: a FIN says \"I send no \
            more data\", an ACK says \"I heard\". The client closes first, so it takes the four \
            waves FIN, ACK, FIN, ACK, and the one who closed first keeps TIME_WAIT: nobody \
            acknowledges the last ACK, so somebody must stay to repeat it.",
    script: four_waves,
};

fn four_waves(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(30);
    let half = [w.state(CLIENT, client), w.state(SERVER, server)];
    w.run_ms(20);
    w.close(SERVER, server)?;
    w.run_ms(100);
    let held = w.population(CLIENT).time_wait;
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client after wave 2", State::FinWait2, half[0])?;
    expect("the server after wave 1", State::CloseWait, half[1])?;
    orderly(&seen, client, server)?;
    expect("who closed first", "the client", closed_first(&seen, client)?)?;
    let expected = usize::from(s.config().tcp_timewait_len > 0);
    expect("TIME_WAITs at the client", expected, held)?;
    let (a, b) = (seen.report(CLIENT, client)?, seen.report(SERVER, server)?);
    ensure(b.time_wait_until.is_none(), "the server's TIME_WAIT", "none", "one")?;
    let lasts = a.time_wait_until.map(|until| until.since(a.ended)).unwrap_or_default();
    s.outcome("both ends closed in order, each with its own FIN");
    s.outcome(format!("the client closed first and holds TIME_WAIT, for {}", span(lasts)));
    s.metric("time_wait_seconds", lasts.as_secs());
    Ok(())
}

/// A little data in each direction, and both have read it.
pub(super) fn question_and_answer(
    w: &mut World,
    client: ConnId,
    server: ConnId,
) -> Result<(), Failure> {
    w.send(CLIENT, client, b"GET / HTTP/1.0\r\n\r\n")?;
    w.run_ms(20);
    w.read(SERVER, server);
    w.send(SERVER, server, &[b'.'; 1200])?;
    w.run_ms(80);
    w.read(CLIENT, client);
    Ok(())
}

/// A question, behind which the client closes its direction; the server has read both.
pub(super) fn question_and_shutdown(
    w: &mut World,
    client: ConnId,
    server: ConnId,
) -> Result<(), Failure> {
    w.send(CLIENT, client, b"SELECT * FROM measurements;")?;
    w.shutdown(CLIENT, client)?;
    w.run_ms(100);
    w.read(SERVER, server);
    Ok(())
}

/// Both engines say that their end ended in order.
pub(super) fn orderly(seen: &Seen, client: ConnId, server: ConnId) -> Result<(), Failure> {
    expect("how the client's end ended", "orderly", seen.report(CLIENT, client)?.reason.name())?;
    expect("how the server's end ended", "orderly", seen.report(SERVER, server)?.reason.name())
}

/// Who closed first, by the word of the client's engine.
fn closed_first(seen: &Seen, client: ConnId) -> Result<&'static str, Failure> {
    Ok(match seen.report(CLIENT, client)?.closed_first {
        Some(Side::Local) => "the client",
        Some(Side::Remote) => "the server",
        None => "nobody",
    })
}

pub(super) const SERVER_CLOSES_FIRST: Scenario = Scenario {
    name: "server-closes-first",
    title: "the same waves the other way, and TIME_WAIT at the server",
    about: "TIME_WAIT belongs to whoever closes first, whichever end that is. A server that ends \
            each connection after its answer (HTTP/1.0, \"Connection: close\") collects the \
            TIME_WAITs of all its clients; they cost it memory but no ports, for every client \
            brings its own.",
    script: server_closes_first,
};

fn server_closes_first(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    w.filter.narrators = vec![SERVER];
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.close(SERVER, server)?;
    w.run_ms(50);
    let state = w.state(CLIENT, client);
    w.close(CLIENT, client)?;
    w.run_ms(50);
    let held = [CLIENT, SERVER].map(|host| w.population(host).time_wait);
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client after wave 1", State::CloseWait, state)?;
    orderly(&seen, client, server)?;
    expect("who closed first", "the server", closed_first(&seen, client)?)?;
    expect("TIME_WAITs at the client", 0, held[CLIENT])?;
    expect("TIME_WAITs at the server", usize::from(s.config().tcp_timewait_len > 0), held[SERVER])?;
    s.outcome("the server closed first and holds TIME_WAIT; the client's port is free at once");
    s.metric("time_wait_at_client", held[CLIENT]);
    s.metric("time_wait_at_server", held[SERVER]);
    Ok(())
}

pub(super) const THREE_WAVES: Scenario = Scenario {
    name: "three-waves",
    title: "the second and third wave in one segment",
    about: "When the server's application has nothing more to say, its FIN and the ACK of the \
            client's FIN fit into one segment: FIN ACK. The four statements are made all the \
            same, and the client goes from FIN_WAIT_1 to TIME_WAIT without a stop in FIN_WAIT_2.",
    script: three_waves,
};

fn three_waves(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    // The ACK of a FIN goes out at once; an application that closes in the same moment is faster.
    w.hold_back(SERVER);
    w.shutdown(CLIENT, client)?;
    w.run_ms(10);
    w.close(SERVER, server)?;
    w.let_go(SERVER);
    let mut states = Vec::new();
    for _ in 0..20 {
        w.run_ms(1);
        states.push(w.state(CLIENT, client));
    }
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    orderly(&seen, client, server)?;
    let stopped = states.contains(&State::FinWait2);
    ensure(!stopped, "the client's way to TIME_WAIT", "past FIN_WAIT_2", "through FIN_WAIT_2")?;
    s.outcome("three segments closed both directions");
    s.outcome("the client went from FIN_WAIT_1 to TIME_WAIT");
    s.metric("segments_of_the_close", 3);
    Ok(())
}

pub(super) const HALF_CLOSE: Scenario = Scenario {
    name: "half-close",
    title: "one direction closed, the other in use without a time limit",
    about: "The client has asked its question and closes its direction; that is no goodbye. In \
            FIN_WAIT_2 it receives the answer, here one that takes ten minutes to start, and the \
            server in CLOSE_WAIT sends as in any open connection. No timer may cut this short \
            while an application holds the client's end.",
    script: half_close,
};

fn half_close(s: &mut Script) -> Result<(), Failure> {
    const ANSWER: usize = 200_000;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_shutdown(&mut w, client, server)?;
    w.run_for(Duration::from_secs(600));
    let states = [w.state(CLIENT, client), w.state(SERVER, server)];
    w.send(SERVER, server, &vec![b'.'; ANSWER])?;
    w.close(SERVER, server)?;
    let (mut got, mut whole) = (0, false);
    for _ in 0..100 {
        w.run_ms(10);
        let (data, end) = w.read(CLIENT, client);
        got += data.len();
        whole |= end;
    }
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client after ten minutes", State::FinWait2, states[0])?;
    expect("the server after ten minutes", State::CloseWait, states[1])?;
    expect("bytes of the answer", ANSWER, got)?;
    ensure(whole, "the answer", "with its end", "cut short")?;
    orderly(&seen, client, server)?;
    let got = got as u64;
    s.outcome(format!("{} came through a half-closed connection, and its end", bytes(got)));
    s.metric("bytes", got);
    Ok(())
}

pub(super) const SIMULTANEOUS_CLOSE: Scenario = Scenario {
    name: "simultaneous-close",
    title: "both close at once: CLOSING, and TIME_WAIT at both ends",
    about: "Two FINs cross in the network. Each end, in FIN_WAIT_1, gets a FIN where it expected \
            an ACK, acknowledges it and waits in CLOSING for the ACK of its own. Both closed \
            first, so both hold TIME_WAIT.",
    script: simultaneous_close,
};

fn simultaneous_close(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.shutdown(CLIENT, client)?;
    w.shutdown(SERVER, server)?;
    w.run_ms(15);
    let states = [w.state(CLIENT, client), w.state(SERVER, server)];
    w.run_ms(50);
    let held = [CLIENT, SERVER].map(|host| w.population(host).time_wait);
    w.close(CLIENT, client)?;
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client when the FINs had crossed", State::Closing, states[0])?;
    expect("the server when the FINs had crossed", State::Closing, states[1])?;
    orderly(&seen, client, server)?;
    let expected = usize::from(s.config().tcp_timewait_len > 0);
    expect("TIME_WAITs at the client", expected, held[CLIENT])?;
    expect("TIME_WAITs at the server", expected, held[SERVER])?;
    s.outcome("both ends passed through CLOSING, and both hold TIME_WAIT");
    s.metric("time_wait_at_client", held[CLIENT]);
    s.metric("time_wait_at_server", held[SERVER]);
    Ok(())
}
