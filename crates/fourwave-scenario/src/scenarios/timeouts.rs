//! Ends that only a timer brings.

use fourwave_core::SocketOption;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_lens::units::{counted, span};

use super::Scenario;
use super::close::question_and_answer;
use crate::failure::Failure;
use crate::script::{Script, ensure, expect};
use crate::world::{CLIENT, SERVER};

pub(super) const FIN_WAIT_2_TIMEOUT: Scenario = Scenario {
    name: "fin-wait-2-timeout",
    title: "the peer acknowledges the FIN and never sends its own",
    about: "The client's application has closed and is gone; the server has acknowledged that \
            and goes on. In FIN_WAIT_2 nothing is sent, so no retransmission would ever end it. \
            An orphan may stay for tcp_fin_timeout (TCP_LINGER2 for one connection); a \
            connection whose application still holds it, half-closed by shutdown(), has no \
            limit. What the server sends after the timeout meets an RST.",
    script: fin_wait_2_timeout,
};

fn fin_wait_2_timeout(s: &mut Script) -> Result<(), Failure> {
    let limit = Duration::from_secs(s.config().tcp_fin_timeout);
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.close(CLIENT, client)?;
    w.run_for(limit + Duration::from_secs(10));
    let state = w.state(SERVER, server);
    w.send(SERVER, server, b"are you still there?")?;
    w.run_ms(100);
    w.close(SERVER, server)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    let report = seen.report(CLIENT, client)?;
    expect("how the client's end ended", "fin-wait-2-timeout", report.reason.name())?;
    let lasted = report.last_call_ago;
    let near = lasted.abs_diff(limit) < Duration::from_secs(1);
    ensure(near, "the life of the orphan", &span(limit), span(lasted))?;
    expect("the server at that time", State::CloseWait, state)?;
    let server = seen.report(SERVER, server)?.reason.name();
    expect("how the server's end ended", "reset-by-peer", server)?;
    s.outcome(format!("the orphan was dropped {} after close (tcp_fin_timeout)", span(lasted)));
    s.outcome("the server learned of it when it next sent: RST");
    s.metric("seconds", lasted.as_secs_f64());
    Ok(())
}

pub(super) const KEEPALIVE_DEAD_PEER: Scenario = Scenario {
    name: "keepalive-dead-peer",
    title: "the peer is gone without a word, and keepalive finds out",
    about: "The cable is cut while the connection is idle. Nothing is sent, so nothing fails: \
            without SO_KEEPALIVE the connection stays ESTABLISHED indefinitely. With it, a probe \
            follows after tcp_keepalive_time without a sign of the peer, then one every \
            tcp_keepalive_intvl, and after tcp_keepalive_probes of them without an answer the \
            connection is given up.",
    script: keepalive_dead_peer,
};

fn keepalive_dead_peer(s: &mut Script) -> Result<(), Failure> {
    let config = s.config();
    let probes = config.tcp_keepalive_probes;
    let time = config.tcp_keepalive_time + config.tcp_keepalive_intvl * probes;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.set(CLIENT, client, SocketOption::KeepAlive(true))?;
    w.note(CLIENT, client, "the cable is cut here");
    w.filter.lose(u32::MAX, |_| true);
    let cut = w.now;
    w.run_to_the_end()?;
    let lasted = w.report(CLIENT, client)?.ended.since(cut);
    let state = w.state(SERVER, server);
    let seen = s.show("", w);

    let report = seen.report(CLIENT, client)?;
    expect("how the client's end ended", "keepalive-timeout", report.reason.name())?;
    let sent = seen.counters(CLIENT).keepalive;
    expect("probes (tcp_keepalive_probes)", probes, sent)?;
    let near = lasted.as_secs().abs_diff(time) <= 1;
    let expected = span(Duration::from_secs(time));
    ensure(near, "the time until it was given up", &expected, span(lasted))?;
    expect("the server, which sends no probes", State::Established, state)?;
    let probes = counted(sent, "probe");
    s.outcome(format!("{probes} without an answer: given up {} after the cut", span(lasted)));
    s.outcome("the server's end, without SO_KEEPALIVE, stays ESTABLISHED indefinitely");
    s.metric("seconds", lasted.as_secs_f64().round() as u64);
    s.metric("probes", sent);
    Ok(())
}
