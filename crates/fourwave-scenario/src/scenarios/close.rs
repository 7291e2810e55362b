//! Closing in order.

use fourwave_core::Side;
use fourwave_core::state::State;
use fourwave_lens::units::span;

use super::Scenario;
use crate::failure::Failure;
use crate::script::{Script, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

pub(super) const FOUR_WAVES: Scenario = Scenario {
    name: "four-waves",
    title: "the orderly close, one direction after the other",
    about: "A connection is two streams, and each is closed by itself: a FIN says \"I send no more \
            data\", an ACK says \"I heard\". The client closes first, so it takes the four waves \
            FIN, ACK, FIN, ACK, and the one who closed first keeps TIME_WAIT: nobody acknowledges \
            the last ACK, so somebody must stay to repeat it.",
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
    let (a, b) = (seen.report(CLIENT, client)?, seen.report(SERVER, server)?);
    expect("how the client's end ended", "orderly", a.reason.name())?;
    expect("how the server's end ended", "orderly", b.reason.name())?;
    ensure(a.closed_first == Some(Side::Local), "who closed first", "the client", "the server")?;
    let expected = usize::from(s.config().tcp_timewait_len > 0);
    expect("TIME_WAITs at the client", expected, held)?;
    ensure(b.time_wait_until.is_none(), "the server's TIME_WAIT", "none", "one")?;
    let lasts = a.time_wait_until.map(|until| until.since(a.ended)).unwrap_or_default();
    s.outcome("both ends closed in order, each with its own FIN");
    s.outcome(format!("the client closed first and holds TIME_WAIT, for {}", span(lasts)));
    s.figure("time_wait_seconds", lasts.as_secs());
    Ok(())
}

/// A little data in each direction, and both have read it.
pub(super) fn question_and_answer(
    w: &mut World,
    client: fourwave_core::ConnId,
    server: fourwave_core::ConnId,
) -> Result<(), Failure> {
    w.send(CLIENT, client, b"GET / HTTP/1.0\r\n\r\n")?;
    w.run_ms(20);
    w.read(SERVER, server);
    w.send(SERVER, server, &[b'.'; 1200])?;
    w.run_ms(80);
    w.read(CLIENT, client);
    Ok(())
}
