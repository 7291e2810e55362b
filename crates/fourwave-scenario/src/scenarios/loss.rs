//! What the waves do when the network loses one of them.

use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, EndReport, UserCall};
use fourwave_lens::units::{counted, span};

use super::Scenario;
use super::close::question_and_answer;
use crate::failure::Failure;
use crate::middle::PassingSegment;
use crate::script::{Script, Seen, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

pub(super) const LOST_LAST_ACK: Scenario = Scenario {
    name: "lost-last-ack",
    title: "the ACK of the last FIN is lost: what TIME_WAIT is for, the first reason",
    about: "Nothing acknowledges the fourth wave, so its sender cannot know whether it arrived. \
            When it is lost, the server stays in LAST_ACK and sends its FIN again; somebody must \
            be there to answer, and that is the client's TIME_WAIT, whose time then starts again. \
            Without TIME_WAIT the client knows nothing of the connection any more and answers \
            RST, so the server reports an error although every byte had arrived.",
    script: lost_last_ack,
};

fn lost_last_ack(s: &mut Script) -> Result<(), Failure> {
    let (seen, client, server) = lose_the_last_ack(s, "with TIME_WAIT", s.config())?;
    let with = seen.report(SERVER, server)?.clone();
    let waits = seen.report(CLIENT, client)?.time_wait_until.is_some();
    let config = s.config_with(&[("tcp_timewait_len", "0")])?;
    let (seen, _, server) = lose_the_last_ack(s, "with tcp_timewait_len=0", config)?;
    let without = seen.report(SERVER, server)?.clone();

    ensure(waits, "the client's TIME_WAIT", "there", "none")?;
    expect("how the server's end ended with TIME_WAIT", "orderly", with.reason.name())?;
    expect("FINs that the server retransmitted", 1, with.fin_retransmits)?;
    expect("how it ended without", "reset-by-peer", without.reason.name())?;
    let again = counted(with.fin_retransmits.into(), "repeated FIN");
    s.outcome(format!("with TIME_WAIT {again} was answered, and the server ended in order"));
    s.outcome("without, the server's FIN met an RST, and its application got an error");
    s.metric("fin_retransmits", with.fin_retransmits);
    s.metric("reason_with_time_wait", with.reason.name());
    s.metric("reason_without", without.reason.name());
    Ok(())
}

fn lose_the_last_ack(
    s: &mut Script,
    title: &str,
    config: Config,
) -> Result<(Seen, fourwave_core::ConnId, fourwave_core::ConnId), Failure> {
    let forgets = config.tcp_timewait_len == 0;
    let mut w = World::new(config, s.config());
    if forgets {
        w.filter.narrators = vec![SERVER];
    }
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.lose(1, PassingSegment::is_last_ack);
    w.close(CLIENT, client)?;
    w.run_ms(50);
    w.close(SERVER, server)?;
    w.run_ms(20);
    if forgets {
        w.note(CLIENT, client, "the client has no TIME_WAIT: it has forgotten the connection");
    }
    w.run_to_the_end()?;
    Ok((s.show(title, w), client, server))
}

pub(super) const LOST_FIN: Scenario = Scenario {
    name: "lost-fin",
    title: "the first FIN is lost, and is retransmitted like any byte",
    about: "A FIN is the last byte of a stream: it has a number, and it is retransmitted until \
            it is acknowledged. Until then the client waits in FIN_WAIT_1 and the server knows \
            nothing of the close. The pause is the retransmission timeout, not the network's.",
    script: lost_fin,
};

fn lost_fin(s: &mut Script) -> Result<(), Failure> {
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.lose(1, |segment| segment.is_fin() && !segment.is_from_server());
    w.shutdown(CLIENT, client)?;
    w.run_ms(50);
    let states = [w.state(CLIENT, client), w.state(SERVER, server)];
    let rto = w.ends[CLIENT].engine.info(client).map(|info| info.rto).unwrap_or_default();
    w.run_for(Duration::from_secs(3));
    w.close(SERVER, server)?;
    w.run_ms(50);
    w.close(CLIENT, client)?;
    w.run_to_the_end()?;
    let seen = s.show("", w);

    expect("the client before the FIN came again", State::FinWait1, states[0])?;
    expect("the server before the FIN came again", State::Established, states[1])?;
    let report = seen.report(CLIENT, client)?;
    expect("how the client's end ended", "orderly", report.reason.name())?;
    expect("FINs that the client retransmitted", 1, report.fin_retransmits)?;
    let server = seen.report(SERVER, server)?.reason.name();
    expect("how the server's end ended", "orderly", server)?;
    s.outcome(format!(
        "the FIN came again after a retransmission timeout of {}, and the close went on as if \
         nothing had been",
        span(rto)
    ));
    s.metric("fin_retransmits", report.fin_retransmits);
    Ok(())
}

pub(super) const LOST_FIN_ORPHAN: Scenario = Scenario {
    name: "lost-fin-orphan",
    title: "every FIN of a connection without an application is lost",
    about: "The application has closed and is gone: the connection is an orphan that only the \
            engine knows. It must not live indefinitely on a peer that does not answer, so its FIN \
            goes out again as a tail loss probe and tcp_orphan_retries times more, each time after \
            twice the wait, and then it is dropped. The server was told nothing: it finds out when \
            it next sends, or by keepalive.",
    script: lost_fin_orphan,
};

fn lost_fin_orphan(s: &mut Script) -> Result<(), Failure> {
    // A tail loss probe goes before the first timeout, and counts as no try.
    let probes = u64::from(s.config().tcp_early_retrans >= 3);
    let repeated = s.config().tcp_orphan_retries + probes;
    let mut w = s.world();
    let (client, server) = w.open()?;
    question_and_answer(&mut w, client, server)?;
    w.filter.lose(u32::MAX, |segment| !segment.is_from_server());
    w.close(CLIENT, client)?;
    let orphans = w.population(CLIENT).orphans;
    w.run_to_the_end()?;
    let left = w.state(SERVER, server);
    let seen = s.show("", w);

    expect("orphans after close", 1, orphans)?;
    let report: &EndReport = seen.report(CLIENT, client)?;
    expect("how the client's end ended", "orphan-timeout", report.reason.name())?;
    expect("FINs sent again (tcp_orphan_retries)", repeated, report.fin_retransmits.into())?;
    ensure(report.last_call == UserCall::Close, "the last call", "close", report.last_call.name())?;
    expect("the server's state", State::Established, left)?;
    expect("TIME_WAITs at the client", 0, seen.population(CLIENT).time_wait)?;
    s.outcome(format!(
        "after {} the client's engine dropped the orphan, {} after its application had closed",
        counted(report.fin_retransmits.into(), "repeated FIN"),
        span(report.last_call_ago)
    ));
    s.outcome("the server is still ESTABLISHED and will be until it sends or probes");
    s.metric("fin_retransmits", report.fin_retransmits);
    s.metric("seconds", report.last_call_ago.as_secs_f64());
    Ok(())
}
