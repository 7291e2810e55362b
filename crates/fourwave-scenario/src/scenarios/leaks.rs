//! Ends that an application causes by what it does, or does not do.

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Event, SocketOption};
use fourwave_lens::units::{bytes, span};

use super::Scenario;
use super::close::question_and_answer;
use crate::failure::Failure;
use crate::script::{Script, ensure, expect};
use crate::world::{CLIENT, SERVER};

pub(super) const CLOSE_WAIT_LEAK: Scenario = Scenario {
    name: "close-wait-leak",
    title: "the peer has closed and the application forgets to",
    about: "CLOSE_WAIT has no timer: the peer said that it sends no more, and whether there is \
            more to send this way only the application knows. One that never closes keeps the \
            connection, and a file descriptor, indefinitely; thousands of CLOSE_WAITs are always a \
            fault of the program that holds them. The engine reports one that is older than \
            tcp_close_wait_limit, with the last call that the application made on it.",
    script: close_wait_leak,
};

fn close_wait_leak(s: &mut Script) -> Result<(), Failure> {
    let limit = Duration::from_secs(s.config().tcp_close_wait_limit);
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.close(CLIENT, client)?;
    w.run_for(limit + Duration::from_secs(1));
    let suspected = w.ends[SERVER].events.iter().find_map(|event| match event {
        Event::CloseWaitSuspected { conn, since, last_call, last_call_at } if *conn == server => {
            Some((since.since(*last_call_at), last_call.name()))
        }
        _ => None,
    });
    if let Some((ago, call)) = suspected {
        let word = format!(
            "suspected leak: CLOSE_WAIT for {}; the server's application did nothing since \
             {call}(), {} before the FIN came",
            span(limit),
            span(ago)
        );
        w.note(SERVER, server, &word);
    }
    w.run_for(Duration::from_secs(24 * 3600));
    let state = w.state(SERVER, server);
    let seen = s.show("", w);

    let (_, call) =
        suspected.ok_or_else(|| Failure::new("the leak", "reported", "not a word".to_owned()))?;
    expect("the server's last call", "send", call)?;
    expect("the server a day later", State::CloseWait, state)?;
    let client = seen.report(CLIENT, client)?.reason.name();
    expect("how the client's end ended", "fin-wait-2-timeout", client)?;
    s.outcome(format!(
        "the leak was reported after {} (tcp_close_wait_limit), the last call on it was {call}()",
        span(limit)
    ));
    s.outcome("a day later the server's connection is still in CLOSE_WAIT");
    s.metric("limit_seconds", limit.as_secs());
    s.metric("last_call", call);
    Ok(())
}

pub(super) const LINGER_ZERO: Scenario = Scenario {
    name: "linger-zero",
    title: "SO_LINGER 0: close by RST, no TIME_WAIT and no delivery",
    about: "With SO_LINGER on and 0 seconds, close() throws away what is still queued and sends \
            RST instead of FIN. No TIME_WAIT remains, which makes it a popular remedy; but the \
            peer gets an error instead of an end, and whatever was on its way is lost without a \
            word.",
    script: linger_zero,
};

fn linger_zero(s: &mut Script) -> Result<(), Failure> {
    const SENT: usize = 100_000;
    let mut w = s.world();
    let (client, server) = w.open()?;
    w.set(CLIENT, client, SocketOption::LingerZero(true))?;
    w.send(CLIENT, client, &[b'.'; SENT])?;
    w.run_ms(25);
    w.close(CLIENT, client)?;
    let held = w.population(CLIENT).time_wait;
    w.run_ms(200);
    let (got, _) = w.read(SERVER, server);
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    let (a, b) = (seen.report(CLIENT, client)?, seen.report(SERVER, server)?);
    expect("how the client's end ended", "linger-zero", a.reason.name())?;
    expect("how the server's end ended", "reset-by-peer", b.reason.name())?;
    expect("TIME_WAITs at the client", 0, held)?;
    ensure(got.len() < SENT, "what the server got", "less than was sent", got.len())?;
    let (got, lost) = (got.len() as u64, (SENT - got.len()) as u64);
    s.outcome("no TIME_WAIT, and the port is free at once");
    s.outcome(format!(
        "of {} that the client's application sent, {} arrived and {} are lost; the server's next \
         read is an error",
        bytes(SENT as u64),
        bytes(got),
        bytes(lost)
    ));
    s.metric("bytes_lost", lost);
    Ok(())
}

pub(super) const UNREAD_DATA_RESET: Scenario = Scenario {
    name: "unread-data-reset",
    title: "close with received data unread: RST instead of FIN",
    about: "The client has sent a question in two parts, the server read the first, answered and \
            closed. Data that it received and never read would vanish silently after a FIN, so \
            RFC 9293 \u{a7}3.6.1 has it send RST. This is the usual answer to \"connection reset \
            by peer\" with a server that seems to work: it must read to the end before it \
            closes.",
    script: unread_data_reset,
};

fn unread_data_reset(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    w.filter.narrators = vec![SERVER];
    let (client, server) = w.open()?;
    w.send(CLIENT, client, b"POST /upload HTTP/1.0\r\n\r\n")?;
    w.run_ms(30);
    w.read(SERVER, server);
    w.send(CLIENT, client, &[b'.'; 700])?;
    w.run_ms(15);
    w.send(SERVER, server, b"HTTP/1.0 413 Content Too Large\r\n\r\n")?;
    w.close(SERVER, server)?;
    w.run_ms(100);
    let (got, end) = w.read(CLIENT, client);
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    let (a, b) = (seen.report(CLIENT, client)?, seen.report(SERVER, server)?);
    expect("how the server's end ended", "closed-with-unread-data", b.reason.name())?;
    expect("bytes that nobody read", 700, b.bytes_unread)?;
    expect("how the client's end ended", "reset-by-peer", a.reason.name())?;
    ensure(!end, "the client's stream", "ended by an error", "ended in order")?;
    let aborted = seen.counters(SERVER).abort_on_close;
    expect("TcpExtTCPAbortOnClose at the server", 1, aborted)?;
    s.outcome(format!("{} lay unread, so the server's close() became an RST", bytes(700)));
    s.outcome(format!(
        "the client got {} of the answer and then an error; no TIME_WAIT anywhere",
        if got.is_empty() { "nothing".to_owned() } else { bytes(got.len() as u64) }
    ));
    s.metric("bytes_unread", b.bytes_unread);
    s.metric("bytes_of_the_answer", got.len());
    Ok(())
}
